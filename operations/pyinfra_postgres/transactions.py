"""Transactions: many operations that land together.

https://www.postgresql.org/docs/current/sql-begin.html
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from pyinfra import host as current_host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from .converge import fail, send, stop_if_another_host_failed
from .session import Block, Session
from .undeclared import undeclared


@contextmanager
def transaction() -> Iterator[None]:
    """All operations inside land on a host together, or none of them.

    Nothing is sent before the block ends. Then the host's whole plan runs as one transaction in
    one go, under one advisory lock; what PostgreSQL refuses inside a transaction runs after it.
    A block inside a block is part of the outer one.

    **Example:**

    .. code:: python

        with pg.transaction():
            pg.schema("auth")
            pg.table("auth.users", [pg.Column("id", "uuid", primary_key=True)])
    """
    session = Session.current()
    if session.block:
        yield
        return
    session.block = Block()
    try:
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
    if draft.items and session.host not in session.state.failed_hosts:
        declarations = [item.declaration for item in draft.items if item.present]
        draft.plan.undeclared = undeclared(session.catalog(), declarations, session.waiting())
    current_host.noop("nothing stands against the plan")


@operation()
def _commit(block: Block) -> Generator[PyinfraCommand, None, None]:
    """The end of a transaction: shown while preparing, sent while executing."""
    session = Session.current()
    stop_if_another_host_failed(session)
    yield from send(session, session.draft(block))
