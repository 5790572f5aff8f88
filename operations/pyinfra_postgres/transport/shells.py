"""psql on hosts that have a shell: where it leads, and one at work.

A host is asked once where its psql leads, and whether its sessions are its own. While one works,
what it waits for is asked by a second one, which can also cancel it: its session is found by a key
that it holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from attrs import define, evolve, field, frozen
from paramiko import SSHException
from pyinfra.api import StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from ..errors import ConnectError
from ..terminal import say
from . import poolers, psql
from .answer import Answer, Failure
from .endpoint import ROOT_CERTIFICATES, leads_to
from .interrupts import Run
from .psql import Psql
from .watch import Limits, Patience, SilenceError, Watch, whom_it_waits_for

_KEYS = 2**31 - 1


class RefusedError(ConnectError):
    """There is no session for a script, for a reason that is the failure's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@frozen
class _Ended:
    """How a command on a host ended."""

    succeeded: bool = False
    output: CommandOutput = field(factory=lambda: CommandOutput([]))
    error: Exception | None = None
    reason: str = ""
    """Why it was not waited for any longer, if so."""


@define
class Shell:
    """A host's shell, under the arguments (sudo, ...) of the current operation."""

    host: Host
    limits: Limits
    arguments: dict[str, Any]

    @classmethod
    def of(cls, host: Host) -> Shell:
        """The shell of a host. Raises HostError for host data that is none."""
        given = host.current_op_global_arguments or pop_global_arguments(host.state, host, {})[0]
        arguments = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
        return cls(host, Limits.of(host.data.dict()), arguments)

    def run(self, statements: Sequence[str], patience: Patience) -> tuple[int, Answer]:
        """Run a script, and tell which of its statements was the last to begin."""
        try:
            client = self.client()
        except RefusedError as error:
            return -1, Answer(failure=error.failure)
        except ConnectError as error:
            return -1, Answer(failure=Failure(error.args[0]))
        key = 0 if patience is Patience.ANSWER else 2 + secrets.randbelow(_KEYS - 2)
        watch = self._watch(client, key, patience)
        seconds = self.limits.answer if patience is Patience.ANSWER else None
        try:
            ended = self._ended(client.command(seconds), client.input(statements, key), watch)
            if isinstance(ended.error, OSError) and not watch.reason:
                # It may have ended before it had read all: given next to nothing, it says why.
                again = self._ended(client.command(seconds), client.input([]), watch)
                ended = ended if again.succeeded else again
        except SilenceError as error:
            lost = Failure(str(error), lost=True, reach=len(statements) - 1)
            return -1, Answer(failure=lost)
        finally:
            watch.end()
        if ended.error:
            return -1, Answer(failure=_failure(ended.error, len(statements) - 1))
        output = ended.output
        begun, answer = psql.answer(
            statements, ended.succeeded, output.stdout_lines, output.stderr_lines
        )
        if answer.failure and watch.reason:
            answer = evolve(answer, failure=evolve(answer.failure, message=watch.reason))
        return begun, answer

    def client(self) -> Psql:
        """A psql whose session is its own, once that is known. Raises ConnectError."""
        given = Psql.of(self.host.data.dict(), self.limits)
        known = _CLIENTS.setdefault(self.host, {})
        key = repr((given, sorted(self.arguments.items(), key=str)))
        if key not in known:
            known[key] = self._checked(self._direct(given))
        return known[key]

    def _checked(self, client: Psql) -> Psql:
        """The psql, or where the host itself names a pooler, one that avoids it."""
        try:
            ended = self._ended(client.pair(self.limits.answer), client.pair_input(), None)
        except SilenceError as error:
            raise RefusedError(Failure(str(error), unreachable=True)) from None
        if ended.reason:
            raise RefusedError(Failure(ended.reason, unreachable=True))
        if ended.error:
            raise RefusedError(_failure(ended.error, 0))
        used, *lines = ended.output.stdout_lines or [""]
        pairs = [line.split("|") for line in lines if line.count("|") == 1]
        seen = [(name, int(process)) for process, name in pairs if process.isdigit()]
        errors = ended.output.stderr_lines
        if not any(name == "first" for name, _ in seen):
            _, answer = psql.answer(["SELECT"], False, [], errors)
            assert answer.failure
            raise RefusedError(answer.failure)
        if "host" not in client.public:
            # How such a server is verified is for the host's own service or environment to say.
            where = leads_to({"host": used, "sslmode": ""}, self._certificates)
            if "host" in where.changes:
                self._say(*where.notices)
                host = {"host": where.changes["host"]}
                return self._checked(evolve(client, public=client.public | host))
        if not any(name == "second" for name, _ in seen):
            poolers.refuse_a_full(psql.advised(errors))
        poolers.check_own(seen)
        return client

    def _direct(self, client: Psql) -> Psql:
        """The psql that host data means: poolers avoided, and TLS verified."""
        where = leads_to(client.public, self._certificates)
        self._say(*where.notices)
        return evolve(client, public=client.public | where.changes)

    def _certificates(self) -> str:
        """The file of root certificates that the host trusts, or the word for its libpq's own."""
        files = " ".join(ROOT_CERTIFICATES)
        found = self._ended(
            StringCommand(
                f'for file in "$SSL_CERT_FILE" {files}; do if test -f "$file"; then echo "$file";'
                " break; fi; done"
            ),
            "",
            None,
        )
        return (found.output.stdout_lines or ["system"])[-1]

    def _watch(self, client: Psql, key: int, patience: Patience) -> Watch:
        state = self.host.state

        def cancel() -> None:
            # Of one that answers at once, the time on the host itself is bounded.
            if key:
                gevent.spawn(self._cancel, client, key)

        return Watch(
            self.limits,
            patience,
            lambda: bool(Run.of(state).signal),
            cancel,
            lambda: self._aside(client, whom_it_waits_for(psql.process_of(key))),
            self._say,
        )

    def _say(self, *lines: str) -> None:
        for line in lines:
            say(self.host, line)

    def _cancel(self, client: Psql, key: int) -> None:
        with suppress(SilenceError):
            self._aside(client, psql.cancelling(key))

    def _aside(self, client: Psql, statements: Sequence[str]) -> list[str]:
        """What a second psql answers. Raises SilenceError."""
        seconds = self.limits.answer
        ended = self._ended(client.command(seconds), client.input(statements), None)
        output = ended.output
        _, answer = psql.answer(
            statements, ended.succeeded, output.stdout_lines, output.stderr_lines
        )
        late = ended.reason or ended.error or "timeout expired" in str(answer.failure or "")
        if answer.failure and late:
            raise SilenceError(answer.failure.message)
        return list(answer.rows)

    def _ended(self, command: StringCommand, text: str, watch: Watch | None) -> _Ended:
        """Run a command to its end, or until nobody waits for it any more. Raises SilenceError."""
        state = self.host.state

        def run() -> _Ended:
            try:
                succeeded, output = self.host.run_shell_command(
                    command,
                    print_output=False,  # an error's lines may quote what must not be shown
                    print_input=state.print_fact_input,
                    # Not as arguments, because an argument list is public on the host.
                    **{**self.arguments, "_stdin": text},
                )
            except (OSError, EOFError, SSHException) as error:
                return _Ended(error=error)
            return _Ended(succeeded, output)

        if watch is None:
            watch = Watch(self.limits, Patience.ANSWER, *_NOBODY)
        running = gevent.spawn(run)
        try:
            while not running.ready():
                running.join(0.1)
                watch.look()
        finally:
            running.kill(block=False)
        ended: _Ended = running.get()
        return evolve(ended, reason=watch.reason)


_NOBODY = (lambda: False, lambda: None, lambda: (), lambda _: None)
_CLIENTS: WeakKeyDictionary[Host, dict[str, Psql]] = WeakKeyDictionary()


def _failure(error: Exception, reach: int) -> Failure:
    if isinstance(error, EOFError):
        # pyinfra has asked for a password, and there was nobody to type it.
        return Failure(psql.advised(["sudo asks for a password"]), unreachable=True)
    return Failure(str(error) or repr(error), lost=True, reach=reach)
