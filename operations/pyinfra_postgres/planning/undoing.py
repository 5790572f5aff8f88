"""From what a deploy has changed to the declarations that take it back, and what stands against it.

The objects are declared as they were before, in everything; so their plan has the order, the
questions and the refusals of any other. Each has to be still as the deploy has left it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from attrs import define, evolve, fields

from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import INDEX, PARTITION, Key
from ..comparison.compare import Comparison
from ..objects.access.object_privileges import Privileges, Target, privileges_on
from ..objects.kind import Object, difference
from ..objects.partitions.partition import AnyPartition, LeftPartition
from ..objects.partitions.partitions import Partition
from ..objects.tables.sequences import IdentitySequence, Owner
from ..objects.tables.sequences import Sequence as OwnedSequence
from ..objects.tables.tables import Table
from ..plan.plan import Operation, Plan, Refusal
from ..syntax.names import Exact, Name
from ..syntax.naming import joined
from .candidates import Candidate
from .consent import is_allowed
from .inverse import Inverse, Part, Restored
from .questions import Questions
from .session import ALLOW, Item, Session

_PARTS = {
    "column": ("columns",),
    "attribute": ("attributes",),
    "constraint": ("constraints", "checks"),
}
"""The fields that have the parts of an object, by their kind."""
_GOES_TOO = "it would go with what the deploy has made: remove it before"
_NAMES = {"column": "renamed_columns", "label": "renamed"}
"""The fields that map names, where the parts are no values of their own."""


@define
class Undoing:
    """A deploy that is taken back from a database."""

    session: Session
    inverse: Inverse
    operation: Operation

    @property
    def _made(self) -> set[Key]:
        """What the deploy has created."""
        return {one.after.key() for one in self.inverse.objects if one.after and not one.before}

    def turns(self) -> list[list[Item]]:
        """The declarations of what was before, in groups that are planned one after another."""
        made, catalog = self._made, self.session.catalog()
        serials = _serials(self.inverse.objects)
        found: dict[int, list[Item]] = {}
        for entry in self.inverse.objects:
            for turn, one, present, is_whole in _declared(entry, made, serials, catalog):
                item = Item(self.operation, one, present, is_whole=is_whole)
                found.setdefault(turn, []).append(item)
        return [items for _, items in sorted(found.items())]

    def refusals(self) -> Iterator[Refusal]:
        """What of the deploy can't be undone, and what is no longer as it has left it.

        Nothing has been planned yet.
        """
        made = self._made
        for obstacle in self.inverse.obstacles:
            if obstacle.table not in made and not self._is_allowed(obstacle.title):
                yield self._refusal(
                    obstacle.title,
                    f"{obstacle.reason}, so it can't be undone: to undo the rest, run with "
                    f"--data '{ALLOW}={obstacle.title}'",
                )
        for one in self.inverse.objects:
            if one.is_hidden and one.before and not self._is_allowed(one.title):
                yield self._refusal(
                    one.title,
                    "it has hidden values, so that nothing is kept of what it was before: to undo "
                    f"the rest, run with --data '{ALLOW}={one.title}'",
                )
        yield from self._differences()

    def _is_allowed(self, title: str) -> bool:
        return is_allowed(title, self.session.allowed(), self.session.catalog())

    def _refusal(self, title: str, reason: str) -> Refusal:
        return Refusal(self.operation, title, reason)

    def _differences(self) -> Iterator[Refusal]:
        session, catalog = self.session, self.session.catalog()
        same = Comparison(catalog, session.read, before=session.verdicts)
        ask = Questions(session, catalog, False)
        steps = []
        for one in self.inverse.objects:
            if one.after is None:
                if one.before.key() in catalog.objects:  # type: ignore[union-attr]
                    yield self._refusal(one.title, "the deploy took it away, and it is there again")
                continue
            step = Candidate(Item(self.operation, one.after, True), one.after)
            steps.append((one, step))
        for _ in range(2):
            for _, step in steps:
                same.asked = step.asked
                step.look(catalog, same, ask)
            if not ((same.pending or same.new) and same.settle()):
                break
        yield from self._granted(catalog)
        for one, step in steps:
            if reason := _difference(one, step):
                yield self._refusal(one.title, f"it is not as the deploy has left it: {reason}")

    def _granted(self, catalog: Forecast) -> Iterator[Refusal]:
        """What roles may do with what goes, and did not by the deploy."""
        known = {key for one in self.inverse.objects for key in one.keys}
        for one in self.inverse.objects:
            if one.after is None or one.before or not one.after.acl:
                continue
            target = Target(one.after.acl, one.after.key()[1:])
            for each in privileges_on(target, catalog).values():
                if each.key() not in known:
                    yield self._refusal(each.title, _GOES_TOO)

    def unforeseen(self, plan: Plan) -> Iterator[Refusal]:
        """What a plan would take away beside what the deploy has made."""
        catalog = self.session.catalog()
        own = {key for one in self.inverse.objects for key in one.keys}
        for key, one in catalog.removed.items() if plan.changes else ():
            if key not in own and key not in catalog.objects:
                yield self._refusal(one.title, _GOES_TOO)


_Turn: TypeAlias = tuple[int, Object, bool, bool]
"""When it is its turn, a declaration, and whether it is of something present, and whole."""
_FIRST, _USUALLY, _LAST = 0, 1, 1000


def _declared(
    one: Restored, made: set[Key], serials: Sequence[Name], catalog: Forecast
) -> Iterator[_Turn]:
    """What has an object be as it was."""
    before, after = one.before, one.after
    if isinstance(before or after, IdentitySequence):
        return  # It is its column's.
    if one.is_hidden and before is not None:
        return  # What it was is not known.
    if before is None:
        assert after
        if isinstance(after, Partition) and ("table", *after.name) not in made:
            gone = LeftPartition(after.name, after.parent, attached=False)
            yield _USUALLY, gone, True, False
        elif not _goes_with(after, made, catalog):
            yield _USUALLY, after, False, False
    elif isinstance(before, Partition) and after is None:
        yield _FIRST, AnyPartition(before.name, before.parent, Exact(before.bound)), True, False
        if before.row_security:
            yield _LAST, before, True, True
    elif after is not None or not before.is_part(catalog):
        found = _as_it_was(one)
        if isinstance(found, Table):
            found = found.drawing(serials)
            # What partitions have of their parent follows that.
            yield sum(1 for _ in catalog.lineage(found.name)), found, True, True
        elif isinstance(before, OwnedSequence) and after is None:
            # It comes before the default that names it, and is its column's only then.
            if before.name not in serials:
                yield _FIRST, evolve(before, owned_by=None), True, False
            yield _LAST, found, True, True
        else:
            yield _USUALLY, found, True, True


def _serials(objects: Iterable[Restored]) -> list[Name]:
    """The sequences that are gone and come again with a serial column."""
    return [
        one.name
        for one, after in ((each.before, each.after) for each in objects)
        if isinstance(one, OwnedSequence) and after is None and isinstance(one.owned_by, Owner)
        if one.name
        == Name(
            one.owned_by.table.schema, joined(one.owned_by.table.name, one.owned_by.column, "seq")
        )
    ]


def _goes_with(one: Object, made: set[Key], catalog: Forecast) -> bool:
    """Whether an object goes with another one that goes, which the deploy has made too."""
    if isinstance(one, Privileges) or one.is_part(catalog):
        return True
    above = getattr(one, "parent", None)
    tables = [getattr(one, "table", None), getattr(getattr(one, "owned_by", None), "table", None)]
    holders = {("table", *holder) for holder in (above, *tables) if holder}
    if above:
        holders.add((INDEX, *above))
    elif one.key()[0] == "table":
        holders.add((PARTITION, *one.key()[1:]))
    return not made.isdisjoint(holders)


def _as_it_was(one: Restored) -> Object:
    """The object as it was, declared with the names that it and its parts have now."""
    before = cast(Any, one.before)
    changes: dict[str, Any] = {}
    for part in one.renamed:
        for name in _PARTS.get(part.kind, ()):
            several = changes.get(name, getattr(before, name, None))
            if several is not None:
                changes[name] = tuple(_renamed(each, part) for each in several)
        mapping = _NAMES.get(part.kind)
        if mapping and hasattr(before, mapping):
            known = changes.get(mapping, {})
            pair = (part.old, part.new) if part.kind == "column" else (part.new, part.old)
            changes[mapping] = {**known, pair[0]: pair[1]}
    changes |= _uncommented(before, changes)
    after: Any = one.after
    has_former = any(each.name == "renamed_from" for each in fields(type(before)))
    if after is not None and has_former and after.name != before.name:
        changes["renamed_from"] = after.name
    return cast(Object, evolve(before, **changes) if changes else before)


def _uncommented(one: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """No comment, where there was none: left out, it would stay as it is."""
    found: dict[str, Any] = {}
    for name in ("columns", "attributes"):
        several = changes.get(name, getattr(one, name, None))
        if isinstance(several, tuple):
            found[name] = tuple(
                evolve(each, comment="") if getattr(each, "comment", "") is None else each
                for each in several
            )
    if getattr(one, "comment", "") is None:
        found["comment"] = ""
    return found


def _renamed(one: Any, part: Part) -> Any:
    if getattr(one, "name", None) != part.old:
        return one
    evolved = getattr(one, "evolved", None)
    change = {"renamed_from": part.new}
    return evolved(**change) if evolved else evolve(one, **change)


def _difference(one: Restored, step: Candidate) -> str:
    """In what an object differs from what a deploy has left; "" for nothing."""
    if step.current is None:
        return "it is gone"
    if one.is_hidden:
        return ""
    if step.error:
        return step.error
    lines: list[str] = []
    if step.target is not step.current and step.target != step.current:
        # What is there is what has come since.
        lines = list(difference(step.target, step.current))
    known = [Declared(Operation(""), one.after)]
    lines += [f"+ {part.kind} {part.name}" for part in step.current.undeclared(known)]
    return "; ".join(dict.fromkeys(lines))


def later(titles: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The deploys among rows that have changed an object of a title."""
    wanted = set(titles)
    for row in rows:
        if wanted & {one["object"] for one in row["statements"]}:
            yield row["run"]
