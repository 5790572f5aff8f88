"""Signals that end a run.

pyinfra itself leaves at the first Ctrl-C, with status 0, and the servers go on. So while scripts
run, signals come here: what is under way is cancelled on the servers, every host says where its
plan stands, and the program ends with the status that stands for the signal, 130 for Ctrl-C. A
second one leaves at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from attrs import define, field
from gevent import GreenletExit
from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..exits import SIGNALS, of_signal
from ..terminal import complain, say_at_once

_UNTOUCHED = "before: nothing was changed"
_UNKNOWN = (
    "not known: its transaction is in place as a whole or not at all, and what comes after it may "
    "still run: run again to see and to complete it"
)


class Interrupted(SystemExit):
    """Ends a host's plan, and then the program: in any greenlet gevent hands it to the main one."""


@define(eq=False)
class Run:
    """What a signal means to one run of pyinfra."""

    state: State
    signal: int = 0
    """The signal that came, if any."""
    plans: dict[Host, Callable[[], str]] = field(factory=dict)
    """Of each host that has begun its plan, what says where that stands."""
    under_way: set[Host] = field(factory=set)
    """The hosts whose plans run."""
    left: bool = False

    @classmethod
    def of(cls, state: State) -> Run:
        """The one of a run of pyinfra."""
        if state not in _RUNS:
            _RUNS[state] = cls(state)
        return _RUNS[state]

    def leave(self) -> NoReturn:
        """End the program once no plan is under way, having said where each of them stands."""
        while self.under_way:
            time.sleep(0.05)
        if self.left:
            raise GreenletExit
        self.left = True
        for host in self.state.inventory.get_active_hosts():
            where = self.plans[host]() if host in self.plans else _UNTOUCHED
            complain(host, f"interrupted, {where}")
        raise Interrupted(of_signal(self.signal))


_RUNS: WeakKeyDictionary[State, Run] = WeakKeyDictionary()
_listening: list[Run] = []
"""The runs that want to hear of signals, each as often as it has said so."""
_before: dict[int, Any] = {}
"""What signals meant before anybody wanted to hear of them."""


@contextmanager
def heard(state: State) -> Iterator[Run]:
    """Have signals come here while this lasts; a run to which one came hears them to its end."""
    run = Run.of(state)
    _listen(run)
    try:
        yield run
    finally:
        if not run.signal:
            _listening.remove(run)
        if not _listening:
            _give_back()


@contextmanager
def plan_under_way(host: Host, where: Callable[[], str]) -> Iterator[None]:
    """Run a host's plan, and end the program behind it where a signal has asked for that."""
    with heard(host.state) as run:
        if run.signal:
            run.leave()
        run.plans[host] = where
        run.under_way.add(host)
        try:
            yield
        except (Exception, Interrupted):
            # With the signal, the statement was cancelled: that is what failed.
            if not run.signal:
                raise
        finally:
            run.under_way.discard(host)
        if run.signal:
            run.leave()


def stop_if_asked(host: Host) -> None:
    """End what is done on a host, where a signal has asked for that."""
    run = Run.of(host.state)
    if run.signal and host in run.under_way:
        raise Interrupted(of_signal(run.signal))
    if run.signal:
        run.leave()


def pause(host: Host, seconds: float) -> None:
    """Sleep, unless a signal ends it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop_if_asked(host)
        time.sleep(min(left, 0.1))
    stop_if_asked(host)


def end_with_status(state: State) -> None:
    """Have Ctrl-C between scripts too end pyinfra's program with its status, which else is 0."""
    known = signal.getsignal(signal.SIGINT)
    if getattr(known, "__module__", "") != "pyinfra_cli.main":
        return

    def end(number: int, _: object) -> None:
        run = Run.of(state)
        run.signal = run.signal or number
        say_at_once("Interrupted.")
        run.leave()

    with suppress(ValueError):  # this is not the main thread, which alone hears signals
        signal.signal(signal.SIGINT, end)


def _listen(run: Run) -> None:
    if not _listening:
        for number in SIGNALS:
            known = signal.getsignal(number)
            # What is ignored stays so: nohup does that.
            if known not in {signal.SIG_IGN, None}:
                try:
                    _before[number] = signal.signal(number, _handle)
                except ValueError:  # this is not the main thread, which alone hears signals
                    break
    _listening.append(run)


def _give_back() -> None:
    while _before:
        number, known = _before.popitem()
        if signal.getsignal(number) is _handle:
            signal.signal(number, known)


def _handle(number: int, _: object) -> None:
    first = not any(run.signal for run in _listening)
    for run in _listening:
        run.signal = run.signal or number
    if first:
        say_at_once("Interrupted: cancelling what is under way. Once more leaves at once.")
        return
    for run in {id(run): run for run in _listening}.values():
        for host, where in run.plans.items():
            known = _UNKNOWN if host in run.under_way else where()
            say_at_once(f"{host.name}: interrupted, {known}")
    os._exit(of_signal(number))
