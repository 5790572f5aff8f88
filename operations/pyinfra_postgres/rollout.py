"""Running a plan on a host.

One advisory lock covers all stages. Under it the catalog is read once more: where it is not what
the plan assumed, the plan is made anew from the same declarations. The transaction goes to the
server as one message. https://www.postgresql.org/docs/current/explicit-locking.html

A connection that is lost takes the lock with it. What became of the transaction is asked on the
next one, under the lock, before anything is repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count

from attrs import define

from . import catalog as catalogs
from . import render
from .command import TELL_TRANSACTION, Failure
from .connector import number
from .errors import HostError
from .names import Name, literal
from .plan import Change, Hazard, Plan, Stage, Statement, masked
from .session import ConnectionLostError, Session

LOCK_KEY = "1886220904, 1"
"""The two integers of the advisory lock that a deploy holds; the first spells `pgin`."""
_LOCK_NOT_AVAILABLE = frozenset({"55P03", "40P01", "40001"})
_CANCELED = "57014"
_REPLANS = 3
_LOSSES = 2
"""How many lost connections a plan survives: a statement that crashes the server is among them."""
_WRITABLE = ("SET default_transaction_read_only = off",)

# Through psql every script is a session of its own, and this is where it takes the deploy lock.
# Where the connection is lost, the id tells later whether the transaction was committed.
_ALONE = f"""DO $alone$ BEGIN
  IF NOT pg_try_advisory_xact_lock({LOCK_KEY}) THEN
    RAISE EXCEPTION USING ERRCODE = '55P03',
      MESSAGE = 'another deploy of this database holds the deploy lock';
  END IF;
  {TELL_TRANSACTION};
END $alone$"""

_HOLDER = f"""
    SELECT format('%s (pid %s%s, since %s)', coalesce(nullif(a.application_name, ''), a.usename),
             a.pid, ' on ' || host(a.client_addr), to_char(a.backend_start, 'HH24:MI:SS'))
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted
       AND (l.classid, l.objid) = ({LOCK_KEY})
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@define
class Rollout:
    """One plan's way to the server."""

    session: Session
    fingerprint: str
    planned_anew: Callable[[], Plan]
    plan: Plan
    stage: Stage | None = None
    """What was under way last."""
    transaction: str = ""
    """The id of the transaction that a lost connection was in, where the server told it."""

    def run(self) -> str:
        """Run all stages, and return what was done. Raises HostError; the lock is given back."""
        started = time.monotonic()
        self._lock()
        try:
            done = self._run()
        finally:
            if self.session.holds_lock:
                with suppress(ConnectionLostError):
                    self.session.send([f"SELECT pg_advisory_unlock({LOCK_KEY})"])
                self.session.holds_lock = False
        return f"{done} in {(time.monotonic() - started) * 1000:.0f} ms"

    def _run(self) -> str:
        """All stages, on another connection where one is lost."""
        rest = self._from_the_start
        for losses in count(1):
            try:
                return rest()
            except ConnectionLostError as lost:
                self.session.holds_lock = False
                self.transaction = lost.transaction or self.transaction
                if losses > _LOSSES:
                    raise HostError(
                        f"the connection was lost {losses} times: {lost}. {self._unknown()}"
                    ) from None
                self._say(f"the connection was lost: {lost}")
                rest = self._resumed
        raise AssertionError("unreachable")

    def _resumed(self) -> str:
        """What remains to be done, by what became of the stage that was under way."""
        # The lock comes only once the server has ended the lost session.
        self._lock(again=True)
        if self.stage is None or self.stage is Stage.BEFORE:
            return self._from_the_start()
        status = self._status() if self.stage is Stage.MAIN else None
        if status == "committed":
            self._say("the transaction was committed: going on after it")
            return self._to_the_end()
        if status == "aborted":
            self._say("the transaction was not committed: running it again")
            return self._from_the_start()
        if any(
            Hazard.NOT_IDEMPOTENT in statement.hazards
            for change in self.plan.changes
            for statement in change.statements
        ):
            raise HostError(f"the connection was lost. {self._unknown()}")
        self._say("the catalog tells what is left: planning anew")
        return self._stages(self._anew())

    def _status(self) -> str | None:
        """What became of the transaction, as far as the server remembers."""
        if not self.transaction:
            return None
        answer = self.session.send([f"SELECT pg_xact_status({literal(self.transaction)}::xid8)"])
        return None if answer.failure else answer.rows[0]

    def _unknown(self) -> str:
        """What a person has to know where the connection went away in the middle."""
        if self.stage is Stage.AFTER:
            return "The transaction is in place; the next run completes what comes after it"
        return (
            "The transaction is in place as a whole or not at all: run again to see and to "
            "complete it"
        )

    def _lock(self, *, again: bool = False) -> None:
        """Take the deploy lock by asking again and again: a session that waits inside the server
        holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for it in turn.
        """
        patience = self._number("postgres_deploy_lock_timeout", 60)
        deadline = time.monotonic() + patience
        told = False
        while True:
            answer = self.session.read([f"SELECT pg_try_advisory_lock({LOCK_KEY})"])
            if answer.failure:
                so_far = f". {self._unknown()}" if again else ""
                raise HostError(f"could not take the deploy lock: {answer.failure}{so_far}")
            if answer.rows == ("t",):
                self.session.holds_lock = True
                return
            holder = ", ".join(self.session.read([_HOLDER]).rows) or "another deploy"
            if time.monotonic() >= deadline:
                so_far = self._unknown() if again else "Nothing was changed"
                raise HostError(
                    f"another deploy of this database holds the lock: {holder}, for more than "
                    f"{patience:g} s. {so_far}; run again when it has ended"
                )
            if not told:
                self._say(f"waiting for the deploy of {holder}")
                told = True
            time.sleep(0.2)

    def _from_the_start(self) -> str:
        return self._stages(self._current(self.plan))

    def _to_the_end(self) -> str:
        self._after(self.plan)
        return render.summary(self.plan, done=True)

    def _current(self, plan: Plan) -> Plan:
        """The plan, made anew where the catalog is no longer what it assumed."""
        if not self._changed_meanwhile():
            return plan
        render.say(
            self.session.host, "the catalog has changed since the plan was made: planning anew"
        )
        return self._anew()

    def _anew(self) -> Plan:
        plan = self.planned_anew()
        if not plan.sound:
            raise HostError("; ".join(plan.problems(set())))
        return plan

    def _stages(self, plan: Plan) -> str:
        for attempt in range(_REPLANS):
            self.plan = plan
            if not plan.changes:
                return "nothing left to change"
            failed = self._before(plan) or self._main(plan)
            if failed is None:
                return self._to_the_end()
            change, statement, failure = failed
            # Another session may have come in between, a role's creation on a neighbouring
            # database for one. Then the plan assumed what is no longer so.
            if attempt + 1 < _REPLANS and self._changed_meanwhile():
                time.sleep(random.uniform(0.05, 0.3))
                plan = self._anew()
                continue
            raise HostError(
                f"{_explain(change, statement, failure)}. Nothing of the transaction stays"
            )
        raise AssertionError("unreachable")

    def _changed_meanwhile(self) -> bool:
        """Whether the catalog is another one than when the plan was made, or last asked."""
        answer = self.session.send(catalogs.fingerprint_script())
        if answer.failure:
            return False
        before, self.fingerprint = self.fingerprint, catalogs.fingerprint(answer.rows[0])
        return before != self.fingerprint

    def _before(self, plan: Plan) -> tuple[Change, Statement, Failure] | None:
        self.stage = Stage.BEFORE
        before = plan.of(Stage.BEFORE)
        if before:
            self.session.send(_WRITABLE)
        for change, statement in before:
            answer = self.session.send([statement.sql])
            if answer.failure:
                return change, statement, answer.failure
        return None

    def _main(self, plan: Plan) -> tuple[Change, Statement, Failure] | None:
        """The transaction, tried again as a whole while it gets no lock."""
        self.stage, self.transaction = Stage.MAIN, ""
        main = plan.of(Stage.MAIN)
        if not main:
            return None
        script, first = transaction_script(plan, self._lock_timeout())
        relations = [lock.relation for lock in plan.locks()]
        failure = self._patiently(script, lambda failure: _is_lock(failure, first), relations)
        if failure is None:
            return None
        if _is_lock(failure, first):
            raise HostError(
                f"no lock after {self._attempts()} tries, nothing was changed: "
                f"{self._blockers(relations)}; {failure}"
            )
        return *self._culprit(main, first, script, failure), failure

    def _patiently(
        self,
        script: Sequence[str],
        is_lock: Callable[[Failure], bool],
        relations: Sequence[Name],
    ) -> Failure | None:
        """Send a script again while it gets no lock, a bounded number of times."""
        attempts = self._attempts()
        for attempt in range(1, attempts + 1):
            failure = self.session.send(script).failure
            if failure is None or not is_lock(failure) or attempt == attempts:
                return failure
            blockers = self._blockers(relations)
            self._say(f"no lock, try {attempt} of {attempts}: {blockers}")
            time.sleep(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    def _culprit(
        self,
        main: list[tuple[Change, Statement]],
        first: int,
        script: list[str],
        failure: Failure,
    ) -> tuple[Change, Statement]:
        index = failure.index
        if index is None:
            raise HostError(
                f"the connection was lost before the server answered: {failure}. The transaction "
                "is in place as a whole or not at all: run again to see and to complete it"
            )
        if first <= index < first + len(main):
            return main[index - first]
        raise HostError(
            f"the transaction failed, nothing was changed: {failure}. Statement: {script[index]}"
        )

    def _after(self, plan: Plan) -> None:
        """Online work, each statement on its own; the next run completes what fails here."""
        self.stage = Stage.AFTER
        after = plan.of(Stage.AFTER)
        if not after:
            return
        self.session.send([*_WRITABLE, "SET statement_timeout = 0", "SET search_path = public"])
        try:
            for change, statement in after:
                self._say(f"after the transaction: {statement.shown}")
                if failure := self._alone(statement):
                    raise HostError(
                        f"{_explain(change, statement, failure)}. The transaction before it is in "
                        "place; the next run completes this"
                    )
        finally:
            # Of a lost session nothing remains to be reset.
            with suppress(ConnectionLostError):
                names = ("lock_timeout", "statement_timeout", "search_path")
                self.session.send([f"RESET {name}" for name in names])
                self.session.send(["RESET default_transaction_read_only"])

    def _alone(self, statement: Statement) -> Failure | None:
        """Run one statement outside a transaction."""
        relations = [lock.relation for lock in statement.locks if lock.mode.blocks_writers]
        if not relations:
            # A timeout would kill an index build that waits for an old transaction.
            self.session.send(["SET lock_timeout = 0"])
            return self.session.send([statement.sql]).failure
        self.session.send([f"SET lock_timeout = {self._lock_timeout()}"])
        return self._patiently(
            [statement.sql],
            lambda failure: failure.sqlstate in _LOCK_NOT_AVAILABLE,
            relations,
        )

    def _say(self, line: str) -> None:
        render.say(self.session.host, line)

    def _attempts(self) -> int:
        return max(1, int(self._number("postgres_lock_attempts", 5)))

    def _lock_timeout(self) -> int:
        return int(self._number("postgres_lock_timeout", 2000))

    def _number(self, name: str, default: float) -> float:
        return number(self.session.host.data.dict(), name, default)

    def _blockers(self, relations: Sequence[Name]) -> str:
        """The sessions that hold locks on relations."""
        names = ", ".join(f"to_regclass({literal(str(name))})" for name in relations)
        if not names:
            return "a lock was not available"
        answer = self.session.send(
            [
                "SELECT DISTINCT format('pid %s (%s, %s) holds %s: %s', a.pid, a.usename, a.state,"
                " l.relation::regclass, left(a.query, 60)) FROM pg_locks l"
                " JOIN pg_stat_activity a USING (pid)"
                f" WHERE l.granted AND a.pid <> pg_backend_pid() AND l.relation IN ({names})"
            ]
        )
        return "; ".join(answer.rows) or "the lock's holder has gone"


def _is_lock(failure: Failure, first: int) -> bool:
    """Whether a transaction failed for want of a lock, and not in a statement of the plan."""
    if failure.sqlstate == _CANCELED:
        # By the deadline of the locks; later on somebody has canceled it, and means it.
        return failure.index is not None and failure.index < first
    return failure.sqlstate in _LOCK_NOT_AVAILABLE


def transaction_script(plan: Plan, lock_timeout: int) -> tuple[list[str], int]:
    """The transaction as a script, and the index of the plan's first statement in it.

    The locks come first, in one order, under one deadline: `lock_timeout` alone would count anew
    for each of them.
    """
    head = [
        "BEGIN READ WRITE",
        _ALONE,
        *(pin for pin in catalogs.PINS if "search_path" not in pin),
        "SET LOCAL search_path = public",
        catalogs.ALL_ROWS,
        f"SET LOCAL lock_timeout = {lock_timeout}",
        *_all_locks(plan, lock_timeout),
    ]
    main = [statement.sql for _, statement in plan.of(Stage.MAIN)]
    return [*head, *main, "COMMIT"], len(head)


def _all_locks(plan: Plan, deadline: int) -> Iterator[str]:
    """One statement, because `statement_timeout` counts for each."""
    locks = plan.locks()
    if locks:
        yield f"SET LOCAL statement_timeout = {deadline}"
        taken = "\n".join(
            f"BEGIN LOCK TABLE {one.relation} IN {one.mode.value} MODE;"
            " EXCEPTION WHEN insufficient_privilege THEN NULL; END;"  # the statement itself tells
            for one in locks
        )
        body = f"BEGIN\n{taken}\nEND"
        yield f"DO {literal(body)}"
    yield "SET LOCAL statement_timeout = 0"


def _explain(change: Change, statement: Statement, failure: Failure) -> str:
    # The detail quotes rows, and cuts them, so that a secret in it can't be recognised.
    shown = failure.detail if not statement.hidden else ""
    detail = f" {shown.rstrip('.')}." if shown else ""
    sql = statement.shown if len(statement.shown) < 400 else f"{statement.shown[:400]}..."
    text = f"{change.operation} failed: {failure}.{detail} Statement: {sql}"
    return masked(text, statement.hidden)
