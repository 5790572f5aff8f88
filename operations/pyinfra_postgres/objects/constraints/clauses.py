"""The clauses of constraints that are fragments of SQL: REFERENCES, ON DELETE, ON UPDATE, WITH.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import DeclarationError
from ...syntax.fragments import Rule
from ...syntax.given import shown
from ...syntax.names import Exact, Name, quoted
from ...syntax.parse import Node, relation_name

_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
_STORED_ACTIONS = dict(zip("arcnd", _ACTIONS, strict=True))
_ON_DELETE = Rule(
    "action",
    "CREATE TABLE t (FOREIGN KEY (c) REFERENCES t ON DELETE {})",
    "SET NULL",
    "fk_del_action fk_del_set_cols",
    f"it as one of {', '.join(_ACTIONS)}, or like SET NULL (author)",
)
_ON_UPDATE = Rule(
    "action",
    "CREATE TABLE t (FOREIGN KEY (c) REFERENCES t ON UPDATE {})",
    "SET NULL",
    "fk_upd_action",
    f"it as one of {', '.join(_ACTIONS)}",
)
_REFERENCES = Rule(
    "table with columns",
    "CREATE TABLE t (c int REFERENCES {})",
    "t",
    "pktable pk_attrs",
    "it like organization(id), and actions as arguments, like "
    "pg.ForeignKey(..., on_delete='SET NULL')",
)
_OPERATOR = Rule(
    "operator", "ALTER TABLE t ADD EXCLUDE (c WITH {})", "=", "exclusions", "it like = or &&"
)


class Referenced(NamedTuple):
    """What a foreign key refers to."""

    table: Name
    columns: tuple[Exact, ...]


def _foreign_key(rule: Rule, text: str) -> Node:
    """What a fragment says of a foreign key."""
    (element,) = rule.read(text)["CreateStmt"]["tableElts"]
    if "ColumnDef" in element:
        (element,) = element["ColumnDef"]["constraints"]
    return element["Constraint"]  # type: ignore[no-any-return]


def update_action(text: str) -> str:
    """What ON UPDATE does."""
    return _STORED_ACTIONS[_foreign_key(_ON_UPDATE, text)["fk_upd_action"]]


def delete_action(text: str) -> tuple[str, frozenset[Exact]]:
    """What ON DELETE does, and the columns that it names."""
    found = _foreign_key(_ON_DELETE, text)
    columns = frozenset(map(_folded, found.get("fk_del_set_cols", ())))
    return _STORED_ACTIONS[found["fk_del_action"]], columns


def target(references: str | Referenced) -> Referenced:
    """The table and columns of `schema.table(column, ...)`."""
    if isinstance(references, Referenced):
        return references
    found = _foreign_key(_REFERENCES, references)
    columns = tuple(map(_folded, found.get("pk_attrs", ())))
    return Referenced(relation_name(found["pktable"]), columns)


def _folded(part: Node) -> Exact:
    """A name in a parse tree."""
    return Exact(part["String"]["sval"])


def operator(text: str) -> str:
    """An operator as PostgreSQL prints it: by its name where it is its own or in `public`."""
    node = _OPERATOR.read(text)["AlterTableStmt"]
    exclusions = node["cmds"][0]["AlterTableCmd"]["def"]["Constraint"]["exclusions"]
    if len(exclusions) > 1:
        raise DeclarationError(f"{shown(text)} is more than an operator: give each its column")
    names = [part["String"]["sval"] for part in exclusions[0]["List"]["items"][1]["List"]["items"]]
    if len(names) == 1 or names[0] in {"pg_catalog", "public"}:
        return str(names[-1])
    return f"OPERATOR({quoted(names[0])}.{names[1]})"
