"""From the declarations of a block to its plan.

Nothing here changes a server; it is asked only what the catalog can't answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import Key
from ..comparison.compare import Comparison
from ..errors import DeclarationError
from ..objects.kind import Object
from ..plan.plan import Operation, Refusal
from . import order, renaming
from .clients import warned
from .conditions import in_time, takes_others
from .order import in_turn
from .planner import Planner
from .questions import Questions
from .session import Draft, Item, Session
from .standing import refusals
from .uses import USES, Use, read


def fill(session: Session, draft: Draft, leftovers: Sequence[Item] = ()) -> None:
    """Plan what makes the declarations of a draft true, then takes leftovers away."""
    add(session, draft, draft.turn)
    conclude(session, draft)
    take_away(session, draft, leftovers)
    draft.plan.refusals += refusals(session, draft.plan)


def take_away(session: Session, draft: Draft, leftovers: Sequence[Item]) -> None:
    """Add to a plan that what nobody declares goes."""
    draft.leftovers += leftovers
    if leftovers:
        add(session, draft, leftovers)
        # Without a key, its columns are as declared only now.
        parts = {one.declaration.key() for one in leftovers if one.present}
        add(session, draft, [one for one in draft.turn if one.declaration.key() in parts])


def add(session: Session, draft: Draft, items: Sequence[Item]) -> None:
    """Add to a plan what declarations would change, and to the catalog how it will be then."""
    catalog, plan = session.catalog(), draft.plan
    same = Comparison(catalog, session.read, before=session.verdicts)
    # What is given another schema needs that first.
    ground = [one for one in items if _is_ground(one)]
    others = [one for one in items if not _is_ground(one)]
    ask = Questions(session, catalog, plan.is_renaming)
    Planner(session, catalog, plan, same, ask).add(in_turn(ground, catalog).items, {})
    wholes_first = sorted(others, key=_renames_parts)
    renames = {id(one): tuple(renaming.renamed(one, catalog, plan)) for one in wholes_first}
    ask = Questions(session, catalog, any(renames.values()) or plan.is_renaming)
    for one in others if ask.in_time else ():
        one.declaration.foretell(catalog)
    uses = _uses(others, catalog, ask)
    turns = in_turn(others, catalog, uses)
    for circle in turns.circles:
        titles = " needs ".join(one.declaration.title for one in circle)
        reason = f"these need one another in a circle: {titles}"
        plan.refusals.append(Refusal(circle[0].operation, circle[0].declaration.title, reason))
    Planner(session, catalog, plan, same, ask).add(turns.items, renames)
    if not uses and takes_others(plan.changes) and ask.in_time:
        uses = read(ask.renamed(USES))
    before = catalog.glimpse_of or session.snapshot()
    plan.changes = warned(in_time(plan.changes, uses), before)
    for text in sorted(catalog.unread):
        session.tell(f"{text} is left as it is, for it can't be read")
    catalog.unread.clear()
    for text in sorted(same.unknown):
        session.tell(f"unknown on a standby whether {text!r} differs")


def _is_ground(item: Item) -> bool:
    one = item.declaration
    return item.present and one.is_ground and getattr(one, "renamed_from", None) is None


def _renames_parts(item: Item) -> tuple[bool, int]:
    """Where the renames of a declaration stand: what holds others has its new name first."""
    one = item.declaration
    return getattr(one, "renamed_from", None) is None, len(one.key())


def _uses(items: Iterable[Item], catalog: Forecast, ask: Questions) -> list[Use]:
    """What uses what, where something goes that is there."""
    going = any(
        order.takes_away(one, catalog) and one.declaration.key() in catalog.objects for one in items
    )
    return read(ask.renamed(USES)) if going and ask.in_time else []


def conclude(session: Session, draft: Draft) -> None:
    """Add to a plan what goes because nothing of all that the run declares asks for it."""
    catalog = session.catalog()
    items: dict[Key, Item] = {}
    known: dict[Key, Sequence[Declared]] = {}
    for item in [*draft.turn] if draft.plan.sound else ():
        for one in item.declaration.expand(catalog) if item.present else ():
            if not one.alone([one]):
                continue
            known = known or everything(catalog, session.waiting())
            declared = [each.declaration for each in known.get(one.key(), ())]
            if sole := one.alone(declared):
                items[one.key()] = Item(item.operation, sole, True)
    if items:
        add(session, draft, [*items.values()])


def everything(catalog: Forecast, waiting: Iterable[Object]) -> dict[Key, Sequence[Declared]]:
    """What the run declares of each object: what has had its turn, and what waits for it."""
    known: dict[Key, Sequence[Declared]] = dict(catalog.declared)
    nobody = Operation("")
    for one in waiting:
        # What is wrong with it is told when it has its turn.
        with suppress(DeclarationError):
            for single in one.expand(catalog):
                known[single.key()] = [*known.get(single.key(), ()), Declared(nobody, single)]
    return known
