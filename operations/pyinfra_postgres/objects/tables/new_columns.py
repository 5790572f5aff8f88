"""Columns that are added to a table with rows.

PostgreSQL keeps one value for all rows that were there before the column. Where they need values of
their own it writes every row anew, and nobody can use the table meanwhile. Whether it does is asked
of the server, which adds the columns to an empty copy of the table and rolls back.
https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask
from ...errors import DeclarationError
from ...plan.plan import Hazard, Statement
from ...syntax.names import Name, listed
from ...syntax.parse import declared_references, type_references
from ...syntax.paths import SearchPath
from .column_changes import Names, changed
from .columns import TableColumn, is_null

_COPY = "pyinfra_postgres_copy"
_FILE = f"SELECT to_json(pg_relation_filenode('pg_temp.{_COPY}'::regclass))"


def added(table: Name, column: TableColumn, rewrites: bool, names: Names) -> Iterator[Statement]:
    """The statements that add a column; `rewrites` says that every row is written anew."""
    loose = evolve(column, nullable=True, unvalidated=False) if column.unvalidated else column
    yield Statement(
        f"ALTER TABLE {table} ADD COLUMN {loose.definition(names.not_null(table, column))}",
        path=SearchPath.of(*column.fragments),
        hazards=(Hazard.REWRITES, Hazard.BLOCKS_READS) if rewrites else (),
        locks=table,
        instead=_in_steps(column) if rewrites else "",
    )
    yield from changed(table, loose, column, filled=True, names=names)
    yield from column.beside(table, None)


def _in_steps(column: TableColumn) -> str:
    """How a careful engineer adds a column whose rows need values of their own."""
    if column.generated is not None:
        return "without that, declare a plain column, have a trigger fill it, and update the rows"
    if not (column.default or column.identity or column.serial):
        return "without that, declare the type under its domain, and the domain's checks as its own"
    what = "its identity" if column.identity else "serial" if column.serial else "its default"
    return (
        f"without that, declare it nullable and without {what} first, then with a default for new "
        "rows, fill the old ones with pg.backfill, and then declare it as it is here"
    )


def rewriting(
    table: Name, columns: Sequence[TableColumn], catalog: Forecast, ask: Ask
) -> frozenset[str]:
    """The names of new columns for which every row of a table is written anew.

    Raises DeclarationError where rows would have nothing in a column that must not be null.
    """
    if table not in catalog.filled:
        return frozenset()
    empty = [one for one in columns if _must_be_given(one, catalog)]
    if empty and ask(f"SELECT to_json(EXISTS (SELECT FROM {table}))") == [True]:
        names = listed(one.name for one in empty)
        raise DeclarationError(
            f"column {names} is NOT NULL without a default, and the table has rows, which would "
            "have nothing in it: declare a default, or declare it nullable, fill it, and then "
            "declare it NOT NULL"
        )
    certain = {one.name for one in columns if _has_own_values(one)}
    open_ = [one for one in columns if one.name not in certain and _may_have_own_values(one)]
    return frozenset(certain | set(_asked(table, open_, ask)))


def _must_be_given(column: TableColumn, catalog: Forecast) -> bool:
    """Whether a row has nothing in a column that must not be null."""
    given = not is_null(column.default) and column.default is not None
    if given or column.identity or column.serial or column.generated is not None:
        return False
    names = (one.name for one in type_references(column.type) if not column.type.endswith("[]"))
    domains: list[Any] = [catalog.domain(name) for name in names]
    if domains and domains[0]:
        return domains[0].default is None and not (column.nullable and domains[0].nullable)
    return not column.nullable and not column.unvalidated


def _has_own_values(column: TableColumn) -> bool:
    """Whether each row has a value of its own for certain."""
    stored = column.generated is not None and not column.virtual
    return bool(column.identity or column.serial or stored)


def _may_have_own_values(column: TableColumn) -> bool:
    """Whether it depends on functions or on a type that only the server knows."""
    return any(True for _ in declared_references(column.default)) or any(
        True for _ in type_references(column.type)
    )


def _asked(table: Name, columns: Iterable[TableColumn], ask: Ask) -> Iterator[str]:
    """The names of the columns for which the server writes a table anew."""
    for column in columns:
        answer = ask.attempt(
            [
                f"CREATE TEMP TABLE {_COPY} (LIKE {table})",
                _FILE,
                SearchPath.of(*column.fragments).local,
                f"ALTER TABLE pg_temp.{_COPY} ADD COLUMN {column.definition()}",
                SearchPath.OWN.local,
                _FILE,
            ]
        )
        if answer.failure:
            # Of what only the plan creates, a function may give every row another value.
            called = (one.kind for one in declared_references(column.default))
            if "function" in called:
                yield column.name
        elif len(set(answer.values())) > 1:
            yield column.name
