"""Rows beside those that a table has, and what makes them as they are declared.

What is there is compared by the server, in the columns' own types: a number or a time that is only
written in another way is the same. https://www.postgresql.org/docs/current/dml.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask, Same
from ...comparison.stored import Known, known, operator, stored_columns, under
from ...errors import DeclarationError, HostError
from ...hidden import masked
from ...plan.plan import Lock, Loss, Mode, Need, Statement
from ...syntax.names import Name, listed, quoted
from ...syntax.parse import type_references
from ...syntax.paths import SearchPath
from ...syntax.values import (
    SQL,
    comparable,
    same,
    shown,
    unmasked,
    written,
)
from ..tables.columns import TableColumn
from ..tables.tables import Table
from .row_values import (
    as_known,
    grouped,
    hidden_texts,
    is_readable,
    keeps_unique,
    references_in,
    stored_as_declared,
    stored_values,
    varies,
    without_domain,
)
from .rows_definition import Checked, RowKey, RowsDefinition, TableRow

_SHOWN_ROWS = 20
_TEXTS = frozenset({"text", "character varying"})
"""The types of which different texts are different values, in any usual collation."""


@frozen
class ComparedRows(RowsDefinition):
    """Rows of a table, with what that has of them."""

    columns: Mapping[str, TableColumn] = field(factory=dict, eq=False, kw_only=True)
    """The table's columns, as far as the catalog has them."""
    equality: Mapping[str, str] = field(factory=dict, eq=False, kw_only=True)
    """The operators that find rows by the key, by its columns."""
    unique: bool = field(default=False, eq=False, kw_only=True)
    """Whether a constraint keeps the key unique while the plan runs."""
    problem: str = field(default="", eq=False, kw_only=True)
    """Why the table can't have such rows."""
    differing: Mapping[RowKey, Sequence[str]] = field(factory=dict, eq=False, kw_only=True)
    """Of each row that is there, the columns that are not as declared."""
    matched: int = field(default=0, eq=False, kw_only=True)
    """How many stored rows have a declared key."""
    surplus: int = field(default=0, eq=False, kw_only=True)
    """How many stored rows have another one, where that is asked."""

    def lines(self) -> Iterator[str]:
        count = 0
        for row in self.rows:
            different = self.differing.get(self.key_of(row))
            if different is None or different:
                count += 1
                if count <= _SHOWN_ROWS:
                    columns = row if different is None else [*self.key_columns, *different]
                    yield shown(row, columns)
        if count > _SHOWN_ROWS:
            yield f"... and {count - _SHOWN_ROWS} more"
        if self.surplus:
            yield f"{_counted(self.surplus)} whose {listed(self.key_columns)} is not declared"

    def find(self, catalog: Forecast, ask: Ask) -> Self:
        """Those of the declared rows that are there, with the values that differ."""
        nothing = evolve(self, rows=Checked())
        table = catalog.table(self.table)
        if not isinstance(table, Table):
            if self.table in catalog.relation_kinds:
                return evolve(nothing, problem="rows are for tables that the catalog knows")
            return nothing
        columns: dict[str, TableColumn] = {
            column.name: without_domain(column, catalog) for column in table.columns or ()
        }
        nothing = evolve(
            nothing,
            columns=columns,
            equality={
                name: operator("=", column.type, catalog) for name, column in columns.items()
            },
            unique=any(keeps_unique(one, self.key_columns) for one in table.constraints),
            problem=self._problem(columns),
        )
        if not nothing.problem:
            evolve(self, columns=columns)._check_keys(catalog, ask)
        key_is_there = set(self.key_columns) <= stored_columns(self.table, catalog)
        # A table that takes up no space has no rows to ask for.
        if nothing.problem or not key_is_there or self.table not in catalog.filled:
            return nothing
        try:
            return self._asked(nothing, catalog, ask)
        except HostError as error:
            # It may be because of what the same operation declares before the rows.
            return evolve(nothing, problem=masked(str(error), hidden_texts(self.rows)))

    def _check_keys(self, catalog: Forecast, ask: Ask) -> None:
        """Raise DeclarationError where two keys are written in two ways and are one to the server.

        It is not asked where texts are texts and whole numbers are numbers, nor about what only the
        plan creates.
        """
        types = {name: self.columns[name].type for name in self.key_columns}
        keys = [[unmasked(row[name]) for name in self.key_columns] for row in self.rows]
        plain = all(
            type(value) is (str if types[name] in _TEXTS else int)
            for key in keys
            for name, value in zip(self.key_columns, key, strict=True)
        )
        if plain or len(keys) < 2 or any(isinstance(value, SQL) for key in keys for value in key):
            return
        values = ", ".join(
            f"({number}, {', '.join(written(row[c], types[c]) for c in self.key_columns)})"
            for number, row in enumerate(self.rows)
        )
        names = [f"c{number}" for number, _ in enumerate(self.key_columns)]
        equal = (comparable(name, type_) for name, type_ in zip(names, types.values(), strict=True))
        query = (
            "SELECT pg_catalog.json_agg(n ORDER BY n) FROM "
            f"(VALUES {values}) AS declared (n, {', '.join(names)}) GROUP BY {', '.join(equal)} "
            "HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1"
        )
        try:
            repeated = ask(under(SearchPath.USERS, query))
        except HostError:
            return
        for numbers in repeated:
            several = ", ".join(shown(self.rows[n], self.key_columns) for n in numbers)
            raise DeclarationError(f"these rows have one key: {several}")

    def _problem(self, columns: Mapping[str, TableColumn]) -> str:
        for name in self._names():
            if name not in columns:
                return f"{self.table} has no column {quoted(name)}"
            if columns[name].generated is not None:
                return f"{self.table} computes the column {quoted(name)}: leave it out"
        return ""

    def _asked(self, nothing: Self, catalog: Forecast, ask: Ask) -> Self:
        declared = evolve(self, equality=nothing.equality)
        types = [nothing.columns[name].type for name in self._names()]
        server = known(
            {
                *(
                    one
                    for row in self.rows
                    for value in row.values()
                    for one in references_in(value)
                ),
                *(one for type_ in types for one in type_references(type_)),
            },
            catalog,
            ask,
        )
        columns = {name: as_known(one, server) for name, one in nothing.columns.items()}
        there = stored_columns(self.table, catalog)
        found: dict[RowKey, tuple[TableRow, Sequence[str]]] = {}
        matched = 0
        for comparison, group in grouped(self.rows, lambda row: self._compared(row, server, there)):
            if comparison is None:
                continue
            compared, assumed = comparison
            answers = ask(declared._comparison(columns, group, compared))
            differences = {number: texts for number, _, texts in answers if number is not None}
            matched += sum(count for number, count, _ in answers if number is None)
            for number, row in enumerate(group):
                texts = differences.get(number, ())
                if texts is not None:
                    stored = {**stored_values(row, compared, texts), **dict.fromkeys(assumed)}
                    found[self.key_of(row)] = {**row, **stored}, tuple(stored)
        return evolve(
            nothing,
            rows=Checked(row for row, _ in found.values()),
            differing={key: different for key, (_, different) in found.items()},
            matched=matched,
            surplus=declared._surplus(columns, server, ask) if self.exact else 0,
        )

    def _compared(
        self, row: TableRow, server: Known, there: frozenset[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The columns that the server compares, and those that differ for certain.

        None where the key can't be read before the plan has run: the row is taken as missing.
        """
        for column in self.key_columns:
            if varies(row[column], server):
                raise DeclarationError(
                    f"{self.title}: the key {shown(row, [column])} is another one each time"
                )
            if not is_readable(row[column], server):
                return None
        if not self.update:
            return (), ()
        # What is another value each time is only for new rows.
        wanted = [
            column
            for column, value in row.items()
            if column not in self.key_columns and not varies(value, server)
        ]
        compared = tuple(c for c in wanted if c in there and is_readable(row[c], server))
        return compared, tuple(c for c in wanted if c not in compared)

    def _comparison(
        self, columns: Mapping[str, TableColumn], rows: Sequence[TableRow], compared: Sequence[str]
    ) -> str:
        """The query for rows that are missing or differ: number, null or false, stored texts.

        A last row has null and the number of stored rows that have one of the keys.
        """
        read = [*self.key_columns, *compared]
        aliases = {column: f"c{index}" for index, column in enumerate(read)}
        values = ",\n".join(
            f"({number}, {', '.join(written(row[c], columns[c].type) for c in read)})"
            for number, row in enumerate(rows)
        )
        differences = {
            column: "NOT "
            + same(
                stored_as_declared(column, columns),
                comparable(f"declared.{aliases[column]}", columns[column].type),
            )
            for column in compared
        }
        texts = ", ".join(
            f"CASE WHEN {test} THEN coalesce('=' OPERATOR(pg_catalog.||) "
            f"CAST(stored.{quoted(column)} AS text), '') END"
            for column, test in differences.items()
        )
        differs = " OR ".join(differences.values()) or "false"
        condition = self._condition(rows, aliases.__getitem__, columns)
        query = f"""WITH joined AS (
              SELECT declared.n, stored.tableoid IS NULL AS missing, {differs} AS differs,
                     ARRAY[{texts}]::text[] AS texts
              FROM (VALUES {values}) AS declared (n, {", ".join(aliases.values())})
              LEFT JOIN {self.table} AS stored ON {condition})
            SELECT pg_catalog.json_build_array(n, false, CASE WHEN NOT missing THEN texts END)
            FROM joined WHERE missing OR differs
            UNION ALL
            SELECT pg_catalog.json_build_array(NULL, pg_catalog.count(*), NULL)
            FROM joined WHERE NOT missing"""
        return under(SearchPath.USERS, query)

    def _condition(
        self,
        rows: Sequence[TableRow],
        alias: Callable[[str], str] = quoted,
        columns: Mapping[str, TableColumn] | None = None,
    ) -> str:
        """That a stored row has the key of a declared one."""
        columns = self.columns if columns is None else columns
        parts = []
        for column in self.key_columns:
            type_ = columns[column].type if column in columns else None
            stored = stored_as_declared(column, columns)
            declared = comparable(f"declared.{alias(column)}", type_)
            # Only an equality finds rows by an index or a hash; nulls need more.
            nulls = any(row[column] is None or isinstance(row[column], SQL) for row in rows)
            equals = self.equality.get(column, "OPERATOR(pg_catalog.=)")
            parts.append(same(stored, declared) if nulls else f"{stored} {equals} {declared}")
        return " AND ".join(parts)

    def _surplus(self, columns: Mapping[str, TableColumn], server: Known, ask: Ask) -> int:
        if not all(is_readable(row[c], server) for row in self.rows for c in self.key_columns):
            raise DeclarationError(
                f"{self.title}: exact=True needs keys that can be read before the plan has run"
            )
        undeclared = _undeclared(evolve(self, columns=columns))
        query = f"SELECT pg_catalog.count(*) FROM {self.table} AS stored{undeclared}"
        (count,) = ask(under(SearchPath.USERS, query))
        return int(count)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            columns=current.columns,
            equality=current.equality,
            unique=current.unique,
            problem=current.problem,
            differing=current.differing,
        )

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        """Rows are not in the catalog."""
        catalog.rows_change = True

    def erase(self, catalog: Forecast) -> None:
        """Rows are not in the catalog."""

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        return iter(())  # no more than the statements' own privileges, which need no owner

    @staticmethod
    def diff(current: ComparedRows | None, declared: ComparedRows | None) -> Iterator[Statement]:
        """DELETE, INSERT and UPDATE: rows that are as declared are not touched."""
        problem = (current and current.problem) or (declared and declared.problem)
        if problem:
            raise DeclarationError(problem)
        if declared is None:
            assert current
            if current.matched:
                yield _deleted(current)
            return
        if declared.exact and current and current.surplus:
            yield _emptied(declared, current.surplus)
        found = current.differing if current else {}
        rows = [(row, found.get(declared.key_of(row))) for row in declared.rows]
        missing = [row for row, different in rows if different is None]
        for columns, group in grouped(missing, tuple):
            yield _inserted(declared, columns, group)
        wrong = [(row, tuple(different)) for row, different in rows if different]
        for columns, pairs in grouped(wrong, lambda pair: pair[1]):
            yield _updated(declared, columns, [row for row, _ in pairs])


def _inserted(rows: ComparedRows, columns: Sequence[str], group: Sequence[TableRow]) -> Statement:
    always = any(c in rows.columns and rows.columns[c].identity == "ALWAYS" for c in columns)
    overriding = " OVERRIDING SYSTEM VALUE" if always else ""
    condition = rows._condition(group)
    # Another session may insert the same key at the same time.
    conflict = f"\nON CONFLICT ({listed(rows.key_columns)}) DO NOTHING" if rows.unique else ""
    return _statement(
        rows.table,
        f"INSERT INTO {rows.table} ({listed(columns)})",
        f"{overriding}\nSELECT * FROM {_values(rows, columns, group)}\n"
        f"WHERE NOT EXISTS (SELECT FROM {rows.table} AS stored WHERE {condition}){conflict}",
        len(group),
        group,
    )


def _updated(rows: ComparedRows, columns: Sequence[str], group: Sequence[TableRow]) -> Statement:
    changes = ", ".join(f"{quoted(column)} = declared.{quoted(column)}" for column in columns)
    condition = rows._condition(group)
    return _statement(
        rows.table,
        f"UPDATE {rows.table}",
        f" AS stored SET {changes}\n"
        f"FROM {_values(rows, [*rows.key_columns, *columns], group)}\nWHERE {condition}",
        len(group),
        group,
    )


def _deleted(rows: ComparedRows) -> Statement:
    condition = rows._condition(rows.rows)
    return _statement(
        rows.table,
        f"DELETE FROM {rows.table}",
        f" AS stored\nUSING {_values(rows, rows.key_columns, rows.rows)}\nWHERE {condition}",
        rows.matched,
        rows.rows,
        _lost(rows),
    )


def _emptied(rows: ComparedRows, count: int) -> Statement:
    head = f"DELETE FROM {rows.table}"
    rest = f" AS stored{_undeclared(rows)}"
    return _statement(rows.table, head, rest, count, rows.rows, _lost(rows))


def _lost(rows: ComparedRows) -> tuple[Loss, ...]:
    return (Loss("table", rows.table, told="data"),)


def _statement(
    table: Name,
    head: str,
    rest: str,
    count: int,
    rows: Iterable[TableRow],
    losses: tuple[Loss, ...] = (),
) -> Statement:
    sql = head + rest
    return Statement(
        sql,
        path=SearchPath.USERS,
        locks=Lock(table, Mode.ROW_EXCLUSIVE),
        trial=f"EXPLAIN {sql}",
        losses=losses,
        summary=f"{head}: {_counted(count)}",
        hidden=hidden_texts(rows),
    )


def _undeclared(rows: ComparedRows) -> str:
    """The condition for the rows whose key is not declared."""
    if not rows.rows:
        return ""
    condition = rows._condition(rows.rows)
    values = _values(rows, rows.key_columns, rows.rows)
    return f"\nWHERE NOT EXISTS (SELECT FROM {values}\n  WHERE {condition})"


def _values(rows: ComparedRows, columns: Sequence[str], group: Sequence[TableRow]) -> str:
    types = [rows.columns[c].type if c in rows.columns else None for c in columns]
    values = ",\n  ".join(
        f"({', '.join(written(row[c], t) for c, t in zip(columns, types, strict=True))})"
        for row in group
    )
    return f"(VALUES\n  {values}\n) AS declared ({listed(columns)})"


def _counted(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
