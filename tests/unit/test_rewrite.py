"""Texts of the catalog after a rename, and SQL for a server that has the old names yet."""

from __future__ import annotations

import pytest

from pyinfra_postgres.syntax.names import Name
from pyinfra_postgres.syntax.parse import Reference
from pyinfra_postgres.syntax.rewrite import (
    BODY,
    EXPRESSION,
    PARTITION_KEY,
    QUERY,
    RESULT,
    TYPE,
    AttributeOf,
    ColumnOf,
    Form,
    Label,
    Thing,
    as_stored,
    renamed,
    trigger_events,
)

T, USERS, STATE = Name("public", "t"), Name("auth", "users"), Name("public", "state")
SUBLINK = "(org = ( SELECT users.a FROM auth.users WHERE (users.id = t.a)))"
LABELS = "('x'::public.state = ANY (ARRAY['x'::public.state, 'y'::public.state]))"


def table(name: Name) -> Reference:
    return Reference("table", name)


def schema(name: str) -> Reference:
    return Reference("schema", Name("", name))


@pytest.mark.parametrize(
    ("text", "form", "old", "new", "expected"),
    [
        pytest.param(
            "(é.a > 1) AND (a = 'a'::text)", EXPRESSION, ColumnOf(T, "a"), ColumnOf(T, "B"),
            "(é.a > 1) AND (\"B\" = 'a'::text)",
            id="a column of the table, and not what only looks like it",
        ),
        pytest.param(
            SUBLINK, EXPRESSION, ColumnOf(T, "a"), ColumnOf(T, "b"),
            "(org = ( SELECT users.a FROM auth.users WHERE (users.id = t.b)))",
            id="a column of the table in a query",
        ),
        pytest.param(
            SUBLINK, EXPRESSION, ColumnOf(USERS, "a"), ColumnOf(USERS, "b"),
            "(org = ( SELECT users.b FROM auth.users WHERE (users.id = t.a)))",
            id="a column of another table",
        ),
        pytest.param(
            SUBLINK, EXPRESSION, table(USERS), table(Name("x", "people")),
            "(org = ( SELECT people.a FROM x.people WHERE (people.id = t.a)))",
            id="a table with the prefixes of its columns",
        ),
        pytest.param(
            "(((v).a > 1) AND ((t.a).a.a = (f(a))[1].a) AND (b.a <> '(v).a'::text))", EXPRESSION,
            AttributeOf(STATE, "a"), AttributeOf(STATE, "B"),
            "(((v).\"B\" > 1) AND ((t.a).\"B\".\"B\" = (f(a))[1].\"B\") AND (b.a <> "
            "'(v).a'::text))",
            id="an attribute where it is selected",
        ),
        pytest.param(
            SUBLINK, EXPRESSION, schema("auth"), schema("Auth"),
            "(org = ( SELECT users.a FROM \"Auth\".users WHERE (users.id = t.a)))",
            id="a schema",
        ),
        pytest.param(
            "((old.a <> new.a) AND f(new.*))", EXPRESSION, ColumnOf(T, "a"), ColumnOf(T, "b"),
            "((old.b <> new.b) AND f(new.*))",
            id="a column of a trigger's rows",
        ),
        pytest.param(
            "nextval('public.t'::regclass)", EXPRESSION, table(T), table(Name("q", "T")),
            "nextval('q.\"T\"'::regclass)",
            id="a sequence in quotes",
        ),
        pytest.param(
            LABELS, EXPRESSION, Label(STATE, "x"), Label(STATE, "it's"),
            "('it''s'::public.state = ANY (ARRAY['it''s'::public.state, 'y'::public.state]))",
            id="a label",
        ),
        pytest.param(
            "'x'::public.other", EXPRESSION, Label(STATE, "x"), Label(STATE, "z"),
            "'x'::public.other",
            id="a label of another enum",
        ),
        pytest.param(
            "public.state('y'::public.state)", EXPRESSION,
            Reference("type", STATE), Reference("type", Name("q", "s")),
            "public.state('y'::q.s)",
            id="a type, and not a function of its name",
        ),
        pytest.param(
            "public.state('y'::public.state)", EXPRESSION,
            Reference("function", STATE), Reference("function", Name("q", "s")),
            "q.s('y'::public.state)",
            id="a function, and not a type of its name",
        ),
        pytest.param(
            " SELECT t.id, t.a, t.a AS c FROM (public.t JOIN public.z ON ((t.a = z.a)))"
            " WHERE EXISTS (SELECT z.a FROM public.t z) UNION SELECT a FROM public.t",
            QUERY, ColumnOf(T, "a"), ColumnOf(T, "b"),
            " SELECT t.id, t.b AS a, t.b AS c FROM (public.t JOIN public.z ON ((t.b = z.a)))"
            " WHERE EXISTS (SELECT z.b FROM public.t z) UNION SELECT b AS a FROM public.t",
            id="a column in a view, which keeps its own",
        ),
        pytest.param(
            "WITH t AS (SELECT 1 AS a) SELECT t.a FROM t, public.t u(a)",
            QUERY, ColumnOf(T, "a"), ColumnOf(T, "b"),
            "WITH t AS (SELECT 1 AS a) SELECT t.a FROM t, public.t u(a)",
            id="a column of something else",
        ),
        pytest.param("public.state[]", TYPE, table(STATE), table(T), "public.t[]", id="an array"),
        pytest.param(
            "TABLE(state public.state)", RESULT, table(STATE), table(T), "TABLE(state public.t)",
            id="a result",
        ),
        pytest.param(
            "RANGE (a, lower(a))", PARTITION_KEY, ColumnOf(T, "a"), ColumnOf(T, "b"),
            "RANGE (b, lower(b))",
            id="a partition key",
        ),
        pytest.param(
            "BEGIN ATOMIC\n INSERT INTO public.t (a, c) VALUES (1, 2);\n"
            " UPDATE public.t SET a = t.c\n   WHERE (t.a = 1);\nEND",
            BODY, ColumnOf(T, "a"), ColumnOf(T, "b"),
            "BEGIN ATOMIC\n INSERT INTO public.t (b, c) VALUES (1, 2);\n"
            " UPDATE public.t SET b = t.c\n   WHERE (t.b = 1);\nEND",
            id="a body",
        ),
    ],
)  # fmt: skip
def test_only_what_names_the_thing_changes(
    text: str, form: Form, old: Thing, new: Thing, expected: str
) -> None:
    assert renamed(text, form, old, new, T) == expected


def test_a_trigger_fires_on_the_column_by_its_new_name() -> None:
    events = "BEFORE INSERT OR UPDATE OF a, insert"
    assert trigger_events(events, ColumnOf(T, "a"), ColumnOf(T, "B"), T) == (
        'BEFORE INSERT OR UPDATE OF "B", insert'
    )
    assert trigger_events(events, ColumnOf(USERS, "a"), ColumnOf(USERS, "b"), T) == events


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT new.b FROM ONLY public.new", "SELECT new.b FROM ONLY s.old AS new(id, b)"),
        ("SELECT 'é' FROM new x, s.new", "SELECT 'é' FROM s.old x(id, b), s.new"),
        (
            "WITH new AS (SELECT 1) SELECT * FROM new, public.new",
            "WITH new AS (SELECT 1) SELECT * FROM new, s.old AS new(id, b)",
        ),
        ("SELECT 1; SELECT FROM new AS z(a)", "SELECT 1; SELECT FROM new AS z(a)"),
        ("SELECT FROM new WHERE", "SELECT FROM new WHERE"),
    ],
)
def test_a_query_reads_the_relation_under_the_name_that_it_has(sql: str, expected: str) -> None:
    names = {Name("public", "new"): (Name("s", "old"), ("id", "b"))}
    assert as_stored(sql, names) == expected
