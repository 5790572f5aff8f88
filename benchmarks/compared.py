"""Timing runs of pyinfra against something else, in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demo.server import environment
from harness.servers import Database

ROOT = Path(__file__).resolve().parent.parent


def timed(
    databases: Sequence[Database], deploy: Path, cache: Path | None = None, **data: object
) -> dict[str, Any]:
    """Run a deploy on databases from the checkout: seconds, operations, changed, memory.

    The seconds are those of the run itself; those of the whole command are in `command`.
    `cache` is where it keeps what the server has called equal; by default nowhere. Keywords are
    data of every host.
    """
    hosts = [
        (f"@postgres/bench-{number}", {"postgres_dsn": database.dsn, **data})
        for number, database in enumerate(databases)
    ]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        inventory = directory / "inventory.py"
        inventory.write_text(f"bench = {hosts!r}\n")
        result = directory / "result.json"
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, ROOT / "benchmarks" / "timed.py", result, inventory, deploy, "-y"],
            cwd=ROOT,
            env={**environment(), "XDG_CACHE_HOME": str(cache or directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        command = time.perf_counter() - began
        return {**json.loads(result.read_text()), "command": command}


def run(program: str, *arguments: str, directory: Path | None = None) -> None:
    """Run a program; what it prints is shown where it fails."""
    done = subprocess.run(
        [program, *arguments],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def alternating(
    runs: int, left: Callable[[], float], right: Callable[[], float]
) -> list[tuple[float, float]]:
    """Time both sides in turn, changing which goes first."""
    pairs = []
    for number in range(runs):
        if number % 2:
            second, first = right(), left()
        else:
            first, second = left(), right()
        pairs.append((first, second))
        print(".", end="", flush=True)
    print()
    return pairs


def report(title: str, pairs: list[tuple[float, float]], goal: float) -> None:
    """Print the median ratio, its spread, and the medians of both sides."""
    ratios = sorted(left / right for left, right in pairs)
    left, right = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
    print(
        f"{title}: {statistics.median(ratios):.2f} (goal {goal}; {ratios[0]:.2f} to "
        f"{ratios[-1]:.2f} in {len(ratios)} runs; {left:.0f} ms against {right:.0f} ms)"
    )
