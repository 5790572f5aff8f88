"""From declarations to a host's plan, and from the plan to the host.

pyinfra evaluates every operation twice: once while it prepares (to show what would change) and
once while it executes. Each phase of a host has its own catalog and its own plans, so nothing
depends on a dry run having come before. Everything that a plan needs to know is in it before the
operation's first `yield`, because preparing reads no further.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

from attrs import Factory, define, evolve, field, frozen
from pyinfra import host as current_host
from pyinfra import logger
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.output import format_text
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from . import catalog as catalogs
from . import render
from .arguments import Arguments
from .catalog import Catalog
from .command import Answer, run
from .compare import Comparison
from .errors import DeclarationError, HostError
from .kind import Object, difference
from .parse import Reference
from .plan import Action, Change, Gap, Hazard, Plan, Refusal, Statement
from .rollout import Rollout

ALLOW = "postgres_allow"


@frozen(eq=False)
class Block:
    """A `pg.transaction()` in a deploy, or a single operation outside one."""

    single: bool = False


@frozen
class Item:
    """A declaration that an operation added to a plan."""

    operation: str
    declaration: Object
    present: bool


@define
class Draft:
    """A plan in the making, with the declarations that it can be made from again."""

    plan: Plan = Factory(Plan)
    items: list[Item] = field(factory=list)


@define(eq=False)
class Session:
    """What the collection knows of one host in one run."""

    host: Host
    block: Block | None = None
    catalogs: dict[bool, Catalog] = field(factory=dict)
    drafts: dict[tuple[Block, bool], Draft] = field(factory=dict)
    declared: set[Reference] = field(factory=set)
    built_in_functions: frozenset[str] | None = None

    @classmethod
    def current(cls) -> Session:
        """The session of the host in pyinfra's context."""
        host = cast(Host, ctx_host.get())
        if host not in _SESSIONS:
            _SESSIONS[host] = cls(host)
        return _SESSIONS[host]

    @property
    def state(self) -> State:
        """The run."""
        return self.host.state

    @property
    def executing(self) -> bool:
        """Whether pyinfra has finished preparing."""
        return bool(self.state.is_executing)

    def draft(self, block: Block) -> Draft:
        """The plan of a block in the current phase."""
        return self.drafts.setdefault((block, self.executing), Draft())

    def catalog(self) -> Catalog:
        """The catalog as it will be, in the current phase; read when it is first needed."""
        if self.executing not in self.catalogs:
            self.catalogs[self.executing] = self.read_catalog()
        return self.catalogs[self.executing]

    def forget_catalog(self) -> None:
        """Read the catalog again when it is next needed."""
        self.catalogs.pop(self.executing, None)

    def read_catalog(self) -> Catalog:
        """The host's catalog as it is. Raises HostError."""
        answer = run(self.host, catalogs.script())
        if answer.failure or len(answer.rows) != 1:
            reason = answer.failure or "the server answered with no catalog"
            raise HostError(f"could not read the catalog: {reason}")
        catalog = catalogs.read(answer.rows[0])
        # It lives as long as the run: the garbage collector need not look at it again.
        gc.freeze()
        today = self.host.data.get("postgres_today")
        return catalog.at(today) if today else catalog

    def ask(self, query: str) -> list[Any]:
        """The rows of a query, each a JSON value. Raises HostError."""
        answer = run(self.host, ["BEGIN READ ONLY", *catalogs.PINS, query, "COMMIT"])
        if answer.failure:
            raise HostError(str(answer.failure))
        return [json.loads(row) for row in answer.rows]

    def send(self, statements: Sequence[str]) -> Answer:
        """Run a script on the host."""
        return run(self.host, statements)

    def allowed(self) -> set[str]:
        """What the run allows to lose data."""
        given = self.host.data.get(ALLOW) or ()
        names = given.split(",") if isinstance(given, str) else given
        return {name.strip() for name in names}

    def missing(self, one: Object, catalog: Catalog) -> Iterator[Reference]:
        """The references of an object that nothing provides."""
        for reference in dict.fromkeys(one.requires()):
            if not catalog.has(reference) and not self._built_in(reference):
                yield reference

    def _built_in(self, reference: Reference) -> bool:
        if reference.kind != "function" or reference.name.schema:
            return False
        if self.built_in_functions is None:
            (names,) = self.ask(
                "SELECT json_agg(DISTINCT proname) FROM pg_proc "
                "WHERE pronamespace = 'pg_catalog'::regnamespace"
            )
            self.built_in_functions = frozenset(names)
        return reference.name.name in self.built_in_functions


_SESSIONS: WeakKeyDictionary[Host, Session] = WeakKeyDictionary()


def declared(
    declarations: Sequence[Object], present: bool, arguments: Arguments, name: str | None = None
) -> dict[str, Any]:
    """What the operation `converge` takes to make declarations true, or remove what they declare.

    Not a call of it, because pyinfra walks every frame between a deploy and an operation.
    """
    session = Session.current()
    title = name or declarations[0].title
    for one in declarations:
        session.declared.update(one.provides())
    operation_name = arguments.get("name") or (title if present else f"{title} absent")
    return {
        **arguments,
        "name": operation_name,
        "operation_name": operation_name,
        "declarations": tuple(declarations),
        "present": present,
        "block": session.block or Block(single=True),
    }


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
def converge(
    declarations: tuple[Object, ...], present: bool, block: Block, operation_name: str
) -> Generator[PyinfraCommand, None, None]:
    """Make declarations true, or remove what they declare, with the plan of their block."""
    session = Session.current()
    _stop_if_another_host_failed(session)
    items = [Item(operation_name, one, present) for one in declarations]
    draft = session.draft(block)
    try:
        before = len(draft.plan.changes)
        add(session, draft, items)
    except (HostError, DeclarationError) as error:
        yield from _fail(session, [f"{operation_name}: {error}"])
        return
    if block.single and not draft.plan.sound:
        yield from _fail(session, list(draft.plan.problems(session.declared)))
    elif block.single:
        yield from _send(session, draft)
    elif len(draft.plan.changes) > before or not draft.plan.sound:
        yield Queued()
    else:
        current_host.noop(f"{operation_name} is as declared")


@operation()
def _check(block: Block) -> Generator[PyinfraCommand, None, None]:
    """An operation of its own: it fails every host whose plan can't start before any starts."""
    session = Session.current()
    _stop_if_another_host_failed(session)
    problems = list(session.draft(block).plan.problems(session.declared))
    if problems:
        yield from _fail(session, problems)
    else:
        current_host.noop("nothing stands against the plan")


@operation()
def _commit(block: Block) -> Generator[PyinfraCommand, None, None]:
    """The end of a transaction: shown while preparing, sent while executing."""
    session = Session.current()
    _stop_if_another_host_failed(session)
    yield from _send(session, session.draft(block))


def _send(session: Session, draft: Draft) -> Iterator[PyinfraCommand]:
    if not draft.plan.sound:
        return
    if not draft.plan.changes:
        current_host.noop("nothing to change")
        return
    if session.state.config.DIFF and (not session.executing or not session.state.check_for_changes):
        render.show(session.host, draft.plan)
    yield Apply(session, draft)


def add(session: Session, draft: Draft, items: Sequence[Item]) -> None:
    """Add to a plan what declarations would change, and to the catalog how it will be then."""
    catalog = session.catalog()
    asked: dict[str, list[Any]] = {}

    def ask(query: str) -> list[Any]:
        if query not in asked:
            asked[query] = session.ask(query)
        return asked[query]

    same = Comparison(catalog, session.send)
    steps = [
        Step(evolve(item, declaration=one)) if one is not item.declaration else Step(item)
        for item in items
        for one in item.declaration.expand(catalog)
    ]
    for step in steps:
        step.look(catalog, same, ask)
    # All comparisons that only the server can make, in one batch.
    if same.pending and same.settle():
        for step in steps:
            step.look(catalog, same, ask)
    changed = False
    for step in steps:
        if changed:
            step.look(catalog, same, ask)
        change = _change(session, step, same, catalog, draft.plan, ask)
        if change:
            draft.plan.changes.append(change)
            changed = True
    draft.items += items


@define
class Step:
    """One object's way through the making of a plan."""

    item: Item
    current: Object | None = None
    target: Object | None = None
    error: str = ""

    def look(self, catalog: Catalog, same: Comparison, ask: Any) -> None:
        """Find the object as it is, and as it is declared to be."""
        one = self.item.declaration
        self.error, self.target = "", None
        self.current = one.find(catalog, ask)
        try:
            if not self.item.present:
                self.target = one.withdrawn(self.current) if self.current else None
            elif self.current:
                self.target = one.aligned(self.current, same, catalog)
            else:
                self.target = one.completed(catalog)
        except DeclarationError as error:
            self.error = str(error)


def _change(
    session: Session, step: Step, same: Comparison, catalog: Catalog, plan: Plan, ask: Any
) -> Change | None:
    """What one declaration changes; the catalog is left as it will be."""
    item, one = step.item, step.item.declaration
    current, target = step.current, step.target

    def refuse(reason: str) -> None:
        plan.refusals.append(Refusal(item.operation, one.title, reason))

    if step.error:
        refuse(step.error)
        return None
    if current is None and target is None:
        return None
    try:
        statements = tuple(one.diff(current, target))
    except DeclarationError as error:
        refuse(str(error))
        return None
    if not statements:
        return None
    if not item.present and current:
        guards: list[Statement] = []
        for guard in one.guarded(current, catalog, ask):
            if isinstance(guard, Statement):
                guards.append(guard)
            elif not _is_allowed(session, one):
                refuse(_with_consent(guard, one))
        statements = (*guards, *statements)
    if target is not None:
        plan.gaps += [
            Gap(item.operation, one.title, reference) for reference in session.missing(one, catalog)
        ]
    for text, message in same.errors.items():
        refuse(f"{message} in {text!r}")
    same.errors.clear()
    _refuse_losses(session, item, statements, plan)
    change = Change(
        item.operation,
        one.title,
        _action(current, target),
        tuple(difference(current, target)),
        # The server can't lock what the plan creates.
        tuple(evolve(s, locks=None) if s.locks in catalog.created else s for s in statements),
    )
    if target is not None:
        target.store(catalog, current)
    elif current is not None:
        current.erase(catalog)
    return change


def _action(current: Object | None, target: Object | None) -> Action:
    if target is not None and target.runs:
        return Action.RUN
    if target is None or not target.exists:
        return Action.REMOVE
    return Action.CHANGE if current and current.exists else Action.CREATE


def _refuse_losses(
    session: Session, item: Item, statements: Sequence[Statement], plan: Plan
) -> None:
    one = item.declaration
    losses = [statement for statement in statements if Hazard.LOSES_DATA in statement.hazards]
    if losses and not _is_allowed(session, one):
        reason = f"{losses[0].shown} would lose data"
        plan.refusals.append(Refusal(item.operation, one.title, _with_consent(reason, one)))


def _is_allowed(session: Session, one: Object) -> bool:
    return bool(session.allowed() & {one.title, one.title.partition(" ")[2]})


def _with_consent(reason: str, one: Object) -> str:
    name = one.title.partition(" ")[2]
    return f"{reason}; to allow it, run with --data '{ALLOW}={name}'"


def _stop_if_another_host_failed(session: Session) -> None:
    """With FAIL_PERCENT 0, a host that failed while preparing stops the run before it starts."""
    state = session.state
    if session.executing and state.failed_hosts and state.config.FAIL_PERCENT == 0:
        names = ", ".join(sorted(host.name for host in state.failed_hosts))
        raise PyinfraError(f"nothing more runs, because these hosts failed: {names}")


def _fail(session: Session, messages: list[str]) -> Iterator[PyinfraCommand]:
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
        return f"Fail({self.messages})"

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Print the messages and fail."""
        for message in self.messages:
            logger.error(f"{host.print_prefix}{format_text(message, 'red')}")
        return False


class Apply(PyinfraCommand):
    """Sends a plan to the host."""

    def __init__(self, session: Session, draft: Draft) -> None:
        super().__init__()
        self.session = session
        self.draft = draft

    def __repr__(self) -> str:
        return f"Apply({[statement.shown for _, statement, _ in self.draft.plan.staged()]})"

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Whether the plan, or one made anew from the same declarations, is in place."""
        session = self.session

        def planned_anew() -> Plan:
            session.forget_catalog()
            draft = Draft()
            add(session, draft, self.draft.items)
            return draft.plan

        rollout = Rollout(host, session.send, session.catalog().fingerprint, planned_anew)
        try:
            done = rollout.run(self.draft.plan)
        except (HostError, DeclarationError) as error:
            return Fail([str(error)]).execute(state, host, connector_arguments)
        finally:
            session.forget_catalog()
        render.say(host, done)
        return True
