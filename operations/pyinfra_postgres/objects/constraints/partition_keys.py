"""What has to be unique in a partitioned table, which its partition key bounds.

Each partition sees to it alone, so that every column of the key has to be among the unique ones.
https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-LIMITATIONS
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...syntax.names import Exact, Name, listed
from ..indexes.elements import Element, key_elements
from ..tables.details import TableDetails
from ..tables.heirs import below
from .constraints import Constraint, Exclude, PrimaryKey, Unique


def check(
    table: Name,
    what: str,
    unique: Collection[str | None],
    catalog: Forecast,
    key: str | None = None,
) -> None:
    """Raise DeclarationError where a partition key has columns that are not among unique ones.

    The keys are those of the table and of the partitions below it; `key` is that of the table
    where the catalog does not have it yet.
    """
    for name, elements in _keys(table, key, catalog):
        if any(one.expression for one in elements):
            raise DeclarationError(
                f"{what} can't be: {name} is partitioned by an expression, and then nothing in it "
                "is unique as a whole"
            )
        lacking = [Exact(one.column) for one in elements if one.column not in unique and one.column]
        if lacking:
            raise DeclarationError(
                f"{what} lacks {listed(lacking)}, by which {name} is partitioned: what is unique "
                "in a partitioned table has every column of its partition key"
            )


def check_constraint(
    table: Name, one: Constraint, catalog: Forecast, key: str | None = None
) -> None:
    """Raise DeclarationError where a partitioned table can't have a constraint."""
    if isinstance(one, PrimaryKey | Unique):
        check(table, one.written(), one.columns, catalog, key)
    elif isinstance(one, Exclude):
        equal = [element.column for element, operator in one.elements if operator == "="]
        if 0 < catalog.version < 170000 and any(_keys(table, key, catalog)):
            raise DeclarationError(
                f"{one.written()} can't be: {table} is partitioned, and only PostgreSQL 17 and "
                "newer have exclusion constraints of partitioned tables"
            )
        check(table, one.written(), equal, catalog, key)


def check_partition(parent: Name, key: str, catalog: Forecast) -> None:
    """Raise DeclarationError where a new partition can't be partitioned by a key.

    What is unique in the tables above it is unique in it too.
    """
    for name in catalog.lineage(parent):
        table = catalog.table(name)
        for one in table.constraints if table else ():
            check_constraint(name, one, catalog, key)
        for one in catalog.unique_indexes(name):
            check(name, one.title, [each.column for each in one.columns], catalog, key)


def _keys(
    table: Name, key: str | None, catalog: Forecast
) -> Iterator[tuple[Name, Sequence[Element]]]:
    if key is not None and not isinstance(key, Exact):
        yield table, key_elements(key)[1]
    for name in (table, *below(table, catalog)):
        stored = catalog.table(name)
        if stored is not None and stored.partition_by:
            details = catalog.details_of(stored, TableDetails)
            yield name, details.partition_key or key_elements(stored.partition_by)[1]
