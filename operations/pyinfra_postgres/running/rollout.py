"""Running a plan on a host.

The plan goes to the server as one session: the deploy lock, the catalog's fingerprint, and the
plan's stages. What a failure means is decided here: wait for the lock, plan anew where the catalog
is no longer what the plan assumed, try again where another session held a table, or give up.

A connection that is lost takes the lock with it. What became of the transaction is asked on the
next one, under the lock, before anything is repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from pyinfra.api.host import Host

from ..catalog import snapshot as snapshots
from ..catalog.snapshot import Fingerprint
from ..errors import HostError
from ..hidden import masked, shortened
from ..plan.plan import Hazard, Lock, Plan, Stage
from ..planning.session import LOCKED_RELATION
from ..syntax.names import literal
from ..terminal import say
from ..transport.answer import Answer, Failure, transaction_status
from ..transport.answer import read as read_answer
from ..transport.host_data import read
from ..transport.interrupts import pause, stop_if_asked
from ..transport.scripts import end_session, run
from ..transport.watch import CANCELED, Patience
from . import render, steps
from .history import History
from .record import UNFIT
from .steps import Message, Part, Step

LOCK_NOT_AVAILABLE = frozenset({"55P03", "40P01", "40001"})
"""The SQLSTATEs of statements that other sessions' locks keep from running."""
_PASSING = frozenset({"08", "57"})
"""The classes of errors that come from a connection or an operator, not from the statement."""
_REPLANS = 10
"""How often a plan is made anew before it has begun."""
_REPAIRS = 2
"""How often a plan is made anew because it failed."""
_LOSSES = 2
"""How many lost connections a plan survives: a statement that crashes the server is among them."""

_LONGEST = 400
"""Characters of a statement in a message."""
_NOTHING = "Nothing was changed"
_UNKNOWN = (
    "The transaction is in place as a whole or not at all: run again to see and to complete it"
)
_BEGUN = "Nothing of the transaction is in place; what is committed before it may be"
_IN_PLACE = "The transaction is in place; the next run completes what comes after it"
_PLACES = {_NOTHING: "before", _BEGUN: "before", _IN_PLACE: "between", _UNKNOWN: "not known"}
"""Where a plan stands of which that is known, in a word; else all of it is in place."""
_PATIENCE = {
    Part.LOCK: Patience.ANSWER,
    Part.CATALOG: Patience.ANSWER,
    Part.STARTED: Patience.ANSWER,
    Part.SETTINGS: Patience.ANSWER,
    Part.AFTER: Patience.BUILD,
    Part.ENDED: Patience.ANSWER,
}
"""How long a message may take that begins with a part, if not as long as it takes."""


@frozen
class Bounds:
    """What the host's data says of waiting."""

    lock_timeout: int
    """Milliseconds."""
    lock_attempts: int
    deploy_lock_timeout: float
    """Seconds."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Bounds:
        """The bounds in host data. Raises HostError."""
        return cls(
            read(data, "postgres_lock_timeout", 2000),
            read(data, "postgres_lock_attempts", 5),
            read(data, "postgres_deploy_lock_timeout", 60),
        )


@define
class Rollout:
    """One plan's way to the server."""

    host: Host
    plan: Plan
    fingerprint: Fingerprint
    planned_anew: Callable[[], tuple[Plan, Fingerprint]] | None
    """Makes the plan again from the same declarations, with the fingerprint that it assumes; None
    for one that was reviewed, which runs as it is or not at all."""
    history: History
    """What is recorded of it."""
    bounds: Bounds = field(init=False)
    so_far: str = _NOTHING
    """What is known of the transaction while it is not under way."""
    left: str = ""
    """The digest of the catalog that a reviewed plan has left; "" where that is not known."""
    patient_until: float | None = None
    """When to stop waiting for another deploy; None while there was none."""

    @property
    def where(self) -> str:
        """Where the plan stands."""
        place = _PLACES.get(self.so_far, "after")
        return f"{place}: {self.so_far[0].lower()}{self.so_far[1:]}"

    def run(self) -> str:
        """Run all stages, and return what was done. Raises HostError; the lock is given back."""
        started = time.monotonic()
        self.bounds = Bounds.of(self.host.data.dict())
        try:
            self.history.open()
            done = self.so_far = self._run()
        except HostError as error:
            self.history.fail(str(error))
            raise
        finally:
            end_session(self.host)
        return f"{done} in {(time.monotonic() - started) * 1000:.0f} ms"

    def _run(self) -> str:
        session = self._session()
        replans = repairs = losses = tries = 0
        last: Step | None = None
        while self.plan.changes:
            answer = self._send(session)
            failure = answer.failure
            if failure is None or self._is_in_place(session, failure):
                is_told = failure is None and self.planned_anew is None
                self.left = read_answer(answer.rows[-1]) if is_told else ""
                return render.summary(self.plan, done=True)
            at = steps.step(session, failure.index)
            self._learn(session, failure)
            stop_if_asked(self.host)
            if failure.lost:
                losses += 1
                session = self._recovered(session, failure, answer.transaction, losses)
            elif failure.sqlstate == CANCELED:
                # Whoever cancels it means it.
                raise HostError(self._explained(at, failure))
            elif at.part is Part.LOCK and failure.sqlstate == steps.LOCKED:
                self._wait(failure.message)
            elif is_outdated(at, failure) and replans < _REPLANS:
                reason = f"{failure.message} since the plan was made"
                session, replans = self._anew(reason, told=True), replans + 1
            elif at.part is Part.STARTED and not self.history.begun:
                self.history.close(str(failure))
                session = self._session()
            elif _is_lock(at, failure):
                if at.part is Part.AFTER and at is not last:
                    tries = 0
                last, tries = at, tries + 1
                self._back_off(at, failure, tries)
                session = self._once_more(session, at, answer)
            # Another session may have come in between, a role's creation on a neighbouring
            # database for one. Then the plan assumed what is no longer so.
            elif (
                at.part in {Part.BEFORE, Part.MAIN}
                and self.planned_anew
                and repairs < _REPAIRS
                and self._changed_meanwhile()
            ):
                pause(self.host, random.uniform(0.05, 0.3))
                session, repairs, tries = self._anew("the catalog has changed"), repairs + 1, 0
            else:
                raise HostError(self._explained(at, failure))
        self.history.settle()
        return "nothing left to change"

    def _session(self) -> list[Message]:
        self.so_far = _NOTHING
        record = self.history.of(self.plan, self.fingerprint)
        made = steps.messages if self.planned_anew else steps.reviewed
        return made(self.plan, self.fingerprint, self.bounds.lock_timeout, record)

    def _anew(self, reason: str, *, told: bool = False) -> list[Message]:
        """The session of the plan as it is made again. Raises HostError where it can't be."""
        if self.planned_anew is None:
            raise HostError(
                f"{reason}, and a reviewed plan is not made anew. {self.so_far}; make the plan "
                "again, and have it reviewed"
            )
        if told:
            self._say(f"{reason}: planning anew")
        self.plan, self.fingerprint = self.planned_anew()
        if not self.plan.sound:
            raise HostError("; ".join(self.plan.problems()))
        return self._session()

    def _is_in_place(self, session: Sequence[Message], failure: Failure) -> bool:
        """Whether all that failed is to tell and record the end of a plan.

        To record it is tried once more then.
        """
        if steps.step(session, failure.index).part < Part.LEFT:
            return False
        self.so_far = render.summary(self.plan, done=True)
        stop_if_asked(self.host)
        self.history.end()
        return True

    def _once_more(self, session: list[Message], at: Step, answer: Answer) -> list[Message]:
        """What is left of a session that got no lock."""
        if at.part is Part.AFTER:
            self.so_far = _IN_PLACE
            return steps.resumed(session, at)
        if not self.plan.of(Stage.BEFORE):
            return session
        # What comes before the transaction is done then, and has changed the catalog.
        if self.planned_anew:
            return self._anew("what comes before the transaction has run")
        if not any(message[0].part is Part.BEFORE for message in session):
            return session
        self.fingerprint = Fingerprint(read_answer(answer.rows[0]))
        timeout, record = self.bounds.lock_timeout, self.history.record
        return steps.reviewed(self.plan, self.fingerprint, timeout, record, has_begun=True)

    def _send(self, session: Sequence[Message]) -> Answer:
        def started(message: int) -> None:
            step = session[message][0]
            if step.part is Part.AFTER and step.statement:
                self._say(f"after the transaction: {step.statement.shown}")

        scripts = [[step.sql for step in message] for message in session]

        def patience(message: int) -> Patience:
            return _PATIENCE.get(session[message][0].part, Patience.WORK)

        return run(self.host, *scripts, started=started, patience=patience)

    def _learn(self, session: Sequence[Message], failure: Failure) -> None:
        """Know where the plan stands once it has failed."""
        begun = steps.step(session, failure.index).part
        self.history.learn(begun > Part.STARTED, failure.lost)
        if begun >= Part.SETTINGS:
            self.so_far = _IN_PLACE
        elif failure.lost and steps.step(session, failure.reach).part >= Part.BEGIN:
            self.so_far = _UNKNOWN
        elif begun >= Part.BEFORE and self.plan.of(Stage.BEFORE):
            self.so_far = _BEGUN

    def _recovered(
        self, session: Sequence[Message], failure: Failure, transaction: str, losses: int
    ) -> list[Message]:
        """What is left of a session whose connection was lost."""
        begun = steps.step(session, failure.index).part
        if losses > _LOSSES:
            known = f"{self.so_far}{failure.advice}"
            raise HostError(f"the connection was lost {losses} times: {failure}. {known}")
        self._say(f"the connection was lost: {failure}")
        if self.so_far in {_NOTHING, _BEGUN}:
            return list(session)
        status = self._status(transaction) if begun < Part.SETTINGS else None
        if status == "committed":
            self._say("the transaction was committed: going on after it")
            self.so_far = _IN_PLACE
            return steps.rest(session)
        if status == "aborted":
            self._say("the transaction was not committed: running it again")
            self.so_far = _NOTHING
            return list(session)
        if any(
            Hazard.NOT_IDEMPOTENT in statement.hazards
            for change in self.plan.changes
            for statement in change.statements
        ):
            raise HostError(f"the connection was lost. {self.so_far}")
        known = self.so_far
        try:
            return self._anew("the catalog tells what is left", told=True)
        except HostError as error:
            raise HostError(f"{error}. {known}") from None
        finally:
            self.so_far = known

    def _status(self, transaction: str) -> str | None:
        """What became of a transaction, as far as the server or the history remembers.

        The lock comes only once the server has ended the session that was lost.
        """
        while True:
            answer = run(self.host, [steps.TAKE_LOCK], [transaction_status(transaction)])
            if answer.failure is None:
                return answer.rows[0] or self.history.status()
            if answer.failure.sqlstate != steps.LOCKED:
                raise HostError(f"could not take the deploy lock: {answer.failure}. {self.so_far}")
            self._wait(answer.failure.message)

    def _changed_meanwhile(self) -> bool:
        """Whether the catalog is another one than the plan assumed."""
        return catalog_by_now(self.host, self.fingerprint) not in {None, self.fingerprint.digest}

    def _wait(self, holder: str) -> None:
        """Wait for the deploy lock by asking again and again: a session that waits inside the
        server holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for it in turn.
        """
        patience = self.bounds.deploy_lock_timeout
        if self.patient_until is None:
            self.patient_until = time.monotonic() + patience
            if patience > 0:
                self._say(f"waiting for the deploy of {holder}")
        wait_for_deploy(
            self.host,
            holder,
            self.patient_until,
            f", for more than {patience:g} s. {self.so_far}; run again when it has ended",
        )

    def _back_off(self, at: Step, failure: Failure, tries: int) -> None:
        """Wait before a statement, or the whole transaction, is tried again for its locks.

        Raises HostError where that was the last try.
        """
        locks = self.plan.locks()
        holders = blockers(self.host, at.waits_for if at.part is Part.AFTER else locks)
        attempts = self.bounds.lock_attempts
        if tries < attempts:
            self._say(f"no lock, try {tries} of {attempts}: {holders}")
            pause(self.host, min(8.0, 0.25 * 2**tries) * random.uniform(0.5, 1.0))
        elif at.part is Part.AFTER:
            raise HostError(self._explained(at, failure))
        else:
            raise HostError(
                f"no lock after {attempts} tries, nothing was changed: {holders}; {failure}"
                f"{failure.advice}"
            )

    def _explained(self, at: Step, failure: Failure) -> str:
        match at.part:
            case Part.LOCK:
                return f"could not take the deploy lock: {failure}. {self.so_far}{failure.advice}"
            case Part.CATALOG:
                return f"could not read the catalog: {failure}{failure.advice}"
            case _ if failure.sqlstate == UNFIT:
                return f"could not record it: {failure.message}. {self.so_far}"
            case Part.SETTINGS | Part.AFTER:
                return (
                    f"{described(at, failure)}. The transaction before it is in place; "
                    f"{_remedy(failure)}{failure.advice}"
                )
        return f"{described(at, failure)}. Nothing of the transaction stays{failure.advice}"

    def _say(self, line: str) -> None:
        say(self.host, line)


def blockers(host: Host, locks: Sequence[Lock]) -> str:
    """The sessions that hold locks on what these lock."""
    if not locks:
        return "a lock was not available"
    wanted = ", ".join(
        f"(to_regclass({literal(str(one.relation))})::oid, {not one.only})" for one in locks
    )
    answer = run(
        host,
        [
            f"WITH RECURSIVE wanted(id, whole) AS (VALUES {wanted} UNION"
            " SELECT i.inhrelid, true FROM pg_inherits i JOIN wanted ON whole"
            " AND i.inhparent = id)"
            " SELECT DISTINCT format('pid %s (%s, %s) holds %s: %s', a.pid, a.usename, a.state,"
            f" {LOCKED_RELATION}, a.query) FROM pg_locks l"
            " JOIN pg_stat_activity a USING (pid)"
            " WHERE l.granted AND a.pid <> pg_backend_pid()"
            " AND l.relation IN (SELECT id FROM wanted)"
        ],
    )
    # Cut only here, where it is known what must not be seen a part of.
    told = (shortened(row, 160) for row in answer.rows)
    return "; ".join(told) or "the lock's holder has gone"


def is_outdated(at: Step, failure: Failure) -> bool:
    """Whether the catalog is no longer what the plan assumed, or can't be read for the moment."""
    if at.part is Part.CATALOG and failure.sqlstate in LOCK_NOT_AVAILABLE:
        return True
    is_check = at.part in {Part.CATALOG, Part.STARTED, Part.BEGIN}
    return is_check and failure.sqlstate == snapshots.CHANGED


def wait_for_deploy(host: Host, holder: str, until: float, otherwise: str) -> None:
    """Wait until nobody deploys to the database of a host. Raises HostError at a point in time."""
    while holder:
        if time.monotonic() >= until:
            raise HostError(f"another deploy of this database holds the lock: {holder}{otherwise}")
        pause(host, 0.2)
        holder = deploy_under_way(host)


def deploy_under_way(host: Host) -> str:
    """Who deploys to the database of a host; "" for nobody."""
    return "".join(run(host, [steps.HOLDERS]).rows)


def catalog_by_now(host: Host, known: Fingerprint) -> str | None:
    """The digest of a catalog, read as that of a fingerprint; None where it can't be."""
    answer = run(host, snapshots.fingerprint_script(known.unreadable))
    return None if answer.failure else next(iter(answer.values()), "")


def _is_lock(at: Step, failure: Failure) -> bool:
    """Whether a statement failed for want of a lock that it may get when it is tried again."""
    if at.part is Part.AFTER and not at.waits_for:
        return False
    return failure.sqlstate in LOCK_NOT_AVAILABLE


def _remedy(failure: Failure) -> str:
    """What to do about a failure after the transaction."""
    passing = failure.sqlstate in {*LOCK_NOT_AVAILABLE, ""}
    if passing or failure.sqlstate[:2] in _PASSING:
        return "the next run completes this"
    return "correct it and run again: the next run goes on from there"


def described(at: Step, failure: Failure) -> str:
    """A failure with what failed, without what is hidden."""
    if at.change is None or at.statement is None:
        return f"the transaction failed: {failure}. Statement: {shortened(at.sql, _LONGEST)}"
    # The detail quotes rows, and cuts them, so that a secret in it can't be recognised.
    hidden, shown = at.statement.hidden, at.statement.shown
    detail = f" {failure.detail.rstrip('.')}." if failure.detail and not hidden else ""
    text = masked(f"{at.change.operation} failed: {failure}.{detail}", hidden)
    return f"{text} Statement: {shortened(masked(shown, hidden), _LONGEST)}"
