"""Rows of a default partition that belong into a new one, and how they move there.

PostgreSQL adds no partition while its rows are in the default one. Others may stay there: dates
before and after all periods, infinite ones and nulls.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...catalog.catalog import Forecast
from ...plan.plan import Hazard, Lock, Statement
from ...syntax.names import Name, listed, literal, quoted
from ..code.triggers import Trigger
from ..constraints.constraints import ForeignKey
from ..tables.tables import Table
from .partition_definition import PartitionDefinition
from .partition_facts import DefaultRows

_SEES_NONE = (Hazard.SCANS, Hazard.BLOCKS_READS)
"""Of what has PostgreSQL see that no row of the default partition belongs elsewhere."""


def created(declared: PartitionDefinition) -> Iterator[Statement]:
    """Create a partition into which no rows move."""
    yield Statement(
        f"CREATE TABLE {declared.name} PARTITION OF {declared.parent} {declared.bound}",
        hazards=_SEES_NONE if declared.rest else (),
        locks=_attaching(declared),
    )


def _attaching(declared: PartitionDefinition) -> tuple[Lock, ...]:
    """What a new partition locks of those that are there: of the default one the bound changes."""
    rest = (Lock(declared.default),) if declared.default else ()
    return (Lock(declared.parent, only=True), *rest)


def obstacle(rest: Name, catalog: Forecast) -> str:
    """What has to go before rows of a default partition can move: to others they are deleted."""
    lineage = [*catalog.lineage(rest)]
    for table in catalog.of(Table):
        for one in table.constraints:
            if isinstance(one, ForeignKey) and one.table in lineage:
                name = f" {quoted(one.name)}" if one.name else ""
                return f"the foreign key{name} of {table.name}: drop it, run again, and add it"
    for trigger in catalog.of(Trigger):
        if trigger.table in lineage and trigger.fires_on_delete():
            return f"{trigger.title}: disable it, run again, and enable it"
    return ""


def unmoved(declared: PartitionDefinition) -> Statement:
    """Have a partition only where no rows wait for it."""
    text = (
        f"{declared.rest} holds rows of {declared.name}, and moving them would delete them for "
        f"{declared.obstacle}"
    )
    return Statement(
        f"DO $guard$ BEGIN IF EXISTS ({waiting(declared)}) THEN "
        f"RAISE EXCEPTION USING MESSAGE = {literal(text)}; END IF; END $guard$",
        locks=declared.rest,
    )


def waiting(declared: PartitionDefinition) -> str:
    """A query for the rows of the default partition that belong into this one."""
    return f"SELECT FROM {declared.rest} WHERE {_belonging(declared)}"


def _belonging(declared: PartitionDefinition) -> str:
    """The condition for that."""
    assert declared.bounds
    column = quoted(declared.key_column)
    start, end = map(literal, declared.bounds)
    return f"{column} >= {start} AND {column} < {end}"


def moved(declared: PartitionDefinition, rows: DefaultRows) -> Iterator[Statement]:
    """Create a partition as a table, move its rows there, and attach it."""
    assert declared.rest
    columns = listed(declared.columns)
    # As a partition that is created, it has neither comments nor statistics of its own.
    like = "INCLUDING ALL EXCLUDING IDENTITY EXCLUDING STATISTICS EXCLUDING COMMENTS"
    hazards = (Hazard.LOCKS_OUT,) if rows.waiting else _SEES_NONE
    place = f" TABLESPACE {quoted(declared.tablespace)}" if declared.tablespace else ""
    yield Statement(
        f"CREATE TABLE {declared.name} (LIKE {declared.parent} {like}){place}",
        locks=declared.rest,
    )
    yield Statement(
        f"WITH moved AS (DELETE FROM {declared.rest} "
        f"WHERE {_belonging(declared)} "
        f"RETURNING {columns}) INSERT INTO {declared.name} ({columns}) SELECT {columns} FROM moved",
        hazards=hazards,
        reads=declared.rest,
    )
    yield Statement(
        f"ALTER TABLE {declared.parent} ATTACH PARTITION {declared.name} {declared.bound}",
        hazards=hazards,
        reads=declared.rest,
        locks=_attaching(declared),
    )
