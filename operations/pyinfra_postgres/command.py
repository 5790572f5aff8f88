"""SQL as a pyinfra command.

A script is messages of statements, run in one session until a statement fails. The `@postgres`
connector hands them to psycopg; any other connector runs them as one `psql`, which has the whole
script before it begins. Either way no lock waits for the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from paramiko import SSHException
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector

if TYPE_CHECKING:
    from pyinfra.api.host import Host

_PSQL = (
    # What psql and libpq say is read here, so in English.
    *("env", "LC_ALL=C", "PGCLIENTENCODING=UTF8", "psql"),
    *("--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"),
    *("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", "--file=-"),
)
_MARK = "pyinfra-postgres statement "
_ERROR = re.compile(r"psql:<stdin>:\d+: [^:]+:  ([0-9A-Z]{5}): (.*)")
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


def _psql(database: str | None) -> tuple[object, ...]:
    return (*_PSQL, *(("--dbname", QuoteString(database)) if database else ()))


def psql_script(statements: Sequence[str]) -> str:
    r"""What psql reads; marks on its output tell which statement it is at.

    The statements are data to it: dollar-quoted in one VALUES list, which `\gexec` at the very end
    has it run one after another, each as it is written. So nothing in them is ever a command or a
    variable of psql's, and a script that did not arrive whole does nothing.
    """
    number = 0
    while any(f"$p{number}" in statement for statement in statements):
        number += 1
    tag = f"$p{number}$"
    rows = [
        f"({tag}SELECT '{_MARK}{index}'{tag}, {tag}{statement}{tag})"
        for index, statement in enumerate(statements)
    ]
    rows.append(f"({tag}SELECT '{_MARK}{len(statements)}'{tag}, NULL)")
    return "VALUES\n" + ",\n".join(rows) + "\n\\gexec\n"


@frozen
class Failure:
    """Why a script failed."""

    message: str
    sqlstate: str = ""
    index: int = 0
    """Which of the script's statements failed, or is the last that is known to have begun."""
    detail: str = ""
    lost: bool = False
    """Whether the connection went away before the server could say how the script ended."""
    reach: int = 0
    """Where it was lost, the last statement that may have begun."""

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


def run(
    host: Host, *messages: Sequence[str], started: Callable[[int], None] = lambda _: None
) -> Answer:
    """Run a script on a host, under the arguments (sudo, ...) of the current operation.

    Each message goes to the server as one, and `started` is called with its number when it does;
    for what psql runs, when psql has ended. The first message may run twice, where its connection
    was lost: nothing of it may outlive that.
    """
    from .connector import PostgresConnector

    connector = host.connector
    if isinstance(connector, PostgresConnector):
        return connector.run_script(messages, started)
    given = cast(dict[str, Any], host.current_op_global_arguments or {})
    arguments = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    statements = [statement for message in messages for statement in message]
    # On standard input, because an argument list is public on the host.
    arguments["_stdin"] = psql_script(statements)
    try:
        _connect_again(host)
        succeeded, output = host.run_shell_command(
            StringCommand(*_psql(host.data.get("postgres_database"))),
            print_output=host.state.print_fact_output,
            print_input=host.state.print_fact_input,
            **arguments,
        )
    except (OSError, EOFError, SSHException, ConnectError) as error:
        return Answer(failure=Failure(str(error), lost=True, reach=len(statements) - 1))
    begun, answer = psql_answer(
        succeeded, output.stdout_lines, output.stderr_lines, len(statements)
    )
    first = 0
    for number, message in enumerate(messages):
        if first <= begun:
            started(number)
        first += len(message)
    return answer


def end_session(host: Host) -> None:
    """Leave nothing of a script behind: no lock, no setting. A psql has ended anyway."""
    from .connector import PostgresConnector

    if isinstance(host.connector, PostgresConnector):
        host.connector.end_session()


def _connect_again(host: Host) -> None:
    """Open an SSH connection again that was lost. Raises ConnectError."""
    if isinstance(host.connector, SSHConnector) and host.connector.client:
        transport = host.connector.client.get_transport()
        if transport is None or not transport.is_active():
            host.connector.connect()


def psql_answer(
    succeeded: bool, output: Sequence[str], errors: Sequence[str], count: int
) -> tuple[int, Answer]:
    """Which of the script's statements was the last to begin, and what psql says of it all."""
    marks = [int(line.removeprefix(_MARK)) for line in output if line.startswith(_MARK)]
    begun = marks[-1] if marks else -1
    failure = None if succeeded and begun == count else _psql_failure(errors, begun, count)
    return begun, Answer(without_marks(output), failure, told_transaction(errors))


def told_transaction(notices: Sequence[str]) -> str:
    """The id that TELL_TRANSACTION told, if any."""
    told = (line.partition(_TRANSACTION)[2] for line in notices)
    return next(filter(None, told), "")


def without_marks(output: Sequence[str]) -> tuple[str, ...]:
    """What the statements printed."""
    return tuple(line for line in output if not line.startswith(_MARK))


def _psql_failure(lines: Sequence[str], begun: int, count: int) -> Failure:
    lines = [line for line in lines if _TRANSACTION not in line]
    index = min(max(begun, 0), count - 1)
    for number, line in enumerate(lines):
        if error := _ERROR.match(line):
            hints = [hint[1] for text in lines[number + 1 :] if (hint := _HINT.match(text))]
            return Failure(error[2], error[1], index, " ".join(hints))
    said = "; ".join(line.strip() for line in lines if line.strip() and "LOCATION:" not in line)
    # A psql that says why it did not begin has lost nothing.
    lost = begun >= 0 or not said
    message = said or "psql ended without a word"
    return Failure(message, index=index, lost=lost, reach=count - 1)
