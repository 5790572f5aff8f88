"""Tables: CREATE TABLE, ALTER TABLE, DROP TABLE.

https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from .. import given, renames
from ..arguments import Arguments
from ..catalog import Catalog, Declared
from ..converge import converge, declared
from ..dependents import grouping_by
from ..entry import Key
from ..errors import DeclarationError
from ..exact import Exactness, chosen
from ..kind import (
    Ask,
    Copies,
    Object,
    Part,
    Reading,
    Same,
    comment,
    either,
    owner,
    owner_references,
    schema_of,
)
from ..names import Exact, Name, listed, optional_identifier, optional_name, parse_name, quoted
from ..needs import reference_to
from ..parse import Reference, closed
from ..paths import SearchPath
from ..plan import Lock, Loss, Mode, Need, Objection, Stage, Statement
from ..renames import Rename
from . import (
    column_sequences,
    foreign_keys,
    heirs,
    index_builds,
    objections,
    planned_rows,
    table_constraints,
    table_copies,
)
from .columns import Column, Names, cast_template, changed, freed, regenerated, released
from .constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique
from .dropped_columns import dropped, going, uses
from .elements import Element, aligned_element, condition_template, key_elements, partitioning
from .foreign_keys import Dependent
from .heirs import inheriting
from .indexes import Index
from .known_columns import check_columns
from .new_columns import added, rewriting
from .retyping import Retypes, analyzed, differing, retyped
from .sequences import IdentitySequence, Owner, next_value
from .sequences import Sequence as OwnedSequence


def _columns(columns: Iterable[Column] | None) -> tuple[Column, ...] | None:
    if columns is None:
        return None
    found = given.several("columns", columns, Column)
    for one in found:
        if not isinstance(one, Column):
            raise DeclarationError(f"columns are pg.Column(...), not {given.shown(one)}")
    counts = Counter(column.name for column in found)
    if twice := {name for name, count in counts.items() if count > 1}:
        raise DeclarationError(f"column {', '.join(sorted(twice))} is declared twice")
    return found


def _constraints(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    found = given.several("constraints", constraints, Constraint)
    for one in found:
        if not isinstance(one, Constraint):
            raise DeclarationError(
                f"constraints are pg.Check(...) and its kin, not {given.shown(one)}"
            )
    return found


def _absent(parts: Iterable[Column | Constraint]) -> tuple[Column | Constraint, ...]:
    found = given.several("absent", parts)
    for one in found:
        if not isinstance(one, Column | Constraint):
            raise given.refused("what is absent", "a column or a constraint", one)
    return found


_HOLDS = (
    "columns",
    "constraints",
    "indexes",
    "statistics",
    "triggers",
    "policies",
    "partitions",
    "grants",
)


def _exact(given: Exactness) -> frozenset[str]:
    return chosen(given, _HOLDS)


@frozen
class Table(Object):
    """A table with its columns and constraints."""

    kind: ClassVar[str] = "table"
    word: ClassVar[str] = "tables"
    acl: ClassVar[str] = "TABLE"
    holds: ClassVar[tuple[str, ...]] = _HOLDS

    name: Name = field(converter=parse_name)
    columns: tuple[Column, ...] | None = field(default=None, converter=_columns)
    constraints: tuple[Constraint, ...] = field(default=(), converter=_constraints, kw_only=True)
    partition_by: str | None = field(default=None, converter=partitioning, kw_only=True)
    partition_key: tuple[Element, ...] = field(default=(), eq=False, kw_only=True)
    """The stored partition key's columns, with what is not printed of them."""
    row_security: bool | None = field(default=None, kw_only=True)
    force_row_security: bool | None = field(default=None, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)
    exact: frozenset[str] = field(default=False, converter=_exact, eq=False, kw_only=True)
    tablespace: str | None = field(default=None, eq=False, kw_only=True)
    """Where partitions of it lie, if not where its database does. None is declared."""
    filled: bool = field(default=False, eq=False, kw_only=True)
    """Whether it takes up space, so that it may have rows."""
    retypes: Retypes = field(factory=Retypes, eq=False, kw_only=True)
    """What the server tells of the columns that get another type."""
    version: int = field(default=0, eq=False, kw_only=True)
    """The server's, like 170002."""
    rewriting: frozenset[str] = field(default=frozenset(), eq=False, kw_only=True)
    """The new columns for which every row is written anew."""
    absent: tuple[Column | Constraint, ...] = field(default=(), converter=_absent, kw_only=True)
    """The columns and constraints that are declared not to be there."""
    gone: tuple[Object, ...] = field(default=(), eq=False, kw_only=True)
    """The indexes, statistics and sequences that go with its columns."""
    kept: frozenset[str | None] = field(default=frozenset(), eq=False, kw_only=True)
    """The names of its constraints that are there, and that the declaration does not have."""
    not_nulls: frozenset[str] = field(default=frozenset(), eq=False, kw_only=True)
    """The names of its NOT NULL constraints that are not named after their columns."""
    owed: tuple[Dependent, ...] = field(default=(), eq=False, kw_only=True)
    """The foreign keys to it that an interrupted run has not validated again."""
    sequences: tuple[column_sequences.New, ...] = field(default=(), eq=False, kw_only=True)
    """The sequences that its serial columns lack, or that end before these do."""

    def __attrs_post_init__(self) -> None:
        self._set_absent_apart()
        if self.exact and self.columns is None:
            raise DeclarationError(f"table {self.name}: exact needs its columns")
        own: list[Constraint] = []
        for column in self.columns or ():
            if column.primary_key:
                own.append(PrimaryKey(column.name))
            if column.unique:
                own.append(Unique(column.name))
            if column.references is not None:
                own.append(ForeignKey(column.name, references=column.references))
        if own:
            # A column's own may be declared among the table's too.
            object.__setattr__(self, "constraints", tuple(dict.fromkeys([*own, *self.constraints])))
        self._check_constraints()
        keyed = {
            name for one in self.constraints if isinstance(one, PrimaryKey) for name in one.columns
        }
        if self.columns is not None:
            columns = tuple(column.bare(column.name in keyed) for column in self.columns)
            object.__setattr__(self, "columns", columns)

    def _set_absent_apart(self) -> None:
        everything: tuple[Column | Constraint, ...] = (*(self.columns or ()), *self.constraints)
        absent = [one for one in everything if not one.present]
        if absent:
            columns = tuple(one for one in self.columns or () if one.present)
            constraints = tuple(one for one in self.constraints if one.present)
            # Who only takes columns away says nothing of the others.
            object.__setattr__(self, "columns", columns or None)
            object.__setattr__(self, "constraints", constraints)
            object.__setattr__(self, "absent", (*self.absent, *absent))

    def _check_constraints(self) -> None:
        known = {column.name for column in self.columns or ()}
        keys = [one for one in self.constraints if isinstance(one, PrimaryKey)]
        if len(keys) > 1:
            raise DeclarationError(f"table {self.name} has {len(keys)} primary keys")
        for one in self.constraints:
            for name in getattr(one, "columns", ()):
                if self.columns is not None and name not in known:
                    raise DeclarationError(
                        f"table {self.name}: {one.written()} names the column {name}, "
                        "which is not declared"
                    )
        names = [one.name for one in self.constraints if one.name]
        if len(set(names)) < len(names):
            raise DeclarationError(f"table {self.name} has two constraints of one name")

    def key(self) -> Key:
        return (self.kind, *self.name)

    def renames(self, catalog: Catalog) -> Iterator[Rename]:
        for own in Object.renames(self, catalog):
            yield evolve(own, things=(*own.things, *_moved_sequences(own, catalog)))
        for column in self.columns or ():
            if column.renamed_from:
                tables = (self.name, *inheriting(self.name, catalog))
                yield renames.column(tables, column.renamed_from, column.name)
        for one in self.constraints:
            if one.name and one.renamed_from:
                heirs = inheriting(self.name, catalog)
                yield renames.constraint(self, one.renamed_from, one.name, heirs)

    def names(self) -> Iterator[Key]:
        yield self.key()
        for column in self.columns or ():
            yield ("column", *self.name, column.name)
        for one in self.constraints:
            if one.name:
                yield ("constraint", *self.name, one.name)

    def lines(self) -> Iterator[str]:
        for column in self.columns or ():
            yield from column.lines()
        for one in self.constraints:
            yield one.written() + ("" if one.validated else " NOT VALID")
        if self.partition_by:
            yield f"partition by {self.partition_by}"
        for what in ("row_security", "force_row_security"):
            if getattr(self, what):
                yield what.replace("_", " ")
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def brief(self) -> str:
        return ", ".join(column.definition() for column in self.columns or ())

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        for column in self.columns or ():
            yield from column.requires()
        for one in self.constraints:
            for reference in one.requires():
                if reference != Reference("table", self.name):
                    yield reference

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def brings(self, current: Self) -> bool:
        types = {column.name: column.type for column in current.columns or ()}
        known = {one.columns for one in current.constraints if isinstance(one, PrimaryKey | Unique)}
        keys = (one for one in self.constraints if isinstance(one, PrimaryKey | Unique))
        # What stands on a column that changes its type is made anew with it.
        return any(types.get(column.name) != column.type for column in self.columns or ()) or any(
            key.columns not in known for key in keys
        )

    @property
    def reshapes(self) -> bool:
        return self.columns is not None or bool(self.constraints or self.absent)

    def divided(self, other: Object) -> tuple[Self, Object | None]:
        keys = tuple(self._keys_to(other))
        rest = tuple(one for one in self.constraints if one not in keys)
        bare = evolve(self, constraints=rest)
        if not keys or set(bare.requires()) & set(other.provides()):
            return self, None
        return bare, Table(self.name, constraints=keys)

    def freed(self, other: Object) -> Object | None:
        keys = [Constraint(name=one.name, present=False) for one in self._keys_to(other)]
        return Table(self.name, constraints=keys) if keys else None

    def _keys_to(self, other: Object) -> Iterator[Constraint]:
        for one in self.constraints:
            if isinstance(one, ForeignKey) and ("table", *one.table) == other.key():
                yield one

    @property
    def is_whole(self) -> bool:
        return self.columns is not None

    @property
    def claims(self) -> bool:
        on = (self.constraints, self.row_security, self.force_row_security, self.comment)
        return self.columns is not None or any(on) or bool(self.owner)

    def undeclared(self, known: Sequence[Declared]) -> Iterator[Part]:
        tables = [one.declaration for one in known if isinstance(one.declaration, Table)]
        columns = {column.name for table in tables for column in table.columns or ()}
        for column in self.columns or ():
            if column.name not in columns and not column.inherited:
                name = f"{self.name}.{quoted(column.name)}"
                removal = Table(self.name, [Column(column.name, present=False)])
                computed = column.generated is not None
                yield Part("column", name, column.definition(), removal, early=computed)
        targets = [one.target for one in known if isinstance(one.target, Table)]
        if len(targets) < len(tables):
            return  # An operation that has not had its turn may declare them.
        kept = frozenset[str | None].intersection(*(table.kept for table in targets))
        if not kept:
            return
        # What an interrupted run has left of a NOT NULL goes with the next one.
        leftovers = {one.name for one in self.constraints if one.passing}
        for one in self.constraints:
            if one.name in kept - leftovers and not one.inherited:
                name = f"{self.name}.{quoted(one.name or '')}"
                removal = Table(self.name, constraints=[Constraint(name=one.name, present=False)])
                early = isinstance(one, ForeignKey)
                yield Part("constraint", name, one.definition(), removal, early)

    def completed(self, catalog: Catalog, same: Same) -> Self | None:
        if self.columns is None:
            if not self.claims:
                # What is not there has nothing that could be switched off.
                return None
            raise DeclarationError(
                "it does not exist: declare its columns, so that it can be created"
            )
        whole = [table_constraints.pointed(self, one, catalog) for one in self.constraints]
        table_constraints.check(self, whole, (), self.columns, catalog)
        waiting = [table_constraints.waiting(self.name, one, whole, catalog) for one in whole]
        return evolve(self, constraints=waiting)

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        declared = {column.name: column for column in self.columns or ()}
        there = current.columns or ()
        absent = {one.name for one in self.absent if isinstance(one, Column)}
        columns = [
            declared[column.name].aligned(column, same, self.name)
            if column.name in declared
            else column
            for column in there
            if column.name not in absent
        ]
        known = {column.name for column in there}
        dropped = absent & known
        made = {column.name for column in there if column.serial}
        columns, new = self._with_sequences(columns, made, catalog)
        columns += [column for name, column in declared.items() if name not in known]
        constraints, others = table_constraints.aligned(self, current, columns, same, catalog)
        others = [one for one in others if not uses(one, dropped)]
        changes: dict[str, Any] = {
            "columns": tuple(columns),
            "constraints": (*constraints, *others),
            "partition_by": self.aligned_key(current, same),
            "row_security": either(self.row_security, current.row_security),
            "force_row_security": either(self.force_row_security, current.force_row_security),
            "owner": either(self.owner, current.owner),
            "comment": either(self.comment, current.comment),
        }
        serial = {name for name, column in declared.items() if column.serial}
        types = {column.default: column.type for column in columns if column.name in serial}
        sequences = [*new, *column_sequences.widened(self.name, types, same, catalog)]
        names = {one.name for one in constraints}
        owed = [
            one
            for one in foreign_keys.owed(self.name, catalog)
            if one.table != self.name or one.key.name not in names
        ]
        if (
            not others
            and not owed
            and not sequences
            and all(getattr(current, name) == one for name, one in changes.items())
        ):
            return current
        return evolve(
            self,
            kept=frozenset(one.name for one in others),
            gone=going(self.name, dropped, catalog) if dropped else (),
            absent=(),
            partition_key=current.partition_key,
            tablespace=current.tablespace,
            filled=current.filled,
            not_nulls=current.not_nulls,
            version=catalog.version,
            owed=tuple(owed),
            sequences=tuple(sequences),
            **changes,
        )

    def _with_sequences(
        self, columns: Iterable[Column], made: Container[str], catalog: Catalog
    ) -> tuple[list[Column], list[column_sequences.New]]:
        """Columns that are there, with the sequences that the serial ones of them lack.

        `made` are those that the plan has made serial.
        """
        found: list[Column] = []
        new: list[column_sequences.New] = []
        for column in columns:
            if column.serial and column.name not in made:
                one = column_sequences.made(Owner(self.name, column.name), column.type, catalog)
                new.append((None, one))
                column = evolve(column, serial=False, default=next_value(one.name))
            found.append(column)
        return found, new

    def aligned_key(self, current: Table, same: Same) -> str | None:
        """The partition key, written as the stored one where it is the same."""
        if self.partition_by is None or current.partition_by is None:
            return either(self.partition_by, current.partition_by)
        strategy, elements = key_elements(self.partition_by)
        if len(elements) != len(current.partition_key):
            return self.partition_by
        aligned = tuple(
            aligned_element(one, other, same, self.name)
            for one, other in zip(elements, current.partition_key, strict=True)
        )
        stored = (key_elements(current.partition_by)[0], current.partition_key)
        return current.partition_by if (strategy, aligned) == stored else self.partition_by

    def used_by(self, catalog: Catalog, ask: Ask) -> list[str]:
        return heirs.users(self.name, catalog, ask)

    def informed(self, current: Self, catalog: Catalog, ask: Ask) -> Self:
        keys = (one for one in current.constraints if isinstance(one, PrimaryKey))
        gone = next((one for one in keys if table_constraints.ends(one, current, self)), None)
        if gone and (users := grouping_by(self.name, catalog, ask)):
            raise DeclarationError(
                f"its primary key {quoted(gone.name or '')} can't go: {', '.join(users)} groups by "
                "it. Before that drop it, or have it group by every column that it shows"
            )
        nullable = freed(current.columns or (), self.columns or ())
        heirs.check_nulls(self.name, nullable, catalog)
        index_builds.check_nulls(self.name, nullable, self.constraints, catalog)
        there = {column.name: column for column in current.columns or ()}
        new = [column for column in self.columns or () if column.name not in there]
        for column in self.columns or ():
            if column.identity and column.name in there and there[column.name].default:
                column_sequences.check_free(Owner(self.name, column.name), catalog, ask)
        pairs = differing(current.columns or (), self.columns or ())
        computed = regenerated(current.columns or (), self.columns or ())
        if not new and not pairs and not computed:
            return self
        check_columns(self.name, catalog, [], [one.using for _, one in pairs], own=there)
        ending = {
            one.name
            for one in current.constraints
            if one.name and table_constraints.ends(one, current, self)
        }
        return evolve(
            self,
            retypes=evolve(
                Retypes.of(self.name, pairs, ending, catalog, ask),
                analyzed=analyzed(self.name, [*(one.name for _, one in pairs), *computed], catalog),
            ),
            rewriting=rewriting(self.name, new, catalog, ask),
        )

    def readings(self, current: Self | None) -> Iterator[Reading]:
        # A new table is tried as a whole.
        if current is None:
            return
        for column in self.columns or ():
            yield Reading(cast_template(column.type), column.default, self.name)
        before, after = (
            [(column.name, column.type) for column in one.columns or ()] for one in (current, self)
        )
        for one in self.constraints if before == after else ():
            if isinstance(one, Check):
                yield Reading(condition_template(self.name), one.expression, self.name)

    def copied(self, current: Self, catalog: Catalog) -> Copies | None:
        if table_copies.reads_rows(self) or table_copies.reads_rows(current):
            return None
        known = table_copies.targets(current, self, catalog=catalog)
        stand_ins = tuple(
            Table(name, columns, constraints=[table_copies.key_of(columns)])
            for name, columns in known.values()
        )
        return Copies(stand_ins, current._copy(known), self._copy(known, current))

    def _copy(self, known: table_copies.Targets, before: Self | None = None) -> Self:
        return type(self)(
            table_copies.name_of(self.name),
            self.columns,
            constraints=tuple(table_copies.constraints(self, known, before)),
            partition_by=self.partition_by,
            retypes=self.retypes.alone(),
            version=self.version,
        )

    def objections(self, current: Self | None, catalog: Catalog) -> Iterator[Objection]:
        return objections.to_table(current, self, catalog) if current else iter(())

    def store(self, catalog: Catalog, current: Self | None) -> None:
        for one in self.gone:
            one.erase(catalog)
        if current and current.columns:
            stay = {column.name for column in self.columns or ()}
            dropped = {column.name for column in current.columns} - stay
            if dropped:
                catalog.dropped.setdefault(self.name, set()).update(dropped)
        for index in (index for key in self.constraints for index in key.way.indexes):
            if index.built:  # What an interrupted run has left becomes the key's.
                catalog.remove(index.built)
        if current and current.filled:
            given = dict(planned_rows.values(current, self, catalog))
            for name in (self.name, *inheriting(self.name, catalog)) if given else ():
                catalog.values.setdefault(name, {}).update(given)
        catalog.put(self)
        if current:
            heirs.follow(self.name, current.columns or (), self.columns or (), catalog)
        there = {column.name: column for column in (current and current.columns) or ()}
        for column in self.columns or ():
            before = there.get(column.name)
            if (column.serial or column.identity) and not (
                before and (before.serial or before.identity)
            ):
                column_sequences.put_own(self.name, column, self.owner, catalog)
            elif before and before.identity and not column.identity:
                for one in column_sequences.owned(Owner(self.name, column.name), catalog):
                    catalog.remove(one)
        for _, sequence in self.sequences:
            catalog.put(sequence)
        self._owner_followed(catalog)
        foreign_keys.settle(self.owed, catalog)

    def _owner_followed(self, catalog: Catalog) -> None:
        """Have the sequences of its columns be its owner's too."""
        for one in catalog.on(self.name) if self.owner else ():
            if isinstance(one, OwnedSequence) and one.owner != self.owner and not one.waits:
                catalog.put(evolve(one, owner=self.owner))
            elif isinstance(one, IdentitySequence):
                key = (one.acl, *one.name)
                catalog.acls[key] = catalog.acls[key].owned_by(self.owner or "")

    def needs(self, current: Self | None, target: Self | None, catalog: Catalog) -> Iterator[Need]:
        yield from super().needs(current, target, catalog)
        before, after = (
            {key.table for key in (one.constraints if one else ()) if isinstance(key, ForeignKey)}
            for one in (current, target)
        )
        for table in sorted(after - before - {self.name}):
            yield from reference_to(table, catalog)

    @staticmethod
    def diff(current: Table | None, declared: Table | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a table. Columns and constraints that are not declared stay."""
        if declared is None:
            assert current
            # The tables that it refers to lose the triggers of its foreign keys.
            keys = [one.table for one in current.constraints if isinstance(one, ForeignKey)]
            taken = tuple(map(Lock, dict.fromkeys([current.name, *keys])))
            losses = (Loss(current.kind, current.name),)
            yield Statement(f"DROP TABLE {current.name}", locks=taken, losses=losses)
            return
        name, target = declared.name, f"TABLE {declared.name}"
        if current is None:
            yield from _created(declared)
            for column in declared.columns or ():
                yield from column.beside(name, None)
        else:
            yield from _altered(current, declared)
        for what in _SWITCH:
            yield from row_security(current, declared, what)
        yield from owner(target, current, declared, name)
        yield from comment(target, current, declared, name)


def _moved_sequences(rename: Rename, catalog: Catalog) -> Iterator[tuple[Reference, Reference]]:
    """The sequences that follow a table into another schema, before and after."""
    old, new = Name(*rename.old[1:]), Name(*rename.new[1:])
    for one in catalog.objects.values() if old.schema != new.schema else ():
        if getattr(getattr(one, "owned_by", None), "table", None) == old:
            _, schema, name = one.key()
            yield (
                Reference("table", Name(schema, name)),
                Reference("table", Name(new.schema, name)),
            )


_SWITCH = {
    "row_security": {True: "ENABLE", False: "DISABLE"},
    "force_row_security": {True: "FORCE", False: "NO FORCE"},
}


def row_security(current: Any, declared: Any, what: str = "row_security") -> Iterator[Statement]:
    """Switch row security of a table or partition, which is None where it is new."""
    wanted, is_on = getattr(declared, what), bool(current and getattr(current, what))
    if wanted is not None and wanted != is_on:
        yield Statement(
            f"ALTER TABLE {declared.name} {_SWITCH[what][wanted]} ROW LEVEL SECURITY",
            locks=Lock(declared.name, only=True) if current else None,
        )


def _created(declared: Table) -> Iterator[Statement]:
    later = [one for one in declared.constraints if one.way.later]
    apart = list(_merged(declared.constraints))
    elements = [column.definition() for column in declared.columns or ()]
    elements += [one.written() for one in declared.constraints if one not in [*apart, *later]]
    body = ",\n".join(f"    {element}" for element in elements)
    inner = f"\n{body}\n" if body else ""
    key = declared.partition_by or ""
    partitioned = f" PARTITION BY {closed(key)}" if key else ""
    inside = [one for one in declared.constraints if one not in later]
    keys = {one.table for one in inside if isinstance(one, ForeignKey)}
    yield Statement(
        f"CREATE TABLE {declared.name} ({inner}){partitioned}",
        path=SearchPath.of(
            declared.partition_by,
            *(text for column in declared.columns or () for text in column.fragments),
            *(text for one in inside for text in one.fragments),
        ),
        locks=tuple(Lock(one, Mode.SHARE_ROW_EXCLUSIVE) for one in sorted(keys - {declared.name})),
    )
    for one in apart:
        sql = f"ALTER TABLE {declared.name} ADD {one.written()}"
        yield Statement(sql, path=SearchPath.of(*one.fragments))
    for one in later:
        if isinstance(one, ForeignKey):
            yield from foreign_keys.added(declared.name, one, filled=False)


def _merged(constraints: Iterable[Constraint]) -> Iterator[Constraint]:
    """Those that CREATE TABLE would leave out, because another one needs the same index."""
    seen = set()
    for one in sorted(constraints, key=lambda one: not isinstance(one, PrimaryKey)):
        if isinstance(one, PrimaryKey | Unique | Exclude):
            index = one.definition().removeprefix("PRIMARY KEY").removeprefix("UNIQUE")
            if index in seen:
                yield one
            seen.add(index)


def _altered(current: Table, declared: Table) -> Iterator[Statement]:
    name = declared.name
    if current.partition_by != declared.partition_by:
        raise DeclarationError(
            f"it is partitioned by {current.partition_by or 'nothing'} and is declared by "
            f"{declared.partition_by}: PostgreSQL can't change that"
        )
    heirs.check(current.columns or (), declared.columns or ())
    there = {column.name: column for column in current.columns or ()}
    every = (*current.constraints, *declared.constraints)
    names = Names.of(declared.version, every, current.not_nulls)
    leaving = table_constraints.leaving(current, declared)
    keys = [one for one in current.constraints if isinstance(one, PrimaryKey | Unique)]
    firsts = {one.columns[0] for one in keys if one in declared.constraints}
    late: list[Statement] = []
    yield from table_constraints.dropped(current, declared)
    yield from column_sequences.remembered(declared.sequences, there)
    for column in declared.columns or ():
        if column.name in there:
            yield from released(name, there[column.name], column)
    _check_virtual(current, declared)
    pairs = differing(current.columns or (), declared.columns or ())
    yield from retyped(name, pairs, declared.retypes, current.filled)
    yield from column_sequences.created(declared.sequences)
    for column in declared.columns or ():
        if column.name in there:
            before, ordered = there[column.name], column.name in firsts
            for one in changed(name, before, column, current.filled, names, ordered):
                if column.name in leaving and one.sql.endswith("DROP NOT NULL"):
                    late.append(evolve(one, stage=Stage.AFTER))
                else:
                    yield one
        else:
            not_null = names.not_null(name, column.name)
            yield from added(name, column, column.name in declared.rewriting, not_null)
    yield from column_sequences.resumed(
        declared.sequences, lambda column: current.filled and column not in firsts
    )
    yield from table_constraints.added(current, declared)
    yield from late
    stay = {column.name for column in declared.columns or ()}
    for gone in declared.gone:
        if isinstance(gone, Index) and gone.replica_identity:
            raise index_builds.identity(gone.name, name)
    # What is computed from others goes before them.
    for column in sorted(current.columns or (), key=lambda column: column.generated is None):
        if column.name not in stay:
            also = tuple(one.title for one in declared.gone)
            yield dropped(name, column, also)
    yield from map(foreign_keys.settled, declared.owed)
    computed = regenerated(current.columns or (), declared.columns or ())
    is_changed = current.filled and (pairs or computed)
    for table, columns in declared.retypes.analyzed if is_changed else ():
        locks = Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE)
        yield Statement(f"ANALYZE {table} ({listed(columns)})", stage=Stage.AFTER, locks=locks)


def _check_virtual(current: Table, declared: Table) -> None:
    """Raise DeclarationError where PostgreSQL can't change what is computed when it is read."""
    virtual = {column.name for column in declared.columns or () if column.virtual}
    changes = virtual.intersection(regenerated(current.columns or (), declared.columns or ()))
    names = {one.name for one in declared.constraints}
    checks = [
        quoted(one.name or "")
        for one in current.constraints
        if isinstance(one, Check) and one.name in names
    ]
    if changes and checks:
        raise DeclarationError(
            f"column {listed(sorted(changes))} is computed when it is read, which PostgreSQL does "
            f"not change in a table with checks ({', '.join(checks)}): drop the column, and the "
            "next run adds it"
        )


def table(
    table: str,
    columns: Sequence[Column] | None = None,
    *,
    constraints: Sequence[Constraint] = (),
    partition_by: str | None = None,
    row_security: bool | None = None,
    force_row_security: bool | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    exact: Exactness = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a table.

    + table: its name
    + columns: its columns; without them only the other arguments are declared
    + constraints: its constraints; one without a name gets PostgreSQL's own, and replaces another
      on the same columns that has it
    + partition_by: its partition key, like RANGE (created_at)
    + row_security, force_row_security: whether row level security is on, and for its owner too
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + exact: what of it goes where no operation of the run declares it: True, or some of columns,
      constraints, indexes, triggers, policies, statistics, partitions and grants
    + present: whether it exists; a table with rows is removed only where the run allows it

    Columns and constraints that are not declared are left alone; one with `present=False` goes.
    What goes by `exact=` is known at the end of a `pg.transaction()`, which it needs.

    **Example:**

    .. code:: python

        pg.table(
            "organization",
            [
                pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()"),
                pg.Column("slug", "varchar(255)", nullable=False, unique=True),
            ],
        )
    """
    declaration = Table(
        table,
        columns,
        constraints=constraints,
        partition_by=partition_by,
        row_security=row_security,
        force_row_security=force_row_security,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
        exact=exact,
    )
    return converge(**declared([declaration], present, arguments))
