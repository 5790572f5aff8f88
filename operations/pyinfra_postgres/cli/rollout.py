"""`pyinfra-postgres rollout`: a deploy through the waves of an inventory."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from .. import exits
from ..fleet.jobs import Job, Planned, Task
from ..fleet.progress import Display, Lines, Listener
from ..fleet.rollout import End, Waves
from ..fleet.slices import ExecutorError, Workers, stopped_by_signals, workers
from ..hidden import MASK
from .common import complain
from .fleets import begin, fleet_options, target

_STATUS = {End.DONE: exits.WELL, End.PAUSED: exits.UNSURE}
"""Exit statuses; any other end is an error."""
_ACCEPT = "--accept"
_DATA = "--data="
_SECRET = ("password", "dsn", "secret", "token")
"""Host data whose value is not printed, by a part of its name."""


@click.command(
    "rollout", epilog="Example: pyinfra-postgres rollout inventory.py deploy.py verify.py"
)
@fleet_options
@click.option(
    "--parallel",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many hosts at once, where the inventory declares no waves.",
)
@click.option(
    _ACCEPT,
    "accepted",
    multiple=True,
    metavar="WAVE",
    help="Go on after a wave of which its probes can't tell whether it is good.",
)
def command(
    executor: str,
    processes: int,
    as_json: bool,
    parallel: int,
    accepted: tuple[str, ...],
    **given: Any,
) -> None:
    """Run deploys on all hosts, wave after wave, as the inventory declares them.

    The first host that fails stops it, and so does a probe between waves. The command line that is
    printed then goes on: hosts that are as they should be are not changed again. The exit status is
    0 when all hosts are, 1 after a failure, and 3 where a probe can't tell.
    """
    begin()
    listener: Listener = Lines() if as_json else Display()
    meant = target(given)
    with stopped_by_signals(complain) as stop:
        try:
            with workers(executor, processes) as them:
                waves = _planned(Job(Task.ARRANGE, meant, parallel=parallel), them, accepted)
                rollout = Waves(meant, waves, them, stop, listener, frozenset(accepted))
                end = rollout.run()
        except (ExecutorError, _RolloutError) as error:
            listener.error(str(error))
            sys.exit(stop.status if stop.number else exits.ERROR)
        hosts = {name: rollout.outcomes.get(name) for wave in waves for name in wave.hosts}
        listener.end(end, hosts, _ways(rollout, end))
    sys.exit(stop.status if stop.number else _STATUS.get(end, exits.ERROR))


class _RolloutError(Exception):
    """Why nothing can begin."""


def _planned(job: Job, them: Workers, accepted: Sequence[str]) -> list[Planned]:
    """The waves as they come. Raises _RolloutError."""
    ended = them.one(job)
    if ended.answer is None:
        raise _RolloutError(ended.error)
    waves = [Planned.read(one) for one in ended.answer]
    names = [one.name for one in waves]
    if unknown := [one for one in accepted if one not in names]:
        raise _RolloutError(f"{_ACCEPT} {unknown[0]}: there is no such wave: {', '.join(names)}")
    for one in waves:
        if one.verifies and len(job.target.scripts) == 1:
            raise _RolloutError(f"wave {one.name} is verified: name a script after the deploy's")
    return waves


def _ways(rollout: Waves, end: End) -> dict[str, str]:
    """How to go on from here, in command lines."""
    if end is End.DONE:
        return {}
    again = shlex.join(["pyinfra-postgres", *_printable(sys.argv[1:])])
    if end is not End.PAUSED:
        return {"To go on when that is mended": again}
    paused = next(name for name, one in rollout.ends.items() if one is End.PAUSED)
    return {
        "To ask the probes again": again,
        "To go on because you have looked yourself": f"{again} {_ACCEPT} {shlex.quote(paused)}",
    }


def _printable(arguments: Sequence[str]) -> list[str]:
    """A command line without the values that nobody should see."""
    found = []
    for one in arguments:
        option = _DATA if one.startswith(_DATA) else ""
        key, equals, _ = one.removeprefix(option).partition("=")
        secret = equals and any(word in key.lower() for word in _SECRET)
        found.append(f"{option}{key}={MASK}" if secret else one)
    return found
