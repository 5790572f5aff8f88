"""Rows of tables: INSERT, UPDATE, DELETE. https://www.postgresql.org/docs/current/dml.html"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...syntax.names import quoted
from ...syntax.values import shown
from ..kind import Object
from .compared_rows import ComparedRows
from .rows_definition import RowKey, RowsDefinition


@frozen
class Rows(RowsDefinition):
    """Rows of a table, each known by its key."""

    def __attrs_post_init__(self) -> None:
        if not self.key_columns:
            raise DeclarationError(f"{self.title}: name the columns of the key")
        seen: set[RowKey] = set()
        for row in self.rows:
            for column in self.key_columns:
                if column not in row:
                    raise DeclarationError(
                        f"{self.title}: a row has no {quoted(column)}, which is in the key: "
                        f"{shown(row, row)}"
                    )
            if (key := self.key_of(row)) in seen:
                raise DeclarationError(
                    f"{self.title}: two rows have the key {shown(row, self.key_columns)}"
                )
            seen.add(key)

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        yield ComparedRows(
            self.table, self.rows, key=self.key_columns, update=self.update, exact=self.exact
        )
