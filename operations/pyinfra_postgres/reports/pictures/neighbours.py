"""A table between those to which it refers and those that refer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen
from markupsafe import Markup

from ..facts import ForeignKey
from . import svg
from .cards import Card, Row, drawn
from .layout import Layout, Point

_MOST = 12
"""How many tables are drawn on a side."""
_GAP = 14.0
_AISLE = 70.0


@frozen
class Neighbourhood:
    """A table, how many refer to it and the other way, and the picture of that."""

    table: str
    refers: int
    referred: int
    picture: Markup


def neighbourhoods(tables: Sequence[str], keys: Sequence[ForeignKey]) -> list[Neighbourhood]:
    """Each table that has a foreign key, or is what one refers to."""
    of: dict[str, list[ForeignKey]] = {}
    to: dict[str, list[ForeignKey]] = {}
    for one in keys:
        of.setdefault(one.source, []).append(one)
        if one.target != one.source:
            to.setdefault(one.target, []).append(one)
    return [
        _neighbourhood(table, of.get(table, []), to.get(table, []))
        for table in tables
        if table in of or table in to
    ]


def _neighbourhood(table: str, of: Sequence[ForeignKey], to: Sequence[ForeignKey]) -> Neighbourhood:
    loops = tuple(Row(_columns(one), None, "→ itself") for one in of if one.target == table)
    left = _side([one for one in of if one.target != table], lambda one: one.target, "by")
    right = _side(to, lambda one: one.source, "its")
    middle = Card(table, "table chief", loops)
    columns = [left, [middle], right]
    heights = [_height(one) for one in columns]
    high = max(heights)
    widths = [max((card.size[0] for card in one), default=0.0) for one in columns]
    starts = [0.0, widths[0] + (_AISLE if left else 0.0)]
    starts.append(starts[1] + widths[1] + _AISLE)
    corners: list[Point] = []
    for start, cards, height in zip(starts, columns, heights, strict=True):
        y = (high - height) / 2
        for card in cards:
            corners.append((start, y))
            y += card.size[1] + _GAP
    wide = starts[2] + widths[2] if right else starts[1] + widths[1]
    cards = [*left, middle, *right]
    lines = _lines(cards, corners, len(left))
    name = f"{table}: refers to {len(of)}, referred to by {len(to)}"
    picture = drawn(cards, Layout((wide, high), tuple(corners)), lines, name)
    return Neighbourhood(table, len(of), len(to), picture)


def _side(keys: Sequence[ForeignKey], end: Callable[[ForeignKey], str], word: str) -> list[Card]:
    """The tables of one side, each with the columns of its foreign keys."""
    found: dict[str, list[ForeignKey]] = {}
    for one in keys:
        found.setdefault(end(one), []).append(one)
    few: Mapping[str, Sequence[ForeignKey]] = dict([*found.items()][:_MOST])
    cards = [
        Card(
            name,
            "table",
            tuple(Row(f"{word} {_columns(one)}", "quiet") for one in every),
            "\n".join((name, *(f"{one.name}: {one.definition}" for one in every))),
        )
        for name, every in few.items()
    ]
    left = len(found) - len(few)
    told = "\n".join([*found][_MOST:])
    return [*cards, Card(f"{left} more", "table", told=told)] if left else cards


def _columns(one: ForeignKey) -> str:
    return ", ".join(one.columns)


def _height(cards: Sequence[Card]) -> float:
    return sum(one.size[1] for one in cards) + _GAP * max(0, len(cards) - 1)


def _lines(cards: Sequence[Card], corners: Sequence[Point], chief: int) -> list[Markup]:
    """From what refers to what is referred to, which is always on the left."""
    paths = []
    for place in (one for one in range(len(cards)) if one != chief):
        first, last = (place, chief) if place < chief else (chief, place)
        start = _middle(cards[first], corners[first], cards[first].size[0])
        end = _middle(cards[last], corners[last], 0.0)
        half = (start[0] + end[0]) / 2
        points = (start, (half, start[1]), (half, end[1]), end)
        ways = [f"{svg.number(one)},{svg.number(other)}" for one, other in points]
        paths.append(svg.element("path", d=f"M{ways[0]} C{' '.join(ways[1:])}", class_="line"))
    return paths


def _middle(card: Card, corner: Point, along: float) -> Point:
    return corner[0] + along, corner[1] + card.size[1] / 2
