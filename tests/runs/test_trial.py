"""A dry run of what a block creates finds what the server would refuse, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

T = pg.Table("t", [pg.Column("id", "integer", primary_key=True), pg.Column("note", "text")])


def default() -> None:
    pg.table("broken", [pg.Column("n", "integer", default="'abc'")])


def sequence() -> None:
    pg.table("broken", [pg.Column("n", "integer", default="nextval('nix')")])


def index() -> None:
    pg.index("broken", "t", ["id"], where="now() > '2025-01-01'")


def view() -> None:
    pg.view("broken", "SELECT o.nothing FROM t AS o")


def materialized_view() -> None:
    pg.materialized_view("broken", "SELECT nothing FROM t")


def foreign_key() -> None:
    pg.table("broken", [pg.Column("note", "integer[]", references="t(id)")])


def subquery() -> None:
    pg.policy("broken", "t", using="id IN (SELECT nothing FROM t AS o)")


def operator() -> None:
    pg.table("broken", [pg.Column("n", "integer")], constraints=[pg.Check("n > point '(1,1)'")])


def rows() -> None:
    pg.rows("t", [{"id": "abc", "note": "x"}], key="id")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            default,
            "table public.broken: PostgreSQL refuses it: invalid input syntax for type integ",
        ),
        (sequence, "table public.broken needs table public.nix, which does not exist"),
        (index, "index public.broken: PostgreSQL refuses it: functions in index predicate must be"),
        (view, "view public.broken: PostgreSQL refuses it: column o.nothing does not exist"),
        (materialized_view, 'column "nothing" does not exist'),
        (
            foreign_key,
            'Key columns "note" of the referencing table and "id" of the referenced table',
        ),
        (subquery, "policy broken on public.t: PostgreSQL refuses it: column"),
        (operator, "operator does not exist: integer > point"),
        (rows, "rows public.t: PostgreSQL refuses it: invalid input syntax for type integer"),
    ],
)
@one_version
def test_what_the_server_would_refuse_is_found(
    database: Database, broken: Callable[[], None], said: str
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.schema("public", comment="changes nothing that others wait for")
            pg.objects([T])
            broken()

    before = database.dump()
    assert said in run(database, deploy, dry=True).refused().messages
    assert database.dump() == before


@one_version
def test_a_second_block_is_tried_after_the_first(database: Database) -> None:
    def deploy(query: str) -> None:
        with pg.transaction():
            pg.objects([T])
        with pg.transaction():
            pg.view("v", query)

    run(database, lambda: deploy("SELECT id FROM t"), dry=True).succeeded()
    said = run(database, lambda: deploy("SELECT ide FROM t"), dry=True).refused().messages
    assert 'view public.v: PostgreSQL refuses it: column "ide" does not exist' in said
    run(database, lambda: deploy("SELECT id FROM t")).succeeded()


@one_version
def test_neither_rows_nor_the_values_of_sequences_change(database: Database) -> None:
    database.psql(
        "CREATE SEQUENCE counter;"
        "CREATE TABLE counted (n bigint DEFAULT nextval('counter'), v text);"
        "CREATE FUNCTION counting() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('counter') $$"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.objects([T])
            pg.materialized_view("m", "SELECT counting()")
            pg.rows("counted", [{"v": "a"}], key="v")
            pg.view("broken", "SELECT nothing FROM t")

    said = run(database, deploy, dry=True).refused().messages
    assert 'column "nothing" does not exist' in said
    assert database.rows("SELECT is_called FROM counter") == [("f",)]


@pytest.mark.parametrize(
    "noticed",
    [
        lambda: pg.sql("SELECT nextval('counter')"),
        lambda: pg.table("there", [pg.Column("id", "integer"), pg.Column("more", "integer")]),
        lambda: pg.table("here", [pg.Column("id", "integer", references="there(id)")]),
        lambda: pg.trigger("r", "seen", when="INSTEAD OF INSERT", function="f()"),
        lambda: pg.index("i", "there", ["id"]),
        lambda: pg.view("seen", present=False),
        lambda: pg.view("seen", owner="pg_monitor"),
        lambda: pg.sequence("counter", increment=2),
    ],
)
@one_version
def test_it_ends_where_others_might_notice_it(
    database: Database, noticed: Callable[[], None]
) -> None:
    database.psql(
        "CREATE SEQUENCE counter; CREATE TABLE there (id integer PRIMARY KEY);"
        "CREATE VIEW seen AS SELECT id FROM there;"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.objects([T])
            noticed()
            pg.policy("p", "t", using="id > 0")

    with database.watch() as seen:
        run(database, deploy, dry=True).succeeded()
    tried = [one for one in seen.statements if "CREATE TABLE public.t" in one]
    assert len(tried) == 1
    assert tried[0].endswith(";\nROLLBACK")
    assert "CREATE POLICY" not in tried[0]
    assert database.rows("SELECT is_called FROM counter") == [("f",)]


@one_version
def test_what_another_session_does_meanwhile_is_no_objection(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.objects([T])

    with database.holding("CREATE TABLE t (other integer)"):
        run(database, deploy, dry=True).succeeded()
