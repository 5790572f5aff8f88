"""Objects of a catalog as JSON, and back: what a plan keeps, so that it can be undone.

Pure. A value of a class is a list: the class's name, and what differs from the class's defaults.
Only the classes of objects and of what they are made of are read, and none of them is called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache
from typing import Any, cast

from attrs import NOTHING, Factory, fields, has

from ..errors import HostError
from ..objects.kind import Object

_MAPPING, _SET, _TUPLE, _LIST = "{}", "set", "()", "[]"


def written(value: Any) -> Any:
    """A value as JSON."""
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return value
    if isinstance(value, Enum):
        return [kind.__name__, value.name]
    if isinstance(value, str):
        return [kind.__name__, str(value)]
    if isinstance(value, Mapping):
        return [_MAPPING, *([written(key), written(one)] for key, one in value.items())]
    if isinstance(value, AbstractSet):
        return [_SET, *sorted(map(written, value), key=repr)]
    if isinstance(value, tuple | list):
        plain = _TUPLE if isinstance(value, tuple) else _LIST
        name = kind.__name__ if hasattr(kind, "_fields") else plain
        return [name, *map(written, value)]
    if has(kind):
        return [kind.__name__, dict(_differing(value))]
    raise TypeError(f"a {kind.__name__} is no part of an object")


def _differing(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a value that are not as its class has them by itself."""
    for one in fields(type(value)):
        found = getattr(value, one.name)
        if found != _default(one) or one.default is NOTHING:
            yield one.name, written(found)


def _default(one: Any) -> Any:
    return one.default.factory() if isinstance(one.default, Factory) else one.default  # type: ignore[arg-type]


def read(said: Any) -> Any:
    """The value that `written` has made JSON of. Raises HostError."""
    try:
        return _read(said)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise HostError("it was written by another version of pyinfra-postgres") from None


def _read(said: Any) -> Any:
    if not isinstance(said, list):
        return said
    name, *parts = said
    if name == _MAPPING:
        return {_read(key): _read(one) for key, one in parts}
    if name == _SET:
        return frozenset(map(_read, parts))
    if name in {_TUPLE, _LIST}:
        return (tuple if name == _TUPLE else list)(map(_read, parts))
    kind = cast(Any, _classes()[name])
    if issubclass(kind, Enum):
        return kind[parts[0]]
    if issubclass(kind, str):
        return str.__new__(kind, parts[0])
    if issubclass(kind, tuple):
        return kind._make(map(_read, parts))
    (given,) = parts
    one = object.__new__(kind)
    for each in fields(kind):
        value = _read(given[each.name]) if each.name in given else _default(each)
        if value is NOTHING:
            raise ValueError(each.name)
        object.__setattr__(one, each.name, value)
    return one


@cache
def _classes() -> dict[str, type]:
    """The classes of objects, and of what they are made of, by their names."""
    package = Object.__module__.partition(".")[0]
    rooms = tuple(f"{package}.{room}." for room in ("objects", "syntax", "catalog"))
    found: dict[str, type] = {}
    for module in [one for one in sys.modules if one.startswith(rooms)]:
        for one in vars(sys.modules[module]).values():
            if isinstance(one, type) and one.__module__ == module:
                is_value = has(one) or hasattr(one, "_fields") or issubclass(one, Enum | str)
                if is_value:
                    found[one.__name__] = one
    return found
