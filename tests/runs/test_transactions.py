"""Nothing is sent before the end of a block; what is sent lands as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Database, Project, finished, one_version, until
from runs.conftest import SLOW, sleeping

LOCKS = """
    SELECT l.locktype, l.relation::regclass, l.mode, a.state, a.query
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"""


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Until `gate/open` exists, the deploys below wait; `gate/reached` says that they do."""
    path = tmp_path / "gate"
    path.mkdir()
    yield path
    (path / "open").touch()


WAIT = """
    import time
    from pathlib import Path
    from pyinfra.operations import python

    def wait():
        gate = Path("gate")
        (gate / "reached").touch()
        while not (gate / "open").exists():
            time.sleep(0.02)
"""


@one_version
def test_no_lock_is_held_while_another_host_is_slow(
    project: Project, pair: tuple[Database, Database], gate: Path
) -> None:
    for database in pair:
        database.psql("CREATE TABLE t (id integer)")
    project.deploy(
        WAIT
        + """
    with pg.transaction():
        pg.role("slow_host_role")
        pg.table("t", [pg.Column("id", "integer"), pg.Column("more", "text")])
        if host.name == "@postgres/two":
            python.call(name="wait", function=wait)
        pg.table("u", [pg.Column("id", "integer", primary_key=True)])
    """
    )
    process = project.start()
    until((gate / "reached").exists)
    for database in pair:
        # The catalog may still be read ahead.
        until(lambda database=database: database.rows(LOCKS) == [])  # type: ignore[misc]
        assert [state for _, state, _ in database.sessions()] == ["idle"]
        assert database.psql("SELECT to_regclass('u') IS NULL") == "t"
    # Others go on working on the table that the plan is about to change.
    pair[0].psql("SET lock_timeout = '100ms'; ALTER TABLE t ADD COLUMN others integer")
    (gate / "open").touch()
    finished(process).succeeded()
    for database in pair:
        assert database.psql("SELECT more FROM t, u") == ""
        assert database.sessions() == []


@one_version
def test_outside_a_block_each_operation_runs_at_once(
    project: Project, pair: tuple[Database, Database], gate: Path
) -> None:
    one, _ = pair
    project.deploy(
        WAIT
        + """
    pg.table("first", [pg.Column("id", "integer")])
    python.call(name="wait", function=wait)
    pg.table("second", [pg.Column("id", "integer")])
    pg.sql("SELECT 1 / 0")
    pg.table("third", [pg.Column("id", "integer")])
    """
    )
    process = project.start()
    until((gate / "reached").exists)
    assert one.psql("SELECT to_regclass('first'), to_regclass('second')") == "first|"
    (gate / "open").touch()
    assert "22012" in finished(process).failed().output
    assert one.psql("SELECT to_regclass('second'), to_regclass('third')") == "second|"


@one_version
def test_a_block_inside_a_block_is_part_of_it(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, _ = pair
    project.deploy(
        """
        with pg.transaction():
            pg.schema("a")
            with pg.transaction():
                pg.table("a.t", [pg.Column("id", "integer")])
            pg.sql("SELECT 1 / 0")
        """
    )
    project.run().failed()
    assert "CREATE" not in one.dump()


@one_version
def test_an_error_in_the_deploy_sends_nothing(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer")])
            {}["missing"]
        """
    )
    with pair[0].watch() as seen:
        assert project.run().code != 0
    assert [one for one in seen.statements if "CREATE TABLE" in one] == []
    assert "CREATE" not in pair[0].dump() + pair[1].dump()


@one_version
def test_an_error_while_executing_sends_nothing(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        from pyinfra.operations import python

        def broken():
            raise ValueError("broken")

        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer")])
            python.call(name="broken", function=broken)
        """
    )
    assert project.run().code != 0
    assert "CREATE" not in pair[0].dump() + pair[1].dump()


@one_version
def test_a_statement_that_fails_leaves_everything_as_it_was(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    for database in pair:
        database.psql("CREATE TABLE filled (a integer, b integer)")
    one.psql("INSERT INTO filled VALUES (1, 1), (1, 2)")
    project.deploy(
        """
        with pg.transaction():
            pg.schema("s", comment="new")
            pg.enum("colour", ["red"])
            pg.table("s.new", [pg.Column("c", "colour")], comment="new")
            pg.table("filled", [pg.Column("a", "integer")], comment="changed")
            pg.sql("ALTER TABLE filled ADD EXCLUDE USING btree (a WITH =)",
                   unless="SELECT 1 FROM pg_constraint WHERE conrelid = 'filled'::regclass",
                   name="the keys of filled")
            pg.table("s.newer", [pg.Column("c", "colour")])
        """
    )
    allowed = ("inventory.py", "deploy.py", "-y", "--data", "postgres_allow=filled")
    before, rows = one.dump(), one.rows("SELECT * FROM filled")
    output = project.run(*allowed).failed().output
    assert "the keys of filled" in output
    assert "ALTER TABLE filled ADD EXCLUDE USING btree (a WITH =)" in output
    assert "23P01" in output
    assert "Key (a)=(1) conflicts with key (a)=(1)" in output
    assert one.dump() == before
    assert one.rows("SELECT * FROM filled") == rows
    assert "CREATE TABLE s.newer" in two.dump()
    for database in pair:
        assert database.sessions() == []
        assert database.rows(LOCKS) == []
    assert one.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"

    one.psql("DELETE FROM filled WHERE b = 2")
    project.run(*allowed).succeeded()
    assert one.dump() == two.dump()


@one_version
def test_a_session_is_usable_after_a_failure(
    project: Project, pair: tuple[Database, Database]
) -> None:
    """What a failed transaction leaves open would fail every statement after it."""
    project.deploy(
        """
        pg.sql("SELECT 1 / 0", _ignore_errors=True)
        pg.table("t", [pg.Column("id", "integer")])
        """
    )
    project.run().succeeded()
    assert "CREATE TABLE public.t" in pair[0].dump()


# A run that is cut off.


@one_version
def test_a_statement_that_is_canceled_is_not_tried_again(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, _ = pair
    project.deploy(SLOW)
    before = one.dump()
    with one.watch() as seen:
        process = project.start()
        until(lambda: sleeping(one))
        one.psql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        output = finished(process).failed().output
    assert "canceling statement due to user request (SQLSTATE 57014)" in output
    assert "Statement: SELECT pg_sleep(1.5)" in output
    assert len([one for one in seen.statements if "pg_sleep" in one]) == 1
    assert one.dump() == before


def test_a_run_that_is_killed_leaves_before_or_after(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    project.deploy(SLOW)
    before = one.dump()
    process = project.start()
    until(lambda: sleeping(one) and sleeping(two))
    process.kill()
    with process:
        process.communicate()
    assert "CREATE TABLE" not in one.dump()  # the transaction is still open, or was rolled back
    # The next run waits for what the server is still doing for the dead one.
    project.run().succeeded()
    assert "CREATE TABLE public.u" in one.dump()
    assert one.dump() == two.dump() != before
    assert one.sessions() == []


@one_version
def test_a_run_that_is_killed_between_operations_leaves_nothing(
    project: Project, pair: tuple[Database, Database], gate: Path
) -> None:
    project.deploy(
        WAIT
        + """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer")])
        python.call(name="wait", function=wait)
    """
    )
    process = project.start()
    until((gate / "reached").exists)
    process.kill()
    with process:
        process.communicate()
    until(lambda: pair[0].sessions() == [])
    assert "CREATE" not in pair[0].dump()
