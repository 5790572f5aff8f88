"""What an index is: its declaration, as it is stored, and its SQL.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import ClassVar, Self

from attrs import field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...comparison.asking import Reading
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
from ...syntax.parse import Reference, declared_references, optional_expression
from ..constraints import partition_keys
from ..kind import Object
from ..tables.known_columns import check_columns
from .elements import Element, condition_template, expression_template, name_any


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

    def takes(self) -> Iterator[Reference]:
        yield Reference("index", self.full)

    def goes_with(self, table: Name, columns: Set[str]) -> bool:
        own = not columns.isdisjoint(self.include) or name_any(columns, self.columns, [self.where])
        return table == self.table and own

    def lines(self) -> Iterator[str]:
        yield self.definition()
        if self.comment:
            yield f"comment {self.comment!r}"

    def definition(self) -> str:
        """It in one line, for people."""
        parts = [self.method, f"({', '.join(map(str, self.columns))})"]
        if self.unique:
            parts.insert(0, "unique")
        if self.include:
            parts.append(f"INCLUDE ({listed(self.include)})")
        if self.nulls_not_distinct:
            parts.append("NULLS NOT DISTINCT")
        if self.parameters:
            parts.append(f"WITH ({', '.join(settings(self.parameters))})")
        if self.where is not None:
            parts.append(f"WHERE ({self.where})")
        return " ".join(parts)

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in its definition."""
        return (self.where, *(text for one in self.columns for text in one.fragments))

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from declared_references(self.where, *(one.expression for one in self.columns))

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


def settings(parameters: Mapping[str, str]) -> Iterator[str]:
    """Storage parameters as SQL has them."""
    for name, value in parameters.items():
        yield f"{quoted(name)} = {literal(value)}"
