"""The operation `table`.

https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.constraints.constraints import Constraint
from ..objects.exact import Exactness
from ..objects.tables.columns import Column
from ..objects.tables.tables import Table
from .arguments import Arguments
from .converge import converge, declared


def table(
    table: str,
    columns: Sequence[Column] | None = None,
    *,
    constraints: Sequence[Constraint] = (),
    partition_by: str | None = None,
    row_security: bool | None = None,
    force_row_security: bool | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    exact: Exactness = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a table.

    + table: its name
    + columns: its columns; without them only the other arguments are declared
    + constraints: its constraints; one without a name gets PostgreSQL's own, and replaces another
      on the same columns that has it
    + partition_by: its partition key, like RANGE (created_at)
    + row_security, force_row_security: whether row level security is on, and for its owner too
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + exact: what of it goes where no operation of the run declares it: True, or some of columns,
      constraints, indexes, triggers, policies, statistics, partitions and grants
    + present: whether it exists; a table with rows is removed only where the run allows it

    Columns and constraints that are not declared are left alone; one with `present=False` goes.
    What goes by `exact=` is known at the end of a `pg.transaction()`, which it needs.

    **Example:**

    .. code:: python

        pg.table(
            "organization",
            [
                pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()"),
                pg.Column("slug", "varchar(255)", nullable=False, unique=True),
            ],
        )
    """
    declaration = Table(
        table,
        columns,
        constraints=constraints,
        partition_by=partition_by,
        row_security=row_security,
        force_row_security=force_row_security,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
        exact=exact,
    )
    return converge(**declared([declaration], present, arguments))
