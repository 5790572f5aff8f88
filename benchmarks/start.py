"""What having the package installed costs each start of pyinfra, whatever it is to run."""

from __future__ import annotations

import tempfile
import time
import venv
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.compared import ROOT, alternating, report, run
from harness.servers import TestServer


def start(_: TestServer, runs: int) -> None:
    """A command that has nothing to do with PostgreSQL, with the package and without it."""
    with tempfile.TemporaryDirectory() as name:
        pyinfra = f"pyinfra=={version('pyinfra')}"
        without = _environment(Path(name, "without"), pyinfra)
        with_it = _environment(Path(name, "with"), pyinfra, str(ROOT))
        print("start ", end="")
        pairs = alternating(runs, partial(_seconds, with_it), partial(_seconds, without))
    report("start: with the package / without", pairs, 1.1)


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
