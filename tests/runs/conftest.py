"""What several of the run tests start from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Database, Databases, Project, Relay, relay, relayed

SLOW = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", primary_key=True)])
        pg.sql("SELECT pg_sleep(1.5)", unless="SELECT EXISTS (SELECT FROM pg_tables "
               "WHERE tablename = 'u')")
        pg.table("u", [pg.Column("id", "integer")])
"""


QUICK = SLOW.replace("1.5", "0.1")
EVERY_TIME = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer")])
        pg.sql("INSERT INTO t VALUES (1)")
"""


def sleeping(database: Database) -> bool:
    """Whether a run of SLOW has come to its sleep."""
    return any("pg_sleep" in query for _, state, query in database.sessions() if state == "active")


def end_sessions(database: Database) -> None:
    """As a restart of the server does, or an administrator."""
    database.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def end_build(database: Database) -> None:
    """End the session that builds an index."""
    database.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
    )


@pytest.fixture
def host_data() -> dict[str, Any]:
    """The host data of the network's host: what a module of tests is about."""
    return {}


@pytest.fixture
def network(project: Project, database: Database, host_data: dict[str, Any]) -> Iterator[Relay]:
    """What lies between the run and the database, which is the inventory's host `one`."""
    with (
        tempfile.TemporaryDirectory(prefix="pgt-") as path,
        relay(database.server, Path(path)) as between,
    ):
        host = {"one": relayed(database, Path(path))}
        project.inventory(host, postgres_connect_delay=0.01, **host_data)
        yield between


@pytest.fixture
def pair(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """Two databases in the inventory, as hosts one and two."""
    one, two = new_database(), new_database()
    project.inventory({"one": one.dsn, "two": two.dsn})
    return one, two
