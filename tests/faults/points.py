"""The points of a run at which something can happen, from the plan that it keeps.

Each is recognised from outside: by what goes over the wire, or by what the server says of the run's
session (a lock that it waits for, the phase of a build).
https://www.postgresql.org/docs/current/progress-reporting.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import finished, until

from .ground import CONNECTED, IS_WAITING, Ground
from .scene import INSERT, LATE_GATE
from .wire import Message, Stop, Where


def _nothing(_: Ground) -> None:
    return None


@dataclass(frozen=True)
class Point:
    """A place in a run."""

    name: str
    stage: str
    """Of the plan: before, main or after; or what comes around these."""
    stop: Stop
    prepare: Callable[[Ground], None] = field(default=_nothing, compare=False)
    """What others do as the run comes near."""
    arrive: Callable[[Ground], None] = field(default=_nothing, compare=False)
    """What they do once the server has got the message."""
    query: str = CONNECTED
    """Gives the process of the run once it is there."""

    @property
    def is_at_work(self) -> bool:
        """Whether the server is in the middle of a message."""
        return self.stop.where in {Where.WITHIN, Where.DURING}

    @property
    def is_before_check(self) -> bool:
        """Whether the run has not yet asked, under the deploy lock, for the catalog as it is."""
        return self.stage in {"connect", "snapshot", "begin"} and self.name != "check: answered"

    def reach(self, ground: Ground) -> int | None:
        """Wait until a run is there; its process, if it has one."""
        run, ground.is_at_work, ground.query = ground.started[-1], self.is_at_work, self.query
        until(lambda: ground.wire.sent.is_set() or run.poll() is not None, 60)
        if not ground.wire.sent.is_set():
            raise AssertionError(f"it did not come to {self.name}: {finished(run).output}")
        if self.stop.where is Where.BEHIND:
            until(ground.wire.answered.is_set, 60)
        self.arrive(ground)
        if self.is_at_work:
            until(lambda: ground.ask(self.query), 60)
        process: int | None = ground.ask(self.query)
        return process

    def __str__(self) -> str:
        return self.name


def points(document: Mapping[str, Any]) -> list[Point]:
    """All points of a plan, in the order of the run."""
    (transaction,) = document["transactions"]
    plan = transaction["plan"]
    actions = {
        stage: [one for one in plan["actions"] if one["stage"] == stage]
        for stage in ("before", "main", "after")
    }
    return [
        *_around("connect", "connect", _connects),
        *_around("snapshot", "snapshot", _has("pyinfra_postgres_catalog")),
        *_around("deploy lock", "begin", _has("pg_try_advisory_lock(")),
        *_around("check", "begin", _has("set_config('pyinfra_postgres.same'")),
        *_recorded("started", _has("INSERT INTO pyinfra_postgres.deploy")),
        *(one for action in actions["before"] for one in _alone(action, "before")),
        *_transaction(plan["locks"], actions["main"]),
        Point("between", "after", Stop(Where.BEFORE, _Follows(_is_transaction))),
        *(one for action in actions["after"] for one in _alone(action, "after")),
        *_recorded("ended", _has("fingerprint_after = after")),
    ]


def _connects(message: Message) -> bool:
    return message.connects


def _has(words: str) -> Callable[[Message], bool]:
    """Whether a message executes that, and does not only plan it."""
    return lambda message: any(words in one for one in message.statements)


class _Follows:
    """Whether a message comes after one of a kind."""

    def __init__(self, first: Callable[[Message], bool]) -> None:
        self.first = first
        self.has_come = False

    def __call__(self, message: Message) -> bool:
        if self.has_come:
            self.has_come = False
            return True
        self.has_come = self.first(message)
        return False


def _is_transaction(message: Message) -> bool:
    """Whether it is the transaction of a plan: what is tried before is rolled back."""
    each = message.statements
    is_whole = each[:1] == ("BEGIN READ WRITE",) and each[-1] == "COMMIT"
    return is_whole and any(one.startswith("SET TRANSACTION ISOLATION") for one in each)


def _around(name: str, stage: str, is_it: Callable[[Message], bool]) -> Iterator[Point]:
    yield Point(f"{name}: on its way", stage, Stop(Where.BEFORE, is_it))
    yield Point(f"{name}: answered", stage, Stop(Where.BEHIND, is_it))


def _recorded(name: str, is_it: Callable[[Message], bool]) -> Iterator[Point]:
    before, behind = _around(f"history {name}", f"history {name}", is_it)
    yield before
    yield _within(f"history {name}: before COMMIT", f"history {name}", is_it, _last)
    yield behind


def _last(message: Message) -> int:
    return len(message.statements) - 1


def _within(
    name: str, stage: str, is_it: Callable[[Message], bool], place: Callable[[Message], int]
) -> Point:
    stop = Stop(Where.WITHIN, is_it, place)
    return Point(name, stage, stop, prepare=Ground.shut, query=IS_WAITING)


def _transaction(locks: list[Any], actions: list[Any]) -> Iterator[Point]:
    """The transaction, with each boundary of its statements, and each lock."""
    before, behind = _around("transaction", "main", _is_transaction)
    yield before
    # Around what bounds all locks together: what waits there would be bounded too.

    yield _within("locks", "main", _is_transaction, lambda one: _at(one, "LOCK TABLE") - 1)
    for lock in locks:
        yield _waits(lock["relation"], "main", "transaction", _is_transaction)
    yield _within("locked", "main", _is_transaction, lambda one: _at(one, "LOCK TABLE") + 2)
    for action in actions:
        text, name = action["statement"], _short(action["summary"] or action["statement"])

        def place(message: Message, text: str = text) -> int:
            return message.statements.index(text)

        yield _within(f"before {name}", "main", _is_transaction, place)
    yield _within("before COMMIT", "main", _is_transaction, _last)
    yield behind


def _at(message: Message, words: str) -> int:
    return next(n for n, one in enumerate(message.statements) if words in one)


def _waits(relation: list[str], stage: str, name: str, is_it: Callable[[Message], bool]) -> Point:
    """The run waits for a lock that a reader keeps from it."""
    table = ".".join(relation)

    def read(ground: Ground) -> None:
        ground.hold(f"LOCK TABLE {table} IN ACCESS SHARE MODE")

    waiting = f"SELECT pid FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
    return Point(
        f"{name}: waits for {table}", stage, Stop(Where.DURING, is_it), read, query=waiting
    )


def _alone(action: Mapping[str, Any], stage: str) -> Iterator[Point]:
    """A statement that is a message of its own, and each phase that it has."""
    text, name = action["statement"], _short(action["summary"] or action["statement"])

    def is_it(message: Message) -> bool:
        return message.statements == (text,)

    before, behind = _around(name, stage, is_it)
    yield before
    if action["has_lock_timeout"]:
        for lock in action["locks"]:
            if lock["mode"] == "ACCESS EXCLUSIVE":
                yield _waits(lock["relation"], stage, name, is_it)
    during = Stop(Where.DURING, is_it)
    if _calls(text):
        yield Point(f"{name}: half way", stage, during, Ground.shut, query=IS_WAITING)
    if text.startswith("CREATE INDEX CONCURRENTLY"):
        yield from _build(name, stage, during, _calls(text))
    if text.startswith("DROP INDEX CONCURRENTLY"):
        waits = "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"
        yield Point(f"{name}: waits for writers", stage, during, _write, query=waits)
    yield behind


def _calls(text: str) -> bool:
    """Whether a statement calls `shop.held` for rows that are there."""
    return text.endswith("VALIDATE CONSTRAINT item_a_check") or (
        "shop.held(" in text and "NOT VALID" not in text
    )


_WRITE = "LOCK TABLE shop.item IN ROW EXCLUSIVE MODE"


def _write(ground: Ground) -> None:
    ground.hold(_WRITE)


def _build(name: str, stage: str, during: Stop, is_held: bool) -> Iterator[Point]:
    """The phases of CREATE INDEX CONCURRENTLY, as the server calls them."""

    def phase(
        words: str, prepare: Callable[[Ground], None], arrive: Callable[[Ground], None] = _nothing
    ) -> Point:
        query = f"SELECT pid FROM pg_stat_progress_create_index WHERE phase = '{words}'"
        return Point(f"{name}: {words}", stage, during, prepare, arrive, query)

    yield phase("waiting for writers before build", _write)
    yield phase("waiting for old snapshots", _keep_a_snapshot)
    if not is_held:
        return

    def write_then(ground: Ground) -> None:
        until(lambda: ground.ask(IS_WAITING))
        ground.hold(_WRITE)
        ground.open()

    def miss_a_row(ground: Ground) -> None:
        """A row that is written while the index is built has to be found afterwards."""
        until(lambda: ground.ask(IS_WAITING))
        ground.keeper.execute(f"SELECT pg_advisory_lock{LATE_GATE}")
        ground.keeper.execute(INSERT)
        ground.open()

    yield phase("waiting for writers before validation", Ground.shut, write_then)
    yield phase("index validation: scanning table", Ground.shut, miss_a_row)


def _keep_a_snapshot(ground: Ground) -> None:
    ground.hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")


def _short(summary: str) -> str:
    """What a statement is called among the points."""
    return re.sub(r"\s+", " ", summary)[:60].rstrip(" (")
