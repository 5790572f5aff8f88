"""What the collection knows of one host in one run.

pyinfra evaluates every operation twice: once while it prepares (to show what would change) and
once while it executes. Each phase has its own catalog and its own plans, so nothing depends on a
dry run having come before.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from attrs import Factory, define, evolve, field, frozen
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from ..catalog import snapshot as snapshots
from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import Key
from ..catalog.snapshot import Said, Snapshot, Text
from ..catalog.trust import Foreign
from ..catalog.unreadable import NAMES, QUERY, Unreadable, undecodable
from ..comparison.calls import Calls, of_others
from ..comparison.verdicts import Noted, Verdicts
from ..errors import CatalogChangedError, HiddenRowsError, HostError, UnreachableError
from ..hidden import within
from ..objects.kind import Object
from ..plan.plan import Change, Operation, Plan
from ..syntax.names import quoted
from ..syntax.parse import Reference
from ..terminal import say
from ..transport.answer import NO_ENCODING, Answer, withheld
from ..transport.host_data import read
from ..transport.scripts import begin, reached, run
from ..transport.watch import Patience
from .results import Result

AHEAD = 60.0
"""Seconds for which a catalog that was read ahead is news."""
ALLOW = "postgres_allow"
"""The host data that names what may lose data."""
PHASE = "postgres_phase"
"""The host data that names the phases of a rollout that the run does."""
HISTORY = "postgres_history"
"""The host data that has what is deployed recorded in the database."""
REMEMBER = "postgres_remember"
"""The host data that says whether what the server says is remembered for other runs."""


_IDENTITY = (
    "SELECT oid FROM pg_database WHERE datname = current_database()",
    "SELECT system_identifier FROM pg_control_system()",
)
_NO_LOCK = "55P03"
_TRIES = 3
"""How often a catalog is read again that another session has locked; the last time in part."""
LOCKED_RELATION = r"regexp_replace(l.relation::regclass::text, '^public\.', '')"
"""Of a row `l` of pg_locks, the relation that is locked, as a person calls it."""
_EXCLUSIVE = f"""
    SELECT format('session %s (%s) holds %s', a.pid, coalesce(nullif(a.application_name, ''),
             a.usename), {LOCKED_RELATION})
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@contextmanager
def without_collector() -> Iterator[None]:
    """Make many objects that live as long as the run, and have the collector leave them alone."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


@frozen
class Item:
    """One object that an operation declares."""

    operation: Operation
    declaration: Object
    present: bool
    result: Result | None = None
    """What the operation has returned inside a block."""
    conditions: tuple[Callable[[], bool], ...] = ()
    """All of them hold, or it is left out while executing."""
    phase: str = ""
    """The phase of a rollout that it is for: it waits for a run that does that."""
    is_whole: bool = False
    """Whether it is to be as the declaration has it in everything, as a catalog had it."""

    @property
    def applies(self) -> bool:
        """Whether its conditions hold."""
        return all(one() for one in self.conditions)


@frozen(eq=False)
class Block:
    """A `pg.transaction()` in a deploy, or a single operation outside one."""

    single: bool = False
    name: str = "transaction"
    """How pyinfra calls it."""
    number: int = 0
    """Which one of the run it is."""
    deploy: str = ""
    """The file that has it, as far as it is in one."""
    exact: frozenset[str] = frozenset()
    """What goes where nobody declares it."""
    arguments: Mapping[str, Any] = field(factory=dict)
    """pyinfra's global arguments that hold where it begins."""
    items: list[Item] = field(factory=list)
    """What is declared in it, in the order of the deploy."""
    undoes: str = ""
    """The run of which it takes back what that has changed."""


@define
class Draft:
    """A plan in the making, with the declarations that it can be made from again."""

    plan: Plan = Factory(Plan)
    items: list[Item] = field(factory=list)
    """What its operations declare."""
    turn: list[Item] = Factory(lambda self: list(self.items), takes_self=True)
    """What of that is to be true once it has run."""
    waiting: list[Item] = field(factory=list)
    """What waits for a run that does its phase."""
    leftovers: list[Item] = field(factory=list)
    """What `exact=` takes away."""
    done: Plan | None = None
    """What of it is in place: the plan, or one made anew."""

    def foresee(self) -> None:
        """Have the operations know what they would change."""
        for result, changes in self._results(self.plan):
            result.foresee(changes)

    def settle(self, plan: Plan) -> None:
        """Have the operations know what they changed, when this plan is in place."""
        self.done = plan
        for result, changes in self._results(plan):
            result.complete(changes)

    def _results(self, plan: Plan) -> Iterator[tuple[Result, list[Change]]]:
        changes: dict[int, list[Change]] = {}
        for change in plan.changes:
            changes.setdefault(id(change.operation), []).append(change)
        for result in {id(one.result): one.result for one in self.items}.values():
            if result:
                yield result, changes.get(id(result.operation), [])


@define
class Heard:
    """What a server has said beside its catalog."""

    verdicts: Noted = field(factory=Noted)
    """What it has called equal."""
    answers: list[tuple[tuple[str, ...], Patience, Answer]] = field(factory=list)
    """What it has been asked by scripts."""
    told: bool = False
    """Whether something of it was printed."""


@define(eq=False)
class Session:
    """What the collection knows of one host in one run."""

    host: Host
    block: Block | None = None
    phase: str = ""
    """The phase of a rollout that the deploy is in."""
    phases: set[str] = field(factory=set)
    """Those that it has had so far."""
    blocks: list[Block] = field(factory=list)
    """Those that the run had so far."""
    said: dict[bool, Said] = field(factory=dict)
    """What the server has said of its catalog as each phase began."""
    snapshots: dict[bool, Snapshot] = field(factory=dict)
    """What is in that, as far as somebody needed to know."""
    catalogs: dict[bool, Forecast] = field(factory=dict)
    drafts: dict[tuple[Block, bool], Draft] = field(factory=dict)
    declarations: list[Object] = field(factory=list)
    """What the deploy's operations declare, as far as it has been read, in their order."""
    later: list[Item] = field(factory=list)
    """What of it is for a phase of a rollout, what is to go then among it."""
    known: dict[bool, dict[Key, list[Declared]]] = field(factory=dict)
    """What has had its turn in a phase, by what it declares."""
    built_in_functions: frozenset[str] | None = None
    others: Foreign | None = None
    """The code of other roles, where it was read apart from a plan."""
    tried: set[Block] = field(factory=set)
    """The blocks whose plans the server has tried."""
    heard: Heard | None = None
    """What the server says while somebody listens."""
    looked_ahead: float | None = None
    """When the server began to read the catalog ahead, in seconds; long ago once it was used."""
    verdicts: Verdicts = field(init=False)
    """What the server has said in other runs."""
    refused: bool = False
    """Whether the host has failed because a plan was refused, so that others can be made still."""
    unproven: str = ""
    """What the run does without though the host requires it, and why that is missing."""
    is_unreachable: bool = False
    """Whether a plan could not be made because the database can't be reached."""
    unplanned: bool = False
    """Whether the database can be reached only once other operations have run."""

    def __attrs_post_init__(self) -> None:
        self.verdicts = Verdicts(self._server, self.host.data.get(REMEMBER) is not False)

    @classmethod
    def current(cls) -> Session:
        """The session of the host in pyinfra's context."""
        return cls.of(cast(Host, ctx_host.get()))

    @classmethod
    def of(cls, host: Host) -> Session:
        """The session of a host."""
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

    @property
    def stopped(self) -> bool:
        """Whether the host has failed, so that nothing can be planned for it."""
        is_known = self.refused and not self.executing
        return self.host in self.state.failed_hosts and not is_known

    def new_block(self, single: bool, name: str, **given: Any) -> Block:
        """A block of the deploy, the next one."""
        name_of_file = self.state.current_deploy_filename
        deploy = os.path.relpath(name_of_file, self.state.cwd) if name_of_file else ""
        block = Block(single, name, len(self.blocks) + 1, deploy, **given)
        self.blocks.append(block)
        return block

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Forget what is declared meanwhile: it is no part of the run."""
        every: tuple[list[Any], ...] = (self.declarations, self.later, self.blocks)
        before = [len(one) for one in every]
        try:
            yield
        finally:
            for one, known in zip(every, before, strict=True):
                del one[known:]

    def blocks_of(self, deploy: str) -> list[Block]:
        """The blocks that a file has had so far."""
        return [one for one in self.blocks if one.deploy == deploy]

    def catalog(self) -> Forecast:
        """The catalog as it will be, in the current phase; read when it is first needed."""
        if self.executing not in self.catalogs:
            catalog = Forecast.based_on(self.snapshot())
            catalog.declared = self.known.setdefault(self.executing, {})
            self.catalogs[self.executing] = catalog
        return self.catalogs[self.executing]

    @contextmanager
    def glimpse(self) -> Iterator[None]:
        """Plan on a copy of the catalog, on which nothing has been declared, and forget that."""
        known = self.catalog()
        self.catalogs[self.executing] = known.glimpsed()
        try:
            yield
        finally:
            self.catalogs[self.executing] = known

    def look_ahead(self) -> None:
        """Have the server read the catalog while pyinfra reads the rest of the deploy."""
        is_first = self.looked_ahead is None and not self.said and not self.executing
        if is_first and begin(self.host, snapshots.read_ahead()):
            self.looked_ahead = time.monotonic()

    def _read_ahead(self) -> Answer | None:
        """What that found, as long as it is news: no operation has run anywhere since."""
        since, self.looked_ahead = self.looked_ahead, -math.inf
        ran = any(one.ops or one.error_ops for one in self.state.results.values())
        if ran or since is None or time.monotonic() - since > AHEAD:
            return None
        answer = self._run(snapshots.what_was_read())
        # Where it failed, or its session was lost, it left nothing.
        is_there = answer.failure is None or answer.failure.sqlstate != "34000"
        return answer if is_there else None

    def waiting(self) -> Iterator[Object]:
        """The declarations that have not had their turn in the current phase."""
        had = {
            id(item.declaration)
            for (_, executing), draft in self.drafts.items()
            if executing is self.executing
            for item in draft.items
            if item not in draft.waiting
        }
        later = (item.declaration for item in self.later)
        return (one for one in [*self.declarations, *later] if id(one) not in had)

    def may_come(self) -> bool:
        """Whether an operation that comes first may make the database reachable: install it."""
        return not self.executing and self.state.get_meta_for_host(self.host).ops_change > 0

    def forget_catalog(self) -> None:
        """Read the catalog again when it is next needed."""
        self.said.pop(self.executing, None)
        self.snapshots.pop(self.executing, None)
        self.catalogs.pop(self.executing, None)
        self.others = None

    def hear(self) -> Said:
        """What the server says of its catalog as the current phase begins. Raises HostError."""
        if self.executing not in self.said:
            self.said[self.executing] = self._hear()
        return self.said[self.executing]

    def snapshot(self) -> Snapshot:
        """What the database holds as the current phase begins. Raises HostError."""
        for number in range(_TRIES):
            if self.executing in self.snapshots:
                break
            try:
                self.snapshots[self.executing] = self._snapshot(self.hear())
            except CatalogChangedError:
                del self.said[self.executing]
                if number == _TRIES - 1:
                    raise
        return self.snapshots[self.executing]

    def _snapshot(self, said: Said) -> Snapshot:
        with without_collector():
            found = said.snapshot()
        if found.owners:
            others = of_others(self.read, self.host.data.dict())
            found = evolve(found, text="", foreign=others)
        today = read(self.host.data.dict(), "postgres_today", None)
        return evolve(found, today=today) if today else found

    def _hear(self) -> Said:
        answer = self._read_ahead() or self._run(snapshots.script())
        without = Unreadable()
        for number in range(_TRIES):
            if answer.failure is None or answer.failure.sqlstate != _NO_LOCK:
                break
            # Those that hold a lock for a moment are waited for; the others are left out.
            if number == _TRIES - 1:
                without = self._unreadable()
            answer = self._run(snapshots.script(without))
        failure = answer.failure
        if failure and failure.sqlstate == _NO_LOCK:
            holders = "; ".join(self.read([_EXCLUSIVE]).rows)
            raise HostError(f"could not read the catalog: {failure}: {holders}{failure.advice}")
        if failure and failure.sqlstate == NO_ENCODING:
            names = ", ".join(sorted(set(undecodable(self.read([NAMES]).values()))))
            raise HostError(
                f"could not read the catalog: {names or failure} is in no valid encoding: "
                "rename it in a session whose client_encoding is SQL_ASCII"
            )
        if failure and failure.unreachable:
            raise UnreachableError(f"could not reach the database: {failure}")
        if failure or len(answer.rows) != 1:
            reason = f"{failure}{failure.advice}" if failure else "the server answered with none"
            raise HostError(f"could not read the catalog: {reason}")
        known = _KNOWN.setdefault(self.state, WeakValueDictionary())
        return Said.read(answer.rows[0], without, known)

    def calls(self) -> Calls:
        """What tells whose code SQL would run, apart from any plan."""
        if self.others is None:
            self.others = of_others(self.read, self.host.data.dict())
        return Calls(self.others, self.read)

    def _unreadable(self) -> Unreadable:
        """What other sessions have locked against readers, which is said. Raises HostError."""
        answer = self.read(["BEGIN READ ONLY", *snapshots.PINS, QUERY, "COMMIT"])
        if answer.failure:
            raise HostError(f"could not read the locks: {answer.failure}")
        found = Unreadable.read(answer.values())
        if found:
            said = f"not read, because other sessions have locked them: {found}"
            say(self.host, said)
        return found

    def ask(self, query: str, renames: Sequence[str] = ()) -> list[Any]:
        """The rows of a query, each a JSON value. Raises HostError, and HiddenRowsError.

        They are read behind renames that are rolled back, where these can be done already.
        """
        renamed = ["BEGIN READ WRITE", *renames, "SET TRANSACTION READ ONLY"]
        head = [*(renamed if renames else ["BEGIN READ ONLY"]), *snapshots.PINS, snapshots.ALL_ROWS]
        head.append("SET LOCAL lock_timeout = '5s'")
        answer = self.read([*head, query, "ROLLBACK"], Patience.WORK)
        if answer.failure and 0 < answer.failure.index <= len(renames):
            return self.ask(query)
        if failure := answer.failure:
            if failure.hides_rows:
                role = self.catalog().role
                raise HiddenRowsError(f"{failure.message}, as for role {quoted(role)}")
            # The text of a query may be several statements, so that its place tells nothing.
            said = withheld(failure) if within(query) and failure.sqlstate else failure
            raise HostError(f"{said}{failure.advice}", failure.sqlstate)
        return answer.values()

    def _server(self) -> str:
        """Which server and database it is: how it is reached, and what it says of itself."""
        # What it says last is not for everybody, where somebody has changed that.
        rows = self._run(["BEGIN READ ONLY", *snapshots.PINS, *_IDENTITY, "ROLLBACK"]).rows
        return "\n".join([reached(self.host), *rows])

    def read(self, statements: Sequence[str], patience: Patience = Patience.ANSWER) -> Answer:
        """Ask the server by a script that leaves nothing behind."""
        answer = self._run(statements, patience)
        if self.heard:
            self.heard.answers.append((tuple(statements), patience, answer))
        return answer

    def tell(self, text: str) -> None:
        """Print what a plan has found."""
        if self.heard:
            self.heard.told = True
        say(self.host, text)

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """Note what the server says."""
        self.heard = Heard()
        self.verdicts.noted = self.heard.verdicts
        try:
            yield self.heard
        finally:
            self.verdicts.noted, self.heard = Noted(), None

    def hears(self, heard: Heard) -> bool:
        """Whether the server says what another one has said, which is remembered then."""
        is_alike = all(map(self.verdicts.holds, heard.verdicts.known)) and all(
            self._run(statements, patience) == answer
            for statements, patience, answer in heard.answers
        )
        if is_alike:
            self.verdicts.keep(heard.verdicts.new)
        return is_alike

    def _run(self, statements: Sequence[str], patience: Patience = Patience.ANSWER) -> Answer:
        return run(self.host, statements, patience=lambda _: patience)

    def attempt(self, statements: Sequence[str], lock_timeout: str = "2s") -> Answer:
        """What statements answer in a transaction that is rolled back."""
        head = ["BEGIN READ WRITE", *snapshots.PINS, snapshots.ALL_ROWS]
        head.append(f"SET LOCAL lock_timeout = '{lock_timeout}'")
        answer = self.read([*head, *statements, "ROLLBACK"], Patience.WORK)
        failure = answer.failure and evolve(answer.failure, index=answer.failure.index - len(head))
        return evolve(answer, failure=failure)

    def does(self, phase: str) -> bool:
        """Whether the run does a phase of a rollout."""
        return not phase or phase in read(self.host.data.dict(), PHASE, frozenset())

    def allowed(self) -> frozenset[str]:
        """What the run allows to lose data."""
        return cast(frozenset[str], read(self.host.data.dict(), ALLOW, frozenset()))

    def missing(self, one: Object, catalog: Forecast) -> Iterator[Reference]:
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
_KNOWN: WeakKeyDictionary[State, WeakValueDictionary[str, Text]] = WeakKeyDictionary()
"""What the servers of a run have said: of equal databases it is one text, read once."""
