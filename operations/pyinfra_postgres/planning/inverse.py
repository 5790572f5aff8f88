"""What a plan does to the catalog, so that it can be undone: each object before and after.

It is the difference of two catalogs as they are planned, not the text of statements turned round.
What no catalog has (rows, what a script does) can't be undone and is named. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple, Self

from attrs import define, evolve, field, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import VIEWS, Key
from ..catalog.renames import Rename, followed
from ..errors import HostError
from ..hidden import masked
from ..objects.access.default_privileges import differing_defaults
from ..objects.access.object_privileges import Privileges, Target, privileges_on
from ..objects.kind import Object
from ..plan.plan import Action, Plan
from ..plan.sealed import Json
from ..syntax.acl import Acl
from ..syntax.names import Exact
from .written import read, written


class Part(NamedTuple):
    """A part of an object that has got another name."""

    kind: str
    old: str
    new: str


@frozen
class Restored:
    """An object as it was before a plan, and as that leaves it; None where it is not there."""

    before: Object | None
    after: Object | None
    renamed: tuple[Part, ...] = ()
    is_hidden: bool = False
    """Whether something in it is hidden, so that nothing but its being there is kept."""

    @property
    def title(self) -> str:
        """Its kind and name, for people."""
        one = self.after or self.before
        assert one
        return one.title

    @property
    def keys(self) -> Iterator[Key]:
        """What identifies it, before and after."""
        return (one.key() for one in (self.before, self.after) if one)


class Obstacle(NamedTuple):
    """What of a plan can't be undone."""

    title: str
    reason: str
    table: Key = ()
    """What identifies the table that it is about: with that, what is on it goes too."""


@frozen
class Inverse:
    """How a plan is undone."""

    objects: tuple[Restored, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()

    def json(self) -> Json:
        """What is kept of it: nothing that is hidden."""
        return {
            "objects": list(map(_json, self.objects)),
            "obstacles": [
                {
                    "object": masked(one.title),
                    "reason": masked(one.reason),
                    "table": list(one.table),
                }
                for one in self.obstacles
            ],
        }

    @classmethod
    def read(cls, said: Any) -> Self:
        """From JSON. Raises HostError."""
        try:
            objects = [
                Restored(
                    read(one["before"]),
                    read(one["after"]),
                    tuple(Part(*part) for part in one["renamed"]),
                    one["is_hidden"],
                )
                for one in said["objects"]
            ]
            obstacles = [
                Obstacle(one["object"], one["reason"], tuple(one["table"]))
                for one in said["obstacles"]
            ]
        except (LookupError, TypeError):
            raise HostError("it was written by another version of pyinfra-postgres") from None
        return cls(tuple(objects), tuple(obstacles))

    def followed_by(self, later: Inverse) -> Inverse:
        """How to undo both, where another plan came after."""
        objects = {_place(one): one for one in self.objects}
        for one in later.objects:
            # What it was for the later one is what the earlier one has left, or taken away.
            known = one.before or one.after
            earlier = objects.pop(known.key(), None) if known else None
            if earlier is None:
                both = one
            elif (earlier.after is None) != (one.before is None):
                raise HostError(f"{one.title} has changed between two transactions of the deploy")
            else:
                renamed = _both(earlier.renamed, one.renamed)
                is_hidden = earlier.is_hidden or one.is_hidden
                both = Restored(earlier.before, one.after, renamed, is_hidden)
            if both.before or both.after:
                objects[_place(both)] = both
        return Inverse(tuple(objects.values()), (*self.obstacles, *later.obstacles))

    def resumed(self, ran: Set[Key], anew: Inverse) -> Inverse:
        """How to undo a plan that was made anew once a part of this one had run, which has changed
        the objects of these keys.
        """
        done = {_place(one): one for one in self.objects if not ran.isdisjoint(one.keys)}
        objects = []
        for one in anew.objects:
            known = done.pop(_place(one), None)
            objects.append(evolve(one, before=known.before) if known else one)
        return Inverse((*done.values(), *objects), anew.obstacles)


def _place(one: Restored) -> Key:
    found = one.after or one.before
    assert found
    return found.key()


def _both(earlier: Iterable[Part], later: Iterable[Part]) -> tuple[Part, ...]:
    """Renames of parts, one after another."""
    found = list(earlier)
    for one in later:
        known = next((each for each in found if (each.kind, each.new) == one[:2]), None)
        if known:
            found.remove(known)
            one = one._replace(old=known.old)
        found.append(one)
    return tuple(one for one in found if one.old != one.new)


def _json(one: Restored) -> Json:
    def shown(value: Any) -> Any:
        match value:
            case str():
                return masked(value)
            case list():
                return list(map(shown, value))
            case dict():
                return {name: shown(each) for name, each in value.items()}
        return value

    sides = {"before": written(one.before), "after": written(one.after)}
    kept = {name: shown(side) for name, side in sides.items()}
    hides = one.is_hidden or kept != sides
    if kept["after"] != sides["after"] and one.before:
        # What was there before may be what was hidden before.
        kept["before"] = kept["after"]
    return {**kept, "renamed": [list(part) for part in one.renamed], "is_hidden": hides}


@define
class Before:
    """A catalog as it is before a plan is made."""

    objects: dict[Key, Any]
    acls: dict[Key, Acl]
    default_acls: dict[tuple[str, str, str], Acl]
    renames: int
    """How many there were."""

    @classmethod
    def of(cls, catalog: Forecast) -> Self:
        """What a plan begins with."""
        return cls(
            dict(catalog.objects),
            dict(catalog.acls),
            dict(catalog.default_acls),
            len(catalog.renames),
        )

    def inverse(self, catalog: Forecast, plan: Plan) -> Inverse:
        """How a plan is undone that leaves a catalog."""
        renames = catalog.renames[self.renames :]
        former = _Former(self.objects, renames)
        before = Forecast(
            objects=self.objects,
            acls=self.acls,
            default_acls=self.default_acls,
            version=catalog.version,
            role=catalog.role,
        )
        objects = [
            *former.differing(catalog.objects),
            *former.privileges(before, catalog),
            *_defaults(before, catalog, renames),
        ]
        known = {key for one in objects for key in one.keys}
        tables = {key for key in catalog.objects if key[0] == "table"}
        return Inverse(tuple(objects), tuple(_obstacles(plan, known, tables)))


@define
class _Former:
    """The objects of before under the names that renames give them, and those that they had."""

    objects: dict[Key, Any]
    renames: list[Rename]
    now: dict[Key, tuple[Key, Any]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        every = list(self.objects.items())
        for rename in self.renames:
            every = [(key, followed(one, rename)) for key, one in every]
        self.now = {one.key(): (key, one) for key, one in every}

    def differing(self, objects: Mapping[Key, Any]) -> Iterator[Restored]:
        """The objects that are others than they were, or have other names."""
        parts = self._parts()
        own = {one.new for one in self.renames if not one.whole}
        for key in dict.fromkeys([*self.now, *objects]):
            old, there = self.now.get(key, (key, None))
            after = objects.get(key)
            # That its holder has another name is no change of its own.
            if there is after or (there == after and key not in parts and key not in own):
                continue
            before = None if there is None else self.objects[old]
            yield Restored(before, after, tuple(parts.get(key, ())))

    def _parts(self) -> dict[Key, list[Part]]:
        """The parts with other names, by the objects that they are of."""
        found: dict[Key, list[Part]] = {}
        for one in self.renames:
            if one.whole:
                part = Part(one.old[0], str(one.old[-1]), str(one.new[-1]))
                # The columns of a view are renamed as those of a table.
                views = ((view, *one.whole[1:]) for view in VIEWS)
                key = next((view for view in views if view in self.now), one.whole)
                found.setdefault(key, []).append(part)
        return {key: list(_both((), each)) for key, each in found.items()}

    def privileges(self, before: Forecast, after: Forecast) -> Iterator[Restored]:
        """What roles may do otherwise."""
        former = {(one.acl, *key[1:]): (one.acl, *old[1:]) for key, (old, one) in self.now.items()}
        targets: dict[Key, None] = {}
        for key in [*former, *before.acls, *after.acls]:
            target = ("TABLE", *key[1:3]) if key[0] == "COLUMN" else key
            old = (*former.get(target, target), *key[len(target) :])
            if before.acls.get(old) != after.acls.get(key):
                targets[target] = None
        for target in targets:
            old = former.get(target, target)
            was, now = privileges_on(_target(old), before), privileges_on(_target(target), after)
            # What is made anew has what everybody gets from the start.
            usual = {} if target in after.acls else _usual(old, after)
            for grantee in dict.fromkeys([*was, *now, *usual]):
                # What is granted to nobody is no less there: only its object goes.
                pair = (
                    was.get(grantee) or _nothing(_target(old), Exact(grantee), before),
                    now.get(grantee) or _nothing(_target(target), Exact(grantee), after),
                )
                if pair[0] != pair[1]:
                    yield Restored(*pair)


def _target(key: Key) -> Target:
    return Target(key[0], key[1:])


def _usual(key: Key, catalog: Forecast) -> Iterable[Exact]:
    """Who may do something with an object of a kind as soon as it is there."""
    return [Exact(grantee) for grantee, _ in catalog.new_acl(key).granted]


def _nothing(target: Target, grantee: Exact, catalog: Forecast) -> Privileges | None:
    """That a role may do nothing with what is there."""
    return Privileges(target, grantee, frozenset(), sole=True).stored(catalog)


def _defaults(before: Forecast, after: Forecast, renames: Iterable[Rename]) -> Iterator[Restored]:
    def called(schema: str) -> str:
        for one in renames:
            schema = one.schema(schema)
        return schema

    for pair in differing_defaults(before, after, called):
        yield Restored(*pair)


def _obstacles(plan: Plan, known: set[Key], tables: set[Key]) -> Iterator[Obstacle]:
    """What of a plan is in no catalog."""
    for change in plan.changes:
        table = ("table", *change.key[1:3])
        key = table if table in tables else ()
        losses = [loss for one in change.statements for loss in one.losses if loss.told]
        for loss in losses:
            yield Obstacle(loss.title, f"it lost {loss.told}", key)
        if change.action is Action.RUN:
            yield Obstacle(change.title, "what it did is not known", key)
        elif change.key not in known:
            yield Obstacle(change.title, "what it changed is in no catalog", key)
