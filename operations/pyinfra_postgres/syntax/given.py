"""What may be given for an argument: a text, a word, a number, one or several of them.

Pure: no I/O, no pyinfra state. Anything else is refused with one line that names the argument,
before it can become SQL. Names are read in `names`, fragments of SQL in `parse` and `fragments`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from functools import cache
from operator import attrgetter, contains
from reprlib import Repr
from types import NoneType
from typing import Any, cast

from attrs import fields
from pyinfra.api import HiddenValue

from ..errors import DeclarationError

MOST = 2**63 - 1
"""The highest bigint."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100


def shown(value: object) -> str:
    """A value of any type as a message shows it: in one line, and not all of a long one."""
    return " ".join(_SHORT.repr(value).split())


def refused(what: str, expected: str, value: object) -> DeclarationError:
    """The error of an argument that is not what is expected."""
    return DeclarationError(f"{what} is {expected}, not {shown(value)}")


def is_storable(value: str) -> bool:
    """Whether PostgreSQL can store a text: it has no NUL, and is more than half of a character."""
    return "\x00" not in value and (value.isascii() or _is_encoded(value))


def _is_encoded(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def text(what: str, value: object) -> str:
    """A text that PostgreSQL can store."""
    if not isinstance(value, str):
        raise refused(what, "text", value)
    if not is_storable(value):
        raise refused(what, "text without NUL bytes and lone surrogates", value)
    return value


def filled(what: str, value: object) -> str:
    """A text that is not empty."""
    if not text(what, value).strip():
        raise refused(what, "not empty", value)
    return cast(str, value)


def word(what: str, value: object, words: Iterable[str]) -> str:
    """One of a few words, in upper or lower case, as it is among them."""
    known = {one.lower(): one for one in words}
    if not isinstance(value, str) or value.lower() not in known:
        raise refused(what, f"one of {', '.join(known.values())}", value)
    return known[value.lower()]


def number(what: str, value: object, low: int, high: int = MOST) -> int:
    """A whole number between two bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(what, "a number", value)
    if not low <= value <= high:
        raise refused(what, f"from {low} to {high}", value)
    return value


def real(what: str, value: object, low: float, high: float) -> float:
    """A number between two bounds, both included."""
    # What is no number at all is between no bounds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise refused(what, f"a number from {low:g} to {high:g}", value)
    return value


def several(what: str, value: object, single: type | tuple[type, ...] = str) -> tuple[Any, ...]:
    """One thing or several, as several."""
    if isinstance(value, single):
        return (value,)
    if isinstance(value, Mapping | bytes | bytearray | str) or not isinstance(value, Iterable):
        raise refused(what, "one or a list of them", value)
    # In the same order each time, where it has none.
    return tuple(sorted(value, key=str) if isinstance(value, Set) else value)


def some(what: str, value: object, advice: str) -> tuple[Any, ...]:
    """The same, but for none: where that would mean everybody or everything, it is refused."""
    found = several(what, value)
    if not found:
        raise DeclarationError(f"{what} is empty: {advice}")
    return found


def pairs(what: str, value: object) -> dict[str, Any]:
    """A mapping of texts to values; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise refused(what, "a dict", value)
    return {text(f"a name in {what}", name): one for name, one in value.items()}


def setting(what: str, value: object) -> str:
    """The value of a setting or a storage parameter, as text."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return str(value)
        case str():
            return text(what, value)
    raise refused(what, "text, a number, True or False", value)


_PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "bool | None": (bool, NoneType),
    "int": (int,),
    "int | None": (int, NoneType),
    "float | None": (int, float, NoneType),
    "str": (str,),
    "str | None": (str, NoneType),
}
_SPOKEN = {bool: "True or False", int: "a number", str: "text"}


def check_plain(what: str, one: Any) -> None:
    """Raise DeclarationError where a plain attribute has a value of another type.

    Python takes "no" for true; and a number in quotes would never equal the catalog's.
    """
    names, expected, values = _plain_attributes(cast(Hashable, type(one)))
    given = values(one)
    if not _are(tuple(map(type, given)), expected):
        _check_types(what, names, given, expected)
    for place, value in enumerate(given):
        if isinstance(value, str) and not is_storable(value):
            text(f"{what}: {names[place]}", value)


def _check_types(
    what: str, names: list[str], given: tuple[Any, ...], expected: tuple[tuple[type, ...], ...]
) -> None:
    for name, value, types in zip(names, given, expected, strict=True):
        if isinstance(value, bool) > (bool in types) or not isinstance(value, types):
            if isinstance(value, HiddenValue):
                raise DeclarationError(f"{what}: {name} can't be hidden: everybody may read it")
            spoken = " or ".join(_SPOKEN[type_] for type_ in types if type_ in _SPOKEN)
            raise refused(f"{what}: {name}", spoken, value)


@cache
def _are(found: tuple[type, ...], expected: tuple[tuple[type, ...], ...]) -> bool:
    """Whether values have just the types that are expected; few combinations ever occur."""
    return all(map(contains, expected, found))


@cache
def _plain_attributes(
    one: Hashable,
) -> tuple[list[str], tuple[tuple[type, ...], ...], Callable[[Any], tuple[Any, ...]]]:
    """The names of a class's plain attributes, their types, and what gives their values."""
    types = {attribute.name: str(attribute.type) for attribute in fields(cast(Any, one))}
    names = [name for name, type_ in types.items() if type_ in _PLAIN]
    return names, tuple(_PLAIN[types[name]] for name in names), values_of(names)


def values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the attributes of these names, however many they are."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)
