"""What is behind all operations: handing a declaration to a plan, and sending that.

Everything that a plan needs to know is in it before an operation's first `yield`, because while
pyinfra prepares it reads no further. What plans and what sends is imported where there is something
to plan or to send: most runs find nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, fields
from pyinfra.api import operation
from pyinfra.api.arguments import all_global_arguments
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import State

from ..catalog.snapshot import OWN_SCHEMA, Fingerprint
from ..errors import DeclarationError, HostError, RunError, UnreachableError, deploy_line
from ..objects.kind import Object
from ..plan.plan import Operation, Plan
from ..planning import gate
from ..planning.following import planned
from ..planning.results import Result
from ..planning.session import PHASE, Block, Draft, Item, Session
from ..running import left, render
from ..running.plans_asked_for import are_asked_for, directory, needs_plans, rehearsal
from ..syntax import given
from ..terminal import complain, conclude, nothing_to_do, printable, say
from ..transport.interrupts import plan_under_way
from ..transport.options import APPLY
from .arguments import Arguments

if TYPE_CHECKING:
    from ..running.reviewed import Reviewed


def declared(
    declarations: Sequence[Object], present: bool, arguments: Arguments, name: str | None = None
) -> dict[str, Any]:
    """What `converge` takes to make declarations true, or remove what they declare.

    Not a call of it, because pyinfra walks every frame between a deploy and an operation.
    """
    session = Session.current()
    is_planned = session.state.check_for_changes or session.executing
    if not is_planned and (word := needs_plans(session.state)):
        raise DeclarationError(
            f"--data {word}= is for plans, and -y makes none: run with --dry, without -y"
        )
    if not isinstance(present, bool):
        raise given.refused("present", "True or False", present)
    for one in declarations:
        given.check_plain(one.title, one)
        one.validate(present)
        _check_schema(one)
        if isinstance(one.exact, frozenset) and one.exact and not session.block:
            raise DeclarationError(
                f"{one.title}: put it into a pg.transaction(): what exact= takes away is known at "
                "its end"
            )
    _check_arguments(declarations[0], arguments)
    if session.block:
        _check_block(declarations[0], arguments, session.block, session.host)
    title = name or declarations[0].title
    # pyinfra prints it.
    called = printable(arguments.get("name") or (title if present else f"{title} absent"))
    by = Operation(called, deploy_line(), session.host.current_deploy_name or "")
    result = Result(by)
    conditions = _conditions(arguments, session) if session.block else ()
    items = [Item(by, one, present, result, conditions, session.phase) for one in declarations]
    if session.phase:
        session.later += items
    elif present:
        session.declarations += declarations
    return {"items": items, "block": session.block, "arguments": {**arguments, "name": called}}


def converge(items: list[Item], block: Block | None, arguments: dict[str, Any]) -> OperationMeta:
    """Hand declarations to the block that they are in, or have pyinfra make them true."""
    if block is None:
        name = arguments["name"]
        own = Session.current().new_block(True, name, items=items, arguments=arguments)
        return _alone(block=own, **arguments)
    block.items.extend(items)
    return cast(Result, items[0].result)


_KNOWN = {name for name, _ in all_global_arguments()} | set(Arguments.__annotations__)
_OWN = frozenset({"name", "_if"})
"""The global arguments that an operation of a block may have."""


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


def _check_schema(one: Object) -> None:
    """Raise DeclarationError for what would lie in the schema of the history."""
    for kind, name in one.provides():
        if OWN_SCHEMA in {name.schema, name.name if kind == "schema" else ""}:
            raise DeclarationError(
                f"{one.title}: schema {OWN_SCHEMA} is where this collection keeps what it has done"
            )


def _check_block(one: Object, arguments: Arguments, block: Block, host: Host) -> None:
    """Raise DeclarationError where an operation is to run otherwise than its block."""
    around: Any = host.current_deploy_kwargs or {}
    other = [name for name in around if around[name] != block.arguments.get(name)]
    for name in [*arguments, *other]:
        if name not in _OWN:
            raise DeclarationError(
                f"{one.title}: {name} is an argument of the block, which is sent as a whole: "
                f"pg.transaction({name}=...)"
            )


def _conditions(arguments: Arguments, session: Session) -> tuple[Callable[[], bool], ...]:
    """Those of the operation, and of the deploy functions in the block that it is part of."""
    own: Any = arguments.get("_if") or ()
    deploys: Any = session.host.current_deploy_kwargs or {}
    around = deploys.get("_if") or ()
    known = session.block.arguments.get("_if") or () if session.block else ()
    own, around = ((one,) if callable(one) else tuple(one) for one in (own, around))
    return (*(one for one in around if one not in known), *own)


@operation()
def _alone(block: Block) -> Generator[PyinfraCommand, None, None]:
    """Make declarations true, or remove what they declare, with a plan of their own."""
    session = Session.current()
    stop_if_another_host_failed(session)
    if session.stopped:
        return
    by = block.items[0].operation
    if session.unplanned and not session.executing:
        yield Queued()
        return
    try:
        gate.check(session, block)
        reviewed = reviewed_plan(session)
        draft = (
            reviewed.draft(block, block.items)
            if reviewed
            else planned(session, block, block.items, partial(_fill, session))
        )
        keep(session, block, draft)
    except (HostError, DeclarationError) as error:
        if postpone(session, error):
            yield Queued()
        else:
            yield from fail(session, [by.placed(f"{by}: {error}")])
        return
    if not draft.plan.sound:
        yield from refuse(session, block, draft.plan)
        return
    show(session, block, draft.plan)
    if failures := rehearse(session, block, draft):
        yield from fail(session, [by.placed(one) for one in failures])
        return
    yield from send(session, block, draft, by)


def keep(session: Session, block: Block, draft: Draft) -> None:
    """Keep a plan that can start, where the run keeps plans. Raises HostError."""
    if draft.plan.sound and are_asked_for(session.state):
        from ..running import plan_files

        plan_files.keep(session, block, draft)


def rehearse(session: Session, block: Block, draft: Draft) -> list[str]:
    """Rehearse a plan where the run is asked for that; returns why the host fails."""
    try:
        if not draft.plan.changes or rehearsal(session.state) is None:
            return []
        if session.executing:
            raise HostError("a rehearsal is rolled back, and this run applies: run with --dry")
        from ..running.rehearsed import rehearse

        return rehearse(session, block)
    except HostError as error:
        return [str(error)]


def reviewed_plan(session: Session) -> Reviewed | None:
    """The reviewed plan of a host, if the run applies plans. Raises HostError."""
    if directory(session.state, APPLY) is None:
        return None
    from ..running.reviewed import Reviewed

    return Reviewed.of(session)


def _fill(session: Session, draft: Draft) -> None:
    from ..planning.drafts import fill
    from ..running.inverses import noted

    with noted(session, draft):
        fill(session, draft)


def postpone(session: Session, error: Exception) -> bool:
    """Whether a plan that can't be made yet is to be made once other operations have run."""
    session.is_unreachable = isinstance(error, UnreachableError)
    is_kept = are_asked_for(session.state)
    if not session.is_unreachable or not session.may_come() or is_kept:
        return False
    session.unplanned = True
    say(session.host, f"planned once the operations before it have run, for now it {error}")
    return True


def refuse(session: Session, block: Block, plan: Plan) -> Iterator[PyinfraCommand]:
    """Fail the host with all that stands against a plan, and show the rest of it."""
    show(session, block, plan)
    problems = list(plan.problems())
    count = f"{len(problems)} objection{'s' if len(problems) > 1 else ''}"
    what = "nothing of this plan was sent" if session.executing else "nothing was changed"
    session.refused = True
    yield from fail(session, [*problems, f"refused for {count}: {what}"])


def show(session: Session, block: Block, plan: Plan) -> None:
    """Print what a plan would change: while executing only where pyinfra did not prepare it.

    Its objects are shown with --diff; of what is refused nothing else is told here.
    """
    state = session.state
    if session.executing and state.check_for_changes:
        return
    lines: list[str] = []
    # What a later block declares is not known while preparing.
    known = state.config.DIFF or session.executing
    if (plan.undeclared and not known) or session.host.data.get(PHASE):
        left.tell_at_the_end(state)
    last = render.summary(plan if known else evolve(plan, undeclared=[]))
    if state.config.DIFF:
        lines = [
            *render.plan_lines(plan),
            *render.waiting_lines(plan.waiting),
            *render.undeclared_lines(plan.undeclared),
        ]
    elif block.single or not plan.sound:
        return
    else:
        lines = [*render.phase_lines(plan)]
    if block.single and last == render.NO_CHANGES:
        last = f"{block.items[0].operation}: {last}"
    render.show(session.host, block.number, [*lines, last])


def send(session: Session, block: Block, draft: Draft, of: str) -> Iterator[PyinfraCommand]:
    """Send a plan; `of` says what is planned, for people."""
    plan = draft.plan
    is_told = session.state.config.DIFF or not session.state.check_for_changes
    is_left = plan.undeclared or plan.waiting
    if is_left and session.executing and not plan.changes and not is_told:
        say(session.host, render.summary(plan))
    if plan.changes:
        yield Apply(session, block, draft)
    else:
        nothing_to_do(session.host, f"{of}: nothing to change")


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
    render.settle(session.state)


class Queued(PyinfraCommand):
    """Stands for what is planned once other operations have run."""

    def __repr__(self) -> str:
        return "Queued()"

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Nothing happens while preparing."""
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

    def __init__(self, session: Session, block: Block, draft: Draft) -> None:
        super().__init__()
        self.session = session
        self.block = block
        self.draft = draft

    def __repr__(self) -> str:
        shown = [one.shown for _, one in self.draft.plan.statements()]
        return printable(f"Apply({shown})")

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Whether the plan, or one made anew from the same declarations, is in place."""
        from ..planning.drafts import fill
        from ..running import undoing
        from ..running.history import History
        from ..running.inverses import noted
        from ..running.rollout import Rollout

        session = self.session

        def planned_anew() -> tuple[Plan, Fingerprint]:
            session.forget_catalog()
            draft = evolve(self.draft, plan=Plan(), leftovers=[])
            if self.block.undoes:
                undoing.fill(session, self.block, draft)
                return draft.plan, session.catalog().fingerprint
            with noted(session, draft):
                fill(session, draft, self.draft.leftovers)
            draft.plan.undeclared = self.draft.plan.undeclared
            draft.plan.waiting = self.draft.plan.waiting
            return draft.plan, session.catalog().fingerprint

        history = History(host, self.block.number, session.unproven, self.block.undoes)
        reviewed = reviewed_plan(session)
        rollout = (
            reviewed.rollout(self.draft.plan, history)
            if reviewed
            else Rollout(
                host, self.draft.plan, session.catalog().fingerprint, planned_anew, history
            )
        )
        try:
            with plan_under_way(host, lambda: rollout.where):
                done = rollout.run()
        except (HostError, DeclarationError) as error:
            return Fail([str(error)]).execute(state, host, connector_arguments)
        finally:
            session.forget_catalog()
        if reviewed:
            reviewed.ran(rollout)
        conclude(host, done)
        self.draft.settle(rollout.plan)
        return True
