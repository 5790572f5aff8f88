"""Commands for many hosts, run in a project as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.server import environment
from harness import Project, Run

Process = subprocess.Popen[str]
Start = Callable[..., Process]
Command = Callable[..., Run]


@pytest.fixture
def start(project: Project) -> Iterator[Start]:
    """Starts `pyinfra-postgres`; not as a fork, for gevent must not have patched it."""
    started: list[Process] = []

    def start(*arguments: str | Path) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyinfra_postgres.cli.main", *map(str, arguments)],
            cwd=project.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass


@pytest.fixture
def command(start: Start) -> Command:
    """Runs `pyinfra-postgres` with arguments."""

    def command(*arguments: str | Path) -> Run:
        run = ended(start(*arguments))
        assert "Traceback" not in run.output, run.output
        return run

    return command


def ended(process: Process) -> Run:
    """Wait for a command that was started."""
    stdout, stderr = process.communicate(timeout=300)
    return Run(process.returncode, stdout, stderr)


def children(process: Process) -> list[int]:
    """The processes that a command has started."""
    tasks = Path(f"/proc/{process.pid}/task")
    found = [(task / "children").read_text().split() for task in tasks.iterdir()]
    return [int(pid) for pids in found for pid in pids]


def has_ended(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
