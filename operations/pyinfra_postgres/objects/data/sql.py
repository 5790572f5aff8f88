"""Any SQL: the way out where no kind of object fits.

https://www.postgresql.org/docs/current/sql-commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from attrs import field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import USERS_PINS
from ...comparison.asking import Ask
from ...comparison.compare import PENDING
from ...comparison.stored import known, under
from ...errors import DeclarationError, HostError
from ...hidden import shortened
from ...plan.plan import Hazard, Stage, Statement
from ...syntax import given
from ...syntax.fragments import single_query
from ...syntax.names import Name, identifier, parse_name
from ...syntax.parse import Node, Reference, references, split_statements, sql_text, statement
from ...syntax.paths import SearchPath
from ..kind import Object

_LONGEST_TITLE = 50
_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_SAVEPOINTS = frozenset({"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"})
_NEVER_IN_A_TRANSACTION = frozenset(
    {
        *("AlterSystemStmt", "CreatedbStmt", "DropdbStmt"),
        *("CreateTableSpaceStmt", "DropTableSpaceStmt"),
        *("CreateSubscriptionStmt", "AlterSubscriptionStmt", "DropSubscriptionStmt"),
    }
)
_SETS = re.compile(r"VariableSetStmt|set_config|DoStmt")
# What the transaction has set, by the parameter's name.
_OWN = {name.lower(): pin for pin in USERS_PINS for name in re.findall(r"SET LOCAL (\w+)", pin)}
_WHOLE_REINDEX = frozenset(
    {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}
)


def runs_alone(statement_: Node) -> bool:
    """Whether PostgreSQL refuses the statement inside a transaction."""
    ((kind, node),) = statement_.items()
    match kind:
        case "VacuumStmt":
            return bool(node.get("is_vacuumcmd"))
        case "IndexStmt" | "DropStmt":
            return bool(node.get("concurrent"))
        case "ReindexStmt":
            options = {option["DefElem"]["defname"] for option in node.get("params", ())}
            return "concurrently" in options or node["kind"] in _WHOLE_REINDEX
        case "ClusterStmt":
            return "relation" not in node
        case "AlterTableStmt":
            return any(
                command["AlterTableCmd"].get("def", {}).get("PartitionCmd", {}).get("concurrent")
                for command in node["cmds"]
            )
        case "AlterDatabaseStmt":
            options = {option["DefElem"]["defname"] for option in node.get("options", ())}
            return "tablespace" in options
        case _:
            return kind in _NEVER_IN_A_TRANSACTION


def refusal(statement_: Node) -> str | None:
    """Why a statement can't be part of a script; None where it can."""
    ((kind, node),) = statement_.items()
    match kind:
        case "TransactionStmt" if node["kind"] not in _SAVEPOINTS:
            return (
                "it begins or ends a transaction, and all of an operation is one already: "
                "leave it out"
            )
        case "VariableSetStmt" if not node.get("is_local"):
            return "it would outlive the transaction in the session: write SET LOCAL"
        case "DiscardStmt":
            return "it would reset the session that the deploy works in"
        case "CopyStmt" if "filename" not in node:
            return "COPY from or to the client has no data here: use pg.rows, or INSERT"
    return None


def _statements(text: str) -> tuple[str, ...]:
    found = tuple(split_statements(given.text("sql", sql_text(text))))
    if not found:
        raise DeclarationError("there is no SQL statement")
    for one in found:
        reason = refusal(statement(one))
        if reason:
            raise DeclarationError(f"{shortened(one, _LONGEST_TITLE)}: {reason}")
    return found


def _unless(text: str | None) -> str | None:
    return None if text is None else single_query(sql_text(text), "unless")


_PROVIDED = {
    **dict.fromkeys(("table", "view", "sequence"), "table"),
    **{kind: kind for kind in ("type", "function", "schema", "role")},
}
"""What a script can say that it provides, with the word that others need it by."""


def _provided(texts: str | Iterable[str]) -> tuple[Reference, ...]:
    return tuple(map(_reference, given.several("provides", texts, str)))


def _reference(text: str | Reference) -> Reference:
    if isinstance(text, Reference):
        return text
    kind, _, name = given.text("provides", text).strip().partition(" ")
    if kind not in _PROVIDED or not name.strip():
        kinds = ", ".join(_PROVIDED)
        raise given.refused("provides", f"a kind ({kinds}) and a name, like type public.t", text)
    if kind in {"schema", "role"}:
        return Reference(kind, Name("", identifier(name.strip())))
    return Reference(_PROVIDED[kind], parse_name(name.strip().removesuffix("()")))


@frozen
class Script(Object):
    """SQL statements that run every time, or until a query says that they have."""

    kind: ClassVar[str] = "sql"
    asks_rows: ClassVar[bool] = True
    runs: ClassVar[bool] = True

    statements: tuple[str, ...] = field(converter=_statements)
    unless: str | None = field(default=None, converter=_unless, kw_only=True)
    made: tuple[Reference, ...] = field(
        default=(), converter=_provided, alias="provides", kw_only=True
    )

    def key(self) -> Key:
        return (self.kind, *self.statements)

    @property
    def title(self) -> str:
        return f"{self.kind} {shortened('; '.join(self.statements), _LONGEST_TITLE)}"

    def lines(self) -> Iterator[str]:
        return iter(())

    def requires(self) -> Iterator[Reference]:
        """What queries name. Statements of other kinds may create what they name."""
        trees = [statement(text) for text in self.statements]
        if all(set(tree) <= _QUERIES for tree in trees):
            yield from references(trees)
            # What is written to has another form in the tree.
            targets = [
                node["relation"] for tree in trees for node in tree.values() if "relation" in node
            ]
            yield from references([{"RangeVar": target} for target in targets])
        if self.unless is not None:
            yield from references(statement(self.unless))

    def provides(self) -> Iterator[Reference]:
        for one in self.made:
            yield one
            if one.kind == "function" and one.name.schema == "public":
                yield Reference(one.kind, Name("", one.name.name))

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        """Itself where `unless` holds."""
        if self.unless is None:
            return None
        try:
            (holds,) = ask(
                under(
                    SearchPath.USERS,
                    f"SELECT pg_catalog.to_json(EXISTS (SELECT FROM (\n{self.unless}\n)"
                    ' AS answer ("?unless?") WHERE CAST("?unless?" AS boolean)))',
                )
            )
        except HostError as error:
            # Of what the plan creates there is nothing yet that could hold.
            named = references(statement(self.unless))
            if error.sqlstate in PENDING and known(named, catalog, ask).missing:
                return None
            raise
        return self if holds else None

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        """Nothing is known of what it does."""
        catalog.rows_change = True
        catalog.promised.update(self.provides())

    @staticmethod
    def diff(current: Script | None, declared: Script | None) -> Iterator[Statement]:
        """The statements in order; from the first on that runs alone, each runs on its own."""
        if declared is None or current == declared:
            return
        stage = Stage.MAIN
        hazards = (Hazard.NOT_IDEMPOTENT,) if declared.unless is None else ()
        for text in declared.statements:
            if runs_alone(statement(text)):
                stage = Stage.AFTER
            yield Statement(text, stage=stage, path=SearchPath.USERS, hazards=hazards)
        yield from map(Statement, _restored(declared.statements))


def _restored(texts: Sequence[str]) -> Iterator[str]:
    """What sets parameters for the transaction again that a script names and may have changed."""
    trees = " ".join(repr(statement(text)) for text in texts)
    if _SETS.search(trees):
        words = set(re.findall(r"\w+", trees.lower()))
        yield from (own for name, own in _OWN.items() if name in words)
