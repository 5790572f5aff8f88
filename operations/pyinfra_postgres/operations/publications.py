"""The operation `publication`.

https://www.postgresql.org/docs/current/sql-createpublication.html
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.server.publications import Publication
from .arguments import Arguments
from .converge import converge, declared


def publication(
    publication: str,
    tables: str | Sequence[str] = (),
    *,
    schemas: str | Sequence[str] = (),
    all_tables: bool = False,
    publish: str | Sequence[str] | None = None,
    publish_via_partition_root: bool | None = None,
    publish_generated_columns: str | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a publication. It publishes what is declared and nothing else.

    + publication: its name
    + tables: its tables, with the columns and rows that are published as in SQL, like
      `orders (id, total) WHERE (total > 0)`; those that inherit from them are among them, except
      with ONLY
    + schemas: the schemas of which all tables are published, also those to come
    + all_tables: whether all tables of the database are
    + publish: insert, update, delete, truncate; left out, what is there stays, and a new one
      publishes all
    + publish_via_partition_root: whether a partition's changes are those of the table that it is
      a partition of
    + publish_generated_columns: none or stored (PostgreSQL 18)
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    **Example:**

    .. code:: python

        pg.publication("fed", ["orders (id, total) WHERE (total > 0)"], publish=["insert"])
    """
    declaration = Publication(
        publication,
        tables,
        schemas=schemas,
        all_tables=all_tables,
        publish=publish,
        publish_via_partition_root=publish_via_partition_root,
        publish_generated_columns=publish_generated_columns,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
