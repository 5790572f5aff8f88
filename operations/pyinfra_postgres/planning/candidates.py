"""A declaration beside what is there: what it finds, and what is to become of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from ..catalog.catalog import Forecast
from ..catalog.needs import usage
from ..comparison.asking import Ask, Reading, Same
from ..comparison.compare import Fragment, Textual
from ..errors import DeclarationError
from ..objects.kind import Object, differing
from ..plan.plan import Need, Statement
from .questions import Unanswered
from .session import Item


@define
class Candidate:
    """One object's way through the making of a plan."""

    item: Item
    declaration: Object
    current: Object | None = None
    target: Object | None = None
    facts: Any = None
    """What is known of the change beside these two."""
    error: str = ""
    asked: set[Fragment] = field(factory=set)
    """The declared fragments that the server was asked about for it."""
    closed: list[Need] = field(factory=list)
    """What it takes to find what it names, and the role lacks."""
    seen: bool = False
    """Whether it has been looked at."""

    def readings(self) -> Iterator[Reading]:
        """What the server can read of it before the plan runs."""
        if self.target is not None and self.target is not self.current and not self.closed:
            yield from self.target.readings(self.current)

    def statements(self) -> Iterator[Statement]:
        """What turns the object into what it is declared to be."""
        # One that is declared as it is does not differ from itself.
        if self.current is not self.target:
            yield from differing(self.declaration, self.current, self.target, self.facts)

    def look(self, catalog: Forecast, same: Same, ask: Ask) -> None:
        """Find the object as it is, and as it is declared to be."""
        one = self.declaration
        self.error, self.target, self.facts, self.seen = "", None, None, True
        if reasons := list(catalog.fingerprint.unreadable.stands_against(one)):
            self.error, self.current, self.closed = reasons[0], None, []
            return
        self.closed = usage(one, catalog)
        if self.closed:
            same, ask = Textual(), Unanswered()
        self.current = None
        try:
            self.current = one.find(catalog, ask)
            if self.current is None and self.item.present:
                self.current = one.renamed_match(catalog, same)
            if not self.item.present:
                self.target = one.withdrawn(self.current) if self.current else None
            elif self.current and self.item.is_whole:
                self.target = (
                    self.current if one == self.current else one.restored(self.current, catalog)
                )
            elif self.current and one.is_beside:
                self.target = one.beside(self.current)
            elif self.current:
                self.target = one.aligned(self.current, same, catalog)
            else:
                self.target = one.completed(catalog, same)
                if self.target is not None:
                    _check_names(self.target, catalog)
            if self.target is not None and self.target is not self.current:
                self.target.check_columns(catalog)
            if self.target is not self.current:
                self.facts = one.facts(self.current, self.target, catalog, same, None)
        except DeclarationError as error:
            self.error = str(error)


def _check_names(one: Object, catalog: Forecast) -> None:
    """Raise DeclarationError where something else has a name that a new object needs."""
    for reference in one.takes():
        if holder := catalog.holder(reference):
            raise DeclarationError(f"{holder} {reference.name} has its name: rename or drop that")
