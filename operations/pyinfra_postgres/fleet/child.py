"""The process of one job: pyinfra on some hosts of an inventory.

It reads the job from standard input, and what it has to say of it are lines of JSON on what was
standard output. All that is printed goes to standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from _thread import start_new_thread  # what starts later is no thread for gevent

import pyinfra_cli  # noqa: F401  (first: gevent patches what is imported after it)

# isort: split

import json
import logging
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import click
import pyinfra
from attrs import asdict
from click import unstyle
from pyinfra.api.output import set_echo, set_formatter
from pyinfra_cli.log import setup_logging

from .. import terminal
from ..exits import SIGNALS, of_signal
from .arranging import planned
from .comparing import compared
from .jobs import Job, Task
from .probing import probed
from .runs import PyinfraRun, meant, reason

_OUR_SIGNAL = signal.SIGTERM

Tell = Callable[[str, Any], None]


class _Notes(logging.Handler):
    """What is said of a host while it is at work: for what it waits, and why."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.INFO)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        if record.pathname == terminal.__file__ and record.funcName == terminal.say.__name__:
            self.tell("note", unstyle(record.getMessage()))


def main() -> None:
    """Do the job that comes in."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(word: str, what: Any) -> None:
        answers.write(f"{json.dumps({word: what})}\n")

    job = Job.read(sys.stdin.buffer.readline())
    start_new_thread(_end_when_nobody_waits, ())
    for number in SIGNALS:
        signal.signal(number, _leave)
    _be_pyinfra(tell)
    try:
        tell("answer", _DO[job.task](job, tell))
    except SystemExit as error:
        tell("error", "interrupted")
        raise error from None
    except Exception as error:
        tell("error", reason(error))


def _end_when_nobody_waits() -> None:
    """Whoever waits for the answer keeps standard input open."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), _OUR_SIGNAL)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(of_signal(number))


def _be_pyinfra(tell: Tell) -> None:
    """What pyinfra's own program does before it begins."""
    pyinfra.is_cli = True
    set_formatter(click.style)
    set_echo(click.echo)
    sys.dont_write_bytecode = True
    setup_logging(logging.INFO)
    logging.getLogger("pyinfra").addHandler(_Notes(tell))
    here = os.getcwd()  # noqa: PTH109  (as pyinfra has it)
    if here not in sys.path:
        sys.path.append(here)


def _list(job: Job, _: Tell) -> list[str]:
    return [one.name for one in meant(job.target)]


def _arrange(job: Job, _: Tell) -> list[dict[str, Any]]:
    return [asdict(one) for one in planned(job.target, job.parallel)]


def _compare(job: Job, _: Tell) -> list[dict[str, Any]]:
    return [one.data() for one in compared(job)]


def _deploy(job: Job, tell: Tell) -> list[dict[str, Any]]:
    """Run the scripts: without looking for changes beforehand, as pyinfra's `-y` does."""
    run = PyinfraRun.of(job.target, job.hosts, stops=job.stops)

    def deploy() -> None:
        run.prepare()
        tell("begun", True)
        run.execute()

    run.do(deploy)
    return [run.outcome(name).data() for name in job.hosts]


def _probe(job: Job, _: Tell) -> list[dict[str, Any]]:
    return probed(job)


_DO: dict[Task, Callable[[Job, Tell], Any]] = {
    Task.LIST: _list,
    Task.ARRANGE: _arrange,
    Task.COMPARE: _compare,
    Task.DEPLOY: _deploy,
    Task.PROBE: _probe,
}


if __name__ == "__main__":
    main()
