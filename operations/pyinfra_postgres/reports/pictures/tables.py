"""Tables, their keys, and how they refer to one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen
from markupsafe import Markup

from ..facts import ForeignKey, Table
from . import svg
from .cards import Card, Row, curve, drawn
from .communities import communities
from .layout import Curve, Line, Point, laid_out

MOST = 25
"""How many tables a picture has at most."""
_HUB = 6
"""A table to which so many others of a picture refer is named in chips: lines would hide the
rest."""
_PUBLIC = "public."
"""The schema that needs no saying, where there are several."""
_FOOT = 9.0


@frozen
class Group:
    """Tables that are drawn in one picture."""

    title: str
    tables: tuple[Table, ...]


@frozen
class Drawn:
    """A group, and how its foreign keys are told."""

    group: Group
    cards: tuple[Card, ...]
    lines: tuple[Line, ...]
    keys: tuple[ForeignKey, ...]
    """Those of the lines."""
    chips: tuple[ForeignKey, ...]
    """Those that a chip in a card tells."""


def grouped(tables: Sequence[Table], keys: Sequence[ForeignKey]) -> list[Group]:
    """All tables in groups that can be drawn: one, or one per schema, or several of that."""
    if len(tables) <= MOST:
        return [Group("All tables", tuple(tables))] if tables else []
    groups: list[Group] = []
    for schema in dict.fromkeys(sorted(one.schema for one in tables)):
        own = [one for one in tables if one.schema == schema]
        if len(own) <= MOST:
            groups.append(Group(f"Schema {schema}", tuple(own)))
        else:
            groups += _split(schema, own, keys)
    return groups


def _split(schema: str, tables: Sequence[Table], keys: Sequence[ForeignKey]) -> Iterator[Group]:
    """A schema in the communities of its tables; small ones share a picture."""
    by_name = {one.name: one for one in tables}
    pairs = _pairs(keys, by_name)
    hubs = _hubs(pairs)
    parts = communities(by_name, [one for one in pairs if not hubs.keys() & {*one}], MOST)
    rest: list[Table] = []
    for part in parts:
        own = [by_name[one] for one in part]
        if len(own) > MOST // 5:
            degrees = Counter(end for pair in pairs if {*pair} <= {*part} for end in pair)
            chief = max(part, key=lambda one: (degrees[one], one))
            around = chief.removeprefix(f"{schema}.")
            yield Group(f"Schema {schema}: around {around}", tuple(own))
        else:
            rest += own
    pages = math.ceil(len(rest) / MOST)
    for page in range(pages):
        which = f"the others, {page + 1} of {pages}" if pages > 1 else "the others"
        few = rest[page * MOST : (page + 1) * MOST]
        yield Group(f"Schema {schema}: {which}", tuple(few))


def _pairs(keys: Iterable[ForeignKey], names: Iterable[str]) -> list[tuple[str, str]]:
    """Which of some tables refer to which others of them, each once."""
    known = set(names)
    ends = ((one.source, one.target) for one in keys)
    return list(dict.fromkeys(one for one in ends if {*one} <= known and one[0] != one[1]))


def _hubs(pairs: Iterable[tuple[str, str]]) -> Counter[str]:
    """The tables to which many others refer, and how many do."""
    found = Counter(end for _, end in pairs)
    return Counter({name: count for name, count in found.items() if count >= _HUB})


def prepared(group: Group, keys: Sequence[ForeignKey]) -> Drawn:
    """What is to be drawn of a group: each foreign key of its tables as a line or a chip."""
    places = {one.name: place for place, one in enumerate(group.tables)}
    hubs = _hubs(_pairs(keys, places))
    lines: list[ForeignKey] = []
    chips: list[ForeignKey] = []
    own: dict[str, list[ForeignKey]] = {}
    for key in (one for one in keys if one.source in places):
        own.setdefault(key.source, []).append(key)
        is_line = key.target in places and key.target not in hubs and key.target != key.source
        (lines if is_line else chips).append(key)
    told = {*chips}
    schemas = {one.schema for one in group.tables}
    schema = f"{min(schemas)}." if len(schemas) == 1 else _PUBLIC
    cards = tuple(
        _card(one, own.get(one.name, ()), told, hubs[one.name], schema) for one in group.tables
    )
    ends = tuple(Line(places[one.target], places[one.source]) for one in lines)
    return Drawn(group, cards, ends, tuple(lines), tuple(chips))


def picture(one: Drawn) -> Markup | None:
    """The picture of a group; None where nothing can lay it out."""
    layout = laid_out([card.size for card in one.cards], one.lines)
    if layout is None:
        return None
    paths = [_line(run, one.keys[run.line]) for run in layout.curves]
    count = len(one.group.tables)
    name = f"{one.group.title}: {count} table{'' if count == 1 else 's'}"
    return drawn(one.cards, layout, paths, name)


def _card(
    table: Table, keys: Sequence[ForeignKey], chips: set[ForeignKey], hub: int, schema: str
) -> Card:
    """A table with its keys, and nothing else."""
    name = table.name.removeprefix(schema)
    rows: list[Row] = []
    if hub:
        rows.append(Row(f"{hub} refer to it", "quiet"))
    if table.partitions:
        several = "" if table.partitions == 1 else "s"
        rows.append(Row(f"{table.partitions} partition{several}", "quiet"))
    told_by = {column for one in keys if len(one.columns) == 1 for column in one.columns}
    rows += (Row(f"pk {one}") for one in table.key if one not in told_by)
    for one in keys:
        mark = "pk fk" if {*one.columns} <= {*table.key} else "fk"
        columns = ", ".join(one.columns)
        target = "itself" if one.target == one.source else one.target.removeprefix(schema)
        rows.append(Row(f"{mark} {columns}", None, f"→ {target}" if one in chips else ""))
    told = "\n".join((table.name, *(f"{one.name}: {one.definition}" for one in keys)))
    return Card(name, "table", tuple(rows), told)


def _line(run: Curve, key: ForeignKey) -> Markup:
    """A foreign key: a bar where one row is, a foot where many are, a ring where none may be."""
    return svg.element(
        "g",
        svg.title(f"{key.source}.{', '.join(key.columns)} → {key.target}"),
        svg.element("path", d=curve(run), class_="line"),
        svg.element("path", d=_bar(run.points[0], run.points[1]), class_="line"),
        *([_ring(run.points[0], run.points[1])] if key.is_optional else []),
        svg.element(
            "path",
            d=(_bar if key.is_unique else _foot)(run.points[-1], run.points[-2]),
            class_="line",
        ),
    )


def _toward(end: Point, inner: Point) -> Point:
    """The direction from a line's end to its inside, of length 1."""
    x, y = inner[0] - end[0], inner[1] - end[1]
    length = math.hypot(x, y) or 1.0
    return x / length, y / length


def _bar(end: Point, inner: Point) -> str:
    x, y = _toward(end, inner)
    middle = (end[0] + x * _FOOT * 0.6, end[1] + y * _FOOT * 0.6)
    return _path((middle[0] - y * 5, middle[1] + x * 5), (middle[0] + y * 5, middle[1] - x * 5))


def _foot(end: Point, inner: Point) -> str:
    x, y = _toward(end, inner)
    toes = (end[0] - y * 5, end[1] + x * 5), (end[0] + y * 5, end[1] - x * 5)
    return _path(toes[0], (end[0] + x * _FOOT, end[1] + y * _FOOT), toes[1])


def _ring(end: Point, inner: Point) -> Markup:
    x, y = _toward(end, inner)
    return svg.element("circle", cx=end[0] + x * 12, cy=end[1] + y * 12, r=3.5, class_="box line")


def _path(*points: Point) -> str:
    return "M" + " L".join(f"{svg.number(x)},{svg.number(y)}" for x, y in points)
