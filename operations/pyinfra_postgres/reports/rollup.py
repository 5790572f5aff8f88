"""What checks amount to: tasks, root causes, the verdict.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby

from attrs import frozen

from .facts import Attempt, Basis, Check, Edge, Finding, Fix, HostFacts, Report, Step
from .statuses import Status, together

ADVICE = "Advice"
"""The task of the findings that count."""
_NAMED = 3
"""How many root causes a verdict names."""


@frozen
class Task:
    """The checks of a host that belong together."""

    name: str
    status: Status
    checks: tuple[Check, ...]

    @property
    def counts(self) -> str:
        """How many of its checks ended how: the gravest first."""
        return counted(one.status for one in self.checks)


@frozen
class Root:
    """A check that failed, with what it blocks."""

    check: Check
    blocks: tuple[Check, ...]

    @property
    def told(self) -> str:
        """What it blocks, in words."""
        return f"blocks {_several(len(self.blocks), 'check')}" if self.blocks else "blocks nothing"


@frozen
class SharedRoot:
    """A root cause, with the hosts that have it."""

    title: str
    task: str
    hosts: tuple[str, ...]
    blocks: int
    """How many checks it blocks on all of them."""


def status(host: HostFacts) -> Status:
    """How all checks of a host end together."""
    return Status.UNREACHABLE if host.unreachable else together(one.status for one in host.checks)


def is_approved(host: HostFacts) -> bool:
    """Whether all checks of a host pass or are not applicable."""
    return not host.unreachable and all(one.status.approves for one in host.checks)


def grouped(checks: Iterable[Check]) -> list[Task]:
    """Checks by what they are part of, in their order."""
    found: dict[str, list[Check]] = {}
    for one in checks:
        found.setdefault(one.task, []).append(one)
    return [
        Task(name, together(each.status for each in every), tuple(every))
        for name, every in found.items()
    ]


def actions(fix: Fix) -> str:
    """How much a deploy would do."""
    counts = Counter({(one.title, one.action): one.action for one in fix.steps}.values())
    return ", ".join(f"{count} to {action}" for action, count in counts.items())


_STAGES = {
    "before": "Before the transaction",
    "main": "In one transaction",
    "after": "After the transaction",
}


def staged(fix: Fix) -> Iterator[tuple[str, list[tuple[str, list[Step]]]]]:
    """The steps of a fix by their stage, and there by the phases of the deploy as they come."""
    for stage, name in _STAGES.items():
        steps = [one for one in fix.steps if one.stage == stage]
        runs = [(phase, list(each)) for phase, each in groupby(steps, lambda one: one.phase)]
        if runs:
            yield name, [(f"{phase or 'Steps'}: {len(each)}", each) for phase, each in runs]


def failures(attempts: Iterable[Attempt]) -> list[tuple[str, list[Attempt]]]:
    """Objects that were tried, by what the server has said of them."""
    found: dict[str, list[Attempt]] = {}
    for one in attempts:
        found.setdefault(f"{one.message} (SQLSTATE {one.sqlstate})", []).append(one)
    return list(found.items())


def needing(edges: Iterable[Edge]) -> list[tuple[str, list[Edge]]]:
    """Edges by what needs something."""
    return [(source, list(each)) for source, each in groupby(edges, lambda one: one.source)]


def bases(edges: Iterable[Edge]) -> str:
    """How many edges are known from where."""
    counts = Counter(one.basis for one in edges)
    return ", ".join(f"{counts[one]} {one.value}" for one in Basis if counts[one])


def by_object(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings by their objects, those with the gravest first."""
    found: dict[str, list[Finding]] = {}
    for one in findings:
        found.setdefault(one.what, []).append(one)
    return list(found.items())


def advised(findings: Iterable[Finding], rules: Container[str]) -> Iterator[Check]:
    """The findings of some rules that nobody has accepted, as checks that fail."""
    for one in findings:
        if not one.accepted and (one.rule in rules or one.rule.split()[0] in rules):
            yield Check(ADVICE, f"{one.rule}: {one.what}", Status.FAIL, one.said)


def task_names(hosts: Iterable[HostFacts]) -> list[str]:
    """The tasks of hosts: by the number that a name begins with, the others behind."""
    found = dict.fromkeys(one.task for host in hosts for one in host.checks)
    return sorted(found, key=_number)


def _number(task: str) -> int:
    number = task.partition(" ")[0]
    return int(number) if re.fullmatch("[1-9][0-9]?", number) else sys.maxsize


def tasks(host: HostFacts, names: Iterable[str]) -> list[Task]:
    """The tasks of a host, by these names in this order."""
    found: dict[str, list[Check]] = {name: [] for name in names}
    for one in host.checks:
        found[one.task].append(one)
    return [
        Task(
            name,
            Status.UNREACHABLE if host.unreachable else together(one.status for one in checks),
            tuple(checks),
        )
        for name, checks in found.items()
    ]


def roots(host: HostFacts) -> list[Root]:
    """The root causes of a host: what was to be there before comes first.

    Checks are in the order in which they need one another.
    """
    return roots_of(host.checks)


def roots_of(checks: Iterable[Check]) -> list[Root]:
    """The checks that failed, each with what it blocks."""
    every = list(checks)
    blocks: dict[str, list[Check]] = {}
    for one in every:
        for title in one.roots:
            blocks.setdefault(title, []).append(one)
    failed = (one for one in every if one.status is Status.FAIL)
    return [Root(one, tuple(blocks.get(one.title, ()))) for one in failed]


def shared_roots(hosts: Iterable[HostFacts]) -> list[SharedRoot]:
    """The root causes of several hosts, those that block most first."""
    found: dict[str, list[tuple[str, Root]]] = {}
    for host in hosts:
        for root in roots(host):
            found.setdefault(root.check.title, []).append((host.name, root))
    shared = [
        SharedRoot(
            title,
            each[0][1].check.task,
            tuple(name for name, _ in each),
            sum(len(root.blocks) for _, root in each),
        )
        for title, each in found.items()
    ]
    return sorted(shared, key=lambda one: (-one.blocks, -len(one.hosts)))


def verdict(host: HostFacts) -> str:
    """The verdict on a host, in a sentence."""
    if host.unreachable:
        return f"NOT APPROVED: unreachable, {host.unreachable}"
    counts = Counter(one.status for one in host.checks)
    total = len(host.checks)
    if is_approved(host):
        left = counts[Status.NOT_APPLICABLE]
        aside = f", {left} do{'es' if left == 1 else ''} not apply" if left else ""
        return f"APPROVED: {counts[Status.PASS]} of {_several(total, 'check')} pass{aside}"
    reasons = []
    blocking = sorted((one for one in roots(host) if one.blocks), key=lambda one: -len(one.blocks))
    if blocking:
        verb = "block" if len(blocking) > 1 else "blocks"
        reasons.append(
            f"{_several(len(blocking), 'root cause')} {verb} {counts[Status.BLOCKED]} of "
            f"{_several(total, 'check')} ({named([one.check.title for one in blocking])})"
        )
    others = [one.check.title for one in roots(host) if not one.blocks]
    if others:
        verb = "fails by itself" if len(others) == 1 else "fail by themselves"
        reasons.append(f"{_several(len(others), 'check')} {verb} ({named(others)})")
    for one in (Status.NOT_VERIFIED, Status.UNREACHABLE):
        if counts[one]:
            reasons.append(f"{counts[one]} {one.value}")
    return f"NOT APPROVED: {'; '.join(reasons)}"


def environment_verdict(report: Report) -> str:
    """The verdict on all hosts of an environment, in a sentence."""
    total = len(report.hosts)
    left = total - len(approved_hosts(report))
    if not left:
        which = "the database passes" if total == 1 else f"all {total} databases pass"
        return f"APPROVED: {which} every check that applies"
    verb = "does" if left == 1 else "do"
    return f"NOT APPROVED: {left} of {_several(total, 'database')} {verb} not pass"


def approved(report: Report) -> bool:
    """Whether all hosts of an environment are approved."""
    return all(map(is_approved, report.hosts))


def approved_hosts(report: Report) -> list[HostFacts]:
    """The hosts of an environment that are approved."""
    return list(filter(is_approved, report.hosts))


def counted_hosts(report: Report) -> str:
    """How many hosts end how, and when they were verified."""
    times = sorted({one.verified for one in report.hosts})
    when = times[0] if len(times) == 1 else f"between {times[0]} and {times[-1]}"
    return f"{len(approved_hosts(report))} of {len(report.hosts)} approved; verified {when}"


def blocked(task: Task) -> list[tuple[tuple[str, ...], list[Check]]]:
    """The checks of a task that are blocked, by what blocks them."""
    found: dict[tuple[str, ...], list[Check]] = {}
    for one in task.checks:
        if one.status is Status.BLOCKED:
            found.setdefault(one.roots, []).append(one)
    return list(found.items())


def counted(statuses: Iterable[Status]) -> str:
    """How many ended how: the gravest first."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[one]} {one.value}" for one in Status if counts[one])


def named(titles: Sequence[str]) -> str:
    """The first of some titles, and how many there are more."""
    more = [f"{len(titles) - _NAMED} more"] if len(titles) > _NAMED else []
    return ", ".join([*titles[:_NAMED], *more])


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
