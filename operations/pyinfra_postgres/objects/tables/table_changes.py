"""How a table is created, and how it becomes what is declared.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve

from ...errors import DeclarationError
from ...plan.order import column_of
from ...plan.plan import Lock, Mode, Stage, Statement
from ...syntax.names import listed, quoted
from ...syntax.parse import closed
from ...syntax.paths import SearchPath
from ..constraints import constraint_changes, foreign_keys
from ..constraints.constraints import (
    Check,
    Constraint,
    Exclude,
    ForeignKey,
    PrimaryKey,
    Unique,
)
from ..indexes import index_builds
from ..indexes.indexes import StoredIndex
from ..kind import Object
from . import column_sequences, heirs
from .column_changes import Names, changed, regenerated, released
from .dropped_columns import dropped
from .facts import TableFacts
from .new_columns import added
from .retyping import differing, retyped
from .table_definition import TableDefinition


def created(declared: TableDefinition) -> Iterator[Statement]:
    """CREATE TABLE, and what that leaves out."""
    later = [one for one in declared.constraints if one.build.later]
    apart = list(_merged(declared.constraints))
    elements = [column.definition() for column in declared.columns or ()]
    elements += [one.written() for one in declared.constraints if one not in [*apart, *later]]
    body = ",\n".join(f"    {element}" for element in elements)
    inner = f"\n{body}\n" if body else ""
    key = declared.partition_by or ""
    partitioned = f" PARTITION BY {closed(key)}" if key else ""
    inside = [one for one in declared.constraints if one not in later]
    keys = {one.table for one in inside if isinstance(one, ForeignKey)}
    yield Statement(
        f"CREATE TABLE {declared.name} ({inner}){partitioned}",
        path=SearchPath.of(
            declared.partition_by,
            *(text for column in declared.columns or () for text in column.fragments),
            *(text for one in inside for text in one.fragments),
        ),
        locks=tuple(
            Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True)
            for one in sorted(keys - {declared.name})
        ),
    )
    for one in apart:
        sql = f"ALTER TABLE {declared.name} ADD {one.written()}"
        yield Statement(sql, path=SearchPath.of(*one.fragments))
    for one in later:
        if isinstance(one, ForeignKey):
            yield from foreign_keys.added(declared.name, one, filled=False)


def _merged(constraints: Iterable[Constraint]) -> Iterator[Constraint]:
    """Those that CREATE TABLE would leave out, because another one needs the same index."""
    seen = set()
    for one in sorted(constraints, key=lambda one: not isinstance(one, PrimaryKey)):
        if isinstance(one, PrimaryKey | Unique | Exclude):
            index = one.definition().removeprefix("PRIMARY KEY").removeprefix("UNIQUE")
            if index in seen:
                yield one
            seen.add(index)


def altered(
    current: TableDefinition, declared: TableDefinition, facts: TableFacts
) -> Iterator[Statement]:
    """ALTER TABLE, in the order that PostgreSQL wants."""
    name = declared.name
    if current.partition_by != declared.partition_by:
        raise DeclarationError(
            f"it is partitioned by {current.partition_by or 'nothing'} and is declared by "
            f"{declared.partition_by}: PostgreSQL can't change that"
        )
    heirs.check(current.columns or (), declared.columns or ())
    there = {column.name: column for column in current.columns or ()}
    every = (*current.constraints, *declared.constraints)
    names = Names.of(facts.version, every, [*there.values(), *(declared.columns or ())])
    leaving = constraint_changes.leaving(current, declared)
    keys = [one for one in current.constraints if isinstance(one, PrimaryKey | Unique)]
    firsts = {one.columns[0] for one in keys if one in declared.constraints}
    late: list[Statement] = []
    yield from constraint_changes.dropped(current, declared)
    yield from column_sequences.remembered(facts.sequences, there)
    for column in declared.columns or ():
        if column.name in there:
            yield from released(name, there[column.name], column)
    _check_virtual(current, declared)
    pairs = differing(current.columns or (), declared.columns or ())
    yield from retyped(name, pairs, facts.retypes, facts.filled)
    yield from column_sequences.created(facts.sequences)
    for column in declared.columns or ():
        if column.name in there:
            before, ordered = there[column.name], column.name in firsts
            for one in changed(name, before, column, facts.filled, names, ordered):
                if column.name in leaving and one.sql.endswith("DROP NOT NULL"):
                    late.append(evolve(one, stage=Stage.AFTER))
                else:
                    yield one
        else:
            yield from added(name, column, column.name in facts.rewriting, names)
    yield from column_sequences.resumed(
        facts.sequences, lambda column: facts.filled and column not in firsts
    )
    yield from constraint_changes.added(current, declared, facts)
    yield from late
    yield from _without_columns(current, declared, facts.gone)
    yield from map(foreign_keys.settled, facts.owed)
    computed = regenerated(current.columns or (), declared.columns or ())
    is_changed = facts.filled and (pairs or computed)
    for table, columns in facts.retypes.analyzed if is_changed else ():
        locks = Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE)
        yield Statement(f"ANALYZE {table} ({listed(columns)})", stage=Stage.AFTER, locks=locks)


def _without_columns(
    current: TableDefinition, declared: TableDefinition, also: Sequence[Object]
) -> Iterator[Statement]:
    stay = {column.name for column in declared.columns or ()}
    for gone in also:
        if isinstance(gone, StoredIndex) and gone.replica_identity:
            raise index_builds.identity(gone.name, declared.name)
    # What is computed from others goes before them.
    leaving = [column for column in current.columns or () if column.name not in stay]
    names = frozenset(column_of(declared.name, column.name) for column in leaving)
    for column in sorted(leaving, key=lambda column: column.generated is None):
        drop = dropped(declared.name, column, also)
        yield evolve(drop, frees=names - drop.takes if column.generated else frozenset())


def _check_virtual(current: TableDefinition, declared: TableDefinition) -> None:
    """Raise DeclarationError where PostgreSQL can't change what is computed when it is read."""
    virtual = {column.name for column in declared.columns or () if column.virtual}
    changes = virtual.intersection(regenerated(current.columns or (), declared.columns or ()))
    names = {one.name for one in declared.constraints}
    checks = [
        quoted(one.name or "")
        for one in current.constraints
        if isinstance(one, Check) and one.name in names
    ]
    if changes and checks:
        raise DeclarationError(
            f"column {listed(sorted(changes))} is computed when it is read, which PostgreSQL does "
            f"not change in a table with checks ({', '.join(checks)}): drop the column, and the "
            "next run adds it"
        )
