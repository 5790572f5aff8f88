"""What a declaration names of a table is looked for before anything runs, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres.objects.kind import Object

COLUMNS = [
    pg.Column("id", "integer"),
    pg.Column("org", "text"),
    pg.Column("place", "point"),
    pg.Column("tags", "text[]"),
    pg.Column("part", "pair"),
]


def table() -> None:
    pg.table("t", COLUMNS, partition_by="LIST (org)")


@pytest.mark.parametrize(
    "expression",
    [
        "t IS NOT NULL",
        "t.* IS NOT NULL",
        "t.tableoid > 0 AND ctid IS NOT NULL",
        "public.t.id > 0",
        "t.size > 0",
        "t.to_jsonb ? 'id'",
        "(part).a > 0 AND (t.part).b > 0",
        "tags[id] = ALL (tags[1:id])",
        "place[0] > 1",
        "org::numeric(8, 2) > 1",
        "org IN (SELECT word FROM other) AND EXISTS (SELECT FROM other AS o WHERE o.word = org)",
        "id = ANY (SELECT x.n FROM (SELECT t.id AS n) AS x)",
        "size(r => t) > 0",
        "current_user = org",
        "org COLLATE \"C\" LIKE 'a%'",
        "extract(year FROM now()) > id",
    ],
)
@one_version
def test_what_postgres_understands_is_not_refused(database: Database, expression: str) -> None:
    database.psql(
        "CREATE TABLE other (word text); CREATE TYPE pair AS (a int, b int);"
        "CREATE TABLE t (id integer, org text, place point, tags text[], part pair)"
        " PARTITION BY LIST (org);"
        "CREATE FUNCTION size(r t) RETURNS integer LANGUAGE sql RETURN 1;"
    )

    def deploy() -> None:
        with pg.transaction():
            table()
            pg.policy("p", "t", using=expression)

    run(database, deploy).succeeded()
    assert database.rows("SELECT polname FROM pg_policy") == [("p",)]


@one_version
def test_a_column_that_the_block_adds_or_renames_is_known(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer, mail text)")

    def deploy() -> None:
        with pg.transaction():
            pg.table(
                "t",
                [
                    pg.Column("id", "integer"),
                    pg.Column("email", "text", renamed_from="mail"),
                    pg.Column("org", "text"),
                ],
                constraints=[pg.Check("org <> email", name="c")],
            )
            pg.policy("p", "t", using="org = email")
            pg.index("i", "t", ["lower(email)"], where="org <> ''")

    run(database, deploy).succeeded()
    run(database, deploy).succeeded()


@one_version
def test_a_wrong_name_in_an_expression_is_refused_before_anything_runs(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer, mail text)")

    def deploy() -> None:
        with pg.transaction():
            pg.table(
                "t", [pg.Column("id", "integer"), pg.Column("email", "text", renamed_from="mail")]
            )
            pg.table("fresh", [pg.Column("id", "integer")])
            pg.policy("p", "t", using="mail = current_user")
            pg.policy("p", "fresh", using="ide > 0")

    said = run(database, deploy, dry=True).refused().messages
    assert "policy p on public.t: there is no column mail in public.t: did you mean email?" in said
    assert (
        "policy p on public.fresh: there is no column ide in public.fresh: did you mean id?" in said
    )


THERE = """
    CREATE TYPE state AS ENUM ('new', 'done');
    CREATE TABLE o (word text);
    CREATE TABLE t (id integer DEFAULT 1, v text, state state);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""
ID, V = pg.Column("id", "integer", default="1"), pg.Column("v", "text")


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (
            lambda: pg.table("t", [ID, V, pg.Column("n", "integer", default="'abc'")]),
            'table public.t: PostgreSQL refuses it: invalid input syntax for type integer: "abc"',
        ),
        (
            lambda: pg.table("t", [pg.Column("id", "integer", default="nextval('nix')")]),
            "table public.t needs table public.nix, which does not exist",
        ),
        (
            lambda: pg.table("t", constraints=[pg.Check("id > point '(1,1)'", name="c")]),
            "operator does not exist: integer > point",
        ),
        (
            lambda: pg.policy("p", "t", using="v IN (SELECT wort FROM o AS other)"),
            'policy p on public.t: PostgreSQL refuses it: column "wort" does not exist',
        ),
        (
            lambda: pg.policy("p", "t", using="state = 'old'"),
            'invalid input value for enum state: "old"',
        ),
        (lambda: pg.index("i", "t", ["v"], where="lower(id) = ''"), "function lower(integer)"),
        (lambda: pg.statistics("s", "t", ["lower(id)", "v"]), "function lower(integer)"),
        (
            lambda: pg.trigger(
                "r", "t", when="BEFORE UPDATE", function="f()", condition="NEW.id = NEW.v"
            ),
            "operator does not exist: integer = text",
        ),
        (
            lambda: pg.view("w", "SELECT id,\n       t.vv\n  FROM t"),
            "view public.w: PostgreSQL refuses it: column t.vv does not exist",
        ),
    ],
)
@one_version
def test_the_server_reads_what_is_new_on_what_is_there(
    database: Database, declare: Callable[[], object], said: str
) -> None:
    database.psql(THERE)

    def deploy() -> None:
        with pg.transaction():
            declare()

    with database.watch() as seen:
        assert said in run(database, deploy, dry=True).refused().messages
    assert [one for one in seen.statements if "LOCK TABLE" in one or "ALTER" in one] == []


WORD = pg.Function("word", arguments="n integer", returns="text", body="SELECT n::text")
BROUGHT: dict[str, list[Object]] = {
    "a label": [
        pg.Enum("state", ["new", "done", "late"]),
        pg.Policy("p", "t", using="state = 'late'"),
    ],
    "a name in a text": [
        pg.Sequence("counter"),
        pg.Table("t", [pg.Column("id", "integer", default="nextval('counter')")]),
    ],
    "a function": [WORD, pg.Policy("p", "t", using="word(id) <> ''")],
    "columns": [
        pg.Table("t", [ID, V, pg.Column("w", "text")], constraints=[pg.Check("w < v", name="c")]),
        pg.Table("o", [pg.Column("word", "text"), pg.Column("more", "text")]),
        pg.Policy("q", "t", using="v IN (SELECT more FROM o AS other)"),
        pg.View("seen", "SELECT w, more FROM t, o"),
    ],
    "another type": [
        pg.Table("o", [pg.Column("word", "integer", using="word::integer")]),
        pg.View("seen", "SELECT word + 1 AS next FROM o"),
    ],
}


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("brought", BROUGHT.values(), ids=BROUGHT.keys())
@one_version
def test_what_the_plan_brings_is_not_lacking(
    database: Database, brought: list[Object], at_once: bool
) -> None:
    database.psql(THERE)

    def deploy() -> None:
        with pg.transaction():
            if at_once:
                pg.objects(brought)
            for one in () if at_once else brought:
                pg.objects([one])

    run(database, deploy).succeeded()
    assert run(database, deploy).succeeded().plan.changes == []
