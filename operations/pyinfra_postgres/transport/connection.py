"""One database's session: woken, opened again where it was lost, and refused where it is shared."""

from __future__ import annotations

import getpass
import platform
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any
from weakref import WeakSet

import psycopg
from attrs import define, evolve, field
from psycopg import generators, pq
from psycopg.abc import PQGen

from ..errors import ConnectError
from ..syntax.paths import SearchPath
from .answer import NO_ENCODING, PROGRESS, Answer, Failure, told_transaction
from .endpoint import endpoint, parameters
from .poolers import PROCESS, check_own, refuse_a_full
from .troubles import advised
from .watch import (
    CANCELED,
    INTERRUPTED,
    Clock,
    Limits,
    Patience,
    SilenceError,
    Watch,
    watched,
    whom_it_waits_for,
)

LONGEST_DELAY = 16.0
_PIN = SearchPath.OWN.session
"""Comes before the first expression that a session evaluates, and calls no function itself."""
_CONFORMING = b"standard_conforming_strings"
_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

# libpq tells no SQLSTATE of a connection that failed. What else fails fails for good: passwords,
# names, certificates, quotas.
_PASSES = re.compile(
    r"the database system is (starting up|shutting down|in recovery mode|not yet accepting)"
    r"|terminating connection due to (administrator command|unexpected postmaster exit)"
    r"|couldn't connect to compute node"
    r"|server closed the connection unexpectedly|SSL connection has been closed unexpectedly"
    r"|unexpected eof while reading|connection reset by peer|broken pipe"
    r"|connection refused|connection timed out|timeout expired"
    r"|network is unreachable|no route to host",
    re.IGNORECASE,
)
_CANCEL_TIMEOUT = 2.0
_TIMED_OUT = "timeout expired"
_NO_SOCKET = "No such file or directory"
"""Why a connection fails where the directory of the socket is a wrong one, or a server restarts."""


def passes(message: str) -> bool:
    """Whether a connection that failed with this message may succeed in a moment."""
    return bool(_PASSES.search(message))


@define(eq=False)
class Connection:
    """A session with the database of a connection string."""

    dsn: str = field(repr=False)
    host: str
    """What the run calls the database."""
    say: Callable[[str], None]
    attempts: int
    delay: float
    """Seconds before the second attempt; twice as long before each further one."""
    limits: Limits
    interrupted: Callable[[], bool] = lambda: False
    """Whether a signal wants the run to end."""
    session: psycopg.Connection[Any] | None = None
    changes: dict[str, Any] = field(factory=dict)
    """The parameters that take the place of the string's own."""
    process: int = 0
    """The server's process, once it has been asked: what a proxy tells of it is its own."""
    pooled: bool = False
    """Whether the session goes to another client of a pooler when this one leaves it."""
    begun: bool = False
    """Whether a message has been sent whose answer nobody has waited for."""

    def open(self) -> None:
        """Connect, within bounds and visibly. Raises ConnectError."""
        try:
            where = endpoint(self.dsn)
        except psycopg.ProgrammingError:
            # The message would quote the string, and with it the password.
            raise ConnectError(
                "postgres_dsn is no connection string: write a URI or libpq keywords"
            ) from None
        if self.session is None:
            for notice in where.notices:
                self.say(notice)
        self.close()
        self.begun, self.pooled, self.process = False, False, 0
        changes = self.changes = self._defaults() | where.changes
        doing = f"waking {self.host}" if where.is_neon else "connecting again"
        self.session = self._patiently(changes, doing, trusted=where.is_neon)

    def _patiently(
        self, changes: dict[str, Any], doing: str, *, trusted: bool
    ) -> psycopg.Connection[Any]:
        silence = 0.0
        for attempt in range(1, self.attempts + 1):
            began = time.monotonic()
            try:
                return self._connected(changes, trusted=trusted)
            except psycopg.Error as error:
                reason = _reason(error)
                if _TIMED_OUT in reason:
                    silence += time.monotonic() - began
                restarts = self.session is not None and _NO_SOCKET in reason
                ends = (
                    attempt == self.attempts or silence >= self.limits.answer or self.interrupted()
                )
                if ends or not (restarts or passes(reason)):
                    tries = f" after {attempt} tries" if attempt > 1 else ""
                    raise ConnectError(advised(f"Could not connect{tries}: {reason}")) from None
            first = reason.partition("; ")[0]
            self.say(f"{doing}, try {attempt + 1} of {self.attempts}: {first}")
            delay = min(LONGEST_DELAY, self.delay * 2 ** (attempt - 1))
            time.sleep(min(LONGEST_DELAY, delay * random.uniform(1.0, 1.5)))
        raise AssertionError("unreachable")

    def _connected(self, changes: dict[str, Any], *, trusted: bool) -> psycopg.Connection[Any]:
        """A session of its own. Raises ConnectError where a pooler has none."""
        session = psycopg.connect(self.dsn, **changes)
        try:
            if not trusted:
                self.process = self._process(session)
                # A pooler answers with a process id of its own making.
                self.pooled = self.process != session.info.backend_pid
            if self.pooled:
                self._refuse_a_shared(session, changes)
            # In a message of its own: what fails later does not take it back.
            self._at_once(session, _PIN)
        except BaseException:
            session.close()
            raise
        return session

    def _defaults(self) -> dict[str, Any]:
        defaults = {
            **self.limits.connection,
            "application_name": f"pyinfra-postgres {getpass.getuser()}@{platform.node()}",
        }
        given = parameters(self.dsn)
        # Scripts are sent as UTF-8, whatever the database's own encoding is.
        always = {"autocommit": True, "client_encoding": "utf8"}
        return always | {key: value for key, value in defaults.items() if key not in given}

    def _refuse_a_shared(self, first: psycopg.Connection[Any], changes: dict[str, Any]) -> None:
        """Raise ConnectError where a pooler gives each transaction another session."""
        try:
            with closing(psycopg.connect(self.dsn, **changes)) as second:
                asked = (first, first, second, first, second, second, first, second)
                seen = [
                    ("first" if one is first else "second", self._process(one)) for one in asked
                ]
        except psycopg.Error as error:
            refuse_a_full(one_line(str(error)))
        check_own(seen)

    def _process(self, session: psycopg.Connection[Any]) -> int:
        """The server's process behind a session. Raises psycopg.Error."""
        (result,) = self._at_once(session, PROCESS)
        return int(result.get_value(0, 0) or 0)

    def _at_once(self, session: psycopg.Connection[Any], script: str) -> list[pq.abc.PGresult]:
        """What a session answers that has its deadline. Raises psycopg.Error."""
        clock = Clock()

        def look() -> None:
            if clock.read() > self.limits.answer:
                raise psycopg.OperationalError(f"no answer within {self.limits.answer:g} s")

        results = session.wait(watched(_results(session.pgconn, script), look))
        if results[-1].status == pq.ExecStatus.FATAL_ERROR:
            raise psycopg.OperationalError(results[-1].error_message.decode(errors="replace"))
        return results

    def reached(self) -> str:
        """Where the server is: host, port and database."""
        info = self.session and self.session.info
        return f"{info.host}:{info.port}/{info.dbname}" if info else ""

    def close(self) -> None:
        """End the session, and what it is doing; one that goes on without us is left as it was."""
        if self.session:
            self._cancel()
            if self.pooled:
                with suppress(psycopg.Error):
                    self._at_once(self.session, "DISCARD ALL")
            self.session.close()

    def _cancel(self) -> None:
        """Have the server cancel what it is doing for us, if anything."""
        assert self.session
        if self.session.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):
                self.session.cancel_safe(timeout=_CANCEL_TIMEOUT)

    def _look_aside(self) -> list[str]:
        """Whom the session waits for, as another one sees it. Raises SilenceError."""
        try:
            with closing(psycopg.connect(self.dsn, **self.changes)) as second:
                results = self._at_once(second, ";\n".join(whom_it_waits_for(str(self.process))))
                return [line for one in results for line in _values(one, "utf8")]
        except psycopg.Error as error:
            # A server that says why it gives no second session is there.
            if _TIMED_OUT in str(error):
                raise SilenceError(str(error)) from None
            return []

    def reset(self) -> None:
        """Make the session as it was when it was opened; a closed one has nothing to lose."""
        if self.session and not self.session.closed:
            for statement in ("DISCARD ALL", _PIN):
                self._send([statement], 0, self._watch(Patience.ANSWER, minds_signals=False))

    def run(
        self,
        messages: Sequence[Sequence[str]],
        started: Callable[[int], None] = lambda _: None,
        patience: Callable[[int], Patience] = lambda _: Patience.ANSWER,
    ) -> Answer:
        """Run messages until a statement fails, and roll back what that leaves open.

        The first one runs again on a new connection where this one was lost.
        """
        first = 0
        answer = Answer()
        for number, message in enumerate(messages):
            if number and self.interrupted():
                return evolve(answer, failure=Failure(INTERRUPTED, CANCELED, first))
            started(number)
            watch = self._watch(patience(number))
            found = (
                self._send(message, first, watch) if number else self._send_first(message, watch)
            )
            rows = answer.rows + found.rows
            answer = Answer(rows, found.failure, found.transaction or answer.transaction)
            if answer.failure:
                break
            first += len(message)
        return answer

    def begin(self, statements: Sequence[str]) -> bool:
        """Send a message, whether that is possible; the next one waits for its end.

        How it ends is not told.
        """
        if self.session and not self.begun and not self._escapes() and _is_room():
            with suppress(psycopg.Error):
                self.session.pgconn.send_query(";\n".join([_PIN, *statements]).encode())
                self.session.pgconn.flush()
                self.begun = True
                _BEGUN.add(self)
        return self.begun

    @property
    def is_working(self) -> bool:
        """Whether the server is still at what it has begun."""
        if not (self.begun and self.session):
            return False
        try:
            self.session.pgconn.consume_input()
            return bool(self.session.pgconn.is_busy())
        except psycopg.Error:
            return False

    def _escapes(self) -> bool:
        """Whether a backslash in quotes means more than itself."""
        assert self.session
        return self.session.pgconn.parameter_status(_CONFORMING) == b"off"

    def _watch(self, patience: Patience, *, minds_signals: bool = True) -> Watch:
        assert self.session
        works = patience is not Patience.ANSWER
        if works and not (self.process or self.begun or self.session.closed):
            with suppress(psycopg.Error):
                self.process = self._process(self.session)
        return Watch(
            self.limits,
            patience,
            self.interrupted if minds_signals else lambda: False,
            self._cancel,
            self._look_aside,
            self.say,
        )

    def _send_first(self, statements: Sequence[str], watch: Watch) -> Answer:
        """Send a script's first message, on a new connection where this one was lost.

        The search path is set again: code that the script before it called may have set another.
        """
        assert self.session
        known_as_lost = self.session.closed
        pinned = [_PIN, *statements]
        answer = self._send(pinned, -1, watch)
        if answer.failure and answer.failure.lost and not watch.reason:
            if not known_as_lost:
                self.say(f"the connection was lost: {answer.failure.message}")
            try:
                self.open()
            except ConnectError as error:
                return Answer(failure=Failure(error.args[0]))
            answer = self._send(pinned, -1, watch)
        return answer

    def _send(self, statements: Sequence[str], first: int, watch: Watch) -> Answer:
        """Send one message; `first` is the number of its first statement in the script."""
        assert self.session
        notices: list[str] = []

        def heard(diagnostic: psycopg.errors.Diagnostic) -> None:
            notices.append(diagnostic.message_primary or "")
            if diagnostic.sqlstate == PROGRESS:
                self.say(notices[-1])

        self.session.add_notice_handler(heard)
        try:
            if self.begun:
                self.begun = False
                self.session.wait(watched(generators.execute(self.session.pgconn), watch.look))
            # What a backslash in quotes means is settled before a message is read.
            if self._escapes():
                self._at_once(self.session, "SET standard_conforming_strings = on")
            sent = _results(self.session.pgconn, ";\n".join(statements))
            results = self.session.wait(watched(sent, watch.look))
            answer = self._answer(statements, results)
        except UnicodeDecodeError as error:
            answer = Answer(failure=Failure(str(error), NO_ENCODING))
        except SilenceError as error:
            self.session.close()
            answer = Answer(failure=Failure(str(error), lost=True))
        except psycopg.Error as error:
            said = one_line(str(error)) or "the connection was lost"
            answer = Answer(failure=Failure(said, lost=self.session.closed))
        finally:
            watch.end()
            self.session.remove_notice_handler(heard)
        failure = answer.failure and evolve(
            answer.failure,
            message=watch.reason or answer.failure.message,
            index=max(0, first + answer.failure.index),
            reach=first + len(statements) - 1,
        )
        return Answer(answer.rows, failure, told_transaction(notices))

    def _answer(self, statements: Sequence[str], results: Sequence[pq.abc.PGresult]) -> Answer:
        assert self.session
        rows: list[str] = []
        for done, result in enumerate(results):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                if self.session.info.transaction_status in _OPEN:
                    self._at_once(self.session, "ROLLBACK")
                failure = evolve(_failure(statements, done, result), lost=self.session.closed)
                return Answer(tuple(rows), failure)
            rows += _values(result, self.session.info.encoding)
        return Answer(tuple(rows))


def _is_room() -> bool:
    """Whether one more server may begin with something: they may all be one."""
    for one in [one for one in _BEGUN if not one.is_working]:
        _BEGUN.discard(one)
    return len(_BEGUN) < MOST_BEGUN


MOST_BEGUN = 8
"""How many servers work ahead at a time: of more, one that all share would serve none in time."""
_BEGUN: WeakSet[Connection] = WeakSet()


def _reason(error: psycopg.Error) -> str:
    """Why a connection failed, without what psycopg and libpq say every time."""
    said = one_line(str(error)).removeprefix("connection failed: ")
    return re.sub(r"; Is the server running [^;]*\?", "", said)


def _results(connection: pq.abc.PGconn, script: str) -> PQGen[list[pq.abc.PGresult]]:
    connection.send_query(script.encode())
    results: list[pq.abc.PGresult] = yield from generators.execute(connection)
    return results


def _values(result: pq.abc.PGresult, encoding: str) -> Iterator[str]:
    if result.status != pq.ExecStatus.TUPLES_OK:
        return
    for row in range(result.ntuples):
        columns = (result.get_value(row, column) for column in range(result.nfields))
        yield "|".join("" if value is None else value.decode(encoding) for value in columns)


def _failure(statements: Sequence[str], done: int, result: pq.abc.PGresult) -> Failure:
    def text(code: pq.DiagnosticField) -> str:
        return (result.error_field(code) or b"").decode(errors="replace")

    if not text(pq.DiagnosticField.SQLSTATE):  # not the server's word: libpq lost it
        return Failure(one_line(result.error_message.decode(errors="replace")), index=done)
    place = text(pq.DiagnosticField.STATEMENT_POSITION)
    hints = (pq.DiagnosticField.MESSAGE_DETAIL, pq.DiagnosticField.MESSAGE_HINT)
    return Failure(
        text(pq.DiagnosticField.MESSAGE_PRIMARY),
        text(pq.DiagnosticField.SQLSTATE),
        # A syntax error anywhere stops the script before its first statement.
        _statement_at(statements, int(place)) if place and not done else done,
        " ".join(filter(None, map(text, hints))),
        routine=text(pq.DiagnosticField.SOURCE_FUNCTION),
    )


def _statement_at(statements: Sequence[str], position: int) -> int:
    """The index of the statement at a character of the script, counted from one."""
    end = 0
    for index, statement in enumerate(statements):
        end += len(statement) + 2
        if position <= end:
            return index
    return len(statements) - 1


def one_line(message: str) -> str:
    """A message of several lines as one."""
    return "; ".join(line.strip() for line in message.splitlines() if line.strip())
