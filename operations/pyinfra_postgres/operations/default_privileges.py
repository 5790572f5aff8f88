"""The operation `default_privileges`.

https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.access.default_privileges import DefaultPrivileges
from .arguments import Arguments
from .converge import converge, declared


def default_privileges(
    privileges: str | Iterable[str],
    *,
    on: str,
    to: str | Iterable[str],
    in_schema: str | Iterable[str] | None = None,
    for_role: str | None = None,
    grant_option: bool = False,
    exact: bool = False,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare privileges on objects that are still to be created.

    + privileges: privileges as in SQL: `SELECT`, `ALL`
    + on: TABLES, SEQUENCES, FUNCTIONS, TYPES or SCHEMAS
    + to: roles, or PUBLIC
    + in_schema: the schemas; without them everywhere
    + for_role: the role that creates them; by default the one that runs the deploy
    + grant_option: whether they may grant them on
    + exact: whether these roles get no other privileges there
    + present: whether they get them

    What PUBLIC gets everywhere can only be taken away everywhere, not in one schema. Objects that
    the same run creates afterwards have these privileges, and `pg.grant` knows it.

    **Example:**

    .. code:: python

        pg.default_privileges("SELECT", on="TABLES", to="reporting", in_schema="shop")
    """
    declaration = DefaultPrivileges(
        privileges,
        on,
        to,
        in_schema=in_schema,
        for_role=for_role,
        grant_option=grant_option,
        exact=exact,
    )
    return converge(**declared([declaration], present, arguments))
