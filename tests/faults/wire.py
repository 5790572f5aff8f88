"""What lies between a run and its server, and reads what they say message by message.

It stops a run at one place: before a message reaches the server, behind its answer, or before one
statement of a message, where the server itself waits. What stands there is as it would be without:
a client that is killed has sent its message, and the server has all of it.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO

import postgast

from harness.relay import Relay, connected, end_connection, listener
from harness.servers import TestServer

from .scene import BARRIER

_VERSION = 3  # of the protocol; requests to cancel have another number there


class Where(Enum):
    """On which side of a message a run stands."""

    BEFORE = auto()
    """The client has sent it, and the server has not got it."""
    WITHIN = auto()
    """The server has got it, and waits before one of its statements."""
    DURING = auto()
    """The server works on it."""
    BEHIND = auto()
    """The server has answered, and the client has heard nothing of it."""


@dataclass(frozen=True)
class Message:
    """What a client has sent: the statements of a query, or that it connects."""

    statements: tuple[str, ...] = ()
    connects: bool = False


@dataclass(frozen=True)
class Stop:
    """Where a run is stopped."""

    where: Where
    is_it: Callable[[Message], bool]
    """Whether a message is the one; the first is."""
    place: Callable[[Message], int] = lambda _: 0
    """The number of the statement before which the server waits within it."""


@dataclass
class _Talk:
    """One client's session."""

    client: socket.socket
    server: socket.socket
    last: Message = field(default_factory=Message)
    dropped: int | None = None
    """The number of the completion that is not passed on: the barrier's."""
    completed: int = 0
    held: bool = False
    """Whether the answer that comes is held back."""
    is_open: bool = True
    """Whether the client and the server hear of each other."""


class Wire(Relay):
    """A relay that stops one run at one place."""

    def __init__(self, server: TestServer, directory: Path) -> None:
        self.server = server
        """Where new connections go."""
        self.directory = directory
        self.stop: Stop | None = None
        self.prepare: Callable[[], None] = lambda: None
        """Is called once the client has sent the message at which it is stopped."""
        self.sent = threading.Event()
        """Set then; the server may still be on its way to the place."""
        self.answered = threading.Event()
        """Set once the server has answered what is held back."""
        self.watcher: Callable[[Message], None] = lambda _: None
        """Is called with each message that is answered, before the client hears of it."""
        self._goes_on = threading.Event()
        self._is_lost = False
        self._talks: list[_Talk] = []
        super().__init__(listener(server, directory), lambda _: connected(self.server))

    def release(self) -> None:
        """Let what is stopped go on, and stop nothing more."""
        self.stop = None
        self._goes_on.set()

    def cut(self) -> None:
        """End every connection; what is held back is lost."""
        self._is_lost = True
        super().cut()
        self.release()

    def lose_answers(self) -> None:
        """Cut off the clients; the server gets what was sent, and answers nobody."""
        for talk in self._talks:
            talk.is_open = False
            end_connection(talk.client)
        self.release()

    def stall(self, seconds: float) -> None:
        """Connections carry nothing any more, until somebody notices and cuts them."""
        talks = list(self._talks)
        for talk in talks:
            talk.is_open = False

        def notice() -> None:
            for talk in talks:
                end_connection(talk.client)
                end_connection(talk.server)

        timer = threading.Timer(seconds, notice)
        timer.daemon = True
        timer.start()
        self.release()

    def end(self) -> None:
        """End every connection and listen no more."""
        self._is_lost = True
        super().end()
        self.release()

    def _converse(self, client: socket.socket, server: socket.socket) -> None:
        talk = _Talk(client, server)
        self._talks.append(talk)
        threading.Thread(target=self._listen, args=(talk,), daemon=True).start()
        with contextlib.suppress(OSError, EOFError, ValueError), server.makefile("rb") as answers:
            self._answer(talk, answers)
        end_connection(client)
        end_connection(server)

    def _listen(self, talk: _Talk) -> None:
        """Pass on what the client says."""
        with (
            contextlib.suppress(OSError, EOFError, ValueError),
            talk.client.makefile("rb") as words,
        ):
            length = _exactly(words, 4)
            rest = _exactly(words, _number(length) - 4)
            if _number(rest[:4]) >> 16 == _VERSION:
                self._meet(talk, Message(connects=True))
            self._tell_server(talk, length + rest)
            while kind := words.read(1):
                body = _exactly(words, _number(_exactly(words, 4)) - 4)
                if kind == b"Q":
                    body = self._asked(talk, body)
                self._tell_server(talk, kind + struct.pack("!I", len(body) + 4) + body)
        # What was sent has arrived by now. Who was cut off is not known to have gone.
        if talk.is_open:
            with contextlib.suppress(OSError):
                talk.server.shutdown(socket.SHUT_WR)

    def _tell_server(self, talk: _Talk, data: bytes) -> None:
        self._speaks.wait()
        talk.server.sendall(data)

    def _asked(self, talk: _Talk, body: bytes) -> bytes:
        message = talk.last = Message(tuple(postgast.split(body[:-1].decode())))
        talk.completed, talk.dropped = 0, self._meet(talk, message)
        if talk.dropped is None:
            return body
        before, after = message.statements[: talk.dropped], message.statements[talk.dropped :]
        return ";\n".join([*before, BARRIER, *after]).encode() + b"\0"

    def _meet(self, talk: _Talk, message: Message) -> int | None:
        """Stop before a message where that is wanted; or where in it the server has to wait."""
        stop = self.stop
        if stop is None or self.sent.is_set() or not stop.is_it(message):
            return None
        talk.held = stop.where is Where.BEHIND
        self.prepare()
        self.sent.set()
        if stop.where is Where.BEFORE:
            self._goes_on.wait()
            if self._is_lost:
                raise EOFError
        return stop.place(message) if stop.where is Where.WITHIN else None

    def _answer(self, talk: _Talk, answers: BinaryIO) -> None:
        """Pass on what the server says."""
        kept = b""
        while kind := answers.read(1):
            length = _exactly(answers, 4)
            body = _exactly(answers, _number(length) - 4)
            if kind in b"CI":
                talk.completed += 1
                if talk.completed - 1 == talk.dropped:
                    continue
            kept += kind + length + body
            is_end = kind == b"Z"
            if is_end:
                self.watcher(talk.last)
            if is_end and talk.held:
                self.answered.set()
                self._goes_on.wait()
                talk.held = False
                if self._is_lost:
                    return
            if not talk.held and kind in b"ZNER":
                self._speaks.wait()
                if talk.is_open:
                    talk.client.sendall(kept)
                elif is_end and talk.client.fileno() < 0:
                    return
                kept = b""
        if talk.is_open:
            talk.client.sendall(kept)


def _exactly(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _number(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


@contextlib.contextmanager
def wire(server: TestServer, directory: Path) -> Iterator[Wire]:
    """A wire to a server that listens on a Unix socket in a directory with a short name."""
    made = Wire(server, directory)
    try:
        yield made
    finally:
        made.end()
