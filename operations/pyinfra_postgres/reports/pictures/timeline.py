"""The ranges that a table's partitions hold, along a line: the window, the gaps, the default."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

from attrs import frozen
from markupsafe import Markup

from ..facts import Partition, Partitioned
from . import svg
from .layout import WIDTH

_BAR = 26.0
_EDGE = 60.0
"""What is left free at both ends, for what has no bound there."""
_DAY = 86400.0
_LONGEST = 28
"""How many columns the text of a bound has at most."""


@frozen
class Span:
    """A partition between two places of a line; None where it has no bound."""

    partition: Partition
    start: float | None
    end: float | None


@frozen
class Timeline:
    """A partitioned table in words, and its picture, if it could be drawn."""

    name: str
    told: str
    picture: Markup | None


def timeline(table: Partitioned, verified: str) -> Timeline:
    """The partitions of a table, with the moment of a verification among them."""
    try:
        spans = _spans(table.partitions)
    except ValueError:  # a bound that no calendar of ours has
        return Timeline(table.name, _told(table, ()), None)
    gaps = [
        (one, other)
        for one, other in pairwise(spans)
        if one.end is not None and other.start is not None and one.end < other.start
    ]
    told = _told(table, gaps)
    if not any(place is not None for one in spans for place in (one.start, one.end)):
        return Timeline(table.name, told, None)
    now = _now(verified) if _is_time(table.partitions) else None
    return Timeline(table.name, told, _picture(table, spans, gaps, now, told))


def _spans(partitions: Sequence[Partition]) -> list[Span]:
    """The partitions in their order on the line."""
    spans = [Span(one, _place(one.lower), _place(one.upper)) for one in partitions]
    first = float("-inf")
    return sorted(spans, key=lambda one: first if one.start is None else one.start)


def _place(bound: str) -> float | None:
    """Where a bound is: a number, or days; None where there is none. Raises ValueError."""
    if bound in {"MINVALUE", "MAXVALUE", "infinity", "-infinity"}:
        return None
    if bound.lstrip("-").isdecimal():
        return float(bound)
    if len(bound) == len("2026-01-01"):
        return float(date.fromisoformat(bound).toordinal())
    found = datetime.fromisoformat(bound)
    moment = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (moment - datetime.min.replace(tzinfo=UTC)).total_seconds() / _DAY + 1


def _is_time(partitions: Sequence[Partition]) -> bool:
    bounds = [bound for one in partitions for bound in (one.lower, one.upper)]
    return not any(bound.lstrip("-").isdecimal() for bound in bounds)


def _now(verified: str) -> float | None:
    try:
        return _place(verified)
    except ValueError:
        return None


def _told(table: Partitioned, gaps: Sequence[tuple[Span, Span]]) -> str:
    """What the picture shows, in words."""
    count = len(table.partitions)
    parts = [f"{count} partition{'' if count == 1 else 's'} by {table.column}"]
    parts += (_missing(*one) for one in gaps[:3])
    parts += [f"{len(gaps) - 3} more gaps"] if len(gaps) > 3 else []
    parts.append(f"all else in {table.default}" if table.default else "no default partition")
    return "; ".join(parts)


def _missing(before: Span, after: Span) -> str:
    return f"nothing from {_said(before.partition.upper)} to {_said(after.partition.lower)}"


def _said(bound: str) -> str:
    """A bound as people write it: of midnight the day."""
    return bound.removesuffix("+00").removesuffix(" 00:00:00")


def _picture(
    table: Partitioned,
    spans: Sequence[Span],
    gaps: Sequence[tuple[Span, Span]],
    now: float | None,
    told: str,
) -> Markup:
    places = [place for one in spans for place in (one.start, one.end) if place is not None]
    low, high = min(places), max(places)
    seen = [low, high, *([now] if now is not None else [])]
    least, most = min(seen), max(seen)
    scale = (WIDTH - 2 * _EDGE) / ((most - least) or 1.0)

    def x(place: float | None, side: float) -> float:
        return side if place is None else _EDGE + (place - least) * scale

    top = svg.LINE + 4
    parts = [
        _bar(x(one.start, 0.0), x(one.end, WIDTH), top, "even" if place % 2 else "odd", one)
        for place, one in enumerate(spans)
    ]
    for one, other in gaps:
        parts.append(
            _rectangle((x(one.end, 0), x(other.start, 0)), top, "gap", _missing(one, other))
        )
    bottom = top + _BAR
    names = _ends(spans)
    parts.append(svg.text(names[0], x(low, 0.0), bottom + svg.LINE / 2 + 2, "quiet"))
    right = x(high, 0.0) - svg.width(names[1])
    if right > x(low, 0.0) + svg.width(names[0]) + svg.MARGIN:
        parts.append(svg.text(names[1], right, bottom + svg.LINE / 2 + 2, "quiet"))
    if table.default:
        bottom += svg.LINE + 6
        parts.append(_rectangle((0.0, WIDTH), bottom, "default", f"all else: {table.default}"))
        shown = svg.shortened(f"all else: {table.default}", 100)
        parts.append(svg.text(shown, svg.MARGIN, bottom + _BAR / 2))
        bottom += _BAR - svg.LINE
    if now is not None:
        parts += _moment(x(now, 0.0), top)
    return svg.picture(f"{table.name}: {told}", (WIDTH, bottom + svg.LINE + 6), parts)


def _ends(spans: Sequence[Span]) -> tuple[str, str]:
    """The bounds at which the line begins and ends, as they are written."""
    bounds = [
        (place, bound)
        for one in spans
        for place, bound in ((one.start, one.partition.lower), (one.end, one.partition.upper))
        if place is not None
    ]
    return (
        svg.shortened(_said(min(bounds)[1]), _LONGEST),
        svg.shortened(_said(max(bounds)[1]), _LONGEST),
    )


def _bar(start: float, end: float, top: float, class_: str, one: Span) -> Markup:
    told = (
        f"{one.partition.name}: from {_said(one.partition.lower)} to {_said(one.partition.upper)}"
    )
    return _rectangle((start, end), top, class_, told)


def _rectangle(ends: tuple[float, float], top: float, class_: str, told: str) -> Markup:
    return svg.element(
        "rect",
        svg.title(told),
        x=ends[0],
        y=top,
        width=max(1.0, ends[1] - ends[0]),
        height=_BAR,
        class_=f"range {class_}",
    )


def _moment(x: float, top: float) -> list[Markup]:
    """The moment of the verification."""
    word = "verified"
    left = min(max(x - svg.width(word) / 2, 0.0), WIDTH - svg.width(word))
    line = svg.element(
        "path", d=f"M{svg.number(x)},{svg.number(top - 3)} v{_BAR + 6}", class_="now"
    )
    return [line, svg.text(word, left, svg.LINE / 2, "quiet")]
