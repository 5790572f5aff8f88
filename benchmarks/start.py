"""What having the package installed costs each start of pyinfra, and what using it does."""

from __future__ import annotations

import tempfile
import time
import venv
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.compared import ROOT, alternating, report, run, timed
from harness.servers import Databases, TestServer

PLATFORM = ROOT / "deploy.py"


def start(server: TestServer, runs: int) -> None:
    """Whole commands, against one that has nothing to do with PostgreSQL without the package.

    First the same command with the package, then a run of `deploy.py` that changes nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        pyinfra = f"pyinfra=={version('pyinfra')}"
        without = _environment(Path(name, "without"), pyinfra)
        with_it = _environment(Path(name, "with"), pyinfra, str(ROOT))
        print("start ", end="")
        pairs = alternating(runs, partial(_seconds, with_it), partial(_seconds, without))
        report("start: with the package / without", pairs, 1.1)
        databases = Databases(server)
        database, cache = databases(), Path(name, "cache")

        def unchanged() -> float:
            return float(timed([database], PLATFORM, cache)["command"])

        # Applied, compared, and found to need nothing, which is remembered.
        unchanged(), unchanged(), unchanged()
        print("no-op run ", end="")
        pairs = alternating(runs, unchanged, partial(_seconds, without))
        report("start: no-op run / pyinfra @local exec without the package", pairs, 1.5)
        databases.remove()


def _environment(directory: Path, *packages: str) -> Path:
    """The pyinfra of an environment of its own, started once."""
    venv.create(directory, with_pip=True)
    run(str(directory / "bin" / "pip"), "install", "--quiet", *packages)
    pyinfra = directory / "bin" / "pyinfra"
    _seconds(pyinfra)
    return pyinfra


def _seconds(pyinfra: Path) -> float:
    began = time.perf_counter()
    # Not in the checkout, whose config.py it would read.
    run(str(pyinfra), "@local", "exec", "--", "true", directory=pyinfra.parent)
    return time.perf_counter() - began
