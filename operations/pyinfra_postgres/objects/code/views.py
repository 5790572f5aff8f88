"""Views and materialized views: CREATE VIEW, CREATE MATERIALIZED VIEW and their kin.

https://www.postgresql.org/docs/current/sql-createview.html
https://www.postgresql.org/docs/current/sql-creatematerializedview.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog import renames
from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import selects
from ...catalog.renames import Rename
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import VIEW, Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Hazard, Need, Statement
from ...syntax import given
from ...syntax.fragments import single_query
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
)
from ...syntax.parse import Reference, references, sql_text, statement
from ...syntax.paths import SearchPath
from ...syntax.rewrite import result_names
from ..dependents import Dependents, Remade, of_columns, of_relation
from ..fitting import Ground, fitting
from ..kind import Object, Row, comment, either, owner, owner_references, schema_of
from ..tables.dependents import DependentDefault


def _query(text: str | None) -> str | None:
    if text is None or isinstance(text, Exact):
        return text
    return single_query(sql_text(text), "the query of a view")


def _former_names(names: Mapping[str, str] | None) -> dict[str, str]:
    pairs = given.pairs("renamed_columns", names or {}).items()
    return {identifier(name): identifier(former) for name, former in pairs}


def _check_option(text: str | None) -> str | None:
    return None if text is None else given.word("check_option", text, _CHECK_OPTIONS)


_CHECK_OPTIONS = ("local", "cascaded", "none")


@frozen
class _Query(Object):
    """What views of both kinds have in common."""

    name: Name = field(converter=parse_name)
    query: str | None = field(default=None, converter=_query)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)
    renamed_columns: dict[str, str] = field(
        factory=dict, converter=_former_names, eq=False, kw_only=True
    )
    """The former names of columns, by those that they are to have."""

    def key(self) -> Key:
        return (self.kind, *self.name)

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        yield from super().renames(catalog)
        for name, former in self.renamed_columns.items():
            yield renames.column((self.name,), former, name)

    def names(self) -> Iterator[Key]:
        yield self.key()
        for name in self.renamed_columns:
            yield ("column", *self.name, name)

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        if self.query is not None and not isinstance(self.query, Exact):
            yield from references(statement(self.query))

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if self.query is None:
            raise DeclarationError("it does not exist: declare its query")
        return self

    def brief(self) -> str:
        return self.query or ""

    def _lines(self) -> Iterator[str]:
        for line in (self.query or "").strip("\n").split("\n"):
            yield f"| {line}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def readings(self, current: Self | None) -> Iterator[Reading]:
        yield Reading("{}", self.query, signature=VIEW)

    def _same_query(self, current: Self, same: Same) -> str | None:
        # The server reads both queries as those of a view, under the path of each.
        equal = self.query is None or same("{}", self.query, current.query, signature=VIEW)
        return current.query if equal else self.query

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_relation(self.name, catalog, ask).users(self.name, catalog)

    def facts(
        self,
        current: _Query | None,
        target: _Query | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> Remade | None:
        if not (ask and current and target) or target.query == current.query:
            return None
        if target._replaces(current, ask):
            return None
        return target._remade(current, catalog, ask)

    def _remade(self, current: _Query, catalog: Forecast, ask: Ask) -> Remade:
        """How it is dropped and created, as its query can't be replaced."""
        found = self._fitting(of_relation(self.name, catalog, ask).left, current, ask)
        remade = Remade.of(found)
        columns = _columns(self.query or "", ask)
        gone = [one for one in _columns(current.query or "", ask) if columns and one not in columns]
        if gone:
            remade = evolve(remade, dependents=self._without(gone, remade, catalog, ask))
        kept = [one for one in remade.created if not any(_is_on(self.name, x, one) for x in gone)]
        return evolve(remade, created=tuple(kept))

    def made_anew(self, stored: Sequence[Statement], catalog: Forecast) -> Iterator[Statement]:
        yield from super().made_anew(list(self._fitting_columns(stored)), catalog)

    def _fitting_columns(self, stored: Sequence[Statement]) -> Iterator[Statement]:
        """The statements without those about columns that it no longer has."""
        names = result_names(self.query or "")
        for one in stored:
            is_kept = names is None or not _has_columns(one)
            if is_kept or any(_is_on(self.name, name, one) for name in names or ()):
                yield one

    def _without(
        self, gone: Sequence[str], remade: Remade, catalog: Forecast, ask: Ask
    ) -> Dependents:
        """What is made anew with it when columns go, with an obstacle to what uses them."""
        users = of_columns(self.name, gone, catalog, ask).all
        columns = {one.id for one in users if one.root}
        reason = f"it uses its column {', '.join(map(quoted, gone))}, which goes"
        others = remade.dependents.without(
            lambda one: (
                isinstance(one, DependentDefault) and one.whole == self.name and one.part in gone
            )
        )
        return others.hindered({one.id: reason for one in users if one.needs & columns})

    def _fitting(self, found: Dependents, current: _Query, ask: Ask) -> Dependents:
        """What depends on it, with what will no longer fit."""
        before, after = (
            (
                SearchPath.of(one.query).local,
                f"CREATE TEMP VIEW {quoted(self.name.name)} AS\n{one.query}",
                SearchPath.OWN.local,
            )
            for one in (current, self)
        )
        return fitting(found, Ground(before, after, frozenset({self.name})), ask)

    def _replaces(self, current: _Query, ask: Ask) -> bool:
        """Whether PostgreSQL can replace the current query in place."""
        return False

    def _anew(self, kind: str, remade: Remade) -> Iterator[Statement]:
        """Drops it with what depends on it; the new one comes next."""
        yield from remade.dependents.dropped()
        yield Statement(f"DROP {kind} {self.name}", locks=self.name, hazards=(Hazard.BLOCKS_READS,))


@frozen
class View(_Query):
    """A view."""

    kind: ClassVar[str] = "view"
    relkind: ClassVar[str] = "v"
    word: ClassVar[str] = "views"
    acl: ClassVar[str] = "TABLE"

    security_invoker: bool | None = field(default=None, kw_only=True)
    security_barrier: bool | None = field(default=None, kw_only=True)
    check_option: str | None = field(default=None, converter=_check_option, kw_only=True)

    def lines(self) -> Iterator[str]:
        yield from self._lines()
        yield from self.options()

    def options(self) -> Iterator[str]:
        """Its options, as SQL has them."""
        for name in ("security_barrier", "security_invoker"):
            if getattr(self, name):
                yield f"{name}=true"
        if self.check_option not in {None, "none"}:
            yield f"check_option={self.check_option}"

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            query=self._same_query(current, same),
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
            security_invoker=either(self.security_invoker, current.security_invoker),
            security_barrier=either(self.security_barrier, current.security_barrier),
            check_option=either(self.check_option, current.check_option),
        )

    def _replaces(self, current: _Query, ask: Ask) -> bool:
        copy = "CREATE OR REPLACE TEMP VIEW pyinfra_postgres_copy AS"
        current_path, path = SearchPath.of(current.query).local, SearchPath.of(self.query).local
        answer = ask.attempt(
            [current_path, f"{copy}\n{current.query}", path, f"{copy}\n{self.query}"]
        )
        return answer.failure is None

    @staticmethod
    def diff(
        current: View | None, declared: View | None, remade: Remade | None = None
    ) -> Iterator[Statement]:
        """CREATE, replace, ALTER or DROP a view.

        PostgreSQL replaces a view in place only where its columns stay and new ones come last.
        """
        if declared is None:
            assert current
            yield Statement(f"DROP VIEW {current.name}", locks=current.name)
            return
        target = f"VIEW {declared.name}"
        options = sorted(declared.options())
        if current is None or current.query != declared.query:
            head = f" WITH ({', '.join(options)})" if options else ""
            if remade:
                yield from declared._anew("VIEW", remade)
            yield Statement(
                f"CREATE OR REPLACE {target}{head} AS\n{declared.query}",
                path=SearchPath.of(declared.query),
                locks=current.name if current else None,
            )
            if remade:
                yield from remade.restored
        elif sorted(current.options()) != options:
            before = {one.split("=")[0] for one in current.options()}
            gone = sorted(before - {one.split("=")[0] for one in options})
            if gone:
                yield Statement(f"ALTER {target} RESET ({', '.join(gone)})", locks=current.name)
            if options:
                yield Statement(f"ALTER {target} SET ({', '.join(options)})", locks=current.name)
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


class MaterializedView(_Query):
    """A materialized view."""

    __slots__ = ()

    kind: ClassVar[str] = "materialized_view"
    relkind: ClassVar[str] = "m"
    word: ClassVar[str] = "views"
    acl: ClassVar[str] = "TABLE"

    @property
    def title(self) -> str:
        return f"materialized view {self.name}"

    def lines(self) -> Iterator[str]:
        return self._lines()

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            query=self._same_query(current, same),
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        yield from super().needs(current, target, catalog)
        is_new = target and (current is None or current.query != target.query)
        if target and is_new and target.owner:
            names = sorted(one.name for one in self.requires() if one.kind == "table")
            yield from selects(target.owner, names, catalog)

    def made_anew(self, stored: Sequence[Statement], catalog: Forecast) -> Iterator[Statement]:
        target = f"MATERIALIZED VIEW {self.name}"
        create = _with_query(Remade(tuple(stored)), target, self.query or "")
        yield Statement(create, path=SearchPath.of(self.query))
        yield from list(self._fitting_columns(stored))[1:]
        yield from owner(target, None, self)
        yield from comment(target, None, self)

    @staticmethod
    def diff(
        current: MaterializedView | None,
        declared: MaterializedView | None,
        remade: Remade | None = None,
    ) -> Iterator[Statement]:
        """CREATE, make anew or DROP a materialized view.

        Another query makes it anew, with its indexes and privileges, unless something uses it.
        """
        if declared is None:
            assert current
            yield Statement(f"DROP MATERIALIZED VIEW {current.name}", locks=current.name)
            return
        target = f"MATERIALIZED VIEW {declared.name}"
        remade = remade or Remade()
        is_new = current is None or current.query != declared.query
        if is_new:
            if current is not None:
                yield from declared._anew("MATERIALIZED VIEW", remade)
            create = _with_query(remade, target, declared.query or "")
            yield Statement(create, path=SearchPath.of(declared.query))
            yield from remade.restored
        yield from owner(target, current, declared)
        # Behind that, because its query runs as its owner then.
        if is_new and not remade.created:
            yield from _filled(target, declared)
        yield from comment(target, current, declared)


def _filled(target: str, declared: MaterializedView) -> Iterator[Statement]:
    """Fill it: with the rows that its owner sees, where that is declared to be another role."""
    if declared.owner:
        yield Statement("SET LOCAL row_security = on")
    yield Statement(f"REFRESH {target}", trial=f"REFRESH {target} WITH NO DATA")
    if declared.owner:
        yield Statement("SET LOCAL row_security = off")


def _with_query(remade: Remade, target: str, query: str) -> str:
    """What creates a materialized view, with what is not declared of it as the server has it."""
    stored = remade.created[0].sql if remade.created else f"CREATE {target} AS\n"
    return f"{stored.partition(' AS' + chr(10))[0]} AS\n{query}\nWITH NO DATA"


def _columns(query: str, ask: Ask) -> list[str]:
    """The columns of a query; none where the server can't tell yet."""
    answer = ask.attempt(
        [
            SearchPath.of(query).local,
            f"CREATE TEMP VIEW pyinfra_postgres_copy AS\n{query}",
            SearchPath.OWN.local,
            "SELECT json_agg(attname) FROM pg_attribute "
            "WHERE attrelid = 'pg_temp.pyinfra_postgres_copy'::regclass",
        ]
    )
    return [] if answer.failure else answer.values()[0] or []


def _has_columns(statement: Statement) -> bool:
    """Whether it says something of a column of a view, or grants privileges on it."""
    sql = statement.sql
    marked = sql.startswith("COMMENT ON COLUMN ") or " ALTER COLUMN " in sql.partition("\n")[0]
    return marked or (sql.startswith("GRANT ") and ") ON TABLE " in sql)


def _is_on(view: Name, column: str, statement: Statement) -> bool:
    """Whether a statement says something of a column of a view, or grants privileges on it."""
    name = quoted(column)
    starts = (
        f"COMMENT ON COLUMN {view}.{name} IS ",
        f"ALTER MATERIALIZED VIEW {view} ALTER COLUMN {name} SET ",
    )
    return statement.sql.startswith(starts) or f" ({name}) ON TABLE {view} TO " in statement.sql


QUERIES = {
    "views": f"""
        SELECT json_build_array(c.oid::regclass, c.relkind, pg_get_viewdef(c.oid),
                 -- As they were written: yes, 1 and on are true.
                 (SELECT json_object_agg(option_name,
                           CASE WHEN option_name LIKE 'security%'
                                THEN to_json(option_value::boolean) ELSE to_json(option_value) END)
                    FROM pg_options_to_table(c.reloptions)),
                 c.relowner::regrole, d.description)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = 0
         WHERE {USER_SCHEMA} AND c.relkind IN ('v', 'm') AND NOT EXISTS (SELECT FROM pg_depend e
           WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for printed, kind, query, options, role, remark in sections["views"] or ():
        stored = options or {}
        name = catalog.relations[printed]
        text = Exact(query.strip().removesuffix(";"))
        found: Object
        if kind == "v":
            found = View(
                name,
                text,
                owner=catalog.roles[role],
                comment=remark,
                security_invoker=stored.get("security_invoker", False),
                security_barrier=stored.get("security_barrier", False),
                check_option=stored.get("check_option", "none"),
            )
        else:
            found = MaterializedView(name, text, owner=catalog.roles[role], comment=remark)
        catalog.objects[found.key()] = found
