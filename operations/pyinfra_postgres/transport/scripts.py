"""Scripts on hosts.

A script is messages of statements, run in one session until a statement fails. The `@postgres`
connector hands them to psycopg; any other connector runs them as one `psql`, which has the whole
script before it begins. Either way no lock waits for the network.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from attrs import evolve
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from ..errors import HostError
from ..hidden import within
from . import exit_status, options
from .answer import Answer, Failure, withheld
from .connector import KNOWN_DATA, PostgresConnector, check_host_data
from .interrupts import heard, stop_if_asked
from .psql import Psql
from .shells import Shell
from .watch import Limits, Patience

_WHERE = frozenset({"host", "hostaddr", "port", "dbname", "service"})
"""The parameters of a connection that say where it leads."""


def run(
    host: Host,
    *messages: Sequence[str],
    started: Callable[[int], None] = lambda _: None,
    patience: Callable[[int], Patience] = lambda _: Patience.ANSWER,
) -> Answer:
    """Run a script on a host, under the arguments (sudo, ...) of the current operation.

    Each message goes to the server as one, and `started` is called with its number when it does;
    for what psql runs, when psql has ended. The first message may run twice, where its connection
    was lost: nothing of it may outlive that. Ends the program where a signal asks for that, unless
    the host's plan is under way: then its answer is the plan's to read.
    """
    host = host.connector.host  # pyinfra's own `host` is another one in each greenlet
    statements = [statement for message in messages for statement in message]
    with heard(host.state) as signalled:
        stop_if_asked(host)
        answer = _run(host, messages, statements, started, patience)
        if signalled.signal and host not in signalled.under_way:
            signalled.leave()
    failure = answer.failure
    # What was given as one may be several to the server, which counts on.
    if failure and failure.sqlstate and within(statements[min(failure.index, len(statements) - 1)]):
        return evolve(answer, failure=withheld(failure))
    return answer


def _run(
    host: Host,
    messages: Sequence[Sequence[str]],
    statements: Sequence[str],
    started: Callable[[int], None],
    patience: Callable[[int], Patience],
) -> Answer:
    connector = host.connector
    if isinstance(connector, PostgresConnector):
        return connector.run_script(messages, started, patience)
    try:
        options.check(host, KNOWN_DATA)
        check_host_data(host.data.dict())
        exit_status.check(host)
        shell = Shell.of(host)
        _keep_connected(host, shell.limits)
    except (ConnectError, HostError) as error:
        return Answer(failure=Failure(error.args[0]))
    begun, answer = shell.run(statements, max(map(patience, range(len(messages)))))
    first = 0
    for number, message in enumerate(messages):
        if first <= begun:
            started(number)
        first += len(message)
    return answer


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
    data = host.data.dict()
    given = Psql.of(data, Limits.of(data)).public
    public = sorted((name, value) for name, value in given.items() if name in _WHERE)
    return "\n".join([host.name, *(f"{name}={value}" for name, value in public)])


def end_session(host: Host) -> None:
    """Leave nothing of a script behind: no lock, no setting. A psql has ended anyway."""
    if isinstance(host.connector, PostgresConnector):
        host.connector.end_session()


def _keep_connected(host: Host, limits: Limits) -> None:
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
        # What it sends has to be received in time, as with libpq's connections.
        transport.set_keepalive(limits.connection["keepalives_idle"])
        connection = transport.sock
        # Not where it is another host's channel, or the system knows no such thing.
        if isinstance(connection, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.connection["tcp_user_timeout"]
            )
