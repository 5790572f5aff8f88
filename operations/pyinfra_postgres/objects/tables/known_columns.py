"""The columns that a declaration names, looked for before anything runs.

PostgreSQL itself would find a wrong name only at the statement, which may come after the
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...syntax.names import Exact, Name, quoted
from ...syntax.parse import expression_columns

_SYSTEM = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
_OF_ROWS = frozenset({"row_to_json", "to_json", "to_jsonb", "num_nulls", "num_nonnulls"})
"""PostgreSQL's own functions of a whole row; `t.f` means `f(t)` too."""


def check_columns(
    table: Name,
    catalog: Forecast,
    named: Iterable[str | None],
    texts: Iterable[str | None] = (),
    *,
    own: Iterable[str] | None = None,
    rows: Collection[str] = (),
) -> None:
    """Raise DeclarationError where a table, as it will be, lacks a column.

    `named` are columns, `texts` declared expressions, None is neither. `own` are the table's
    columns where the catalog does not have them yet, and `rows` what expressions call its row where
    that is not the table's name. Of subqueries nothing is said: names in them may be their own.
    """
    # SQL of the user's own may add columns.
    if catalog.rows_change:
        return
    if own is None:
        columns = getattr(catalog.table(table), "columns", None)
        own = [one.name for one in columns or ()]
    there = [*own, *_from_above(table, catalog)]
    if not there:
        return
    wanted = [*named]
    for text in texts:
        if text is not None and not isinstance(text, Exact):
            wanted += _mentioned(text, table, rows or {table.name}, catalog)
    for name in wanted:
        if name is not None and name not in there:
            close = get_close_matches(name, there, 1)
            hint = f"did you mean {quoted(close[0])}?" if close else "declare it before"
            raise DeclarationError(f"there is no column {quoted(name)} in {table}: {hint}")


def _mentioned(text: str, table: Name, rows: Collection[str], catalog: Forecast) -> Iterator[str]:
    """What can only be a column of the table in an expression."""
    for parts in expression_columns(text):
        match parts:
            case (name,) if name not in _SYSTEM and name not in rows:
                yield name
            case (*schema, row, name) if row in rows and schema in ([], [table.schema]):
                functions = _OF_ROWS | {one.name for one in catalog.functions}
                if name not in _SYSTEM and name not in functions:
                    yield name


def _from_above(table: Name, catalog: Forecast) -> Iterator[str]:
    """The columns of what a table is a partition of: the plan may add some to it."""
    for name in islice(catalog.lineage(table), 1, None):
        above = catalog.table(name)
        yield from (one.name for one in getattr(above, "columns", None) or ())
