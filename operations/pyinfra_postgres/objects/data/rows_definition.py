"""Rows of a table as they are declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from attrs import field, frozen

from ...catalog.entry import Key
from ...errors import DeclarationError
from ...syntax import given
from ...syntax.names import Exact, Name, identifier, identifiers, parse_name
from ...syntax.parse import Reference
from ...syntax.values import (
    SQL,
    check,
    written,
)
from ..kind import Object

TableRow: TypeAlias = Mapping[str, Any]
RowKey: TypeAlias = tuple[str, ...]


class Checked(tuple[TableRow, ...]):
    """Rows whose columns and values have been read."""

    __slots__ = ()


def _checked(rows: Iterable[Mapping[str, Any]]) -> Checked:
    return rows if isinstance(rows, Checked) else Checked(map(_row, given.several("rows", rows)))


def _row(row: Mapping[str, Any]) -> TableRow:
    if not isinstance(row, Mapping):
        raise given.refused("a row", "a dict of columns and values", row)
    found: dict[str, Any] = {}
    for text, value in row.items():
        column = identifier(text)
        if column in found:
            raise DeclarationError(f"column {column} is given twice in one row")
        check(f"column {column}", value)
        found[column] = value
    return found


@frozen
class RowsDefinition(Object):
    """Rows of a table, each known by its key."""

    kind: ClassVar[str] = "rows"
    asks_rows: ClassVar[bool] = True

    table: Name = field(converter=parse_name)
    rows: Checked = field(converter=_checked)
    key_columns: tuple[Exact, ...] = field(converter=identifiers, kw_only=True, alias="key")
    update: bool = field(default=False, kw_only=True)
    exact: bool = field(default=False, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.table)

    def key_of(self, row: TableRow) -> RowKey:
        """What tells a row from the others."""
        return tuple(written(row[column]) for column in self.key_columns)

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        for row in self.rows:
            for value in row.values():
                if isinstance(value, SQL):
                    yield from value.references()

    def _names(self) -> Iterable[str]:
        """The columns that are declared, each once."""
        given = (column for row in self.rows for column in row)
        return dict.fromkeys([*given, *self.key_columns])
