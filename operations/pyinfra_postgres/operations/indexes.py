"""The operation `index`.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.indexes.indexes import Index
from .arguments import Arguments
from .converge import converge, declared


def index(
    index: str,
    table: str,
    columns: str | Iterable[str] = (),
    *,
    where: str | None = None,
    unique: bool = False,
    method: str = "btree",
    include: str | Iterable[str] = (),
    nulls_not_distinct: bool = False,
    parameters: Mapping[str, object] | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an index.

    + index: its name; it is in its table's schema
    + table: the table
    + columns: columns or expressions as in SQL, like `updated_at DESC` or `lower(email)`
    + where: the predicate of a partial index
    + unique: whether it is unique
    + method: the access method
    + include: further columns that it carries
    + nulls_not_distinct: whether a unique index treats nulls as equal
    + parameters: its storage parameters, like {"fillfactor": 70}; what is not given is left as it
      is, {} is PostgreSQL's defaults
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    On a table with rows it is built concurrently after the transaction; one that an interrupted
    build left invalid is dropped and built again.

    **Example:**

    .. code:: python

        pg.index(
            "idx_sync_progress_active",
            "sync_progress",
            ["org_id", "updated_at DESC"],
            where="completed_at IS NULL",
        )
    """
    declaration = Index(
        index,
        table,
        columns,
        where=where,
        unique=unique,
        method=method,
        include=include,
        nulls_not_distinct=nulls_not_distinct,
        parameters=parameters,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
