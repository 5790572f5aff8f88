"""The order of a plan's statements: one topological sort, the same on every host and every run.

A statement says what it needs, gives, takes and frees. What gives a condition comes before what
needs it, and what frees one before what takes it. Else statements stay as they were planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

_OBJECT, _COLUMN, _KEYS, _ROWS = "object", "column", "keys", "table rows"
_FOUND, _MADE, _LABEL = "found", "made", "label"


class Condition(NamedTuple):
    """That something is there, or is so."""

    word: str
    """What of it."""
    name: tuple[str, ...] = ()
    number: int = 0
    """The change of the plan that brings it about, where each does so for itself."""

    @property
    def is_whole(self) -> bool:
        """Whether it is an object by its name, of whatever kind."""
        return self.word == _OBJECT

    @property
    def is_of_table(self) -> bool:
        """Whether scripts may use it of a table, though the server does not know it."""
        return self.word in {_COLUMN, _KEYS}

    @property
    def is_found(self) -> bool:
        """Whether it is an object as the server has it, before the plan changes it."""
        return self.word == _FOUND

    @property
    def is_made(self) -> bool:
        """Whether it is an object as a change of the plan makes it."""
        return self.word == _MADE

    @property
    def is_of_rows(self) -> bool:
        """Whether it is about the rows of a table."""
        return self.word == _ROWS

    @property
    def is_label(self) -> bool:
        """Whether it is a label of an enum type."""
        return self.word == _LABEL


NAMES = Condition("names")
"""The names that the plan gives: what it does then is written with these."""
MEMBERSHIPS = Condition("memberships")
"""What the deploying role joins, because the plan takes the rights of it."""
SCRIPTS = Condition("scripts")
"""What scripts and rows may use of a table, which nobody else knows."""


def as_made(named: tuple[str, ...], number: int) -> Condition:
    """What is referred to, as one change of the plan makes it."""
    return Condition(_MADE, named, number)


def as_found(key: tuple[str, ...]) -> Condition:
    """An object as the server has it, before the plan changes it."""
    return Condition(_FOUND, key)


def whole(key: tuple[str, ...]) -> Condition:
    """An object by its name, of whatever kind."""
    return Condition(_OBJECT, key[1:])


def column_of(table: Iterable[str], name: str) -> Condition:
    """A column of a table."""
    return Condition(_COLUMN, (*table, name))


def keys_of(table: Iterable[str]) -> Condition:
    """The keys of a table, which foreign keys use."""
    return Condition(_KEYS, tuple(table))


def owner_of(table: Iterable[str]) -> Condition:
    """That a table has the owner that is declared."""
    return Condition("owner", tuple(table))


def rows_of(table: Iterable[str]) -> Condition:
    """That the rows of a table have what they are to have, which constraints are about."""
    return Condition(_ROWS, tuple(table))


def label_of(text: str) -> Condition:
    """A label of an enum type."""
    return Condition(_LABEL, (text,))


class Ordered(Protocol):
    """What has its place before and behind others."""

    @property
    def needs(self) -> AbstractSet[Condition]:
        """What has to be there, or to be so, before it runs."""

    @property
    def gives(self) -> AbstractSet[Condition]:
        """What is there, or is so, once it has run."""

    @property
    def takes(self) -> AbstractSet[Condition]:
        """What is gone, or no longer as it was, once it has run."""

    @property
    def frees(self) -> AbstractSet[Condition]:
        """What it no longer uses once it has run."""


def in_order(statements: Sequence[Ordered]) -> list[int]:
    """The places of statements in the order in which they run.

    What waits for others goes behind them; nothing overtakes what it does not wait for. Where they
    wait for one another, the first of them goes.
    """
    ahead = [0] * len(statements)
    behind: list[list[int]] = [[] for _ in statements]
    # A condition stands between those that bring it about and those that wait for it.
    for bringing, waiting in _conditions(statements):
        condition = len(behind)
        ahead.append(len(bringing))
        behind.append(waiting)
        for place in bringing:
            behind[place].append(condition)
        for place in waiting:
            ahead[place] += 1
    ready = [place for place in range(len(statements)) if not ahead[place]]
    heapify(ready)
    left = iter(range(len(statements)))
    order: dict[int, None] = {}
    while len(order) < len(statements):
        place = heappop(ready) if ready else next(one for one in left if one not in order)
        if place in order:
            continue
        order[place] = None
        done = [place]
        while done:
            for other in behind[done.pop()]:
                ahead[other] -= 1
                if ahead[other]:
                    continue
                if other < len(statements):
                    heappush(ready, other)
                else:
                    done.append(other)
    return list(order)


def _conditions(statements: Sequence[Ordered]) -> Iterator[tuple[list[int], list[int]]]:
    """The places of those that bring a condition about, and of those that wait for it."""
    yield from _pairs([(one.gives, one.needs - one.gives) for one in statements])
    yield from _pairs([(one.frees - one.takes, one.takes) for one in statements])


def _pairs(
    sides: Iterable[tuple[AbstractSet[Condition], AbstractSet[Condition]]],
) -> Iterator[tuple[list[int], list[int]]]:
    bringing: dict[Condition, list[int]] = {}
    waiting: dict[Condition, list[int]] = {}
    for place, (brought, awaited) in enumerate(sides):
        for condition in brought:
            bringing.setdefault(condition, []).append(place)
        for condition in awaited:
            waiting.setdefault(condition, []).append(place)
    for condition, places in bringing.items():
        if condition in waiting:
            yield places, waiting[condition]
