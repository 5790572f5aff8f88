"""Phases of a rollout: what waits for a run that does them, and what gives way to them then.

What would break the clients that run now is declared for a phase. Other runs leave it as it is, and
tell what waits. Once all of it is in place the phase is done for that database: what the rest of
the deploy declares otherwise of the same objects then counts no longer, in any run.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeAlias, cast

from attrs import evolve, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..catalog.renames import Rename, followed
from ..errors import DeclarationError, HostError
from ..objects.kind import Object
from ..plan.plan import Operation, Plan, Refusal, Waiting
from ..syntax.names import Name
from ..syntax.parse import Reference
from ..transport.host_data import read
from .session import PHASE, Draft, Item, Session

Add: TypeAlias = Callable[[Session, Draft, Sequence[Item]], None]
"""What adds to a plan what declarations would change."""


def sort_out(session: Session, draft: Draft, add: Add) -> None:
    """Tell what of a draft has its turn in this run from what waits for another one."""
    phases = _by_phase(draft.items)
    now = phases.pop("", [])
    draft.waiting = []
    chosen: list[Item] = []
    for phase, items in phases.items():
        is_now = session.does(phase) or _is_done(_planned(session, phase, items, add).plan)
        (chosen if is_now else draft.waiting).extend(items)
    draft.turn = [*_giving_way(now, chosen, session.catalog()), *chosen]


def check(session: Session) -> None:
    """Raise HostError where a run is to do a phase that no deploy of it has on any host.

    All of them have been read once pyinfra executes; a dry run tells it at its end.
    """
    if session.executing and (found := unknown(session)):
        raise HostError(found)


def unknown(session: Session) -> str:
    """What to say of a phase that a run is to do and that no block has, as far as it is read."""
    known = {phase for host in session.state.inventory for phase in Session.of(host).phases}
    asked = read(session.host.data.dict(), PHASE, frozenset())
    for phase in sorted(asked - known):
        near = difflib.get_close_matches(phase, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(known))}"
        return (
            f"{PHASE}: no pg.transaction(phase=...) of this run is for {phase}: "
            f"{hint if known else 'leave it out'}"
        )
    return ""


def _by_phase(items: Iterable[Item]) -> dict[str, list[Item]]:
    phases: dict[str, list[Item]] = {}
    for item in items:
        phases.setdefault(item.phase, []).append(item)
    return phases


def _is_done(plan: Plan) -> bool:
    return plan.sound and not plan.changes


def foresee(session: Session, draft: Draft, add: Add) -> None:
    """Have a plan tell what waits, as it will be on what the plan leaves."""
    phases = _by_phase(draft.waiting)
    draft.plan.waiting = [_planned(session, phase, items, add) for phase, items in phases.items()]


def _planned(session: Session, phase: str, items: list[Item], add: Add) -> Waiting:
    """What the items of a phase would change."""
    draft = Draft(items=items)
    with session.glimpse():
        try:
            add(session, draft, items)
        except (HostError, DeclarationError) as error:
            draft.plan.refusals.append(Refusal(Operation(phase), f"phase {phase}", str(error)))
    return Waiting(phase, draft.plan)


def _giving_way(items: Iterable[Item], later: Sequence[Item], catalog: Forecast) -> Iterator[Item]:
    """What is declared outside of phases, without what those that have their turn say otherwise."""
    others = _Others.of(later, catalog)
    for item in items:
        singles = list(item.declaration.expand(catalog)) if later else []
        left = [others.left(one) if item.present else None for one in singles]
        if left == singles:
            yield item
        else:
            yield from (evolve(item, declaration=one) for one in left if one is not None)


def opposed(session: Session, draft: Draft) -> Iterator[Refusal]:
    """What blocks of their own declare for a phase, and others declare otherwise.

    What a phase changes has to be known where the rest is planned.
    """
    if not session.later:
        return
    catalog = session.catalog()
    here = {id(item) for item in draft.items}
    elsewhere = [item for item in session.later if id(item) not in here]
    before = [
        item
        for (_, executing), other in session.drafts.items()
        if executing is session.executing and other is not draft
        for item in other.items
    ]
    sides = [
        ([one for one in draft.items if not one.phase], elsewhere),
        ([one for one in before if not one.phase], [one for one in draft.items if one.phase]),
    ]
    for items, later in sides:
        others = _Others.of(later, catalog)
        for item in items if later else ():
            for one in item.declaration.expand(catalog) if item.present else ():
                if others.left(one) != one:
                    phase = next(each.phase for each in later)
                    yield Refusal(
                        item.operation,
                        one.title,
                        f"phase {phase} of a block apart declares it otherwise: put that "
                        f"pg.transaction(phase={phase!r}) into the block with this",
                    )


@frozen
class _Others:
    """What phases declare, by what it is about."""

    present: dict[Key, Object]
    absent: dict[Key, list[Object]]
    gone: set[Reference]
    """What goes as a whole, with what belongs to it."""
    dropped: dict[Name, set[str]]
    """The columns that go, by what has them."""
    renames: list[Rename]

    @classmethod
    def of(cls, items: Iterable[Item], catalog: Forecast) -> Self:
        """Read the declarations of items."""
        found = cls({}, {}, set(), {}, [])
        for item in items:
            for one in item.declaration.expand(catalog):
                if item.present:
                    found.present[one.key()] = one
                    found.renames.extend(one.renames(catalog))
                    if columns := set(one.dropped_columns()):
                        found.dropped[Name(*one.key()[1:3])] = columns
                else:
                    found.absent.setdefault(one.key(), []).append(one)
                    found.gone.update(one.provides() if one.withdrawn(one) is None else ())
        return found

    def left(self, one: Object) -> Object | None:
        """What is left of a declaration, under the names that they give."""
        for rename in self.renames:
            one = _followed(one, rename)
        if one.belongs_to() in self.gone or self._takes_along(one):
            return None
        for other in self.absent.get(one.key(), ()):
            rest = other.withdrawn(one)
            if rest is None:
                return None
            one = rest
        later = self.present.get(one.key())
        return one if later is None else one.giving_way(later)

    def _takes_along(self, one: Object) -> bool:
        """Whether columns go without which it is nothing."""
        return any(one.goes_with(table, columns) for table, columns in self.dropped.items())


def _followed(one: Object, rename: Rename) -> Object:
    """A declaration under the name that a phase gives, which names no NOT NULL by itself."""
    found: Any = followed(one, rename)
    columns = getattr(one, "columns", None)
    if found is one or not columns or not hasattr(columns[0], "not_null"):
        return cast(Object, found)
    pairs = zip(found.columns, columns, strict=True)
    own = tuple(evolve(column, not_null=before.not_null) for column, before in pairs)
    return cast(Object, evolve(found, columns=own))
