"""The operation `policy`.

https://www.postgresql.org/docs/current/sql-createpolicy.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.access.policies import Policy
from .arguments import Arguments
from .converge import converge, declared


def policy(
    policy: str,
    table: str,
    *,
    command: str = "ALL",
    roles: str | Iterable[str] = "PUBLIC",
    using: str | None = None,
    check: str | None = None,
    permissive: bool = True,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a row security policy.

    + policy: its name
    + table: the table
    + command: ALL, SELECT, INSERT, UPDATE or DELETE
    + roles: whom it applies to; by default PUBLIC, which is everybody
    + using: which rows are seen
    + check: which rows may be written
    + permissive: False for a restrictive policy
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    **Example:**

    .. code:: python

        pg.policy(
            "sync_progress_select",
            "sync_progress",
            command="SELECT",
            roles=["authenticated"],
            using="org_id = (SELECT auth.current_org_id())",
        )
    """
    declaration = Policy(
        policy,
        table,
        command=command,
        roles=roles,
        using=using,
        check=check,
        permissive=permissive,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
