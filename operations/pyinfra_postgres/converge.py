"""The operation behind all others: adding to a host's plan, and sending it.

Everything that a plan needs to know is in it before an operation's first `yield`, because while
pyinfra prepares it reads no further.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, cast

from attrs import fields
from pyinfra.api import operation
from pyinfra.api.arguments import all_global_arguments
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.state import State

from . import given, render
from .arguments import Arguments
from .errors import DeclarationError, HostError, RunError, UnreachableError
from .held import held
from .interrupts import plan_under_way
from .kind import Object
from .plan import Plan
from .planning import add
from .rollout import Rollout
from .session import Block, Draft, Item, Session
from .snapshot import Fingerprint
from .terminal import complain, nothing_to_do, printable, say


def declared(
    declarations: Sequence[Object], present: bool, arguments: Arguments, name: str | None = None
) -> dict[str, Any]:
    """What the operation `converge` takes to make declarations true, or remove what they declare.

    Not a call of it, because pyinfra walks every frame between a deploy and an operation.
    """
    session = Session.current()
    if not isinstance(present, bool):
        raise given.refused("present", "True or False", present)
    for one in declarations:
        given.check_plain(one.title, one)
        one.validate(present)
        if isinstance(one.exact, frozenset) and one.exact and not session.block:
            raise DeclarationError(
                f"{one.title}: put it into a pg.transaction(): what exact= takes away is known at "
                "its end"
            )
    _check_arguments(declarations[0], arguments)
    title = name or declarations[0].title
    for one in declarations if present else ():
        session.declared.update(one.provides())
        session.declarations.append(one)
    # pyinfra prints it.
    operation_name = printable(arguments.get("name") or (title if present else f"{title} absent"))
    return {
        **arguments,
        "name": operation_name,
        "operation_name": operation_name,
        "declarations": tuple(declarations),
        "present": present,
        "block": session.block or Block(single=True),
    }


_KNOWN = {name for name, _ in all_global_arguments()} | set(Arguments.__annotations__)


def _check_arguments(one: Object, arguments: Arguments) -> None:
    for name in arguments:
        if name not in _KNOWN:
            own = [attribute.name for attribute in fields(cast(Any, type(one)))]
            close = get_close_matches(name, own, 1)
            hint = f": did you mean {close[0]}?" if close else ""
            raise DeclarationError(f"{one.title}: there is no argument {name}{hint}")
    # pyinfra checks the types of most, and has a traceback for these.
    if arguments.get("name") is not None:
        given.text("name", arguments["name"])
    given.pairs("_env", arguments.get("_env"))


@operation()
def converge(
    declarations: tuple[Object, ...], present: bool, block: Block, operation_name: str
) -> Generator[PyinfraCommand, None, None]:
    """Make declarations true, or remove what they declare, with the plan of their block."""
    session = Session.current()
    stop_if_another_host_failed(session)
    if session.host in session.state.failed_hosts:
        return
    if session.unplanned and not session.executing:
        yield Queued()
        return
    items = [Item(operation_name, one, present) for one in declarations]
    draft = session.draft(block)
    if block.single:
        # pyinfra may try an operation again, with a plan of its own.
        draft.plan, draft.batches = Plan(), []
    try:
        before = draft.plan.size
        unknown = add(session, draft, items)
        if block.single:
            draft.plan.refusals += held(session, draft.plan)
    except (HostError, DeclarationError) as error:
        if isinstance(error, UnreachableError) and session.may_come():
            session.unplanned = True
            later = "planned once the operations before it have run"
            say(session.host, f"{operation_name}: {later}, for now it {error}")
            yield Queued()
        else:
            yield from fail(session, [f"{operation_name}: {error}"])
        return
    catalog = session.catalog()
    for text in sorted(catalog.unread):
        say(session.host, f"{operation_name}: {text} is left as it is, for it can't be read")
    catalog.unread.clear()
    for text in sorted(unknown):
        say(session.host, f"{operation_name}: unknown on a standby whether {text!r} differs")
    if block.single and not draft.plan.sound:
        yield from fail(session, list(draft.plan.problems(session.declared)))
    elif block.single:
        yield from send(session, draft)
    elif draft.plan.size > before:
        yield Queued()
    else:
        nothing_to_do(session.host, f"{operation_name} is as declared")


def send(session: Session, draft: Draft) -> Iterator[PyinfraCommand]:
    """Show the plan of a block, and send it."""
    plan = draft.plan
    if session.host in session.state.failed_hosts:
        return  # What is in the plan is not all of it.
    if session.unplanned and not session.executing:
        yield Queued()
        return
    if not plan.sound:
        return
    if session.state.config.DIFF and (not session.executing or not session.state.check_for_changes):
        render.show(session.host, plan)
    elif plan.undeclared and session.executing and not plan.changes:
        say(session.host, render.summary(plan))
    if plan.changes:
        yield Apply(session, draft)
    else:
        nothing_to_do(session.host, "nothing to change")


def stop_if_another_host_failed(session: Session) -> None:
    """With FAIL_PERCENT 0, a host that failed while preparing stops the run before it starts."""
    state = session.state
    if session.executing and state.failed_hosts and state.config.FAIL_PERCENT == 0:
        names = ", ".join(sorted(host.name for host in state.failed_hosts))
        raise RunError(f"nothing more runs, because these hosts failed: {names}")


def fail(session: Session, messages: list[str]) -> Iterator[PyinfraCommand]:
    """Fail this host: while executing by a command, while preparing at once."""
    if session.executing:
        yield Fail(messages)
        return
    Fail(messages).execute(session.state, session.host, {})
    # Not state.fail_hosts(): it may stop the run before the other hosts have told theirs.
    session.state.failed_hosts.add(session.host)
    session.state.active_hosts.discard(session.host)


class Queued(PyinfraCommand):
    """Stands for what waits in the plan for the end of the transaction."""

    def __repr__(self) -> str:
        return "Queued()"

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Nothing happens before the end."""
        return True


class Fail(PyinfraCommand):
    """Fails the host with messages."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages

    def __repr__(self) -> str:
        return printable(f"Fail({self.messages})")

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Print the messages and fail."""
        for message in self.messages:
            complain(host, message)
        return False


class Apply(PyinfraCommand):
    """Sends a plan to the host."""

    def __init__(self, session: Session, draft: Draft) -> None:
        super().__init__()
        self.session = session
        self.draft = draft

    def __repr__(self) -> str:
        return printable(f"Apply({[one.shown for _, one, _ in self.draft.plan.staged()]})")

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Whether the plan, or one made anew from the same declarations, is in place."""
        session = self.session

        def planned_anew() -> tuple[Plan, Fingerprint]:
            session.forget_catalog()
            draft = Draft(Plan(undeclared=self.draft.plan.undeclared))
            for items in self.draft.batches:
                add(session, draft, items)
            draft.plan.refusals += held(session, draft.plan)
            return draft.plan, session.catalog().fingerprint

        rollout = Rollout(host, self.draft.plan, session.catalog().fingerprint, planned_anew)
        try:
            with plan_under_way(host, lambda: rollout.where):
                done = rollout.run()
        except (HostError, DeclarationError) as error:
            return Fail([str(error)]).execute(state, host, connector_arguments)
        finally:
            session.forget_catalog()
        say(host, done)
        return True
