"""Scripts on hosts.

A script is messages of statements, run in one session until a statement fails. The `@postgres`
connector hands them to psycopg; any other connector runs them as one `psql`, which has the whole
script before it begins. Either way no lock waits for the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from paramiko import SSHException
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput

from . import psql
from .answer import Answer, Failure, withheld
from .connector import PostgresConnector, check_host_data
from .hidden import within
from .psql import Psql

_KEEPALIVE = 30
"""Seconds: a network that has gone without a word is noticed, as libpq does it."""


def run(
    host: Host, *messages: Sequence[str], started: Callable[[int], None] = lambda _: None
) -> Answer:
    """Run a script on a host, under the arguments (sudo, ...) of the current operation.

    Each message goes to the server as one, and `started` is called with its number when it does;
    for what psql runs, when psql has ended. The first message may run twice, where its connection
    was lost: nothing of it may outlive that.
    """
    statements = [statement for message in messages for statement in message]
    answer = _run(host, messages, statements, started)
    failure = answer.failure
    if failure and failure.sqlstate and within(statements[failure.index]):
        return evolve(answer, failure=withheld(failure))
    return answer


def _run(
    host: Host,
    messages: Sequence[Sequence[str]],
    statements: Sequence[str],
    started: Callable[[int], None],
) -> Answer:
    connector = host.connector
    if isinstance(connector, PostgresConnector):
        return connector.run_script(messages, started)
    try:
        check_host_data(host.data.dict())
        client = Psql.of(host.data.dict())
        _keep_connected(host)
    except ConnectError as error:
        return Answer(failure=Failure(error.args[0]))
    begun, answer = _run_psql(host, client, statements)
    first = 0
    for number, message in enumerate(messages):
        if first <= begun:
            started(number)
        first += len(message)
    return answer


def _run_psql(host: Host, client: Psql, statements: Sequence[str]) -> tuple[int, Answer]:
    """Which statement was the last to begin, and how it all ended."""
    given = host.current_op_global_arguments or pop_global_arguments(host.state, host, {})[0]
    arguments: dict[str, Any] = {
        key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS
    }

    def run_with(text: str) -> tuple[bool, CommandOutput]:
        return host.run_shell_command(
            client.command(),
            print_output=False,  # an error's lines may quote what must not be shown
            print_input=host.state.print_fact_input,
            # Not as arguments, because an argument list is public on the host.
            **{**arguments, "_stdin": text},
        )

    try:
        try:
            succeeded, output = run_with(client.input(statements))
        except OSError:
            # It may have ended before it had read all: given next to nothing, it says why.
            succeeded, output = run_with(client.input([]))
            if succeeded:
                raise
    except EOFError:
        # pyinfra has asked for a password, and there was nobody to type it.
        return -1, Answer(
            failure=Failure(psql.advised(["sudo asks for a password"]), unreachable=True)
        )
    except (OSError, SSHException) as error:
        said = str(error) or repr(error)
        return -1, Answer(failure=Failure(said, lost=True, reach=len(statements) - 1))
    return psql.answer(statements, succeeded, output.stdout_lines, output.stderr_lines)


def begin(host: Host, statements: Sequence[str]) -> bool:
    """Have a server begin with a script, whether that is possible: a psql is waited for.

    The next script waits for its end. How it ends is not told.
    """
    connector = host.connector
    return isinstance(connector, PostgresConnector) and connector.begin_script(statements)


def reached(host: Host) -> str:
    """Where a host's scripts go, as far as that is known here."""
    if isinstance(host.connector, PostgresConnector):
        return host.connector.reached()
    public = sorted(Psql.of(host.data.dict()).public.items())
    return "\n".join([host.name, *(f"{name}={value}" for name, value in public)])


def end_session(host: Host) -> None:
    """Leave nothing of a script behind: no lock, no setting. A psql has ended anyway."""
    if isinstance(host.connector, PostgresConnector):
        host.connector.end_session()


def _keep_connected(host: Host) -> None:
    """Open an SSH connection again that was lost, and notice if it is. Raises ConnectError."""
    connector = host.connector
    if not isinstance(connector, SSHConnector) or connector.client is None:
        return
    transport = connector.client.get_transport()
    if transport is None or not transport.is_active():
        connector.disconnect()  # pyinfra keeps what transferred files
        connector.connect()
        transport = connector.client.get_transport()
    if transport:
        transport.set_keepalive(_KEEPALIVE)
