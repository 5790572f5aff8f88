"""What an index is: its declaration, as it is stored, and its SQL.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from operator import attrgetter, eq
from typing import Any, ClassVar, Self

from attrs import evolve, field, fields, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Reading, Same
from ...plan.plan import Statement
from ...syntax import given
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    identifiers,
    listed,
    literal,
    optional_identifier,
    parse_name,
    quoted,
)
from ...syntax.naming import joined
from ...syntax.parse import Reference, closed, declared_references, optional_expression
from ..constraints import partition_keys
from ..constraints.constraints import ReferringKey
from ..kind import Object, either
from ..tables.known_columns import check_columns
from .elements import Element, aligned_element, condition_template, expression_template, name_any


def _elements(columns: str | Iterable[str | Element]) -> tuple[Element, ...]:
    return tuple(map(Element.parse, given.several("columns", columns)))


def _parameters(parameters: Mapping[str, object] | None) -> dict[str, str] | None:
    if parameters is None:
        return None
    pairs = sorted(given.pairs("parameters", parameters).items())
    return {
        identifier(name.lower()): given.setting(f"the parameter {name}", value)
        for name, value in pairs
    }


_SWITCHES = {"deduplicate_items", "fastupdate", "autosummarize"}


_ON, _OFF = {"on", "true", "yes", "t", "y"}, {"off", "false", "no", "f", "n"}


def _normal(name: str, value: str) -> object:
    """A storage parameter's value as PostgreSQL understands the text that it keeps."""
    word = value.strip().lower()
    if name in _SWITCHES:
        return True if word in _ON | {"1"} else False if word in _OFF | {"0"} else word
    try:
        return float(word)
    except ValueError:
        return word


@frozen
class Swap:
    """How one index takes another's name."""

    successor: Exact
    """The name under which it is built."""
    predecessor: Exact
    """The name that the old index gets until it is dropped."""
    there: IndexDefinition | None = None
    """What an interrupted run has built under the successor's name."""
    dependents: tuple[ReferringKey, ...] = ()
    """The foreign keys that stand on the old index."""
    identifies: bool = False
    """Whether the new index can be a replica identity."""
    parts: tuple[IndexDefinition, ...] = ()
    """What partitions have of the old index, each before the parts that it has in turn."""
    places: Mapping[int, int] = field(factory=dict)
    """Of the old index's expressions with a statistics target, their places in the new one."""

    @classmethod
    def of(cls, index: IndexDefinition) -> Swap:
        """A swap where nothing is in its way."""
        return cls(Exact(joined(index.name, None, "new")), Exact(joined(index.name, None, "old")))


@frozen
class IndexDefinition(Object):
    """An index of a table that no constraint owns."""

    kind: ClassVar[str] = "index"
    is_beside_its_table: ClassVar[bool] = True
    word: ClassVar[str] = "indexes"
    essence: ClassVar[str] = "columns"
    name: Exact = field(converter=identifier)
    table: Name = field(converter=parse_name)
    columns: tuple[Element, ...] = field(default=(), converter=_elements)
    where: str | None = field(default=None, converter=optional_expression, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    method: str = field(default="btree", converter=identifier, kw_only=True)
    include: tuple[Exact, ...] = field(default=(), converter=identifiers, kw_only=True)
    nulls_not_distinct: bool = field(default=False, kw_only=True)
    parameters: dict[str, str] | None = field(default=None, converter=_parameters, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    valid: bool = field(default=True, kw_only=True)
    builder: int | None = field(default=None, eq=False, kw_only=True)
    """The process id of the session that is building it right now."""
    deploying: bool = field(default=False, eq=False, kw_only=True)
    """Whether that session holds the deploy lock."""
    parent: Name | None = field(default=None, eq=False, kw_only=True)
    """The partitioned table's index that it is a part of."""
    tablespace: Exact | None = field(default=None, eq=False, kw_only=True)
    """Where it lies, if not where its database does. None is declared."""
    replica_identity: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is its table's, or a part of it a partition's."""
    clustered: bool = field(default=False, eq=False, kw_only=True)
    targets: dict[int, int] = field(factory=dict, eq=False, kw_only=True)
    """How much ANALYZE gathers of its expressions, by their places, where that is set."""
    filled: bool = field(default=False, eq=False, kw_only=True)
    """Whether its table may have rows."""
    partitioned: bool = field(default=False, eq=False, kw_only=True)
    """Whether its table is partitioned: PostgreSQL alters no parameters of such an index."""
    online: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is built without blocking writers."""
    built: IndexDefinition | None = field(default=None, eq=False, kw_only=True)
    """What is there of it already."""
    parts: tuple[IndexDefinition, ...] = field(default=(), eq=False, kw_only=True)
    """What is built in its table's partitions."""
    automatic: tuple[IndexDefinition, ...] = field(default=(), eq=False, kw_only=True)
    """What of it PostgreSQL itself has in its table's partitions."""
    becomes: Exact | None = field(default=None, eq=False, kw_only=True)
    """The name of the part of an index whose place it takes."""
    swap: Swap | None = field(default=None, eq=False, kw_only=True)
    """How it takes the name of the stored index, which differs."""
    left: tuple[IndexDefinition, ...] = field(default=(), eq=False, kw_only=True)
    """What is to be dropped, because it has taken the name of these."""
    owed: tuple[ReferringKey, ...] = field(default=(), eq=False, kw_only=True)
    """The foreign keys to its table that an interrupted run has not validated again."""
    later: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is there, or as it is declared, only after the transaction."""

    @property
    def full(self) -> Name:
        """Its name with the schema, which is its table's."""
        return Name(self.table.schema, self.name)

    @property
    def address(self) -> str:
        return f"INDEX {self.full}"

    def key(self) -> Key:
        # An index is in its table's schema.
        return (self.kind, self.table.schema, self.name)

    def belongs_to(self) -> Reference | None:
        # A part of a partitioned table's index goes with that one.
        return None if self.parent else super().belongs_to()

    def takes(self) -> Iterator[Reference]:
        yield Reference("index", self.full)

    def goes_with(self, table: Name, columns: Set[str]) -> bool:
        own = not columns.isdisjoint(self.include) or name_any(columns, self.columns, [self.where])
        return table == self.table and own

    def lines(self) -> Iterator[str]:
        yield self._definition()
        if not self.valid:
            yield "INVALID"
        if self.comment:
            yield f"comment {self.comment!r}"

    def _definition(self) -> str:
        parts = [self.method, f"({', '.join(map(str, self.columns))})"]
        if self.unique:
            parts.insert(0, "unique")
        if self.include:
            parts.append(f"INCLUDE ({listed(self.include)})")
        if self.nulls_not_distinct:
            parts.append("NULLS NOT DISTINCT")
        if self.parameters:
            parts.append(f"WITH ({', '.join(_settings(self.parameters))})")
        if self.where is not None:
            parts.append(f"WHERE ({self.where})")
        return " ".join(parts)

    def created(self, concurrently: bool) -> str:
        """The CREATE INDEX statement."""
        unique = "UNIQUE " if self.unique else ""
        how = "CONCURRENTLY " if concurrently else ""
        # The partitions follow one by one.
        only = "ONLY " if self.online and self.partitioned else ""
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        where = f" WHERE ({closed(self.where)})" if self.where is not None else ""
        elements = ", ".join(map(str, self.columns))
        parameters = f" WITH ({', '.join(_settings(self.parameters))})" if self.parameters else ""
        place = f" TABLESPACE {quoted(self.tablespace)}" if self.tablespace else ""
        return (
            f"CREATE {unique}INDEX {how}{quoted(self.name)} ON {only}{self.table} "
            f"USING {quoted(self.method)} ({elements}){include}{nulls}{parameters}{place}{where}"
        )

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in its definition."""
        return (self.where, *(text for one in self.columns for text in one.fragments))

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from declared_references(self.where, *(one.expression for one in self.columns))

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        current = super().find(catalog, ask)
        return current.placed(catalog) if current else None

    def check_columns(self, catalog: Forecast) -> None:
        named = [*(one.column for one in self.columns), *self.include]
        texts = [*(one.expression for one in self.columns), self.where]
        check_columns(self.table, catalog, named, texts)
        if self.unique:
            partition_keys.check(self.table, "it", [one.column for one in self.columns], catalog)

    def readings(self, current: Self | None) -> Iterator[Reading]:
        for one in self.columns:
            yield Reading(expression_template(self.table), one.expression, self.table)
        yield Reading(condition_template(self.table), self.where, self.table)

    def written_as(self, current: Self, same: Same) -> Self:
        """Itself, with what equals the stored index written as it is there."""
        # All of it is compared, so that every expression is in one batch.
        elements = self.columns
        if len(elements) == len(current.columns):
            elements = tuple(
                aligned_element(one, other, same, self.table)
                for one, other in zip(elements, current.columns, strict=True)
            )
        where = self.where
        if same(condition_template(self.table), self.where, current.where, self.table):
            where = current.where
        changes: dict[str, Any] = {
            "columns": elements,
            "where": where,
            "parameters": self._aligned_parameters(current),
            "tablespace": current.tablespace,
            "comment": either(self.comment, current.comment),
        }
        aligned = (changes.get(name, getattr(self, name)) for name in _COMPARED)
        if all(map(eq, aligned, _compared(current))):
            return current
        return evolve(self, **changes)

    def equals(self, current: Self, same: Same) -> bool:
        """Whether a stored index is the same but for its name, and for whether it is valid."""
        return not rebuilt(
            evolve(current, name=self.name, valid=True), self.written_as(current, same)
        )

    def placed(self, catalog: Forecast) -> Self:
        """Itself, with what its table decides of how it is built."""
        there = placing(self.table, catalog)
        if all(getattr(self, name) == value for name, value in there.items()):
            return self
        return evolve(self, **there)

    def renamed_match(self, catalog: Forecast, same: Same) -> Self | None:
        if not self.columns or self.table in catalog.created:
            return None
        others = [
            one
            for one in catalog.on(self.table)
            if isinstance(one, type(self)) and one.valid and not one.parent
        ]
        free = [one for one in others if not catalog.is_declared(one.key())]
        return same.first(free, lambda one: self.equals(one, same))

    def _aligned_parameters(self, current: IndexDefinition) -> dict[str, str] | None:
        there = current.parameters or {}
        if self.parameters is None:
            return current.parameters
        return {
            name: there[name]
            if name in there and _normal(name, value) == _normal(name, there[name])
            else value
            for name, value in self.parameters.items()
        }

    def made_anew(self, stored: Sequence[Statement]) -> Iterator[Statement]:
        found = []
        for one in stored:
            place = re.search(r" ALTER COLUMN (\d+) SET STATISTICS ", one.sql)
            number = int(place[1]) - 1 if place else 0
            if not place or any(each.expression for each in self.columns[number : number + 1]):
                found.append(one)
        return super().made_anew(found)


_COMPARED = tuple(one.name for one in fields(IndexDefinition) if one.eq)


_compared = attrgetter(*_COMPARED)


def placing(table: Name, catalog: Snapshot) -> dict[str, Any]:
    """What a table decides of how its indexes are built."""
    kind = catalog.relation_kinds.get(table)
    filled = table in catalog.filled
    online = filled and (kind in {"r", "m"} or (kind == "p" and _of_tables(table, catalog)))
    return {"filled": filled, "partitioned": kind == "p", "online": online}


def rebuilt(current: IndexDefinition, declared: IndexDefinition) -> bool:
    """Whether it differs in what can't be altered."""
    kept = evolve(current, comment=declared.comment)
    if declared.partitioned:
        # Its partitions' parts may be missing yet.
        kept = evolve(kept, valid=True)
    else:
        kept = evolve(kept, parameters=declared.parameters)
    return kept != declared


def _of_tables(table: Name, catalog: Snapshot) -> bool:
    """Whether all partitions are ordinary tables, at all levels."""
    for key, one in catalog.objects.items():
        if key[0] == "partition" and getattr(one, "parent", None) == table:
            name = Name(*key[1:])
            kind = catalog.relation_kinds.get(name)
            if kind != "r" and not (kind == "p" and _of_tables(name, catalog)):
                return False
    return True


def _settings(parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        yield f"{quoted(name)} = {literal(value)}"
