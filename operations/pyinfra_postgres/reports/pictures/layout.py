"""Where the boxes of a picture go and how their lines run, which is Graphviz's to say.

Graphviz gets sizes and numbers, and no word of what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from attrs import frozen

Point: TypeAlias = tuple[float, float]
Size: TypeAlias = tuple[float, float]

WIDTH = 1040.0
"""How wide a picture may be without a need to scroll it on a large screen."""
_GAP = 28.0
"""Between what is not connected."""
_INCH = 72.0
_DIRECTIONS = ("LR", "TB")


@frozen
class Line:
    """A line from a box to another."""

    start: int
    end: int


@frozen
class Curve:
    """How a line runs: a point, and three for each Bézier curve after it."""

    line: int
    points: tuple[Point, ...]


@frozen
class Layout:
    """Where everything goes."""

    size: Size
    corners: tuple[Point, ...]
    """The upper left corner of each box."""
    curves: tuple[Curve, ...] = ()


def laid_out(boxes: Sequence[Size], lines: Sequence[Line]) -> Layout | None:
    """Where boxes of these sizes go; None where the library for that is not installed, or fails."""
    graphviz = _graphviz()
    if graphviz is None:
        return None
    try:
        parts = [
            (part, _best(graphviz.placed, boxes, lines, part)) for part in _parts(len(boxes), lines)
        ]
    except graphviz.FAILURES:
        return None
    return _packed(len(boxes), parts)


def _graphviz() -> Any:
    """The library, where it is installed; importing it takes a while."""
    try:
        from . import graphviz
    except ImportError:
        return None
    return graphviz


def _parts(count: int, lines: Sequence[Line]) -> list[list[int]]:
    """The boxes that are connected, each part in the order of its boxes; the largest first."""
    near: dict[int, set[int]] = {one: set() for one in range(count)}
    for line in lines:
        near[line.start].add(line.end)
        near[line.end].add(line.start)
    left = dict.fromkeys(range(count))
    parts = []
    while left:
        part, waiting = set(), [next(iter(left))]
        while waiting:
            one = waiting.pop()
            if one not in part:
                part.add(one)
                waiting += near[one]
        parts.append(sorted(part))
        left = dict.fromkeys(one for one in left if one not in part)
    return sorted(parts, key=lambda part: (-len(part), part))


def _best(
    placed: Callable[[str], Any], boxes: Sequence[Size], lines: Sequence[Line], part: Sequence[int]
) -> Layout:
    """The layout of a part that needs the least scrolling, and then the least room."""
    if len(part) == 1:
        return Layout(boxes[part[0]], ((0.0, 0.0),))
    layouts = [
        _read(placed(_dot(boxes, lines, part, direction)), boxes, part) for direction in _DIRECTIONS
    ]
    return min(layouts, key=lambda one: (max(one.size[0], WIDTH), one.size[0] * one.size[1]))


def _dot(boxes: Sequence[Size], lines: Sequence[Line], part: Sequence[int], direction: str) -> str:
    within = set(part)
    nodes = (
        f"{one} [width={boxes[one][0] / _INCH:.4f} height={boxes[one][1] / _INCH:.4f}]"
        for one in part
    )
    edges = (
        f"{line.start} -> {line.end} [n={place}]"
        for place, line in enumerate(lines)
        if line.start in within
    )
    return (
        f"digraph {{ rankdir={direction} nodesep=.22 ranksep=.42 "
        'node [shape=box fixedsize=true label=""] edge [arrowhead=none]\n'
        + "\n".join((*nodes, *edges))
        + "\n}"
    )


def _read(found: Any, boxes: Sequence[Size], part: Sequence[int]) -> Layout:
    """A layout from Graphviz's JSON, in which y goes up."""
    left, low, right, high = map(float, found["bb"].split(","))
    at = {int(one["name"]): _point(one["pos"]) for one in found["objects"]}
    corners = tuple(
        (at[one][0] - boxes[one][0] / 2 - left, high - at[one][1] - boxes[one][1] / 2)
        for one in part
    )
    curves = (
        Curve(
            int(edge["n"]),
            tuple((x - left, high - y) for x, y in map(_point, edge["pos"].split())),
        )
        for edge in found.get("edges", ())
    )
    return Layout((right - left, high - low), corners, tuple(curves))


def _point(text: str) -> Point:
    x, y = text.split(",")
    return float(x), float(y)


def _packed(count: int, parts: Sequence[tuple[Sequence[int], Layout]]) -> Layout:
    """Parts side by side in rows, the largest first."""
    room = max([WIDTH, *(layout.size[0] for _, layout in parts)])
    x = y = high = wide = 0.0
    corners: dict[int, Point] = {}
    curves: list[Curve] = []
    for part, layout in parts:
        if x and x + layout.size[0] > room:
            x, y, high = 0.0, y + high + _GAP, 0.0
        moved = layout.corners, layout.curves
        corners |= zip(part, _moved(moved[0], x, y), strict=True)
        curves += (Curve(one.line, tuple(_moved(one.points, x, y))) for one in moved[1])
        x += layout.size[0] + _GAP
        high = max(high, layout.size[1])
        wide = max(wide, x - _GAP)
    return Layout((wide, y + high), tuple(corners[one] for one in range(count)), tuple(curves))


def _moved(points: Sequence[Point], x: float, y: float) -> Iterator[Point]:
    return ((x + one, y + other) for one, other in points)
