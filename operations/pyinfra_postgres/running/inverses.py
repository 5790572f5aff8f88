"""Keeping how a plan is undone, where somebody may want to know: in the history, or in its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..planning.session import HISTORY, Draft, Session
from ..transport.host_data import read
from .plans_asked_for import are_asked_for


@contextmanager
def noted(session: Session, draft: Draft) -> Iterator[None]:
    """Know of a plan that is made meanwhile how it is undone."""
    if not (are_asked_for(session.state) or read(session.host.data.dict(), HISTORY, False)):
        yield
        return
    from ..planning.inverse import Before

    before = Before.of(session.catalog())
    yield
    if draft.plan.changes:
        draft.plan.inverse = before.inverse(session.catalog(), draft.plan).json()
