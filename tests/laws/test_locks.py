"""The law of locks: what a plan says that its statements lock, read and write anew is what they do.

For plans of the law of plans, rehearsed as a whole and then run statement by statement on a copy;
and for the changes of benchmarks/load.py. PYINFRA_POSTGRES_LAWS=20 in the environment takes 100
plans.
"""

from __future__ import annotations

import pytest

from benchmarks.load import CHANGES
from benchmarks.load import SETUP as LOADED
from harness import Database, Databases, one_version
from harness.locks import differences
from harness.process import run

from .living import ALLOWED, deploy, living
from .test_living import DATA, FIRST, MANY, STEPS


@pytest.mark.parametrize("number", range(FIRST, FIRST + 2 * MANY))
def test_a_plan_locks_what_it_says(living_databases: Databases, number: int) -> None:
    one = living(number, STEPS)
    living_databases.remove()
    database = living_databases()
    database.psql(one.sql())
    for step in one.steps:
        if run(database, deploy(step), dry=True, **DATA).failed:
            continue
        before = database.server.snapshot()
        names = {"rehearse": ALLOWED}
        dry = run(database, deploy(step), dry=True, override=names, postgres_rehearse=True, **DATA)
        assert not database.server.committed_since(before), one
        assert not dry.failed, f"{dry.messages}\n{one}"
        found = differences(living_databases(copy_of=database), dry.plan)
        assert found == [], f"{dry.messages}\n{one}"
        run(database, deploy(step), **DATA)


@pytest.mark.parametrize("title", [one.title for one in CHANGES])
@one_version
def test_a_change_under_load_locks_what_it_says(database: Database, title: str) -> None:
    database.psql(LOADED.format(rows=100))
    (change,) = (one for one in CHANGES if one.title == title)
    plan = run(database, change.declared, dry=True).succeeded().plan
    assert plan.changes
    assert differences(database, plan) == []
