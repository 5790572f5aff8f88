"""Slices of hosts, given to an executor one after another, so that it can be stopped between them.

Any `concurrent.futures.Executor` will do: here threads that wait for processes of their own.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import cast

from attrs import define, frozen

from ..exits import SIGNALS, of_signal
from . import worker
from .jobs import Ended, Job

_LARGEST = 40
"""Hosts of a slice: pyinfra itself works on 20 for each core at once."""


class ExecutorError(Exception):
    """An executor that is not to be had."""


@frozen
class Workers:
    """What runs jobs, and how many of them at once."""

    executor: Executor
    processes: int

    def slices(self, hosts: Sequence[str], parallel: int) -> tuple[list[tuple[str, ...]], int]:
        """Hosts in slices, and how many of these at once, so that at most `parallel` hosts are."""
        share = parallel // self.processes if parallel < len(hosts) else len(hosts) / self.processes
        size = min(_LARGEST, max(1, math.ceil(share)))
        found = [tuple(hosts[at : at + size]) for at in range(0, len(hosts), size)]
        at_once = parallel // size if parallel < len(hosts) else len(found)
        return found, max(1, min(self.processes, at_once))

    def each(
        self, jobs: Sequence[Job], at_once: int, wanted: Callable[[], bool]
    ) -> Iterator[tuple[Job, Ended]]:
        """Do jobs, as long as they are wanted, and return each with its end as that comes."""
        waiting = iter(jobs)
        running: dict[Future[Ended], Job] = {}
        while True:
            while len(running) < at_once and wanted() and (job := next(waiting, None)):
                running[self._submitted(job)] = job
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                yield running.pop(one), _end(one)

    def one(self, job: Job) -> Ended:
        """Do a job here: it changes no host."""
        return worker.run(job)

    def _submitted(self, job: Job) -> Future[Ended]:
        try:
            return self.executor.submit(worker.run, job)
        except Exception as error:  # a pool that is broken
            failed: Future[Ended] = Future()
            failed.set_result(Ended(error=_said(error), begun=False))
            return failed


def _end(future: Future[Ended]) -> Ended:
    try:
        return future.result()
    except CancelledError:
        return Ended(error="the executor has cancelled it")
    except Exception as error:
        return Ended(error=f"the executor's worker failed: {_said(error)}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


@contextmanager
def workers(name: str, processes: int) -> Iterator[Workers]:
    """Local processes; or the executor that a function returns, given as `module:function`."""
    executor = _named(name) if name else ThreadPoolExecutor(processes)
    try:
        yield Workers(executor, processes)
    finally:
        executor.shutdown(wait=False)


def _named(name: str) -> Executor:
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # as pyinfra does for inventories
    try:
        return cast(Executor, getattr(import_module(module), function)())
    except Exception as error:
        raise ExecutorError(f"--executor {name}: {_said(error)}") from None


@define
class Stop:
    """Whether a signal has asked for an end."""

    number: int = 0

    @property
    def status(self) -> int:
        """The exit status that stands for it."""
        return of_signal(self.number)


@contextmanager
def stopped_by_signals(tell: Callable[[str], None]) -> Iterator[Stop]:
    """Pass signals on to the processes that run: once to have them stop, again to leave at once."""
    stop = Stop()

    def ask(number: int, _: FrameType | None) -> None:
        worker.interrupt(number)
        if stop.number:
            raise SystemExit(of_signal(number))
        stop.number = number
        tell("Interrupted: no more hosts begin, and what is under way here is cancelled")

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, known in before.items():
        if known is not signal.SIG_IGN:  # nohup does that
            signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, known in before.items():
            signal.signal(number, known)
