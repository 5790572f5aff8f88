"""What statements did to the relations of a database, and how that differs from what a plan says.

Pure. https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import asdict, define, field, frozen

from ..hidden import masked
from ..syntax.names import Name
from .plan import Action, Change, Hazard, Lock, Mode, Statement
from .sealed import Json

_MODES = {f"{mode.value.title().replace(' ', '')}Lock": mode for mode in Mode}
"""By the words of pg_locks. For the others, of those who read, nobody waits who reads or writes."""
READING = frozenset({Hazard.SCANS, Hazard.LOCKS_OUT, Hazard.REWRITES})
"""What says that a statement goes through all rows of a table."""


@frozen
class Relation:
    """A relation as it was before the first statement."""

    oid: int
    name: Name
    kind: str
    """In pg_class's letters."""
    file: int
    parents: tuple[int, ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether a plan says how it is locked."""
        return self.kind in {"r", "p"}


@frozen
class Seen:
    """What is so of a relation behind a statement."""

    modes: tuple[str, ...]
    """In which the session has locked it, in the words of pg_locks."""
    file: int | None
    """None where the relation is gone."""
    read: int
    """How many rows the transaction has read of it, going through all of them."""

    @property
    def mode(self) -> Mode | None:
        """The strongest mode for which those who read or write may wait."""
        return _strongest(_MODES[one] for one in self.modes if one in _MODES)


@frozen
class Taken:
    """What was measured behind one or several statements."""

    milliseconds: float
    wal: int | None
    """Bytes that the server has written, for others too; None where the role may not know."""
    seen: Mapping[int, Seen]
    """The relations that the session has locked by then."""


@frozen
class Measured:
    """What one or several statements took."""

    title: str
    """The object for which they are."""
    statement: str
    """As a person reads it."""
    milliseconds: float
    wal: int | None
    locks: tuple[Lock, ...]
    """Those that were not held before."""
    rewritten: tuple[Name, ...]
    """The relations that were written anew."""
    differences: tuple[str, ...]
    """How that differs from the plan."""

    def encoded(self) -> Json:
        """As JSON."""
        said = asdict(self, recurse=False)
        said["locks"] = [
            {"relation": list(one.relation), "mode": one.mode.value} for one in self.locks
        ]
        said["wal_bytes"] = said.pop("wal")
        return {**said, "rewritten": list(map(list, self.rewritten))}


@define
class Observer:
    """Tells what is new behind each statement, and what the plan says otherwise."""

    relations: Mapping[int, Relation]
    counts: bool
    """Whether the server counts the rows that are read."""
    modes: dict[int, Mode] = field(factory=dict)
    """The strongest that is held by now."""
    files: dict[int, int | None] = field(factory=dict)
    reads: dict[int, int] = field(factory=dict)
    _children: dict[int, list[int]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        for oid, one in self.relations.items():
            self.files[oid] = one.file
            for parent in one.parents:
                self._children.setdefault(parent, []).append(oid)

    def observe(self, seen: Mapping[int, Seen]) -> dict[int, Mode]:
        """Take what is seen for what was so before the next statement, and return the locks that
        are new.
        """
        new = {
            oid: one.mode
            for oid, one in seen.items()
            if one.mode and _is_weaker(self.modes.get(oid), one.mode)
        }
        self.modes.update(new)
        self.files.update({oid: one.file for oid, one in seen.items()})
        self.reads.update({oid: one.read for oid, one in seen.items()})
        return new

    def measured(self, change: Change, statements: Sequence[Statement], taken: Taken) -> Measured:
        """What statements of a change took."""
        seen = taken.seen
        anew = [
            oid for oid, one in seen.items() if one.file is not None and one.file != self.files[oid]
        ]
        read = {oid for oid, one in seen.items() if one.read > self.reads.get(oid, 0)}
        new = self.observe(seen)
        found: list[str] = []
        # What a script of a user's does nobody knows before.
        for one in statements if change.action is not Action.RUN else ():
            found += self.locked_otherwise(one.locks, new)
            found += self._read_otherwise(one, anew, read)
        hidden = [text for one in statements for text in one.hidden]
        return Measured(
            change.title,
            masked("; ".join(one.shown for one in statements), hidden),
            taken.milliseconds,
            taken.wal,
            tuple(self._told(new)),
            tuple(sorted(self.relations[oid].name for oid in anew)),
            tuple(masked(one, hidden) for one in found),
        )

    def locked_otherwise(self, locks: Iterable[Lock], new: Mapping[int, Mode]) -> Iterator[str]:
        """The new locks of which a plan says less, or nothing."""
        planned = self._with_partitions(locks)
        for oid, mode in sorted(new.items(), key=lambda one: self.relations[one[0]].name):
            if self.relations[oid].is_table and _is_weaker(said := planned.get(oid), mode):
                word = said.value if said else "nothing"
                name = self.relations[oid].name
                yield f"it takes {mode.value} on {name}, and the plan says {word}"

    def not_taken(self, locks: Iterable[Lock]) -> Iterator[str]:
        """The locks of a plan that nothing has taken by now.

        What a statement looks for is so to its end only under the lock of one behind it.
        """
        planned = self._with_partitions(locks)
        for oid in sorted(planned, key=lambda oid: self.relations[oid].name):
            said, held = planned[oid], self.modes.get(oid)
            if self.relations[oid].is_table and _is_weaker(held, said):
                word = held.value if held else "nothing"
                name = self.relations[oid].name
                yield f"the plan says {said.value} on {name}, and nothing takes more than {word}"

    def _read_otherwise(self, one: Statement, anew: Sequence[int], read: set[int]) -> Iterator[str]:
        says = READING.intersection(one.hazards)
        rewritten = [oid for oid in anew if oid in read]
        blocking = self._with_partitions(lock for lock in one.locks if lock.mode.blocks_writers)
        for oid in rewritten if Hazard.REWRITES not in says else ():
            yield f"it writes {self.relations[oid].name} anew, which the plan does not say"
        for oid in sorted(read & blocking.keys()) if not says else ():
            yield f"it reads all rows of {self.relations[oid].name}, which the plan does not say"
        # An index that is built anew is another one then, so that only the reading tells.
        if self.counts and says and not read:
            what = "writes a table or index anew" if Hazard.REWRITES in says else "reads all rows"
            yield f"the plan says that it {what}, and it does not"

    def _with_partitions(self, locks: Iterable[Lock]) -> dict[int, Mode]:
        """What locks are of relations, those of their partitions among them."""
        oids = {one.name: oid for oid, one in self.relations.items()}
        found: dict[int, Mode] = {}
        for lock in locks:
            waiting = [oids[lock.relation]] if lock.relation in oids else []
            while waiting:
                oid = waiting.pop()
                if _is_weaker(found.get(oid), lock.mode):
                    found[oid] = lock.mode
                waiting += [] if lock.only else self._children.get(oid, [])
        return found

    def _told(self, new: Mapping[int, Mode]) -> Iterator[Lock]:
        """Locks, without those of partitions where all they belong to is locked likewise."""
        for oid in sorted(new, key=lambda oid: self.relations[oid].name):
            parents = self.relations[oid].parents
            if not parents or any(new.get(each) is not new[oid] for each in parents):
                yield Lock(self.relations[oid].name, new[oid])


def _strongest(modes: Iterable[Mode]) -> Mode | None:
    return max(modes, key=lambda mode: mode.strength, default=None)


def _is_weaker(one: Mode | None, other: Mode) -> bool:
    return one is None or one.strength < other.strength
