"""Processes that begin with pyinfra and the package imported: forks of one that only waits.

Each is a process as `python -m MODULE ARGUMENTS` would be, with a directory, environment, streams
and signals of its own, without the half second that the imports take.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import inspect
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Self

_IMPORTS = (
    "pyinfra_cli.main",
    "pyinfra_postgres.public",
    "pyinfra_postgres.neon.connector",
    "pyinfra_postgres.reports.verification",
)
_LONGEST = 1 << 17  # bytes of a task


class Started:
    """A process that was started: of `subprocess.Popen`, what tests need."""

    def __init__(self, streams: tuple[IO[bytes], IO[bytes]], status: socket.socket) -> None:
        self.returncode: int | None = None
        self._streams = streams
        self._status = status
        self.pid = int(status.recv(32))

    def poll(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it, if it has ended."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it wrote to its streams."""
        self.wait(timeout)
        for stream in self._streams:
            stream.seek(0)
        stdout, stderr = (stream.read().decode() for stream in self._streams)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self._status.close()
        for stream in self._streams:
            stream.close()

    def _end(self) -> None:
        self.returncode = int(self._status.recv(32))


def start(module: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Started:
    """Run a module in a process that nothing can be typed into."""
    streams = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
    status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    task = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
    with theirs:
        files = [*(stream.fileno() for stream in streams), theirs.fileno()]
        socket.send_fds(_waiting(), [json.dumps(task).encode()], files)
    return Started(streams, status)


@functools.cache
def _waiting() -> socket.socket:
    """What leads to the process that waits for tasks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            # -P: the modules beside this one have names that others have too.
            [sys.executable, "-P", __file__, str(theirs.fileno()), "pyinfra"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _next_task(number: int) -> dict[str, Any]:
    """Wait for tasks, and return each in a fork that has its streams."""
    # gevent has replaced what has these names in `os` and `socket` by parts of its event loop,
    # which a fork has to start for itself.
    import _socket
    import posix

    tasks = _socket.socket(fileno=number)
    running: dict[int, int] = {}
    while True:
        # Now and then, what has ended is told to who has started it.
        tasks.settimeout(0.005 if running else None)
        try:
            task, ancillary, *_ = tasks.recvmsg(_LONGEST, _socket.CMSG_SPACE(3 * 4))
        except TimeoutError:
            while running and (ended := posix.waitpid(-1, posix.WNOHANG))[0]:
                told = running.pop(ended[0])
                with contextlib.suppress(BrokenPipeError):  # who does not want to know
                    os.write(told, str(os.waitstatus_to_exitcode(ended[1])).encode())
                os.close(told)
            continue
        if not task:
            os._exit(0)
        stdout, stderr, told = memoryview(ancillary[0][2]).cast("i")
        run = posix.fork()
        if not run:
            tasks.close()
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            for file in (stdout, stderr, told, *running.values()):
                os.close(file)
            return dict(json.loads(task))
        os.write(told, str(run).encode())
        running[run] = told
        os.close(stdout)
        os.close(stderr)


def _main() -> None:
    for name in _IMPORTS:
        import_module(name)
    inspect.stack()  # as pyinfra does for each operation: the first time it takes 30 ms
    gc.freeze()
    # Control-C on the terminal of the tests is for them; what is run has its own handler.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = _next_task(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    sys.path.insert(0, task["cwd"])
    sys.argv[1:] = task["arguments"]
    try:
        runpy.run_module(task["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int) and threading.active_count() == 1:
            # To take apart all that was imported takes longer than most runs.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)
        raise


if __name__ == "__main__":
    _main()
