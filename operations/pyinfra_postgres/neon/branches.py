"""The branches of a Neon project, and what connects to one.

The inventory holds no credentials. A host fetches its own when it connects: for the branch, the
database and the role that its data name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from attrs import frozen
from psycopg import conninfo

from ..terminal import warn
from ..transport.endpoint import endpoint
from .api import Branch, Endpoint, Neon, NeonError, Project

REHEARSAL = "rehearsal-"
"""How the names of branches begin that a rehearsal makes."""
COPIES = "neon_rehearsal"
"""The group of the hosts that these are."""
_SHOWN = 8
_GIVEN = ("neon_project", "neon_branch", "neon_endpoint")
CHOICES = {
    "neon_database": "which database, where the branch has several",
    "neon_role": "the role to connect as; the database's owner where it is not given",
}
"""Host data that chooses among what a branch has."""


@frozen
class Place:
    """A branch that can be connected to."""

    project: Project
    branch: Branch
    endpoint: Endpoint
    parent: Branch | None

    @property
    def data(self) -> dict[str, str]:
        """What the host has to know to connect: ids, no secrets."""
        return dict(zip(_GIVEN, (self.project.id, self.branch.id, self.endpoint.id), strict=True))

    def groups(self) -> list[str]:
        """From the general to the particular, as data of a later group holds."""
        named = self.branch
        groups = ["neon", f"neon_{self.endpoint.state}"]
        if self.branch.name.startswith(REHEARSAL) and self.parent:
            # What holds for the original has to hold for its copy.
            groups.append(COPIES)
            named = self.parent
        groups += ["neon_default"] * named.default + ["neon_protected"] * named.protected
        # Not the project's name: in a project called production, staging is not production.
        return [*groups, named.name]


def connection_uri(data: Mapping[str, Any]) -> str:
    """What a host connects to, with its secrets. Raises NeonError."""
    for key in data:
        if key.startswith("neon_") and key not in (*_GIVEN, *CHOICES):
            raise NeonError(f"unknown host data {key}: known are {', '.join(CHOICES)}")
    neon = Neon.from_environment()
    project, branch, endpoint = (data[key] for key in _GIVEN)
    databases = {one.name: one.owner for one in neon.databases(project, branch)}
    database = _choice("database", databases, data.get("neon_database"))
    role = data.get("neon_role")
    if role is not None:
        role = _choice("role", neon.roles(project, branch), role)
    return verified(
        neon.connection_uri(project, branch, endpoint, database, role or databases[database])
    )


def verified(uri: str) -> str:
    """The URI without the API's `sslmode=require`, which would leave the server unverified."""
    given = conninfo.conninfo_to_dict(uri)
    without = {key: value for key, value in given.items() if key != "sslmode"}
    verifying = conninfo.make_conninfo("", **without)
    return verifying if endpoint(verifying).is_neon else uri


def _choice(kind: str, names: Iterable[str], given: str | None) -> str:
    """The chosen one of a branch's databases or roles. Raises NeonError."""
    known = list(names)
    if not known:
        raise NeonError(f"the branch has no {kind}")
    if given is None and len(known) > 1:
        raise NeonError(
            f"the branch has several {kind}s ({', '.join(known)}): choose one by the host data "
            f"neon_{kind}, as with --data neon_{kind}={known[0]}"
        )
    if given is not None and given not in known:
        raise NeonError(f"the branch has no {kind} {given}{_suggestion(given, known)}")
    return given or known[0]


@cache  # pyinfra makes an inventory twice
def targets(project_name: str, branch_name: str) -> tuple[Place, ...]:
    """The branches to connect to: one, or all that have compute. Raises NeonError."""
    neon = Neon.from_environment()
    project = find_project(neon, project_name)
    branches = neon.branches(project)
    endpoints = {endpoint.branch_id: endpoint for endpoint in neon.endpoints(project)}
    by_id = {branch.id: branch for branch in branches}
    if branch_name:
        chosen = [find_branch(project, branches, branch_name)]
    else:
        chosen = [branch for branch in branches if not branch.name.startswith(REHEARSAL)]
    idle = [branch.name for branch in chosen if branch.id not in endpoints]
    found = tuple(
        Place(project, branch, endpoints[branch.id], by_id.get(branch.parent_id or ""))
        for branch in chosen
        if branch.id in endpoints
    )
    without = f"no compute that takes writes in Neon project {project.name}"
    if not found:
        raise NeonError(f"{', '.join(idle) or 'no branch'}: {without}")
    if idle:
        warn(f"Left out, for there is {without}: {', '.join(idle)}")
    return found


def find_project(neon: Neon, text: str) -> Project:
    """The project of that id, or of that name. Raises NeonError."""
    if found := neon.project(text):
        return found
    named = [project for project in neon.projects(text) if project.name == text]
    if len(named) > 1:
        ids = ", ".join(project.id for project in named)
        raise NeonError(f"several Neon projects are called {text}: take one by its id, {ids}")
    if not named:
        names = [project.name for project in neon.projects()]
        raise NeonError(f"there is no Neon project {text}{_suggestion(text, names)}")
    return named[0]


def find_branch(project: Project, branches: Iterable[Branch], text: str) -> Branch:
    """The branch of that id or name. Raises NeonError."""
    known = {name: branch for branch in branches for name in (branch.id, branch.name)}
    if text not in known:
        names = [branch.name for branch in known.values()]
        raise NeonError(
            f"there is no branch {text} in Neon project {project.name}{_suggestion(text, names)}"
        )
    return known[text]


def _suggestion(text: str, names: Iterable[str]) -> str:
    known = sorted(set(names))
    close = get_close_matches(text, known, 1)
    if close:
        return f": did you mean {close[0]}?"
    more = [f"and {len(known) - _SHOWN} more"] * (len(known) > _SHOWN)
    return f": there is {', '.join(known[:_SHOWN] + more)}" if known else ""
