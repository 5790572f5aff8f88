"""The rows that a table has, with what a plan gives them in columns that it adds or converts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from attrs import frozen

from ...catalog.catalog import Forecast
from ...comparison.stored import stored_columns
from ...syntax.names import Exact, Name, quoted
from ...syntax.parse import closed, type_references
from ...syntax.paths import SearchPath
from .columns import TableColumn
from .facts import TableFacts
from .table_definition import TableDefinition


def values(
    current: TableDefinition, declared: TableDefinition, facts: TableFacts, catalog: Forecast
) -> Iterator[tuple[str, str | None]]:
    """What each row gets in a column that is new or converted, None where nobody knows yet."""
    there = {column.name: column for column in current.columns or ()}
    for column in declared.columns or ():
        before = there.get(column.name)
        if before is None:
            own = column.name in facts.rewriting and column.generated is None
            yield column.name, None if own else _of_new(column, catalog)
        elif column.generated is not None:
            if column is not before and _computed(column) != _computed(before):
                yield column.name, _cast(column.generated, column, catalog)
        elif (column.type, column.collation) != (before.type, before.collation):
            known = facts.retypes.columns.get(column.name)
            if known is None or not known.free:
                yield column.name, _of_converted(column, known.using, catalog) if known else None


def _computed(column: TableColumn) -> tuple[object, ...]:
    return column.generated, column.virtual, column.type


def _of_new(column: TableColumn, catalog: Forecast) -> str | None:
    if column.identity or column.serial:
        return None
    given = column.default if column.generated is None else column.generated
    for reference in type_references(column.type) if given is None else ():
        domain: Any = catalog.domain(reference.name)
        given = getattr(domain, "default", None) if not column.type.endswith("[]") else None
    return _cast("NULL" if given is None else given, column, catalog)


def _of_converted(column: TableColumn, using: str, catalog: Forecast) -> str:
    if not using or not any(domains(column.type, catalog)):
        return using
    return _cast(column.using or Exact(quoted(column.name)), column, catalog)


def _cast(text: str, column: TableColumn, catalog: Forecast) -> str:
    # An expression of the server's own stays one.
    return type(text)(f"CAST(({closed(text)}) AS {plain_type(column.type, catalog)})")


def domains(type_: str, catalog: Forecast) -> Iterator[Any]:
    """The domain that a type is, and those under it, as they will be."""
    while not type_.endswith("[]"):
        found = [catalog.domain(one.name) for one in type_references(type_)]
        domain: Any = next(filter(None, found), None)
        if domain is None:
            return
        yield domain
        type_ = domain.type


def plain_type(type_: str, catalog: Forecast) -> str:
    """The type under domains: a query can have values of it that are against their checks."""
    for domain in domains(type_, catalog):
        type_ = domain.type
    return type_


@frozen
class PlannedRows:
    """Rows that a query can read before the plan has run."""

    source: str
    """What stands for the table after FROM."""
    fragments: tuple[str | None, ...]
    """The SQL in that."""
    unknown: frozenset[str]
    """The columns of which nobody knows yet what they have."""
    changed: frozenset[str]
    """The columns that have something else than on the server."""

    @classmethod
    def of(cls, table: Name, catalog: Forecast, *, only: bool = True) -> Self:
        """The rows of a table, or of all that inherit from it too, with what is planned so far."""
        one = catalog.table(table)
        planned: dict[str, str | None] = catalog.values.get(table, {})
        columns = getattr(one, "columns", None) or ()
        return cls.having(table, columns, planned, catalog, only=only)

    @classmethod
    def having(
        cls,
        table: Name,
        columns: Iterable[TableColumn],
        planned: dict[str, str | None],
        catalog: Forecast,
        fills: Mapping[str, str] | None = None,
        *,
        only: bool,
    ) -> Self:
        """The rows of a table that is to have these columns, and in them what is planned.

        `fills` is what is filled into them then, if not all that the catalog knows of.
        """
        partitioned = catalog.relation_kinds.get(table) == "p"
        rows = f"{'ONLY ' if only and not partitioned else ''}{table}"
        known, names = stored_columns(table, catalog), [column.name for column in columns]
        unknown = {name for name in names if planned.get(name, name) is None}
        unknown |= {name for name in names if name not in known and name not in planned}
        given = {name: planned[name] for name in names if planned.get(name)}
        computed = {column.name for column in columns if column.generated is not None}
        late = {name: given[name] for name in given if name in computed}
        early = {name: given[name] for name in given if name not in computed}
        there = [name for name in names if name not in unknown and name not in late]
        fills = catalog.fills.get(table, {}) if fills is None else fills
        filled = {Exact(name): text for name, text in fills.items() if name in there}
        if given:
            rows = _selected(rows, there, early, table)
        if filled:  # What is filled in, is from what the others have by then.
            rows = _selected(rows, there, filled, table)
        if late:  # And so is what is computed.
            rows = _selected(rows, [*there, *late], late, table)
        texts = (*given.values(), *filled.values())
        return cls(rows, texts, frozenset(unknown), frozenset({*planned, *filled}))

    def aliased(self, alias: str) -> str:
        """The source under another name."""
        return f"(SELECT * FROM {self.source}) AS {alias}"

    def path(self, *fragments: str | None) -> SearchPath:
        """The search path of a query that has these fragments too."""
        return SearchPath.of(*self.fragments, *fragments)

    def knows(self, names: Iterable[str]) -> bool:
        """Whether the values of columns are known."""
        return self.unknown.isdisjoint(names)


def _selected(
    rows: str, names: Iterable[str], given: Mapping[Exact, str | None], table: Name
) -> str:
    values = {name: f"{text} AS {quoted(name)}" for name, text in given.items()}
    parts = ", ".join(values.get(Exact(name), quoted(name)) for name in names)
    return f"(SELECT {parts} FROM {rows}) AS {quoted(table.name)}"
