"""The order in which declarations are planned: each after what it needs, else as the deploy has it.

What is created comes after what it names. What goes, goes after what uses it, as the server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

from attrs import define, evolve, field

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..errors import DeclarationError
from ..syntax.names import Name
from ..syntax.parse import Reference
from .session import Item
from .uses import Identity, Use, reaching, users_of


class Turns(NamedTuple):
    """Declarations in their order."""

    items: list[Item]
    circles: list[list[Item]]
    """Those that need one another, so that no order of them can be right."""


def in_turn(items: Iterable[Item], catalog: Forecast, uses: Iterable[Use] = ()) -> Turns:
    """The declarations in an order in which each finds what it needs."""
    order = _Order(list(items), catalog)
    order.for_what_comes()
    order.for_what_goes(list(uses))
    circles = list(order.without_circles())
    return Turns(list(order.sorted()), circles)


def takes_away(item: Item, catalog: Forecast) -> bool:
    """Whether a declaration takes away what others may still use."""
    current = catalog.objects.get(item.declaration.key())
    return not item.present or (current is not None and item.declaration.lessens(current))


@define
class _Order:
    """Which declaration comes after which others."""

    items: list[Item]
    catalog: Forecast
    after: list[set[int]] = field(factory=list)
    """Of each, those that come before it."""
    wishes: set[tuple[int, int]] = field(factory=set)
    """Which of that gives way in a circle: the one before, and the one after it."""

    def __attrs_post_init__(self) -> None:
        self.after = [set() for _ in self.items]

    def for_what_comes(self) -> None:
        """Have what is declared present come after what it names."""
        present = [number for number, one in enumerate(self.items) if one.present]
        providers = self._providers(present)
        opening = {number for number in present if self.items[number].declaration.opens}
        for number in present:
            # What is wrong with it is told when it has its turn.
            with suppress(DeclarationError):
                for reference in self.items[number].declaration.requires():
                    known = set(_matching(reference, providers))
                    # What nothing here provides may come with an extension.
                    unknown = not known and reference.kind in {"type", "function"}
                    for other in (opening if unknown else known) - {number}:
                        self._wait(number, other, reference)
                # What a body calls only when it runs may come later, where that can't be.
                for reference in self.items[number].declaration.mentions():
                    for other in set(_matching(reference, providers)) - {number}:
                        if other not in self.after[number]:
                            self.after[number].add(other)
                            self.wishes.add((other, number))

    def _wait(self, number: int, other: int, reference: Reference) -> None:
        """Have a declaration come after what provides it something, where it brings that."""
        is_there = self.catalog.has(reference)
        if not is_there:
            self.after[number].add(other)
        # A script may be there to prepare the change of what is there.
        elif self._brings(other) and not self.items[number].declaration.runs:
            self.after[number].add(other)
            self.wishes.add((other, number))

    def _brings(self, number: int) -> bool:
        """Whether a declaration adds to what is there, so that others may need it."""
        one = self.items[number].declaration
        current = self.catalog.objects.get(one.key())
        return current is None or (one.brings(current) and not one.lessens(current))

    def _providers(self, present: Sequence[int]) -> dict[Reference, int]:
        """What provides what; of several that declare one object, the one that says what it is."""
        providers: dict[Reference, int] = {}
        wholes: dict[Key, int] = {}
        for number in sorted(present, key=lambda one: not self.items[one].declaration.is_whole):
            one = self.items[number].declaration
            if one.is_whole:
                wholes.setdefault(one.key(), number)
            elif one.key() in wholes and one.key() not in self.catalog.objects:
                self.after[number].add(wholes[one.key()])
            for reference in one.provides():
                providers.setdefault(reference, number)
                if reference.kind == "function" and reference.name.schema == "public":
                    anywhere = Reference("function", Name("", reference.name.name))
                    providers.setdefault(anywhere, number)
        return providers

    def for_what_goes(self, uses: Sequence[Use]) -> None:
        """Have what is declared absent come after what uses it."""
        going = {n: one for n, one in enumerate(self.items) if takes_away(one, self.catalog)}
        if not going:
            return
        gone = {one.declaration.key()[1:] for one in going.values() if not one.present}
        self._after_users(going, users_of(uses, gone))
        self._free_names(going)
        self._leave_wholes(going)
        self._let_go()
        self._at_last(going)

    def _after_users(self, going: dict[int, Item], users: dict[Identity, set[Identity]]) -> None:
        """Have what goes, or is changed under what goes, come after what uses it."""
        numbers: dict[Identity, list[int]] = {}
        for number, one in enumerate(self.items):
            numbers.setdefault(one.declaration.key()[1:], []).append(number)
        for number, one in enumerate(self.items):
            found = reaching(one.declaration.key()[1:], users)
            for other in {other for user in found for other in numbers.get(user, ())} - {number}:
                if not one.present:
                    self.after[number].add(other)
                elif number in going or (other in going and one.declaration.reshapes):
                    self.after[number].add(other)
                    self.wishes.add((other, number))

    def _at_last(self, going: dict[int, Item]) -> None:
        """Have what all else lets go of go behind that."""
        others = [
            number
            for number, one in enumerate(self.items)
            if not one.declaration.goes_last and not one.declaration.runs
        ]
        for number, one in going.items():
            if one.declaration.goes_last and not one.present:
                self.after[number].update(others)

    def _let_go(self) -> None:
        """Have what goes come after what is declared to go too and names it."""
        absent = [number for number, one in enumerate(self.items) if not one.present]
        providers = {
            reference: number
            for number in absent
            for reference in self.items[number].declaration.provides()
        }
        for number in absent:
            # What is removed is often declared by its name alone.
            with suppress(DeclarationError):
                for reference in self.items[number].declaration.requires():
                    for other in set(_matching(reference, providers)) - {number}:
                        if other not in self.after[number]:
                            self.after[other].add(number)
                            self.wishes.add((number, other))

    def _free_names(self, going: dict[int, Item]) -> None:
        """Have what goes come before what is to have its name and is something else."""
        names = {
            reference: number
            for number, one in going.items()
            if not one.present
            for reference in one.declaration.provides()
            if reference.kind in {"table", "type"}
        }
        for number, one in enumerate(self.items):
            for reference in one.declaration.provides() if one.present else ():
                other = names.get(reference)
                if other is not None and not self._is_same(number, other):
                    self.after[number].add(other)
                    self.wishes.add((other, number))

    def _leave_wholes(self, going: dict[int, Item]) -> None:
        """Have partitions go before what is declared of their wholes, which looks at each."""
        numbers: dict[Name, list[int]] = {}
        for number, item in enumerate(self.items):
            one, holder = item.declaration, item.declaration.belongs_to()
            for reference in (*one.provides(), *([holder] if holder else [])):
                if item.present and reference.kind == "table":
                    numbers.setdefault(reference.name, []).append(number)
        for number, item in going.items():
            for reference in item.declaration.provides():
                _, *wholes = self.catalog.lineage(reference.name)
                for other in {other for whole in wholes for other in numbers.get(whole, ())}:
                    if other != number and number not in self.after[other]:
                        self.after[other].add(number)
                        self.wishes.add((number, other))

    def _is_same(self, one: int, other: int) -> bool:
        return self.items[one].declaration.key() == self.items[other].declaration.key()

    def without_circles(self) -> Iterator[list[Item]]:
        """Take out of circles what can give way. Yields those that remain."""
        while True:
            try:
                TopologicalSorter(dict(enumerate(self.after))).prepare()
                return
            except CycleError as error:
                circle: list[int] = error.args[1]
            pairs = list(pairwise(circle))
            if pair := next((pair for pair in pairs if pair in self.wishes), None):
                self.after[pair[1]].discard(pair[0])
            elif not any(self._divide(*pair) for pair in pairs):
                yield [self.items[number] for number in reversed(circle)]
                self.after[pairs[0][1]].discard(pairs[0][0])

    def _divide(self, before: int, after: int) -> bool:
        """Have one declaration no longer come after another, by doing a part of it apart."""
        first, second = self.items[before], self.items[after]
        if second.present and first.present:
            now, later = second.declaration.divided(first.declaration)
            if later is None:
                return False
            self.items[after] = evolve(second, declaration=now)
            self._add(evolve(second, declaration=later), {before, after})
        else:
            stored = self.catalog.objects.get(first.declaration.key())
            part = stored.freed(second.declaration) if stored else None
            if part is None or first.present or second.present:
                return False
            number = self._add(evolve(first, declaration=part, present=True), set())
            self.after[before].add(number)
            self.after[after].add(number)
        self.after[after].discard(before)
        return True

    def _add(self, item: Item, after: set[int]) -> int:
        self.items.append(item)
        self.after.append(after)
        return len(self.items) - 1

    def sorted(self) -> Iterator[Item]:
        """Each in its turn, what it needs right before it.

        What needs nothing stays where it is, and no script or row overtakes what is before it.
        """
        done: set[int] = set()
        waiting = sorted(range(len(self.items)), reverse=True)
        while waiting:
            number = waiting[-1]
            if ahead := self.after[number] - done:
                waiting += sorted(ahead, reverse=True)
            elif waiting.pop() not in done:
                done.add(number)
                yield self.items[number]


def _matching(reference: Reference, providers: dict[Reference, int]) -> Iterator[int]:
    """What provides a reference; one without a name is to all of its kind in its schema."""
    if reference in providers:
        yield providers[reference]
    elif not reference.name.name:
        for other, number in providers.items():
            if (other.kind, other.name.schema) == (reference.kind, reference.name.schema):
                yield number
