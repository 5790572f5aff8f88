"""What servers have called equal, remembered on the controller so that the next run need not ask.

A verdict decides whether a definition counts as declared, so whoever can write one can have a run
pass over anything. It is bound to the server that gave it, as it is reached and as it calls itself,
and to all of the question: a server that lies is believed about itself only. The file is read and
written only while it is its user's alone: who can write it then can run this tool as that user too,
which is why it is not signed as well.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from attrs import field, mutable

from ..terminal import warn

_DIRECTORY = "pyinfra-postgres"
_FILE = "verdicts"
_KEY = re.compile(rb"^[0-9a-f]{64}$", re.MULTILINE)
_LENGTH = 65
"""Bytes of a key in the file, with its line break."""
MOST = 200_000
"""How many verdicts the file may hold before a run forgets half of them."""
_OPEN = stat.S_IRWXG | stat.S_IRWXO
_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""What others could have changed a directory by; that they could read it is put right."""
_WRONG = "is a link, or something else than it should be"
_SOMETHING_ELSE = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
# A pipe in the file's place must not make anybody wait for its other end.
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _UnsafeError(Exception):
    """Somebody else may have written what is there, or may write it."""


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

    def holds(self, question: Sequence[str]) -> bool:
        """Whether the server has called it equal before."""
        is_known = self.remembers and bool(_known()) and self._key(question) in _known()
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
    _warn.cache_clear()


@cache
def _known() -> set[str]:
    with _told():
        return set(_read())
    return set()


def _append(keys: list[str]) -> None:
    if not keys:
        return
    _known().update(keys)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with _told(), _made() as directory, _file(directory, flags) as file:
        size = os.fstat(file).st_size
        # What a run that was killed has left of a line ends here.
        torn = size and os.pread(file, 1, size - 1) != b"\n"
        # In one piece, at the end that there is by then: other runs write too.
        os.write(file, ("\n" * bool(torn) + "".join(f"{key}\n" for key in keys)).encode())


def _read() -> list[str]:
    """The keys in the file; of very many the newest half, which then is all that it has."""
    with _directory() as directory, _file(directory, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        start = max(0, size - MOST * _LENGTH)
        content = os.pread(file, size - start, start)
        keys = [key.decode() for key in _KEY.findall(content)]
        if start or len(keys) > MOST:
            keys = keys[-MOST // 2 :]
            _replace(directory, keys)
        return keys


def _replace(directory: int, keys: list[str]) -> None:
    name = f".{_FILE}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
    file = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        os.write(file, "".join(f"{key}\n" for key in keys).encode())
    finally:
        os.close(file)
    os.replace(name, _FILE, src_dir_fd=directory, dst_dir_fd=directory)


@contextmanager
def _told() -> Iterator[None]:
    """Go on without what can't be read or written; say so where it is not safe."""
    try:
        yield
    except FileNotFoundError:
        return
    except _UnsafeError as error:
        _warn(f"{error}: not used, the server is asked again. Remove it if it is not yours")
    except (OSError, RuntimeError):  # no home, a full disk
        return


@cache
def _warn(message: str) -> None:
    """Say it once."""
    warn(message)


def _root() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification has a relative path ignored.
    root = given if given.is_absolute() else Path.home() / ".cache"
    if not root.is_absolute():
        raise FileNotFoundError(root)
    return root


@contextmanager
def _directory() -> Iterator[int]:
    """The directory. Raises _UnsafeError."""
    with _opened(_root() / _DIRECTORY, os.O_RDONLY | os.O_DIRECTORY, stat.S_ISDIR) as directory:
        os.fchmod(directory, 0o700)
        yield directory


def _made() -> AbstractContextManager[int]:
    """The same, made where it is missing."""
    with suppress(FileExistsError):
        (_root() / _DIRECTORY).mkdir(mode=0o700, parents=True)
    return _directory()


def _file(directory: int, flags: int) -> AbstractContextManager[int]:
    return _opened(_FILE, flags, stat.S_ISREG, directory)


@contextmanager
def _opened(
    path: Path | str, flags: int, is_right: Callable[[int], bool], directory: int | None = None
) -> Iterator[int]:
    """A file or directory that is its user's alone. Raises _UnsafeError."""
    shown = path if directory is None else _root() / _DIRECTORY / path
    try:
        opened = os.open(path, flags | _SAFELY, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno in _SOMETHING_ELSE:
            raise _UnsafeError(f"{shown} {_WRONG}") from None
        raise
    try:
        if reason := _objection(os.fstat(opened), is_right):
            raise _UnsafeError(f"{shown} {reason}")
        yield opened
    finally:
        os.close(opened)


def _objection(found: os.stat_result, is_right: Callable[[int], bool]) -> str:
    """Why somebody else may have written what was opened, or may write it."""
    if not is_right(found.st_mode):
        return _WRONG
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        return "has another name too"
    if found.st_mode & (_WRITE if stat.S_ISDIR(found.st_mode) else _OPEN):
        return "is open to others"
    return ""
