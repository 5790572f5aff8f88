"""The operation `domain`.

https://www.postgresql.org/docs/current/sql-createdomain.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.types.domains import Domain, _Checks
from .arguments import Arguments
from .converge import converge, declared


def domain(
    domain: str,
    type: str | None = None,
    *,
    checks: _Checks = (),
    default: str | None = None,
    nullable: bool = True,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a domain.

    + domain: its name
    + type: the type under it
    + checks: conditions on VALUE: expressions, or `pg.Check(..., name=...)`; with `present=False`
      those that are to go
    + default: an expression; without one there is no default
    + nullable: whether it may be null
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; a domain that anything uses is not removed

    Checks that are not declared are left alone.

    **Example:**

    .. code:: python

        pg.domain("email", "text", checks="VALUE LIKE '%@%'")
    """
    declaration = Domain(
        domain,
        type,
        checks=checks,
        default=default,
        nullable=nullable,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
