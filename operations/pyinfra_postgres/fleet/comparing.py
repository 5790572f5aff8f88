"""What differs from what scripts declare, on databases that no deploy is changing meanwhile."""

from __future__ import annotations

import time

from attrs import evolve
from pyinfra.api import Host

from ..errors import HostError
from ..planning.session import Session
from ..running.rollout import catalog_by_now, deploy_under_way
from ..terminal import say
from ..transport.host_data import read
from ..transport.interrupts import pause
from .jobs import Job, Outcome, Status
from .runs import PyinfraRun

_READINGS = 3
"""How often a database is compared that changes meanwhile."""


def compared(job: Job) -> list[Outcome]:
    """What differs on each host of a job.

    A difference counts once no deploy is under way and the catalog is still the one that was read:
    else it may be one that a deploy has half made, and the host is compared again.
    """
    found: dict[str, Outcome] = {}
    names = job.hosts
    for _ in range(_READINGS):
        names = _compare(job, names, found)
        if not names:
            break
    for name in names:
        message = f"its catalog changed each of the {_READINGS} times that it was compared"
        found[name] = evolve(found[name], status=Status.FAILED, messages=(message,))
    return [found[name] for name in job.hosts]


def _compare(job: Job, names: tuple[str, ...], found: dict[str, Outcome]) -> tuple[str, ...]:
    """Compare hosts, and return those that have to be compared again."""
    run = PyinfraRun.of(job.target, names, looks=True)
    unsettled: list[Host] = []

    def waited(host: Host) -> None:
        try:
            _wait_for_deploys(host)
        except HostError as error:
            run.fail(host, error)

    def looked(host: Host) -> None:
        if run.state.meta[host].ops_change and not _is_settled(host):
            unsettled.append(host)

    def compare() -> None:
        run.each(waited)
        run.prepare()
        run.each(looked)

    run.do(compare)
    found.update((name, run.outcome(name)) for name in names)
    return tuple(one.name for one in unsettled if found[one.name].status is Status.DIFFERENT)


def _wait_for_deploys(host: Host) -> None:
    """Wait until no deploy of the database is under way. Raises HostError where that is too long.

    A host that has no database yet has no deploy either.
    """
    patience = read(host.data.dict(), "postgres_deploy_lock_timeout", 60)
    until = time.monotonic() + patience
    told = False
    while holder := deploy_under_way(host):
        if time.monotonic() >= until:
            raise HostError(
                f"a deploy is under way for more than {patience:g} s: {holder}; compare again when "
                "it has ended"
            )
        if not told:
            say(host, f"waiting for the deploy of {holder}")
            told = True
        pause(host, 0.2)


def _is_settled(host: Host) -> bool:
    """Whether no deploy is under way, and the catalog is still the one that was compared."""
    session = Session.current()
    if not session.snapshots:
        return True
    known = session.snapshot().fingerprint
    return catalog_by_now(host, known) == known.digest and not deploy_under_way(host)
