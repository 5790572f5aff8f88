"""Laws over whole databases: what a run leaves does not depend on the way there.

The examples are the same whenever the whole suite runs, so that what it says of a change is about
that change. PYINFRA_POSTGRES_LAWS=20 in the environment tries 20 times as many, others each time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness import Database, Databases, relay, relayed
from harness.process import Outcome, run

from . import schemas
from .schemas import EVERYTHING, Draw

DATA: dict[str, Any] = {
    "postgres_today": "2025-01-15",
    "postgres_allow": EVERYTHING,
    "postgres_trust": "law_owner",
}
MANY = int(os.environ.get("PYINFRA_POSTGRES_LAWS", "1"))
few = settings(
    max_examples=8 * MANY,
    deadline=None,
    derandomize=MANY == 1,
    # A database is quicker to read than to shrink.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few
@given(one=schemas.databases())
def test_a_second_run_changes_nothing(databases: Databases, one: Draw) -> None:
    databases.remove()
    database = databases()
    run(database, one.deploy(), **DATA).succeeded()
    before = database.dump()
    fill(database, one)
    again = run(database, one.deploy(), **DATA).succeeded()
    assert again.plan.changes == []
    assert database.dump() == before


@few
@given(pair=schemas.pairs(), at_once=st.booleans())
def test_the_way_to_a_database_does_not_matter(
    databases: Databases, pair: tuple[Draw, Draw], at_once: bool
) -> None:
    one, other = pair
    databases.remove()
    fresh, changed = databases(), databases()
    run(fresh, other.deploy(exact=True), **DATA).succeeded()
    run(changed, one.deploy(exact=True), **DATA).succeeded()
    fill(changed, one)
    rows = kept(changed, one, other)
    # What nobody declares goes with the change, or in a run of its own.
    if lands(changed, one, other, exact=at_once) and lands(changed, other, other, exact=True):
        assert kept(changed, other, one) == rows
        assert changed.differences(fresh) == []


def lands(database: Database, one: Draw, other: Draw, *, exact: bool) -> bool:
    """Whether a change is possible: a refused one leaves all as it is, none is needed twice."""
    dump, rows = database.dump(), kept(database, one, other)
    for allowed in "", EVERYTHING:
        data = DATA | {"postgres_allow": allowed}
        outcome = run(database, other.deploy(exact=exact), **data)
        if not outcome.plan.refusals:
            outcome.succeeded()
            again = run(database, other.deploy(exact=exact), **DATA).succeeded()
            assert again.plan.changes == []
            return True
        assert outcome.failed
        assert database.dump() == dump
        assert kept(database, one, other) == rows
    return False


@settings(few, max_examples=5 * MANY)
@given(pair=schemas.pairs(), left=st.integers(1, 12))
def test_the_next_run_completes_one_that_was_cut_off(
    databases: Databases, pair: tuple[Draw, Draw], left: int
) -> None:
    one, other = pair
    databases.remove()
    whole = databases()
    run(whole, one.deploy(exact=True), **DATA).succeeded()
    fill(whole, one)
    cut = databases(copy_of=whole)

    outcome, answers = through_a_relay(whole, other, None)
    if outcome.plan.refusals:
        return
    outcome.succeeded()
    through_a_relay(cut, other, max(1, answers - left))
    run(cut, other.deploy(exact=True), **DATA).succeeded()

    assert cut.differences(whole) == []
    assert kept(cut, other, one) == kept(whole, other, one)


def through_a_relay(database: Database, one: Draw, last: int | None) -> tuple[Outcome, int]:
    """A run, and how many answers it got; after the last one it has no connection any more."""
    with (
        tempfile.TemporaryDirectory(prefix="pgt-") as path,
        relay(database.server, Path(path)) as between,
    ):
        between.last = last
        reached = {"postgres_dsn": relayed(database, Path(path)), "postgres_connect_attempts": 1}
        outcome = run(database, one.deploy(exact=True), **DATA | reached)
        return outcome, between.answers


def fill(database: Database, one: Draw) -> None:
    database.psql(";".join(one.rows()))


def kept(database: Database, one: Draw, other: Draw) -> dict[int, str]:
    """The values of the columns of one that both declare with the same type."""
    found = {}
    declared = {table.place: table for table in other.tables}
    for table in one.tables:
        if theirs := declared.get(table.place):
            common = [
                name
                for family, name in sorted(table.same.items())
                if family in theirs.same and table.types[family] == theirs.types[family]
            ]
            if common:
                columns = ", ".join(f"{name}::text" for name in common)
                found[table.place] = database.psql(f"SELECT {columns} FROM {table.name}")
    return found
