"""Rows that stand against a rule that a table with rows is to have.

They are counted before anything runs. PostgreSQL itself would find them only after the transaction,
when the rule is there already and writers have to keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..catalog import Catalog
from ..kind import Objection
from ..names import Name, listed, quoted
from ..parse import expression_references, type_references
from ..paths import SearchPath
from ..stored import columns_of, operator
from .constraints import Check, Constraint, ForeignKey, PrimaryKey, Unique

if TYPE_CHECKING:
    from .columns import Column
    from .tables import Table


def to_table(current: Table, declared: Table, catalog: Catalog) -> Iterator[Objection]:
    """What the rows of a table may say against what is declared and not yet so."""
    if not current.filled:
        return
    known = columns_of(declared.name, catalog)
    there = {column.name: column for column in current.columns or ()}
    for column in declared.columns or ():
        if column.name in known and _takes_nulls_away(there[column.name], column):
            yield Objection(
                f"SELECT count(*) FROM {declared.name} WHERE {quoted(column.name)} IS NULL",
                f"NOT NULL of column {quoted(column.name)}",
            )
        elif column.name not in there:
            yield from _to_default(column, declared.name, catalog)
    for one in declared.constraints:
        if one.validated and not one.way.renames and one not in current.constraints:
            yield from _to_constraint(one, declared.name, known, catalog)


def _takes_nulls_away(current: Column, declared: Column) -> bool:
    return not declared.nullable and (current.nullable or bool(current.unvalidated))


def _to_default(column: Column, table: Name, catalog: Catalog) -> Iterator[Objection]:
    """The value that all rows get in a new column, where a domain's checks are against it."""
    found: list[Any] = [
        catalog.objects.get(("domain", *reference.name))
        for reference in type_references(column.type)
        if not column.type.endswith("[]")
    ]
    for domain in filter(None, found):
        default = column.default if column.default is not None else domain.default
        # What functions give is known only then.
        if default is None or any(one.kind == "function" for one in expression_references(default)):
            continue
        for check in domain.checks:
            value = f"(SELECT CAST((\n{default}\n) AS {domain.type}) AS value) AS given"
            yield Objection(
                f"SELECT CASE WHEN (SELECT NOT (\n{check.expression}\n) FROM {value})"
                f" THEN (SELECT pg_catalog.count(*) FROM {table}) ELSE 0 END",
                f"{check.written()} of domain {domain.name}",
                f", which get the default of column {quoted(column.name)}",
                "declare another default",
                SearchPath.of(default, check.expression),
            )


def own_rows(table: Name, catalog: Catalog) -> str:
    """A table without those that inherit it, whose rows keys and foreign keys do not see."""
    return f"{'' if catalog.relation_kinds.get(table) == 'p' else 'ONLY '}{table}"


def _to_constraint(
    one: Constraint, table: Name, known: Iterable[str], catalog: Catalog
) -> Iterator[Objection]:
    columns = getattr(one, "columns", ())
    if not set(columns) <= set(known):
        return
    said = one.written()
    match one:
        case Check():
            # A null is not against it.
            rows = own_rows(table, catalog) if one.no_inherit else table
            yield Objection(
                f"SELECT pg_catalog.count(*) FROM {rows} WHERE NOT (\n{one.expression}\n)",
                said,
                path=SearchPath.of(one.expression),
            )
        case ForeignKey(foreign_columns=[_, *_]):
            pairs = zip(one.foreign_columns, columns, strict=True)
            target: Any = catalog.objects.get(("table", *one.table))
            types = {column.name: column.type for column in getattr(target, "columns", None) or ()}
            equal = " AND ".join(
                f"o.{quoted(to)} {operator('=', types.get(to), catalog)} t.{quoted(of)}"
                for to, of in pairs
            )
            given = " AND ".join(f"t.{quoted(name)} IS NOT NULL" for name in columns)
            yield Objection(
                f"SELECT count(*) FROM {own_rows(table, catalog)} t WHERE {given} "
                f"AND NOT EXISTS (SELECT FROM {own_rows(one.table, catalog)} o WHERE {equal})",
                said,
                f", whose {listed(columns)} is not in {one.table}",
            )
        case PrimaryKey() | Unique():
            nulls = isinstance(one, Unique) and one.nulls_not_distinct
            rows = own_rows(table, catalog)
            yield repeated(rows, [quoted(name) for name in columns], None, nulls, said)


def repeated(
    rows: str,
    elements: Sequence[str],
    where: str | None,
    nulls: bool,
    said: str,
    path: SearchPath = SearchPath.OWN,
) -> Objection:
    """Values that are there more than once; `nulls` tells whether nulls count as equal."""
    given = [] if nulls else [f"({element}) IS NOT NULL" for element in elements]
    conditions = " AND ".join([*given, *([f"(\n{where}\n)"] if where else [])])
    filtered = f" WHERE {conditions}" if conditions else ""
    return Objection(
        "SELECT coalesce(pg_catalog.sum(n), 0) FROM (SELECT pg_catalog.count(*) AS n "
        f"FROM {rows}{filtered} GROUP BY {', '.join(elements)}) AS counted "
        "WHERE n OPERATOR(pg_catalog.>) 1",
        said,
        ", whose values others have too",
        path=path,
    )
