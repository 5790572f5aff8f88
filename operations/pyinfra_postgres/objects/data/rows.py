"""Rows of tables: INSERT, UPDATE, DELETE. https://www.postgresql.org/docs/current/dml.html"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ...catalog.catalog import Forecast
from ..kind import Object
from .compared_rows import ComparedRows
from .rows_definition import RowsDefinition


@frozen
class Rows(RowsDefinition):
    """Rows of a table, each known by its key."""

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        yield ComparedRows(
            self.table, self.rows, key=self.key_columns, update=self.update, exact=self.exact
        )
