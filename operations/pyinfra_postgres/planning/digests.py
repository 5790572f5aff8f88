"""Digests of what a plan follows from, by which another run knows the same again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from attrs import fields, has

from ..hidden import within
from ..syntax import libpg_query
from ..syntax.given import values_of

_PACKAGE = Path(__file__).parent.parent
_PLAIN = frozenset({int, float, Decimal, date, time, timedelta, UUID, bytes})
"""The types whose repr says all of a value."""


class _UnknownError(Exception):
    """A value of which nobody knows whether it is the same in another run."""


def of(values: Iterable[object]) -> str | None:
    """A digest of values, in all their parts and to the type: that of other values is another.

    None where there is none, or where it would tell who guesses it what a hidden text is.
    """
    try:
        text = _text(values)
    except _UnknownError:
        return None
    return None if within(text) else _hashed(text)


def _text(values: Iterable[Any]) -> str:
    parts: list[str] = []
    _write(values, parts.append)
    return "\n".join(parts)


@cache
def of_package() -> str:
    """A digest of the package as it is installed: another one may plan otherwise."""
    found = [libpg_query.version()]
    for directory, below, names in os.walk(_PACKAGE):
        below[:] = sorted(one for one in below if one != "__pycache__")
        for name in sorted(names):
            about = os.stat(os.path.join(directory, name))  # noqa: PTH116, PTH118  (faster)
            found.append(f"{directory}/{name} {about.st_size} {about.st_mtime_ns}")
    return _hashed("\n".join(found))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _write(values: Iterable[Any], add: Callable[[str], None]) -> None:
    """Add the type of each value and what is in it, which has its length or its end with it."""
    for value in values:
        kind = type(value)
        if value is None or kind is bool:
            add(str(value))
        elif kind is str:
            add(f"{len(value)}:{value}")
        elif kind in _PLAIN:
            add(f"{kind.__name__} {value!r}")
        else:
            opening, parts = _READERS.get(kind) or _reader(kind)
            add(opening)
            _write(parts(value), add)
            add(")")


_READERS: dict[type, tuple[str, Callable[[Any], Iterable[Any]]]] = {}
"""How values begin that have parts, and what gives these, by their types."""


def _reader(kind: type) -> tuple[str, Callable[[Any], Iterable[Any]]]:
    opening = f"{kind.__module__}.{kind.__qualname__}("
    return _READERS.setdefault(kind, (opening, _parts(kind)))


def _parts(kind: type) -> Callable[[Any], Iterable[Any]]:
    if issubclass(kind, tuple | list):
        return iter
    if issubclass(kind, str):
        return lambda text: (str(text),)
    if read := attributes(cast(Hashable, kind)):
        return read
    if issubclass(kind, Mapping):
        return lambda mapping: chain.from_iterable(mapping.items())
    if issubclass(kind, AbstractSet):
        return lambda several: sorted(_text([one]) for one in several)
    raise _UnknownError


@cache
def attributes(kind: Any) -> Callable[[Any], tuple[Any, ...]] | None:
    """What gives all attributes of a declaration, or a part of one."""
    names = [one.name for one in fields(kind)] if has(kind) else []
    return values_of(names) if names else None
