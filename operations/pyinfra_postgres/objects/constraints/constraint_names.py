"""The names that PostgreSQL gives to constraints."""

from __future__ import annotations

from collections.abc import Iterator

from ...syntax.names import Exact
from ...syntax.naming import chosen_name, joined
from ...syntax.parse import column_names, tree
from ..tables.table_definition import TableDefinition
from .constraints import (
    Check,
    Constraint,
    ForeignKey,
    PrimaryKey,
    Unique,
)


def free_name(table: TableDefinition, one: Constraint, taken: set[str | None]) -> Exact:
    """PostgreSQL's own name for a constraint that a later statement has to name."""
    columns, label = _named_after(table, one)
    return chosen_name(table.name.name, "_".join(columns) or None, label, taken)


def own_names(table: TableDefinition, one: Constraint) -> Iterator[str | None]:
    """PostgreSQL's names for a constraint, which it keeps when the table or a column is renamed."""
    columns, label = _named_after(table, one)
    former: dict[str, str | None] = {one.name: one.renamed_from for one in table.columns or ()}
    for name in filter(None, (table.name, table.renamed_from)):
        for parts in (columns, [former.get(column) or column for column in columns]):
            yield joined(name.name, "_".join(parts) or None, label)


def _named_after(table: TableDefinition, one: Constraint) -> tuple[list[str], str]:
    """The columns after which PostgreSQL names a constraint, and the end of the name."""
    match one:
        case PrimaryKey():
            return [], "pkey"
        case Unique():
            return [*one.columns, *one.include], "key"
        case ForeignKey():
            return [*one.columns], "fkey"
        case Check():
            column = check_column(one, table)
            return [column] if column else [], "check"
    raise AssertionError(one)


def check_column(one: Check, table: TableDefinition) -> str | None:
    """The column of a check constraint that names exactly one."""
    names = {column.name for column in table.columns or ()}
    used = {name for name in column_names(tree(one.expression)) if name in names}
    return used.pop() if len(used) == 1 else None
