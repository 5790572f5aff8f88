"""Indexes: CREATE INDEX, ALTER INDEX, DROP INDEX.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Objection, Stage, Statement
from ...syntax.names import Exact, Name, quoted
from ...syntax.parse import named
from ..constraints import foreign_keys
from ..constraints.objections import repeated
from ..kind import comment
from ..tables.planned_rows import PlannedRows
from . import index_builds
from .index_definition import IndexDefinition, _settings, rebuilt


class Index(IndexDefinition):
    """An index of a table that no constraint owns, and how it changes."""

    __slots__ = ()

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        if current.table != self.table:
            raise DeclarationError(f"an index of this name is on {current.table}")
        written = self.written_as(current, same)
        owed = foreign_keys.owed(self.table, catalog)
        if written is current and not owed and not index_builds.left(current, catalog):
            return current
        found = written.placed(catalog)
        if rebuilt(evolve(current, name=self.name), found):
            swap = index_builds.swap(current, found, catalog, same)
            new = evolve(found, name=swap.successor, built=swap.there)
            parts = new.parted(catalog, same).parts
            found = evolve(
                found if found.online else found.parted(catalog, same),
                swap=swap,
                parts=index_builds.placed(parts, current, catalog),
            )
        elif not current.valid:
            found = evolve(found, built=evolve(current, valid=True)).parted(catalog, same)
        changed = found.swap is not None or not current.valid
        return evolve(
            found,
            later=current.later or (found.online and changed),
            left=index_builds.left(found, catalog),
            owed=owed,
        )

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return index_builds.users(self, catalog, ask) if self.unique else []

    def with_server_facts(self, current: Self, catalog: Forecast, ask: Ask) -> Self:
        if self.swap and current.unique and current.partitioned:
            # The foreign keys on the whole of it are moved.
            moved = {str(one) for one in self.swap.dependents}
            found = [one for one in index_builds.users(current, catalog, ask) if one not in moved]
            if found:
                raise DeclarationError(
                    f"it is used by {', '.join(found)}: remove or change that before"
                )
        return self

    def objections(self, current: Self | None, catalog: Forecast) -> Iterator[Objection]:
        new = current is None or rebuilt(evolve(current, name=self.name), self)
        if self.unique and new and self.table in catalog.filled:
            elements = [
                Exact(quoted(one.column)) if one.column else one.expression or ""
                for one in self.columns
            ]
            said = f"the unique index {quoted(self.name)}"
            rows = PlannedRows.of(self.table, catalog)
            if rows.knows(named(*elements, self.where)):
                yield repeated(rows, elements, self.where, self.nulls_not_distinct, said)

    def parted(self, catalog: Forecast, same: Same) -> Self:
        """Itself, with what is built in its table's partitions."""
        if not self.partitioned:
            return self
        if self.online or self.built:
            return evolve(self, parts=index_builds.parts(self, catalog, same))
        freed = [one.name for one in index_builds.below(self.full, catalog)]
        return evolve(self, automatic=index_builds.parts(self, catalog, same, freed))

    def completed(self, catalog: Forecast, same: Same) -> Self:
        if not self.columns:
            raise DeclarationError("it does not exist: declare its columns")
        found = self.placed(catalog)
        return evolve(found, later=found.online).parted(catalog, same)

    def store(self, catalog: Forecast, current: Self | None) -> None:
        renamed = current if current and current.key() != self.key() else None
        before = index_builds.below(current.full, catalog) if current and self.swap else ()
        for gone in (*self.left, *before, renamed, self.swap.there if self.swap else None):
            if gone is not None:
                catalog.remove(gone)
        parts = {one.full: self._named(one) for one in (*self.parts, *self.automatic)}
        wholes = {one: now.full for one, now in parts.items()}
        if self.swap:
            wholes[Name(self.table.schema, self.swap.successor)] = self.full
        for one in parts.values():
            catalog.put(evolve(one, parent=one.parent and wholes.get(one.parent, one.parent)))
        catalog.put(self)
        foreign_keys.settle(self.owed, catalog)

    def _named(self, part: IndexDefinition) -> IndexDefinition:
        """A part as it is called once it has taken the place of another."""
        if not self.swap or (part in self.parts and not part.becomes):
            return part
        names = (one.name for one in self.swap.parts if one.table == part.table)
        return evolve(part, name=next(names, part.name))

    def erase(self, catalog: Forecast) -> None:
        parts = [one for one in catalog.of(type(self)) if one.parent == self.full]
        for one in parts:
            one.erase(catalog)
        catalog.remove(self)

    @staticmethod
    def diff(current: Index | None, declared: Index | None) -> Iterator[Statement]:
        """CREATE, ALTER, replace or DROP an index; on a table with rows concurrently."""
        if declared is None:
            assert current
            if current.parent:
                raise DeclarationError(f"it is a part of the index {current.parent}: drop that")
            if current.replica_identity:
                raise index_builds.identity(current.name, current.table)
            concurrently = current.online and not current.partitioned
            yield index_builds.dropped(current, concurrently)
            return
        if current and current.name != declared.name:
            yield Statement(f"ALTER INDEX {current.full} RENAME TO {quoted(declared.name)}")
            current = evolve(current, name=declared.name)
        if current is None:
            yield from index_builds.built(declared)
            for one in comment(f"INDEX {declared.full}", None, declared):
                concurrent = declared.online and not declared.partitioned
                yield evolve(one, stage=Stage.AFTER if concurrent else Stage.MAIN)
        elif rebuilt(current, declared):
            if current.parent:
                raise DeclarationError(
                    f"it is a part of the index {current.parent}, and is what that is: declare "
                    "that one otherwise, before"
                )
            yield from index_builds.replaced(current, declared)
        else:
            yield from _set(current, declared)
            yield from comment(f"INDEX {declared.full}", current, declared)
            yield from index_builds.built(declared) if not current.valid else ()
        for old in declared.left:
            yield index_builds.dropped(old, concurrently=True)
        yield from map(foreign_keys.settled, declared.owed)


def _set(current: Index, declared: Index) -> Iterator[Statement]:
    """Storage parameters are for what is written from now on; REINDEX applies them to the rest."""
    before, after = current.parameters or {}, declared.parameters or {}
    alter = f"ALTER INDEX {declared.full}"
    gone = [quoted(name) for name in before if name not in after]
    new = {name: value for name, value in after.items() if before.get(name) != value}
    if gone:
        yield Statement(f"{alter} RESET ({', '.join(gone)})")
    if new:
        yield Statement(f"{alter} SET ({', '.join(_settings(new))})")
