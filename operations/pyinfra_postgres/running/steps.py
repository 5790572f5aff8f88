"""A plan as the messages of one session.

Nothing here decides anything while it runs: what has to hold before the next statement is a
statement too, which fails where it does not. So psql can run a whole plan on its own.
https://www.postgresql.org/docs/current/explicit-locking.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, auto
from itertools import groupby
from typing import TypeAlias

from attrs import evolve, frozen

from ..catalog import snapshot as snapshots
from ..catalog.locks import IS_DEPLOY_LOCK, LOCK_KEY
from ..plan.plan import Action, Change, Lock, Mode, Plan, Stage, Statement
from ..syntax.names import literal
from ..syntax.paths import SearchPath
from ..transport.answer import TELL_TRANSACTION
from .measuring import Meter
from .record import Record

LOCKED = "PG001"
"""The SQLSTATE where another deploy holds the lock; the message names it."""
HOLDERS = f"""
    SELECT string_agg(format('%s (pid %s%s, since %s)',
             coalesce(nullif(a.application_name, ''), a.usename), a.pid,
             ' on ' || host(a.client_addr), to_char(a.backend_start, 'HH24:MI:SS')), ', ')
      FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {IS_DEPLOY_LOCK}"""
TAKE_LOCK = f"""DO $lock$ BEGIN
  IF NOT pg_try_advisory_lock({LOCK_KEY}) THEN
    RAISE EXCEPTION USING ERRCODE = '{LOCKED}',
      MESSAGE = coalesce(({HOLDERS}), 'another deploy');
  END IF;
  -- It would be lost with a session that is ended while it waits.
  SET idle_session_timeout = 0;
END $lock$"""
# Where the connection is lost, the id tells later whether the transaction was committed.
_TELL = f"DO $tell$ BEGIN {TELL_TRANSACTION}; END $tell$"
# What waits for a lock must see what others have committed by then.
_EACH_STATEMENT_SEES_ALL = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
# Outside the transaction SQL means the same as in it, whatever the role's own settings are.
_SETTINGS = (
    "SET default_transaction_read_only = off",
    "SET default_transaction_isolation = 'read committed'",
    *(pin.replace(" LOCAL", "") for pin in (*snapshots.PINS, snapshots.ALL_ROWS)),
)


class Part(IntEnum):
    """What a step of a session is for, in their order."""

    LOCK = auto()
    """The deploy lock."""
    CATALOG = auto()
    """The catalog is what the plan assumed."""
    STARTED = auto()
    """History has the plan as started."""
    BEFORE = auto()
    """What is committed before the transaction."""
    BEGIN = auto()
    """The transaction's settings and locks."""
    MAIN = auto()
    """The plan's statements in the transaction."""
    COMMIT = auto()
    """The transaction's end."""
    SETTINGS = auto()
    """The settings of a statement after the transaction."""
    AFTER = auto()
    """A statement after the transaction."""
    LEFT = auto()
    """The catalog is read as the plan has left it."""
    ENDED = auto()
    """History has the plan as applied, all of it."""


@frozen
class Step:
    """One statement of a session."""

    part: Part
    sql: str
    change: Change | None = None
    statement: Statement | None = None
    """What of a plan it is."""

    @property
    def waits_for(self) -> list[Lock]:
        """The locks for which a statement after the transaction waits, bounded."""
        return self.statement.waits_for if self.statement else []


Message: TypeAlias = Sequence[Step]


def messages(
    plan: Plan,
    fingerprint: snapshots.Fingerprint,
    lock_timeout: int,
    record: Record | None = None,
) -> list[Message]:
    """The whole session of a plan that assumes the catalog of a fingerprint."""
    return [
        _taking_the_lock(),
        [Step(Part.CATALOG, sql) for sql in snapshots.unchanged(fingerprint)],
        *_started(record),
        *_before(plan),
        *_transaction(plan, lock_timeout, record),
        *_after(plan, lock_timeout),
        *_ended(record),
    ]


def reviewed(
    plan: Plan,
    fingerprint: snapshots.Fingerprint | None,
    lock_timeout: int,
    record: Record | None = None,
    *,
    has_begun: bool = False,
) -> list[Message]:
    """The session of a plan that is not made anew, and tells what catalog it leaves: first behind
    what comes before the transaction, unless that has run, then at its end.

    The catalog is looked at once more within the transaction, behind its locks. Without a
    fingerprint it assumes the catalog as it finds it.
    """
    before = [] if has_begun else list(_before(plan))
    return [
        _taking_the_lock(),
        [Step(Part.CATALOG, sql) for sql in snapshots.keep_catalog(fingerprint)],
        *_started(record),
        *before,
        *([[Step(Part.BEFORE, sql) for sql in snapshots.keep_anew()]] if before else []),
        *_transaction(plan, lock_timeout, record, snapshots.same_catalog()),
        *_after(plan, lock_timeout),
        [Step(Part.LEFT, sql) for sql in snapshots.fingerprint_script()],
        *_ended(record),
    ]


def trial(statements: Sequence[tuple[Change, Statement]]) -> Message:
    """A transaction that runs statements for a few seconds at most, and is rolled back."""
    head = ["BEGIN READ WRITE", *_settings(1000), "SET LOCAL statement_timeout = '10s'"]
    return [
        *(Step(Part.BEGIN, sql) for sql in head),
        *_each_under_its_path((_tried(one), change, one) for change, one in statements),
        Step(Part.COMMIT, "ROLLBACK"),
    ]


def rehearsal(
    plans: Sequence[Plan],
    statements: Sequence[tuple[Change, Statement]],
    fingerprint: snapshots.Fingerprint,
    lock_timeout: int,
    meter: Meter,
) -> list[Message]:
    """A session that runs statements of the last of some plans, behind all of the others', measures
    each of them, and rolls back.

    It takes all of its locks in advance, as the plan would, and gives them back: then each
    statement has to take its own. What stays locked keeps others from attaching code.
    """
    *earlier, plan = plans
    every = [lock for one in plans for lock in one.locks()]
    weak = [evolve(lock, mode=Mode.ROW_EXCLUSIVE) for lock in every]
    head = ["BEGIN READ WRITE", _EACH_STATEMENT_SEES_ALL, *_settings(lock_timeout), *meter.begin]
    head += ["SAVEPOINT locks", *_all_locks(plan.locks(), lock_timeout), *meter.measure]
    head += ["ROLLBACK TO SAVEPOINT locks", *_all_locks(weak, lock_timeout), *meter.limit]
    head.append(snapshots.SAME_FOREIGN)
    before = ((one.sql, change, one) for each in earlier for change, one in each.of(Stage.MAIN))
    measure = [Step(Part.MAIN, sql) for sql in (SearchPath.OWN.local, *meter.measure)]
    measured: list[Step] = []
    for change, group in measured_together(statements):
        measured += _each_under_its_path((one.sql, change, one) for one in group)
        measured += measure
    return [
        _taking_the_lock(),
        [Step(Part.CATALOG, sql) for sql in snapshots.unchanged(fingerprint)],
        [
            *(Step(Part.BEGIN, sql) for sql in head),
            *_each_under_its_path(before),
            *measure,
            *measured,
            Step(Part.COMMIT, "ROLLBACK"),
        ],
    ]


def measured_together(
    statements: Iterable[tuple[Change, Statement]],
) -> Iterator[tuple[Change, list[Statement]]]:
    """Each statement by itself, but for those of a script, whose settings reach to its end."""
    for change, group in groupby(statements, key=lambda each: each[0]):
        every = [one for _, one in group]
        if change.action is Action.RUN:
            yield change, every
        else:
            yield from ((change, [one]) for one in every)


def _tried(one: Statement) -> str:
    return one.sql if one.trial is None else one.trial


def resumed(session: Sequence[Message], failed: Step) -> list[Message]:
    """What is left of a session from a failed statement after the transaction on."""
    place = next(number for number, message in enumerate(session) if message[0] is failed)
    again = failed.statement.again if failed.statement else None
    step = failed if again in {None, failed.sql} else evolve(failed, sql=again)
    return [_taking_the_lock(), session[place - 1], [step], *session[place + 1 :]]


def rest(session: Sequence[Message]) -> list[Message]:
    """What is left of a session after its transaction."""
    return [_taking_the_lock(), *(one for one in session if one[0].part >= Part.SETTINGS)]


def step(session: Sequence[Message], index: int) -> Step:
    """The step of a session that has an index in its script."""
    return [step for message in session for step in message][index]


def _taking_the_lock() -> Message:
    return [Step(Part.LOCK, TAKE_LOCK)]


def _started(record: Record | None) -> list[Message]:
    return [[Step(Part.STARTED, sql) for sql in record.started]] if record else []


def _ended(record: Record | None) -> list[Message]:
    return [[Step(Part.ENDED, sql) for sql in record.ended]] if record else []


def _before(plan: Plan) -> Iterator[Message]:
    before = plan.of(Stage.BEFORE)
    if before:
        yield [Step(Part.BEFORE, sql) for sql in _SETTINGS]
    for change, one in before:
        yield [Step(Part.BEFORE, one.sql, change, one)]


def _transaction(
    plan: Plan, lock_timeout: int, record: Record | None, checks: Sequence[str] = ()
) -> Iterator[Message]:
    """The locks come first, in one order, under one deadline: `lock_timeout` alone would count
    anew for each of them. Checks come behind them.
    """
    main = plan.of(Stage.MAIN)
    if not main:
        return
    head = ["BEGIN READ WRITE", _EACH_STATEMENT_SEES_ALL, *_settings(lock_timeout), _TELL]
    head += [*_all_locks(plan.locks(), lock_timeout), snapshots.SAME_FOREIGN, *checks]
    head += [record.applied] if record else []
    yield [
        *(Step(Part.BEGIN, sql) for sql in head),
        *_each_under_its_path((one.sql, change, one) for change, one in main),
        Step(Part.COMMIT, "COMMIT"),
    ]


def _each_under_its_path(given: Iterable[tuple[str, Change, Statement]]) -> Iterator[Step]:
    """The statements of a transaction, each after what sets its search path.

    It is set each time, because code that a statement calls may have set another one; but within
    a user's script it is the script's own.
    """
    before = None
    for sql, change, one in given:
        if (change, one.path) != before or change.action is not Action.RUN:
            yield Step(Part.MAIN, one.path.local)
        yield Step(Part.MAIN, sql, change, one)
        before = change, one.path


def _settings(lock_timeout: int) -> list[str]:
    """What a transaction sets for itself."""
    return [*snapshots.PINS, snapshots.ALL_ROWS, f"SET LOCAL lock_timeout = {lock_timeout}"]


def _all_locks(locks: Sequence[Lock], deadline: int) -> Iterator[str]:
    """One statement, because `statement_timeout` counts for each."""
    if locks:
        yield f"SET LOCAL statement_timeout = {deadline}"
        taken = "\n".join(
            f"BEGIN LOCK TABLE {'ONLY ' * one.only}{one.relation} IN {one.mode.value} MODE;"
            " EXCEPTION WHEN insufficient_privilege THEN NULL; END;"  # the statement itself tells
            for one in locks
        )
        # The deadline's end is a lock that was not available; any other cancel is somebody's.
        body = (
            f"DECLARE began timestamptz := clock_timestamp();\nBEGIN\n{taken}\n"
            "EXCEPTION WHEN query_canceled THEN\n"
            f"IF clock_timestamp() - began < interval '{max(0, deadline - 50)} ms'"
            " THEN RAISE; END IF;\n"
            f"RAISE lock_not_available USING MESSAGE = 'no lock within {deadline} ms';\nEND"
        )
        yield f"DO {literal(body)}"
        yield "SET LOCAL statement_timeout = 0"


def _after(plan: Plan, lock_timeout: int) -> Iterator[Message]:
    """Online work, each statement on its own, with the settings that it needs."""
    for change, one in plan.of(Stage.AFTER):
        step = Step(Part.AFTER, one.sql, change, one)
        settings = (
            *_SETTINGS,
            f"SET lock_timeout = {lock_timeout if step.waits_for else 0}",
            one.path.session,
        )
        yield [Step(Part.SETTINGS, sql) for sql in settings]
        yield [step]
