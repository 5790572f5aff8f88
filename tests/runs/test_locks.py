"""Locks: waited for within bounds, tried again, and their holders named."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from harness import Database, Platform, Project, Run, Started, finished, one_version, until

LOCK_KEY = "1886220904, 1"

CHANGE = """
    with pg.transaction():
        pg.schema("s")
        pg.table("t", [pg.Column("id", "integer"), pg.Column("more", "text")])
"""


@one_version
def test_a_lock_that_stays_held_fails_with_its_holder(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    for database in pair:
        database.psql("CREATE TABLE t (id integer)")
    project.inventory(
        {"one": one.dsn, "two": two.dsn}, postgres_lock_timeout=150, postgres_lock_attempts=2
    )
    project.deploy(CHANGE)
    before = one.dump()
    with one.holding("SELECT * FROM t") as holder:
        output = project.run().failed().output
        assert re.search(
            rf"no lock after 2 tries, nothing was changed: pid {holder.info.backend_pid} "
            r"\(postgres, idle in transaction\) holds t: SELECT \* FROM t",
            output,
        )
        assert "try 1 of 2" in output
        assert re.search("55P03|57014", output)
        assert one.dump() == before
    assert "more text" in two.dump()
    assert one.sessions() == []
    project.run().succeeded()
    assert one.dump() == two.dump()


@one_version
def test_a_lock_that_is_released_in_time_is_taken(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (id integer)")
    project.inventory({"one": database.dsn}, postgres_lock_timeout=100)
    project.deploy(CHANGE)
    with database.watch() as seen, database.holding("SELECT * FROM t") as holder:
        process = project.start()
        until(lambda: sent(database, "public.t ADD COLUMN more") == 2)
        holder.rollback()
        output = finished(process).succeeded().output
    assert "no lock, try 1 of 5: pid" in output
    assert "more text" in database.dump()
    assert len([one for one in seen.statements if "public.t ADD COLUMN more" in one]) >= 2


@one_version
def test_a_table_that_another_session_has_locked_against_readers_does_not_hang_the_run(
    project: Project, database: Database
) -> None:
    """Some of the functions that the snapshot calls open their table."""
    database.psql("CREATE TABLE locked (id integer DEFAULT 1); CREATE VIEW v AS TABLE locked")
    project.inventory({"one": database.dsn})
    project.deploy('pg.schema("s")\n')
    with database.holding("LOCK TABLE locked"):
        process = project.start()
        output = finished(process).succeeded().output
    assert "not read, because other sessions have locked them: public.locked (session " in output
    assert database.psql("SELECT to_regnamespace('s')") == "s"


def sent(database: Database, text: str) -> int:
    """How many messages with this text the database has got."""
    return len(
        [
            one
            for one in database.server.log_entries()
            if one.database == database.name and text in (one.statement or "")
        ]
    )


@one_version
def test_several_locks_are_taken_under_one_deadline(project: Project, database: Database) -> None:
    """`lock_timeout` alone counts anew for each table."""
    database.psql("CREATE TABLE t1 (); CREATE TABLE t2 (); CREATE TABLE t3 ()")
    project.inventory({"one": database.dsn}, postgres_lock_timeout=1500, postgres_lock_attempts=1)
    project.deploy(
        """
        with pg.transaction():
            for n in (3, 1, 2):
                pg.table(f"t{n}", [pg.Column("id", "integer")])
        """
    )
    with (
        database.holding("TABLE t1") as first,
        database.holding("TABLE t2"),
        database.watch() as seen,
    ):
        process = project.start()
        until(lambda: waiting(database))
        started = time.monotonic()
        time.sleep(1.2)
        first.rollback()
        until(lambda: not waiting(database))
        waited = time.monotonic() - started
        finished(process).failed()
    assert waited < 2.2
    (transaction,) = [one for one in seen.statements if "LOCK TABLE" in one]
    assert re.findall(r"LOCK TABLE (.*?) MODE", transaction) == [
        f"public.{name} IN ACCESS EXCLUSIVE" for name in ("t1", "t2", "t3")
    ]


def waiting(database: Database) -> bool:
    return database.psql("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"


# The deploy lock.


@one_version
def test_a_deploy_that_is_locked_out_names_the_holder(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn}, postgres_deploy_lock_timeout=0.4)
    project.deploy('pg.schema("s")\n')
    with database.holding(f"SELECT pg_advisory_lock({LOCK_KEY})") as holder:
        pid = holder.info.backend_pid
        output = project.run().failed().output
    assert f"another deploy of this database holds the lock: observer (pid {pid}, since " in output
    assert "CREATE SCHEMA" not in database.dump()
    project.run().succeeded()


@one_version
def test_the_deploy_lock_is_held_only_while_the_plan_runs(
    project: Project, database: Database
) -> None:
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.schema("s")
            pg.sql("SELECT pg_sleep(0.8)")
        """
    )
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    process = project.start()
    until(lambda: database.psql(held) == "1")
    finished(process).succeeded()
    assert database.psql(held) == "0"


@one_version
def test_the_lock_of_one_database_is_not_that_of_another(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    project.inventory({"two": two.dsn}, postgres_deploy_lock_timeout=0)
    project.deploy('pg.schema("s")\n')
    with one.holding(f"SELECT pg_advisory_lock({LOCK_KEY})"):
        project.run().succeeded()


def test_two_deploys_at_once_come_to_the_right_result(
    platform: Platform, database: Database, project: Project
) -> None:
    """The second waits, then finds what the first has left, and plans anew."""
    platform.inventory([database])
    deploy = platform.scripts / "deploy.py"
    both = [project.start("inventory.py", deploy, "-y") for _ in range(2)]
    for process in both:
        finished(process).succeeded()
    dump = database.dump()
    assert dump.count("CREATE TABLE public.sync_progress (") == 1
    platform("deploy", database).succeeded()
    assert database.dump() == dump


BUILDS = {
    "an index": ("", 'pg.index("i", "t", ["a"])\n'),
    "a changed index": ("CREATE INDEX i ON t (b)", 'pg.index("i", "t", ["a"])\n'),
    "a key": ("", 'pg.table("t", [pg.Column("a", "integer", unique=True)])\n'),
    "an undeclared index": (
        "CREATE INDEX i ON t (b)",
        """
        with pg.transaction(exact=["indexes"]):
            pg.table("t", [pg.Column("a", "integer"), pg.Column("b", "integer")])
            pg.index("i", "t", ["a"])
        """,
    ),
}
ROWS = (
    "CREATE TABLE t (a integer, b integer); INSERT INTO t SELECT n, n FROM generate_series(1, 9) n"
)
INVALID = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"


@contextmanager
def building(
    database: Database, project: Project
) -> Iterator[tuple[psycopg.Connection[Any], Started]]:
    """A deploy that builds an index until a transaction has ended."""
    with database.holding("INSERT INTO t VALUES (-1, -1)") as writer:
        first = project.start()
        until(lambda: database.psql(INVALID))
        yield writer, first


@one_version
@pytest.mark.parametrize("case", BUILDS)
def test_a_deploy_waits_for_what_another_one_builds(
    project: Project, database: Database, case: str
) -> None:
    before, deploy = BUILDS[case]
    database.psql(f"{ROWS}; {before}")
    project.inventory({"one": database.dsn})
    project.deploy(deploy)
    with database.watch() as seen, building(database, project) as (writer, first):
        dry = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
        second = project.start()
        until(lambda: sent(database, "pg_try_advisory_lock") == 2)
        writer.rollback()
        finished(first).succeeded()
        output = finished(second).succeeded().output
    assert re.search(
        r"public\.\w+ is being built by session \d+, which is deploying: this run waits for it, "
        "and plans anew",
        dry,
    )
    assert "waiting for the deploy of pyinfra-postgres" in output
    assert "nothing left to change" in output
    builds = [one for one in seen.statements if re.match("CREATE (UNIQUE )?INDEX", one)]
    assert len(builds) == 1
    dump = database.dump()
    project.run().succeeded()
    assert database.dump() == dump
    assert database.psql(INVALID) == ""


@one_version
def test_what_another_deploy_did_not_finish_is_built_by_the_one_that_waited(
    project: Project, database: Database
) -> None:
    database.psql(ROWS)
    project.inventory({"one": database.dsn})
    project.deploy('pg.index("i", "t", ["a"])\n')
    with building(database, project) as (writer, first):
        second = project.start()
        until(lambda: sent(database, "pg_try_advisory_lock") == 2)
        database.psql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
        )
        finished(first).failed()
        writer.rollback()
        finished(second).succeeded()
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "t"


@one_version
def test_what_the_server_still_builds_for_a_killed_deploy_is_waited_for(
    project: Project, database: Database
) -> None:
    database.psql(ROWS)
    project.inventory({"one": database.dsn})
    project.deploy('pg.index("i", "t", ["a"])\n')
    with database.watch() as seen, building(database, project) as (writer, first):
        first.kill()
        first.communicate()
        second = project.start()
        until(lambda: sent(database, "pg_try_advisory_lock") == 2)
        writer.rollback()
        assert "nothing left to change" in finished(second).succeeded().output
    assert len([one for one in seen.statements if one.startswith("CREATE INDEX")]) == 1
    assert database.psql(INVALID) == ""


@one_version
def test_what_another_deploy_builds_is_not_waited_for_for_ever(
    project: Project, database: Database
) -> None:
    database.psql(ROWS)
    project.inventory({"one": database.dsn}, postgres_deploy_lock_timeout=0.3)
    project.deploy('pg.index("i", "t", ["a"])\n')
    with building(database, project) as (writer, first):
        output = project.run().failed().output
        writer.rollback()
        finished(first).succeeded()
    assert "another deploy of this database holds the lock: pyinfra-postgres" in output


@one_version
@pytest.mark.parametrize("deployer", ["postgres", "owner"])
def test_what_somebody_else_builds_is_refused(
    project: Project, database: Database, deployer: str
) -> None:
    """Though somebody deploys at the same time, and where the role sees its own sessions only."""
    role = "postgres" if deployer == "postgres" else f"owner_{secrets.token_hex(3)}"
    if role != "postgres":
        database.psql(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}")
    database.psql(f"{ROWS}; ALTER TABLE t OWNER TO {role}")
    project.inventory({"one": database.dsn.replace("postgres@", f"{role}@", 1)})
    project.deploy('pg.index("i", "t", ["a"])\n')
    with (
        database.holding("INSERT INTO t VALUES (-1, -1)") as writer,
        database.connect(autocommit=True) as builder,
        ThreadPoolExecutor(1) as pool,
        database.holding(f"SELECT pg_advisory_lock({LOCK_KEY})"),
    ):
        pid = builder.info.backend_pid
        built = pool.submit(builder.execute, "CREATE INDEX CONCURRENTLY i ON t (a)")
        until(lambda: database.psql(INVALID))
        output = project.run().failed().output
        writer.rollback()
        built.result()
    assert f"session {pid} is building public.i right now: run again when it has ended" in output


def overtaken(project: Project, database: Database, sql: str, *options: str) -> Run:
    """A run that waits for the deploy lock while another session changes the database."""
    with database.holding(f"SELECT pg_advisory_lock({LOCK_KEY})"):
        process = project.start("inventory.py", "deploy.py", "-y", *options)
        until(lambda: sent(database, "pg_try_advisory_lock"))
        database.psql(sql)
    return finished(process)


@one_version
def test_a_deploy_that_waited_plans_anew(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("a", "integer"), pg.Column("b", "integer")])
            pg.table("u", [pg.Column("a", "integer")])
        """
    )
    output = overtaken(project, database, "CREATE TABLE t (a integer)").succeeded().output
    assert "waiting for the deploy of observer" in output
    assert "the catalog has changed since the plan was made: planning anew" in output
    assert database.psql("SELECT a, b FROM t") == ""
    assert database.psql("SELECT a FROM u") == ""


@one_version
def test_a_plan_that_is_made_anew_finds_what_uses_a_column_by_now(
    project: Project, database: Database
) -> None:
    database.psql("CREATE TABLE t (a integer, b integer)")
    project.inventory({"one": database.dsn})
    project.deploy('pg.table("t", [pg.Column("a", present=False)])\n')
    output = overtaken(project, database, "CREATE VIEW v AS SELECT a FROM t").failed().output
    assert "its a is used by view public.v: remove or change that too" in output


@one_version
def test_a_plan_that_is_made_anew_asks_for_names_in_the_same_order(
    project: Project, database: Database
) -> None:
    database.psql(
        "CREATE TYPE state AS ENUM ('new', 'old', 'done'); CREATE TABLE job (state state);"
        "INSERT INTO job VALUES ('done')"
    )
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.enum("state", ["done", "new"], exact=True)
            pg.table("task", [pg.Column("state", "state")], renamed_from="job")
        """
    )
    options = ("--data", "postgres_allow=state")
    run = overtaken(project, database, "CREATE TABLE other (a integer)", *options)
    output = run.succeeded().output
    assert "the catalog has changed since the plan was made: planning anew" in output
    assert database.psql("SELECT state, enum_range(state) FROM task") == "done|{done,new}"


@one_version
def test_names_that_are_tried_wait_for_a_table_that_is_let_go(
    project: Project, database: Database
) -> None:
    database.psql("CREATE TABLE t (id integer)")
    project.inventory({"one": database.dsn})
    project.deploy('pg.table("u", [pg.Column("id", "bigint")], renamed_from="t")\n')
    with database.holding("SELECT * FROM t") as reader:
        process = project.start()
        until(lambda: sent(database, "ALTER TABLE public.t RENAME TO u") == 2)
        reader.rollback()
        finished(process).succeeded()
    assert database.psql("SELECT id FROM u") == ""


@one_version
def test_a_plan_that_became_impossible_while_waiting_is_refused(
    project: Project, database: Database
) -> None:
    database.psql("CREATE TABLE t (a integer)")
    project.inventory({"one": database.dsn})
    project.deploy('pg.index("i", "t", ["a"])\n')
    output = overtaken(project, database, "DROP TABLE t").failed().output
    assert "index public.i needs table public.t, which does not exist" in output
