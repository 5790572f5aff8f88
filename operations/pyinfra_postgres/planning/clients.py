"""Which statements of a plan break clients that know the database as it was before.

What the plan itself creates nobody knows yet, and what it makes anew as it was is found as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from attrs import evolve, field, frozen

from ..catalog.snapshot import Snapshot
from ..errors import DeclarationError
from ..plan.breaking import Breach, breaches, created
from ..plan.plan import Action, Change, Hazard, Statement
from ..syntax.names import Name
from ..syntax.parse import Node, statement


def warned(changes: Sequence[Change], before: Snapshot) -> list[Change]:
    """The changes, with the hazards of those that break clients of the database before them."""
    if all(map(_is_new, changes)):
        return list(changes)
    trees = {
        id(one): list(_trees(one))
        for change in changes
        if not _is_new(change)
        for one in change.statements
    }
    clients = _Clients.of(changes, [tree for found in trees.values() for tree in found], before)
    found = []
    for change in changes:
        told = (clients.told(one, trees.get(id(one), ())) for one in change.statements)
        found.append(evolve(change, statements=tuple(told)))
    return found


def _is_new(change: Change) -> bool:
    """Whether it touches nothing that was there before."""
    return change.is_quiet and change.action is Action.CREATE


def _trees(one: Statement) -> Iterator[Node]:
    """The syntax trees of what a statement runs, but for what makes things anew as they were."""
    if one.remakes:
        return
    for text in one.parts or (one.sql,):
        # What PostgreSQL's parser does not take is told elsewhere.
        with suppress(DeclarationError, UnicodeError):
            yield statement(text)


@frozen
class _Clients:
    """What clients know of a database, in view of what a plan creates and renames."""

    before: Snapshot
    created: frozenset[Name]
    former: dict[Name, Name]
    """The names of objects that the plan gives others."""
    single: frozenset[str] = field(init=False)
    """The names of what is in no schema."""

    def __attrs_post_init__(self) -> None:
        found = {key[1] for key in self.before.objects if len(key) == 2}
        object.__setattr__(self, "single", frozenset({*found, self.before.database}))

    @classmethod
    def of(cls, changes: Iterable[Change], trees: Iterable[Node], before: Snapshot) -> _Clients:
        new = {Name(*change.key[1:3]) for change in changes if _is_named(change)}
        former: dict[Name, Name] = {}
        for tree in trees:
            if name := created(tree):
                new.add(name)
            for one in breaches(tree):
                if one.given:
                    former[one.given] = former.get(one.name, one.name)
        return cls(before, frozenset(new), former)

    def told(self, one: Statement, trees: Iterable[Node]) -> Statement:
        """A statement with what it breaks."""
        found = (self._hazard(breach) for tree in trees for breach in breaches(tree))
        hazards = tuple(dict.fromkeys([*one.hazards, *filter(None, found)]))
        return one if hazards == one.hazards else evolve(one, hazards=hazards)

    def _hazard(self, one: Breach) -> Hazard | None:
        name = self.former.get(one.name, one.name)
        is_taken = name in self.created
        if (one.name != name and is_taken) or not self._knows(name):
            return None
        match one.hazard:
            case Hazard.DROPS | Hazard.RENAMES if is_taken and not one.column:
                return Hazard.RESHAPES
            case Hazard.RETYPES if one.type and self._widens(name, one):
                return None
        return one.hazard

    def _knows(self, name: Name) -> bool:
        known = self.before
        if not name.schema:
            return name.name in self.single
        return name in known.relation_kinds or name in known.types or name in known.functions

    def _widens(self, table: Name, one: Breach) -> bool:
        """Whether the type takes all values of the column's own, and is one of the same kind."""
        columns = getattr(self.before.objects.get(("table", *table)), "columns", None) or ()
        return any(each.name == one.column and widens(each.type, one.type) for each in columns)


def _is_named(change: Change) -> bool:
    return _is_new(change) and len(change.key) > 2


_LENGTH = re.compile(
    r"(character varying|bit varying|numeric|time\w*)(?:\((\d+)(?:,(\d+))?\))?(.*)"
)


def widens(before: str, after: str) -> bool:
    """Whether a type is another one of the same name with more length, or without a limit."""
    old, new = _LENGTH.fullmatch(before), _LENGTH.fullmatch(after)
    if old is None or new is None or (old[1], old[4]) != (new[1], new[4]):
        return False
    if new[2] is None:
        return True
    return old[2] is not None and int(old[2]) <= int(new[2]) and old[3] == new[3]
