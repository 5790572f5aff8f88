"""What stands against a NOT NULL with a name, or one that is NOT VALID.

PostgreSQL 18 and newer have both.
https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-NOT-NULL
"""

from __future__ import annotations

from collections.abc import Iterable

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...syntax.names import Name, quoted
from ..constraints.constraints import Constraint
from .columns import TableColumn
from .heirs import above, inheriting
from .table_definition import TableDefinition


def check(declared: TableDefinition, there: Iterable[TableColumn], catalog: Forecast) -> None:
    """Raise DeclarationError where a table with certain columns can't have what is declared."""
    special = [one for one in declared.columns or () if one.not_null or one.unvalidated]
    absent = {one.name for one in declared.absent if isinstance(one, Constraint)}
    absent -= {one.not_null for one in special}
    if special and 0 < catalog.version < 180000:
        raise DeclarationError(
            f"NOT NULL of column {quoted(special[0].name)} can't have a name or validated=False: "
            "PostgreSQL 18 and newer have that; declare the column with nullable=False instead"
        )
    wanted = {one.name: one.not_null for one in special}
    for column in there if catalog.version >= 180000 and (special or absent) else ():
        if column.nullable:
            continue
        name = column.not_null_of(declared.name)
        if name in absent:
            raise DeclarationError(
                f"{quoted(name)} is the NOT NULL of column {quoted(column.name)}: declare that "
                "column nullable"
            )
        if wanted.get(column.name) not in {None, name}:
            _check_shared(declared.name, column, catalog)


def _check_shared(table: Name, column: TableColumn, catalog: Forecast) -> None:
    """Raise DeclarationError where other tables keep a NOT NULL from getting another name."""
    name = column.not_null_of(table)
    what = f"NOT NULL of column {quoted(column.name)} can't have another name than {quoted(name)}"
    for parent in above(table, catalog):
        there = _columns(parent, catalog).get(column.name)
        if there and not there.nullable:
            raise DeclarationError(f"{what}: it comes from {parent}, and is named there")
    for heir in inheriting(table, catalog):
        there = _columns(heir, catalog).get(column.name)
        if there and heir not in catalog.created and there.not_null_of(heir) != name:
            raise DeclarationError(
                f"{what}: in {heir}, which inherits it, it is {quoted(there.not_null_of(heir))}, "
                "and PostgreSQL gives all of them another name or none"
            )


def _columns(table: Name, catalog: Forecast) -> dict[str, TableColumn]:
    columns = getattr(catalog.objects.get(("table", *table)), "columns", None) or ()
    return {column.name: column for column in columns}
