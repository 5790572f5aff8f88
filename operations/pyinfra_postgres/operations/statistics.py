"""The operation `statistics`.

https://www.postgresql.org/docs/current/sql-createstatistics.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.tables.statistics import Statistics
from .arguments import Arguments
from .converge import converge, declared


def statistics(
    statistics: str,
    table: str,
    on: str | Iterable[str] = (),
    *,
    kinds: str | Iterable[str] | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare extended statistics.

    + statistics: their name
    + table: the table
    + on: columns, and expressions in parentheses, in any order
    + kinds: ndistinct, dependencies, mcv; by default all that PostgreSQL gathers
    + owner: their owner
    + comment: their comment, "" for none
    + renamed_from: their former name
    + present: whether they exist

    ANALYZE of the table fills them.

    **Example:**

    .. code:: python

        pg.statistics("city_zip", "address", ["city", "zip"], kinds=["dependencies"])
    """
    declaration = Statistics(
        statistics, table, on, kinds=kinds, owner=owner, comment=comment, renamed_from=renamed_from
    )
    return converge(**declared([declaration], present, arguments))
