"""The way out: any SQL, run every time or until a query says that it has."""

from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import run
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.plan.plan import Hazard, Stage


@pytest.mark.parametrize(
    ("sql", "stages"),
    [
        ("ANALYZE t", "main"),
        ("VACUUM t", "after"),
        ("VACUUM (ANALYZE) t", "after"),
        ("CREATE INDEX ON t (a)", "main"),
        ("CREATE INDEX CONCURRENTLY ON t (a)", "after"),
        ("DROP INDEX CONCURRENTLY i", "after"),
        ("REINDEX TABLE t", "main"),
        ("REINDEX TABLE CONCURRENTLY t", "after"),
        ("REINDEX (CONCURRENTLY) INDEX i", "after"),
        ("REINDEX SCHEMA public", "after"),
        ("ALTER SYSTEM SET work_mem = '8MB'", "after"),
        ("CREATE DATABASE d", "after"),
        ("DROP DATABASE d", "after"),
        ("ALTER DATABASE d SET TABLESPACE t", "after"),
        ("ALTER DATABASE d CONNECTION LIMIT 5", "main"),
        ("ALTER TABLE t DETACH PARTITION p", "main"),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "after"),
        ("CLUSTER t", "main"),
        ("CLUSTER", "after"),
        ("SAVEPOINT a; SET LOCAL work_mem = '8MB'; RELEASE a", "main main main"),
        # What follows must not overtake it.
        ("SELECT 1; VACUUM t; SELECT 2", "main after after"),
    ],
)
def test_what_refuses_a_transaction_runs_after_it(sql: str, stages: str) -> None:
    statements = list(pg.Script.diff(None, pg.Script(sql)))
    assert " ".join(one.stage.value for one in statements) == stages
    assert all(one.hazards == (Hazard.NOT_IDEMPOTENT,) for one in statements)


def test_statements_are_taken_as_they_are_written() -> None:
    script = pg.Script("SELECT ';' -- one;\n; /* two */ SELECT $$;$$;")
    assert [one.sql for one in pg.Script.diff(None, script)] == [
        # The line break closes the comment, before the semicolon that follows.
        "SELECT ';' -- one;\n",
        "SELECT $$;$$",
    ]


@pytest.mark.parametrize(
    ("sql", "restored"),
    [
        ("SET LOCAL search_path = other; ANALYZE t", ["search_path = public, pg_temp"]),
        ("SET LOCAL SCHEMA 'other'", ["search_path = public, pg_temp"]),
        ("SET LOCAL TIME ZONE 'CET'", ["TimeZone = 'UTC'"]),
        ("SELECT set_config('search_path', 'other', true)", ["search_path = public, pg_temp"]),
        ("DO $$ BEGIN SET LOCAL statement_timeout = 1; END $$", ["statement_timeout = 0"]),
        (
            "SET LOCAL jit = on; SET LOCAL DateStyle = 'SQL'",
            ["DateStyle = 'ISO, YMD'", "jit = off"],
        ),
        # What the transaction has not set itself is the script's own affair.
        ("SET LOCAL work_mem = '8MB'", []),
        ("SELECT now() AT TIME ZONE 'CET'", []),
    ],
)
def test_parameters_of_the_transaction_are_restored(sql: str, restored: list[str]) -> None:
    statements = list(pg.Script.diff(None, pg.Script(f"{sql}; VACUUM t")))
    after = statements[[one.sql for one in statements].index("VACUUM t") + 1 :]
    assert [one.sql for one in after] == [f"SET LOCAL {text}" for text in restored]
    assert all(one.stage is Stage.MAIN for one in after)


def test_with_a_condition_it_does_not_run_every_time() -> None:
    script = pg.Script("ANALYZE t", unless="SELECT true;")
    (statement,) = pg.Script.diff(None, script)
    assert statement.hazards == ()
    assert statement.stage is Stage.MAIN
    assert list(pg.Script.diff(script, script)) == []


def test_the_title_is_short() -> None:
    assert pg.Script("ANALYZE\n  organization").title == "sql ANALYZE organization"
    assert len(pg.Script(f"SELECT '{'x' * 200}'").title) == 54


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "no SQL statement"),
        ("SELEC 1", "syntax error"),
        ("BEGIN; SELECT 1; COMMIT", "BEGIN: it begins or ends a transaction"),
        ("ROLLBACK", "it begins or ends a transaction"),
        ("PREPARE TRANSACTION 'x'", "it begins or ends a transaction"),
        ("SET search_path = auth", "write SET LOCAL"),
        ("SET ROLE someone", "write SET LOCAL"),
        ("RESET ALL", "write SET LOCAL"),
        ("DISCARD ALL", "reset the session"),
        ("COPY t FROM STDIN", "use pg.rows"),
        ("COPY t TO STDOUT", "use pg.rows"),
    ],
)
def test_what_would_break_the_deploy_is_refused(sql: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pg.Script(sql)


@pytest.mark.parametrize("unless", ["SHOW work_mem", "SELECT 1; SELECT 2", "SELECT 1 INTO t", ""])
def test_the_condition_is_one_query(unless: str) -> None:
    with pytest.raises(DeclarationError):
        pg.Script("ANALYZE", unless=unless)


def test_it_says_of_itself_that_it_is_not_idempotent() -> None:
    assert pg.sql.is_idempotent is False  # type: ignore[attr-defined]


def test_it_runs_every_time_or_until_its_condition_holds(
    project: Project, database: Database
) -> None:
    project.inventory({"db": database.dsn})
    project.deploy('''
        with pg.transaction():
            pg.table("t", [pg.Column("n", "integer")])
            pg.sql("""
                INSERT INTO t VALUES (1) -- first;
                ;
                INSERT INTO t VALUES (2)
            """, name="Two rows")
            pg.sql("INSERT INTO t VALUES (10)", unless="SELECT count(*) > 0 FROM t WHERE n = 10")
            pg.sql("INSERT INTO t VALUES (100)", unless="SELECT 'no'")
            pg.sql("VACUUM t; -- that is all")
    ''')
    dry = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "runs every time" in dry
    assert "after  VACUUM t" in dry
    assert "1 to create, 0 to change, 0 to remove, 4 to run" in dry
    project.run().succeeded()
    assert database.psql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM t") == "1 2 10 100"
    output = project.run().succeeded().output
    assert "3 run" in output
    assert database.psql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM t") == (
        "1 1 2 2 10 100 100"
    )


def test_what_a_script_sets_ends_with_it(project: Project, database: Database) -> None:
    database.psql("CREATE SCHEMA other; CREATE TABLE other.t (z int); CREATE TABLE t (a int)")
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.transaction():
            pg.sql("SET LOCAL search_path = other; INSERT INTO t (z) VALUES (1)")
            pg.view("v", "SELECT * FROM t")
    """)
    project.run().succeeded()
    assert database.psql("SELECT count(*) FROM other.t") == "1"
    assert database.psql("SELECT attname FROM pg_attribute WHERE attrelid = 'v'::regclass") == "a"


@one_version
def test_a_condition_that_holds_stops_a_script_whatever_else_the_plan_changes(
    database: Database,
) -> None:
    database.psql("CREATE TABLE job (id int); INSERT INTO job VALUES (1)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("job", [pg.Column("id", "integer"), pg.Column("note", "text")])
            pg.sql("DELETE FROM job", unless="SELECT count(*) = 1 FROM job")
            # Of a column that comes with the plan nothing can hold yet.
            pg.sql("UPDATE job SET note = 'x'", unless="SELECT bool_and(note = 'x') FROM job")

    run(database, deploy).succeeded()
    assert database.psql("SELECT id, note FROM job") == "1|x"
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_a_timeout_of_the_role_is_for_its_other_work(database: Database) -> None:
    database.psql(f"ALTER DATABASE {database.name} SET statement_timeout = '1s'")

    def deploy() -> None:
        pg.sql("SELECT 1", unless="SELECT pg_sleep(1.2) IS NULL")

    run(database, deploy).succeeded()


@one_version
def test_a_condition_that_fails_is_not_one_that_does_not_hold(database: Database) -> None:
    database.psql("CREATE TABLE job (id int); INSERT INTO job VALUES (0)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("job", [pg.Column("id", "integer"), pg.Column("note", "text")])
            pg.sql("DELETE FROM job", unless="SELECT 1 / id > 0 FROM job")

    assert "division by zero" in run(database, deploy).refused().messages
    assert database.psql("SELECT count(*) FROM job") == "1"


@one_version
def test_a_failure_leaves_nothing_behind(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.transaction():
            pg.table("t", [pg.Column("n", "integer")])
            pg.sql("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1 / 0)", name="Divide")
    """)
    output = project.run().failed().output
    assert "Divide failed: division by zero" in output
    assert "SQLSTATE 22012" in output
    assert database.psql("SELECT to_regclass('t') IS NULL") == "t"


@one_version
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('pg.sql("UPDATE nowhere SET a = 1")', "needs table public.nowhere"),
        ('pg.sql("SELECT 1", unless="SELECT true FROM nowhere")', "needs table public.nowhere"),
        ('pg.sql("SELECT 1", unless="SELECT \'perhaps\'")', "invalid input syntax"),
        ('pg.sql("SELECT 1; COMMIT")', "begins or ends a transaction"),
    ],
)
def test_mistakes_are_one_message(
    project: Project, database: Database, call: str, message: str
) -> None:
    project.inventory({"db": database.dsn})
    project.deploy(call)
    output = project.run().failed().output
    assert message in output
    assert "Traceback" not in output
