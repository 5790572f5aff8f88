"""Transactions: many operations that land together.

https://www.postgresql.org/docs/current/sql-begin.html
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from .converge import fail, send, stop_if_another_host_failed
from .errors import DeclarationError, HostError
from .exact import Exactness, chosen
from .held import held
from .objects.declarations import WORDS
from .planning import add
from .questions import Questions
from .session import Block, Draft, Item, Session, without_collector
from .terminal import nothing_to_do
from .trial import objection
from .undeclared import in_order, leftovers


@contextmanager
def transaction(exact: Exactness = False) -> Iterator[None]:
    """All operations inside land on a host together, or none of them.

    Nothing is sent before the block ends. Then the host's whole plan runs as one transaction in
    one go, under one advisory lock; what PostgreSQL refuses inside a transaction runs after it.
    A block inside a block is part of the outer one.

    + exact: what goes where it belongs to something declared in the block and no operation of the
      run declares it: True, or some of the words that `exact=` takes of schemas, tables and types,
      and labels

    **Example:**

    .. code:: python

        with pg.transaction():
            pg.schema("auth")
            pg.table("auth.users", [pg.Column("id", "uuid", primary_key=True)])
    """
    session = Session.current()
    words = chosen(exact, WORDS)
    if session.block:
        if words:
            raise DeclarationError("exact= belongs to the outermost pg.transaction()")
        yield
        return
    session.look_ahead()
    session.block = Block(exact=words)
    try:
        with without_collector():
            yield
        block = session.block
    finally:
        session.block = None
    _check(block=block, name="plan")
    _commit(block=block, name="transaction")


@operation()
def _check(block: Block) -> Generator[PyinfraCommand, None, None]:
    """An operation of its own: it fails every host whose plan can't start before any starts."""
    session = Session.current()
    stop_if_another_host_failed(session)
    draft = session.draft(block)
    problems = list(draft.plan.problems(session.declared))
    if problems:
        yield from fail(session, problems)
        return
    if draft.batches and session.host not in session.state.failed_hosts:
        try:
            _finish(session, block, draft)
            if draft.plan.sound and (found := objection(session, block)):
                draft.plan.refusals.append(found)
        except (HostError, DeclarationError) as error:
            yield from fail(session, [f"the end of the transaction: {error}"])
            return
    if problems := list(draft.plan.problems(session.declared)):
        yield from fail(session, problems)
        return
    nothing_to_do(session.host, "nothing stands against the plan")


def _finish(session: Session, block: Block, draft: Draft) -> None:
    """Add to a plan what exact= takes away, and what is left as it is."""
    declarations = [item.declaration for item in draft.items if item.present]
    catalog = session.catalog()
    found = leftovers(catalog, declarations, session.waiting(), block.exact)
    ask = Questions(session, catalog, draft.plan.is_renaming)
    going = in_order([one for one in found if one.goes], ask)
    if going:
        items = [Item(f"exact: {one.what.title}", one.removal, one.present) for one in going]
        add(session, draft, items)
        gone = {item.declaration.key(): item.operation for item in items if not item.present}
        catalog.gone.update(gone)
    draft.plan.refusals += held(session, draft.plan)
    draft.plan.undeclared = [one.what for one in found if not one.goes]


@operation()
def _commit(block: Block) -> Generator[PyinfraCommand, None, None]:
    """The end of a transaction: shown while preparing, sent while executing."""
    session = Session.current()
    stop_if_another_host_failed(session)
    yield from send(session, session.draft(block))
