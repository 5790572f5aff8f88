"""What a table is: its declaration, as it is stored, and what it names.

https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog import renames
from ...catalog.catalog import Declared, Forecast
from ...catalog.entry import Key
from ...catalog.renames import Rename
from ...comparison.asking import Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, optional_identifier, optional_name, parse_name, quoted
from ...syntax.parse import Reference
from ..constraints.constraints import (
    Constraint,
    ForeignKey,
    NotNull,
    PrimaryKey,
    Unique,
)
from ..exact import Exactness, chosen
from ..indexes.elements import aligned_element, key_elements, partitioning
from ..kind import Object, SubObject, either, owner_references, schema_of
from .columns import Column, TableColumn
from .details import TableDetails
from .heirs import inheriting


def _columns(columns: Iterable[Column] | None) -> tuple[TableColumn, ...] | None:
    if columns is None:
        return None
    found = given.several("columns", columns, Column)
    for one in found:
        if not isinstance(one, Column):
            raise DeclarationError(f"columns are pg.Column(...), not {given.shown(one)}")
    counts = Counter(column.name for column in found)
    if twice := {name for name, count in counts.items() if count > 1}:
        raise DeclarationError(f"column {', '.join(sorted(twice))} is declared twice")
    return tuple(map(TableColumn.of, found))


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


_SWITCHED = ("partition_by", "row_security", "force_row_security", "owner", "comment")
"""What is declared of a table as a whole, if it is not None."""


def _exact(given: Exactness) -> frozenset[str]:
    return chosen(given, _HOLDS)


@frozen
class TableDefinition(Object):
    """A table with its columns and constraints."""

    kind: ClassVar[str] = "table"
    word: ClassVar[str] = "tables"
    acl: ClassVar[str] = "TABLE"
    holds: ClassVar[tuple[str, ...]] = _HOLDS
    name: Name = field(converter=parse_name)
    columns: tuple[TableColumn, ...] | None = field(default=None, converter=_columns)
    constraints: tuple[Constraint, ...] = field(default=(), converter=_constraints, kw_only=True)
    partition_by: str | None = field(default=None, converter=partitioning, kw_only=True)
    row_security: bool | None = field(default=None, kw_only=True)
    force_row_security: bool | None = field(default=None, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)
    exact: frozenset[str] = field(default=False, converter=_exact, eq=False, kw_only=True)
    absent: tuple[Column | Constraint, ...] = field(default=(), converter=_absent, kw_only=True)
    """The columns and constraints that are declared not to be there."""

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
        self._give_columns_their_rules()
        keyed = self._keyed
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

    @property
    def _keyed(self) -> set[str]:
        """The columns of its primary key."""
        keys = (one for one in self.constraints if isinstance(one, PrimaryKey))
        return {name for one in keys for name in one.columns}

    def _give_columns_their_rules(self) -> None:
        """Have its NOT NULL constraints be those of its columns."""
        rules = [one for one in self.constraints if isinstance(one, NotNull)]
        if not rules:
            return
        keyed = self._keyed
        by_column = {one.column: one for one in rules}
        columns = {column.name: column for column in self.columns or ()}
        if len(by_column) < len(rules):
            raise DeclarationError(f"table {self.name} has two NOT NULL of one column")
        for name, rule in by_column.items():
            if name not in columns:
                raise DeclarationError(
                    f"table {self.name}: {rule.written()} is for a column that is declared with it"
                )
            columns[name] = columns[name].strict(rule, keyed=name in keyed)
        rest = tuple(one for one in self.constraints if not isinstance(one, NotNull))
        object.__setattr__(self, "columns", tuple(columns.values()))
        object.__setattr__(self, "constraints", rest)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def dropped_columns(self) -> Iterator[str]:
        return (one.name for one in self.absent if isinstance(one, Column))

    def giving_way(self, later: Self) -> Self:
        gone = set(later.dropped_columns())
        without = {one.name for one in later.absent if isinstance(one, Constraint)}
        columns = {column.name: column for column in later.columns or ()}
        rules = {one.name: one for one in later.constraints if one.name}
        own = [columns.get(one.name, one) for one in self.columns or () if one.name not in gone]
        constraints = [
            rules.get(one.name, one) if one.name else one
            for one in self.constraints
            if not (one.name in without or one.used & gone)
        ]
        given = {name: getattr(later, name) for name in _SWITCHED}
        said = {name: value for name, value in given.items() if value is not None}
        return evolve(
            self,
            columns=tuple(own) if self.columns is not None else None,
            constraints=tuple(constraints),
            **said,
        )

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
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
            if column.not_null:
                yield ("constraint", *self.name, column.not_null)
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

    @property
    def is_whole(self) -> bool:
        return self.columns is not None

    @property
    def claims(self) -> bool:
        on = (self.constraints, self.row_security, self.force_row_security, self.comment)
        return self.columns is not None or any(on) or bool(self.owner)

    def undeclared(self, known: Sequence[Declared]) -> Iterator[SubObject]:
        tables = [one.declaration for one in known if isinstance(one.declaration, TableDefinition)]
        columns = {column.name for table in tables for column in table.columns or ()}
        # What is to go in a later phase of a rollout is declared for that.
        columns |= {one.name for table in tables for one in table.absent if one.name}
        for column in self.columns or ():
            if column.name not in columns and not column.inherited:
                name = f"{self.name}.{quoted(column.name)}"
                removal = type(self)(self.name, [TableColumn(column.name, present=False)])
                computed = column.generated is not None
                yield SubObject("column", name, column.definition(), removal, early=computed)
        kept = {one.name for one in self.constraints}
        for _, declaration, target in known:
            if isinstance(declaration, TableDefinition):
                if target is None:
                    return  # It has not had its turn, and may declare them.
                # Those that are not declared come last.
                kept &= {one.name for one in target.constraints[len(declaration.constraints) :]}
        # What an interrupted run has left of a NOT NULL goes with the next one.
        leftovers = {one.name for one in self.constraints if one.details.passing}
        for one in self.constraints:
            if one.name in kept - leftovers and not one.details.inherited:
                name = f"{self.name}.{quoted(one.name or '')}"
                removal = type(self)(
                    self.name, constraints=[Constraint(name=one.name, present=False)]
                )
                early = isinstance(one, ForeignKey)
                yield SubObject("constraint", name, one.definition(), removal, early)

    def aligned_key(self, current: TableDefinition, same: Same, catalog: Forecast) -> str | None:
        """The partition key, written as the stored one where it is the same."""
        if self.partition_by is None or current.partition_by is None:
            return either(self.partition_by, current.partition_by)
        strategy, elements = key_elements(self.partition_by)
        key = catalog.details_of(current, TableDetails).partition_key
        if len(elements) != len(key):
            return self.partition_by
        aligned = tuple(
            aligned_element(one, other, same, self.name)
            for one, other in zip(elements, key, strict=True)
        )
        stored = (key_elements(current.partition_by)[0], key)
        return current.partition_by if (strategy, aligned) == stored else self.partition_by


def _moved_sequences(rename: Rename, catalog: Forecast) -> Iterator[tuple[Reference, Reference]]:
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
