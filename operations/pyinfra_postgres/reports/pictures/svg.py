"""SVG as text: elements, lines of writing and how wide they are."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

from markupsafe import Markup, escape

from ...terminal import printable

COLUMN = 7.3
"""How wide a character is, of the typeface that `report.css` gives to pictures."""
LINE = 17.0
"""How high a line is."""
MARGIN = 8.0
"""What is left free on each side of writing in a box."""
_UP = 4.5
"""From the middle of a line up to which its letters stand."""
_WIDE = frozenset("WF")


def number(value: float) -> str:
    """A number as short as it may be."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def element(tag: str, *inside: Markup, **given: object) -> Markup:
    """An element; the `_` at the end of a name is none of the attribute's."""
    attributes = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_shown(value))}"'
        for name, value in given.items()
        if value is not None
    )
    return Markup(f"<{tag}{attributes}>{''.join(inside)}</{tag}>")  # noqa: S704  (escaped above)


def _shown(value: object) -> str:
    return number(value) if isinstance(value, float) else printable(value)


def title(text: str) -> Markup:
    """What a picture or a part of it is called."""
    return element("title", escape(printable(text)))


def text(words: str, x: float, middle: float, class_: str | None = None) -> Markup:
    """A line of writing that begins at x."""
    return element("text", escape(printable(words)), x=x, y=middle + _UP, class_=class_)


def box(x: float, y: float, size: tuple[float, float], class_: str) -> Markup:
    """A box with round corners."""
    return element("rect", x=x, y=y, width=size[0], height=size[1], rx=5.0, class_=class_)


def columns(words: str) -> int:
    """How many columns a text takes as it is shown."""
    return sum(2 if unicodedata.east_asian_width(one) in _WIDE else 1 for one in printable(words))


def width(words: str) -> float:
    """How wide a text is."""
    return math.ceil(columns(words) * COLUMN)


def shortened(words: str, most: int) -> str:
    """A text in so many columns: where it is longer, its middle is left out."""
    shown = printable(words)
    if columns(shown) <= most:
        return shown
    head, tail = "", ""
    for left, right in zip(shown, reversed(shown), strict=True):
        if columns(head + left + tail) > most - 1:
            break
        head += left
        if columns(head + right + tail) > most - 1:
            break
        tail = right + tail
    return f"{head}…{tail}"


def picture(name: str, size: tuple[float, float], inside: Iterable[Markup]) -> Markup:
    """A picture that is called so."""
    wide, high = (math.ceil(one) for one in size)
    return element(
        "svg",
        title(name),
        *inside,
        role="img",
        viewBox=f"0 0 {wide} {high}",
        width=wide,
        height=high,
    )
