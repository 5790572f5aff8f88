"""The plan of a host: what would change, as data.

Pure: no I/O, no pyinfra state. A diff yields `Statement`s; a `Change` gathers those of one object
with the lines that a person reads; a `Plan` is the changes of one transaction, or the reasons why
it can't start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from attrs import evolve, field, frozen, mutable

from ..errors import DeclarationError
from ..syntax.names import Exact, Name, literal, quoted
from ..syntax.parse import Reference, closed
from ..syntax.paths import SearchPath
from .order import Condition, in_order
from .sealed import Json


class Stage(Enum):
    """When a statement runs."""

    BEFORE = "before"
    """Committed before the transaction: additive, and usable only once committed."""
    MAIN = "main"
    """In the transaction."""
    AFTER = "after"
    """After the transaction, each on its own: online work that refuses a transaction."""


class Hazard(Enum):
    """What a statement can do to a database that lives."""

    REWRITES = "rewrites the table"
    SCANS = "scans the table"
    BLOCKS_WRITES = "blocks writes"
    BLOCKS_READS = "blocks reads and writes"
    LOCKS_OUT = "blocks reads and writes while it reads all rows"
    NOT_TRANSACTIONAL = "not in the transaction: waits for old transactions, blocks nobody"
    NOT_IDEMPOTENT = "runs every time"
    IN_BATCHES = "committed in batches, for which nobody waits long"
    # What follows breaks clients that know the database as it was before.
    RENAMES = "clients that use the former name fail"
    DROPS = "clients that use it fail"
    RESHAPES = "clients find it otherwise under its name"
    RETYPES = "clients find another type"
    DROPS_DEFAULT = "clients that give no value get none"
    DROPS_NOT_NULL = "clients may read nulls"
    DROPS_CONSTRAINT = "clients can't rely on it any more, nor name it in ON CONFLICT"
    RESTRICTS = "clients that write what it refuses fail"
    ROW_SECURITY = "clients see and write other rows"
    POLICIES = "clients see and write other rows by the policies"
    REVOKES = "clients may lack privileges"

    @property
    def breaks_clients(self) -> bool:
        """Whether clients that know the database as it was before may fail."""
        return list(Hazard).index(self) >= list(Hazard).index(Hazard.RENAMES)


_NEEDS_CONSENT = {
    Hazard.REWRITES: "would rewrite the table, which nobody can read or write meanwhile",
    Hazard.LOCKS_OUT: "would block reads and writes while it reads all rows",
}


class Action(Enum):
    """What happens to an object."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    RUN = "run"


class Mode(Enum):
    """PostgreSQL's lock modes of relations that a plan takes ahead, the weakest first.

    https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
    """

    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    """For writing rows: nobody who reads or writes waits, and nobody adds code to the table."""
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def strength(self) -> int:
        """Where it stands among the others."""
        return list(Mode).index(self)

    @property
    def blocks_writers(self) -> bool:
        """Whether INSERT, UPDATE and DELETE wait for it."""
        return self not in {Mode.ROW_EXCLUSIVE, Mode.SHARE_UPDATE_EXCLUSIVE}


@frozen
class Lock:
    """A lock that a statement takes on a relation that exists before the plan."""

    relation: Name
    mode: Mode = Mode.ACCESS_EXCLUSIVE
    only: bool = False
    """Whether it leaves its partitions alone, and tables that inherit from it."""
    spares_heirs: bool = False
    """Whether it leaves tables alone that inherit from it, but not its partitions."""

    def __str__(self) -> str:
        return f"{self.mode.value} on {self.relation}"


def _locks(given: Name | Lock | tuple[Lock, ...] | None) -> tuple[Lock, ...]:
    """A relation alone is locked against everybody."""
    match given:
        case None:
            return ()
        case Name():
            return (Lock(given),)
        case Lock():
            return (given,)
    return given


def _sendable(_: object, __: object, sql: str) -> None:
    if "\x00" in sql:
        raise DeclarationError("it has a NUL (0x00) byte, which PostgreSQL stores in no text")


@frozen
class Loss:
    """What rows of a relation may lose by a statement, which needs permission by name."""

    kind: str
    relation: Name
    column: str = ""
    condition: str = ""
    """Which rows lose something; all where it is empty."""
    told: str | None = None
    """How much is lost, in words, "" for nothing; None where nobody has counted."""
    path: SearchPath = SearchPath.OWN
    """What is searched for the names in the condition."""

    @property
    def title(self) -> str:
        """The kind and name of what is lost."""
        column = f".{quoted(self.column)}" if self.column else ""
        return f"{self.kind} {self.relation}{column}"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "value" if self.condition else "row"

    @property
    def rows(self) -> str:
        """The rows that lose something, as they stand after FROM."""
        where = f" WHERE {closed(self.condition)}" if self.condition else ""
        return f"{self.relation}{where}"


@frozen
class Remake:
    """An object that a plan drops, because it stands on what changes, and makes anew as it was."""

    key: tuple[str, ...]
    """Its key in the catalog, or what identifies a part of an object."""
    needs: frozenset[tuple[str, ...]] = frozenset()
    """The keys of what it stands on and is made anew with it."""
    check: Statement | None = None
    """What fails where it is no longer what it was."""
    obstacle: str = ""
    """Why it can't be made anew as it was: something has to declare it otherwise."""
    is_drop: bool = False
    """Whether the statement drops it for that."""


class Objection(NamedTuple):
    """What rows may say against a change."""

    query: str
    """How many rows do."""
    rule: str
    """What does not hold for them."""
    detail: str = ""
    """What they are like."""
    remedy: str = "correct that first"
    path: SearchPath = SearchPath.OWN
    """Under which the query runs."""
    waits: bool = False
    """Whether what comes later in the plan may still bring the rows that are missing."""


@frozen
class Statement:
    """One SQL statement of a plan. Raises DeclarationError where PostgreSQL can't be sent it."""

    sql: str = field(validator=_sendable)
    stage: Stage = Stage.MAIN
    path: SearchPath = SearchPath.OWN
    """What is searched for names without a schema: another one where a user wrote a part of it."""
    hazards: tuple[Hazard, ...] = ()
    locks: tuple[Lock, ...] = field(default=(), converter=_locks)
    """What it locks of the relations that exist."""
    needs: frozenset[Condition] = frozenset()
    """What has to be there, or to be so, before it runs."""
    gives: frozenset[Condition] = frozenset()
    """What is there, or is so, once it has run."""
    takes: frozenset[Condition] = frozenset()
    """What is gone, or no longer as it was, once it has run."""
    frees: frozenset[Condition] = frozenset()
    """What it no longer uses once it has run."""
    has_to_commit: bool = False
    """Whether what it gives can be used only once it is committed."""
    is_text: bool = False
    """Whether its literals are texts, and none of them a label: a comment."""
    reads: Name | None = None
    """The relation whose rows it reads, where that is another one than is declared."""
    sees: tuple[Name, ...] = ()
    """The tables of which it reads rows by a query, which row level security would filter."""
    instead: str = ""
    """How to do without it where it needs permission, in words."""
    losses: tuple[Loss, ...] = ()
    """What it may lose."""
    at_once: Statement | None = None
    """What does the same inside the transaction, where that needs it: with another lock."""
    also: tuple[str, ...] = ()
    """What PostgreSQL drops with it."""
    puts_back: tuple[tuple[Name, str, str], ...] = ()
    """The foreign keys that it takes off and puts back: table, name and definition."""
    parts: tuple[str, ...] = ()
    """The statements that it runs, where it is a block of several."""
    remakes: Remake | None = None
    """What it makes anew as it was, or what of that it restores."""
    again: str | None = None
    """What goes on from where it stopped for want of a lock, if that is not itself."""
    trial: str | None = None
    """What a trial of the transaction runs in its place, so that no rows are read or written."""
    summary: str = ""
    """What a person reads instead, where it is long or holds what must not be shown."""
    hidden: tuple[str, ...] = ()
    """Values in it that must not be shown."""

    @property
    def shown(self) -> str:
        """What a person reads."""
        return self.summary or self.sql

    @property
    def notes(self) -> list[str]:
        """What a person should know of it: locks, losses, hazards, and what goes with it."""
        return [
            *(str(lock) for lock in self.locks if lock.mode is not Mode.ROW_EXCLUSIVE),
            *(f"loses {loss.told}" for loss in self.losses),
            *(hazard.value for hazard in self.hazards),
            *(f"drops {what} with it" for what in self.also),
        ]

    @property
    def waits_for(self) -> list[Lock]:
        """The locks for which it waits after the transaction, bounded.

        A timeout would kill an index build that waits for an old transaction.
        """
        in_batches = Hazard.IN_BATCHES in self.hazards
        return [lock for lock in self.locks if lock.mode.blocks_writers or in_batches]

    def risks(self, title: str) -> Iterator[tuple[str, str]]:
        """What needs permission by name, and why; `title` is that of the object."""
        for hazard, what in _NEEDS_CONSENT.items():
            if hazard in self.hazards and self.reads:
                yield f"table {self.reads}", f"{what} of {self.reads}"
            elif hazard in self.hazards:
                yield title, what
        for loss in self.losses:
            yield loss.title, f"would lose {loss.told}"

    @property
    def is_for_what_is_found(self) -> bool:
        """Whether it was made for objects as the server has them."""
        return any(one.is_found for one in self.frees)


def together(
    statements: Iterable[str],
    locks: tuple[Lock, ...] = (),
    path: SearchPath = SearchPath.OWN,
) -> Statement:
    """Several statements after the transaction, all of them or none."""
    texts = list(statements)
    if len(texts) == 1:
        return Statement(texts[0], stage=Stage.AFTER, path=path, locks=locks)
    body = "\n".join(["BEGIN", *(f"  {text};" for text in texts), "END"])
    summary = "; ".join(texts)
    return Statement(
        f"DO {literal(body)}",
        stage=Stage.AFTER,
        path=path,
        locks=locks,
        parts=tuple(texts),
        summary=summary,
    )


class Operation(str):
    """The name of an operation, with where a deploy calls it."""

    __slots__ = ("phase", "place")

    place: str
    """The file and line, "" where pyinfra itself calls it."""
    phase: str
    """The deploy function of pyinfra's that it is part of, "" for none."""

    def __new__(cls, name: str, place: str = "", phase: str = "") -> Operation:
        """Make one."""
        one = super().__new__(cls, name)
        one.place, one.phase = place, phase
        return one

    def placed(self, text: str) -> str:
        """A text about it, with its place."""
        return f"{text} ({self.place})" if self.place else text


@frozen
class Change:
    """What one operation does to one object."""

    operation: Operation
    title: str
    action: Action
    lines: tuple[str, ...]
    statements: tuple[Statement, ...]
    is_renamed: bool = False
    """Whether the object, or a part of it, gets another name first."""
    is_quiet: bool = False
    """Whether nobody has to wait for it: of relations it locks only those that the plan creates."""
    key: tuple[str, ...] = ()
    """What identifies the object in a catalog."""
    before: tuple[str, ...] = ()
    """Its definition as it is, as far as it may be shown."""
    after: tuple[str, ...] = ()
    """Its definition as it will be, likewise."""


def counted(changes: Iterable[Change]) -> Counter[Action]:
    """How many objects changes create, change and remove, and how many scripts they run."""
    # Several operations may change one object: what goes goes in the end, else the first one tells.
    objects: dict[str, Action] = {}
    runs = 0
    for change in changes:
        if change.action is Action.RUN:
            runs += 1
        elif change.action is Action.REMOVE:
            objects[change.title] = change.action
        else:
            objects.setdefault(change.title, change.action)
    counts = Counter(objects.values())
    counts[Action.RUN] = runs
    return counts


class Need(NamedTuple):
    """What a change needs and a role lacks."""

    role: str
    what: str
    remedy: str
    group: Exact | None = None
    """The role to be a member of, where that is all."""


@frozen
class Gap:
    """A reference to something that neither exists nor is declared."""

    operation: Operation
    title: str
    reference: Reference

    @property
    def problem(self) -> str:
        """What is missing, and what would provide it."""
        kind, name = self.reference
        written = name.name if name.schema in {"", "public"} else f"{name.schema}.{name.name}"
        call, rest = ("pg.enum", "[...]") if kind == "type" else (f"pg.{kind}", "...")
        remedy = f'{call}("{written}", {rest})'
        return (
            f"{self.title} needs {self.reference}, which does not exist: declare it with {remedy}, "
            f'have the pg.sql that makes it say provides=["{self.reference}"], or correct the name'
        )


@frozen
class Lack:
    """What a change needs and a role lacks."""

    operation: Operation
    title: str
    need: Need

    @property
    def problem(self) -> str:
        """What is missing, and what would give it."""
        role, what, remedy, _group = self.need
        return f"{self.title} needs {what}, which role {quoted(role)} lacks: {remedy}"


@frozen
class Refusal:
    """A change that is possible but not allowed as declared."""

    operation: Operation
    title: str
    reason: str

    @property
    def problem(self) -> str:
        """What stands against it."""
        return f"{self.title}: {self.reason}"


@frozen
class Undeclared:
    """What is there, belongs to what is declared, and is declared by nobody."""

    within: str
    """The title of what it belongs to."""
    kind: str
    name: str
    definition: str = ""

    @property
    def title(self) -> str:
        """Its kind and name, for people."""
        return f"{self.kind} {self.name}"


@frozen
class Waiting:
    """What waits for a run that does a phase of a rollout."""

    phase: str
    plan: Plan
    """What would change, as far as it can be told before; what stands against it is no reason
    against this run."""


@mutable
class Plan:
    """The changes of one transaction on one host, in the order of their operations."""

    changes: list[Change] = field(factory=list)
    gaps: list[Gap | Lack] = field(factory=list)
    refusals: list[Refusal] = field(factory=list)
    undeclared: list[Undeclared] = field(factory=list)
    """What the end of the transaction found, and leaves as it is."""
    waiting: list[Waiting] = field(factory=list)
    """What is declared for another run."""
    made: dict[tuple[str, ...], set[Condition]] = field(factory=dict)
    """As what its changes make each object that can be referred to."""
    inverse: Json | None = None
    """How it is undone, where somebody may want to know: each object before and after."""

    def add(self, change: Change) -> None:
        """Add what is planned next."""
        self.changes.append(change)
        for each in {each for one in change.statements for each in one.gives}:
            if each.is_made:
                self.made.setdefault(each.name, set()).add(each)

    def lack(self, operation: Operation, title: str, needs: Iterable[Need]) -> None:
        """Say what the role lacks, once for all that needs it."""
        told = {gap.need for gap in self.gaps if isinstance(gap, Lack)}
        self.gaps += [Lack(operation, title, need) for need in needs if need not in told]

    def remakes(self, key: tuple[str, ...]) -> bool:
        """Whether it drops an object and makes it anew as it was."""
        marks = (one.remakes for change in self.changes for one in change.statements)
        return any(mark and not mark.is_drop and mark.key == key for mark in marks)

    def released(self, key: tuple[str, ...]) -> tuple[list[Statement], list[Statement]]:
        """Leave it to others to make an object anew.

        Returns what would have made it anew as it was, and what would have made anew all that
        stands on it.
        """
        own: list[Statement] = []
        others: list[Statement] = []
        for place, change in enumerate(self.changes):
            kept = []
            for one in change.statements:
                mark = one.remakes
                if mark is None or mark.is_drop:
                    kept.append(one)
                elif mark.key == key:
                    own.append(one)
                elif key in mark.needs:
                    others.append(one)
                else:
                    kept.append(one)
            self.changes[place] = evolve(change, statements=tuple(kept))
        return own, others

    def operation_of(self, key: tuple[str, ...]) -> Operation:
        """The last operation that changes an object."""
        found = (one.operation for one in reversed(self.changes) if one.key == key)
        return next(found, Operation("plan"))

    @property
    def is_renaming(self) -> bool:
        """Whether it gives other names."""
        return any(change.is_renamed for change in self.changes)

    @property
    def sound(self) -> bool:
        """Whether nothing stands against starting it."""
        return not any(self.problems())

    def statements(self) -> Iterator[tuple[Change, Statement]]:
        """All statements with their changes, as they were planned."""
        return ((change, one) for change in self.changes for one in change.statements)

    def of(self, stage: Stage) -> list[tuple[Change, Statement]]:
        """The statements of one stage with their changes, in the order in which they run."""
        found = [(change, one) for change, one in self.statements() if one.stage is stage]
        return [found[place] for place in in_order([one for _, one in found])]

    def in_run_order(self) -> Iterator[tuple[Change, Statement]]:
        """All statements with their changes, in the order in which they run."""
        return (each for stage in Stage for each in self.of(stage))

    def locks(self) -> list[Lock]:
        """What the transaction locks, each relation once, in one order on every host."""
        strongest: dict[Name, Lock] = {}
        inside = (one for _, one in self.statements() if one.stage is Stage.MAIN)
        for statement in inside:
            for lock in statement.locks:
                known = strongest.get(lock.relation, lock)
                mode = max(known.mode, lock.mode, key=lambda mode: mode.strength)
                strongest[lock.relation] = Lock(lock.relation, mode, known.only and lock.only)
        return [strongest[relation] for relation in sorted(strongest)]

    def problems(self) -> Iterator[str]:
        """Why it can't start, a line each with the place in the deploy."""
        for one in (*self.gaps, *self.refusals, *self._early_renames()):
            yield one.operation.placed(one.problem)

    def _early_renames(self) -> Iterator[Refusal]:
        for change in self.changes:
            if change.is_renamed and any(map(_is_early, change.statements)):
                yield Refusal(
                    change.operation,
                    change.title,
                    "the run uses a new label, which has to be committed before the transaction, "
                    "and the transaction gives other names: let a run before this one do the "
                    "rename",
                )


def _is_early(statement: Statement) -> bool:
    return statement.stage is Stage.BEFORE
