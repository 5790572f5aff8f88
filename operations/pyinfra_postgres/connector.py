"""The `@postgres/NAME` connector: a database is a host, reached through psycopg.

The connection is direct and in autocommit mode; transactions are written in the scripts that it
runs. https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import difflib
import getpass
import platform
from collections.abc import Iterator, Sequence
from io import IOBase
from typing import Any, ClassVar, NoReturn

import psycopg
from psycopg import conninfo, generators, pq
from psycopg.abc import PQGen
from pyinfra.api import StringCommand
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.exceptions import ConnectError, InventoryError
from pyinfra.api.output import echo
from pyinfra.connectors.base import BaseConnector, ConnectorData, DataMeta
from pyinfra.connectors.util import CommandOutput, OutputLine
from typing_extensions import Unpack, override

from .command import Answer, Failure, SQLCommand

CONNECT_TIMEOUT = 15
_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

KNOWN_DATA = {
    "postgres_dsn": "libpq connection URI or keyword string; libpq's environment, service and "
    "password files work too",
    "postgres_database": "database name, for hosts that run psql",
    "postgres_lock_timeout": "milliseconds that the transaction waits for its locks (2000)",
    "postgres_lock_attempts": "how often a transaction that got no lock is tried (5)",
    "postgres_deploy_lock_timeout": "seconds to wait for another deploy of the same database (60)",
    "postgres_today": "the date that partitions count from, instead of the server's (YYYY-MM-DD)",
    "postgres_allow": "what may lose data: titles as in the refusal, separated by commas",
}
"""Host data that the collection reads, and what each means."""


class PostgresData(ConnectorData):
    """The host data of a database."""

    postgres_dsn: str


class PostgresConnector(BaseConnector):
    """Runs SQL on a database through psycopg, and nothing else."""

    handles_execution = True
    data_cls = PostgresData
    data_meta: ClassVar[dict[str, DataMeta]] = {  # type: ignore[misc]
        "postgres_dsn": DataMeta(KNOWN_DATA["postgres_dsn"], "")
    }

    connection: psycopg.Connection[Any] | None = None

    @staticmethod
    @override
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        if not name:
            raise InventoryError("A database host needs a name: write @postgres/NAME")
        yield f"@postgres/{name}", {}, []

    @override
    def connect(self) -> None:
        check_host_data(self.host.data.dict())
        if self.data["postgres_dsn"].partition("://")[2].partition("/")[0].count("@") > 1:
            # What follows the first @ would be taken for the host, and printed.
            raise ConnectError("postgres_dsn: write @ in a user or password as %40")
        try:
            self.connection = psycopg.connect(self.data["postgres_dsn"], **self._defaults())
        except psycopg.ProgrammingError:
            # The message would quote the string, and with it the password.
            raise ConnectError(
                "postgres_dsn is no connection string: write a URI or libpq keywords"
            ) from None
        except psycopg.Error as error:
            raise ConnectError(f"Could not connect: {_one_line(str(error))}") from None

    def _defaults(self) -> dict[str, Any]:
        given = conninfo.conninfo_to_dict(self.data["postgres_dsn"])
        defaults = {
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT,
            "client_encoding": "utf8",  # whatever the database's own is
            "keepalives_idle": 30,
            "application_name": f"pyinfra-postgres {getpass.getuser()}@{platform.node()}",
        }
        return {key: value for key, value in defaults.items() if key not in given}

    @override
    def disconnect(self) -> None:
        if self.connection:
            self.connection.close()

    def run_script(self, statements: Sequence[str]) -> Answer:
        """Run a script in one message, and roll back what a failure leaves open."""
        assert self.connection
        script = ";\n".join(statements)
        try:
            results = self.connection.wait(_send(self.connection.pgconn, script))
        except psycopg.Error as error:
            return Answer(failure=Failure(_one_line(str(error)) or "the connection was lost"))
        return self._answer(statements, results)

    def _answer(self, statements: Sequence[str], results: Sequence[pq.abc.PGresult]) -> Answer:
        assert self.connection
        rows: list[str] = []
        for done, result in enumerate(results):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                if self.connection.info.transaction_status in _OPEN:
                    self.connection.execute("ROLLBACK")
                return Answer(tuple(rows), self._failure(statements, done, result))
            rows += _values(result, self.connection.info.encoding)
        return Answer(tuple(rows))

    def _failure(self, statements: Sequence[str], done: int, result: pq.abc.PGresult) -> Failure:
        def text(code: pq.DiagnosticField) -> str:
            return (result.error_field(code) or b"").decode(errors="replace")

        if not text(pq.DiagnosticField.SQLSTATE):  # not the server's word: libpq lost it
            return Failure(_one_line(result.error_message.decode(errors="replace")))
        place = text(pq.DiagnosticField.STATEMENT_POSITION)
        hints = (pq.DiagnosticField.MESSAGE_DETAIL, pq.DiagnosticField.MESSAGE_HINT)
        return Failure(
            text(pq.DiagnosticField.MESSAGE_PRIMARY),
            text(pq.DiagnosticField.SQLSTATE),
            # A syntax error anywhere stops the script before its first statement.
            _statement_at(statements, int(place)) if place and not done else done,
            " ".join(filter(None, map(text, hints))),
        )

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        if not isinstance(command, SQLCommand):
            self._no_shell("run a shell command")
        if print_input:
            echo(f"{self.host.print_prefix}>>> {command!r}", err=True)
        answer = self.run_script(command.statements)
        lines = [OutputLine("stdout", row) for row in answer.rows]
        if answer.failure:
            lines.append(OutputLine("stderr", str(answer.failure)))
        if print_output:
            for line in lines:
                echo(f"{self.host.print_prefix}{line.line[:200]}", err=True)
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
    """Refuse host data that is spelled like the collection's and is not."""
    for key in data:
        if key.startswith("postgres_") and key not in KNOWN_DATA:
            # Compared without the prefix, which makes everything look alike.
            names = [known.removeprefix("postgres_") for known in KNOWN_DATA]
            close = difflib.get_close_matches(key.removeprefix("postgres_"), names, 1)
            known = ", ".join(KNOWN_DATA)
            hint = f"did you mean postgres_{close[0]}?" if close else f"known: {known}"
            raise ConnectError(f"Unknown host data {key}: {hint}")


def _send(connection: pq.abc.PGconn, script: str) -> PQGen[list[pq.abc.PGresult]]:
    connection.send_query(script.encode())
    results: list[pq.abc.PGresult] = yield from generators.execute(connection)
    return results


def _values(result: pq.abc.PGresult, encoding: str) -> Iterator[str]:
    if result.status != pq.ExecStatus.TUPLES_OK:
        return
    for row in range(result.ntuples):
        columns = (result.get_value(row, column) for column in range(result.nfields))
        yield "|".join("" if value is None else value.decode(encoding) for value in columns)


def _statement_at(statements: Sequence[str], position: int) -> int:
    """The index of the statement at a character of the script, counted from one."""
    end = 0
    for index, statement in enumerate(statements):
        end += len(statement) + 2
        if position <= end:
            return index
    return len(statements) - 1


def _one_line(message: str) -> str:
    return "; ".join(line.strip() for line in message.splitlines() if line.strip())


__all__ = ["KNOWN_DATA", "PostgresConnector", "check_host_data"]
