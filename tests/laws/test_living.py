"""The law of plans: what a dry run shows without an objection applies, and is done then.

Where it objects, nothing changes. PYINFRA_POSTGRES_LAWS=70 in the environment takes 70 times as
many steps, others each time.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from harness import Databases
from harness.process import run

from .living import ALLOWED, deploy, living

STEPS = 5
"""What is declared to one database, one after another."""
MANY = int(os.environ.get("PYINFRA_POSTGRES_LAWS", "1"))
# The workers of one run draw the same; without xdist the seed is None, and the draw any.
DRAWN = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(10**9)
FIRST = 0 if MANY == 1 else DRAWN
DATA: dict[str, Any] = {"postgres_trust": "living_owner", "postgres_allow": ALLOWED}


@pytest.mark.parametrize("number", range(FIRST, FIRST + 60 * MANY))
def test_what_is_shown_applies(living_databases: Databases, number: int) -> None:
    one = living(number, STEPS)
    living_databases.remove()
    database = living_databases()
    database.psql(one.sql())
    for step in one.steps:
        before = database.server.snapshot()
        dry = run(database, deploy(step), dry=True, **DATA)
        changed = database.server.committed_since(before)
        assert not changed, f"the dry run changed something: {dry.messages}\n{one}"
        outcome = run(database, deploy(step), **DATA)
        if dry.failed:
            assert outcome.failed, f"only the dry run objected: {dry.messages}\n{one}"
            changed = database.server.committed_since(before)
            assert not changed, f"it changed something: {dry.messages}\n{one}"
            continue
        assert not outcome.failed, f"{outcome.messages}\n{one}"
        again = run(database, deploy(step), **DATA)
        assert not again.failed, f"the second run: {again.messages}\n{one}"
        assert again.plan.changes == [], one
