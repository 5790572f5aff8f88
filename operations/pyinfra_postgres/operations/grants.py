"""The operation `grant`.

https://www.postgresql.org/docs/current/sql-grant.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.access.grants import Grant
from .arguments import Arguments
from .converge import converge, declared


def grant(
    privileges: str | Iterable[str],
    *,
    on: str,
    to: str | Iterable[str],
    grant_option: bool = False,
    exact: bool = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare privileges.

    + privileges: privileges as in SQL: `SELECT`, `UPDATE (email)`, `ALL`
    + on: what they are on as in SQL: `TABLE sync_progress`, `SCHEMA auth`, `FUNCTION f(uuid)`,
      `ALL SEQUENCES IN SCHEMA public` (those that exist or are declared earlier)
    + to: roles, or PUBLIC
    + grant_option: whether they may grant them on
    + exact: whether these roles have no other privileges on it
    + present: whether they have them

    Only the difference is sent. Privileges that are not declared are left alone.

    **Example:**

    .. code:: python

        pg.grant(["SELECT", "INSERT"], on="TABLE sync_progress", to="authenticated")
    """
    declaration = Grant(privileges, on, to, grant_option=grant_option, exact=exact)
    return converge(**declared([declaration], present, arguments))
