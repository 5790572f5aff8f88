"""The plan of a block, with what goes because nobody declares it, tried as far as that can be."""

from __future__ import annotations

from ..plan.plan import Operation, Refusal
from ..planning.drafts import add, conclude, take_away
from ..planning.phases import foresee, opposed, sort_out
from ..planning.session import Block, Draft, Session
from ..planning.standing import refusals
from ..planning.undeclared import detached, leftovers, removals
from .inverses import noted
from .trial import objection


def fill(session: Session, block: Block, draft: Draft) -> None:
    """Plan what makes the declarations of a draft true."""
    sort_out(session, draft, add)
    draft.plan.refusals += opposed(session, draft)
    with noted(session, draft):
        add(session, draft, draft.turn)
        if draft.plan.sound:
            _finish(session, block, draft)
    foresee(session, draft, add)
    draft.plan.refusals += refusals(session, draft.plan)
    if draft.plan.sound and (found := objection(session, block)):
        draft.plan.refusals.append(found)


def _finish(session: Session, block: Block, draft: Draft) -> None:
    conclude(session, draft)
    declarations = [item.declaration for item in draft.turn if item.present]
    catalog = session.catalog()
    found = leftovers(catalog, declarations, session.waiting(), block.exact)
    if staying := removals(detached(found, catalog, session.waiting())):
        # What of them is nobody's is known only then.
        take_away(session, draft, staying)
        found = leftovers(catalog, declarations, session.waiting(), block.exact)
    draft.plan.refusals += [
        Refusal(Operation("exact"), one.what.within, one.obstacle)
        for one in found
        if one.goes and one.obstacle
    ]
    if going := removals(one for one in found if not one.obstacle):
        take_away(session, draft, going)
        gone = {one.declaration.key(): one.operation for one in going if not one.present}
        catalog.gone.update(gone)
    draft.plan.undeclared = [one.what for one in found if not one.goes]
