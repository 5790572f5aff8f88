"""The operation `rows`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.data.rows import Rows
from .arguments import Arguments
from .converge import converge, declared


def rows(
    table: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    key: str | Sequence[str],
    update: bool = False,
    exact: bool = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare rows of a table. Other rows are left alone.

    + table: the table
    + rows: a dict of columns and values for each row
    + key: the columns by which a row is found again
    + update: whether declared columns of existing rows are corrected
    + exact: whether rows with another key are removed; the run has to allow that
    + present: whether the rows exist; the run has to allow their removal

    A value is a str, int, float, Decimal, bool, None, date, datetime, time, timedelta, UUID or
    bytes, a list for an array or for JSON, a dict for JSON, or ``pg.SQL("an expression")``. A str
    in a JSON column is JSON text. An expression that is another one each time, like ``now()``, is
    only for new rows. What is in pyinfra's ``HiddenValue`` is not shown.

    **Example:**

    .. code:: python

        pg.rows(
            "organization",
            [{"slug": "test-org", "name": "Test Organization"}],
            key=["slug"],
        )
    """
    declaration = Rows(table, rows, key=key, update=update, exact=exact)
    return converge(**declared([declaration], present, arguments))
