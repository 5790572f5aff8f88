"""The parser's C library is read as postgast, whose wheels bring it, reads it."""

from __future__ import annotations

import json
import re

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_postgres.syntax.libpg_query import ParseError, parse, scan

WORDS = [
    "SELECT",
    "größe",
    "'é'",
    "/* a\nb */",
    "-- ü\n",
    "$1",
    "::",
    "between",
    "1.5",
    '"A b"',
    "(",
]


@given(st.lists(st.sampled_from(WORDS), max_size=200).map(" ".join))
def test_tokens(text: str) -> None:
    assert scan(text) == [(one.start, one.end) for one in postgast.scan(text).tokens]


def test_a_tree_is_that_of_postgresql() -> None:
    found = json.loads(parse("SELECT 'é' AS größe; SELECT 2"))
    assert found["version"] // 10000 == 18
    names = [one["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"] for one in found["stmts"]]
    assert [one.get("name") for one in names] == ["größe", None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 'é", 'unterminated quoted string at or near "\'é"'),
        ('SELECT ""', 'zero-length delimited identifier at or near """"'),
        ("SELECT 1 \0 DROP TABLE t", "a NUL (0x00) byte, which PostgreSQL stores in no text,"),
        ("SELECT '\ud800'", "'\\ud800', which is no character of Unicode,"),
    ],
)
def test_what_is_no_sql(text: str, said: str) -> None:
    for read in (parse, scan):
        with pytest.raises(ParseError, match=f"^{re.escape(said)}$"):
            read(text)
