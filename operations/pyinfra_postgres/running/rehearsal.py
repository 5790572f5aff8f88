"""Rehearsals: with `--data rehearse=true` a dry run has the server run the plan's transaction,
measures each statement of it, and rolls it back.

It runs as the plan would: under the deploy lock, on the catalog that the plan is for, with the same
settings and checks. What others would notice are its locks, for a bounded time, and its reading.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from ..errors import HostError
from ..hidden import masked
from ..neon.branches import COPIES
from ..plan.measured import READING, Measured
from ..plan.order import Condition
from ..plan.plan import Action, Change, Plan, Stage, Statement
from ..plan.sealed import Json
from ..planning.consent import is_allowed
from ..planning.gate import REQUIRES
from ..planning.session import Block, Session
from ..transport.answer import Failure
from ..transport.host_data import read
from ..transport.interrupts import stop_if_asked
from ..transport.options import REHEARSE
from ..transport.scripts import end_session, run
from ..transport.watch import CANCELED, Patience
from . import measuring, plans_asked_for, steps
from .measuring import Meter
from .rollout import LOCK_NOT_AVAILABLE, Bounds, blockers, described, is_outdated, wait_for_deploy
from .steps import Part, Step
from .trial import plans_until

ALLOWED = "postgres_rehearse"
"""The host data that says where rehearsals may be: True, or the names of hosts."""
TIMEOUT = "postgres_rehearse_timeout"
"""The host data that says for how many seconds one may hold locks."""


@frozen
class Left:
    """A statement that is not rehearsed, and why."""

    change: Change
    statement: Statement
    reason: str

    @property
    def shown(self) -> str:
        """What a person reads of it."""
        return masked(self.statement.shown, self.statement.hidden)


@frozen
class Rehearsal:
    """How a transaction went that was rolled back."""

    measured: tuple[Measured, ...]
    in_advance: tuple[str, ...]
    """How the locks that the transaction takes first differ from those of the plan."""
    left: tuple[Left, ...]

    def encoded(self) -> Json:
        """As JSON."""
        return {
            "statements": [one.encoded() for one in self.measured],
            "locks_in_advance": list(self.in_advance),
            "not_rehearsed": [
                {"object": one.change.title, "statement": one.shown, "reason": one.reason}
                for one in self.left
            ],
        }

    @property
    def differences(self) -> Iterator[str]:
        """What the plan says otherwise, which is a fault of this package."""
        yield from (f"taking the locks in advance, {one}" for one in self.in_advance)
        for one in self.measured:
            yield from (f"{one.title}: {each}: {one.statement}" for each in one.differences)


def rehearsed(session: Session, block: Block) -> Rehearsal:
    """The rehearsal of a plan that can start. Raises HostError where it may not be, or fails."""
    _check_host(session)
    *earlier, plan = plans_until(session, block)
    if reason := _awaited(earlier):
        every = plan.in_run_order()
        return Rehearsal((), (), tuple(Left(change, one, reason) for change, one in every))
    running, left = divided(plan)
    _check_rows(session, running)
    if not running:
        return Rehearsal((), (), tuple(left))
    (reads_wal,) = session.ask(measuring.MAY_READ_WAL)
    seconds = read(session.host.data.dict(), TIMEOUT, 10.0)
    meter = Meter(f"rehearsal {secrets.token_hex(8)}", reads_wal, seconds)
    printed = _Run(session, [*earlier, plan], running, meter).printed()
    return Rehearsal(*_compared(plan, running, list(meter.rows(printed))), tuple(left))


def _compared(
    plan: Plan, running: Sequence[tuple[Change, Statement]], rows: Sequence[Sequence[Any]]
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """What each statement took, and how the locks that are taken first differ from the plan."""
    first, ahead, between, *others = rows
    in_advance, observer = measuring.observer(first), measuring.observer(first)
    new = in_advance.observe(measuring.taken(ahead).seen)
    observer.observe(measuring.taken(between).seen)
    groups = list(steps.measured_together(running))
    measured = [
        observer.measured(change, statements, measuring.taken(row))
        for (change, statements), row in zip(groups, others, strict=True)
    ]
    told = [
        evolve(
            one,
            differences=(
                *one.differences,
                *observer.not_taken(each for one in statements for each in one.locks),
            ),
        )
        for one, (_, statements) in zip(measured, groups, strict=True)
    ]
    return tuple(told), tuple(in_advance.locked_otherwise(plan.locks(), new))


def divided(plan: Plan) -> tuple[list[tuple[Change, Statement]], list[Left]]:
    """The statements that a rehearsal runs, and those that it does not."""
    left = [
        Left(change, one, "committed before the transaction")
        for change, one in plan.of(Stage.BEFORE)
    ]
    running: list[tuple[Change, Statement]] = []
    # What is committed first are labels: all else is as well without them.
    given: set[Condition] = {each for one in left for each in one.statement.gives if each.is_label}
    freed: set[Condition] = set()
    for change, one in plan.of(Stage.MAIN):
        # Whatever a script may use, which nobody knows.
        is_script = bool(given) and change.action is Action.RUN
        if is_script or one.needs & given or one.takes & freed:
            left.append(Left(change, one, "needs what is committed before"))
            given |= one.gives
            freed |= one.frees
        else:
            running.append((change, one))
    left += [Left(change, one, "after the transaction") for change, one in plan.of(Stage.AFTER)]
    return running, left


def _check_host(session: Session) -> None:
    """Raise HostError where nobody has said that the host may have a rehearsal."""
    if session.catalog().standby:
        raise HostError("it is a standby, on which nothing is rehearsed: rehearse on its primary")
    if COPIES in session.host.groups:
        return
    data, name = session.host.data.dict(), session.host.name
    given = read(data, ALLOWED, False)
    overridden = session.state.inventory.get_override_data().get(ALLOWED) is True
    if not isinstance(given, bool) and name in given:
        return
    if given is True and not overridden and data.get(REQUIRES) is None:
        return
    if overridden:
        reason = "on the command line hosts are allowed by name"
    elif given is True:
        reason = f"a host with {REQUIRES} is allowed by name only"
    else:
        reason = (
            f"set {ALLOWED} = True in the data of hosts that may have one at any time, or allow "
            "this one by name"
        )
    raise HostError(
        "not rehearsed: it runs the transaction and rolls it back, and others wait for its locks; "
        f"{reason}: --data '{ALLOWED}={name}'"
    )


def _awaited(earlier: Sequence[Plan]) -> str:
    """Why an earlier transaction of the deploy has to be in place first; "" where it need not."""
    for plan in earlier:
        outside = [*plan.of(Stage.BEFORE), *plan.of(Stage.AFTER)]
        if outside or plan.is_renaming:
            what = f"runs {outside[0][1].shown!r} outside of it" if outside else "gives other names"
            return f"an earlier transaction of the deploy has to be in place first, which {what}"
    return ""


def _check_rows(session: Session, running: Sequence[tuple[Change, Statement]]) -> None:
    """Raise HostError for statements that go through all rows where the run does not allow it."""
    if COPIES in session.host.groups:
        return
    allowed = plans_asked_for.rehearsal(session.state) or frozenset()
    catalog = session.catalog()
    found: dict[str, str] = {}
    for change, one in running:
        name = f"table {one.reads}" if one.reads else change.title
        if READING.intersection(one.hazards) and not is_allowed(name, allowed, catalog):
            found.setdefault(name, one.shown)
    if found:
        names = ",".join(name.partition(" ")[2] for name in found)
        raise HostError(
            "not rehearsed: it would go through all rows while others wait, in "
            f"{'; '.join(found.values())}; to allow it, run with --data '{REHEARSE}={names}'"
        )


@frozen
class _Run:
    """A rehearsal under way."""

    session: Session
    plans: Sequence[Plan]
    running: Sequence[tuple[Change, Statement]]
    meter: Meter

    def printed(self) -> tuple[str, ...]:
        """What its session prints. Raises HostError where that does not come to its end."""
        host = self.session.host
        bounds = Bounds.of(host.data.dict())
        fingerprint = self.session.catalog().fingerprint
        messages = steps.rehearsal(
            self.plans, self.running, fingerprint, bounds.lock_timeout, self.meter
        )
        scripts = [[step.sql for step in message] for message in messages]
        until = time.monotonic() + bounds.deploy_lock_timeout
        last = len(scripts) - 1

        def patience(message: int) -> Patience:
            return Patience.WORK if message == last else Patience.ANSWER

        try:
            while failure := (answer := run(host, *scripts, patience=patience)).failure:
                stop_if_asked(host)
                at = steps.step(messages, failure.index)
                if at.part is not Part.LOCK or failure.sqlstate != steps.LOCKED:
                    raise HostError(f"not rehearsed: {self._explained(at, failure)}")
                wait_for_deploy(host, failure.message, until, ": rehearse when it has ended")
        finally:
            end_session(host)
        return answer.rows

    def _explained(self, at: Step, failure: Failure) -> str:
        if is_outdated(at, failure):
            return f"{failure.message} since the plan was made: run again"
        if failure.lost or at.part in {Part.LOCK, Part.CATALOG}:
            return str(failure)
        if failure.sqlstate in LOCK_NOT_AVAILABLE:
            locks = at.statement.locks if at.statement else self.plans[-1].locks()
            return f"no lock: {blockers(self.session.host, locks)}; {failure}"
        limit = f". It may take {self.meter.seconds:g} s ({TIMEOUT})"
        return described(at, failure) + limit * (failure.sqlstate == CANCELED)
