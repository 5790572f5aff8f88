"""SQL as a pyinfra command.

One command carries a script of statements. The `@postgres` connector hands it to psycopg as one
message; any other connector runs it as one `psql` that reads the script from standard input.
Either way the server has the whole script at once and no lock waits for the network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS

if TYPE_CHECKING:
    from pyinfra.api.host import Host

PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align")
_MARK = "pyinfra-postgres statement"


class SQLCommand(StringCommand):
    """A script of SQL statements, run in order until one fails."""

    def __init__(self, statements: Sequence[str], database: str | None = None) -> None:
        self.statements = tuple(statements)
        bits: list[object] = [*PSQL, "--set=ON_ERROR_STOP=1", "--file=-"]
        if database:
            bits += ["--dbname", QuoteString(database)]
        super().__init__(*bits, _stdin=self.psql_script())

    def script(self) -> str:
        """The script as one message of the simple query protocol."""
        return ";\n".join(self.statements)

    def psql_script(self) -> str:
        """The script for psql; marks on standard error tell which statement it is at."""
        return "".join(
            f"\\warn {_MARK} {index}\n{statement}\n;\n"
            for index, statement in enumerate(self.statements)
        )

    def __repr__(self) -> str:
        return f"SQLCommand({len(self.statements)} statements)"


@frozen
class Failure:
    """Why a script failed."""

    message: str
    sqlstate: str = ""
    index: int | None = None
    """Which of the script's statements failed."""
    detail: str = ""

    def __str__(self) -> str:
        state = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"{self.message}{state}"


@frozen
class Answer:
    """What a script printed, or why it failed."""

    rows: tuple[str, ...] = ()
    failure: Failure | None = None


def run(host: Host, statements: Sequence[str]) -> Answer:
    """Run a script on a host, under the arguments (sudo, ...) of the current operation."""
    from .connector import PostgresConnector

    connector = host.connector
    if isinstance(connector, PostgresConnector):
        return connector.run_script(statements)
    command = SQLCommand(statements, host.data.get("postgres_database"))
    given = cast(dict[str, Any], host.current_op_global_arguments or {})
    arguments = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    arguments.update(command.connector_arguments)
    succeeded, output = host.run_shell_command(
        command,
        print_output=host.state.print_fact_output,
        print_input=host.state.print_fact_input,
        **arguments,
    )
    if succeeded:
        return Answer(rows=tuple(output.stdout_lines))
    return Answer(rows=tuple(output.stdout_lines), failure=_psql_failure(output.stderr_lines))


def _psql_failure(lines: list[str]) -> Failure:
    index = None
    messages = []
    for line in lines:
        if line.startswith(_MARK):
            index = int(line.removeprefix(_MARK))
        else:
            messages.append(line)
    return Failure("; ".join(messages) or "psql failed and said nothing", index=index)


def rows_of(answer: Answer) -> list[Any]:
    """The JSON that a script printed, a value for each row."""
    return [json.loads(row) for row in answer.rows]
