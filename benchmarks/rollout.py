"""A first apply on 300 databases in waves, through processes here and through a Dask cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compared import ROOT, timed
from demo.server import environment
from harness.servers import Database, Databases, TestServer

PLATFORM = ROOT / "deploy.py"
MADE = 300
CANARIES = 10
CLUSTER = """
from distributed import Client, LocalCluster


def executor():
    cluster = LocalCluster(n_workers={workers}, threads_per_worker=1, dashboard_address=None)
    return Client(cluster).get_executor()
"""
INVENTORY = """
from pyinfra_postgres.fleet.probes import Deadlocks, LockWaiters
from pyinfra_postgres.fleet.waves import Wave

canaries = {canaries!r}
rest = {rest!r}
waves = {{
    "canaries": Wave(match="canaries", parallel=10, probes=[LockWaiters(), Deadlocks()]),
    "rest": Wave(parallel={parallel}),
}}
"""


def rollout(server: TestServer, runs: int) -> None:  # noqa: ARG001  (each takes minutes)
    """Whole commands: from nothing, then with nothing to change; and one process beside it."""
    cores = os.cpu_count() or 1
    for title, options in (
        (f"{cores} processes", []),
        (f"a Dask cluster of {cores} workers", ["--executor", "cluster:executor"]),
    ):
        databases = Databases(server)
        made = [databases() for _ in range(MADE)]
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            _write(directory, made, cores)
            for what in "first apply", "no changes":
                seconds = _command(directory, *options)
                print(f"{what} on {MADE}, {title}: {seconds:.0f} s, {MADE / seconds * 60:.0f}/min")
        databases.remove()
    databases = Databases(server)
    made = [databases() for _ in range(MADE)]
    with tempfile.TemporaryDirectory() as name:
        seconds = timed(made, PLATFORM, Path(name))["command"]
    print(f"first apply on {MADE}, pyinfra alone: {seconds:.0f} s, {MADE / seconds * 60:.0f}/min")
    databases.remove()


def _write(directory: Path, databases: list[Database], cores: int) -> None:
    hosts = [(f"@postgres/{n}", {"postgres_dsn": one.dsn}) for n, one in enumerate(databases)]
    inventory = INVENTORY.format(
        canaries=hosts[:CANARIES], rest=hosts[CANARIES:], parallel=40 * cores
    )
    (directory / "inventory.py").write_text(inventory)
    (directory / "cluster.py").write_text(CLUSTER.format(workers=cores))


def _command(directory: Path, *options: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyinfra_postgres.cli.main", "rollout"),
            *("inventory.py", str(PLATFORM), *options),
        ],
        cwd=directory,
        env={**environment(), "XDG_CACHE_HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if f"Rollout done: {MADE} after" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - began
