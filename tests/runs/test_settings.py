"""What SQL means does not depend on the settings of the role or the database."""

from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import EVERY_LABEL, Database, Project, finished, one_version, until
from harness.process import run

BEFORE = """
    CREATE TABLE t (id integer, at timestamptz, note text);
    INSERT INTO t VALUES (1, now(), 'x');
    ALTER DATABASE {name} SET TimeZone = 'Europe/Berlin';
    ALTER DATABASE {name} SET DateStyle = 'SQL, DMY';
    ALTER DATABASE {name} SET transform_null_equals = on;
    ALTER DATABASE {name} SET array_nulls = off;
    ALTER DATABASE {name} SET standard_conforming_strings = off;
"""
# A column, a constraint and an index: in the transaction, and after it.
STORED = """
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET standard_conforming_strings = on;
    SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't'::regclass;
    SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'c';
    SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = 'i'::regclass;
"""
EXPECTED = r"""'a\b'::text
((note = NULL::text) OR (path <> 'a\b'::text))
((at > '2020-03-04 00:00:00+00'::timestamp with time zone) AND (note <> 'a\b'::text))"""


def deploy() -> None:
    path = pg.Column("path", "text", default=r"'a\b'")
    columns = [pg.Column("id", "integer"), pg.Column("at", "timestamptz"), path]
    with pg.transaction():
        pg.table("t", columns, constraints=[pg.Check(r"note = NULL OR path <> 'a\b'", name="c")])
        pg.index("i", "t", ["id"], where=r"at > '2020-03-04' AND note <> 'a\b'")


@one_version
def test_sql_means_the_same_everywhere(database: Database) -> None:
    database.psql(BEFORE.format(name=database.name))
    run(database, deploy).succeeded()
    assert database.psql(STORED) == EXPECTED
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_sql_means_the_same_through_psql(project: Project, database: Database) -> None:
    database.psql(BEFORE.format(name=database.name))
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(
        r"""
        with pg.transaction():
            pg.table("t", [pg.Column("path", "text", default=r"'a\b'")],
                     constraints=[pg.Check(r"note = NULL OR path <> 'a\b'", name="c")])
            pg.index("i", "t", ["id"], where=r"at > '2020-03-04' AND note <> 'a\b'")
        """
    )
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()
    assert database.psql(STORED) == EXPECTED
    again = project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()
    assert "created" not in again.output
    assert "changed in" not in again.output


# What is asked before a plan, its stages, and a check after it: each takes longer than 300 ms.
SLOW = """
    CREATE TYPE state AS ENUM ('a');
    CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
        AS 'BEGIN PERFORM pg_sleep(0.2); RETURN $1; END';
    CREATE TABLE t (id integer, s state); INSERT INTO t VALUES (1), (2), (3), (4);
"""
SLOW_DEPLOY = """
    with pg.transaction():
        pg.enum("state", ["a", "b"])
        pg.table("t", [pg.Column("id", "integer"), pg.Column("s", "state", default="'b'")])
        pg.sql("INSERT INTO t SELECT 5 FROM pg_sleep(0.6)",
               unless="SELECT EXISTS (SELECT FROM t WHERE id = 5) FROM pg_sleep(0.6)")
        pg.index("i", "t", ["slow(id)"])
    pg.check("It is there", "SELECT s FROM t, pg_sleep(0.6) WHERE id = 5", [("b",)])
"""
TIMEOUTS = ["statement", "transaction", "idle_in_transaction_session", "idle_session"]


@pytest.fixture
def hurried(database: Database) -> str:
    """The DSN of a role that may do anything, but nothing for longer than 300 ms."""
    role = f"hurried_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    for one in TIMEOUTS:
        if one != "transaction" or database.server.version >= 17:
            database.psql(f"ALTER ROLE {role} SET {one}_timeout = '300ms'")
    return database.dsn.replace("postgres@", f"{role}@", 1)


@pytest.mark.parametrize("server", EVERY_LABEL, indirect=True)
def test_timeouts_of_the_role_end_nothing(
    project: Project, database: Database, hurried: str
) -> None:
    database.psql(SLOW)
    project.inventory({"one": hurried})
    project.deploy(SLOW_DEPLOY)
    project.run().succeeded()
    assert database.psql("SELECT s FROM t WHERE id = 5") == "b"
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "t"


OF_A_ROLE = {
    "exit_on_error": "on",
    "default_tablespace": "pg_default",
    "check_function_bodies": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
}
"""Settings under which the plan's statements would end the session, fail or mean something else."""


@pytest.mark.parametrize("name", OF_A_ROLE)
@one_version
def test_settings_of_the_role_decide_nothing(name: str, database: Database) -> None:
    role = f"set_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET {name} = '{OF_A_ROLE[name]}';"
        "CREATE TABLE t (a integer, b text DEFAULT 'b'); INSERT INTO t VALUES (1)"
    )
    as_role = database.dsn.replace("postgres@", f"{role}@", 1)
    effective = name.replace("default_transaction", "transaction")
    shown = f"current_setting('{effective}')"
    assert database.psql(f"SELECT {shown}", dsn=as_role) == OF_A_ROLE[name]

    def deploy() -> None:
        with pg.transaction():
            columns = [pg.Column("a", "integer"), pg.Column("b", "text", default="lower('B')")]
            pg.table("t", columns, constraints=[pg.Check("a > 0")])
            pg.table("p", [pg.Column("a", "integer")], partition_by="LIST (a)")
            pg.index("p_a", "p", ["a"])
            pg.index("t_a", "t", ["a"])
            pg.sql(f"CREATE TABLE seen AS SELECT {shown} AS value")

    run(database, deploy, postgres_dsn=as_role).succeeded()
    assert database.psql("SELECT value FROM seen") != OF_A_ROLE[name]
    assert (
        database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass") == "t"
    )


@one_version
def test_timeouts_of_the_role_end_nothing_through_psql(
    project: Project, database: Database, hurried: str
) -> None:
    database.psql(SLOW)
    project.inventory({"@local": {"postgres_dsn": hurried}})
    project.deploy(SLOW_DEPLOY)
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "t"


@one_version
def test_the_deploy_lock_is_kept_while_a_plan_waits(
    project: Project, database: Database, hurried: str
) -> None:
    database.psql("CREATE TABLE t (id integer)")
    project.inventory({"one": hurried}, postgres_lock_timeout=100)
    project.deploy('pg.table("t", [pg.Column("id", "integer"), pg.Column("more", "text")])\n')
    with database.watch() as seen, database.holding("SELECT * FROM t") as holder:
        process = project.start()
        until(lambda: tried(database) == 3)
        holder.rollback()
        finished(process).succeeded()
    assert len({one.pid for one in seen.entries if "ADD COLUMN" in one.message}) == 1


def tried(database: Database) -> int:
    entries = database.server.log_entries()
    return sum("ADD COLUMN" in one.message for one in entries if one.database == database.name)
