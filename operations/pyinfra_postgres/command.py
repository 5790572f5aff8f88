"""SQL as a pyinfra command.

One command carries a script of statements. The `@postgres` connector hands it to psycopg as one
message; any other connector runs it as one `psql`. Either way the server has the whole script at
once, and no lock waits for the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS

if TYPE_CHECKING:
    from pyinfra.api.host import Host

_PSQL = (
    "psql",
    "--no-psqlrc",
    "--quiet",
    "--tuples-only",
    "--no-align",
    "--set=ON_ERROR_STOP=1",
    "--set=VERBOSITY=verbose",
    "--file=-",
)
_MARK = "pyinfra-postgres statement "
_ERROR = re.compile(r"psql:<stdin>:\d+: (?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)")
_TRANSACTION = "pyinfra-postgres transaction "
TELL_TRANSACTION = f"RAISE INFO '{_TRANSACTION}%', pg_current_xact_id()"
"""In PL/pgSQL, has the server tell at once which transaction a script is in."""
_HINT = re.compile(r"(?:DETAIL|HINT):  (.*)")


class SQLCommand(StringCommand):
    """A script of SQL statements, run in order until one fails.

    As text it is a `psql` that reads the script from a here document, so that it needs no file and
    works where pyinfra gives a command no standard input, as it does for facts.
    """

    def __init__(self, statements: Sequence[str], database: str | None = None) -> None:
        self.statements = tuple(statements)
        end = "PYINFRA_POSTGRES"
        script = psql_script(self.statements)
        super().__init__(*_psql(database), f"<<'{end}'\n{script}{end}\n")

    def __repr__(self) -> str:
        return f"SQLCommand({len(self.statements)} statements)"


def _psql(database: str | None) -> Iterable[object]:
    yield from _PSQL
    if database:
        yield from ("--dbname", QuoteString(database))


def psql_script(statements: Sequence[str]) -> str:
    """The script for psql; marks on standard error tell which statement it is at."""
    return "".join(
        f"\\warn {_MARK}{index}\n{statement}\n;\n" for index, statement in enumerate(statements)
    )


@frozen
class Failure:
    """Why a script failed."""

    message: str
    sqlstate: str = ""
    index: int | None = None
    """Which of the script's statements failed."""
    detail: str = ""
    lost: bool = False
    """Whether the connection went away before the server could say how the script ended."""

    def __str__(self) -> str:
        state = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"{self.message}{state}"


@frozen
class Answer:
    """What a script printed, or why it failed."""

    rows: tuple[str, ...] = ()
    failure: Failure | None = None
    transaction: str = ""
    """The id of its transaction, where the script told it."""

    def values(self) -> list[Any]:
        """The JSON that it printed, a value for each row."""
        return [json.loads(row) for row in self.rows]


def run(host: Host, statements: Sequence[str], *, repeatable: bool = False) -> Answer:
    """Run a script on a host, under the arguments (sudo, ...) of the current operation.

    A repeatable one may run twice: it changes nothing, or nothing that outlives its connection.
    """
    from .connector import PostgresConnector

    connector = host.connector
    if isinstance(connector, PostgresConnector):
        return connector.run_script(statements, repeatable=repeatable)
    given = cast(dict[str, Any], host.current_op_global_arguments or {})
    arguments = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    # On standard input, because an argument list is public on the host.
    arguments["_stdin"] = psql_script(statements)
    succeeded, output = host.run_shell_command(
        StringCommand(*_psql(host.data.get("postgres_database"))),
        print_output=host.state.print_fact_output,
        print_input=host.state.print_fact_input,
        **arguments,
    )
    failure = None if succeeded else psql_failure(output.stderr_lines)
    transaction = told_transaction(output.stderr_lines)
    return Answer(tuple(output.stdout_lines), failure, transaction)


def told_transaction(notices: Sequence[str]) -> str:
    """The id that TELL_TRANSACTION told, if any."""
    told = (line.partition(_TRANSACTION)[2] for line in notices)
    return next(filter(None, told), "")


def psql_failure(lines: Sequence[str]) -> Failure:
    """What psql's standard error says of the statement that failed."""
    index = None
    hints = []
    for number, line in enumerate(lines):
        if line.startswith(_MARK):
            index = int(line.removeprefix(_MARK))
        elif error := _ERROR.match(line):
            hints = [hint[1] for text in lines[number + 1 :] if (hint := _HINT.match(text))]
            return Failure(error[2], error[1], index, " ".join(hints))
    said = "; ".join(line for line in lines if not line.startswith(_MARK))
    return Failure(said or "psql failed and said nothing", index=index)
