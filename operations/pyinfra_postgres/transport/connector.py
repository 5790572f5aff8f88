"""The `@postgres/NAME` connector: a database is a host, reached through psycopg.

Transactions are written in the scripts that it runs. pyinfra imports this module at every start,
whatever it runs: what only a connection needs is imported when there is one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from io import IOBase
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pyinfra.api import HiddenValue, StringCommand
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.connectors.base import BaseConnector, ConnectorData, DataMeta
from pyinfra.connectors.util import CommandOutput, OutputLine
from typing_extensions import Unpack, override

from ..errors import ConnectError, HostError, InventoryError
from ..hidden import shortened
from ..terminal import say, trace

if TYPE_CHECKING:
    from .answer import Answer
    from .connection import Connection
    from .watch import Patience

KNOWN_DATA = {
    "postgres_dsn": "libpq connection URI or keyword string; libpq's environment, service and "
    "password files work too",
    "postgres_host": "server, or the directory of its Unix socket",
    "postgres_port": "port of the server or its socket",
    "postgres_user": "role",
    "postgres_password": "password of the role",
    "postgres_database": "name of the database",
    "postgres_connect_attempts": "how often connecting is tried, while it fails for the moment (5)",
    "postgres_connect_delay": "seconds before the second try to connect, doubled for each more (1)",
    "postgres_lock_timeout": "milliseconds that the transaction waits for its locks (2000)",
    "postgres_lock_attempts": "how often a transaction that got no lock is tried (5)",
    "postgres_deploy_lock_timeout": "seconds to wait for another deploy of the same database (60)",
    "postgres_answer_timeout": "seconds for what a server should answer at once (30)",
    "postgres_snapshot_timeout": "seconds that a statement after the transaction waits for the "
    "transactions of other sessions (900)",
    "postgres_today": "the date that partitions count from, instead of the server's (YYYY-MM-DD)",
    "postgres_remember": "whether what the server calls equal, and that nothing changes, is "
    "remembered for other runs (True)",
    "postgres_history": "whether what is deployed is recorded in the database (False)",
    "postgres_environment": "the environment whose releases a deploy with its verification writes",
    "postgres_requires": "the environment that has to have released a deploy before it runs",
    "postgres_unproven": "the required environment without whose release the run goes on",
    "postgres_varies": "host data and parts of the deploy that may differ between environments",
    "postgres_allow": "what may lose data: titles as in the refusal, separated by commas",
    "postgres_trust": "roles whose code the run may execute, separated by commas",
    "postgres_phase": "phases of pg.transaction(phase=...) that the run does, separated by commas",
    "postgres_rehearse": "whether --data rehearse= may be here: True, or names of hosts",
    "postgres_rehearse_timeout": "seconds that a rehearsed transaction may take",
    "postgres_pgrls": "the command pgrls, which judges row security; False for none",
    "postgres_squawk": "the command squawk, which judges the SQL of plans; False for none",
}
"""Host data that the collection reads, and what each means."""


class PostgresData(ConnectorData):
    """The host data of a database."""

    postgres_dsn: str | HiddenValue


class PostgresConnector(BaseConnector):
    """Runs SQL on a database through psycopg, and nothing else."""

    handles_execution = True
    data_cls = PostgresData
    data_meta: ClassVar[dict[str, DataMeta]] = {  # type: ignore[misc]
        "postgres_dsn": DataMeta(KNOWN_DATA["postgres_dsn"], "")
    }

    connection: Connection | None = None

    def __init__(self, state: State, host: Host) -> None:
        super().__init__(state, host)
        if host.data.get("detailed_exitcode"):
            from .exit_status import tell_differences

            tell_differences(state)

    @staticmethod
    @override
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        if not name:
            raise InventoryError("A database host needs a name: write @postgres/NAME")
        yield f"@postgres/{name}", {}, []

    @override
    def connect(self) -> None:
        from . import options
        from .connection import Connection
        from .host_data import read
        from .interrupts import Run, end_with_status
        from .watch import Limits

        end_with_status(self.state)
        options.check(self.host, KNOWN_DATA)
        check_host_data(self.host.data.dict())
        dsn = self.dsn()
        data = self.host.data.dict()
        attempts = read(data, "postgres_connect_attempts", 5)
        delay = read(data, "postgres_connect_delay", 1)
        name = self.host.name.partition("/")[2]
        self.connection = Connection(
            *(dsn, name, self._say, attempts, delay, Limits.of(data)),
            interrupted=lambda: bool(Run.of(self.state).signal),
        )
        # Whether anything may be deployed there is known first.
        if read(data, "postgres_requires", None) is None:
            self.connection.open()

    def dsn(self) -> str:
        """The connection string; no output shows it. Raises ConnectError where there is none."""
        from . import target

        return target.dsn(self.host.data.dict())

    def _say(self, line: str) -> None:
        say(self.host, line)

    @override
    def disconnect(self) -> None:
        if self.connection:
            self.connection.close()

    def reached(self) -> str:
        """Where the server is, in one line."""
        assert self.connection
        return self.connection.reached()

    def run_script(
        self,
        messages: Sequence[Sequence[str]],
        started: Callable[[int], None] = lambda _: None,
        patience: Callable[[int], Patience] | None = None,
    ) -> Answer:
        """Run messages until a statement fails; what is not said of them should come at once."""
        from .answer import Answer, Failure
        from .watch import Patience

        assert self.connection
        try:
            if self.connection.session is None:
                self.connection.open()
        except ConnectError as error:
            return Answer(failure=Failure(error.args[0], unreachable=True))
        patience = patience or (lambda _: Patience.ANSWER)
        return self.connection.run(messages, started, patience)

    def begin_script(self, statements: Sequence[str]) -> bool:
        """Begin with a script, whether that is possible; the next one waits for its end."""
        return self.connection is not None and self.connection.begin(statements)

    def end_session(self) -> None:
        """Leave nothing of a script behind in the connection: no lock, no setting."""
        if self.connection:
            self.connection.reset()

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        from .command import SQLCommand

        if not isinstance(command, SQLCommand):
            self._no_shell("run a shell command")
        if print_input:
            trace(self.host, f">>> {command!r}")
        answer = self.run_script([command.statements])
        lines = [OutputLine("stdout", row) for row in answer.rows]
        if answer.failure:
            lines.append(OutputLine("stderr", str(answer.failure)))
        if print_output:
            for line in lines:
                trace(self.host, shortened(line.line, 200))
        return answer.failure is None, CommandOutput(lines)

    @override
    def put_file(
        self, filename_or_io: str | IOBase, remote_filename: str, *_: Any, **__: Any
    ) -> bool:
        self._no_shell("put a file")

    @override
    def get_file(
        self, remote_filename: str, filename_or_io: str | IOBase, *_: Any, **__: Any
    ) -> bool:
        self._no_shell("get a file")

    def _no_shell(self, what: str) -> NoReturn:
        # An OSError is what pyinfra reports for this host alone.
        raise OSError(
            f"can't {what}: {self.host.name} is only a database, without a shell; "
            "use an SSH host for its server"
        )


def check_host_data(data: dict[str, Any]) -> None:
    """Refuse host data that is spelled like the collection's and is not, or stands for nothing."""
    from .host_data import check

    for key in data:
        if key.startswith("postgres_") and key not in KNOWN_DATA:
            # Compared without the prefix, which makes everything look alike.
            close_to = [known.removeprefix("postgres_") for known in KNOWN_DATA]
            close = difflib.get_close_matches(key.removeprefix("postgres_"), close_to, 1)
            known = ", ".join(KNOWN_DATA)
            hint = f"did you mean postgres_{close[0]}?" if close else f"known: {known}"
            raise ConnectError(f"Unknown host data {key}: {hint}")
    try:
        check(data)
    except HostError as error:
        raise ConnectError(str(error)) from None


__all__ = ["KNOWN_DATA", "PostgresConnector", "check_host_data"]
