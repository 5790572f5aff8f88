"""Tables, views, sequences and indexes share their names, and most have a type of that name."""

from __future__ import annotations

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run


@one_version
def test_a_name_that_something_else_has_is_told_for_each_object(database: Database) -> None:
    database.psql(
        "CREATE VIEW a_view AS SELECT 1 AS a; CREATE SEQUENCE a_sequence; "
        "CREATE TYPE a_type AS (a integer); CREATE TYPE an_enum AS ENUM ('a'); "
        "CREATE TABLE a_table (a integer PRIMARY KEY)"
    )
    columns = [pg.Column("a", "integer")]

    def deploy() -> None:
        with pg.transaction():
            pg.table("a_view", columns)
            pg.table("a_sequence", columns)
            pg.table("a_type", columns)
            pg.table("a_table_pkey", columns)
            pg.view("a_table", "SELECT 1 AS a")
            pg.sequence("a_table")
            pg.enum("a_table", ["a"])
            pg.domain("a_type", "integer")
            pg.index("a_sequence", "a_table", ["a"])
            # Neither has a type of its name, and no index is in the way of one.
            pg.enum("a_sequence", ["a"])
            pg.index("an_enum", "a_table", ["a"])
            pg.domain("a_table_pkey", "integer")

    outcome = run(database, deploy, dry=True).refused()
    assert [(one.title, one.reason.partition(" has")[0]) for one in outcome.plan.refusals] == [
        ("table public.a_view", "view public.a_view"),
        ("table public.a_sequence", "sequence public.a_sequence"),
        ("table public.a_type", "type public.a_type"),
        ("table public.a_table_pkey", "index public.a_table_pkey"),
        ("view public.a_table", "table public.a_table"),
        ("sequence public.a_table", "table public.a_table"),
        ("enum public.a_table", "table public.a_table"),
        ("domain public.a_type", "type public.a_type"),
        ("index public.a_sequence", "sequence public.a_sequence"),
    ]


@one_version
def test_an_equal_object_that_a_later_operation_declares_is_not_renamed(
    database: Database,
) -> None:
    database.psql(
        "CREATE TABLE t (a integer CONSTRAINT old_check CHECK (a > 0)); "
        "CREATE INDEX old_index ON t (a); INSERT INTO t VALUES (1)"
    )
    before = database.dump()

    def index(name: str) -> None:
        pg.index(name, "t", ["a"])

    def check(name: str) -> None:
        pg.table("t", constraints=[pg.Check("a > 0", name=name)])

    def wrong() -> None:
        index("new_index")
        with pg.transaction():
            check("new_check")
            check("old_check")
            index("old_index")

    messages = run(database, wrong).refused().messages
    assert (
        "operation 'index public.new_index' declares the same under another name, and gives it to "
        "index public.old_index: declare this one before that"
    ) in messages
    # Within a block all of it is known.
    assert "constraint old_check" not in messages
    assert database.dump() == before

    def right() -> None:
        with pg.transaction():
            for name in ("old", "new"):
                check(f"{name}_check")
                index(f"{name}_index")

    run(database, right).succeeded()
    assert not run(database, right).succeeded().plan.changes
    assert (
        database.psql(
            "SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass UNION ALL "
            "SELECT indexrelid::regclass::text FROM pg_index "
            "WHERE indrelid = 't'::regclass ORDER BY 1"
        )
        == "new_check\nnew_index\nold_check\nold_index"
    )
