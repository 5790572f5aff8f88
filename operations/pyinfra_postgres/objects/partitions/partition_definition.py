"""What a partition of time is: its declaration, as it is stored, and its bounds.

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...syntax.names import Name, literal
from ...syntax.parse import Reference
from ..indexes import index_builds
from ..indexes.indexes import StoredIndex
from ..kind import Object


def floor(day: date, every: str) -> date:
    """The first day of the period that a day is in; weeks start on Monday."""
    match every:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def following(first: date, every: str) -> date:
    """The first day of the next period."""
    match every:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case "month":
            return (first + timedelta(days=31)).replace(day=1)
    return first.replace(year=first.year + 1)


def suffix(first: date, every: str) -> str:
    """The end of a partition's name: 2025, 2025_11, 2025_w45 or 2025_11_03."""
    match every:
        case "year":
            return f"{first:%Y}"
        case "month":
            return f"{first:%Y_%m}"
        case "week":
            return f"{first:%G}_w{first:%V}"
    return f"{first:%Y_%m_%d}"


@frozen
class PartitionDefinition(Object):
    """A partition of a table."""

    kind: ClassVar[str] = "partition"
    is_beside_its_table: ClassVar[bool] = True
    word: ClassVar[str] = "partitions"
    acl: ClassVar[str] = "TABLE"
    name: Name
    parent: Name
    bounds: tuple[str, str] | None
    """From and to, the end excluded; None for the default partition."""
    key_type: str = field(default="", eq=False)
    key_column: str = field(default="", eq=False)
    row_security: bool | None = None
    default: Name | None = field(default=None, eq=False)
    """The default partition beside it."""
    rest: Name | None = field(default=None, eq=False)
    """The default partition, where it holds rows."""
    tablespace: str | None = field(default=None, eq=False)
    """Where its parent has its partitions, if not where the database is."""
    columns: tuple[str, ...] = field(default=(), eq=False)
    """The columns of rows that move: all but the generated ones."""
    obstacle: str = field(default="", eq=False)
    """What deleting rows from the default partition would set off, and so forbids to move them."""
    other: str = ""
    """The bound as PostgreSQL has it, where it is none of the above."""
    detaching: bool = field(default=False, eq=False)
    """Whether an interrupted run has begun to detach it."""
    referring: tuple[Name, ...] = field(default=(), eq=False)
    """The tables with foreign keys to a table above it."""
    every: str = field(default="", eq=False)
    """The period of the partitions that the run declares for its parent."""

    def key(self) -> Key:
        return (self.kind, *self.name)

    def lines(self) -> Iterator[str]:
        yield f"of {self.parent} {self.bound}"
        if self.row_security:
            yield "row security"

    @property
    def bound(self) -> str:
        """Its bound, as SQL has it."""
        if self.other:
            return self.other
        if self.bounds is None:
            return "DEFAULT"
        start, end = map(literal, self.bounds)
        return f"FOR VALUES FROM ({start}) TO ({end})"

    def span(self) -> tuple[datetime, datetime] | None:
        """The moments that it spans."""
        if self.bounds is None:
            return None
        start, end = (datetime.fromisoformat(text) for text in self.bounds)
        return (
            start.replace(tzinfo=start.tzinfo or UTC),
            end.replace(tzinfo=end.tzinfo or UTC),
        )

    def is_one(self, every: str) -> bool:
        """Whether it spans exactly one period."""
        span = self.span()
        if span is None or span[0].time() != time() or span[1].time() != time():
            return False
        first, end = (moment.date() for moment in span)
        return first == floor(first, every) and end == following(first, every)

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.parent)

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def belongs_to(self) -> Reference:
        return Reference("table", self.parent)

    def _put_indexes(self, catalog: Forecast) -> None:
        """Put the parts that it gets of its parent's indexes into the catalog."""
        there = [one for one in catalog.on(self.parent) if isinstance(one, StoredIndex)]
        taken = catalog.names_in(self.name.schema) if there else set()
        for whole in there:
            part = index_builds.part(whole, self.name)
            name = index_builds.default_name(part, taken)
            taken.add(name)
            catalog.put(evolve(part, name=name))
