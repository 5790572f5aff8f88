"""One plan for the equal databases of a run.

Where two hosts have the same catalog and the same declarations, and their servers answer all else
that is asked alike, the same is planned for them. So a host follows one whose plan changes nothing:
it asks its own server what that one has asked, and compares and plans nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from typing import Any, cast
from weakref import WeakKeyDictionary

from attrs import define, field, fields, has
from gevent.event import Event
from pyinfra.api.state import State

from .session import ALLOW, PHASE, REMEMBER, Block, Draft, Heard, Item, Session

_DATA = (ALLOW, PHASE, REMEMBER, "postgres_today", "postgres_trust")
"""The host data that a plan depends on."""
_MOST = 10
"""How many hosts with one catalog others are compared with."""


@define(eq=False)
class Planning:
    """A block of a host, with all that its plan follows from beside the catalog."""

    block: Block
    draft: Draft
    plan: Callable[[Draft], None]
    declared: int
    """How many declarations of the deploy had been read."""
    heard: Heard | None = None
    """What the server has said; None where there is no plan, or others do not follow it."""
    planned: Event = field(factory=Event)
    """Set once the plan is there."""


@define(eq=False)
class Course:
    """The blocks of one host in one phase, as long as others may follow."""

    session: Session
    steps: list[Planning] = field(factory=list)
    leader: Course | None = None
    """Whom the host itself follows."""
    ended: bool = False


_COURSES: WeakKeyDictionary[Session, dict[bool, Course]] = WeakKeyDictionary()
_LEADERS: WeakKeyDictionary[State, dict[tuple[bool, str], list[Course]]] = WeakKeyDictionary()
"""By the phase and the text of the catalog."""


def planned(
    session: Session, block: Block, items: list[Item], plan: Callable[[Draft], None]
) -> Draft:
    """The draft of a block: as the host has it that this one follows, or as `plan` fills it."""
    draft = session.drafts[block, session.executing] = Draft(items=items)
    text = session.snapshot().text
    course = _COURSES.setdefault(session, {}).setdefault(session.executing, Course(session))
    leaders = _LEADERS.setdefault(session.state, {}).setdefault((session.executing, text), [])
    # pyinfra may try an operation again.
    course.ended |= not text or any(one.block is block for one in course.steps)
    step = Planning(block, draft, plan, len(session.declarations))
    for leader in _followed(course, leaders):
        led = leader.steps[len(course.steps)]
        if _is_declared_alike(leader.session, led, session, step):
            led.planned.wait()
            if led.heard is None:
                break
            if session.hears(led.heard):
                draft.plan.undeclared = led.draft.plan.undeclared
                draft.plan.waiting = led.draft.plan.waiting
                course.leader = leader
                course.steps.append(step)
                return draft
    if course.leader:
        # What it has not planned itself is in no catalog yet.
        for one in course.steps:
            one.plan(Draft(items=one.draft.items))
        course.leader, course.ended = None, True
    with _leading(course, step, leaders):
        plan(draft)
    return draft


def _followed(course: Course, leaders: Iterable[Course]) -> list[Course]:
    """The hosts that one may follow with its next block."""
    if course.ended or (course.steps and not course.leader):
        return []
    found = [course.leader] if course.leader else leaders
    return [one for one in found if len(one.steps) > len(course.steps)]


@contextmanager
def _leading(course: Course, step: Planning, leaders: list[Course]) -> Iterator[None]:
    """Have others wait for a step of this host, and follow it if it changes nothing."""
    if not course.ended:
        course.steps.append(step)
        if len(course.steps) == 1 and len(leaders) < _MOST:
            leaders.append(course)
    try:
        with course.session.listening() as heard:
            yield
        plan = step.draft.plan
        if not (course.ended or heard.told or plan.changes or plan.gaps or plan.refusals):
            step.heard = heard
    finally:
        course.ended |= step.heard is None
        step.planned.set()


def _is_declared_alike(leader: Session, led: Planning, session: Session, step: Planning) -> bool:
    """Whether all is the same that two steps follow from, beside what servers say."""
    before = leader.declarations[: led.declared]
    found = dict(zip(map(id, before), session.declarations, strict=False))

    def item(one: Item) -> tuple[Any, ...]:
        # Those that have been compared already are told by the one that they are the same as.
        declaration = found.get(id(one.declaration), one.declaration)
        return one.operation, declaration, one.present, one.phase, one.result is None

    named_alike = session.snapshot().database == leader.snapshot().database
    every = [*session.declarations, *(item.declaration for item in step.draft.items)]
    return (
        (step.block.single, step.block.exact) == (led.block.single, led.block.exact)
        and same(*([one.host.data.get(name) for name in _DATA] for one in (leader, session)))
        and same(before, session.declarations)
        and same(*(list(map(item, one.draft.items)) for one in (led, step)))
        and (named_alike or not any(one.is_of_database for one in every))
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in each part, and of the same types: 1 is not True."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if issubclass(kind, str):
        return bool(one == other)
    if issubclass(kind, tuple | list):
        return len(one) == len(other) and all(
            each is its or same(each, its) for each, its in zip(one, other, strict=True)
        )
    if values := _values(cast(Hashable, kind)):
        return same(values(one), values(other))
    if issubclass(kind, Mapping):
        return same(list(one.items()), list(other.items()))
    if issubclass(kind, AbstractSet):
        return same(sorted(one, key=repr), sorted(other, key=repr))
    return bool(one == other) and repr(one) == repr(other)


@cache
def _values(kind: Any) -> Callable[[Any], Any] | None:
    """What gives all attributes of a declaration, or a part of one."""
    names = [one.name for one in fields(kind)] if has(kind) else []
    return attrgetter(*names) if names else None
