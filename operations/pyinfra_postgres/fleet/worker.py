"""A job in a process of its own: `run` is what an executor is given.

pyinfra patches the process that it runs in for gevent, for good, and listens to its signals; so
whoever waits for a job only starts that process. One that is killed takes no other job with it. It
reads its standard input until that ends: then nobody waits for it any more, and it stops.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..terminal import put
from .jobs import Ended, Job

_CHILD = "pyinfra_postgres.fleet.child"
_PATIENCE = 20.0
"""Seconds for a process to cancel what it does on the servers."""
_LAST_WORDS = 400

_running: set[subprocess.Popen[bytes]] = set()
_asked: list[int] = []
"""The signals that all of them are to have had."""


def run(job: Job) -> Ended:
    """Do a job in a process of its own, and wait for it."""
    if _asked:
        return Ended(error="interrupted", begun=False)
    told: dict[str, Any] = {}
    with tempfile.TemporaryFile() as said, _process(job, said.fileno()) as process:
        assert process.stdout
        for line in process.stdout:
            # A line that is cut off ends with the process.
            with suppress(ValueError):
                told.update(json.loads(line))
            if "note" in told:
                put(told.pop("note"), err=True)
        code = process.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    error = "" if "answer" in told else told.get("error") or _end(code, text)
    return Ended(told.get("answer"), error, "begun" in told, text)


def interrupt(number: int) -> None:
    """Send a signal to the processes of all jobs that this process waits for."""
    _asked.append(number)
    for process in list(_running):
        _send(process, number)


@contextmanager
def _process(job: Job, said: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603
        # -P: what lies in the directory takes the place of no module before pyinfra puts it there.
        [sys.executable, "-P", "-m", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        cwd=job.target.directory,
        env={**os.environ, "PYINFRA_PROGRESS": "off"},
        start_new_session=True,  # a terminal's Ctrl-C comes once, from here
    )
    _running.add(process)
    try:
        with suppress(BrokenPipeError):
            assert process.stdin
            process.stdin.write(f"{job.text()}\n".encode())
            process.stdin.flush()
        yield process
    finally:
        _end_process(process)
        _running.discard(process)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    """Have it end, if it runs, as it does when nobody waits for it."""
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            assert stream
            stream.close()
    try:
        process.wait(_PATIENCE)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _end(code: int, said: str) -> str:
    """How a process has ended that gave no answer."""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    last = " ".join(said.split())[-_LAST_WORDS:]
    return f"its process ended with status {code}{f': {last}' if last else ''}"
