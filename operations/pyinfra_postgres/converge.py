"""From declarations to a host's plan, and from the plan to the host.

pyinfra evaluates every operation twice: once while it prepares (to show what would change) and
once while it executes. Each phase of a host has its own catalog and its own plans, so nothing
depends on a dry run having come before. Everything that a plan needs to know is in it before the
operation's first `yield`, because preparing reads no further.
"""

from __future__ import annotations

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
from pyinfra.api.operation import OperationMeta
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


def converge(
    declarations: Sequence[Object],
    present: bool,
    arguments: Arguments,
    name: str | None = None,
) -> OperationMeta:
    """Add an operation that makes declarations true, or removes what they declare."""
    session = Session.current()
    title = name or declarations[0].title
    arguments.setdefault("name", title if present else f"{title} absent")
    for one in declarations:
        session.declared.update(one.provides())
    block = session.block or Block(single=True)
    return _converge(
        declarations=tuple(declarations),
        present=present,
        block=block,
        operation_name=arguments["name"],
        **arguments,
    )


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
    _commit(block=block, name="transaction")


@operation()
def _converge(
    declarations: tuple[Object, ...], present: bool, block: Block, operation_name: str
) -> Generator[PyinfraCommand, None, None]:
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
    if block.single:
        yield from _finish(session, block)
    elif len(draft.plan.changes) > before or not draft.plan.sound:
        yield Queued()
    else:
        current_host.noop(f"{operation_name} is as declared")


@operation()
def _commit(block: Block) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    _stop_if_another_host_failed(session)
    yield from _finish(session, block)


def _finish(session: Session, block: Block) -> Iterator[PyinfraCommand]:
    """The end of a plan: show it while preparing, send it while executing."""
    draft = session.draft(block)
    plan = draft.plan
    if not plan.sound:
        yield from _fail(session, list(plan.problems(session.declared)))
        return
    if not plan.changes:
        current_host.noop("nothing to change")
        return
    if session.state.config.DIFF and (not session.executing or not session.state.check_for_changes):
        render.show(session.host, plan)
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
    singles = [
        evolve(item, declaration=one) for item in items for one in item.declaration.expand(catalog)
    ]
    # First all comparisons that need the server, in one batch.
    for item in singles:
        current = item.declaration.find(catalog, ask) if item.present else None
        if current is not None:
            item.declaration.aligned(current, same, catalog)
    if same.pending:
        same.settle()
    for item in singles:
        change = _change(session, item, same, catalog, draft.plan, ask)
        if change:
            draft.plan.changes.append(change)
    draft.items += items


def _change(
    session: Session, item: Item, same: Comparison, catalog: Catalog, plan: Plan, ask: Any
) -> Change | None:
    """What one declaration changes; the catalog is left as it will be."""
    one = item.declaration
    current = one.find(catalog, ask)
    if item.present:
        target: Object | None = (
            one.aligned(current, same, catalog) if current else one.completed(catalog)
        )
        guards: tuple[Statement, ...] = ()
    elif current is None:
        return None
    else:
        target = one.withdrawn(current)
        guards = ()
        for guard in one.guarded(current, catalog, ask):
            if isinstance(guard, Statement):
                guards += (guard,)
            elif not _is_allowed(session, one):
                plan.refusals.append(Refusal(item.operation, one.title, _with_consent(guard, one)))
    try:
        statements = tuple(
            evolve(statement, locks=None) if statement.locks in catalog.created else statement
            for statement in (*guards, *one.diff(current, target))
        )
    except DeclarationError as error:
        plan.refusals.append(Refusal(item.operation, one.title, str(error)))
        return None
    if not statements:
        return None
    if target is not None:
        for reference in session.missing(one, catalog):
            plan.gaps.append(Gap(item.operation, one.title, reference))
    for text, message in same.errors.items():
        plan.refusals.append(Refusal(item.operation, one.title, f"{message} in {text!r}"))
    same.errors.clear()
    _refuse_losses(session, item, statements, plan)
    if target is None:
        assert current
        current.erase(catalog)
    else:
        target.store(catalog, current)
    return Change(
        item.operation,
        one.title,
        _action(current, target, statements),
        tuple(difference(current, target)),
        statements,
    )


def _action(
    current: Object | None, target: Object | None, statements: Sequence[Statement]
) -> Action:
    if any(Hazard.NOT_IDEMPOTENT in statement.hazards for statement in statements):
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
        reason = f"{losses[0].sql} would lose data"
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
        return f"Apply({[statement.sql for _, statement, _ in self.draft.plan.staged()]})"

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
