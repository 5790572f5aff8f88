"""Rows that stand against a rule that a table with rows is to have.

They are counted before anything runs. PostgreSQL itself would find them only after the transaction,
when the rule is there already and writers have to keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from ...catalog.catalog import Forecast
from ...comparison.stored import operator
from ...plan.plan import Objection
from ...syntax.names import Exact, Name, listed, quoted
from ...syntax.parse import expression_references
from ...syntax.paths import SearchPath
from ..tables import planned_rows
from ..tables.columns import TableColumn
from ..tables.facts import TableFacts
from ..tables.planned_rows import PlannedRows, domains, plain_type
from ..tables.table_definition import TableDefinition
from .constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique

ValueRule = tuple[str, str]
"""What a domain says of its values, and the condition for that on `value`."""


def to_table(
    current: TableDefinition, declared: TableDefinition, facts: TableFacts, catalog: Forecast
) -> Iterator[Objection]:
    """What the rows of a table may say against what is declared and not yet so."""
    if not facts.filled:
        return
    table, columns = declared.name, declared.columns or ()
    new = dict(planned_rows.values(current, declared, facts, catalog))
    planned = {**catalog.values.get(table, {}), **new}
    every, own = (
        PlannedRows.having(table, columns, planned, catalog, only=only) for only in (False, True)
    )
    there = {column.name: column for column in current.columns or ()}
    for column in columns:
        before = there.get(column.name)
        at_stake = column.name in new or bool(before and _takes_nulls_away(before, column))
        if at_stake and not (column.nullable or column.unvalidated) and every.knows([column.name]):
            yield Objection(
                f"SELECT pg_catalog.count(*) FROM {every.source} "
                f"WHERE {quoted(column.name)} IS NULL",
                f"NOT NULL of column {quoted(column.name)}",
                path=every.path(),
            )
        if before is None and column.generated is None:
            yield from _to_default(column, table, catalog)
        elif column.name in new or (before and before.type != column.type):
            yield from _to_domains(column, every, catalog)
    for one in declared.constraints:
        if not one.validated or not one.details.enforced or one.build.renames:
            continue
        is_new = one not in current.constraints
        if (is_new or (new and not one.used.isdisjoint(new))) and own.knows(one.used):
            without = not isinstance(one, Check) or one.no_inherit
            yield from _to_constraint(one, table, own if without else every, catalog)


def _takes_nulls_away(current: TableColumn, declared: TableColumn) -> bool:
    return not declared.nullable and (current.nullable or current.unvalidated)


def _to_default(column: TableColumn, table: Name, catalog: Forecast) -> Iterator[Objection]:
    """The value that all rows get in a new column, where a domain's checks are against it."""
    found = list(domains(column.type, catalog))
    given = (one.default for one in (column, *found) if one.default is not None)
    default = next(given, None)
    # What functions give is known only then.
    if default and any(one.kind == "function" for one in expression_references(default)):
        return
    of = f"the default of column {quoted(column.name)}" if default else "nothing in it"
    type_ = plain_type(column.type, catalog)
    for domain in found:
        for check in domain.checks:
            value = f"(SELECT CAST((\n{default or 'NULL'}\n) AS {type_}) AS value) AS given"
            yield Objection(
                f"SELECT CASE WHEN (SELECT NOT (\n{check.expression}\n) FROM {value})"
                f" THEN (SELECT pg_catalog.count(*) FROM {table}) ELSE 0 END",
                f"{check.written()} of domain {domain.name}",
                f", which get {of}",
                "declare another default",
                SearchPath.of(default, check.expression),
            )


def _to_domains(column: TableColumn, rows: PlannedRows, catalog: Forecast) -> Iterator[Objection]:
    """The values that a column of another type gets, where they are against its domain."""
    type_ = plain_type(column.type, catalog)
    for domain in domains(column.type, catalog) if rows.knows([column.name]) else ():
        for said, condition in domain.rules:
            values = PlannedValues(column.name, type_, rows)
            yield values.against((f"{said} of domain {domain.name}", condition))


@frozen
class PlannedValues:
    """The values that a column has once a plan has run, and what they may be against."""

    column: str
    type: str
    """Theirs, without domains."""
    rows: PlannedRows
    of: str = ""
    """What has the column, where that has to be said."""

    def against(self, rule: ValueRule) -> Objection:
        """Those that are against a rule."""
        said, condition = rule
        column = quoted(self.column)
        values = f"SELECT CAST({column} AS {self.type}) AS value FROM {self.rows.source}"
        return Objection(
            f"SELECT pg_catalog.count(*) FROM ({values}) AS given WHERE NOT (\n{condition}\n)",
            said,
            f", in column {column}{self.of}",
            path=self.rows.path(condition),
        )


def _to_constraint(
    one: Constraint, table: Name, rows: PlannedRows, catalog: Forecast
) -> Iterator[Objection]:
    said = one.written()
    match one:
        case Check():
            # A null is not against it.
            yield Objection(
                f"SELECT pg_catalog.count(*) FROM {rows.source} WHERE NOT (\n{one.expression}\n)",
                said,
                path=rows.path(one.expression),
            )
        case ForeignKey(foreign_columns=[_, *_]):
            yield from _to_foreign_key(one, table, rows, catalog)
        case Exclude():
            yield _to_exclusion(one, rows)
        case PrimaryKey() | Unique():
            nulls = isinstance(one, Unique) and one.nulls_not_distinct
            yield repeated(rows, [Exact(quoted(name)) for name in one.columns], None, nulls, said)


def _to_exclusion(one: Exclude, rows: PlannedRows) -> Objection:
    elements = [element.column and quoted(element.column) for element, _ in one.elements]
    values = ", ".join(
        f"({name or element.expression}) AS e{number}"
        for number, (name, (element, _)) in enumerate(zip(elements, one.elements, strict=True))
    )
    equal = " AND ".join(
        f"a.e{number} {operator} b.e{number}" for number, (_, operator) in enumerate(one.elements)
    )
    where = "" if one.where is None else f" WHERE (\n{one.where}\n)"
    return Objection(
        "WITH x AS MATERIALIZED (SELECT pg_catalog.row_number() OVER () AS n, "
        f"{values} FROM {rows.source}{where}) SELECT pg_catalog.count(*) FROM x AS a WHERE EXISTS "
        f"(SELECT FROM x AS b WHERE a.n OPERATOR(pg_catalog.<>) b.n AND {equal})",
        one.written(),
        ", which exclude each other",
        path=rows.path(*one.fragments),
    )


def _to_foreign_key(
    one: ForeignKey, table: Name, rows: PlannedRows, catalog: Forecast
) -> Iterator[Objection]:
    given = " AND ".join(f"t.{quoted(name)} IS NOT NULL" for name in one.columns)
    missing, path = "", rows.path()
    if one.table not in catalog.created:
        others = rows if one.table == table else PlannedRows.of(one.table, catalog)
        if not others.knows(one.foreign_columns):
            return
        target = catalog.table(one.table)
        types = {column.name: column.type for column in getattr(target, "columns", None) or ()}
        equal = " AND ".join(
            f"o.{quoted(to)} {operator('=', types.get(to), catalog)} t.{quoted(of)}"
            for to, of in zip(one.foreign_columns, one.columns, strict=True)
        )
        missing = f" AND NOT EXISTS (SELECT FROM {others.aliased('o')} WHERE {equal})"
        path = rows.path(*others.fragments)
    yield Objection(
        f"SELECT pg_catalog.count(*) FROM {rows.aliased('t')} WHERE {given}{missing}",
        one.written(),
        f", whose {listed(one.columns)} is not in {one.table}",
        path=path,
        # The plan may have rows for what it creates.
        waits=not missing,
    )


def repeated(
    rows: PlannedRows, elements: Sequence[str], where: str | None, nulls: bool, said: str
) -> Objection:
    """Values that are there more than once; `nulls` tells whether nulls count as equal."""
    given = [] if nulls else [f"({element}) IS NOT NULL" for element in elements]
    conditions = " AND ".join([*given, *([f"(\n{where}\n)"] if where else [])])
    filtered = f" WHERE {conditions}" if conditions else ""
    return Objection(
        "SELECT coalesce(pg_catalog.sum(n), 0) FROM (SELECT pg_catalog.count(*) AS n "
        f"FROM {rows.source}{filtered} GROUP BY {', '.join(elements)}) AS counted "
        "WHERE n OPERATOR(pg_catalog.>) 1",
        said,
        ", whose values others have too",
        path=rows.path(*elements, where),
    )
