"""The sequences that come and go with serial and identity columns.

https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-SERIAL
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from ...catalog.catalog import Forecast, Taken
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Statement
from ...syntax.names import Exact, Name, literal
from ...syntax.naming import chosen_name
from ..kind import Object
from ..sequence_users import is_named, users
from .column_changes import POSITION, positioned
from .columns import TableColumn
from .sequences import RANGES, IdentitySequence, Owner, Sequence, highest, next_value


def put_own(table: Name, column: TableColumn, owner: str | None, catalog: Forecast) -> None:
    """Put the sequence that PostgreSQL makes for a serial or identity column into the catalog."""
    if column.type not in RANGES:
        return  # PostgreSQL will say so.
    own = Owner(table, column.name)
    for one in owned(own, catalog):
        catalog.remove(one)  # The identity takes its place.
    if column.identity:
        catalog.put(IdentitySequence(_name(own, catalog), own))
        return
    catalog.put(
        Sequence(
            _name(own, catalog),
            type=column.type,
            increment=1,
            minimum=1,
            maximum=highest(column.type, 1),
            start=1,
            cache=1,
            cycle=False,
            owned_by=own,
            owner=owner,
        )
    )


def owned(column: Owner, catalog: Forecast) -> Iterator[Sequence | IdentitySequence]:
    """The sequences that a column owns."""
    for one in catalog.on(column.table):
        if isinstance(one, Sequence | IdentitySequence) and one.owned_by == column:
            yield one


def _name(column: Owner, catalog: Forecast) -> Name:
    table = column.table
    taken = Taken(table.schema, catalog)
    return Name(table.schema, chosen_name(table.name, column.column, "seq", taken))


def made(column: Owner, type_: str, catalog: Forecast) -> Sequence:
    """The sequence that a column gets which is there, and becomes serial."""
    # That of an identity leaves its name.
    names = [one.name for one in owned(column, catalog) if isinstance(one, IdentitySequence)]
    name = names[0] if names else _name(column, catalog)
    return Sequence(name, type=type_, owned_by=column).linked(None, catalog)


def widened(
    table: Name, types: Mapping[str | None, str], same: Same, catalog: Forecast
) -> Iterator[tuple[Sequence, Sequence]]:
    """The sequences of a table that end before their columns do, as they are and are to be.

    `types` are those of serial columns, by their defaults.
    """
    for one in catalog.on(table) if types else ():
        if not isinstance(one, Sequence):
            continue
        type_ = types.get(next_value(one.name))
        if type_ and RANGES[one.type or "bigint"] < RANGES[type_]:
            yield one, Sequence(one.name, type=type_).aligned(one, same, catalog)


def check_free(column: Owner, catalog: Forecast, ask: Ask) -> None:
    """Raise DeclarationError where something else uses the sequence of a column."""
    for one in owned(column, catalog):
        if found := users(one.name, catalog, ask, but=column):
            raise DeclarationError(
                f"the sequence {one.name} goes with what column {column.column} is now, and is "
                f"used by {', '.join(found)}: change that before"
            )


def of(table: Object, catalog: Forecast) -> Iterator[Sequence | IdentitySequence]:
    """The sequences that columns of a table own, nothing of other objects."""
    for one in catalog.on(Name(*table.key()[1:])) if table.kind == "table" else ():
        if isinstance(one, Sequence | IdentitySequence):
            yield one


def unused(table: Object, catalog: Forecast) -> Iterator[Sequence]:
    """Those of them that the default of no column of the table names any more."""
    stored: Any = table
    columns: tuple[TableColumn, ...] = (stored.columns or ()) if table.kind == "table" else ()
    serial = {column.name for column in columns if column.serial}
    for one in of(table, catalog):
        if isinstance(one, Sequence) and isinstance(one.owned_by, Owner):
            used = any(is_named(one.name, column.default) for column in columns)
            if not used and one.owned_by.column not in serial:
                yield one


New: TypeAlias = tuple[Object | None, Object]
"""A sequence of a column as it is, if there is one, and as it is to be."""


def remembered(
    sequences: Iterable[New], columns: Mapping[Exact, TableColumn]
) -> Iterator[Statement]:
    """Remember to which values identities have come whose columns get other sequences."""
    for column in _of_new(sequences):
        if columns[column.column].identity:
            which = f"pg_get_serial_sequence({literal(str(column.table))}, "
            which += f"{literal(column.column)})"
            yield Statement(
                f"DO $position$ DECLARE position text; BEGIN EXECUTE format("
                f"'SELECT last_value FROM %s WHERE is_called', {which}) INTO position; PERFORM "
                f"set_config({literal(POSITION)}, coalesce(position, ''), true); END $position$"
            )


def created(sequences: Iterable[New]) -> Iterator[Statement]:
    """Create the sequences that columns get."""
    for before, after in sequences:
        if before is None:
            yield from after.diff(None, after)


def resumed(sequences: Iterable[New], reads: Callable[[str], bool]) -> Iterator[Statement]:
    """Have new sequences go on where their columns are, and widen others.

    `reads` tells whether all rows have to be read for a column's greatest value.
    """
    for column in _of_new(sequences):
        yield positioned(column.table, column.column, reads(column.column))
    for before, after in sequences:
        if before is not None:
            yield from after.diff(before, after)


def _of_new(sequences: Iterable[New]) -> Iterator[Owner]:
    for before, after in sequences:
        if before is None and isinstance(after, Sequence) and isinstance(after.owned_by, Owner):
            yield after.owned_by
