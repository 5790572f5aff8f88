"""What servers have called equal, remembered on the controller so that the next run need not ask.

A verdict decides whether a definition counts as declared, so whoever can write one can have a run
pass over anything. It is bound to the server that gave it, as it is reached and as it calls itself,
and to all of the question: a server that lies is believed about itself only.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from attrs import field, mutable

from . import files, notes

_FILE = "verdicts"
_KEY = re.compile(rb"^[0-9a-f]{64}$", re.MULTILINE)
_LENGTH = 65
"""Bytes of a key in the file, with its line break."""
MOST = 200_000
"""How many verdicts the file may hold before a run forgets half of them."""


@mutable
class Noted:
    """Questions to which the answer was "equal"."""

    known: list[tuple[str, ...]] = field(factory=list)
    """Those that were answered in other runs."""
    new: list[tuple[str, ...]] = field(factory=list)
    """Those that were answered in this one."""


@mutable
class Verdicts:
    """The questions that a server has answered with "equal"."""

    asked: Callable[[], str] = str
    """Tells which server is asked: how it is reached, and what it calls itself."""
    remembers: bool = True
    """Whether anything outlives the run."""
    noted: Noted = field(factory=Noted, init=False)
    """What was asked since somebody has begun to note it."""
    _server: str | None = field(default=None, init=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any server."""
        return not (self.remembers and _known())

    def holds(self, question: Sequence[str]) -> bool:
        """Whether the server has called it equal before."""
        is_known = not self.is_empty and self._key(question) in _known()
        if is_known:
            self.noted.known.append(tuple(question))
        return is_known

    def keep(self, questions: Iterable[Sequence[str]]) -> None:
        """Remember what the server has called equal."""
        if self.remembers:
            asked = list(map(tuple, questions))
            self.noted.new += asked
            new = dict.fromkeys(map(self._key, asked))
            _append([key for key in new if key not in _known()])

    def _key(self, question: Iterable[str]) -> str:
        if self._server is None:
            self._server = self.asked()
        # With their lengths, so that no two questions are the same text.
        said = "".join(f"{len(one)}:{one}" for one in (self._server, *question))
        return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()


def forget() -> None:
    """Read the file again, as another process would."""
    _known.cache_clear()
    notes.forget()
    files.forget()


@cache
def _known() -> set[str]:
    with files.told():
        return set(_read())
    return set()


def _append(keys: list[str]) -> None:
    if not keys:
        return
    _known().update(keys)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with files.told(), files.made() as directory, files.file(directory, _FILE, flags) as file:
        files.append(file, "".join(f"{key}\n" for key in keys))


def _read() -> list[str]:
    """The keys in the file; of very many the newest half, which then is all that it has."""
    with files.directory() as within, files.file(within, _FILE, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        start = max(0, size - MOST * _LENGTH)
        content = os.pread(file, size - start, start)
        keys = [key.decode() for key in _KEY.findall(content)]
        if start or len(keys) > MOST:
            keys = keys[-MOST // 2 :]
            files.replace(within, _FILE, "".join(f"{key}\n" for key in keys).encode())
        return keys
