"""A trial of a plan's transaction, which is rolled back: what only the server can find.

It runs the statements up to the first for which another session might have to wait, or which may
leave something behind: SQL of the user's own, and what touches relations that were there before.
Rows are neither read nor written. A first apply is tried as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..catalog import snapshot as snapshots
from ..hidden import masked
from ..plan.plan import Change, Plan, Refusal, Stage, Statement
from ..planning.session import Block, Session
from ..transport.watch import Patience
from . import steps

_SAYS_NOTHING = ("08", "25006", "40", "53", "55P03", "57", "58", "XX")
"""The SQLSTATEs, or their beginnings, of failures that are not the plan's: the server's state,
locks, other sessions."""


def objection(session: Session, block: Block) -> Refusal | None:
    """What the server has against the plan of a block, as far as a trial can tell."""
    catalog = session.catalog()
    if catalog.standby or block in session.tried:
        return None
    session.tried.add(block)
    message = steps.trial(list(_harmless(plans_until(session, block))))
    if not any(step.statement for step in message):
        return None
    failure = session.read([step.sql for step in message], Patience.WORK).failure
    if failure is None or failure.sqlstate.startswith(_SAYS_NOTHING) or not failure.sqlstate:
        return None
    at = message[failure.index]
    if at.change is None or at.statement is None:
        return None
    # Another deploy may have come in between: then the plan is made anew.
    known = catalog.fingerprint
    script = snapshots.fingerprint_script(known.unreadable)
    if session.read(script).values() != [known.digest]:
        return None
    hidden = at.statement.hidden
    said = failure if hidden else failure.explained
    reason = masked(f"PostgreSQL refuses it: {said}", hidden) + failure.advice
    return Refusal(at.change.operation, at.change.title, reason)


def plans_until(session: Session, block: Block) -> Iterator[Plan]:
    """The plan of a block, after those that have not run yet."""
    own = session.drafts[block, session.executing]
    for (_, executing), draft in session.drafts.items():
        if draft is own or not (executing or session.executing):
            yield draft.plan
        if draft is own:
            return


def _harmless(plans: Iterable[Plan]) -> Iterator[tuple[Change, Statement]]:
    """The statements of transactions up to the first that others might notice."""
    for plan in plans:
        if plan.of(Stage.BEFORE):
            return
        for change, statement in plan.of(Stage.MAIN):
            if not change.is_quiet and statement.trial is None:
                return
            yield change, statement
        if plan.of(Stage.AFTER):
            return
