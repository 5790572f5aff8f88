"""JSON from elsewhere: servers and APIs may answer anything.

Pure. What is read is checked here, so that a wrong answer is one line and never a traceback.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from attrs import frozen

_T = TypeVar("_T")
_SPOKEN: dict[type, str] = {
    str: "no text in",
    bool: "neither true nor false in",
    dict: "no object in",
    list: "no list in",
}


class ForeignError(ValueError):
    """An answer that is no JSON."""


def parsed(text: str | bytes, **options: Any) -> Any:
    """The JSON in a text. Raises ForeignError."""
    try:
        return json.loads(text, parse_constant=_refused, **options)
    except ForeignError:
        raise
    except (ValueError, RecursionError):  # numbers of thousands of digits are a ValueError
        raise ForeignError("something else than JSON, or too much of it") from None


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, as `object_pairs_hook`, in which no name stands twice. Raises ForeignError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ForeignError("JSON in which a name stands twice")
    return found


def _refused(name: str) -> Any:
    raise ForeignError(f"{name}, which JSON does not have")


@frozen
class Fields:
    """An object in an answer, of which each value is what it is read as.

    Else it raises what `refuse` makes of a message.
    """

    found: dict[str, Any]
    refuse: Callable[[str], Exception]
    place: str = ""

    def text(self, name: str) -> str:
        """A text."""
        return self._read(name, str)

    def text_or_none(self, name: str) -> str | None:
        """A text, if there is one."""
        return self.text(name) if self._has(name) else None

    def is_on(self, name: str) -> bool:
        """Whether something is said to be so."""
        return self._has(name) and self._read(name, bool)

    def part(self, name: str) -> Fields:
        """An object."""
        return Fields(self._read(name, dict), self.refuse, f"{self.place}{name}.")

    def part_if_any(self, name: str) -> Fields:
        """An object, an empty one where there is none."""
        return self.part(name) if self._has(name) else Fields({}, self.refuse)

    def each(self, name: str) -> Iterator[Fields]:
        """The objects in a list."""
        items = enumerate(self._read(name, list))
        named = Fields({f"{name}[{number}]": one for number, one in items}, self.refuse, self.place)
        return map(named.part, named.found)

    def each_if_any(self, name: str) -> Iterator[Fields]:
        """The objects in a list, if there is one."""
        return self.each(name) if self._has(name) else iter(())

    def _has(self, name: str) -> bool:
        return self.found.get(name) is not None

    def _read(self, name: str, type_: type[_T]) -> _T:
        if name not in self.found:
            raise self.refuse(f"without {name!r}{self._where()}")
        value = self.found[name]
        if not isinstance(value, type_):
            raise self.refuse(f"with {_SPOKEN[type_]} {name!r}{self._where()}")
        return value

    def _where(self) -> str:
        return f" of {self.place.rstrip('.')}" if self.place else ""
