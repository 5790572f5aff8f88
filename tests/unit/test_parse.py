from __future__ import annotations

import pytest

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.code.functions import Function
from pyinfra_postgres.syntax.names import Exact, Name
from pyinfra_postgres.syntax.parse import (
    Reference,
    closing,
    expression,
    expression_references,
    is_serial,
    references,
    role_references,
    same_expression,
    split_statements,
    statement,
    statements,
    tokens,
    type_name,
    type_references,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("int", "integer"),
        ("TIMESTAMPTZ(3)", "timestamp(3) with time zone"),
        ("varchar(5)[]", "character varying(5)[]"),
        ("state", "public.state"),
        ("auth.State[][]", "auth.state[]"),
        ('"My Type"', 'public."My Type"'),
        ("vector(3)", "public.vector(3)"),
        ("numeric(5)", "numeric(5,0)"),
        ("interval day to second(3)", "interval day to second(3)"),
    ],
)
def test_types_are_written_in_full(text: str, name: str) -> None:
    assert type_name(text) == name
    assert type_name(Exact("left alone")) == "left alone"


@pytest.mark.parametrize(
    "text", ["", "int int", "int)", "int; drop table t", "5", "int) FROM (t", "int AS x"]
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="is not a type"):
        type_name(text)


def test_a_type_that_follows_a_column_is_refused() -> None:
    with pytest.raises(DeclarationError, match="name the type itself"):
        Function("f", "a t.c%TYPE")


def test_serial_is_an_integer() -> None:
    assert is_serial("serial") == "integer"
    assert is_serial(" BIGSERIAL ") == "bigint"
    assert is_serial("integer") is None


@pytest.mark.parametrize("text", ["int", "pg_catalog.int4", "text[]", "interval day"])
def test_postgresqls_own_types_need_nothing(text: str) -> None:
    assert list(type_references(text)) == []


def test_a_users_type_has_to_exist() -> None:
    assert list(type_references("auth.state[]")) == [Reference("type", Name("auth", "state"))]


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1",
        "a -- remark",
        "'x' /* remark */",
        "CASE WHEN a THEN b END",
        "(SELECT 1)",
        "a IN (1)",
    ],
)
def test_expressions(text: str) -> None:
    assert expression(f"  {text} ") == text


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "a; b", "a) , (b", "1 AS x", "a FROM t", "a) FROM t WHERE (b", "-- only a remark"],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError):
        expression(text)


def test_an_error_shows_the_users_text_alone() -> None:
    with pytest.raises(DeclarationError) as caught:
        expression("length(")
    assert "SELECT" not in str(caught.value)
    assert "'length('" in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a=1", "a = 1", True),
        ("A = 1", "a = 1", True),
        ("(a) = 1", "a = 1", True),
        ("a = 1 -- remark", "a = 1", True),
        ("a = 1", "a = 2", False),
        ("'A'", "'a'", False),
        ("a + 1 * 2", "(a + 1) * 2", False),
        ("nonsense (", "a", False),
    ],
)
def test_expressions_of_one_tree_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_expression(one, other) is same


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now()", {"function now()"}),
        ("auth.uid() = id", {"function auth.uid()"}),
        ("a IN (SELECT id FROM organization)", {"table public.organization"}),
        ("x = 'a'::auth.state", {"type auth.state"}),
        ("x = 'a'::text", set()),
        (
            "EXISTS (WITH w AS (SELECT 1 FROM t) SELECT 1 FROM w, auth.u)",
            {"table public.t", "table auth.u"},
        ),
        ("exists (select from pg_roles, pg_catalog.pg_class)", set()),
        ("pg_catalog.now()", {"function pg_catalog.now()"}),
    ],
)
def test_what_an_expression_needs(text: str, expected: set[str]) -> None:
    assert {str(one) for one in expression_references(text)} == expected


def test_names_of_with_queries_are_no_tables() -> None:
    found = references(statement("SELECT * FROM a, b"), frozenset({"a"}))
    assert list(found) == [Reference("table", Name("public", "b"))]


def test_roles_that_sql_knows_by_a_keyword_need_nothing() -> None:
    found = role_references("a", None, "public", "current_user", "B")
    assert [str(one) for one in found] == ["role a", 'role "B"']


def test_statements_are_sliced_from_their_text() -> None:
    text = "SELECT 'é;' ;\n-- remark\nSELECT 2;;  SELECT 3 -- end"
    found = [one.strip() for one in split_statements(text)]
    assert found == ["SELECT 'é;'", "SELECT 2", "SELECT 3 -- end"]
    assert len(statements(text)) == 3
    with pytest.raises(DeclarationError, match="found 3"):
        statement(text)
    with pytest.raises(DeclarationError, match="syntax error"):
        split_statements("SELEC 1")


def test_places_of_tokens_are_characters() -> None:
    text = "größe('é', (1))"
    found = tokens(text)
    assert [text[one.start : one.end] for one in found][:2] == ["größe", "("]
    assert found[closing(found, 1)].end == len(text)
    with pytest.raises(DeclarationError, match="unbalanced"):
        closing(tokens("((1)"), 0)
