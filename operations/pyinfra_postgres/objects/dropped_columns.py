"""Columns that go: what PostgreSQL drops with them, and what is lost.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from ..catalog import Catalog
from ..errors import HostError
from ..kind import Ask, Object, guard
from ..names import Name, quoted
from ..parse import column_names, tree
from ..plan import Loss, Statement
from .constraints import Check, Constraint, Exclude
from .elements import Element
from .indexes import Index
from .sequences import Owner, Sequence
from .statistics import Statistics


def uses(one: Constraint, columns: Set[str]) -> bool:
    """Whether a constraint of a table is about one of its columns, and goes with it."""
    match one:
        case Check():
            return _named(columns, [], [one.expression])
        case Exclude():
            return _named(columns, [element for element, _ in one.elements], [one.where])
    names = {*getattr(one, "columns", ()), *getattr(one, "include", ())}
    return not names.isdisjoint(columns)


def going(table: Name, columns: Set[str], catalog: Catalog) -> tuple[Object, ...]:
    """The indexes, statistics and sequences that go with columns of a table."""
    indexes = [
        one
        for one in catalog.on(table)
        if isinstance(one, Index)
        and (not columns.isdisjoint(one.include) or _named(columns, one.columns, [one.where]))
    ]
    statistics = [
        one
        for one in catalog.on(table)
        if isinstance(one, Statistics) and _named(columns, one.on, [])
    ]
    sequences = [
        one
        for one in catalog.on(table)
        if isinstance(one, Sequence)
        and isinstance(one.owned_by, Owner)
        and one.owned_by.column in columns
    ]
    return (*indexes, *statistics, *sequences)


def _named(columns: Set[str], elements: Iterable[Element], texts: Iterable[str | None]) -> bool:
    names = {element.column for element in elements}
    for text in (*texts, *(element.expression for element in elements)):
        if text is not None:
            names.update(column_names(tree(text)))
    return not names.isdisjoint(columns)


def guarded_drop(
    kind: str, name: Name, counted: bool, catalog: Catalog, ask: Ask
) -> Iterator[Statement | Loss]:
    """A table with rows is dropped only by name; an empty one only while it is empty."""
    there = catalog.stored.get(name, name) if counted else None
    yield from _guarded(kind, str(name), name, "", there, f"DROP TABLE {name}", ask)


def guarded_column(
    table: Name, column: str, counted: bool, catalog: Catalog, ask: Ask
) -> Iterator[Statement | Loss]:
    """A column with values is dropped only by name; an empty one only while it is empty."""
    there = catalog.stored.get(table, table) if counted else None
    condition = f" WHERE {quoted(column)} IS NOT NULL"
    name = f"{table}.{quoted(column)}"
    yield from _guarded("column", name, table, condition, there, dropping(table, column), ask)


def dropping(table: Name, column: str) -> str:
    """The statement that drops a column."""
    return f"ALTER TABLE {table} DROP COLUMN {quoted(column)}"


def _guarded(
    kind: str, name: str, table: Name, condition: str, there: Name | None, sql: str, ask: Ask
) -> Iterator[Statement | Loss]:
    """`there` is the table's name until the plan has run, where it may have rows; `sql` drops."""
    what = "value" if condition else "row"
    count = 0
    if there:
        try:
            (count,) = ask(f"SELECT count(*) FROM {there}{condition}")
        except HostError as error:
            yield Loss(kind, name, f"can't count its {what}s: {error}", sql)
            return
    if count:
        dropped = f"{kind} {name}" if condition else "it"
        losses = f"{count} {what}{'s' if count > 1 else ''}"
        yield Loss(kind, name, f"dropping {dropped} would lose {losses}", sql, losses)
        return
    yield guard(f"SELECT FROM {table}{condition}", f"{kind} {name} has {what}s by now", table)
