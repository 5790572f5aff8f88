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
            _end(one)

    def end(self) -> None:
        """End every connection and listen no more."""
        self._speaks.set()
        _end(self.listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connected += 1
                if self.asleep:
                    self.asleep -= 1
                    _end(client)
                else:
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._speaks.wait()
        try:
            server = self.route(client)
        except OSError:
            _end(client)
            return
        self._open += [client, server]
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
        _end(target)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def relay(server: TestServer, directory: Path) -> Iterator[Relay]:
    """A relay to a server that listens on a Unix socket in a directory, which has a short name."""

    def route(_: socket.socket) -> socket.socket:
        target = socket.socket(socket.AF_UNIX)
        target.connect(str(server.socket))
        return target

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / server.socket.name))
    listener.listen()
    relay = Relay(listener, route)
    yield relay
    relay.end()


def relayed(database: Database, directory: Path) -> str:
    """The URI of a database through the relay in a directory."""
    return f"postgresql://postgres@/{database.name}?host={directory}"
