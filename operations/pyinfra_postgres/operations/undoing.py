"""Undoing a deploy: what `pyinfra-postgres undo` has pyinfra do on each host."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand
from typing_extensions import Unpack

from ..errors import DeclarationError, HostError
from ..planning.session import Block, Draft, Session
from ..terminal import nothing_to_do, say
from .arguments import Arguments
from .converge import fail, keep, refuse, reviewed_plan, show, stop_if_another_host_failed
from .transactions import send_plan


def undo(deploy: str, **arguments: Unpack[Arguments]) -> None:
    """
    Take back what a deploy has changed in the database.

    As a block it is two operations: no host starts before all have their plans.

    + deploy: its name in the history
    """
    block = Session.current().new_block(False, f"undo {deploy}", undoes=deploy)
    rest: Any = arguments
    _plan(block=block, **{**rest, "name": "plan"})
    send_plan(block=block, **{**rest, "name": block.name})


@operation()
def _plan(block: Block) -> Generator[PyinfraCommand, None, None]:
    """What takes it back."""
    session = Session.current()
    stop_if_another_host_failed(session)
    if session.stopped:
        return
    try:
        draft, said = _drafted(session, block)
        keep(session, block, draft)
    except (HostError, DeclarationError) as error:
        yield from fail(session, [str(error)])
        return
    if said:
        if not (session.executing and session.state.check_for_changes):
            say(session.host, said)
        nothing_to_do(session.host, said)
    elif draft.plan.sound:
        show(session, block, draft.plan)
        nothing_to_do(session.host, "nothing stands against the plan")
    else:
        yield from refuse(session, block, draft.plan)


def _drafted(session: Session, block: Block) -> tuple[Draft, str]:
    """The plan, and why there is nothing to undo. Raises HostError."""
    from ..running import undoing

    draft = session.drafts[block, session.executing] = Draft()
    said = undoing.fill(session, block, draft)
    reviewed = reviewed_plan(session)
    return (reviewed.draft(block, block.items) if reviewed and not said else draft), said
