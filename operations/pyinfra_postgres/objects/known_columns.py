"""The columns that a declaration names, looked for before anything runs.

PostgreSQL itself would find a wrong name only at the statement, which may come after the
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from ..catalog import Catalog
from ..errors import DeclarationError
from ..names import Name, quoted


def check_columns(table: Name, named: Iterable[str | None], catalog: Catalog) -> None:
    """Raise DeclarationError where a table, as it will be, lacks a column."""
    # SQL of the user's own may add columns.
    if not catalog.rows_change:
        columns = getattr(catalog.objects.get(("table", *table)), "columns", None)
        if columns:
            check_among(table, named, [one.name for one in columns], catalog)


def check_among(
    table: Name, named: Iterable[str | None], own: Iterable[str], catalog: Catalog
) -> None:
    """Raise DeclarationError where a name is not among a table's columns; None is no column."""
    there = [*own, *_from_above(table, catalog)]
    for name in named:
        if name is not None and name not in there:
            close = get_close_matches(name, there, 1, 0.5)
            hint = f"did you mean {quoted(close[0])}?" if close else "declare it before"
            raise DeclarationError(f"there is no column {quoted(name)} in {table}: {hint}")


def _from_above(table: Name, catalog: Catalog) -> Iterator[str]:
    """The columns of what a table is a partition of: the plan may add some to it."""
    parent = getattr(catalog.objects.get(("partition", *table)), "parent", None)
    if parent is not None:
        above = catalog.objects.get(("table", *parent))
        yield from (one.name for one in getattr(above, "columns", None) or ())
        yield from _from_above(parent, catalog)
