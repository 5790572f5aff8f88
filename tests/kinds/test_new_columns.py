"""Columns that are added to tables with rows: the server's files are the judge of what rewrites."""

from __future__ import annotations

from functools import partial

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres.plan.plan import Hazard

BEFORE = """
    CREATE TABLE t (id integer); INSERT INTO t VALUES (1), (2);
    CREATE TABLE log (at date) PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO log VALUES ('2025-02-02');
    CREATE DOMAIN plain AS integer; CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
    CREATE DOMAIN given AS integer DEFAULT 1 NOT NULL;
    CREATE TYPE state AS ENUM ('new');
    CREATE FUNCTION fixed() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
    CREATE FUNCTION free() RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""
COLUMNS = {
    "nothing": pg.Column("c", "text"),
    "a constant": pg.Column("c", "text", default="'x'", nullable=False),
    "a label": pg.Column("c", "state", default="'new'"),
    "the time of the transaction": pg.Column("c", "timestamptz", default="now()", nullable=False),
    "the time": pg.Column("c", "timestamptz", default="clock_timestamp()"),
    "a random value": pg.Column("c", "uuid", default="gen_random_uuid()", nullable=False),
    "an immutable function": pg.Column("c", "integer", default="fixed()"),
    "a volatile function": pg.Column("c", "integer", default="free()"),
    "a plain domain": pg.Column("c", "plain"),
    "a domain with a check": pg.Column("c", "positive"),
    "a domain with a default": pg.Column("c", "given", nullable=False),
    "an identity": pg.Column("c", "bigint", identity="ALWAYS"),
    "a sequence": pg.Column("c", "serial"),
    "a generated value": pg.Column("c", "integer", generated="1 + 1"),
    "a virtual value": pg.Column("c", "integer", generated="1 + 1", virtual=True),
}
FILES = "SELECT pg_relation_filenode('t'), pg_relation_filenode('log_1')"


@pytest.mark.parametrize("table", ["t", "log"])
@one_version
def test_a_column_whose_rows_are_all_written_anew_needs_permission(
    database: Database, table: str
) -> None:
    database.psql(BEFORE)
    for name, column in COLUMNS.items():
        deploy = partial(pg.table, table, [column])
        outcome = run(database, deploy, dry=True)
        hazards = [one.hazards for change in outcome.plan.changes for one in change.statements]
        rewrites = any(Hazard.REWRITES in one for one in hazards)
        assert rewrites == bool(outcome.plan.refusals), name
        before = database.psql(FILES)
        run(database, deploy, postgres_allow=table).succeeded()
        after = database.psql(FILES)
        assert rewrites == (before != after), name
        database.psql(f"ALTER TABLE {table} DROP COLUMN c")


@one_version
def test_the_refusal_of_a_new_column_says_how_to_do_without_rewriting(database: Database) -> None:
    database.psql(BEFORE)
    token = pg.Column("token", "uuid", default="gen_random_uuid()", nullable=False)
    messages = run(database, partial(pg.table, "t", [token])).refused().messages
    assert "which nobody can read or write meanwhile; without that, declare it nullable" in messages
    # The way that it names: every step leaves the file as it is.
    before = database.psql("SELECT pg_relation_filenode('t')")
    for step in (
        pg.Column("token", "uuid"),
        pg.Column("token", "uuid", default="gen_random_uuid()"),
    ):
        run(database, partial(pg.table, "t", [step])).succeeded()
    database.psql("UPDATE t SET token = gen_random_uuid() WHERE token IS NULL")
    run(database, partial(pg.table, "t", [token])).succeeded()
    assert not run(database, partial(pg.table, "t", [token])).plan.changes
    assert database.psql("SELECT pg_relation_filenode('t')") == before


@one_version
def test_a_column_that_rows_would_have_nothing_in_is_refused(database: Database) -> None:
    database.psql(BEFORE)
    database.psql(
        "CREATE TABLE cleared (id integer); INSERT INTO cleared VALUES (1); DELETE FROM cleared;"
        "CREATE DOMAIN needed AS integer NOT NULL"
    )
    text = pg.Column("c", "text", nullable=False)
    for column in (text, pg.Column("c", "needed")):
        messages = run(database, partial(pg.table, "t", [column])).refused().messages
        assert "column c is NOT NULL without a default, and the table has rows" in messages
    run(database, partial(pg.table, "cleared", [text])).succeeded()
