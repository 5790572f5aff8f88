"""Partitions of lists, hashes and ranges: created, compared, attached and detached."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BOUNDS = """
    SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p')
     ORDER BY 1"""
EVENT = """
    CREATE TYPE region AS ENUM ('eu', 'us', 'asia');
    CREATE TABLE event (r region, n bigint, d date) PARTITION BY LIST (r);
    CREATE TABLE eu PARTITION OF event FOR VALUES IN ('eu', NULL);
    INSERT INTO event VALUES ('eu', 1, '2025-01-01');
"""


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of equality that no other run has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tree() -> None:
    """Partitions of every strategy, on three levels."""
    with pg.transaction():
        pg.enum("region", ["eu", "us", "asia"])
        columns = [pg.Column("r", "region"), pg.Column("n", "bigint"), pg.Column("d", "date")]
        pg.table("event", columns, partition_by="LIST (r)")
        pg.partition("eu", "event", "FOR VALUES IN (NULL, 'eu')")
        pg.partition("us", "event", "FOR VALUES IN ('us'::region)", partition_by="RANGE (n, d)")
        pg.partition("us1", "us", "FOR VALUES FROM (MINVALUE, MINVALUE) TO (10 + 5, '2024-1-1')")
        pg.partition(
            "us2",
            "us",
            "FOR VALUES FROM (15, '2024-01-01') TO (MAXVALUE, MAXVALUE)",
            partition_by="HASH (d)",
        )
        for number in range(2):
            bound = f"for values with (modulus 2, remainder {number})"
            pg.partition(f"us2{number}", "us2", bound, row_security=True)
        pg.partition("rest", "event", "DEFAULT")


def test_partitions_of_every_strategy_are_created_and_then_equal(database: Database) -> None:
    run(database, tree).succeeded()
    assert database.rows(BOUNDS) == [
        ("eu", "FOR VALUES IN (NULL, 'eu')"),
        ("rest", "DEFAULT"),
        ("us", "FOR VALUES IN ('us')"),
        ("us1", "FOR VALUES FROM (MINVALUE, MINVALUE) TO ('15', '2024-01-01')"),
        ("us2", "FOR VALUES FROM ('15', '2024-01-01') TO (MAXVALUE, MAXVALUE)"),
        ("us20", "FOR VALUES WITH (modulus 2, remainder 0)"),
        ("us21", "FOR VALUES WITH (modulus 2, remainder 1)"),
    ]
    assert run(database, tree).succeeded().plan.changes == []


@one_version
@pytest.mark.parametrize(
    ("name", "of", "values", "reason"),
    [
        ("eu", "event", "FOR VALUES IN ('asia')", "declared as one of public.event FOR VALUES IN"),
        (
            "us1",
            "us",
            "FOR VALUES FROM (MINVALUE, MINVALUE) TO (16, '2024-1-1')",
            "detach it first",
        ),
        ("us20", "us2", "FOR VALUES WITH (MODULUS 2, REMAINDER 1)", "detach it first"),
        ("plain", "event", "FOR VALUES IN ('asia')", "it has n as integer and not bigint, lacks d"),
    ],
)
def test_another_bound_and_other_columns_are_refused(
    name: str, of: str, values: str, reason: str, database: Database
) -> None:
    run(database, tree).succeeded()
    database.psql("CREATE TABLE plain (r region, n integer)")
    dump = database.dump()
    assert reason in run(database, lambda: pg.partition(name, of, values)).refused().messages
    assert database.dump() == dump


def test_what_is_no_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="is no partition bound"):
        pg.Partition("p", "t", "VALUES (1)")


@one_version
def test_an_interrupted_detachment_is_finished(database: Database) -> None:
    database.psql(EVENT)
    with database.holding("SELECT FROM event"), database.connect(autocommit=True) as other:
        other.execute("SET statement_timeout = 300")
        with pytest.raises(psycopg.errors.QueryCanceled):
            other.execute("ALTER TABLE event DETACH PARTITION eu CONCURRENTLY")
    refused = run(database, lambda: pg.partition("eu", "event", "FOR VALUES IN ('eu', NULL)"))
    assert "an interrupted run has begun to detach it" in refused.refused().messages

    def detached() -> None:
        pg.partition("eu", "event", attached=False)

    run(database, detached).succeeded()
    assert database.rows(BOUNDS) == []
    assert database.psql("SELECT n FROM eu") == "1"
    assert run(database, detached).succeeded().plan.changes == []


def let_go(connection: psycopg.Connection[Any], seconds: float) -> None:
    """End a transaction a little later."""
    threading.Timer(seconds, connection.rollback).start()


@one_version
@pytest.mark.parametrize("used", ["event", "eu"])
def test_a_partition_is_detached_once_nobody_uses_it(used: str, database: Database) -> None:
    database.psql(EVENT)
    with database.holding(f"SELECT FROM {used}") as holder, database.watch() as seen:
        let_go(holder, 1)
        data: dict[str, Any] = {"postgres_lock_timeout": 300}
        run(database, lambda: pg.partition("eu", "event", attached=False), **data).succeeded()
    assert database.rows(BOUNDS) == []
    assert any("FINALIZE" in one for one in seen.statements)


@one_version
def test_a_reader_of_a_partition_does_not_hold_up_others_while_it_is_detached(
    database: Database,
) -> None:
    database.psql(EVENT)

    def detached() -> None:
        pg.partition("eu", "event", attached=False)

    with database.holding("SELECT FROM eu"):
        said = run(database, detached, **IMPATIENT).refused().messages
        assert "The transaction before it is in place; the next run completes this" in said
        assert database.psql("SET lock_timeout = 100; SELECT n FROM eu") == "1"
    run(database, detached).succeeded()
    assert database.rows(BOUNDS) == []


@one_version
def test_a_partition_beside_a_default_one_is_detached_in_the_transaction(
    database: Database,
) -> None:
    database.psql(EVENT + "CREATE TABLE rest PARTITION OF event DEFAULT")
    run(database, lambda: pg.partition("eu", "event", attached=False)).succeeded()
    assert database.rows(BOUNDS) == [("rest", "DEFAULT")]


@one_version
def test_what_is_detached_has_its_columns_for_itself_in_the_same_plan(database: Database) -> None:
    database.psql(EVENT + "CREATE TABLE rest PARTITION OF event DEFAULT")

    def detached() -> None:
        with pg.transaction():
            pg.partition("eu", "event", attached=False)
            pg.table("eu", [pg.Column("n", "text"), pg.Column("d", "date", present=False)])

    run(database, detached, postgres_allow="eu,eu.d").succeeded()
    assert database.rows("SELECT * FROM eu") == [("eu", "1")]
    assert run(database, detached).succeeded().plan.changes == []


@one_version
def test_a_partition_with_rows_is_dropped_only_where_the_run_allows_it(database: Database) -> None:
    database.psql(EVENT)

    def gone() -> None:
        pg.partition("eu", "event", present=False)

    assert "would lose 1 row" in run(database, gone).refused().messages
    run(database, gone, postgres_allow="eu").succeeded()
    assert database.psql("SELECT to_regclass('eu')") == ""


@one_version
def test_rows_that_wait_in_the_default_partition_are_counted_before(database: Database) -> None:
    database.psql(
        EVENT + "CREATE TABLE rest PARTITION OF event DEFAULT;"
        "INSERT INTO event VALUES ('us', 2), ('us', 3), ('asia', 4)"
    )

    def added() -> None:
        pg.partition("us", "event", "FOR VALUES IN ('us')")

    said = run(database, added, dry=True).refused().messages
    assert "the default partition public.rest does not hold for 2 rows, which wait in it" in said
    assert "into a table public.us, which is then attached, or detach public.rest" in said

    def moved() -> None:
        pg.sql(
            "CREATE TABLE us (LIKE event);"
            "WITH moved AS (DELETE FROM rest WHERE r = 'us' RETURNING *)"
            " INSERT INTO us SELECT * FROM moved"
        )

    run(database, moved).succeeded()
    run(database, added).succeeded()
    assert ("us", "FOR VALUES IN ('us')") in database.rows(BOUNDS)
    assert database.psql("SELECT count(*) FROM us") == "2"


READ_BY_OTHERS = """
    CREATE TABLE log (at date NOT NULL, id integer) PARTITION BY RANGE (at);
    CREATE TABLE log_2024 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE log_2025 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO log VALUES ('2024-03-01', 1), ('2025-03-01', 1);
"""
IMPATIENT: dict[str, Any] = {
    "postgres_lock_timeout": 300,
    "postgres_lock_attempts": 2,
    "postgres_today": "2026-11-01",
    "postgres_allow": "log_2025",
}


@pytest.mark.parametrize(
    "declared",
    [
        lambda: pg.partition("log_2026", "log", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"),
        lambda: pg.partitions("log", every="year", start="2026", ahead=0),
        lambda: pg.partition("log_2025", "log", present=False),
        lambda: pg.table("log", row_security=True, owner="postgres", comment="c"),
    ],
    ids=["one", "several", "removed", "the table"],
)
@one_version
def test_another_partition_may_be_read_meanwhile(
    declared: Callable[[], object], database: Database
) -> None:
    database.psql(READ_BY_OTHERS)
    with database.holding("SELECT FROM log_2024"):
        run(database, declared, **IMPATIENT).succeeded()


@one_version
def test_who_reads_a_partition_is_named_where_all_are_needed(database: Database) -> None:
    database.psql(READ_BY_OTHERS)
    with database.holding("SELECT FROM log_2024") as holder:
        said = run(database, lambda: pg.table("log", [pg.Column("n", "integer")]), **IMPATIENT)
        pid = holder.info.backend_pid
    assert f"pid {pid} (postgres, idle in transaction) holds log_2024" in said.refused().messages


@one_version
def test_a_check_that_is_another_than_the_parents_is_found_before(database: Database) -> None:
    database.psql(
        "CREATE TABLE log (at date NOT NULL, id integer, CONSTRAINT ck CHECK (id > 0))"
        " PARTITION BY RANGE (at);"
        "CREATE TABLE log_2026 (at date NOT NULL, id integer, CONSTRAINT ck CHECK (id > 1));"
        "INSERT INTO log_2026 VALUES ('2026-01-02', 2)"
    )

    def attached() -> None:
        pg.partition("log_2026", "log", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")

    dump = database.dump()
    said = run(database, attached).refused().messages
    assert "its constraint ck is CHECK ((id > 1)), and its parent's CHECK ((id > 0))" in said
    assert database.dump() == dump
    database.psql("ALTER TABLE log_2026 RENAME CONSTRAINT ck TO other")
    run(database, attached).succeeded()
