"""The operation `partitions`.

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

from datetime import date

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.partitions.partitions import Partitions
from .arguments import Arguments
from .converge import converge, declared


def partitions(
    partitions: str,
    *,
    every: str,
    start: str | date,
    ahead: int = 1,
    default: bool = False,
    row_security: bool | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare the range partitions of a table over time, in UTC.

    + partitions: the partitioned table
    + every: day, week, month or year
    + start: the first period, like 2025-11
    + ahead: how many periods after the current one there are
    + default: whether there is a default partition
    + row_security: whether row level security is on for each partition
    + present: whether they exist

    They are called like `sync_activity_log_2025_11`. The current period is by the server's date,
    or by the host data `postgres_today`. A partition that spans a declared period under another
    name serves as well, and older partitions are left alone. Rows that the default partition holds
    for a new one move into it where the run allows that by its name, and others stay there; where a
    foreign key or a trigger would take that for a deletion, the plan fails and says what to do.

    **Example:**

    .. code:: python

        pg.partitions("sync_activity_log", every="month", start="2025-11", ahead=4, default=True)
    """
    declaration = Partitions(
        partitions,
        every=every,
        start=start,
        ahead=ahead,
        default=default,
        row_security=row_security,
    )
    return converge(**declared([declaration], present, arguments))
