"""Files on the controller that nobody but their user can have written.

They are read and written only while they are their user's alone: who can write them then can run
this tool as that user too, which is why nothing in them is signed as well.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from ..terminal import warn

_DIRECTORY = "pyinfra-postgres"
_OPEN = stat.S_IRWXG | stat.S_IRWXO
_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""What others could have changed a directory by; that they could read it is put right."""
_WRONG = "is a link, or something else than it should be"
_SOMETHING_ELSE = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
# A pipe in the file's place must not make anybody wait for its other end.
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class UnsafeError(Exception):
    """Somebody else may have written what is there, or may write it."""


def replace(directory: int, name: str, content: bytes) -> None:
    """Write a file, which is there as a whole or not at all."""
    written = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
    file = os.open(written, flags, 0o600, dir_fd=directory)
    try:
        os.write(file, content)
    finally:
        os.close(file)
    os.replace(written, name, src_dir_fd=directory, dst_dir_fd=directory)


def append(file: int, lines: str) -> None:
    """Write lines in one piece, at the end that there is by then: other runs write too."""
    size = os.fstat(file).st_size
    # What a run that was killed has left of a line ends here.
    torn = size and os.pread(file, 1, size - 1) != b"\n"
    os.write(file, f"{bool(torn) * chr(10)}{lines}".encode())


@contextmanager
def told() -> Iterator[None]:
    """Go on without what can't be read or written; say so where it is not safe."""
    try:
        yield
    except FileNotFoundError:
        return
    except UnsafeError as error:
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
def directory() -> Iterator[int]:
    """The directory. Raises UnsafeError."""
    with _opened(_root() / _DIRECTORY, os.O_RDONLY | os.O_DIRECTORY, stat.S_ISDIR) as found:
        os.fchmod(found, 0o700)
        yield found


def made() -> AbstractContextManager[int]:
    """The same, made where it is missing."""
    with suppress(FileExistsError):
        (_root() / _DIRECTORY).mkdir(mode=0o700, parents=True)
    return directory()


def file(within: int, name: str, flags: int) -> AbstractContextManager[int]:
    """A file in the directory. Raises UnsafeError."""
    return _opened(name, flags, stat.S_ISREG, within)


@contextmanager
def _opened(
    path: Path | str, flags: int, is_right: Callable[[int], bool], within: int | None = None
) -> Iterator[int]:
    """A file or directory that is its user's alone. Raises UnsafeError."""
    shown = path if within is None else _root() / _DIRECTORY / path
    try:
        opened = os.open(path, flags | _SAFELY, 0o600, dir_fd=within)
    except OSError as error:
        if error.errno in _SOMETHING_ELSE:
            raise UnsafeError(f"{shown} {_WRONG}") from None
        raise
    try:
        if reason := _objection(os.fstat(opened), is_right):
            raise UnsafeError(f"{shown} {reason}")
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


def forget() -> None:
    """Say again what was said once, as another process would."""
    _warn.cache_clear()
