"""Which search path was in force for each statement of a server's log, and what it could find."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from harness import LogEntry
from pyinfra_postgres.syntax import libpg_query
from pyinfra_postgres.syntax.parse import split_statements

OWN = "pg_catalog, pg_temp"
# The names of what PostgreSQL looks for when it reads IN, BETWEEN, LIKE and the like.
_BEHIND = {"BETWEEN": ">=", "NOT BETWEEN": "<"}


def names_in(sql: str) -> set[str]:
    """The functions and operators without a schema that SQL calls, and the types that it names."""
    found: set[str] = set()
    for statement in json.loads(libpg_query.parse(sql))["stmts"]:
        found.update(_names(statement["stmt"]))
    return found


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _names(one)
    if not isinstance(node, dict):
        return
    for kind, inner in node.items():
        yield from _own_names(kind, inner)
        yield from _names(inner)


def _own_names(kind: str, node: Any) -> Iterator[str]:
    """What one node of a tree has PostgreSQL look for."""
    match kind, node:
        case "FuncCall", {"funcname": [{"String": {"sval": name}}]}:
            yield f"{name}()"
        case "A_Expr", {"name": [{"String": {"sval": name}}]}:
            yield _BEHIND.get(name, name)
        case "CaseExpr", {"arg": _}:
            yield "="
        case "TypeCast", {"typeName": {"names": [{"String": {"sval": name}}]}}:
            yield f"::{name}"
        case "DoStmt", {"args": args}:
            yield from _block(next(one["DefElem"] for one in args if "String" in str(one)))


def _block(element: dict[str, Any]) -> Iterator[str]:
    body = element["arg"]["String"]["sval"]
    function = f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $names${body}$names$"
    for query in _queries(json.loads(libpg_query.parse_plpgsql(function))):
        try:
            yield from names_in(query)
        except libpg_query.ParseError:
            yield from names_in(f"SELECT {query}")


def _queries(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _queries(one)
    elif isinstance(node, dict):
        if isinstance(node.get("query"), str):
            yield node["query"]
        for one in node.values():
            yield from _queries(one)


class Session:
    """The search path of one session, from its first statement on."""

    def __init__(self) -> None:
        self.path: str | None = None
        """None where it is what a role or a database sets."""
        self.local: str | None = None
        self.before: str | None = None
        self.in_transaction = False

    def message(self, sql: str) -> Iterator[tuple[str | None, str]]:
        """The statements of a message, each with the path under which it runs."""
        start = self.path
        for statement in split_statements(sql):
            yield self.local or self.path, statement
            self._follow(statement, start)
        if not self.in_transaction:
            self.local = None

    def _follow(self, statement: str, start: str | None) -> None:
        words = statement.rstrip(";").split()
        match [word.upper() for word in words[:3]]:
            case ["SET", "LOCAL", "SEARCH_PATH"]:
                self.local = " ".join(words[4:])
            case ["SET", "SEARCH_PATH", "="]:
                self.path = " ".join(words[3:])
            case ["DISCARD", *_]:
                self.path = self.local = None
            case ["BEGIN", *_]:
                self.in_transaction, self.before = True, start
            case ["ROLLBACK"]:
                self.path, self.local, self.in_transaction = self.before, None, False
            case ["COMMIT"]:
                self.local, self.in_transaction = None, False


class Replay:
    """The statements of a log, with the path of each."""

    def __init__(self, entries: Iterable[LogEntry]) -> None:
        sessions: dict[int, Session] = {}
        self.statements: list[tuple[str | None, str]] = []
        for entry in entries:
            if entry.statement is not None:
                session = sessions.setdefault(entry.pid, Session())
                self.statements += session.message(entry.statement)

    def check(self, fragments: set[str]) -> None:
        """Fail where a name could be found outside `pg_catalog` that no user's fragment has.

        Before the path is set there may be none, and beside a user's fragment only its own; a type
        is found in `pg_catalog` first under either path.
        """
        assert self.statements
        for path, statement in self.statements:
            if path == OWN:
                continue
            found = names_in(statement)
            if path is not None:
                found = {name for name in found if not name.startswith("::")} - fragments
            assert not found, f"under {path}: {sorted(found)} in {statement}"
