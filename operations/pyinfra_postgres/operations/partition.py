"""The operation `partition`.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.partitions.partition import AnyPartition
from .arguments import Arguments
from .converge import converge, declared


def partition(
    partition: str,
    of: str,
    values: str | None = None,
    *,
    partition_by: str | None = None,
    attached: bool = True,
    row_security: bool | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare one partition of a table: of a list, a hash, or a range, or the default one.

    + partition: its name; a table of that name with its parent's columns is attached
    + of: the partitioned table
    + values: its bound as in SQL, like `FOR VALUES IN ('eu', 'us')` or `DEFAULT`
    + partition_by: the key by which it is partitioned in turn
    + attached: whether it is a partition; False detaches it and keeps it as a table
    + row_security: whether row level security is on
    + present: whether it exists; one with rows is removed only where the run allows it

    A table with rows is attached after the transaction, when a check has shown that all rows belong
    there and it has the indexes and keys of its parent. Without a default partition beside it, it
    is detached concurrently.

    **Example:**

    .. code:: python

        pg.table("event", [pg.Column("region", "text")], partition_by="LIST (region)")
        pg.partition("event_eu", "event", "FOR VALUES IN ('de', 'fr')")
        pg.partition("event_rest", "event", "DEFAULT")
    """
    declaration = AnyPartition(
        partition,
        of,
        values,
        partition_by=partition_by,
        attached=attached,
        row_security=row_security,
    )
    return converge(**declared([declaration], present, arguments))
