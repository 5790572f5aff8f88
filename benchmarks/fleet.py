"""One deploy on many equal databases at once, against the same on one."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.compared import ROOT, alternating, report, timed
from harness.servers import Database, Databases, TestServer

PLATFORM = ROOT / "deploy.py"
MADE = 100
GOALS = {10: 2, 100: 8, 1000: 60}
"""Of how many hosts what a run without changes may cost, as a multiple of that on one."""


def fleet(server: TestServer, runs: int) -> None:
    """A first apply on many databases, and runs that change nothing. Whole commands count.

    Of more hosts than there are databases, several are one database.
    """
    databases = Databases(server)
    alone, *made = (databases() for _ in range(1 + MADE))
    with tempfile.TemporaryDirectory() as cache:

        def command(hosts: list[Database]) -> float:
            return float(timed(hosts, PLATFORM, Path(cache))["command"])

        report(f"first apply on {MADE} / on one", [(command(made), command([alone]))], MADE)
        # The first run compares; from the second on it is remembered that nothing changes.
        for _ in range(2):
            command(made), command([alone])
        for size, goal in GOALS.items():
            hosts = (made * size)[:size]
            pairs = alternating(min(runs, 5), partial(command, hosts), partial(command, [alone]))
            report(f"no changes on {size} / on one", pairs, goal)
    databases.remove()
