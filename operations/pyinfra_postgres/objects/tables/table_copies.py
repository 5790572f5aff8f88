"""Empty copies of tables, with what foreign keys stand on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias

from attrs import evolve

from ...catalog.catalog import Forecast
from ...syntax.names import Exact, Name
from ...syntax.parse import column_names, tree
from ..constraints.constraints import Build, Check, Constraint, ForeignKey, Unique
from ..constraints.details import Fittings
from .columns import TableColumn
from .sequences import Owner
from .table_definition import TableDefinition

Targets: TypeAlias = dict[tuple[Name, tuple[Exact, ...]], tuple[Name, list[TableColumn]]]
"""The columns on which foreign keys stand, by table and name: what stands for that table."""


def name_of(name: Name) -> Name:
    """The name of a copy, by which expressions may call its row."""
    return Name("pg_temp", name.name)


def targets(*tables: TableDefinition, catalog: Forecast) -> Targets:
    """What stands for the tables to which foreign keys of tables go, as these will be."""
    found: Targets = {}
    for table in tables:
        for one in table.constraints:
            if isinstance(one, ForeignKey) and one.foreign_columns and one.table != table.name:
                target = catalog.table(one.table)
                there = {column.name: column for column in getattr(target, "columns", None) or ()}
                if there.keys() >= set(one.foreign_columns):
                    columns = [
                        TableColumn(name, there[name].type, collation=there[name].collation)
                        for name in one.foreign_columns
                    ]
                    stand_in = Name("pg_temp", f"{one.table} {len(found)}"[:50])
                    found.setdefault((one.table, one.foreign_columns), (stand_in, columns))
    return found


def reads_rows(table: TableDefinition) -> bool:
    """Whether an expression of a table has a row of it as one value, whose type a copy has not."""
    texts = [column.generated for column in table.columns or ()]
    texts += [one.expression for one in table.constraints if isinstance(one, Check)]
    trees = [tree(text) for text in texts if text is not None]
    return any("'A_Star'" in repr(one) or table.name.name in column_names(one) for one in trees)


def constraints(
    table: TableDefinition, known: Targets, before: TableDefinition | None = None
) -> Iterator[Constraint]:
    """The constraints of a table's copy: of foreign keys those whose targets are known.

    Those of the table before the change are there as they are.
    """
    there = {id(one.build) for one in before.constraints} if before else set()
    for one in table.constraints:
        build = Build()
        if before and id(one.build) not in there:
            old = one.build.instead and _copied(one.build.instead, Build(), table.name, known)
            build = Build(instead=old, renames=one.build.renames)
        if copy := _copied(one, build, table.name, known):
            yield copy


def _copied(one: Constraint, build: Build, table: Name, known: Targets) -> Constraint | None:
    """A constraint on a table's copy; none for a foreign key to what is not known."""
    details = evolve(one.details, inherited=False, fittings=Fittings(), remark=None, owed=False)
    copy = one.evolved(validated=True, details=details, build=build)
    if not isinstance(copy, ForeignKey):
        return copy
    if copy.table == table:
        return copy.evolved(table=name_of(table))
    if (copy.table, copy.foreign_columns) not in known:
        return None
    stand_in, _ = known[copy.table, copy.foreign_columns]
    return copy.evolved(table=stand_in)


def key_of(columns: list[TableColumn]) -> Unique:
    """The key of what stands for the target of a foreign key."""
    return Unique(*(column.name for column in columns))


def columns(
    table: TableDefinition, served: Collection[object], before: TableDefinition | None
) -> list[TableColumn] | None:
    """The columns of a copy. What a new sequence gives values to, `served`, stays as it is."""
    if table.columns is None:
        return None
    there = {column.name: column for column in (before.columns if before else None) or ()}
    names = {one.column for one in served if isinstance(one, Owner)}
    pairs = ((there.get(column.name, column), column) for column in table.columns)
    return [old if column.name in names else column for old, column in pairs]
