"""Columns that go: what PostgreSQL drops with them, and what is lost.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from ...catalog.catalog import Forecast
from ...plan.order import column_of, whole
from ...plan.plan import Loss, Statement
from ...syntax.names import Name, quoted
from ..constraints.constraints import Check, Constraint, Exclude
from ..indexes.elements import name_any
from ..indexes.indexes import StoredIndex
from ..kind import Object
from .columns import TableColumn
from .sequences import Owner, Sequence
from .statistics import Statistics


def uses(one: Constraint, columns: Set[str]) -> bool:
    """Whether a constraint of a table is about one of its columns, and goes with it."""
    if not columns:
        return False
    match one:
        case Check():
            return name_any(columns, [], [one.expression])
        case Exclude():
            return name_any(columns, [element for element, _ in one.elements], [one.where])
    names = {*getattr(one, "columns", ()), *getattr(one, "include", ())}
    return not names.isdisjoint(columns)


def going(table: Name, columns: Set[str], catalog: Forecast) -> tuple[Object, ...]:
    """The indexes, statistics and sequences that go with columns of a table."""
    indexes = [
        one
        for one in catalog.on(table)
        if isinstance(one, StoredIndex) and one.goes_with(table, columns)
    ]
    statistics = [
        one
        for one in catalog.on(table)
        if isinstance(one, Statistics) and one.goes_with(table, columns)
    ]
    sequences = [
        one
        for one in catalog.on(table)
        if isinstance(one, Sequence)
        and isinstance(one.owned_by, Owner)
        and one.owned_by.column in columns
    ]
    return (*indexes, *statistics, *sequences)


def dropped(table: Name, column: TableColumn, gone: Iterable[Object]) -> Statement:
    """The statement that drops a column, and with it the values that nothing computes.

    `gone` is what goes with the columns of the table.
    """
    name = quoted(column.name)
    loss = Loss("column", table, column.name, f"{name} IS NOT NULL")
    return Statement(
        f"ALTER TABLE {table} DROP COLUMN {name}",
        locks=table,
        losses=(loss,) if column.generated is None else (),
        takes=frozenset({column_of(table, column.name), *(whole(one.key()) for one in gone)}),
        also=tuple(one.title for one in gone),
    )
