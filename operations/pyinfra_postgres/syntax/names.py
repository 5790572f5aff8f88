"""Identifiers: reading them as SQL writes them, and writing them as SQL reads them.

Pure: no I/O, no pyinfra state. See
https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from psycopg import DataError, sql

from ..errors import DeclarationError
from .given import is_storable, refused, several, shown

MAX_BYTES = 63

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\W\d][\w$]*))\s*')
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Those of pg_get_keywords() that a name can't be everywhere, as of PostgreSQL 18.
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
    boolean both case cast char character check coalesce collate collation column concurrently
    constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign freeze from full grant greatest group grouping
    having ilike in initially inner inout int integer intersect interval into is isnull join json
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif
    numeric offset on only or order out outer overlaps overlay placing position precision primary
    real references returning right row select session_user setof similar smallint some substring
    symmetric system_user table tablesample then time timestamp to trailing treat trim true union
    unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
_QUOTED_KEYWORDS = frozenset(_RESERVED_WORDS.split())
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Exact(str):
    """Text as the catalog has it: a folded name, a deparsed expression. Converters keep it."""

    __slots__ = ()


class Name(NamedTuple):
    """The name of an object in a schema, folded and unquoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def in_public(self) -> Name:
        """Itself, in `public` where it has no schema."""
        return self if self.schema else Name("public", self.name)


def parse_name(text: str | Name) -> Name:
    """Read `auth.users`, `"Weird Name"` or `users`; without a schema it is in `public`."""
    if isinstance(text, Name):
        return text
    match split(text):
        case [name]:
            return Name("public", name)
        case [schema, name]:
            return Name(schema, name)
        case parts:
            raise DeclarationError(
                f"{shown(text)} has {len(parts)} parts: write it as name or schema.name"
            )


def optional_name(text: str | Name | None) -> Name | None:
    """Read one name with or without a schema, if there is one."""
    return None if text is None else parse_name(text)


def split(text: str) -> tuple[str, ...]:
    """Split a dotted name into its parts, folded as PostgreSQL folds them.

    Raises DeclarationError where the text is no name, or a part is longer than 63 bytes.
    """
    if not isinstance(text, str):
        raise refused("a name", "text, as in SQL", text)
    return _parts(text)


@lru_cache(maxsize=65536)
def _parts(text: str) -> tuple[str, ...]:
    if not is_storable(text):
        raise DeclarationError(f"the name {shown(text)} has a null byte or a lone surrogate")
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        in_quotes, plain = match.groups()
        part = in_quotes.replace('""', '"') if in_quotes else plain.translate(_ASCII_LOWER)
        check_length(part)
        parts.append(part)
        position = match.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            break
        position += 1
    raise DeclarationError(
        f'{shown(text)} is not a name: write it as in SQL, with "double quotes" where it needs them'
    )


def check_length(name: str) -> None:
    """Raise DeclarationError where a name is empty, or one that PostgreSQL would cut."""
    size = len(name.encode())
    if not name:
        raise DeclarationError("a name is empty")
    if size > MAX_BYTES:
        raise DeclarationError(
            f"the name {shown(name)} has {size} bytes: PostgreSQL keeps {MAX_BYTES}, shorten it"
        )


def identifier(text: str) -> Exact:
    """Read one name without a schema: of a role, a column, a constraint."""
    if isinstance(text, Exact):
        return text
    parts = split(text)
    if len(parts) != 1:
        raise DeclarationError(f'{text!r} is qualified: write one name, or put it in "quotes"')
    return Exact(parts[0])


def optional_identifier(text: str | None) -> Exact | None:
    """Read one name, if there is one."""
    return None if text is None else identifier(text)


def identifiers(texts: str | Iterable[str]) -> tuple[Exact, ...]:
    """Read several names; one string is one name."""
    return tuple(map(identifier, several("a list of names", texts)))


@lru_cache(maxsize=65536)
def quoted(name: str) -> str:
    """The name as SQL needs it: quoted only where it must be."""
    if _PLAIN.fullmatch(name) and name not in _QUOTED_KEYWORDS:
        return name
    return sql.Identifier(name).as_string()


def listed(names: Iterable[str]) -> str:
    """Names for a SQL list."""
    return ", ".join(map(quoted, names))


def literal(value: object) -> str:
    """The value as a SQL literal. Raises DeclarationError where PostgreSQL can't store it."""
    try:
        return sql.Literal(value).as_string().strip()
    except (DataError, UnicodeError) as error:
        raise DeclarationError(f"{error}: {shown(value)}") from None


def role_sql(role: str) -> str:
    """A role where SQL takes PUBLIC too."""
    return "PUBLIC" if role == "public" else quoted(role)
