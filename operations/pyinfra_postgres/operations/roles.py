"""The operation `role`.

https://www.postgresql.org/docs/current/sql-createrole.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import HiddenValue
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.access.roles import Membership, Role
from .arguments import Arguments
from .converge import converge, declared


def role(
    role: str,
    *,
    login: bool | None = None,
    superuser: bool | None = None,
    createdb: bool | None = None,
    createrole: bool | None = None,
    inherit: bool | None = None,
    replication: bool | None = None,
    bypassrls: bool | None = None,
    connection_limit: int | None = None,
    member_of: str | Membership | Iterable[str | Membership] = (),
    password: HiddenValue | None = None,
    comment: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a role. Attributes that are not given are left as they are.

    + role: its name
    + login, superuser, createdb, createrole, inherit, replication, bypassrls: its attributes
    + connection_limit: how many connections it may have, -1 for no limit
    + member_of: roles that it is a member of, or `pg.Membership(role, admin=..., inherit=...,
      set=..., present=...)`; other memberships are left alone
    + password: its password, or the SCRAM-SHA-256 verifier of one, as pyinfra's ``HiddenValue``.
      The server gets the verifier alone. Where the role that deploys may not read what the server
      keeps (only superusers may), it is set when the role is created, and left alone afterwards
    + comment: its comment, "" for none
    + present: whether it exists

    Roles belong to the server, not to a database.

    **Example:**

    .. code:: python

        pg.role("authenticated", login=False)
    """
    declaration = Role(
        role,
        login=login,
        superuser=superuser,
        createdb=createdb,
        createrole=createrole,
        inherit=inherit,
        replication=replication,
        bypassrls=bypassrls,
        connection_limit=connection_limit,
        member_of=member_of,
        password=password,
        comment=comment,
    )
    return converge(**declared([declaration], present, arguments))
