"""Rows that are expected and rows that come: read, compared and shown.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from ..errors import DeclarationError
from ..operations.query import json_array
from ..syntax import given
from ..syntax.parse import closing, tokens
from ..syntax.values import unmasked

Rows: TypeAlias = list[tuple[Any, ...]]

MARK = "pyinfra-postgres answer "
"""What each row of an answer begins with."""


def answer_query(query: str) -> str:
    """The query such that each row is one marked text: a JSON array of its columns.

    What writes has to stay at the top, so the query's own WITH stays there, and the query itself
    becomes one more of its members.
    """
    found = tokens(query)
    position, recursive = 0, ""
    if found[0].text == "with":
        position = 1
        if found[1].text == "recursive":
            position, recursive = 2, " RECURSIVE"
        start = found[position].start
        position = _after_members(found, position)
        members = f"{query[start : found[position].start]}, "
    else:
        members = ""
    main = query[found[position].start :]
    return (
        f"WITH{recursive} {members}pyinfra_postgres_answer AS (\n{main}\n)\n"
        f"SELECT '{MARK}' OPERATOR(pg_catalog.||) {json_array('pyinfra_postgres_answer')} "
        "FROM pyinfra_postgres_answer"
    )


def _after_members(found: Sequence[Any], position: int) -> int:
    """The index of the token that follows the members of a WITH."""
    while True:
        position += 1
        if found[position].text == "(":
            position = closing(list(found), position) + 1
        while found[position].text != "(":
            position += 1
        position = closing(list(found), position) + 1
        if found[position].text in {"search", "cycle"}:
            raise DeclarationError("SEARCH and CYCLE: put the WITH query into a subquery")
        if found[position].text != ",":
            return position
        position += 1


def expected_row(what: str, row: object) -> tuple[Any, ...]:
    """An expected row as JSON has it."""
    if not isinstance(row, list | tuple):
        raise given.refused(f"{what}a row", "a tuple of its values", row)
    try:
        return tuple(map(_plain, row))
    except RecursionError:
        raise DeclarationError(f"{what}a value is nested too deeply") from None


def _plain(value: Any) -> Any:
    """An expected value as JSON has it."""
    value = unmasked(value)
    match value:
        case None | bool() | int() | str() | datetime() | date():
            return value
        case float() | Decimal():
            number = Decimal(str(value))
            if number.is_nan():
                return "NaN"
            # What JSON has no number for is text there.
            return number if number.is_finite() else str(number)
        case UUID():
            return str(value)
        case bytes():
            return f"\\x{value.hex()}"
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
    raise DeclarationError(f"a value of type {type(value).__name__} can't be compared")


def equal(expected: Any, got: Any) -> bool:
    """Whether rows, or values, are the same."""
    match expected, got:
        case (list() | tuple(), list() | tuple()):
            return len(expected) == len(got) and all(map(equal, expected, got))
        case (dict(), dict()):
            return expected.keys() == got.keys() and all(
                equal(expected[key], got[key]) for key in expected
            )
        case (date(), str()):
            try:
                return bool(type(expected).fromisoformat(got) == expected)
            except (TypeError, ValueError):
                return False
    # In Python true is 1; in PostgreSQL it is not.
    return isinstance(expected, bool) == isinstance(got, bool) and bool(expected == got)


def shown(value: Any) -> str:
    """A row, or a value, as a person reads it: in PostgreSQL's words."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"({', '.join(map(shown, value))})"
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case date():
            return f"'{value.isoformat()}'"
    return str(value)


def counted(rows: Sequence[object]) -> str:
    """How many rows there are."""
    return "1 row" if len(rows) == 1 else f"{len(rows)} rows"
