"""Ctrl-C ends a run on the servers too, and tells where each is; a cancel by somebody means it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness import Database, Databases, Project, Started, finished, one_version, until
from runs.conftest import SLOW, sleeping

LONG = SLOW.replace("1.5", "60")
BUILD = """
    with pg.transaction():
        pg.schema("s")
        pg.index("i", "t", ["a"])
"""
ROWS = (
    "CREATE TABLE t (a integer, b integer); INSERT INTO t SELECT n, n FROM generate_series(1, 9) n"
)
WAYS = ("@postgres/one", "@local")


def started(project: Project, hosts: dict[str, Database], deploy: str, **data: Any) -> Started:
    """A run on databases, through psycopg or through psql."""
    project.inventory({name: {"postgres_dsn": one.dsn} for name, one in hosts.items()}, **data)
    project.deploy(deploy)
    (one, *_) = hosts.values()
    return project.start(env={"PATH": f"{one.server.binaries}:/usr/bin:/bin"})


def others(database: Database) -> list[str]:
    """What sessions of runs are doing."""
    return [query for _, state, query in database.sessions() if state != "idle"]


@one_version
@pytest.mark.parametrize(
    ("way", "number"),
    [(WAYS[0], signal.SIGINT), (WAYS[0], signal.SIGTERM), (WAYS[1], signal.SIGINT)],
    ids=["psycopg-INT", "psycopg-TERM", "psql-INT"],
)
def test_the_transaction_is_cancelled(
    project: Project, database: Database, way: str, number: signal.Signals
) -> None:
    process = started(project, {way: database}, LONG)
    until(lambda: sleeping(database), 60)
    process.send_signal(number)
    run = finished(process).failed()
    assert run.code == 128 + number
    assert f"[{way}] interrupted, before: nothing was changed" in run.output
    assert "planning anew" not in run.output
    assert others(database) == []
    assert "CREATE TABLE" not in database.dump()


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_what_is_built_after_the_transaction_is_cancelled(
    project: Project, database: Database, way: str
) -> None:
    database.psql(ROWS)
    with database.holding("INSERT INTO t VALUES (0, 0)") as writer:
        process = started(project, {way: database}, BUILD)
        until(lambda: any("CREATE INDEX" in one for one in others(database)), 60)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        run = finished(process).failed()
        writer.rollback()
    assert run.code == 130
    assert f"[{way}] interrupted, between: the transaction is in place; the next run" in run.output
    assert others(database) == []
    assert "CREATE SCHEMA s" in database.dump()
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    project.run(env=path).succeeded()
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "t"


@one_version
def test_every_host_says_where_it_is(project: Project, new_database: Databases) -> None:
    """One has all of its plan in place, one is at work, one waits for another's deploy."""
    done, works, waits = new_database(), new_database(), new_database()
    works.psql("CREATE TABLE slow ()")
    with waits.holding("SELECT pg_advisory_lock(1886220904, 1)"):
        process = started(
            project,
            {"one": done, "two": works, "three": waits},
            """
            with pg.transaction():
                pg.schema("s")
                pg.sql("SELECT pg_sleep(60)", unless="SELECT to_regclass('slow') IS NULL")
            """,
        )
        until(lambda: sleeping(works), 60)
        until(lambda: done.psql("SELECT to_regnamespace('s')"), 60)
        process.send_signal(signal.SIGINT)
        run = finished(process).failed()
    assert run.code == 130
    for host, where in {
        "one": "after: 1 created",
        "two": "before: nothing was changed",
        "three": "before: nothing was changed",
    }.items():
        assert re.search(rf"\[@postgres/{host}\] +interrupted, {where}", run.output), run.output
    assert others(works) == []


@one_version
def test_the_second_one_leaves_at_once_and_says_what_it_does_not_know(
    project: Project, database: Database
) -> None:
    """Here the statement catches the cancel, as its author wrote it."""
    process = started(
        project,
        {"one": database},
        """
        with pg.transaction():
            pg.schema("s")
            pg.sql(
                "DO $$ DECLARE i int; BEGIN FOR i IN 1..40 LOOP BEGIN PERFORM pg_sleep(1);"
                " EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
            )
        """,
    )
    until(lambda: any("pg_sleep" in one for one in others(database)), 60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    run = finished(process, timeout=4)  # what is silent is waited for 5 s
    assert run.code == 130
    assert "@postgres/one: interrupted, not known: its transaction is in place as a" in run.output


@one_version
def test_a_run_that_still_plans_changes_nothing(project: Project, database: Database) -> None:
    process = started(
        project, {"one": database}, 'pg.sql("SELECT 1", unless="SELECT pg_sleep(60) IS NULL")'
    )
    until(lambda: sleeping(database), 60)
    process.send_signal(signal.SIGINT)
    run = finished(process).failed()
    assert run.code == 130
    assert others(database) == []


CANCELS: dict[str, tuple[str, Callable[[Database], bool]]] = {
    "in the transaction": (LONG, sleeping),
    "behind what is committed before it": (
        """
        with pg.transaction():
            pg.enum("state", ["new", "old"])
            pg.table("t", [pg.Column("s", "state", default="'old'")])
            pg.sql("SELECT pg_sleep(60)")
        """,
        sleeping,
    ),
    "while it waits for locks": (
        'pg.table("held", [pg.Column("id", "integer"), pg.Column("more", "text")])\n',
        lambda one: any("LOCK TABLE" in query for query in others(one)),
    ),
}


@pytest.mark.parametrize("case", CANCELS)
@pytest.mark.parametrize("way", WAYS)
@one_version
def test_what_somebody_cancels_is_not_tried_again(
    project: Project, database: Database, way: str, case: str
) -> None:
    deploy, there = CANCELS[case]
    database.psql("CREATE TYPE state AS ENUM ('new'); CREATE TABLE held (id integer)")
    with database.watch() as seen, database.holding("SELECT * FROM held"):
        process = started(project, {way: database}, deploy, postgres_lock_timeout=90000)
        until(lambda: there(database), 60)
        database.psql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' "
            "AND application_name LIKE 'pyinfra%'"
        )
        run = finished(process).failed()
    assert "canceling statement due to user request" in run.output
    assert "Nothing of the transaction stays. " in run.output
    assert "run again when it may" in run.output
    # psql has all of them in one list first.
    sent = [one for one in seen.statements if not one.startswith("VALUES")]
    assert len([one for one in sent if "pg_sleep" in one or "LOCK TABLE" in one]) == 1
