"""The documents about a hundred databases, half of which lack all of the platform."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from attrs import evolve

import pyinfra_postgres as pg
import sync_platform
from benchmarks.compared import alternating, report
from harness.process import run
from harness.servers import Databases, TestServer
from pyinfra_postgres.foreign import parsed
from pyinfra_postgres.reports import folder
from pyinfra_postgres.reports.facts import HostFacts, Report, from_json

FEW, MANY = 10, 100


def reports(server: TestServer, runs: int) -> None:
    """Writing what is known of a hundred hosts, against the same for ten."""
    databases = Databases(server)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found = [
            _verified(databases, directory / "empty", is_deployed=False),
            _verified(databases, directory / "deployed", is_deployed=True),
        ]
        pages = {
            count: Report(
                "Sync platform",
                "bench",
                tuple(evolve(found[n % 2], name=f"@postgres/bench-{n}") for n in range(count)),
            )
            for count in (FEW, MANY)
        }
        pairs = alternating(
            runs,
            partial(_written, directory, pages[MANY]),
            partial(_written, directory, pages[FEW]),
        )
    report(f"documents about {MANY} databases / {FEW}", pairs, MANY / FEW * 1.1)
    databases.remove()


def _verified(databases: Databases, path: Path, *, is_deployed: bool) -> HostFacts:
    """What is known of a database, verified as verify.py does."""

    def verify() -> None:
        with pg.verification("Sync platform", str(path), deploy=sync_platform.everything):
            sync_platform.checks()

    def apply() -> None:
        with pg.transaction():
            sync_platform.everything()

    database = databases()
    if is_deployed:
        run(database, apply).succeeded()
    run(database, verify)
    (written,) = path.glob("*/report.json")
    return from_json(Report, parsed(written.read_text())).hosts[0]


def _written(directory: Path, found: Report) -> float:
    """The seconds of a processor that all of the documents take."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        began = time.process_time()
        folder.update(Path(name), found)
        return time.process_time() - began
