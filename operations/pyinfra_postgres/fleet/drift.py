"""Which databases of an inventory are not as scripts declare them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from ..exits import DIFFERENT, ERROR, WELL
from ..plan.plan import Action
from ..running import render
from ..terminal import Line, line, styled
from .jobs import Job, Outcome, Status, Target, Task
from .slices import Stop, Workers

_COLOURS = {Status.EQUAL: "green", Status.DIFFERENT: "yellow"}
_LISTED = 10
"""How many objects that differ are named of a host."""
_WORDS = {WELL: "equal", DIFFERENT: "different", ERROR: "error"}


@frozen
class Drift:
    """How the hosts compare."""

    outcomes: Sequence[Outcome] = ()
    error: str = ""
    """Why none was compared."""

    @property
    def exit_status(self) -> int:
        """0 where all are equal, 2 where some differ, and 1 where one could not be compared."""
        found = {one.status for one in self.outcomes}
        if self.error or not found or found - {Status.EQUAL, Status.DIFFERENT}:
            return ERROR
        return DIFFERENT if Status.DIFFERENT in found else WELL

    def data(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {
            "format_version": "1.0",
            "status": _WORDS[self.exit_status],
            "error": self.error,
            "hosts": [one.data() for one in self.outcomes],
        }

    def lines(self, details: bool) -> Iterator[Line]:
        """It as a person reads it: the hosts that need a word, then a count of all."""
        first: dict[tuple[Line, ...], str] = {}
        for one in self.outcomes:
            about = tuple(_about(one, details))
            if one.status is Status.EQUAL and not about:
                continue
            head = line("[", styled(one.host, bold=True), "] ", _status(one))
            if about and about in first:
                yield line(head, "   the same as ", first[about])
                continue
            first[about] = one.host
            yield head
            yield from about
        if self.error:
            yield styled(self.error, "red")
        counts = Counter(one.status for one in self.outcomes)
        counted = [f"{counts[one]} {one}" for one in Status if counts[one]]
        undeclared = len([one for one in self.outcomes if one.undeclared])
        waiting = len([one for one in self.outcomes if one.waiting])
        more = [f"phases wait in {waiting}"] if waiting else []
        more += [f"undeclared objects in {undeclared}"] if undeclared else []
        if counted:
            yield line(", ".join([*counted, *more]))


def _status(one: Outcome) -> Line:
    counted = ", ".join(f"{number} to {action}" for action, number in one.counts.items())
    what = styled(one.status.value, _COLOURS.get(one.status, "red"))
    return line(what, f": {counted}" if counted else "")


def _about(one: Outcome, details: bool) -> Iterator[Line]:
    """What differs, why a host could not be compared, and what nobody declares."""
    changes = one.changes if one.status is Status.DIFFERENT else ()
    listed = len(changes) if details else _LISTED
    for change in changes[:listed]:
        action = change["action"]
        yield line("    ", change["object"], "   ", styled(action, render.COLOURS[Action(action)]))
        for text in change["lines"] if details else ():
            yield line("        ", styled(text, render.line_colour(text) or "yellow"))
    if len(changes) > listed:
        yield line(f"    ... and {len(changes) - listed} more: --diff shows them")
    if one.status is Status.DIFFERENT and not changes:
        yield line("    operations that are not this package's would change something")
    for message in one.messages if one.status not in _COLOURS else ():
        yield line("    ", styled(message, "red"))
    for phase in one.waiting:
        yield line("    ", phase)
    for found in one.undeclared:
        yield line("    ", found["object"], "   undeclared, in ", found["within"])


def compare(target: Target, workers: Workers, stop: Stop) -> Drift:
    """Compare all hosts with what the scripts declare."""
    ended = workers.one(Job(Task.LIST, target))
    if ended.answer is None:
        return Drift(error=ended.error)
    hosts: list[str] = ended.answer
    slices, at_once = workers.slices(hosts, len(hosts))
    jobs = [Job(Task.COMPARE, target, one) for one in slices]
    found: dict[str, Outcome] = {}
    for job, end in workers.each(jobs, at_once, lambda: not stop.number):
        found.update((one.host, one) for one in end.outcomes(job))
    missing = Status.STOPPED, "interrupted"
    return Drift(
        [found.get(name) or Outcome(name, missing[0], messages=missing[1:]) for name in hosts]
    )
