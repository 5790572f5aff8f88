"""Laws over whole databases: what a run leaves does not depend on the way there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness import NEWEST, Database, Databases, TestServer
from harness.process import run
from pyinfra_postgres.names import quoted

from .schemas import EVERYTHING, SETUP, Draw, draws

DATA: dict[str, Any] = {"postgres_today": "2025-01-15"}
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


@few
@given(one=draws())
def test_a_second_run_changes_nothing(databases: Databases, one: Draw) -> None:
    database = databases()
    run(database, one.deploy(), **DATA).succeeded()
    before = database.dump()
    for row in one.rows():
        database.psql(row)
    again = run(database, one.deploy(), **DATA).succeeded()
    assert again.plan.changes == []
    assert database.dump() == before


@few
@given(one=draws(), other=draws())
def test_the_way_to_a_database_does_not_matter(
    databases: Databases, one: Draw, other: Draw
) -> None:
    fresh, changed = databases(), databases()
    run(fresh, other.deploy(exact=True), **DATA).succeeded()
    run(changed, one.deploy(), **DATA).succeeded()
    for row in one.rows():
        changed.psql(row)
    dump, rows = changed.dump(), kept(changed, one, other)

    outcome = run(changed, other.deploy(exact=True), **DATA, postgres_allow=EVERYTHING)

    assert kept(changed, one, other) == rows
    if outcome.plan.refusals:
        assert outcome.failed
        assert changed.dump() == dump
        return
    outcome.succeeded()
    assert changed.differences(fresh) == []
    again = run(changed, other.deploy(exact=True), **DATA).succeeded()
    assert again.plan.changes == []


def kept(database: Database, one: Draw, other: Draw) -> dict[str, str]:
    """The values of the columns that both declare with the same type."""
    found = {}
    declared = {table.name: table for table in other.tables}
    for table in one.tables:
        if table.name in declared:
            theirs = {column.name: column.type for column in declared[table.name].columns}
            common = [
                quoted(column.name)
                for column in table.columns
                if theirs.get(column.name) == column.type
            ]
            if common:
                columns = ", ".join(f"{name}::text" for name in common)
                found[table.name] = database.psql(f"SELECT {columns} FROM {table.sql_name}")
    return found
