"""Transactions: many operations that land together.

https://www.postgresql.org/docs/current/sql-begin.html
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pyinfra.api import operation
from pyinfra.api.arguments import pop_global_arguments
from pyinfra.api.command import PyinfraCommand
from typing_extensions import Unpack

from ..errors import DeclarationError, HostError
from ..objects.exact import Exactness, chosen
from ..objects.words import WORDS
from ..planning import gate
from ..planning.following import planned
from ..planning.phases import check as check_phases
from ..planning.session import Block, Draft, Item, Session, without_collector
from ..syntax.given import refused
from ..terminal import nothing_to_do
from .arguments import Arguments
from .converge import (
    Queued,
    fail,
    keep,
    postpone,
    refuse,
    rehearse,
    reviewed_plan,
    send,
    show,
    stop_if_another_host_failed,
)


@contextmanager
def transaction(
    exact: Exactness = False, phase: str | None = None, **arguments: Unpack[Arguments]
) -> Iterator[None]:
    """All operations inside land on a host together, or none of them.

    They only declare: the block's end plans all of it, and sends it as one transaction in one go,
    under one advisory lock; what PostgreSQL refuses inside a transaction runs after it. For pyinfra
    that end is two operations: "plan", which fails every host whose plan can't start before any
    starts, and "transaction". A block inside a block is part of the outer one.

    An operation inside takes `name` and `_if` of pyinfra's global arguments; the others are the
    block's. What it returns tells behind the block whether it changed anything.

    + exact: what goes where it belongs to something declared in the block and no operation of the
      run declares it: True, or some of the words that `exact=` takes of schemas, tables and types,
      and labels
    + phase: a name, like contract: what is declared inside waits for a run with
      ``--data postgres_phase=contract``, and other runs leave that as it is and tell what waits; a
      block with it stands inside the block that declares the same objects otherwise until then

    **Example:**

    .. code:: python

        with pg.transaction():
            pg.schema("auth")
            pg.table("auth.users", [pg.Column("id", "uuid", primary_key=True)])
    """
    session = Session.current()
    words = chosen(exact, WORDS)
    with _in_phase(session, phase):
        if session.block:
            if words or arguments:
                given = "exact" if words else next(iter(arguments))
                raise DeclarationError(f"{given}= belongs to the outermost pg.transaction()")
            yield
            return
        yield from _block(session, words, arguments)


@contextmanager
def _in_phase(session: Session, phase: str | None) -> Iterator[None]:
    """Have what is declared be for a phase."""
    if phase is None:
        yield
        return
    if not isinstance(phase, str) or not re.fullmatch(r"[\w-]+", phase):
        raise refused("phase", "a name like contract", phase)
    if session.phase:
        raise DeclarationError(f"phase={phase!r} is inside of phase={session.phase!r}")
    session.phase = phase
    session.phases.add(phase)
    try:
        yield
    finally:
        session.phase = ""


def _block(
    session: Session, words: frozenset[str], arguments: Arguments
) -> Generator[None, None, None]:
    """An outermost block."""
    session.look_ahead()
    with declaring(session, words, arguments) as block:
        yield
    name = arguments.pop("name", "")
    rest: Any = arguments
    _plan(block=block, **{**rest, "name": f"{name}: plan" if name else "plan"})
    send_plan(block=block, **{**rest, "name": block.name})
    for one in block.items:
        if one.result:
            one.result.planned = partial(_draft, session, block)


@contextmanager
def declaring(
    session: Session, exact: frozenset[str] = frozenset(), arguments: Arguments | None = None
) -> Iterator[Block]:
    """A block that what is called inside is declared in."""
    around, _ = pop_global_arguments(session.state, session.host, {**(arguments or {})})
    name = (arguments or {}).get("name") or "transaction"
    session.block = session.new_block(False, name, exact=exact, arguments=around)
    try:
        with without_collector():
            yield session.block
    finally:
        session.block = None


@operation()
def _plan(block: Block) -> Generator[PyinfraCommand, None, None]:
    """An operation of its own: it fails every host whose plan can't start before any starts."""
    session = Session.current()
    stop_if_another_host_failed(session)
    if session.stopped:
        return
    if session.unplanned and not session.executing:
        yield Queued()
        return
    try:
        check_phases(session)
        gate.check(session, block)
        draft = _draft(session, block)
        keep(session, block, draft)
    except (HostError, DeclarationError) as error:
        if postpone(session, error):
            yield Queued()
        else:
            yield from fail(session, [str(error)])
        return
    if not draft.plan.sound:
        yield from refuse(session, block, draft.plan)
        return
    show(session, block, draft.plan)
    if failures := rehearse(session, block, draft):
        yield from fail(session, failures)
        return
    nothing_to_do(session.host, "nothing stands against the plan")


def _draft(session: Session, block: Block) -> Draft:
    """The plan of a block, as it was reviewed or as it is made now. Raises HostError."""
    reviewed = reviewed_plan(session)
    draft = (
        reviewed.draft(block, _applying(session, block)) if reviewed else drafted(session, block)
    )
    if not session.executing:
        draft.foresee()
    return draft


def drafted(session: Session, block: Block) -> Draft:
    """The plan of a block, with what exact= takes away, and what is left as it is."""
    items = _applying(session, block)
    if not items:
        session.drafts[block, session.executing] = Draft()
        return session.drafts[block, session.executing]
    return planned(session, block, items, partial(_fill, session, block))


def _applying(session: Session, block: Block) -> list[Item]:
    return [one for one in block.items if one.applies or not session.executing]


def _fill(session: Session, block: Block, draft: Draft) -> None:
    from ..running.blocks import fill

    fill(session, block, draft)


@operation()
def send_plan(block: Block) -> Generator[PyinfraCommand, None, None]:
    """The end of a transaction: shown while preparing, sent while executing."""
    session = Session.current()
    stop_if_another_host_failed(session)
    if session.host in session.state.failed_hosts:
        return
    if session.unplanned and not session.executing:
        yield Queued()
        return
    draft = session.drafts.get((block, session.executing))
    if draft is None or not draft.plan.sound:
        yield from fail(session, ["there is no plan that it could send"])
        return
    yield from send(session, block, draft, "the transaction")
    if session.executing and not draft.plan.changes:
        draft.settle(draft.plan)
