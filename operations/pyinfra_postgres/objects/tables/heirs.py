"""Tables that inherit from others, partitions among them, and their columns.

https://www.postgresql.org/docs/current/ddl-inherit.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

from attrs import evolve

from ...catalog.catalog import Forecast
from ...catalog.entry import PARTITION
from ...comparison.asking import Ask
from ...errors import DeclarationError
from ...syntax.names import Name, quoted
from ..constraints.dependents import DependentForeignKey
from ..dependent import Dependent
from ..dependents import of_table
from .columns import TableColumn

_OWN = ("not_null", "unvalidated")
"""What an heir keeps where it was not null before the table above it."""
_SHARED = ("type", "collation", "default", "nullable", "generated", "virtual", *_OWN)
"""What of a column an heir changes with the table above it."""
_shared = attrgetter(*_SHARED)


def inheriting(table: Name, catalog: Forecast) -> Iterator[Name]:
    """The partitions of a table and those that inherit from it, and theirs."""
    for heir in _heirs(table, catalog):
        yield heir
        yield from inheriting(heir, catalog)


def below(table: Name, catalog: Forecast) -> Iterator[Name]:
    """The partitions of a table, at all levels."""
    for one in catalog.partitions(table):
        yield one
        yield from below(one, catalog)


def users(table: Name, catalog: Forecast, ask: Ask) -> list[str]:
    """What would stop a table from being dropped, with the partitions that go with it."""
    going = [table, *below(table, catalog)]
    found: list[str] = []
    for name in going:
        others = of_table(name, catalog, ask).without(partial(_goes_along, catalog=catalog))
        found += others.users(name, catalog)
        heirs = (
            catalog.relations[printed]
            for printed in catalog.heirs.get(catalog.printed.get(name, ""), ())
        )
        found += [
            f"table {heir}, which inherits from it"
            for heir in heirs
            if ("table", *heir) in catalog.objects
        ]
    found += [
        f"its partition {name}, which is declared"
        for name in going[1:]
        if ("table", *name) in catalog.declared or (PARTITION, *name) in catalog.declared
    ]
    return list(dict.fromkeys(found))


def _goes_along(one: Dependent, catalog: Forecast) -> bool:
    """Whether it is the part of a foreign key that a partition has of one to the table above."""
    return isinstance(one, DependentForeignKey) and not one.is_there(one.stored(catalog))


def _heirs(table: Name, catalog: Forecast) -> Iterator[Name]:
    for one in catalog.on(table):
        if getattr(one, "parent", None) == table:
            _, *name = one.key()
            yield Name(*name)
    for printed in catalog.heirs.get(catalog.printed.get(table, ""), ()):
        yield catalog.relations[printed]


def follow(
    table: Name, before: Sequence[TableColumn], after: Sequence[TableColumn], catalog: Forecast
) -> None:
    """Have what inherits from a table follow a change of its columns in the catalog."""
    old, new = ({column.name: column for column in columns} for columns in (before, after))
    if [(one.name, _shared(one)) for one in before] == [(one.name, _shared(one)) for one in after]:
        return
    for name in _heirs(table, catalog):
        heir = catalog.table(name)
        there = getattr(heir, "columns", None) or ()
        known = old.keys() | {column.name for column in there}
        columns = [
            *chain.from_iterable(
                _followed(column, old.get(column.name), new.get(column.name)) for column in there
            ),
            *(
                evolve(column, inherited=True, is_kept=False, comment=None)
                for column in after
                if column.name not in known
            ),
        ]
        if heir:
            catalog.put(evolve(heir, columns=columns))
            follow(name, there, columns, catalog)


def _followed(
    column: TableColumn, old: TableColumn | None, new: TableColumn | None
) -> Iterator[TableColumn]:
    if old is not None and new is not None:
        keeps = _OWN if old.nullable and not column.nullable else ()
        changes: dict[str, Any] = {one: getattr(new, one) for one in _SHARED if one not in keeps}
        yield evolve(column, **{one: to for one, to in changes.items() if to != getattr(old, one)})
    elif old is None or column.is_kept:
        yield column if new is old else evolve(column, inherited=new is not None)


def above(table: Name, catalog: Forecast) -> Iterator[Name]:
    """The table that a table is a partition of, and those that it inherits from."""
    parent = getattr(catalog.partition(table), "parent", None)
    if parent is not None:
        yield parent
    printed = catalog.printed.get(table)
    for one, heirs in catalog.heirs.items():
        if printed in heirs:
            yield catalog.relations[one]


def check_nulls(table: Name, freed: Set[str], catalog: Forecast) -> None:
    """Raise DeclarationError where columns are to take nulls and the table above takes none."""
    for parent in above(table, catalog) if freed else ():
        # Until PostgreSQL 18 only partitions have to follow.
        if catalog.version < 180000 and catalog.relation_kinds.get(parent) != "p":
            continue
        columns = catalog.columns_of(parent)
        for column in columns:
            if column.name in freed and not column.nullable:
                raise DeclarationError(
                    f"its column {quoted(column.name)} is NOT NULL in {parent}, from which it "
                    "inherits: declare it NOT NULL here too, or change it there before"
                )


def check(current: Sequence[TableColumn], declared: Sequence[TableColumn]) -> None:
    """Raise DeclarationError where inherited columns are to go, or to have another type."""
    new = {column.name: column for column in declared}
    for column in current if any(column.inherited for column in current) else ():
        after = new.get(column.name)
        if column.inherited and (after is None or after.type != column.type):
            raise DeclarationError(
                f"its column {column.name} comes from a table that it inherits from: "
                f"{'remove it' if after is None else 'give it another type'} there"
            )
