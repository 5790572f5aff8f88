"""The operation `backfill`.

https://www.postgresql.org/docs/current/sql-update.html
"""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.data.backfills import Backfill
from .arguments import Arguments
from .converge import converge, declared


def backfill(
    table: str,
    *,
    set: Mapping[str, str],
    where: str,
    batch: int = 5000,
    pause: float = 0.1,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Fill columns of a table that has rows, in batches that are committed one by one.

    + table: the table; of a partitioned one all partitions are filled
    + set: the columns, and an expression over the row for each
    + where: which rows are to be filled; a row that has been must not match any more
    + batch: how many rows a transaction fills
    + pause: seconds between two of them

    It runs after the transaction of its block, and before constraints of the table that read rows.
    Rows that other sessions have locked are left until they are free. A run that ends in between
    has filled what it has committed, and the next one goes on. Nothing changes where no row
    matches.

    **Example:**

    .. code:: python

        pg.backfill("shop.item", set={"total": "price * amount"}, where="total IS NULL")
    """
    declaration = Backfill(table, set=set, where=where, batch=batch, pause=pause)
    return converge(**declared([declaration], True, arguments))
