"""The operation `sequence`.

https://www.postgresql.org/docs/current/sql-createsequence.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.tables.sequences import Sequence
from .arguments import Arguments
from .converge import converge, declared


def sequence(
    sequence: str,
    *,
    type: str | None = None,
    increment: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    start: int | None = None,
    cache: int | None = None,
    cycle: bool | None = None,
    owned_by: str | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a sequence. What is not given is left as it is, or PostgreSQL's default.

    + sequence: its name
    + type: smallint, integer or bigint
    + increment, minimum, maximum, start, cache, cycle: as in CREATE SEQUENCE
    + owned_by: the column that it goes away with, like `orders.number`, or `none`
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; one that has been used is removed only where the run allows it

    The value that it has come to is not declared, and is never changed.

    **Example:**

    .. code:: python

        pg.sequence("invoice_number", start=1000, cache=10)
    """
    declaration = Sequence(
        sequence,
        type=type,
        increment=increment,
        minimum=minimum,
        maximum=maximum,
        start=start,
        cache=cache,
        cycle=cycle,
        owned_by=owned_by,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
