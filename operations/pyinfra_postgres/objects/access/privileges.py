"""What GRANT says: which privileges, on what, to whom.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/sql-grant.html
"""

from __future__ import annotations

from collections.abc import Iterable

from ...syntax import given
from ...syntax.fragments import Rule
from ...syntax.names import Exact, identifiers
from ...syntax.parse import closed

_PRIVILEGES = Rule(
    "list of privileges",
    "GRANT {} ON TABLE t TO r",
    "SELECT",
    "privileges",
    "them like SELECT or UPDATE (email)",
)
_ON = Rule(
    "thing to grant on",
    "GRANT SELECT ON {} TO r",
    "TABLE t",
    "objtype targtype objects",
    "what they are on like TABLE sync_progress or SCHEMA auth",
)


def privilege_list(texts: str | Iterable[str]) -> tuple[str, ...]:
    """Check privileges as SQL has them, one or several."""
    found = given.some("privileges", texts, "name them, or write ALL")
    for one in found:
        _PRIVILEGES.read(one)
    return tuple(map(closed, found))


def grantees(roles: str | Iterable[str]) -> tuple[Exact, ...]:
    """Read the roles to which something is granted."""
    return identifiers(given.some("to", roles, "name a role, or PUBLIC for everybody"))


def grant_target(text: str) -> str:
    """Check what privileges are on, as SQL has it."""
    _ON.read(text)
    return closed(text)
