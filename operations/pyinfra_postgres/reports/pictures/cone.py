"""What is missing or wrong, and what waits for it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from attrs import evolve, frozen
from markupsafe import Markup

from ..facts import Check
from ..statuses import Status
from . import svg
from .cards import Card, Row, curve, drawn
from .layout import Line, Point, laid_out

_MOST = 40
"""How many boxes are drawn; where there would be more, the tasks are."""
_Group: TypeAlias = tuple[str, bool]
"""What checks are bundled by: a name, and whether it is that of something else."""
_WORDS = {Status.FAIL: "missing or wrong", Status.BLOCKED: "blocked"}
# `policy p on s.t`; `grant on TABLE s.t`, `materialized view s.v`
_KIND = re.compile(r"([a-z]+) \S+ on |([a-z]+(?: [a-z]+)??) (?:on |of |\S*\.|\S+$)")
# `policy p on s.t`, `grant on TABLE s.t to r`
_ON = re.compile(r" on (?:[A-Z ]+ )?(\S+)")
_ARROW = 7.0


@frozen
class Bundle:
    """Checks that end in the same way and are drawn as one box."""

    name: str
    status: Status
    checks: tuple[Check, ...]
    needs: tuple[int, ...]
    """The places of the bundles without which it can't pass."""
    waiting: tuple[Check, ...] = ()
    """Those that need its only check and nothing else that is not there."""

    @property
    def is_alone(self) -> bool:
        """Whether it is one object, and not what hangs on one."""
        return self.checks[0].title == self.name


def cone(bundles: Sequence[Bundle]) -> Markup | None:
    """A picture of what is missing or wrong with what waits for it; None where there is no way."""
    lines = [Line(need, place) for place, bundle in enumerate(bundles) for need in bundle.needs]
    cards = [_card(one) for one in bundles]
    layout = laid_out([one.size for one in cards], lines)
    if layout is None:
        return None
    paths = [
        part
        for one in layout.curves
        for part in (
            svg.element("path", d=curve(one), class_="line"),
            _arrow(one.points[-2], one.points[-1]),
        )
    ]
    return drawn(cards, layout, paths, "What is missing or wrong, and what waits for it")


def bundled(checks: Iterable[Check]) -> list[Bundle]:
    """The checks that fail or are blocked, in bundles; none where nothing waits for anything."""
    open_ = {one.title: one for one in checks if one.status in {Status.FAIL, Status.BLOCKED}}
    needs = _reduced({title: [*_direct(one, open_)] for title, one in open_.items()})
    needed = {title for one in needs.values() for title in one}
    waiting: dict[str, list[Check]] = {}
    groups: dict[str, _Group] = {}
    for title, one in open_.items():
        is_last = one.status is Status.BLOCKED and title not in needed
        home = _home(title, needs[title]) if is_last else ""
        if home and [home] == needs[title]:
            waiting.setdefault(home, []).append(one)
        elif home:
            groups[title] = (home, True)
        else:
            groups[title] = (title, False)
    if not needed:
        return []
    found = _merged(open_, needs, groups)
    if len(found) > _MOST:
        return _merged(open_, needs, {title: (one.task, True) for title, one in open_.items()})
    return [
        evolve(one, waiting=tuple(waiting.get(one.name, ()))) if one.is_alone else one
        for one in found
    ]


def _direct(one: Check, open_: Mapping[str, Check]) -> dict[str, None]:
    """What a check needs of what is not there: its roots, where it says no more."""
    needs = dict.fromkeys(title for title in one.needs if title in open_ and title != one.title)
    return needs or dict.fromkeys(
        title for title in one.roots if title in open_ and title != one.title
    )


def _reduced(needs: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """Needs without those that follow from others; all of them where there is a circle."""
    below: dict[str, set[str]] = {}
    try:
        for title in TopologicalSorter(needs).static_order():
            below[title] = {*needs[title]}.union(*(below[one] for one in needs[title]))
    except CycleError:
        return needs
    return {
        title: [one for one in direct if not any(one in below[other] for other in direct)]
        for title, direct in needs.items()
    }


def _home(title: str, needs: Sequence[str]) -> str:
    """The object at which something hangs: that which its name names, else the first it needs."""
    found = _ON.search(title)
    if not found:
        return needs[0] if needs else ""
    return next((one for one in needs if one.split()[-1] == found[1]), found[1])


def _merged(
    open_: Mapping[str, Check], needs: Mapping[str, Sequence[str]], groups: Mapping[str, _Group]
) -> list[Bundle]:
    """Bundles of the checks of a group that end in the same way."""
    keys = {title: (group, open_[title].status) for title, group in groups.items()}
    places = {key: place for place, key in enumerate(dict.fromkeys(keys.values()))}
    titles: dict[tuple[_Group, Status], list[str]] = {}
    for title, key in keys.items():
        titles.setdefault(key, []).append(title)
    return [
        Bundle(
            group[0],
            status,
            tuple(open_[title] for title in every),
            tuple(
                dict.fromkeys(
                    places[keys[need]]
                    for title in every
                    for need in needs[title]
                    if keys[need] != (group, status)
                )
            ),
        )
        for (group, status), every in titles.items()
    ]


def _card(one: Bundle) -> Card:
    """A bundle as a box: `sync_progress: 4 policies blocked`."""
    told = [check.title for check in (*one.checks, *one.waiting)]
    if one.is_alone:
        check = one.checks[0]
        said = check.reason if one.status is Status.FAIL and check.reason else _WORDS[one.status]
        rows = [Row(said, "status"), *(Row(f"and {each}") for each in _counted(one.waiting))]
        return Card(_named(check.title), one.status.slug, tuple(rows), "\n".join(told))
    rows = [*map(Row, _counted(one.checks)), Row(_WORDS[one.status], "status")]
    return Card(f"{_named(one.name)}:", one.status.slug, tuple(rows), "\n".join(told))


def _named(title: str) -> str:
    """A title without the schema that needs no saying."""
    return re.sub(r"(?<![^ (,])public\.", "", title)


def _counted(checks: Iterable[Check]) -> list[str]:
    """How many of which kind there are."""
    return [_several(count, kind) for kind, count in Counter(map(_kind, checks)).items()]


def _kind(one: Check) -> str:
    """What a declared object is, in a word."""
    found = _KIND.match(one.title) if one.place else None
    return (found[1] or found[2]) if found else "check"


def _several(count: int, kind: str) -> str:
    if count == 1 or kind.endswith("s"):
        return f"{count} {kind}"
    if kind.endswith("y"):
        return f"{count} {kind[:-1]}ies"
    return f"{count} {kind}{'es' if kind.endswith('x') else 's'}"


def _arrow(before: Point, end: Point) -> Markup:
    """The head of an arrow, where a curve ends."""
    x, y = end[0] - before[0], end[1] - before[1]
    length = math.hypot(x, y) or 1.0
    x, y = x / length * _ARROW, y / length * _ARROW
    corners = (
        end,
        (end[0] - x - y / 2, end[1] - y + x / 2),
        (end[0] - x + y / 2, end[1] - y - x / 2),
    )
    points = " ".join(f"{svg.number(one)},{svg.number(other)}" for one, other in corners)
    return svg.element("polygon", points=points, class_="end")
