"""What stands between clients and servers: it can be cut, asleep, or lose what a server says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from harness.servers import Database, TestServer

_READY = b"Z\0\0\0\5I"
"""How a server ends its answer outside a transaction."""
_ANSWERED = tuple(_READY[:-1] + state for state in (b"I", b"T", b"E"))
"""How it ends any."""


class Relay:
    """Passes on what clients and servers say, each pair on threads of its own."""

    Route: TypeAlias = Callable[[socket.socket], socket.socket]
    """Connects a client to a server."""

    def __init__(self, listener: socket.socket, route: Route) -> None:
        self.listener = listener
        self.route = route
        self.asleep = 0
        """How many of the next connections are closed without an answer."""
        self.swallowed: bytes | None = None
        """From this word on, what a server says does not arrive; once it is done, it is cut off."""
        self.connected = 0
        self.answers = 0
        """How many answers of servers have arrived."""
        self.last: int | None = None
        """After how many of them every connection ends, and no other begins."""
        self.muted_by: bytes | None = None
        """The word of a client with which the silence begins."""
        self._speaks = threading.Event()
        self._speaks.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def mute(self) -> None:
        """Pass on nothing any more, and end no connection; new ones get no answer either."""
        self._speaks.clear()

    def cut(self) -> None:
        """End every connection that there is; one that comes meanwhile is another."""
        for one in [self._open.pop() for _ in range(len(self._open))]:
            end_connection(one)

    def end(self) -> None:
        """End every connection and listen no more."""
        self._speaks.set()
        end_connection(self.listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connected += 1
                if self.asleep:
                    self.asleep -= 1
                    end_connection(client)
                else:
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._speaks.wait()
        try:
            server = self.route(client)
        except OSError:
            end_connection(client)
            return
        self._open += [client, server]
        self._converse(client, server)

    def _converse(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what both say, until the server has ended."""
        threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
        self._pass_on(server, client, from_server=True)

    def _pass_on(
        self, source: socket.socket, target: socket.socket, *, from_server: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_server and self.swallowed and self.swallowed in data:
                    self.swallowed = None
                    while not data.endswith(_READY):
                        data = source.recv(65536)
                    break
                if not from_server and self.muted_by and self.muted_by in data:
                    self.mute()
                self._speaks.wait()
                target.sendall(data)
                if from_server and data.endswith(_ANSWERED):
                    self.answers += 1
                    if self.answers == self.last:
                        self.end()
        end_connection(target)


def end_connection(connection: socket.socket) -> None:
    """End it for both sides."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def relay(server: TestServer, directory: Path) -> Iterator[Relay]:
    """A relay to a server that listens on a Unix socket in a directory, which has a short name."""
    relay = Relay(listener(server, directory), lambda _: connected(server))
    yield relay
    relay.end()


def listener(server: TestServer, directory: Path) -> socket.socket:
    """A socket in a directory that has the name of a server's."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(directory / server.socket.name))
    made.listen()
    return made


def connected(server: TestServer) -> socket.socket:
    """A socket that leads to a server. Raises OSError."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(str(server.socket))
    except OSError:
        made.close()
        raise
    return made


def relayed(database: Database, directory: Path) -> str:
    """The URI of a database through the relay in a directory."""
    return f"postgresql://postgres@/{database.name}?host={directory}"
