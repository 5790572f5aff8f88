"""Range partitions by time: CREATE TABLE ... PARTITION OF.

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Loss, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, identifier, parse_name
from ...syntax.parse import Reference, statement
from ..constraints.constraints import Check, ForeignKey
from ..kind import Object, Row, either
from ..tables import heirs
from ..tables.details import TableDetails
from ..tables.table_definition import row_security
from ..tables.tables import Table
from . import default_rows, partition_copies, partition_references
from .partition_definition import PartitionDefinition, floor, following, suffix
from .partition_facts import DefaultRows
from .partition_references import referring_tables

_MOST = 10_000
_PERIODS = ("day", "week", "month", "year")
_TYPES = {
    "date": "{:%Y-%m-%d}",
    "timestamp without time zone": "{:%Y-%m-%d} 00:00:00",
    "timestamp with time zone": "{:%Y-%m-%d} 00:00:00+00",
}


def _period(text: str) -> str:
    return given.word("every", text, _PERIODS)


def _start(start: str | date) -> date:
    found = _date(start)
    # The years of which strftime writes four digits on every machine.
    if found is None or found.year < 1000:
        raise given.refused("start", "a date like 2025-11 or 2025-11-03", start)
    return found


def _date(start: str | date) -> date | None:
    if isinstance(start, datetime):
        return None  # Which day it is depends on the time zone.
    if isinstance(start, date):
        return start
    match = re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2}))?(?:-([0-9]{1,2}))?", str(start))
    try:
        return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)) if match else None
    except ValueError:
        return None


def _ahead(number: int) -> int:
    return given.number("ahead", number, 0, _MOST)


class Partition(PartitionDefinition):
    """A partition, and how it changes."""

    __slots__ = ()

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        named: Any = catalog.objects.get(self.key())
        if named is not None:
            found: Self = evolve(named, referring=referring_tables(named.parent, catalog))
            return found
        # One that others made for the same time serves as well, whatever its name.
        for one in catalog.on(self.parent):
            if isinstance(one, type(self)) and not one.other and one.span() == self.span():
                return one
        return None

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return users(self.name, self.parent, catalog, ask)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        equal = current.parent == self.parent and not current.other
        if not equal or current.span() != self.span():
            return self
        secured = current.row_security if self.row_security is None else self.row_security
        return evolve(current, row_security=secured)

    def completed(self, catalog: Forecast, same: Same) -> Self:
        if self.name in catalog.relation_kinds:
            raise DeclarationError(
                f"{self.name} exists and is no partition of {self.parent}: rename it or attach it"
            )
        default = None
        for one in catalog.on(self.parent):
            if not isinstance(one, Partition):
                continue
            mine, theirs = self.span(), one.span()
            if mine and theirs and mine[0] < theirs[1] and theirs[0] < mine[1]:
                raise DeclarationError(f"it would overlap {one.title}, {one.bound}")
            if one.bounds is None and not one.other:
                default = one.name
        rest = default if default in catalog.filled else None
        parent = catalog.table(self.parent)
        columns = getattr(parent, "columns", None) or ()
        names = tuple(column.name for column in columns if column.generated is None)
        obstacle = default_rows.obstacle(rest, catalog) if rest else ""
        place = catalog.details_of(parent, TableDetails).tablespace if parent else None
        return evolve(
            self, default=default, rest=rest, tablespace=place, columns=names, obstacle=obstacle
        )

    def facts(
        self, current: Any, target: Any, catalog: Forecast, same: Same, ask: Ask | None
    ) -> DefaultRows | None:
        """Others may stay in the default partition: dates that no period has."""
        if current is not None or target is None or ask is None:
            return None
        if any(getattr(one, "other", "") for one in catalog.on(self.parent)):
            # Python compares the bounds of the others.
            partition_copies.condition(target.name, target.parent, target.bound, catalog, ask)
        if target.rest is None or target.bounds is None:
            return None
        (waiting,) = ask(f"SELECT to_json(EXISTS ({default_rows.waiting(target)}))")
        return DefaultRows(waiting, catalog.rows_change)

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        catalog.put(self)
        table = catalog.table(self.name if current else self.parent)
        if not isinstance(table, Table):
            return
        if current is None:
            # What an index makes true has a name of its own in each partition.
            constraints = [
                one.known(inherited=True)
                if isinstance(one, Check | ForeignKey)
                else one.evolved(name=None).known(inherited=True)
                for one in table.constraints
                if not (isinstance(one, Check) and one.no_inherit)
            ]
            table = Table(
                self.name,
                table.columns,
                constraints=constraints,
                row_security=False,
                force_row_security=False,
                owner=Exact(catalog.role),
            )
            self._put_indexes(catalog)
        catalog.put(evolve(table, row_security=either(self.row_security, table.row_security)))

    def erase(self, catalog: Forecast) -> None:
        catalog.remove(self)
        table = catalog.table(self.name)
        if table:
            table.erase(catalog)

    @staticmethod
    def diff(
        current: Partition | None, declared: Partition | None, rows: DefaultRows | None = None
    ) -> Iterator[Statement]:
        """CREATE a partition; rows that wait for it in the default partition move into it."""
        if declared is None:
            assert current
            yield from removed(current.parent, current.name, current.referring)
            return
        if current is None:
            rows = rows or DefaultRows()
            waiting = declared.rest is not None and (rows.waiting or rows.changing)
            if waiting and declared.obstacle:
                yield default_rows.unmoved(declared)
            movable = waiting and not declared.obstacle
            create = default_rows.created(declared)
            yield from default_rows.moved(declared, rows) if movable else create
        elif evolve(current, row_security=declared.row_security) != declared:
            raise DeclarationError(
                f"it exists as a partition of {current.parent} {current.bound}, and is declared "
                f"as one of {declared.parent} {declared.bound}: detach it first"
            )
        yield from row_security(current, declared)


def removed(parent: Name, name: Name, referring: Iterable[Name] = ()) -> Iterator[Statement]:
    """Drop a partition with its rows; where its parent is referred to, it is detached first."""
    locks = (Lock(parent, only=True), Lock(name), *map(Lock, referring))
    if referring:
        yield Statement(f"ALTER TABLE {parent} DETACH PARTITION {name}", locks=locks)
    yield Statement(f"DROP TABLE {name}", locks=locks, losses=(Loss("partition", name),))


def users(name: Name, parent: Name, catalog: Forecast, ask: Ask) -> list[str]:
    """What would stop a partition from being dropped."""
    found = heirs.users(name, catalog, ask)
    return [*found, *partition_references.users(name, parent, catalog, ask)]


@frozen
class Partitions(Object):
    """The range partitions of a table, from a start until some periods ahead of today."""

    kind: ClassVar[str] = "partitions"

    table: Name = field(converter=parse_name)
    every: str = field(converter=_period, kw_only=True)
    start: date = field(converter=_start, kw_only=True)
    ahead: int = field(default=1, converter=_ahead, kw_only=True)
    default: bool = field(default=False, kw_only=True)
    row_security: bool | None = field(default=None, kw_only=True)

    @property
    def title(self) -> str:
        return f"partitions of {self.table}"

    def key(self) -> Key:
        return (self.kind, *self.table)

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        column, type_ = self._key(catalog)
        write = _TYPES[type_].format
        first = floor(self.start, self.every)
        last = floor(catalog.today, self.every)
        try:
            for _ in range(self.ahead):
                last = following(last, self.every)
        except (OverflowError, ValueError):
            raise DeclarationError(f"{self.title}: ahead goes beyond the year 9999") from None
        if self.default:
            yield self._partition("default", None, column, type_)
        made = 0
        while first <= last:
            made += 1
            if made > _MOST:
                raise DeclarationError(
                    f"{self.title}: from {self.start} on there would be more than {_MOST}; "
                    "check its start"
                )
            end = following(first, self.every)
            yield self._partition(
                suffix(first, self.every), (write(first), write(end)), column, type_
            )
            first = end

    def _partition(
        self, ending: str, bounds: tuple[str, str] | None, column: str, type_: str
    ) -> Partition:
        # Its length is checked like that of any other name.
        name = identifier(f'"{self.table.name.replace(chr(34), 2 * chr(34))}_{ending}"')
        return Partition(
            Name(self.table.schema, name),
            self.table,
            bounds,
            type_,
            column,
            self.row_security,
            every=self.every,
        )

    def _key(self, catalog: Forecast) -> tuple[str, str]:
        """The partition key's column and its type."""
        table = catalog.table(self.table)
        if table is None:
            # The table is a gap, and every type names its partitions alike.
            return "", "timestamp with time zone"
        text = getattr(table, "partition_by", None) or ""
        name = _range_column(text)
        for column in getattr(table, "columns", None) or ():
            if column.name == name:
                if column.type in _TYPES:
                    return column.name, column.type
                raise DeclarationError(
                    f"{self.title}: its key {column.name} is {column.type}; time ranges need "
                    "date, timestamp or timestamptz"
                )
        raise DeclarationError(
            f"{self.title}: the table must be partitioned by RANGE over one column, and is "
            f"partitioned by {text or 'nothing'}"
        )


def _range_column(key: str) -> str | None:
    """The column of a partition key that is a range over exactly one."""
    if key:
        spec = statement(f"CREATE TABLE t (c int) PARTITION BY {key}")["CreateStmt"]["partspec"]
        match spec:
            case {
                "strategy": "PARTITION_STRATEGY_RANGE",
                "partParams": [{"PartitionElem": {"name": str(name)}}],
            }:
                return name
    return None


QUERIES: dict[str, str] = {}
_RANGE = re.compile(r"FOR VALUES FROM \('([^']*)'\) TO \('([^']*)'\)")


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for row in sections["relations"] or ():
        parent, bound = row[11], row[12]
        if parent is None or parent not in catalog.relations:
            continue
        name, of = catalog.relations[row[0]], catalog.relations[parent]
        partition = evolve(partition_of(name, of, bound, row[6]), detaching=row[14])
        catalog.objects[partition.key()] = partition


def partition_of(name: Name, parent: Name, bound: str, row_security: bool | None) -> Partition:
    """A partition with a bound as SQL has it."""
    bounds = _stored_bounds(bound)
    other = "" if bounds or bound == "DEFAULT" else bound
    return Partition(name, parent, bounds, row_security=row_security, other=other)


def _stored_bounds(bound: str) -> tuple[str, str] | None:
    match = _RANGE.fullmatch(bound)
    try:
        if match and datetime.fromisoformat(match[1]) and datetime.fromisoformat(match[2]):
            return match[1], match[2]
    except ValueError:
        pass
    return None
