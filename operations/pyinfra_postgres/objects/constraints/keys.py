"""Primary keys and unique constraints of tables with rows.

Their indexes are built first, concurrently, of a partitioned table one for each partition. Then
one short transaction makes them the constraint's, and takes away what it replaces.
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import TypeAlias, cast

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Same
from ...errors import DeclarationError
from ...plan.plan import Hazard, Lock, Stage, Statement, together
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.naming import chosen_name
from ..indexes import index_builds
from ..indexes.elements import Element
from ..indexes.index_state import IndexBuild, IndexState
from ..indexes.indexes import StoredIndex
from ..tables import heirs
from . import foreign_keys
from .constraints import Constraint, PrimaryKey, ReferringKey, Unique

UniqueKey: TypeAlias = PrimaryKey | Unique


def planned(
    table: Name, key: UniqueKey, filled: bool, taken: set[str | None], same: Same, catalog: Forecast
) -> UniqueKey:
    """A new key, with how it comes to be."""
    _check_complete(table, key, same, catalog)
    old = key.build.instead
    moved: tuple[ReferringKey, ...] = ()
    if isinstance(old, PrimaryKey | Unique):
        moved = foreign_keys.dependents(table, old.name, old.columns, catalog)
        foreign_keys.check(moved, key.columns)
    built = IndexBuild.of(index_of(table, key), catalog)
    index = built.index
    identifies = isinstance(key, PrimaryKey) or index_builds.never_null(table, key.columns, catalog)
    marks = index_builds.marks_of(index, built, identifies and not key.deferrable)
    build = evolve(key.build, dependents=moved, marks=tuple(marks))
    keeps = old is not None and old.name == key.name
    if built.partitioned and key.name and not keeps and catalog.has_relation(index.full):
        raise DeclarationError(f"{index.full} is in the way of {key.written()}: remove it before")
    if not filled or not built.online:
        if key.name and old and old.name == key.name:
            return key.evolved(build=build)
        name, there = _place(built, key, taken, same, catalog)
        indexes = [IndexBuild.of(there, catalog)] if there else []
        return key.evolved(name=name, build=evolve(build, indexes=tuple(indexes)))
    if built.partitioned:
        name = key.name or key_name(table, key, taken | catalog.names_in(table.schema))
        leaves = catalog.leaves(table)
        indexes = [one for leaf in leaves for one in of_leaf(leaf, key, same, catalog, table)]
    elif key.name and old and old.name == key.name:
        name, there = index_builds.aside(
            index, catalog, "new", lambda one: not one.valid or built.equals(one, same)
        )
        indexes = [evolve(built, index=evolve(index, name=name), there=there)]
        name = key.name
    else:
        name, there = _place(built, key, taken, same, catalog)
        indexes = [evolve(built, index=evolve(index, name=name), there=there)]
    return key.evolved(name=name, build=evolve(build, indexes=tuple(indexes), later=True))


def _check_complete(table: Name, key: UniqueKey, same: Same, catalog: Forecast) -> None:
    """Raise DeclarationError where a partition has the key, and its own partitions lack it."""
    for partition in heirs.below(table, catalog):
        for one in _constraints(partition, catalog):
            if not one.validated and not one.details.inherited and key.equals(one, same, partition):
                raise DeclarationError(
                    f"{partition} has {quoted(one.name or '')}, which its own partitions lack: "
                    "declare that key before, so that they get it"
                )


def _place(
    built: IndexBuild, key: UniqueKey, taken: set[str | None], same: Same, catalog: Forecast
) -> tuple[Exact, IndexState | None]:
    """The name of a new key, and what an interrupted run, or somebody, has built under it."""
    index = built.index
    names = catalog.names_in(index.table.schema) | taken
    ours = {
        one.name: one
        for one in catalog.of(StoredIndex)
        if one.table == index.table
        and not one.parent
        and _usable(one, built)
        and ((not one.valid and built.online) or built.equals(one, same))
    }
    if key.name is None:
        name = key_name(index.table, key, names - ours.keys())
    elif catalog.has_relation(index.full) and key.name not in ours:
        raise DeclarationError(
            f"{index.full} is in the way of {key.written()}: give one of them another name, or "
            "remove that before"
        )
    else:
        name = key.name
    return name, ours.get(name)


def _usable(one: IndexState, built: IndexBuild) -> bool:
    """Whether a key can take an index over: at once it has to be whole."""
    return built.online or (one.valid and not built.partitioned)


def of_leaf(
    leaf: Name, key: UniqueKey, same: Same, catalog: Forecast, top: Name | None = None
) -> Iterator[IndexBuild]:
    """The index that a partition lacks for a key of a table above it, if it is one already."""
    stored = _constraints(leaf, catalog)
    tables = takewhile(top.__ne__, catalog.lineage(leaf)) if top else (leaf,)
    if any(
        one.validated and not one.details.inherited and key.equals(one, same, name)
        for name in tables
        for one in _constraints(name, catalog)
    ):
        return
    before = (one for one in stored if key.build.instead and key.build.instead.says_as(one))
    fittings = next((one.details.fittings for one in before), key.details.fittings)
    built = IndexBuild.of(index_of(leaf, key.known(fittings=fittings)), catalog)
    there = index_builds.found(built, catalog, same)
    taken = catalog.names_in(leaf.schema) | {one.name for one in stored}
    name = there.name if there else key_name(leaf, key, taken)
    yield evolve(built, index=evolve(built.index, name=name), there=there)


def _constraints(table: Name, catalog: Forecast) -> list[Constraint]:
    return [*catalog.constraints_of(table)]


def key_name(table: Name, key: UniqueKey, taken: set[str | None]) -> Exact:
    """PostgreSQL's own name for a key."""
    if isinstance(key, PrimaryKey):
        return chosen_name(table.name, None, "pkey", taken)
    return chosen_name(table.name, "_".join([*key.columns, *key.include]), "key", taken)


def index_of(table: Name, key: UniqueKey) -> IndexState:
    """The index that a key has."""
    columns = [Element(name, None, (), None, False, False) for name in key.columns]
    nulls = isinstance(key, Unique) and key.nulls_not_distinct
    return StoredIndex(
        Exact(key.name or ""),
        table,
        columns,
        unique=True,
        include=key.include,
        nulls_not_distinct=nulls,
        parameters=dict(one.split("=", 1) for one in key.details.fittings.parameters) or None,
        tablespace=key.details.fittings.tablespace,
        replica_identity=key.details.fittings.replica_identity,
        clustered=key.details.fittings.clustered,
    )


def added(
    table: Name, key: UniqueKey, old: Constraint | None, filled: bool, partitioned: bool
) -> Iterator[Statement]:
    """Add a key; with rows its indexes are built first, and then made the key's."""
    change = f"ALTER TABLE {table}"
    # After the transaction it may have gone with a column.
    going = "IF EXISTS " if key.build.later else ""
    drop = [f"{change} DROP CONSTRAINT {going}{quoted(old.name or '')}"] if old else []
    remark = []
    if key.details.remark:
        target = f"CONSTRAINT {quoted(key.name or '')} ON {table}"
        remark = [f"COMMENT ON {target} IS {literal(key.details.remark)}"]
    if not key.build.later:
        rule = key.written()
        for one in built_first(key):
            rule = using(key, key.name or "", one.index.name)
        add = f"{change} ADD {rule}"
        if key.build.dependents:
            texts = [*drop, add, *remark, *key.build.marks]
            yield from foreign_keys.around(table, texts, key.build.dependents, Stage.MAIN)
            return
        scan = (Hazard.LOCKS_OUT,) if filled else ()
        yield Statement(add, hazards=scan, locks=table)
        yield from (Statement(one, locks=table) for one in (*remark, *key.build.marks))
        return
    for one in built_first(key):
        yield from index_builds.built(one)
    if partitioned:
        # Its partitions have the same constraint then, and nothing is built or read.
        parts = [
            f"ALTER TABLE {index.table} ADD {using(key, index.name, index.name)}"
            for index in (one.index for one in built_first(key))
        ]
        add = f"{change} ADD {key.written()}"
    else:
        (built,) = built_first(key)
        parts, add = [], f"{change} ADD {using(key, key.name or '', built.index.name)}"
    texts = [*drop, *parts, add, *remark, *key.build.marks]
    leaves = (one.index.table for one in built_first(key))
    tables = [table, *(one for one in leaves if one != table)]
    if key.build.dependents:
        yield from foreign_keys.around(table, texts, key.build.dependents, Stage.AFTER)
    else:
        yield together(texts, tuple(map(Lock, tables)))


def built_first(key: Constraint) -> tuple[IndexBuild, ...]:
    """What is built first for a key."""
    return cast(tuple[IndexBuild, ...], key.build.indexes)


def using(key: UniqueKey, name: str, index: str) -> str:
    """A key's definition on an index that is there."""
    kind = "PRIMARY KEY" if isinstance(key, PrimaryKey) else "UNIQUE"
    return f"CONSTRAINT {quoted(name)} {kind} USING INDEX {quoted(index)}{key.timing}"
