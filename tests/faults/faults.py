"""What can happen to a run, to its server and to what lies between."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from harness import Started, until

from .ground import Ground
from .points import Point
from .scene import ROLE
from .wire import Where

Process = int | None
_TABLE = "pyinfra_postgres.deploy"


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run that has come to a point."""

    name: str
    strike: Callable[[Ground, Process], object]
    """Do it, and let the run go on."""
    applies: Callable[[Point], bool] = lambda _: True
    """Whether it can happen at a point."""
    before: Callable[[Ground], object] = lambda _: None
    """What is so before the run begins."""
    survives: bool = False
    """Whether the run goes to its end all the same."""
    data: tuple[tuple[str, Any], ...] = ()
    """Host data without which it would take longer."""
    is_foreign: bool = False
    """Whether somebody else changes what the deploy declares."""
    is_slow: bool = False
    """Whether it takes long until anybody notices."""
    is_shared: bool = False
    """Whether more than one run changes the database."""

    def __str__(self) -> str:
        return self.name


def _signalled(number: signal.Signals) -> Callable[[Ground, Process], None]:
    def strike(ground: Ground, _: Process) -> None:
        run = ground.started[-1]
        run.send_signal(number)
        # What a killed client has sent goes on; another one has it cancelled, while it waits.
        _ends(run, 3 if number is signal.SIGKILL or ground.is_at_work else 0.2)
        ground.go_on()

    return strike


def _ends(run: Started, seconds: float) -> None:
    """Wait a moment for a run to end."""
    deadline = time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def _ended(ground: Ground, process: Process) -> None:
    ground.ask(f"SELECT pg_terminate_backend({process})")
    until(lambda: not ground.ask(f"SELECT 1 FROM pg_stat_activity WHERE pid = {process}"))
    ground.go_on()


def _cancelled(ground: Ground, process: Process) -> None:
    ground.ask(f"SELECT pg_cancel_backend({process})")
    with contextlib.suppress(AssertionError):
        until(lambda: ground.ask(ground.query) != process, 1)
    ground.go_on()


def _restarted(ground: Ground, _: Process) -> None:
    ground.server.crash()
    ground.go_on()
    ground.server.start()


def _restarted_and_used(ground: Ground, _: Process) -> None:
    """Numbers of transactions that were not on disk yet are given to others after a crash."""
    ground.server.crash()
    ground.server.start()
    with ground.database.connect(autocommit=True) as session:
        for _number in range(30):
            session.execute("SELECT pg_current_xact_id()")
    ground.go_on()


def _reset(ground: Ground, _: Process) -> None:
    ground.wire.cut()
    ground.go_on()


def _lost_answer(ground: Ground, _: Process) -> None:
    ground.wire.lose_answers()
    ground.go_on()


def _stalled(ground: Ground, _: Process) -> None:
    ground.wire.stall(1.5)
    ground.go_on()


def _black_hole(ground: Ground, _: Process) -> None:
    ground.wire.mute()
    ground.go_on()
    _ends(ground.started[-1], 60)


def _held_lock(ground: Ground, _: Process) -> None:
    """What the run waits for is not given free."""
    ground.wire.release()
    _ends(ground.started[-1], 30)


def _own_timeouts(ground: Ground) -> None:
    names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    names += ["idle_session_timeout"]
    names += ["transaction_timeout"] if ground.server.version >= 17 else []
    _configure(ground, **dict.fromkeys(names, "500ms"))


def _read_only(ground: Ground) -> None:
    _configure(ground, default_transaction_read_only="on")


def _configure(ground: Ground, **settings: str) -> None:
    """Give the role that deploys settings of its own in this database."""
    for name, value in settings.items():
        role = f"ALTER ROLE {ROLE} IN DATABASE {ground.database.name}"
        ground.database.server.do(f"{role} SET {name} = '{value}'")


def _waits(ground: Ground, _: Process) -> None:
    """It takes longer than the timeouts."""
    time.sleep(0.8)
    ground.go_on()


def _second(ground: Ground, _: Process) -> None:
    """Another deploy begins meanwhile: it comes to its end, or to wait for this one.

    Where tables may be locked against readers, it is not waited for: it would be refused.
    """
    one = ground.second()
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'pyinfra-postgres %' AND state = 'idle' "
        "AND query LIKE '%string_agg%pg_locks%' AND query NOT LIKE '%pg_try_advisory%'"
    )
    with contextlib.suppress(AssertionError):
        until(lambda: one.poll() is not None or ground.ask(waits), 2 if ground.is_at_work else 20)
    ground.go_on()


def _foreign(*statements: str) -> Callable[[Ground, Process], None]:
    """Somebody changes the database, unless it is locked."""

    def strike(ground: Ground, _: Process) -> None:
        with ground.database.connect(autocommit=True) as session:
            session.execute("SET lock_timeout = '100ms'")
            for one in statements:
                with contextlib.suppress(psycopg.errors.LockNotAvailable):
                    session.execute(one)
        ground.go_on()

    return strike


def _history(statement: str) -> Callable[[Ground, Process], None]:
    """History is not as it was."""

    def strike(ground: Ground, _: Process) -> None:
        with ground.database.connect(autocommit=True) as session:
            session.execute("SET lock_timeout = '100ms'")
            with contextlib.suppress(
                psycopg.errors.LockNotAvailable,
                psycopg.errors.UndefinedTable,
                psycopg.errors.InvalidSchemaName,
            ):
                session.execute(statement)
        ground.go_on()

    return strike


def _locked_history(ground: Ground, _: Process) -> None:
    ground.go_on_under("SET lock_timeout = '100ms'", f"LOCK TABLE {_TABLE}")
    _ends(ground.started[-1], 30)


def _works(point: Point) -> bool:
    return point.is_at_work


def _is_connected(point: Point) -> bool:
    return not point.name.startswith("connect: on")


_PATIENT = (("postgres_connect_delay", 0.4),)
"""A server that begins again under load takes its time."""
FAULTS = [
    Fault("killed", _signalled(signal.SIGKILL)),
    Fault("SIGINT", _signalled(signal.SIGINT)),
    Fault("SIGTERM", _signalled(signal.SIGTERM)),
    Fault("backend terminated", _ended, _is_connected, survives=True),
    Fault("query cancelled", _cancelled, _works),
    Fault("stopped with -m immediate", _restarted, survives=True, data=_PATIENT),
    Fault("stopped, and others write", _restarted_and_used, survives=True, data=_PATIENT),
    Fault("connection reset", _reset, survives=True),
    Fault(
        "answer lost", _lost_answer, lambda one: one.stop.where is not Where.BEFORE, survives=True
    ),
    Fault("stalled", _stalled, survives=True),
    Fault("black hole", _black_hole, data=(("postgres_answer_timeout", 1),), is_slow=True),
    Fault(
        "lock held",
        _held_lock,
        lambda one: "waits for shop" in one.name,
        data=(("postgres_lock_timeout", 150), ("postgres_lock_attempts", 2)),
    ),
    Fault(
        "old transaction held",
        _held_lock,
        lambda one: "waiting for" in one.name or "waits for writers" in one.name,
        data=(("postgres_snapshot_timeout", 0.3),),
    ),
    Fault("own timeouts", _waits, before=_own_timeouts, survives=True),
    Fault("own read-only default", _waits, before=_read_only, survives=True),
    Fault("second deploy", _second, survives=True, is_shared=True),
    Fault(
        "foreign column",
        _foreign("ALTER TABLE shop.customer ADD COLUMN foreign_one integer"),
        survives=True,
    ),
    Fault(
        "foreign comment",
        _foreign("COMMENT ON TABLE shop.item IS 'Something else'"),
        survives=True,
        is_foreign=True,
    ),
    Fault("history locked", _locked_history),
    Fault("history dropped", _history(f"DROP TABLE {_TABLE}")),
    Fault("history row gone", _history(f"DELETE FROM {_TABLE}")),
    Fault("history redefined", _history(f"ALTER TABLE {_TABLE} ADD COLUMN more text DEFAULT 'x'")),
]
