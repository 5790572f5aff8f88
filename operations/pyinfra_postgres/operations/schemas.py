"""The operation `schema`.

https://www.postgresql.org/docs/current/sql-createschema.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.exact import Exactness
from ..objects.server.schemas import Schema
from .arguments import Arguments
from .converge import converge, declared


def schema(
    schema: str,
    *,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    exact: Exactness = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a schema.

    + schema: its name
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + exact: what in it goes where no operation of the run declares it: True, or some of tables,
      views, functions, types, sequences and grants; it needs a `pg.transaction()`
    + present: whether it exists; a schema that holds anything is not removed

    **Example:**

    .. code:: python

        pg.schema("auth", comment="Identity")
    """
    declaration = Schema(
        schema, owner=owner, comment=comment, renamed_from=renamed_from, exact=exact
    )
    return converge(**declared([declaration], present, arguments))
