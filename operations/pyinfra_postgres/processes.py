"""pyinfra as a program of its own, which ends when this one is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .exits import SIGNALS, of_process, of_signal

_PATIENCE = 10
"""Seconds for it to cancel what it does on the servers."""


def pyinfra(*arguments: str) -> int:
    """Run pyinfra, and return its exit status. Raises SystemExit where a signal comes."""
    with signals_raised():
        process = subprocess.Popen([sys.executable, "-m", "pyinfra", *arguments])  # noqa: S603
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
    return of_process(code)


@contextmanager
def signals_raised() -> Iterator[None]:
    """Have signals that end the process raise SystemExit, so that what is open is closed."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(of_signal(number))

    with _handling(leave):
        yield


@contextmanager
def signals_held(tell: Callable[[], None]) -> Iterator[None]:
    """Answer signals that end the process with a word until the block is through."""
    with _handling(lambda _, __: tell()):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, former in before.items():
        if former is not signal.SIG_IGN:  # nohup does that
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
