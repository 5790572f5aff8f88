"""How long a script is waited for, and what ends the waiting.

A message that should be answered at once has a deadline. One that works may take as long as it
takes: while it does, a second session asks the server whom it waits for, which also tells whether
the server is still there. What nobody should wait for any longer is cancelled on the server.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum, auto
from typing import Any, TypeVar

import gevent
from attrs import define, field, frozen
from psycopg.abc import PQGen

from ..syntax.paths import SearchPath
from .host_data import read

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a server has to answer that it has cancelled a statement."""
_LONGEST_PAUSE = 1.0
"""Seconds between two looks that are nobody else's fault."""
_FIRST_LOOK = 2.0
_NEXT_LOOK = 5.0
CANCELED = "57014"
"""The SQLSTATE of a statement that was cancelled."""
INTERRUPTED = "interrupted"


class Patience(IntEnum):
    """How long the answer to a message may take; a script has the longest of its messages."""

    ANSWER = auto()
    """It should come at once."""
    WORK = auto()
    """As long as the server is there."""
    BUILD = auto()
    """Likewise, but other sessions' transactions are waited for within bounds."""


@frozen
class Limits:
    """What host data says of waiting, in seconds."""

    answer: float = 30
    others: float = 900
    """For how long other sessions' transactions may keep a statement after the transaction."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Limits:
        """How long host data lets a run wait. Raises HostError."""
        usual = cls()
        return cls(
            read(data, "postgres_answer_timeout", usual.answer),
            read(data, "postgres_snapshot_timeout", usual.others),
        )

    @property
    def connection(self) -> dict[str, int]:
        """The parameters of a connection that notices within that time that nobody is there."""
        third = math.ceil(self.answer / 3)
        return {
            "connect_timeout": math.ceil(min(15, max(2, self.answer))),
            "keepalives": 1,
            "keepalives_idle": third,
            "keepalives_interval": third,
            "keepalives_count": 2,
            "tcp_user_timeout": math.ceil(self.answer * 1000),
        }


@define
class Clock:
    """Counts the seconds for which somebody has listened, where it is read several times a second.

    While the process was busy with other hosts, it has not listened.
    """

    _seconds: float = 0
    _last: float = field(factory=time.monotonic)

    def read(self) -> float:
        """The seconds until now."""
        now = time.monotonic()
        self._seconds += min(now - self._last, _LONGEST_PAUSE)
        self._last = now
        return self._seconds


class SilenceError(Exception):
    """Nobody answers any more, not even to a cancel."""


@define
class Watch:
    """What ends the waiting for one message."""

    limits: Limits
    patience: Patience
    interrupted: Callable[[], bool]
    cancel: Callable[[], None]
    """Has the server cancel the statement, as far as that is possible; it says nothing."""
    look_aside: Callable[[], Sequence[str]]
    """Whom the statement waits for, asked in a second session. Raises SilenceError."""
    say: Callable[[str], None]
    reason: str = ""
    """Why the statement was cancelled."""
    _clock: Clock = field(factory=Clock)
    _ends: float = math.inf
    """When an answer to the cancel is given up."""
    _next_cancel: float = 0
    _next_look: float = 0
    _blocked_since: float | None = None
    _side: gevent.Greenlet | None = None
    _told: Sequence[str] = ()

    def look(self) -> None:
        """See what there is to see; called several times a second. Raises SilenceError."""
        now = self._clock.read()
        if not self.reason:
            self.reason = self._why(now)
            self._ends = now + GRACE
        if not self.reason:
            return
        if now >= self._ends:
            raise SilenceError(self.reason)
        # Again and again: between two statements a cancel has nothing to cancel.
        if now >= self._next_cancel:
            self._next_cancel = now + 1
            self.cancel()

    def end(self) -> None:
        """Look no more."""
        if self._side is not None:
            self._side.kill(block=False)

    def _why(self, now: float) -> str:
        if self.interrupted():
            return INTERRUPTED
        if self.patience is not Patience.ANSWER:
            return self._seen(now)
        late = now > self.limits.answer
        return f"no answer within {self.limits.answer:g} s" if late else ""

    def _seen(self, now: float) -> str:
        """What a second session has seen that should end the waiting."""
        if self._side is None:
            if now >= min(_FIRST_LOOK, self._pause) and now >= self._next_look:
                self._side = gevent.spawn(self._aside)
            return ""
        if not self._side.ready():
            return ""
        found, self._side = self._side.value, None
        self._next_look = now + self._pause
        if found is None:
            return f"the server has said nothing for {self.limits.answer:g} s"
        return self._blocked(now, found)

    def _aside(self) -> Sequence[str] | None:
        try:
            return self.look_aside()
        except SilenceError:
            return None

    def _blocked(self, now: float, others: Sequence[str]) -> str:
        if not others:
            self._blocked_since = None
            return ""
        who = "; ".join(others)
        if others != self._told:
            self._told = others
            self.say(f"waiting for {who}")
        if self._blocked_since is None:
            self._blocked_since = now
        bound = self.limits.others
        if self.patience is Patience.BUILD and now - self._blocked_since >= bound:
            return f"it has waited {bound:g} s for {who}"
        return ""

    @property
    def _pause(self) -> float:
        return max(0.2, min(_NEXT_LOOK, self.limits.others / 4, self.limits.answer))


def watched(waiting: PQGen[T], look: Callable[[], None]) -> PQGen[T]:
    """A generator of psycopg's that waits for a server, with a look whenever it is woken."""
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            look()
            wanted = waiting.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


def whom_it_waits_for(process: str) -> list[str]:
    """A script that names the sessions whose transactions a server's process waits for."""
    return [
        # Before anything is evaluated.
        SearchPath.OWN.session,
        "SELECT CASE WHEN b.pid = 0 THEN 'a prepared transaction' ELSE format("
        "'session %s (%s of %s, %s since %s)', b.pid,"
        " coalesce(nullif(a.application_name, ''), 'a session'), a.usename,"
        " coalesce(a.state, 'active'), coalesce(to_char(coalesce(a.xact_start, a.backend_start),"
        " 'YYYY-MM-DD HH24:MI:SS'), 'a time that this role may not see')) END"
        f" FROM (SELECT DISTINCT unnest(pg_blocking_pids({process}))) AS b(pid)"
        " LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid ORDER BY b.pid",
    ]
