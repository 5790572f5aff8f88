"""An index as a table has it, or is to have it, and how it comes to be.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, Self

from attrs import evolve, field, fields, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import PARTITION
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Same
from ...plan.plan import Statement
from ...syntax.names import (
    Exact,
    Name,
    listed,
    quoted,
)
from ...syntax.naming import joined
from ...syntax.parse import Reference, closed
from ..constraints.constraints import ReferringKey
from ..kind import either
from .elements import aligned_element, condition_template
from .index_definition import IndexDefinition, settings

_SWITCHES = {"deduplicate_items", "fastupdate", "autosummarize"}


_ON, _OFF = {"on", "true", "yes", "t", "y"}, {"off", "false", "no", "f", "n"}


def _normal(name: str, value: str) -> object:
    """A storage parameter's value as PostgreSQL understands the text that it keeps."""
    word = value.strip().lower()
    if name in _SWITCHES:
        return True if word in _ON | {"1"} else False if word in _OFF | {"0"} else word
    try:
        return float(word)
    except ValueError:
        return word


@frozen
class IndexState(IndexDefinition):
    """An index of a table that no constraint owns, with what is not declared of it."""

    valid: bool = field(default=True, kw_only=True)
    builder: int | None = field(default=None, eq=False, kw_only=True)
    """The process id of the session that is building it right now."""
    deploying: bool = field(default=False, eq=False, kw_only=True)
    """Whether that session holds the deploy lock."""
    parent: Name | None = field(default=None, eq=False, kw_only=True)
    """The partitioned table's index that it is a part of."""
    tablespace: Exact | None = field(default=None, eq=False, kw_only=True)
    """Where it lies, if not where its database does. None is declared."""
    replica_identity: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is its table's, or a part of it a partition's."""
    clustered: bool = field(default=False, eq=False, kw_only=True)
    targets: dict[int, int] = field(factory=dict, eq=False, kw_only=True)
    """How much ANALYZE gathers of its expressions, by their places, where that is set."""
    later: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is there, or as it is declared, only after the transaction."""

    def belongs_to(self) -> Reference | None:
        # A part of a partitioned table's index goes with that one.
        return None if self.parent else super().belongs_to()

    def lines(self) -> Iterator[str]:
        yield self.definition()
        if not self.valid:
            yield "INVALID"
        if self.comment:
            yield f"comment {self.comment!r}"

    def created(self, concurrently: bool, only: bool = False) -> str:
        """The CREATE INDEX statement; `only` of a partitioned table and not of its partitions."""
        unique = "UNIQUE " if self.unique else ""
        how = "CONCURRENTLY " if concurrently else ""
        where_to = f"{'ONLY ' if only else ''}{self.table}"
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        where = f" WHERE ({closed(self.where)})" if self.where is not None else ""
        elements = ", ".join(map(str, self.columns))
        parameters = f" WITH ({', '.join(settings(self.parameters))})" if self.parameters else ""
        place = f" TABLESPACE {quoted(self.tablespace)}" if self.tablespace else ""
        return (
            f"CREATE {unique}INDEX {how}{quoted(self.name)} ON {where_to} "
            f"USING {quoted(self.method)} ({elements}){include}{nulls}{parameters}{place}{where}"
        )

    def written_as(self, current: Self, same: Same) -> Self:
        """Itself, with what equals the stored index written as it is there."""
        # All of it is compared, so that every expression is in one batch.
        elements = self.columns
        if len(elements) == len(current.columns):
            elements = tuple(
                aligned_element(one, other, same, self.table)
                for one, other in zip(elements, current.columns, strict=True)
            )
        where = self.where
        if same(condition_template(self.table), self.where, current.where, self.table):
            where = current.where
        changes: dict[str, Any] = {
            "columns": elements,
            "where": where,
            "parameters": self._aligned_parameters(current),
            "tablespace": current.tablespace,
            "comment": either(self.comment, current.comment),
        }
        aligned = (changes.get(name, getattr(self, name)) for name in _COMPARED)
        if all(map(eq, aligned, _compared(current))):
            return current
        return evolve(self, **changes)

    def equals(self, current: Self, same: Same, partitioned: bool = False) -> bool:
        """Whether a stored index is the same but for its name, and for whether it is valid."""
        there = evolve(current, name=self.name, valid=True)
        return not rebuilt(there, self.written_as(current, same), partitioned)

    def renamed_match(self, catalog: Forecast, same: Same) -> Self | None:
        if not self.columns or self.table in catalog.created:
            return None
        others = [
            one
            for one in catalog.on(self.table)
            if isinstance(one, type(self)) and one.valid and not one.parent
        ]
        free = [one for one in others if not catalog.is_declared(one.key())]
        return same.first(free, lambda one: self.equals(one, same))

    def _aligned_parameters(self, current: IndexState) -> dict[str, str] | None:
        there = current.parameters or {}
        if self.parameters is None:
            return current.parameters
        return {
            name: there[name]
            if name in there and _normal(name, value) == _normal(name, there[name])
            else value
            for name, value in self.parameters.items()
        }

    def made_anew(self, stored: Sequence[Statement], catalog: Forecast) -> Iterator[Statement]:
        found = []
        for one in stored:
            place = re.search(r" ALTER COLUMN (\d+) SET STATISTICS ", one.sql)
            number = int(place[1]) - 1 if place else 0
            if not place or any(each.expression for each in self.columns[number : number + 1]):
                found.append(one)
        return super().made_anew(found, catalog)


_COMPARED = tuple(one.name for one in fields(IndexState) if one.eq)


_compared = attrgetter(*_COMPARED)


def rebuilt(current: IndexState, declared: IndexState, partitioned: bool) -> bool:
    """Whether it differs in what can't be altered; of a partitioned table that is more."""
    kept = evolve(current, comment=declared.comment)
    # Of that its partitions' parts may be missing yet.
    kept = evolve(kept, **{"valid": True} if partitioned else {"parameters": declared.parameters})
    return kept != declared


@frozen
class IndexBuild:
    """An index, with how it comes to be."""

    index: IndexState
    filled: bool = False
    """Whether its table may have rows."""
    partitioned: bool = False
    """Whether its table is partitioned: PostgreSQL alters no parameters of such an index."""
    online: bool = False
    """Whether it is built without blocking writers."""
    there: IndexState | None = None
    """What is there of it already."""
    becomes: Exact | None = None
    """The name of the part of an index whose place it takes."""
    parts: tuple[IndexBuild, ...] = ()
    """What is built in its table's partitions."""

    @classmethod
    def of(cls, index: IndexState, catalog: Snapshot) -> Self:
        """An index, built as its table decides."""
        kind = catalog.relation_kinds.get(index.table)
        filled = index.table in catalog.filled
        is_whole = kind == "p" and _of_tables(index.table, catalog)
        return cls(index, filled, kind == "p", filled and (kind in {"r", "m"} or is_whole))

    @property
    def is_concurrent(self) -> bool:
        """Whether it is built concurrently; of a partitioned table its parts are."""
        return self.online and not self.partitioned

    def equals(self, other: IndexState, same: Same) -> bool:
        """Whether a stored index is the same but for its name, and for whether it is valid."""
        return self.index.equals(other, same, self.partitioned)


@frozen
class Swap:
    """How one index takes another's name."""

    successor: Exact
    """The name under which it is built."""
    predecessor: Exact
    """The name that the old index gets until it is dropped."""
    there: IndexState | None = None
    """What an interrupted run has built under the successor's name."""
    dependents: tuple[ReferringKey, ...] = ()
    """The foreign keys that stand on the old index."""
    identifies: bool = False
    """Whether the new index can be a replica identity."""
    parts: tuple[IndexState, ...] = ()
    """What partitions have of the old index, each before the parts that it has in turn."""
    places: Mapping[int, int] = field(factory=dict)
    """Of the old index's expressions with a statistics target, their places in the new one."""

    @classmethod
    def of(cls, index: IndexState) -> Swap:
        """A swap where nothing is in its way."""
        return cls(Exact(joined(index.name, None, "new")), Exact(joined(index.name, None, "old")))


@frozen
class IndexFacts:
    """What is known of a change of an index."""

    build: IndexBuild
    """The index that is to be, or that goes."""
    automatic: tuple[IndexBuild, ...] = ()
    """What of it PostgreSQL itself has in its table's partitions."""
    swap: Swap | None = None
    """How it takes the name of the stored index, which differs."""
    left: tuple[IndexState, ...] = ()
    """What is to be dropped, because it has taken the name of these."""
    owed: tuple[ReferringKey, ...] = ()
    """The foreign keys to its table that an interrupted run has not validated again."""


def _of_tables(table: Name, catalog: Snapshot) -> bool:
    """Whether all partitions are ordinary tables, at all levels."""
    for key, one in catalog.objects.items():
        if key[0] == PARTITION and getattr(one, "parent", None) == table:
            name = Name(*key[1:])
            kind = catalog.relation_kinds.get(name)
            if kind != "r" and not (kind == "p" and _of_tables(name, catalog)):
                return False
    return True
