"""The boxes of pictures: a name, and lines below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from attrs import frozen
from markupsafe import Markup

from . import svg
from .layout import Curve, Layout, Point, Size

_MOST = 36
"""How many columns a line has at most."""
_CHIP = 6.0
"""What a chip leaves free around its words, and before it."""


@frozen
class Row:
    """A line of a card; what is not drawn as a line to another card is said in a chip."""

    words: str
    class_: str | None = None
    chip: str = ""

    @cached_property
    def shown(self) -> str:
        """Its words, as far as they fit."""
        return svg.shortened(self.words, _MOST)

    @cached_property
    def chip_shown(self) -> str:
        """The words of its chip, as far as they fit."""
        return svg.shortened(self.chip, _MOST)

    @cached_property
    def width(self) -> float:
        """How wide it is."""
        chip = svg.width(self.chip_shown) + 3 * _CHIP if self.chip else 0.0
        return svg.width(self.shown) + chip


@frozen
class Card:
    """A box with a name and lines."""

    name: str
    class_: str
    rows: tuple[Row, ...] = ()
    told: str = ""
    """What it says to whoever points at it."""

    @cached_property
    def size(self) -> Size:
        """How large it is."""
        rows = (Row(self.name), *self.rows)
        wide = max(one.width for one in rows) + 2 * svg.MARGIN
        return wide, len(rows) * svg.LINE + svg.MARGIN

    def drawn(self, corner: Point) -> Markup:
        """It, as a group."""
        x, y = corner[0] + svg.MARGIN, corner[1] + svg.MARGIN / 2 + svg.LINE / 2
        rows = (Row(self.name, "name"), *self.rows)
        return svg.element(
            "g",
            svg.title(self.told or self.name),
            svg.box(*corner, self.size, "box"),
            *(
                part
                for place, row in enumerate(rows)
                for part in _row(row, x, y + place * svg.LINE)
            ),
            class_=f"card {self.class_}",
        )


def _row(row: Row, x: float, middle: float) -> Iterator[Markup]:
    if row.words:
        yield svg.text(row.shown, x, middle, row.class_)
    if row.chip:
        left = x + svg.width(row.shown) + _CHIP
        size = (svg.width(row.chip_shown) + 2 * _CHIP, svg.LINE - 3)
        yield svg.box(left, middle - size[1] / 2, size, "chip")
        yield svg.text(row.chip_shown, left + _CHIP, middle)


def curve(one: Curve) -> str:
    """The path of a curve."""
    (start, *rest) = (f"{svg.number(x)},{svg.number(y)}" for x, y in one.points)
    return f"M{start} C{' '.join(rest)}"


def drawn(cards: Sequence[Card], layout: Layout, lines: Sequence[Markup], name: str) -> Markup:
    """A picture of cards, with the lines below them."""
    placed = zip(cards, layout.corners, strict=True)
    wide, high = layout.size
    moved = svg.element(
        "g", *lines, *(card.drawn(corner) for card, corner in placed), transform="translate(2 2)"
    )
    return svg.picture(name, (wide + 4, high + 4), [moved])
