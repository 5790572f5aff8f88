"""What a declaration names of a table is looked for before anything runs, and nothing else is."""

from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

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
