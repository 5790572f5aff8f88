"""Python values as SQL, and as a person reads them.

Pure: no I/O, no pyinfra state. All quoting is psycopg's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from attrs import field, frozen
from psycopg.types.json import Jsonb
from pyinfra.api import HiddenValue

from ..errors import DeclarationError
from . import given
from .names import literal, quoted
from .parse import Reference, closed, expression, expression_references, tree

_SCALARS = (str, int, float, Decimal, bool, date, time, timedelta, UUID, bytes)
_JSON_SCALARS = (bool, int, float, Decimal)
_LENGTHS = re.compile(r"(character varying|character|bit varying|bit)\(\d+\)")
_WITHOUT_LENGTH = {
    "character varying": "character varying",
    "character": "bpchar",
    "bit varying": "bit varying",
    "bit": '"bit"',
}
# Types without an equality of their own, or whose equality compares only sizes.
_COMPARED_AS_TEXT = frozenset(
    {
        *("box", "circle", "line", "lseg", "path", "point", "polygon", "jsonpath", "xml"),
        *("pg_snapshot", "refcursor", "txid_snapshot"),
    }
)
_LONGEST = 40


def _value(text: str) -> str:
    text = expression(text)
    if "SetToDefault" in tree(text):
        raise DeclarationError("DEFAULT is not a value: leave the column out of the row")
    return text


@frozen
class SQL:
    """A value that the server computes: one SQL expression."""

    expression: str = field(converter=_value)

    def references(self) -> tuple[Reference, ...]:
        """The tables, types and functions that it names."""
        return expression_references(self.expression)

    def reads_the_clock(self) -> bool:
        """Whether it is CURRENT_TIMESTAMP or one of its kin, which are no functions."""
        return bool(
            re.search(r"SVFOP_(CURRENT_DATE|CURRENT_TIME|LOCALTIME)", repr(tree(self.expression)))
        )


def check(what: str, value: Any) -> None:
    """Raise DeclarationError where a value has no SQL form."""
    plain = unmasked(value)
    if plain is None or isinstance(plain, SQL):
        return
    if not isinstance(plain, (*_SCALARS, list, tuple, dict)):
        raise DeclarationError(f"{what}: a value of type {type(plain).__name__} has no SQL form")
    _check_texts(what, plain)
    if isinstance(plain, list | tuple | dict):
        try:
            written(value, "jsonb")
        except DeclarationError as error:
            # An array may hold what JSON doesn't, dates for one.
            if isinstance(plain, dict) or not _is_written(value):
                raise DeclarationError(f"{what}: {error}") from None


def _check_texts(what: str, value: Any) -> None:
    """Raise DeclarationError where a nested value has a text that PostgreSQL can't store."""
    try:
        for part in _texts(unmasked(value)):
            given.text(what, part)
    except RecursionError:
        raise DeclarationError(f"{what}: the value is nested too deeply") from None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _is_written(value: Any) -> bool:
    try:
        written(value)
    except DeclarationError:
        return False
    return True


def unmasked(value: Any) -> Any:
    """The value itself where it is pyinfra's HiddenValue."""
    return value.unmask() if isinstance(value, HiddenValue) else value


def written(value: Any, type_: str | None = None) -> str:
    """The value as SQL; where the type is known, as a value of that type."""
    try:
        text = _literal(unmasked(value), type_)
    except Exception as error:
        # psycopg and json each have exceptions of their own for what they can't write.
        reason = str(error).splitlines()[0]
        kind = type_ or "SQL value"
        raise DeclarationError(f"{_shown(value)} can't be written as {kind}: {reason}") from None
    return f"CAST({text} AS {input_type(type_)})" if type_ else text


def forms(value: Any) -> Iterator[str]:
    """The texts in which a statement or a message may have the value, or a part of it."""
    plain = unmasked(value)
    if isinstance(plain, SQL):
        yield plain.expression
        return
    yield str(plain)
    if isinstance(plain, bytes):
        yield plain.hex()
    if isinstance(plain, str):
        yield json.dumps(plain)[1:-1]
        yield from filter(None, map(str.strip, plain.splitlines()))  # psql's messages are cut
    for type_ in (None, "jsonb"):
        with suppress(DeclarationError):
            text = written(plain, type_)
            yield text[text.find("'") + 1 : text.rfind("'")] if "'" in text else str(plain)
    if isinstance(plain, list | tuple | dict):
        for part in plain.values() if isinstance(plain, dict) else plain:
            yield from forms(part) if part is not None else ()


def _literal(value: Any, type_: str | None) -> str:
    if isinstance(value, SQL):
        return f"({closed(value.expression)})"
    if type_ in {"json", "jsonb"} and isinstance(value, (*_JSON_SCALARS, list, tuple, dict)):
        return literal(_json(value))
    if isinstance(value, dict):
        return literal(Jsonb(value))
    if isinstance(value, list | tuple):
        return literal(_nested(value))
    return literal(value)


def _json(value: Any) -> str:
    # JSON has no number that is infinite or none.
    if not isinstance(value, Decimal):
        return json.dumps(value, allow_nan=False)
    if not value.is_finite():
        raise ValueError(f"{value} is no number of JSON")
    return str(value)


def _nested(value: Any) -> Any:
    """A list whose dicts are marked as JSON for psycopg."""
    if isinstance(value, list | tuple):
        return [_nested(item) for item in value]
    return Jsonb(value) if isinstance(value, dict) else value


def input_type(type_: str) -> str:
    """The type without a length: a cast would cut a text that storing it refuses."""
    return _LENGTHS.sub(lambda match: _WITHOUT_LENGTH[match[1]], type_)


def split_array(type_: str) -> tuple[str, str]:
    """The type of an array's elements, and the brackets; other types have none."""
    element = type_.removesuffix("[]")
    return element, type_[len(element) :]


def comparable(sql: str, type_: str | None) -> str:
    """The SQL value as one that has an equality."""
    if type_ is None:
        return sql
    base, array = split_array(type_)
    if base == "json":
        return f"CAST({sql} AS jsonb{array})"
    return f"CAST({sql} AS text{array})" if base in _COMPARED_AS_TEXT else sql


def same(one: str, other: str) -> str:
    """SQL for whether two values of one type are the same, or both null.

    As `IS NOT DISTINCT FROM` tells, which would look for an operator in the search path.
    """
    return f"pg_catalog.record_eq(ROW({one}), ROW({other}))"


def shown(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Some values of a row in one line, each shortened."""
    return ", ".join(f"{quoted(column)}={_shown(values.get(column))}" for column in columns)


def _shown_json(value: Any) -> str:
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return given.shown(value)  # It has keys, or a depth, that JSON has not.


def _shown(value: Any) -> str:
    match value:
        case None:
            text = "NULL"
        case bool():
            text = str(value).lower()
        case SQL():
            text = f"({value.expression})"
        case bytes():
            text = f"\\x{value.hex()}"
        case dict() | list() | tuple():
            text = _shown_json(value)
        case _:
            text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
