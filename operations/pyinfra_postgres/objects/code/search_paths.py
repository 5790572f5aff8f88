"""The search path of what runs with its owner's rights.

Whoever calls such a function decides what the names in its body mean, unless it sets a search path
in which only its owner and those whom the owner has to trust can create anything. `pg_temp`, which
is the caller's own, has to be named last: unnamed, it comes before all others for tables and types.
https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...catalog.catalog import SYSTEM, Forecast
from ...catalog.needs import is_superuser
from ...catalog.platforms import platform_of
from ...syntax.names import role_sql

_TEMPORARY = "pg_temp"
_CALLERS_OWN = ("", "$user", _TEMPORARY)
"""What stands for a schema of the caller's, or for none."""


def openings(path: Sequence[str] | None, owner: str, catalog: Forecast) -> Iterator[str]:
    """How a caller could have a function of this owner run other code than its own.

    `path` has the names of its search path, None where it sets none.
    """
    schemas = [one for one in path or () if one not in _CALLERS_OWN]
    if list(path or ()) != [*schemas, _TEMPORARY]:
        closed = ", ".join(f'"{one}"' if " " in one else one for one in schemas) or "pg_catalog"
        yield (
            "whoever calls it decides what names in it mean: declare "
            f"settings={{'search_path': '{closed}, {_TEMPORARY}'}}, with {_TEMPORARY} at the end"
        )
    for schema in schemas:
        creators = sorted(_creators(schema, catalog))
        if others := [one for one in creators if not _is_trusted(one, owner, catalog)]:
            yield (
                f"{', '.join(map(role_sql, others))} may create in schema {schema}, which "
                "its search path has: leave it out, and write the names in the body with it"
            )


def _creators(schema: str, catalog: Forecast) -> set[str]:
    """Who may create in a schema; of one that is not there, who may create it."""
    if schema in SYSTEM:
        return set()
    acl = catalog.acls.get(("SCHEMA", schema)) or catalog.acls["DATABASE", catalog.database]
    grantees = {grantee for grantee, privilege in acl.granted if privilege == "CREATE"}
    database_owner = catalog.acls["DATABASE", catalog.database].owner
    return {database_owner if one == "pg_database_owner" else one for one in {acl.owner, *grantees}}


def _is_trusted(role: str, owner: str, catalog: Forecast) -> bool:
    """Whether a role could do as much without the function."""
    return (
        role in {owner, catalog.role}
        or is_superuser(role, catalog)
        or platform_of(role) not in {None, "PostgreSQL"}
    )
