"""A server that answers like Neon's API, and whose branches are databases of a test's server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from harness.servers import Database, Databases

Reply: TypeAlias = tuple[int, dict[str, Any]]
Query: TypeAlias = dict[str, str]

TOKEN = "napi_s3cret-token"
PASSWORD = "s3cret-neon-password"


@dataclass(frozen=True)
class Fault:
    """What one request gets instead of its answer."""

    method: str
    part: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"message": "not now", "request_id": "req-fault"}'
    after: bool = False
    """Whether the request is carried out all the same."""


@dataclass
class FakeBranch:
    """A branch with its databases."""

    id: str
    name: str
    databases: dict[str, Database]
    parent_id: str | None = None
    default: bool = False
    protected: bool = False
    expires_at: str | None = None
    endpoint: str | None = "idle"
    role: str = "postgres"
    password: str = PASSWORD

    def shown(self) -> dict[str, Any]:
        names = ("id", "name", "parent_id", "default", "protected", "expires_at")
        return {name: getattr(self, name) for name in names}

    def uri(self, database: str) -> str:
        credentials = f"{self.role}:{self.password}@"
        return self.databases[database].dsn.replace("postgres@", credentials, 1)


@dataclass
class FakeProject:
    """A project with its branches."""

    id: str
    name: str
    branches: list[FakeBranch] = field(default_factory=list)

    def branch(self, name: str) -> FakeBranch:
        found = {key: one for one in self.branches for key in (one.id, one.name)}
        return found[name]


class FakeNeon:
    """Projects, branches and operations; lists come in pages of two, operations end late."""

    page = 2
    polls = 2
    """How often an operation is asked for until it has ended."""
    last = "finished"
    """How operations end."""

    def __init__(self, databases: Databases | None = None) -> None:
        self._databases = databases
        self.projects: list[FakeProject] = []
        self.operations: dict[str, list[str]] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.on_create: Callable[[FakeBranch], None] = lambda _: None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_request(self) -> None:
                fake.handle(self)

            do_GET = do_POST = do_DELETE = handle_request  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs."""
        host, port = self._server.server_address[:2]
        address = f"http://{host!s}:{port}/api/v2"
        return {"NEON_API_KEY": TOKEN, "NEON_API_HOST": address, "NO_PROXY": str(host)}

    @property
    def databases(self) -> Databases:
        """Where branches get their databases."""
        assert self._databases
        return self._databases

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def project(self, name: str, *branches: str) -> FakeProject:
        """One more project; its first branch is the default one, and the parent of the others."""
        project = FakeProject(f"{name}-{secrets.token_hex(4)}", name)
        for branch in branches:
            self.branch(project, branch)
        self.projects.append(project)
        return project

    def branch(self, project: FakeProject, name: str, **fields: Any) -> FakeBranch:
        """One more branch, with an empty database."""
        first = project.branches[0].id if project.branches else None
        fields = {"parent_id": first, "default": first is None, **fields}
        if "databases" not in fields:
            fields["databases"] = {"app": self.databases()} if self._databases else {}
        branch = FakeBranch(f"br-{name.replace('/', '-')}-{secrets.token_hex(4)}", name, **fields)
        project.branches.append(branch)
        return branch

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        url = urlsplit(request.path)
        path = [unquote(part) for part in url.path.removeprefix("/api/v2/").split("/")]
        self.requests.append(f"{request.command} {request.path.removeprefix('/api/v2')}")
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length)) if length else {}
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        fault = next((one for one in self.faults if self._meets(one, request)), None)
        if fault:
            self.faults.remove(fault)
        if fault is None or fault.after:
            authorized = request.headers.get("Authorization") == f"Bearer {TOKEN}"
            status, answer = (
                self._answer(request.command, path, query, body)
                if authorized
                else (401, {"message": "This request requires an API key", "request_id": "req-401"})
            )
        if fault and not fault.status:
            request.close_connection = True
            return
        text = fault.body if fault else json.dumps(answer)
        request.send_response(fault.status if fault else status)
        for key, value in (fault.headers if fault else {}).items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(text.encode())))
        request.end_headers()
        request.wfile.write(text.encode())

    @staticmethod
    def _meets(fault: Fault, request: BaseHTTPRequestHandler) -> bool:
        return fault.method == request.command and fault.part in request.path

    def _answer(self, method: str, path: list[str], query: Query, body: Any) -> Reply:
        try:
            found = self._found(method, path, query, body)
        except KeyError:
            found = None
        return found or (404, {"message": "not found", "request_id": "req-404", "code": ""})

    def _found(self, method: str, path: list[str], query: Query, body: Any) -> Reply | None:
        if path == ["projects"]:
            found = [
                {"id": one.id, "name": one.name}
                for one in self.projects
                if query.get("search", "") in f"{one.id} {one.name}"
            ]
            return self._paged("projects", "cursor", found, query)
        project = next((one for one in self.projects if one.id == path[1]), None)
        if project is None:
            return None
        match method, path[2:]:
            case "GET", []:
                return 200, {"project": {"id": project.id, "name": project.name}}
            case "GET", ["branches"]:
                shown = [branch.shown() for branch in project.branches]
                return self._paged("branches", "next", shown, query)
            case "POST", ["branches"]:
                return self._create(project, body)
            case "GET", ["endpoints"]:
                return 200, {"endpoints": [*_endpoints(project)]}
            case "GET", ["connection_uri"]:
                assert query["pooled"] == "false"
                branch = project.branch(query["branch_id"])
                if branch.role != query["role_name"]:
                    return None
                return 200, {"uri": branch.uri(query["database_name"])}
            case "GET", ["operations", name]:
                statuses = self.operations[name]
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                return 200, {"operation": {"id": name, "action": "work", "status": status}}
            case "GET", ["branches", name, "databases"]:
                branch = project.branch(name)
                owned = [{"name": one, "owner_name": branch.role} for one in branch.databases]
                return 200, {"databases": owned}
            case "GET", ["branches", name, "roles"]:
                return 200, {"roles": [{"name": project.branch(name).role}]}
            case "DELETE", ["branches", name]:
                return self._delete(project, name)
        return None

    def _paged(self, key: str, cursor: str, found: list[Any], query: Query) -> Reply:
        start = int(query.get("cursor", "0"))
        shown = found[start : start + self.page]
        # As Neon does, the last page has a cursor too, and an empty page follows.
        pagination = {cursor: str(start + len(shown))} if shown else {}
        return 200, {key: shown, "pagination": pagination}

    def _create(self, project: FakeProject, body: Any) -> Reply:
        asked = body["branch"]
        parent = project.branch(asked["parent_id"])
        copies = {name: self.databases(copy_of=one) for name, one in parent.databases.items()}
        branch = self.branch(
            project,
            asked["name"],
            parent_id=parent.id,
            default=False,
            expires_at=asked.get("expires_at"),
            databases=copies,
            endpoint="active" if body.get("endpoints") else None,
            # As for the child of a protected branch, whose passwords are its own.
            password=f"{PASSWORD}-{secrets.token_hex(4)}",
        )
        self.on_create(branch)
        return 201, {"branch": branch.shown(), "operations": [self._begin("create_branch")]}

    def _delete(self, project: FakeProject, name: str) -> Reply:
        branch = project.branch(name)
        project.branches.remove(branch)
        for database in branch.databases.values():
            self.databases.drop(database)
        return 200, {"branch": branch.shown(), "operations": [self._begin("delete_timeline")]}

    def _begin(self, action: str) -> dict[str, str]:
        name = secrets.token_hex(8)
        self.operations[name] = [*["running"] * (self.polls - 1), self.last]
        return {"id": name, "action": action, "status": "scheduling"}


def _endpoints(project: FakeProject) -> list[dict[str, Any]]:
    return [
        {
            "id": f"ep-{branch.id}",
            "branch_id": branch.id,
            "type": kind,
            "current_state": branch.endpoint,
            "disabled": False,
        }
        for branch in project.branches
        if branch.endpoint
        for kind in ("read_only", "read_write")
    ]
