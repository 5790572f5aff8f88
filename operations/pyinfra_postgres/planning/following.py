"""One plan for the same catalog and the same declarations.

Where two hosts have both, and their servers answer all else that is asked alike, the same is
planned for them. So a host follows one whose plan changes nothing: it asks its own server what that
one has asked, and compares and plans nothing itself. Other runs remember it likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast
from weakref import WeakKeyDictionary

from attrs import define, field
from gevent.event import Event
from pyinfra.api.state import State

from . import digests, remembered
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
    digest: str | None = None
    """Of all that it follows from beside the catalog, "" for none; None where nobody has asked."""

    def described(self, places: Mapping[int, int]) -> list[Any]:
        """What tells it from others; what the deploy declares is told by its place."""
        items = [
            (
                places.get(id(one.declaration), one.declaration),
                *(one.present, one.phase, one.result is None),
            )
            for one in self.draft.items
        ]
        return [self.block.single, self.block.exact, self.declared, items]


@define(eq=False)
class Course:
    """The blocks of one host in one phase, as long as others may follow."""

    session: Session
    steps: list[Planning] = field(factory=list)
    leader: Course | None = None
    """Whom the host itself follows."""
    plans: bool = False
    """Whether it has made plans itself: from then on it makes all of them."""
    ended: bool = False


_COURSES: WeakKeyDictionary[Session, dict[bool, Course]] = WeakKeyDictionary()
_LEADERS: WeakKeyDictionary[State, dict[tuple[bool, str], list[Course]]] = WeakKeyDictionary()
"""By the phase and the text of the catalog."""


def planned(
    session: Session, block: Block, items: list[Item], plan: Callable[[Draft], None]
) -> Draft:
    """The draft of a block: empty where nothing changes, as another host or another run has found
    it for the same, else as `plan` fills it.
    """
    draft = session.drafts[block, session.executing] = Draft(items=items)
    course = _COURSES.setdefault(session, {}).setdefault(session.executing, Course(session))
    # pyinfra may try an operation again.
    course.ended |= any(one.block is block for one in course.steps)
    step = Planning(block, draft, plan, len(session.declarations))
    text = session.hear().catalog.digest
    every = _LEADERS.setdefault(session.state, {})
    leaders = every.setdefault((session.executing, text), [])
    try:
        if not _follows(course, step, leaders):
            _lead(course, step, leaders)
    except BaseException:
        session.drafts.pop((block, session.executing), None)  # it would change nothing
        raise
    return draft


def _follows(course: Course, step: Planning, leaders: list[Course]) -> bool:
    """Whether the host can follow one whose step changes nothing."""
    session = course.session
    for leader in _followed(course, leaders):
        led = leader.steps[len(course.steps)]
        if _is_declared_alike(leader.session, led, session, step):
            led.planned.wait()
            if led.heard is None:
                break
            if session.hears(led.heard):
                step.draft.plan.undeclared = led.draft.plan.undeclared
                step.draft.plan.waiting = led.draft.plan.waiting
                step.draft.turn = led.draft.turn
                step.draft.waiting = _alike(led.draft.waiting, led.draft.items, step.draft.items)
                course.leader = leader
                course.steps.append(step)
                return True
    return False


def _alike(some: Iterable[Item], items: Iterable[Item], others: Iterable[Item]) -> list[Item]:
    """Those of others that stand where some of the items do."""
    chosen = {id(one) for one in some}
    return [its for one, its in zip(items, others, strict=True) if id(one) in chosen]


def _followed(course: Course, leaders: Iterable[Course]) -> list[Course]:
    """The hosts that one may follow with its next block."""
    if course.ended or course.plans or (course.steps and not course.leader):
        return []
    found = [course.leader] if course.leader else leaders
    return [one for one in found if len(one.steps) > len(course.steps)]


def _lead(course: Course, step: Planning, leaders: list[Course]) -> None:
    """Have others wait for a step, and follow it where it changes nothing."""
    course.leader = None
    if not course.ended:
        course.steps.append(step)
        if len(course.steps) == 1 and len(leaders) < _MOST:
            leaders.append(course)
    try:
        step.heard = _remembered(course, step) or _planned(course, step)
    finally:
        course.ended |= step.heard is None
        step.planned.set()


def _remembered(course: Course, step: Planning) -> Heard | None:
    """What the server says where another run has found that a step changes nothing."""
    session = course.session
    if course.ended or course.plans or session.verdicts.is_empty:
        return None
    inputs = _inputs(course, step)
    with session.listening() as heard:
        plan = remembered.unchanged(session, inputs) if inputs else None
        if plan is None:
            return None
        step.draft.plan = plan
        return heard


def _planned(course: Course, step: Planning) -> Heard | None:
    """What the server says while a step is planned, which is remembered if it changes nothing."""
    session = course.session
    before = [] if course.plans else [one for one in course.steps if one is not step]
    text = session.hear().catalog.digest
    course.plans = True
    with session.listening() as heard:
        # Where the catalog changed while it was read, it has been read again.
        course.ended |= session.snapshot().text != text
        # What it has not planned itself is in no catalog yet.
        for one in before:
            one.plan(Draft(items=one.draft.items))
        step.plan(step.draft)
        plan = step.draft.plan
        if course.ended or heard.told or plan.changes or plan.gaps or plan.refusals:
            return None
        if session.verdicts.remembers and (inputs := _inputs(course, step)):
            remembered.keep(session, inputs, heard, plan)
        return heard


def _inputs(course: Course, step: Planning) -> remembered.Inputs | None:
    """What a plan follows from beside what the server answers; None where nobody can tell."""
    text = course.session.hear().catalog.digest
    if step.digest is None:
        step.digest = _digest(course, step) or ""
    return (digests.of_package(), text, step.digest) if step.digest else None


def _digest(course: Course, step: Planning) -> str | None:
    """A digest of what the plan of a step follows from, beside the catalog."""
    session = course.session
    places = {id(one): place for place, one in enumerate(session.declarations)}
    return digests.of(
        [
            *(session.host.data.get(name) for name in _DATA),
            session.declarations,
            *(one.described(places) for one in dict.fromkeys([*course.steps, step])),
        ]
    )


def _is_declared_alike(leader: Session, led: Planning, session: Session, step: Planning) -> bool:
    """Whether all is the same that two steps follow from, beside what servers say."""
    before = leader.declarations[: led.declared]
    found = dict(zip(map(id, before), session.declarations, strict=False))

    def item(one: Item) -> tuple[Any, ...]:
        # Those that have been compared already are told by the one that they are the same as.
        declaration = found.get(id(one.declaration), one.declaration)
        return one.operation, declaration, one.present, one.phase, one.result is None

    named_alike = session.hear().database == leader.hear().database
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
    if values := digests.attributes(cast(Hashable, kind)):
        return same(values(one), values(other))
    if issubclass(kind, Mapping):
        return same(list(one.items()), list(other.items()))
    if issubclass(kind, AbstractSet):
        return same(sorted(one, key=repr), sorted(other, key=repr))
    return bool(one == other) and repr(one) == repr(other)
