"""Undoing a deploy: what the history has of it, and the plan that takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from attrs import evolve, frozen
from pyinfra.api.state import State

from ..errors import HostError
from ..plan.plan import Operation
from ..planning import standing
from ..planning.drafts import add
from ..planning.inverse import Inverse
from ..planning.session import HISTORY, Block, Draft, Session
from ..planning.undoing import Undoing, later
from ..syntax.names import literal
from ..transport.host_data import read
from ..transport.scripts import run
from .history import understood
from .inverses import noted
from .record import TABLE, reading
from .trial import objection

_Row = Mapping[str, Any]
_STRANGERS: WeakKeyDictionary[State, set[str]] = WeakKeyDictionary()
"""The hosts of a run that do not know what is to be undone."""


@frozen
class Past:
    """What the history of a database has of a deploy."""

    deploy: str
    inverse: Inverse | None
    """How it is undone; None where there is nothing to undo."""
    said: str = ""
    """Why there is nothing."""
    is_known: bool = True
    """Whether it has run there at all."""
    later: tuple[_Row, ...] = ()
    """What ran after it."""


def past(session: Session, deploy: str) -> Past:
    """What the history has of a deploy. Raises HostError where it can't be undone."""
    data = session.host.data.dict()
    if not read(data, HISTORY, False):
        raise HostError(
            f"it has no {HISTORY} = True, so what runs there is not recorded, and can't be undone"
        )
    trusted = read(data, "postgres_trust", frozenset())
    own = _rows(session, trusted, f"WHERE d.run = {literal(deploy)}", with_inverse=True)
    if not own:
        return Past(deploy, None, f"the deploy {deploy} never ran here", is_known=False)
    since = f"(SELECT max(started_at) FROM {TABLE} WHERE run = {literal(deploy)})"
    after = _rows(session, trusted, f"WHERE d.started_at > {since}")
    if by := _undone(deploy, after):
        return Past(deploy, None, f"the deploy {deploy} is undone already, by {by}")
    if any(one["runs"] for one in own):
        raise HostError(f"the deploy {deploy} is under way")
    applied = [one for one in own if one["applied_at"]]
    if not applied:
        (*_, last) = own
        reason = last["cut_off"] or last["error"]
        if any(each["stage"] == "before" for each in last["statements"]):
            raise HostError(
                f"the deploy {deploy} has failed, and what comes before its transaction may be in "
                f"place ({reason}): run it again, and undo that run"
            )
        return Past(deploy, None, f"nothing of the deploy {deploy} is in place: {reason}")
    return Past(deploy, _inverse(deploy, applied), later=tuple(after))


def _rows(
    session: Session, trusted: frozenset[str], which: str, *, with_inverse: bool = False
) -> list[dict[str, Any]]:
    """Rows of the history, the oldest first."""
    without = () if with_inverse else ("inverse",)
    script = reading(trusted, f"{which} ORDER BY d.started_at, d.block", without)
    answer = run(session.host, script)
    if answer.failure:
        raise HostError(f"could not read the history: {answer.failure}")
    place, rows = understood(answer.rows)
    # Who may not write it could not record it; and nobody else's table says what is run.
    if place.table and (reason := place.unreadable or place.unwritable):
        raise HostError(f"could not take it from the history: {reason}")
    return rows


def _undone(deploy: str, rows: Sequence[_Row]) -> str:
    """The run that has undone a deploy and is not undone itself; "" for none."""
    runs = [one["run"] for one in rows if one["undoes"] == deploy and one["applied_at"]]
    return next((one for one in runs if not _undone(one, rows)), "")


def _inverse(deploy: str, rows: Sequence[_Row]) -> Inverse:
    found = Inverse()
    for one in rows:
        if one["inverse"] is None:
            raise HostError(
                f"the history does not have how the deploy {deploy} is undone: version "
                f"{one['version']} of pyinfra-postgres has recorded it"
            )
        try:
            found = found.followed_by(Inverse.read(one["inverse"]))
        except HostError as error:
            raise HostError(f"the deploy {deploy} can't be undone: {error}") from None
    return found


def fill(session: Session, block: Block, draft: Draft) -> str:
    """Plan what undoes the deploy that a block is for. Returns why there is nothing to undo.

    Raises HostError, also where the last one of all hosts does not know it either.
    """
    found = past(session, block.undoes)
    block.items.clear()
    if found.inverse is None:
        state = session.state
        strangers = _STRANGERS.setdefault(state, set())
        strangers |= set() if found.is_known else {session.host.name}
        if len(strangers) == len(state.inventory):
            raise HostError(f"no host has a deploy {block.undoes}")
        return found.said
    undoing = Undoing(session, found.inverse, Operation(block.name))
    refusals = list(undoing.refusals())
    for place, one in enumerate(refusals):
        if by := ", ".join(dict.fromkeys(later([one.title], found.later))):
            refusals[place] = evolve(one, reason=f"{one.reason} (changed by {by} since)")
    turns = undoing.turns()
    block.items.extend(item for turn in turns for item in turn)
    draft.items[:] = draft.turn[:] = block.items
    with noted(session, draft):
        for turn in turns:
            add(session, draft, turn)
    draft.plan.refusals[:0] = refusals
    draft.plan.refusals += standing.refusals(session, draft.plan)
    draft.plan.refusals += undoing.unforeseen(draft.plan)
    if draft.plan.sound and (against := objection(session, block)):
        draft.plan.refusals.append(against)
    return ""
