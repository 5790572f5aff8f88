"""The catalog is read while pyinfra reads the rest of a deploy, and used only while it is news."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyinfra_postgres as pg
from harness import Database, Databases, Project, finished, one_version, until
from harness.process import run
from pyinfra_postgres.planning import session
from pyinfra_postgres.transport import connection
from runs.test_following import prepared

TABLE = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", primary_key=True)])
"""


@one_version
def test_the_catalog_is_read_once(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    project.deploy(TABLE)
    project.run().succeeded()
    with database.watch() as seen:
        project.run().succeeded()
    reads = [one for one in seen.statements if "pg_get_constraintdef" in one]
    assert len(reads) == 1
    assert "WITH HOLD" in reads[0]


@one_version
def test_what_an_operation_has_changed_since_is_seen(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (id integer PRIMARY KEY)")
    project.inventory({"one": database.dsn})
    project.deploy(
        f"""
    import psycopg
    from pyinfra.operations import python

    def dropped():
        with psycopg.connect({database.dsn!r}) as connection:
            connection.execute("DROP TABLE t")

    python.call(name="drop it", function=dropped)
    """
        + TABLE
    )
    project.run().succeeded()
    assert "CREATE TABLE public.t" in database.dump()


@one_version
@pytest.mark.parametrize(("seconds", "created"), [(10.0, 0), (0.0, 1)])
def test_it_is_news_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch, seconds: float, created: int
) -> None:
    monkeypatch.setattr(session, "AHEAD", seconds)
    database.psql("CREATE TABLE t (id integer PRIMARY KEY)")

    def deploy() -> None:
        with pg.transaction():
            until(lambda: [state for _, state, _ in database.sessions()] == ["idle"])
            database.psql("DROP TABLE t")
            pg.table("t", [pg.Column("id", "integer", primary_key=True)])

    assert len(run(database, deploy, dry=True).succeeded().plan.changes) == created


@one_version
def test_no_lock_waits_for_the_rest_of_a_deploy(
    project: Project, database: Database, tmp_path: Path
) -> None:
    database.psql("CREATE TABLE t (id integer PRIMARY KEY); CREATE VIEW v AS SELECT id FROM t")
    project.inventory({"one": database.dsn})
    reached, way = tmp_path / "reached", tmp_path / "open"
    project.deploy(
        f"""
    import time
    from pathlib import Path

    with pg.transaction():
        Path({str(reached)!r}).touch()
        while not Path({str(way)!r}).exists():
            time.sleep(0.02)
        pg.view("v", "SELECT id FROM t")
    """
    )
    process = project.start()
    until(reached.exists)
    until(lambda: [state for _, state, _ in database.sessions()] == ["idle"])
    database.psql("SET lock_timeout = '1s'; ALTER TABLE t ADD COLUMN more text")
    way.touch()
    finished(process).succeeded()


@one_version
def test_few_catalogs_are_read_ahead_at_a_time(
    new_database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_BEGUN", 1)
    monkeypatch.setattr(connection.Connection, "is_working", True)
    one, other = new_database(), new_database()

    def declared() -> None:
        with pg.transaction():
            pg.schema("s")

    with other.watch() as seen:
        prepared(declared, one, other)
    reads = [text for text in seen.statements if "pg_get_constraintdef" in text]
    assert len(reads) == 1
    assert "WITH HOLD" not in reads[0]
