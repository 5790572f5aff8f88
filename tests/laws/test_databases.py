"""Laws over whole databases: what a run leaves does not depend on the way there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness import NEWEST, Database, Databases, TestServer
from harness.process import run

from .schemas import SETUP, Draw, draws

DATA: dict[str, Any] = {"postgres_today": "2025-01-15"}
TOUCHED = "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
few = settings(
    max_examples=15,
    deadline=None,
    # A database is quicker to read than to shrink.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with TestServer(NEWEST) as server:
        server.psql("-c", SETUP)
        yield Databases(server)


def empty(databases: Databases) -> Database:
    database = databases()
    database.psql(TOUCHED)
    return database


@few
@given(one=draws())
def test_a_second_run_changes_nothing(databases: Databases, one: Draw) -> None:
    database = empty(databases)
    run(database, one.deploy(), **DATA).succeeded()
    before = database.dump()
    for row in one.rows():
        database.psql(row)
    again = run(database, one.deploy(), **DATA).succeeded()
    assert again.plan.changes == []
    assert database.dump() == before
