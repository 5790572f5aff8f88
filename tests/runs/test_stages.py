"""What PostgreSQL refuses in a transaction runs before or after it, and can be repeated."""

from __future__ import annotations

import threading

import pytest

from harness import Database, Project, finished, one_version, until

INDEX = 'pg.index("i", "t", ["a"])\n'
# Behind a script nobody can say beforehand what the rows are like.
UNSEEN = 'with pg.transaction():\n    pg.sql("SELECT 1")\n'
NOT_NULL = """
    SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'a'"""


@pytest.fixture
def filled(project: Project, database: Database) -> Database:
    """A table with rows, in a database that is host one."""
    database.psql("CREATE TABLE t (a integer); INSERT INTO t SELECT generate_series(1, 1000)")
    project.inventory({"one": database.dsn})
    return database


def native(database: Database) -> bool:
    """Whether the server has constraints for NOT NULL."""
    return database.psql("SELECT current_setting('server_version_num')::int >= 180000") == "t"


def valid(database: Database) -> list[tuple[str, ...]]:
    return database.rows(
        "SELECT indexrelid::regclass, indisvalid FROM pg_index "
        "WHERE indrelid = 't'::regclass ORDER BY 1"
    )


@one_version
def test_a_label_can_be_added_and_used_in_one_run(project: Project, database: Database) -> None:
    database.psql(
        "CREATE TYPE status AS ENUM ('pending', 'done'); "
        "CREATE TABLE t (s status DEFAULT 'pending'); INSERT INTO t DEFAULT VALUES"
    )
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.enum("status", ["pending", "timeout", "done"])
            pg.table("t", [pg.Column("s", "status", default="'timeout'")],
                     constraints=[pg.Check("s <> 'timeout' OR s IS NOT NULL", name="c")])
            pg.sql("UPDATE t SET s = 'timeout'", unless="SELECT EXISTS (SELECT FROM t "
                   "WHERE s::text = 'timeout')")
        """
    )
    shown = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "before" in shown
    with database.watch() as seen:
        project.run().succeeded()
    (alone,) = [one for one in seen.statements if "ADD VALUE" in one]
    assert alone == "ALTER TYPE public.status ADD VALUE IF NOT EXISTS 'timeout' AFTER 'pending'"
    assert database.psql("SELECT s FROM t") == "timeout"
    dump = database.dump()
    project.run().succeeded()
    assert database.dump() == dump


@one_version
def test_a_run_that_dies_after_the_stage_before_is_completed(
    project: Project, database: Database
) -> None:
    database.psql(
        "CREATE TYPE status AS ENUM ('a'); CREATE TABLE t (s status, n integer);"
        "INSERT INTO t VALUES ('a', 1), ('a', 1)"
    )
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.enum("status", ["a", "b"])
            pg.table("t", [pg.Column("s", "status", default="'b'"), pg.Column("n", "integer")])
            pg.sql("SELECT 1 / count(*) FROM t WHERE n = 2")
        """
    )
    before = database.dump()
    output = project.run().failed().output
    assert "22012" in output
    # The label stays: it is additive, and PostgreSQL can't take it back.
    after = database.dump()
    assert after == before.replace("'a'\n", "'a',\n    'b'\n")
    database.psql("INSERT INTO t VALUES ('a', 2)")
    project.run().succeeded()
    assert "DEFAULT 'b'::public.status" in database.dump()


def test_an_index_on_rows_is_built_without_blocking_writers(
    project: Project, filled: Database
) -> None:
    project.deploy(INDEX)
    with filled.watch() as seen:
        output = project.run().succeeded().output
    (statement,) = [one for one in seen.statements if "CREATE INDEX" in one]
    assert statement == "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a)"
    assert "after the transaction: CREATE INDEX CONCURRENTLY" in output
    assert valid(filled) == [("i", "t")]
    assert filled.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_an_index_on_an_empty_table_is_built_in_the_transaction(
    project: Project, filled: Database
) -> None:
    filled.psql("TRUNCATE t")
    project.deploy(INDEX)
    with filled.watch() as seen:
        project.run().succeeded()
    (transaction,) = [one for one in seen.statements if "CREATE INDEX" in one]
    assert "CONCURRENTLY" not in transaction
    assert transaction.startswith("BEGIN")


@one_version
def test_an_invalid_index_is_built_again(project: Project, filled: Database) -> None:
    filled.psql("INSERT INTO t VALUES (1)")
    project.deploy(UNSEEN + '    pg.index("i", "t", ["a"], unique=True)\n')
    output = project.run().failed().output
    assert "23505" in output
    assert "index public.i" in output
    assert "correct it and run again: the next run goes on from there" in output
    assert valid(filled) == [("i", "f")]
    assert filled.sessions() == []
    filled.psql("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE a = 1)")
    project.run().succeeded()
    assert valid(filled) == [("i", "t")]
    with filled.watch() as seen:
        project.run().succeeded()
    assert [one for one in seen.statements if "INDEX" in one and "pg_index" not in one] == []


@one_version
def test_the_build_waits_for_old_transactions_however_long(
    project: Project, filled: Database
) -> None:
    """A role's timeouts would kill it and leave it invalid."""
    filled.psql(
        f"ALTER DATABASE {filled.name} SET lock_timeout = '200ms';"
        f"ALTER DATABASE {filled.name} SET statement_timeout = '600ms'"
    )
    project.deploy(INDEX)
    with filled.holding("INSERT INTO t VALUES (-1)") as writer:
        process = project.start()
        until(lambda: any("CONCURRENTLY" in query for _, _, query in filled.sessions()))
        timer = threading.Timer(1.2, writer.rollback)
        timer.start()
        finished(process).succeeded()
        timer.join()
    assert valid(filled) == [("i", "t")]


@one_version
def test_an_index_that_another_session_builds_is_left_to_it(
    project: Project, filled: Database
) -> None:
    """While it is being built it is invalid; to drop it would kill its builder."""
    project.deploy(INDEX)
    errors: list[Exception] = []

    def build() -> None:
        try:
            with filled.connect(autocommit=True) as session:
                session.execute("CREATE INDEX CONCURRENTLY i ON t (a)")
        except Exception as error:
            errors.append(error)

    with filled.holding("INSERT INTO t VALUES (-1)") as writer:
        builder = threading.Thread(target=build)
        builder.start()
        until(lambda: valid(filled) == [("i", "f")])
        process = project.start()
        timer = threading.Timer(2, writer.rollback)
        timer.start()
        finished(process)
        timer.join()
        builder.join()
    assert errors == []
    assert valid(filled) == [("i", "t")]


def test_a_constraint_on_rows_is_validated_after_the_transaction(
    project: Project, filled: Database
) -> None:
    project.deploy(
        'pg.table("t", [pg.Column("a", "integer")], constraints=[pg.Check("a > 0", name="c")])\n'
    )
    with filled.watch() as seen:
        project.run().succeeded()
    sent = [one for one in seen.statements if "public.t" in one and "CONSTRAINT" in one]
    assert len(sent) == 2
    assert "NOT VALID" in sent[0]
    assert sent[1] == "ALTER TABLE public.t VALIDATE CONSTRAINT c"
    assert filled.psql("SELECT convalidated FROM pg_constraint WHERE conname = 'c'") == "t"


def test_a_key_on_rows_is_built_without_blocking_writers(
    project: Project, filled: Database
) -> None:
    project.deploy('pg.table("t", [pg.Column("a", "integer", primary_key=True)])\n')
    with filled.watch() as seen:
        project.run().succeeded()
    assert "CREATE UNIQUE INDEX CONCURRENTLY t_pkey ON public.t USING btree (a)" in seen.statements
    keys = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = 't'::regclass"
    assert filled.psql(keys) == "t_pkey"
    assert filled.psql(NOT_NULL) == "t"
    dump = filled.dump()
    project.run().succeeded()
    assert filled.dump() == dump


def test_a_key_that_rows_stand_against_is_completed_when_they_do_not(
    project: Project, filled: Database
) -> None:
    filled.psql("INSERT INTO t VALUES (1)")
    project.deploy(UNSEEN + '    pg.table("t", [pg.Column("a", "integer", unique=True)])\n')
    output = project.run().failed().output
    assert "SQLSTATE 23505" in output
    assert "correct it and run again: the next run goes on from there" in output
    assert valid(filled) == [("t_a_key", "f")]
    filled.psql("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)")
    project.run().succeeded()
    assert valid(filled) == [("t_a_key", "t")]
    keys = "SELECT conname FROM pg_constraint WHERE contype = 'u' AND conrelid = 't'::regclass"
    assert filled.psql(keys) == "t_a_key"


def test_nulls_are_taken_away_without_blocking_writers(project: Project, filled: Database) -> None:
    project.deploy(UNSEEN + '    pg.table("t", [pg.Column("a", "integer", nullable=False)])\n')
    filled.psql("INSERT INTO t VALUES (NULL)")
    # PostgreSQL 18 has a NOT NULL that is NOT VALID.
    code, name = ("23502", "t_a_not_null") if native(filled) else ("23514", "t_a_not_null_check")
    output = project.run().failed().output
    assert f"SQLSTATE {code}" in output
    # New nulls are refused already.
    assert code in filled.error("INSERT INTO t VALUES (NULL)")
    filled.psql("DELETE FROM t WHERE a IS NULL")
    with filled.watch() as seen:
        project.run().succeeded()
    assert f"ALTER TABLE public.t VALIDATE CONSTRAINT {name}" in seen.statements
    assert filled.psql(NOT_NULL) == "t"
    checks = "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = 't'::regclass"
    assert filled.psql(checks) == "0"


def test_a_constraint_that_is_not_declared_stays_not_valid(
    project: Project, filled: Database
) -> None:
    filled.psql("ALTER TABLE t ADD CONSTRAINT old CHECK (a < 10) NOT VALID")
    project.deploy('pg.table("t", [pg.Column("a", "integer"), pg.Column("b", "text")])\n')
    project.run().succeeded()
    assert filled.psql("SELECT convalidated FROM pg_constraint WHERE conname = 'old'") == "f"
    dump = filled.dump()
    project.run().succeeded()
    assert filled.dump() == dump
