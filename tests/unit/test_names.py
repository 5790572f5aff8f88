from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.syntax.names import (
    Exact,
    Name,
    identifier,
    identifiers,
    listed,
    literal,
    optional_identifier,
    parse_name,
    quoted,
    split,
)

ANY_NAME = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1).filter(
    lambda text: len(text.encode()) <= 63
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("users", ["users"]),
        ("Users", ["users"]),
        ("auth.Users", ["auth", "users"]),
        ('"Weird Name"', ["Weird Name"]),
        ('auth."has.dot"', ["auth", "has.dot"]),
        ('"a""b"', ['a"b']),
        (' auth . "x" ', ["auth", "x"]),
        ("_a1$", ["_a1$"]),
        ("Größe", ["größe"]),
        ("ÄÖ", ["ÄÖ"]),
        ("a.b.c", ["a", "b", "c"]),
        ("é" * 31 + "x", ["é" * 31 + "x"]),
    ],
)
def test_names_are_split_and_folded_as_sql_folds_them(text: str, parts: list[str]) -> None:
    assert split(text) == tuple(parts)


@pytest.mark.parametrize(
    "text",
    ["", " ", ".", "a.", ".a", "a..b", "1a", "a b", "a-b", '"a', 'a"', '""', "a;b", '"a"b', "a,b"],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="is not a name"):
        split(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * 64, "has 64 bytes"),
        ('"' + "é" * 32 + '"', "has 64 bytes"),
        ('"a\x00b"', "null byte"),
    ],
)
def test_names_that_postgresql_can_not_keep_are_refused(text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        split(text)


@given(ANY_NAME)
def test_a_quoted_name_is_read_as_it_is(name: str) -> None:
    assert split(quoted(name)) == (name,)
    assert identifier(quoted(name)) == name


@given(ANY_NAME, ANY_NAME)
def test_a_name_in_a_schema_is_read_as_it_is(schema: str, name: str) -> None:
    assert parse_name(str(Name(schema, name))) == Name(schema, name)
    assert split(f"{quoted(schema)}.{quoted(name)}") == (schema, name)


def test_a_name_without_a_schema_is_public() -> None:
    assert parse_name("users") == Name("public", "users")
    assert parse_name(Name("auth", "Users")) == Name("auth", "Users")
    with pytest.raises(DeclarationError, match="3 parts"):
        parse_name("a.b.c")


def test_an_identifier_is_one_name() -> None:
    assert identifier("Id") == "id"
    assert identifier(Exact("Id")) == "Id"
    assert optional_identifier(None) is None
    assert identifiers("Id") == ("id",)
    assert identifiers(["Id", '"Id"']) == ("id", "Id")
    with pytest.raises(DeclarationError, match="is qualified"):
        identifier("a.b")


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("users", "users"),
        ("Users", '"Users"'),
        ("select", '"select"'),
        ("left", '"left"'),
        ("values", '"values"'),
        ("name", "name"),
        ("1st", '"1st"'),
        ("a b", '"a b"'),
        ('a"b', '"a""b"'),
        ("größe", '"größe"'),
        ("a\n", '"a\n"'),
    ],
)
def test_a_name_is_quoted_only_where_it_must_be(name: str, sql: str) -> None:
    assert quoted(name) == sql


def test_a_list_of_names() -> None:
    assert listed(["a", "B", "user"]) == 'a, "B", "user"'


@pytest.mark.parametrize(
    ("value", "sql"),
    [("it's", "'it''s'"), ("a\\b", "E'a\\\\b'"), ("", "''"), (5, "5"), (None, "NULL")],
)
def test_literals(value: object, sql: str) -> None:
    assert literal(value) == sql
