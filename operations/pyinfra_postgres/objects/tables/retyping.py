"""Columns that get another type or collation.

Whether that rewrites the table is asked of the server, which changes an empty copy of it and rolls
back; whether a row would lose something is asked of the rows.
https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask
from ...comparison.definitions import Definition, called_by, compared
from ...comparison.stored import stored_columns, under
from ...errors import DeclarationError, HostError
from ...plan.plan import Hazard, Loss, Statement
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.parse import closed
from ...syntax.paths import SearchPath
from ...syntax.values import comparable
from ...transport.answer import Answer
from ..code.dependents import DependentMaterializedView
from ..constraints.constraints import Check
from ..constraints.dependents import DependentCheck
from ..dependent import Dependent
from ..dependents import Dependents, of_columns
from ..fitting import Ground, fitting
from ..indexes.dependents import built_in_parts, named_again
from ..types.enums import Enum
from .columns import TableColumn, collation_sql, default_sql
from .dependents import DependentColumn
from .heirs import below, inheriting

_TEXTS = re.compile(r"(text|character varying|bpchar|character|public\.citext)(\(\d+\))?")
_ANY_TEXT = frozenset({"text", "character varying"})
_INEXACT = frozenset({"real", "double precision"})
_NO_CAST = frozenset({"42804", "42846"})
_UNKNOWN_YET = frozenset({"42704", "42P01", "42703", "3F000", "42501"})
"""What the server says of a type, table or column that only the plan creates; and of a copy that
the role may not create."""
_NO_WAY_BACK = frozenset({"42846", "42883"})
"""What it says of a type that has no cast to the former one, or no equality."""

_COPY = "pg_temp.pyinfra_postgres_copy"


@frozen
class Retype:
    """What the server knows of one column's change of type."""

    free: bool = False
    """Whether the table's bytes stay as they are."""
    using: str = ""
    """The expression that converts a value, where it does not convert by itself."""
    loss: Loss | None = None
    """What rows lose by it, where that can be asked."""


@frozen
class Retypes:
    """What has to be known of all columns of a table that get another type."""

    columns: Mapping[str, Retype] = field(factory=dict)
    dependents: Dependents = field(factory=Dependents)
    """What PostgreSQL wants out of the way."""
    following: tuple[Dependent, ...] = ()
    """What PostgreSQL makes anew by itself, as far as its definition goes."""
    definitions: tuple[Definition, ...] = ()
    """Of all that is made anew, by PostgreSQL itself too."""
    rechecked: tuple[str, ...] = ()
    """The checks for which PostgreSQL reads all rows, though it writes none."""
    analyzed: tuple[tuple[Name, tuple[Exact, ...]], ...] = ()
    """The columns that lose what the planner knows of them, by table."""

    def alone(self) -> Retypes:
        """The same without what depends on the columns, and without what rows lose."""
        columns = {name: evolve(one, loss=None) for name, one in self.columns.items()}
        return Retypes(columns)

    @classmethod
    def of(
        cls,
        table: Name,
        pairs: Sequence[tuple[TableColumn, TableColumn]],
        ending: Set[str],
        catalog: Forecast,
        ask: Ask,
    ) -> Retypes:
        """What the server tells of columns as they are and as they are declared.

        `ending` names the constraints that go or get another definition in the same change.

        Raises DeclarationError where a value can't be converted, or what depends on a column
        can't be created again.
        """
        there = stored_columns(table, catalog)
        known = [(one, other) for one, other in pairs if other.name in there]
        if not known:
            return cls()
        names = [other.name for _, other in known]
        every = of_columns(table, names, catalog, ask)
        replaced = ending | _gone(every, table, catalog)
        found = every.left
        following = _following(found)
        dependents = found.without(lambda one: one in following)
        if dependents.obstacles:
            raise DeclarationError(
                f"column {', '.join(names)} changes its type, and these can't be created again "
                f"with it: {', '.join(dependents.obstacles)}"
            )
        if users := list(_new_users(table, names, found, catalog)):
            raise DeclarationError(
                f"column {', '.join(names)} changes its type, and earlier operations of this run "
                f"have {', '.join(users)} use it: declare this one before that"
            )
        columns = [other for _, other in known]
        tables = sorted({one.whole for one in found.of(DependentColumn) if one.root})
        dependents = fitting(dependents, _ground(tables, columns, catalog), ask)
        types = {one.name: one.type for one, _ in known}
        copy = _Copy(table, columns, types, replaced, _checked(found, replaced), catalog, ask)
        retypes: dict[str, Retype] = {other.name: _retype(copy, one, other) for one, other in known}
        checks = tuple(_rechecked(table, set(names), replaced, catalog))
        return cls(retypes, dependents, following, tuple(found.definitions), checks)


def _ground(tables: Sequence[Name], columns: Sequence[TableColumn], catalog: Forecast) -> Ground:
    """Tables as they are, and with other types of some columns."""
    copies = tuple(f"CREATE TEMP TABLE {quoted(one.name)} (LIKE {one})" for one in tables)
    altered = (
        f"ALTER TABLE pg_temp.{quoted(table.name)} {_clause(one, f'NULL::{one.type}')}"
        for table in tables
        for one in columns
    )
    after = (*_new_types(columns, catalog), *copies, *altered)
    return Ground(copies, after, frozenset(tables))


def _new_types(columns: Sequence[TableColumn], catalog: Forecast) -> Iterator[str]:
    """What creates the enums that the server does not know yet."""
    types = {column.type for column in columns}
    for enum in catalog.of(Enum):
        if str(enum.name) in types and enum.name in catalog.created:
            yield next(iter(Enum.diff(None, enum))).sql


def _new_users(
    table: Name, columns: Iterable[str], found: Dependents, catalog: Forecast
) -> Iterator[str]:
    """What the plan has use columns of a table or its partitions, and the server does not know."""
    known = {one.key for one in found.all}
    tables = [table, *below(table, catalog)]
    for key in sorted(catalog.changed - known):
        user = catalog.objects.get(key)
        if user and any(user.uses(one, set(columns)) for one in tables):
            yield user.title


def _checked(found: Dependents, replaced: Set[str]) -> list[str]:
    """The checks and indexes of columns, but for those that get another definition."""
    return [one.title for one in found.all if one.reads_rows and one.part not in replaced]


def _gone(found: Dependents, table: Name, catalog: Forecast) -> set[str]:
    """The checks that the server still has, and that the plan has taken away before."""
    tables = (table, *inheriting(table, catalog))
    there = [catalog.table(name) for name in tables]
    names = {one.name for each in there for one in getattr(each, "constraints", ())}
    return {one.part for one in found.of(DependentCheck) if one.part not in names}


def _rechecked(
    table: Name, columns: Set[str], replaced: Set[str], catalog: Forecast
) -> Iterator[str]:
    """The checks of columns, of all tables that inherit these, that are made anew and read."""
    for name in (table, *inheriting(table, catalog)):
        there = catalog.table(name)
        for one in getattr(there, "constraints", ()):
            is_read = isinstance(one, Check) and one.validated and one.details.enforced
            if is_read and one.name not in replaced and not one.used.isdisjoint(columns):
                yield f"{quoted(one.name or '')} of {name}"


def analyzed(
    table: Name, columns: Sequence[Exact], catalog: Forecast
) -> tuple[tuple[Name, tuple[Exact, ...]], ...]:
    """What to analyze again when columns get another type or are computed otherwise."""
    virtual = {column.name for column in catalog.columns_of(table) if column.virtual}
    names = tuple(name for name in columns if name not in virtual)
    tables = (table, *inheriting(table, catalog)) if names else ()
    return tuple((name, names) for name in tables if name in catalog.filled)


def _following(found: Dependents) -> tuple[Dependent, ...]:
    """What changes with the columns themselves, or with what changes with them."""
    columns = {one.id: one.part for one in found.of(DependentColumn)}
    known = set(columns)
    following = []
    for one in found.all:
        if one.follows(columns, known):
            known.add(one.id)
            following.append(one)
    return tuple(following)


def differing(
    current: Sequence[TableColumn], declared: Sequence[TableColumn]
) -> list[tuple[TableColumn, TableColumn]]:
    """The columns that get another type or collation, before and after."""
    there = {column.name: column for column in current}
    pairs = [(there[column.name], column) for column in declared if column.name in there]
    return [
        (one, other)
        for one, other in pairs
        if (one.type, one.collation) != (other.type, other.collation)
    ]


def retyped(
    table: Name, pairs: Sequence[tuple[TableColumn, TableColumn]], known: Retypes, filled: bool
) -> Iterator[Statement]:
    """The statements that give columns of a table another type, all in one pass over its rows."""
    if not pairs:
        return
    found = {other.name: known.columns.get(other.name) or _unasked(other) for _, other in pairs}
    yield from known.dependents.dropped()
    parts = []
    for current, declared in pairs:
        one = found[declared.name]
        parts.append(_clause(declared, one.using))
        # A default of the old type may not convert by itself; it is set again afterwards.
        if current.default is not None and not one.free:
            alter = f"ALTER TABLE {table} ALTER COLUMN {quoted(declared.name)}"
            yield Statement(f"{alter} DROP DEFAULT", locks=table)
    hazards: tuple[Hazard, ...] = ()
    if filled and not all(one.free for one in found.values()):
        hazards = (Hazard.REWRITES, Hazard.BLOCKS_READS)
    instead = ""
    if filled and (views := known.dependents.of(DependentMaterializedView)):
        hazards = hazards or (Hazard.LOCKS_OUT,)
        names = ", ".join(one.title for one in views)
        instead = f"it fills {names} again meanwhile: without that it needs no permission"
    if filled and (built := built_in_parts(known.following)):
        hazards = hazards or (Hazard.LOCKS_OUT,)
        instead = instead or f"it builds {', '.join(built)} anew in the partitions meanwhile"
    if filled and not hazards and known.rechecked:
        hazards = (Hazard.LOCKS_OUT,)
        names = ", ".join(known.rechecked)
        instead = instead or (
            f"that is for the check {names}: without that remove it in a run before, and declare "
            "it again in one behind, which reads the rows after the transaction"
        )
    losses = tuple(one.loss for one in found.values() if one.loss)
    alter = f"ALTER TABLE {table} {', '.join(parts)}"
    path = SearchPath.of(*(one.using for _, one in pairs))
    yield Statement(alter, path=path, hazards=hazards, locks=table, losses=losses, instead=instead)
    for current, declared in pairs:
        kept = declared.default == current.default and declared.default is not None
        if kept and not found[declared.name].free:
            alter = f"ALTER TABLE {table} ALTER COLUMN {quoted(declared.name)}"
            text = f"{alter} SET DEFAULT {default_sql(declared.default or '')}"
            yield Statement(text, path=SearchPath.of(declared.default), locks=table)
    yield from named_again(known.following)
    for follower in known.following:
        yield from (evolve(each, remakes=None) for each in follower.restore)
    yield from known.dependents.created()
    yield from compared(known.definitions, adapted=True)


def _clause(declared: TableColumn, using: str) -> str:
    collate = f" COLLATE {collation_sql(declared.collation)}" if declared.collation else ""
    how = f" USING {closed(using)}" if using else ""
    return f"ALTER COLUMN {quoted(declared.name)} TYPE {declared.type}{collate}{how}"


def _unasked(declared: TableColumn) -> Retype:
    return Retype(using=_using(declared))


def _using(declared: TableColumn) -> str:
    """The expression of USING; PostgreSQL computes a generated column anew."""
    if declared.generated is not None:
        return ""
    return declared.using or Exact(f"{quoted(declared.name)}::{declared.type}")


def _retype(copy: _Copy, current: TableColumn, declared: TableColumn) -> Retype:
    table, catalog, ask = copy.table, copy.catalog, copy.ask
    using = _using(declared)
    if not declared.using and copy.keeps(declared, ""):
        return Retype(free=True)
    free = bool(using) and copy.keeps(declared, using)
    if free or table not in catalog.filled or not using:
        return Retype(free=free, using=using)
    _refuse_values(table, current, declared, catalog, ask)
    losing = _losing(current, declared, ask)
    path = SearchPath.of(declared.using)
    told = _losses(table, declared, using, losing, ask) if losing else None
    if told is None:
        return Retype(using=using)
    return Retype(using=using, loss=Loss("column", table, declared.name, losing, told, path))


@frozen
class _Copy:
    """An empty copy of a table, with its checks and indexes, that is made and rolled back."""

    table: Name
    columns: Sequence[TableColumn]
    """All that get another type."""
    types: Mapping[Exact, str]
    """The types that they have."""
    replaced: Set[str]
    """The names of constraints that get another definition anyway."""
    checked: Sequence[str]
    """The checks and indexes that are read anew for the new types."""
    catalog: Forecast
    ask: Ask

    def keeps(self, column: TableColumn, using: str) -> bool:
        """Whether neither the table nor an index of it is written anew for a column.

        Raises DeclarationError where the server refuses the change.
        """
        answer = self._changed(_clause(column, using))
        if answer.failure and using and self.columns[1:]:
            # A check or an index may need several of them at once.
            answer = self._changed(*(_clause(one, _using(one)) for one in self.columns))
        failure = answer.failure
        if failure is None:
            (files, calls), (files_then, calls_then) = answer.values()
            if more := sorted(set(calls_then) - set(calls)):
                raise DeclarationError(
                    f"column {column.name} can't become {column.type}: {', '.join(self.checked)} "
                    f"would call {', '.join(more)} then: remove or change that before"
                )
            return bool(files == files_then)
        if not using or failure.sqlstate in _UNKNOWN_YET:
            return False
        if failure.sqlstate in _NO_CAST and not column.using:
            current = self.types[column.name]
            moved = current.rpartition(".")[2] == column.type.rpartition(".")[2]
            raise DeclarationError(
                f"column {column.name} is {current}, which PostgreSQL does not convert to "
                f"{column.type} by itself: "
                + (f'move the type with renamed_from="{current}", or ' if moved else "")
                + "declare how with using="
            )
        where = f" in USING {using}" if column.using else ""
        if self.checked:
            either = f"{where}, or in" if where else " in"
            where = f"{either} one of {', '.join(self.checked)}: remove or change that before"
        raise DeclarationError(f"column {column.name} can't become {column.type}: {failure}{where}")

    def _changed(self, *clauses: str) -> Answer:
        """Of the copy and its indexes the files, and what they call, before a change and after."""
        files = (
            "SELECT json_agg(pg_relation_filenode(oid) ORDER BY relname) FROM pg_class WHERE oid "
            f"= '{_COPY}'::regclass OR oid IN (SELECT indexrelid FROM pg_index "
            f"WHERE indrelid = '{_COPY}'::regclass)"
        )
        state = f"SELECT json_build_array(({files}), {called_by(_COPY)})"
        return self.ask.attempt(
            [
                *_new_types(self.columns, self.catalog),
                f"CREATE TEMP TABLE pyinfra_postgres_copy (LIKE {self.table} INCLUDING CONSTRAINTS "
                "INCLUDING INDEXES INCLUDING GENERATED)",
                *(
                    f"ALTER TABLE {_COPY} DROP CONSTRAINT IF EXISTS {quoted(name)}"
                    for name in sorted(self.replaced)
                ),
                *(
                    # PostgreSQL wants that before a USING.
                    f"ALTER TABLE {_COPY} ALTER COLUMN {quoted(one.name)} DROP EXPRESSION IF EXISTS"
                    for one in self.columns
                    if one.generated is None
                ),
                state,
                SearchPath.of(*(one.using for one in self.columns)).local,
                f"ALTER TABLE {_COPY} {', '.join(clauses)}",
                SearchPath.OWN.local,
                state,
            ]
        )


def _refuse_values(
    table: Name, current: TableColumn, declared: TableColumn, catalog: Forecast, ask: Ask
) -> None:
    """Raise DeclarationError with the values that are none of the new type."""
    if declared.using:
        return
    text = f"{quoted(declared.name)}::text"
    target = next((one for one in catalog.of(Enum) if str(one.name) == declared.type), None)
    if target is not None:
        labels = ", ".join(map(literal, target.labels))
        wrong = f"{text} NOT IN ({labels})"
    elif (
        catalog.version >= 160000
        and _TEXTS.fullmatch(current.type)
        and not _TEXTS.fullmatch(declared.type)
        and ask(f"SELECT to_json(to_regtype({literal(declared.type)}) IS NOT NULL)") == [True]
    ):
        wrong = f"NOT pg_input_is_valid({text}, {literal(declared.type)})"
    else:
        return
    found = ask(
        f"SELECT json_build_array({text}, count(*)) FROM {table} WHERE {wrong} "
        f"GROUP BY {text} ORDER BY count(*) DESC, {text}"
    )
    if found:
        rows = sum(count for _, count in found)
        values = ", ".join(f"{value!r} ({count})" for value, count in found[:5])
        more = f" and {len(found) - 5} more values" if found[5:] else ""
        raise DeclarationError(
            f"column {declared.name}: {_rows(rows)} can't become {declared.type}: {values}{more}; "
            "change them first, or declare how with using="
        )


def _losing(current: TableColumn, declared: TableColumn, ask: Ask) -> str:
    """The condition under which a row does not keep its value; empty where all do.

    What is converted back is another value, or with an expression of the user's nothing.
    """
    name = quoted(declared.name)
    if declared.using:
        return f"{name} IS NOT NULL AND ({closed(declared.using)}) IS NULL"
    if declared.type in _ANY_TEXT or current.type == declared.type:
        return ""
    (implicit,) = ask(
        "SELECT to_json(EXISTS (SELECT FROM pg_cast WHERE castcontext = 'i' "
        f"AND castsource = to_regtype({literal(current.type)}) "
        f"AND casttarget = to_regtype({literal(declared.type)})))"
    )
    if implicit and declared.type not in _INEXACT and "(" not in declared.type:
        return ""
    back = comparable(f"{name}::{declared.type}::{current.type}", current.type)
    return f"{back} IS DISTINCT FROM {comparable(name, current.type)}"


def _losses(table: Name, declared: TableColumn, using: str, losing: str, ask: Ask) -> str | None:
    """How many rows lose their value, in words with some of them; None where it can't be asked."""
    name = quoted(declared.name)
    path = SearchPath.of(declared.using)
    rows = f"FROM {table} WHERE {closed(losing)}"
    shown = f"pg_catalog.concat({name}, ' as ', coalesce(({closed(using)})::text, 'NULL'))"
    few = f"SELECT pg_catalog.json_agg(x) FROM (SELECT {shown} AS x {rows} LIMIT 3) AS few"
    try:
        ((count, few),) = ask(
            under(path, f"SELECT pg_catalog.json_build_array(pg_catalog.count(*), ({few})) {rows}")
        )
    except HostError as error:
        if error.sqlstate in _NO_WAY_BACK | _UNKNOWN_YET:
            return None
        raise DeclarationError(
            f"column {declared.name}: a row can't become {declared.type}: {error}; change it "
            "first, or declare how with using="
        ) from None
    values = "the values" if count > 1 else "the value"
    return f"{values} of {name} in {_rows(count)} ({', '.join(few)})" if count else ""


def _rows(count: int) -> str:
    return f"{count} row{'s' if count > 1 else ''}"
