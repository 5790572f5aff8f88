"""Neon's API, as far as this package needs it.

Nothing here shows the token or a connection string. https://api-docs.neon.tech/reference
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote

import httpx2
from attrs import field, frozen

from ..foreign import Fields, ForeignError, parsed, unambiguous
from ..hidden import note, shortened
from ..terminal import printable, tell

TOKEN = "NEON_API_KEY"  # noqa: S105  (a variable's name)
ADDRESS = "NEON_API_HOST"
ORGANIZATION = "NEON_ORG_ID"

_PUBLIC = "https://console.neon.tech/api/v2"
_TIMEOUT = httpx2.Timeout(30, connect=10)
_ATTEMPTS = 8
_LONGEST_DELAY = 30.0
_LONGEST = 500
"""Characters of what it says that are shown."""
_PAGE = 100
# The request was not begun: any may be sent again.
_NOT_BEGUN = frozenset({HTTPStatus.LOCKED, HTTPStatus.TOO_MANY_REQUESTS})
_FOR_THE_MOMENT = _NOT_BEGUN | {
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_LOST = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
_IDEMPOTENT = frozenset({"GET", "DELETE"})
_OPERATION_PATIENCE = 300.0
_ENDED_WELL = frozenset({"finished", "skipped"})
_ENDED_BADLY = frozenset({"failed", "error", "cancelled"})


class NeonError(Exception):
    """What Neon's API refused, or why it could not be asked: one line."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(printable(message))
        self.status = status


def _unread(what: str) -> NeonError:
    return NeonError(f"Neon's API answered {what}, which this version needs")


@frozen
class Project:
    """A project."""

    id: str
    name: str

    @classmethod
    def read(cls, data: Fields) -> Self:
        """The project in an answer."""
        return cls(data.text("id"), data.text("name"))


@frozen
class Branch:
    """A branch of a project."""

    id: str
    name: str
    parent_id: str | None
    default: bool
    protected: bool
    expires_at: str | None

    @classmethod
    def read(cls, data: Fields) -> Self:
        """The branch in an answer."""
        return cls(
            data.text("id"),
            data.text("name"),
            data.text_or_none("parent_id"),
            data.is_on("default"),
            data.is_on("protected"),
            data.text_or_none("expires_at"),
        )


@frozen
class Endpoint:
    """The compute that a branch is reached through."""

    id: str
    branch_id: str
    state: str


@frozen
class Database:
    """A database of a branch."""

    name: str
    owner: str


@frozen
class Neon:
    """A client, with timeouts, and bounded retries of what may be repeated."""

    _client: httpx2.Client = field(repr=False)
    _organization: str | None = None
    _say: Callable[[str], None] = tell
    """Told of every retry."""
    _delay: float = 0.5

    @classmethod
    @cache
    def from_environment(cls) -> Self:
        """The client of this run. Raises NeonError where NEON_API_KEY is not set."""
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise NeonError(f"{TOKEN} is not set: make an API key in Neon's console and export it")
        if not token.isascii() or not token.isprintable() or " " in token:
            # The client library would quote it.
            raise NeonError(f"{TOKEN} is no API key: it has characters that no key has")
        note(token)
        address = os.environ.get(ADDRESS) or _PUBLIC
        if not address.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise NeonError(f"{ADDRESS} must begin with https://, or the key would be readable")
        client = httpx2.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_TIMEOUT,
        )
        return cls(client, os.environ.get(ORGANIZATION) or None)

    def project(self, id: str) -> Project | None:
        """The project of an id, if the token may see one."""
        try:
            return Project.read(self._ask("GET", f"/projects/{_part(id)}").part("project"))
        except NeonError as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                return None
            raise

    def projects(self, search: str | None = None) -> Iterator[Project]:
        """The projects, or those whose name or id contains a text."""
        organization = self._organization
        for data in self._pages("/projects", "projects", search=search, org_id=organization):
            yield Project.read(data)

    def branches(self, project: Project) -> list[Branch]:
        """The branches of a project."""
        path = f"/projects/{_part(project.id)}/branches"
        return [Branch.read(data) for data in self._pages(path, "branches")]

    def endpoints(self, project: Project) -> list[Endpoint]:
        """The endpoints that take writes, one for a branch at most."""
        found = self._ask("GET", f"/projects/{_part(project.id)}/endpoints").each("endpoints")
        return [
            Endpoint(data.text("id"), data.text("branch_id"), data.text("current_state"))
            for data in found
            if data.text("type") == "read_write" and not data.is_on("disabled")
        ]

    def databases(self, project_id: str, branch_id: str) -> list[Database]:
        """The databases of a branch."""
        path = f"/projects/{_part(project_id)}/branches/{_part(branch_id)}/databases"
        found = self._ask("GET", path).each("databases")
        return [Database(data.text("name"), data.text("owner_name")) for data in found]

    def roles(self, project_id: str, branch_id: str) -> list[str]:
        """The names of a branch's roles that can connect."""
        path = f"/projects/{_part(project_id)}/branches/{_part(branch_id)}/roles"
        return [data.text("name") for data in self._ask("GET", path).each("roles")]

    def connection_uri(
        self, project_id: str, branch_id: str, endpoint_id: str, database: str, role: str
    ) -> str:
        """The URI of a direct connection, with the role's password."""
        parameters = {
            "branch_id": branch_id,
            "endpoint_id": endpoint_id,
            "database_name": database,
            "role_name": role,
            "pooled": "false",
        }
        path = f"/projects/{_part(project_id)}/connection_uri"
        return self._ask("GET", path, parameters).text("uri")

    def create_branch(
        self, project: Project, parent: Branch, name: str, expires_at: datetime
    ) -> Branch:
        """Make a branch with compute, and wait until it can be connected to."""
        answer = self._ask(
            "POST",
            f"/projects/{_part(project.id)}/branches",
            body={
                "branch": {
                    "parent_id": parent.id,
                    "name": name,
                    "expires_at": expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                "endpoints": [{"type": "read_write"}],
            },
        )
        self._finish(project, answer)
        return Branch.read(answer.part("branch"))

    def delete_branch(self, project: Project, branch: Branch) -> None:
        """Delete a branch, and wait until it is gone; one that is gone already is no error."""
        path = f"/projects/{_part(project.id)}/branches/{_part(branch.id)}"
        try:
            self._finish(project, self._ask("DELETE", path))
        except NeonError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _finish(self, project: Project, answer: Fields) -> None:
        """Wait until the operations that an answer names have ended."""
        deadline = time.monotonic() + _OPERATION_PATIENCE
        for started in answer.each_if_any("operations"):
            operation, pause = started, self._delay / 2
            while (status := operation.text("status")) not in _ENDED_WELL:
                id = operation.text("id")
                what = f"Neon's operation {operation.text('action')} ({id})"
                if status in _ENDED_BADLY:
                    reason = operation.text_or_none("error") or status
                    raise NeonError(f"{what} has failed: {reason}")
                if time.monotonic() > deadline:
                    raise NeonError(f"{what} is still {status} after {_OPERATION_PATIENCE:g} s")
                time.sleep(pause)
                pause = min(2.0, pause * 1.5)
                path = f"/projects/{_part(project.id)}/operations/{_part(id)}"
                operation = self._ask("GET", path).part("operation")

    def _pages(self, path: str, key: str, **given: str | None) -> Iterator[Fields]:
        """The items of all pages of a list."""
        cursor: str | None = None
        seen: set[str | None] = set()
        while True:
            answer = self._ask("GET", path, {**given, "limit": str(_PAGE), "cursor": cursor})
            found = list(answer.each(key))
            yield from found
            # Projects and branches call it differently; the last page may have one too.
            pagination = answer.part_if_any("pagination")
            seen.add(cursor)
            cursor = pagination.text_or_none("cursor") or pagination.text_or_none("next")
            if not cursor or cursor in seen or not found:
                return

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | None] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Fields:
        """Send a request, again where that is safe and may help. Raises NeonError."""
        given = {key: value for key, value in (parameters or {}).items() if value is not None}
        repeatable = method in _IDEMPOTENT
        for attempt in range(1, _ATTEMPTS + 1):
            response = None
            try:
                response = self._client.request(method, path, params=given, json=body)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                again = isinstance(error, _LOST if repeatable else _NOT_SENT)
                reason = f"Neon's API at {self._client.base_url}: {_reason(error)}"
                status = None
            else:
                if response.is_success:
                    return _json(response)
                again = response.status_code in (_FOR_THE_MOMENT if repeatable else _NOT_BEGUN)
                reason, status = _refusal(response), response.status_code
            if not again or attempt == _ATTEMPTS:
                raise NeonError(reason, status)
            delay = self._pause(attempt, response)
            self._say(f"{reason}; try {attempt + 1} of {_ATTEMPTS} in {delay:.1f} s")
            time.sleep(delay)
        raise AssertionError("unreachable")

    def _pause(self, attempt: int, response: httpx2.Response | None) -> float:
        """Seconds until the next try: what the server asks for, else more each time."""
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if asked.isdecimal():
            return min(_LONGEST_DELAY, float(asked))
        return min(8.0, self._delay * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def _part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def _json(response: httpx2.Response) -> Fields:
    if response.status_code == HTTPStatus.NO_CONTENT:
        return Fields({}, _unread)
    try:
        found = parsed(response.content, object_pairs_hook=unambiguous)
    except ForeignError as error:
        raise NeonError(f"Neon's API at {response.url.host} answered with {error}") from None
    if not isinstance(found, dict):
        raise NeonError(
            f"Neon's API at {response.url.host} answered with something else than JSON of an object"
        )
    return Fields(found, _unread)


def _refusal(response: httpx2.Response) -> str:
    """What the API says of a request that it refuses, with what its support asks for."""
    message, request = response.reason_phrase, None
    with suppress(NeonError):
        said = _json(response)
        request = said.text_or_none("request_id")
        message = said.text("message")
    request = request or response.headers.get("x-neon-ret-request-id")
    place = f"HTTP {response.status_code}{f', request {request}' if request else ''}"
    hint = ""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        hint = f"; is {TOKEN} right?"
    elif "org_id" in message:
        hint = f"; set {ORGANIZATION}"
    return f"Neon's API: {shortened(message, _LONGEST)} ({place}){hint}"


def _reason(error: Exception) -> str:
    return shortened(str(error), _LONGEST) or type(error).__name__
