"""Which database a host leads to.

https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
"""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary

from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..catalog import snapshot as snapshots
from ..errors import HostError
from ..plan.document import Identity
from ..planning.session import Session
from ..transport.answer import NO_PRIVILEGE
from ..transport.scripts import reached

# What a setting is that not everybody may see, is not in the view for the others.
_QUERY = """
    SELECT json_build_array((SELECT system_identifier::text FROM pg_control_system()), oid::int8,
             datname, (SELECT setting FROM pg_settings WHERE name = 'neon.timeline_id'),
             EXISTS (SELECT FROM pg_roles WHERE rolname = 'neon_superuser'),
             pg_postmaster_start_time())
      FROM pg_database WHERE datname = current_database()"""
_ENDPOINT = re.compile(r"\bep-[a-z0-9]+(?:-[a-z0-9]+)*?(?=-pooler\b|[^a-z0-9-]|$)")

_SEEN: WeakKeyDictionary[State, dict[tuple[Identity, str], Host]] = WeakKeyDictionary()
"""The hosts of a run by their databases; a server is told from its copies by when it started."""


def identity(session: Session) -> Identity:
    """The database of a host, which no other host of the run may lead to. Raises HostError."""
    found, started = database_of(session)
    other = _SEEN.setdefault(session.state, {}).setdefault((found, started), session.host)
    if other is not session.host:
        raise HostError(f"it is the same database as {other.name}: a database has one plan")
    return found


def database_of(session: Session) -> tuple[Identity, str]:
    """The database of a host, and when its server started. Raises HostError."""
    answer = session.read(["BEGIN READ ONLY", *snapshots.PINS, _QUERY, "COMMIT"])
    if answer.failure and answer.failure.sqlstate == NO_PRIVILEGE:
        raise HostError(
            "which database it is can't be told: "
            "GRANT EXECUTE ON FUNCTION pg_control_system() to the role that deploys"
        )
    if answer.failure:
        raise HostError(f"which database it is can't be told: {answer.failure}")
    ((system, oid, name, timeline, is_neon, started),) = answer.values()
    branch = f"timeline {timeline}" if timeline else ""
    if is_neon and not branch:
        # All branches of a project have the same identifier and oid.
        endpoint = _ENDPOINT.search(reached(session.host))
        if endpoint is None:
            raise HostError(
                "which branch of Neon's it is can't be told: connect to its endpoint, ep-..., or "
                "as a role that may see neon.timeline_id"
            )
        branch = f"endpoint {endpoint[0]}"
    return Identity(system, oid, name, branch), started
