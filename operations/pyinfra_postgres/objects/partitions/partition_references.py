"""Foreign keys of others that refer to the rows of a partition.

PostgreSQL gives each partition a part of a foreign key to the table above it, and drops none that
has one: it is detached first, which fails while rows are referred to.
https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask
from ...comparison.stored import operator
from ...plan.plan import Objection
from ...syntax.names import Name, quoted
from ..constraints.constraints import ForeignKey


@frozen
class Referring:
    """A foreign key to a table that has a partition."""

    table: Name
    key: ForeignKey

    def rows(self, partition: Name, catalog: Forecast) -> str:
        """The query that counts the rows that refer to rows of the partition."""
        target = catalog.table(partition)
        types = {one.name: one.type for one in getattr(target, "columns", None) or ()}
        pairs = [
            f"p.{quoted(other)} {operator('=', types.get(other), catalog)} c.{quoted(own)}"
            for own, other in zip(self.key.columns, self.key.foreign_columns, strict=True)
        ]
        return (
            f"SELECT pg_catalog.count(*) FROM {self.table} c WHERE EXISTS "
            f"(SELECT FROM {partition} p WHERE {' AND '.join(pairs)})"
        )

    def __str__(self) -> str:
        return f"the foreign key {quoted(self.key.name or '')} of {self.table}"


def referring(parent: Name, catalog: Forecast) -> tuple[Referring, ...]:
    """The foreign keys to a partitioned table, or to one above it."""
    above = {*catalog.lineage(parent)}
    return tuple(
        Referring(Name(*key[1:]), other)
        for key, one in catalog.objects.items()
        for other in (getattr(one, "constraints", ()) if key[0] == "table" else ())
        if isinstance(other, ForeignKey) and other.table in above and not other.details.inherited
    )


def referring_tables(parent: Name, catalog: Forecast) -> tuple[Name, ...]:
    """Their tables."""
    return tuple(sorted({one.table for one in referring(parent, catalog)}))


def users(partition: Name, parent: Name, catalog: Forecast, ask: Ask) -> Iterator[str]:
    """The rows that refer to rows of a partition, which can't go before them."""
    # SQL of the user's own may take them away.
    for one in referring(parent, catalog) if not catalog.rows_change else ():
        (count,) = ask(one.rows(partition, catalog))
        if count:
            yield f"{count} row{'s' if count > 1 else ''} of {one.table}, by {one}"


def objections(partition: Name, parent: Name, catalog: Forecast) -> Iterator[Objection]:
    """What these rows say against detaching it."""
    for one in referring(parent, catalog):
        yield Objection(
            one.rows(partition, catalog),
            str(one),
            f" of {one.table}, which refer to rows of {partition}",
        )
