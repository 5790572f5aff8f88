"""Hidden texts: what is given as pyinfra's HiddenValue is sent to a server and shown to nobody.

A hidden text becomes plain text where a declaration takes it, because it has to be parsed and sent.
It is noted there, and whatever this package says is looked through for it. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyinfra.api import HiddenValue

MASK = "*MASKED*"
"""What stands for a hidden text, as pyinfra has it."""
_LONG = 8
"""Characters from which on a text is found within words too: nobody writes it by chance."""

_noted: dict[str, re.Pattern[str]] = {}
_made: dict[str, tuple[str, str]] = {}
_makers: dict[str, Callable[[str], str]] = {}


def taken(given: Any) -> Any:
    """The text itself where it is hidden, and noted from now on; anything else as it is."""
    if not isinstance(given, HiddenValue):
        return given
    text = given.unmask()
    note(str(text))
    return text


def note(text: str) -> None:
    """Have nothing that is said from now on contain a text."""
    found = {form: _pattern(form) for form in _forms(text) if form}
    # A text may be part of another one.
    every = sorted({**_noted, **found}.items(), key=lambda one: -len(one[0]))
    _noted.clear()
    _noted.update(every)


def maker(how: str, make: Callable[[str], str]) -> None:
    """Have a word stand for a way to make another text of a hidden one, which is hidden too."""
    _makers[how] = make


def made(how: str, text: str) -> str:
    """What is made of a hidden text."""
    found = _makers[how](text)
    note(found)
    _made[found] = text, how
    return found


def made_of() -> Mapping[str, tuple[str, str]]:
    """All that was made, with the text of which it was, and how."""
    return _made


def within(text: str) -> bool:
    """Whether a text has a hidden one in it."""
    return any(pattern.search(text) for pattern in _noted.values())


def holds(declared: object) -> bool:
    """Whether a declaration has a hidden text in it."""
    return bool(_noted) and within(repr(declared))


def masked(text: str, more: Iterable[str] = ()) -> str:
    """The text without what must not be shown: hidden texts, and more of them."""
    for value in more:
        text = text.replace(value, MASK) if value else text
    for pattern in _noted.values():
        text = pattern.sub(MASK, text)
    return text


def shortened(text: str, longest: int) -> str:
    """The text in one line, cut where it is long: what is hidden goes before a cut divides it."""
    text = " ".join(masked(text).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def forget() -> None:
    """Begin anew, as another process would."""
    _noted.clear()
    _made.clear()


def _forms(text: str) -> set[str]:
    """How the text is written in SQL, in JSON, and where Python or a message quotes it."""
    found = {text, text.strip(), " ".join(text.split())}
    quotes = {one.replace("'", "''") for one in found}
    quotes |= {one.replace("\\", "\\\\") for one in found | quotes}
    return found | quotes | {json.dumps(text)[1:-1], repr(text)[1:-1]}


def _pattern(form: str) -> re.Pattern[str]:
    word = re.escape(form)
    return re.compile(word if len(form) >= _LONG else rf"(?<!\w){word}(?!\w)")
