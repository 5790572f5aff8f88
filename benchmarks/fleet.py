"""One deploy on many databases at once, against the number of databases."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.compared import ROOT, timed
from harness.servers import Databases, TestServer

SIZES = (1, 10, 50, 100)
MANY = ROOT / "benchmarks" / "many.py"
TABLES = 20


def fleet(server: TestServer, runs: int) -> None:
    """First applies and runs without changes, each as a multiple of that on one database."""
    found: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for size in SIZES:
            times = [_times(server, size, Path(cache)) for _ in range(min(runs, 3))]
            found[size] = [statistics.median(kind) for kind in zip(*times, strict=True)]
            print(".", end="", flush=True)
    print(f"\nfleet of databases with {TABLES} tables each:\n")
    print("| databases | first apply | no changes |")
    print("|---|---|---|")
    for size, seconds in found.items():
        ratios = [one / alone for one, alone in zip(seconds, found[1], strict=True)]
        print(f"| {size} | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} |")


def _times(server: TestServer, size: int, cache: Path) -> tuple[float, float]:
    databases = Databases(server)
    made = [databases() for _ in range(size)]
    # The second run has the server's verdicts remembered.
    first, _, last = (timed(made, MANY, cache, tables=TABLES)["seconds"] for _ in range(3))
    databases.remove()
    return first, last
