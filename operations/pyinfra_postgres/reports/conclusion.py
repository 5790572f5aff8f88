"""How a verification ends: what a host's terminal is told, and the documents about all hosts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from attrs import Factory, define, evolve
from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..errors import HostError
from ..planning.session import Session
from ..provenance import VERSION, git_commit
from ..terminal import conclude, say, styled
from . import folder, rollup, survey
from .facts import Check, HostFacts, Report, ReportError
from .questions import Outcome
from .statuses import Status

_COLOURS = {
    Status.FAIL: "red",
    Status.BLOCKED: "yellow",
    Status.UNREACHABLE: "red",
    Status.NOT_VERIFIED: "yellow",
    Status.PASS: "green",
}


@define
class Suite:
    """What a run writes into one folder."""

    waiting: set[Host] = Factory(set)
    """The hosts that are still to be verified."""
    found: dict[str, HostFacts] = Factory(dict)


_commit = cache(git_commit)
_suites: WeakKeyDictionary[State, dict[Path, Suite]] = WeakKeyDictionary()


def expect(host: Host, path: Path) -> None:
    """Have the documents in a folder wait for a host."""
    _suites.setdefault(host.state, {}).setdefault(path, Suite()).waiting.add(host)


def concluded(
    host: Host, title: str, path: Path | None, facts: HostFacts, outcomes: Sequence[Outcome]
) -> Iterator[str]:
    """Tell how a host ends and write the documents, if any, and say why it fails, if it does."""
    tell(host, facts, outcomes)
    try:
        if path:
            write(host, title, path, facts)
    except (OSError, ReportError) as error:
        yield f"could not write the report: {error}"
    said = rollup.verdict(facts)
    if rollup.is_approved(facts):
        conclude(host, styled(said, "green"))
    else:
        yield said


def tell(host: Host, facts: HostFacts, outcomes: Sequence[Outcome]) -> None:
    """Print how the tasks end that do not pass, and why what fails does."""
    tasks = rollup.tasks(facts, rollup.task_names([facts]))
    width = max((len(one.name) for one in tasks), default=0)
    for task in tasks if not rollup.is_approved(facts) else ():
        status = styled(task.status.value, _COLOURS.get(task.status))
        say(
            host,
            task.name.ljust(width),
            "   ",
            status,
            "" if task.status.approves else f"   {task.counts}",
        )
    blocked = {root.check.title: root.told for root in rollup.roots(facts) if root.blocks}
    lines = {one.question.title: one.lines() for one in outcomes}
    for one in facts.checks:
        if one.status in {Status.FAIL, Status.NOT_VERIFIED}:
            first, *rest = lines.get(one.title, [one.reason])
            told = f"; {blocked[one.title]}" if one.title in blocked else ""
            if not rest:
                told, first = f", {first}{told}", ""
            colour = _COLOURS[one.status]
            say(host, styled(f"{one.title}: {one.status.value}{told}", colour))
            for line in filter(None, [first, *rest]):
                say(host, "    ", styled(line, colour))


def write(host: Host, title: str, path: Path, facts: HostFacts) -> None:
    """Note what was found; when all hosts of the run have ended, write the documents."""
    suite = _suites[host.state][path]
    suite.found[facts.name] = facts
    suite.waiting.discard(host)
    if suite.waiting & host.state.active_hosts:
        return
    for one in host.state.failed_hosts:
        if one.name not in suite.found:
            gone = "the run could not connect to it, or it failed before"
            suite.found[one.name] = _facts(one, unreachable=gone)
    report = Report(
        title,
        path.name,
        tuple(suite.found[name] for name in sorted(suite.found)),
    )
    page = folder.update(path, report)
    here = Path.cwd()
    say(host, f"report: {page.relative_to(here) if page.is_relative_to(here) else page}")


def described(session: Session, checks: tuple[Check, ...]) -> HostFacts:
    """What the report says of a host."""
    lost = [one for one in checks if one.status is Status.UNREACHABLE]
    if checks and len(lost) == len(checks):
        return _facts(session.host, checks=checks, unreachable=lost[0].reason)
    facts = _facts(session.host, checks=checks)
    try:
        (found,) = session.ask(
            "SELECT json_build_array(current_database(), current_user, "
            "current_setting('server_version'))"
        )
        database, role, server = found
        return evolve(
            facts,
            database=database,
            role=role,
            server=server,
            foreign_keys=survey.foreign_keys(session.ask),
            tables=survey.tables(session.ask),
            partitioned=survey.partitioned(session.ask),
            access=survey.access(session.ask),
        )
    except HostError:
        # Lost, for one: then the checks have said so, and belong into the report.
        return facts


def _facts(host: Host, **more: Any) -> HostFacts:
    return HostFacts(
        host.name,
        tuple(one for one in host.groups if one != "all"),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=_commit(Path.cwd()) or "",
        tool=VERSION,
        **more,
    )
