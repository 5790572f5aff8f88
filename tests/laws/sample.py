"""What the laws of arguments know of a declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """A class, arguments that it takes, and the statements that may become of it."""

    declaration: Callable[..., Any]
    arguments: dict[str, Any]
    statements: str = "CreateStmt AlterTableStmt CommentStmt"
