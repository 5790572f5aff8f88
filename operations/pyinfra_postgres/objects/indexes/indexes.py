"""Indexes: CREATE INDEX, ALTER INDEX, DROP INDEX.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from attrs import evolve, fields

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Objection, Stage, Statement
from ...syntax.names import Exact, quoted
from ...syntax.parse import named
from ..constraints import foreign_keys
from ..constraints.objections import repeated
from ..kind import comment
from ..tables.planned_rows import PlannedRows
from . import index_builds
from .index_definition import IndexDefinition, settings
from .index_state import IndexBuild, IndexFacts, IndexState, rebuilt


class StoredIndex(IndexState):
    """An index of a table that no constraint owns, and how it changes."""

    __slots__ = ()

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        if current.table != self.table:
            raise DeclarationError(f"an index of this name is on {current.table}")
        written = self.written_as(current, same)
        owed = foreign_keys.owed(self.table, catalog)
        if written is current and not owed and not index_builds.left(current, catalog):
            return current
        build = IndexBuild.of(written, catalog)
        changes = self._is_rebuilt(current, build) or not current.valid
        return evolve(written, later=current.later or (build.online and changes))

    def _is_rebuilt(self, current: Self, build: IndexBuild) -> bool:
        """Whether another index takes the place of the stored one."""
        return rebuilt(evolve(current, name=self.name), build.index, build.partitioned)

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return index_builds.users(self, catalog, ask) if self.unique else []

    def facts(
        self,
        current: StoredIndex | None,
        target: StoredIndex | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> IndexFacts | None:
        one = target or current
        if one is None:
            return None
        facts = IndexFacts(IndexBuild.of(one, catalog))
        if target is None:
            return facts
        if current is None:
            return index_builds.parted(facts, catalog, same)
        left, owed = index_builds.left(target, catalog), foreign_keys.owed(self.table, catalog)
        facts = evolve(facts, left=left, owed=owed)
        if target._is_rebuilt(current, facts.build):
            facts = index_builds.swapped(current, facts, catalog, same)
            if ask:
                _check_users(current, facts, catalog, ask)
        elif not current.valid:
            build = evolve(facts.build, there=evolve(current, valid=True))
            facts = index_builds.parted(evolve(facts, build=build), catalog, same)
        return facts

    def objections(
        self, current: Self | None, facts: IndexFacts, catalog: Forecast
    ) -> Iterator[Objection]:
        new = current is None or self._is_rebuilt(current, facts.build)
        if self.unique and new and self.table in catalog.filled:
            elements = [
                Exact(quoted(one.column)) if one.column else one.expression or ""
                for one in self.columns
            ]
            said = f"the unique index {quoted(self.name)}"
            rows = PlannedRows.of(self.table, catalog)
            if rows.knows(named(*elements, self.where)):
                yield repeated(rows, elements, self.where, self.nulls_not_distinct, said)

    def completed(self, catalog: Forecast, same: Same) -> Self:
        if not self.columns:
            raise DeclarationError("it does not exist: declare its columns")
        return evolve(self, later=IndexBuild.of(self, catalog).online)

    def store(self, catalog: Forecast, current: Self | None, facts: IndexFacts | None) -> None:
        if facts:
            renamed = current if current and current.key() != self.key() else None
            index_builds.make_room(current, renamed, facts, catalog)
        catalog.put(self)
        foreign_keys.settle(facts.owed if facts else (), catalog)

    def erase(self, catalog: Forecast) -> None:
        parts = [one for one in catalog.of(type(self)) if one.parent == self.full]
        for one in parts:
            one.erase(catalog)
        catalog.remove(self)

    @staticmethod
    def diff(
        current: StoredIndex | None, declared: StoredIndex | None, facts: IndexFacts | None = None
    ) -> Iterator[Statement]:
        """CREATE, ALTER, replace or DROP an index; on a table with rows concurrently."""
        one = declared or current
        assert one
        facts = facts or IndexFacts(IndexBuild(one))
        build = facts.build
        if declared is None:
            assert current
            if current.parent:
                raise DeclarationError(f"it is a part of the index {current.parent}: drop that")
            if current.replica_identity:
                raise index_builds.identity(current.name, current.table)
            yield index_builds.dropped(current, build.is_concurrent)
            return
        if current and current.name != declared.name:
            yield Statement(f"ALTER INDEX {current.full} RENAME TO {quoted(declared.name)}")
            current = evolve(current, name=declared.name)
        if current is None:
            yield from index_builds.built(build)
            for remark in comment(f"INDEX {declared.full}", None, declared):
                yield evolve(remark, stage=Stage.AFTER if build.is_concurrent else Stage.MAIN)
        elif declared._is_rebuilt(current, build):
            if current.parent:
                raise DeclarationError(
                    f"it is a part of the index {current.parent}, and is what that is: declare "
                    "that one otherwise, before"
                )
            yield from index_builds.replaced(current, facts)
        else:
            yield from _set(current, declared)
            yield from comment(f"INDEX {declared.full}", current, declared)
            yield from index_builds.built(build) if not current.valid else ()
        for old in facts.left:
            yield index_builds.dropped(old, concurrently=True)
        yield from map(foreign_keys.settled, facts.owed)


def _check_users(current: StoredIndex, facts: IndexFacts, catalog: Forecast, ask: Ask) -> None:
    """Raise DeclarationError where what uses the stored index does not follow."""
    if facts.swap and current.unique and facts.build.partitioned:
        # The foreign keys on the whole of it are moved.
        moved = {str(one) for one in facts.swap.dependents}
        found = [one for one in index_builds.users(current, catalog, ask) if one not in moved]
        if found:
            raise DeclarationError(
                f"it is used by {', '.join(found)}: remove or change that before"
            )


def _set(current: StoredIndex, declared: StoredIndex) -> Iterator[Statement]:
    """Storage parameters are for what is written from now on; REINDEX applies them to the rest."""
    before, after = current.parameters or {}, declared.parameters or {}
    alter = f"ALTER INDEX {declared.full}"
    gone = [quoted(name) for name in before if name not in after]
    new = {name: value for name, value in after.items() if before.get(name) != value}
    if gone:
        yield Statement(f"{alter} RESET ({', '.join(gone)})")
    if new:
        yield Statement(f"{alter} SET ({', '.join(settings(new))})")


class Index(IndexDefinition):
    """An index of a table."""

    __slots__ = ()

    def expand(self, catalog: Forecast) -> Iterable[StoredIndex]:
        given = {one.name: getattr(self, one.name) for one in fields(Index)}
        yield StoredIndex(**given)
