"""The law of plans: what a dry run shows without an objection applies, and is done then.

Where it objects, nothing changes. `python -m pytest tests/laws/test_living.py` with
PYINFRA_POSTGRES_LAWS=70 in the environment takes 20,000 steps, others each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness import NEWEST, Databases, TestServer
from harness.process import run

from .living import ALLOWED, SETUP, Living, deploy, living

STEPS = 5
"""What is declared to one database, one after another."""
MANY = int(os.environ.get("PYINFRA_POSTGRES_LAWS", "1"))
DATA: dict[str, Any] = {"postgres_trust": "living_owner", "postgres_allow": ALLOWED}


@pytest.fixture(scope="module")
def living_databases() -> Iterator[Databases]:
    with TestServer(NEWEST) as server:
        server.psql("-c", SETUP)
        yield Databases(server)


@settings(
    max_examples=60 * MANY,
    deadline=None,
    derandomize=MANY == 1,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(one=living(STEPS))
def test_what_is_shown_applies(living_databases: Databases, one: Living) -> None:
    living_databases.remove()
    database = living_databases()
    database.psql(one.sql())
    before = database.dump()
    for step in one.steps:
        dry = run(database, deploy(step), dry=True, **DATA)
        outcome = run(database, deploy(step), **DATA)
        after = database.dump()
        if dry.failed:
            assert outcome.failed, f"only the dry run objected: {dry.messages}\n{step}"
            assert after == before, f"it changed something: {dry.messages}\n{step}"
            continue
        assert not outcome.failed, f"{outcome.messages}\n{step}"
        again = run(database, deploy(step), **DATA)
        assert not again.failed, f"the second run: {again.messages}\n{step}"
        assert again.plan.changes == [], step
        before = after
