"""Columns that are filled in batches: UPDATE, with a COMMIT after each few thousand rows.

One block in PL/pgSQL does all of it on the server, so that it runs through psql as well. It walks
through each table by the places of its rows, which takes no index and reads each page once, and
begins again until no row is left. Rows that others have locked are left for the next round.
https://www.postgresql.org/docs/current/plpgsql-transactions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Self

from attrs import evolve, field, fields, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...comparison.asking import Ask, Reading, Same
from ...comparison.stored import TABLES_ONLY, stored_columns, under
from ...errors import DeclarationError, HiddenRowsError, HostError
from ...plan.order import rows_of
from ...plan.plan import Hazard, Lock, Mode, Need, Stage, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, identifier, literal, parse_name, quoted
from ...syntax.parse import Reference, closed, declared_references, expression, named
from ...syntax.paths import SearchPath
from ...transport.answer import PROGRESS
from ..indexes.elements import condition_template
from ..kind import Object
from ..tables.known_columns import check_columns
from ..tables.planned_rows import PlannedRows, plain_type

_TIMED_OUT = "57014"
_PATIENCE = "SET LOCAL statement_timeout = '10s';\n"
"""How long rows are counted."""


class _Values(tuple[tuple[Exact, str], ...]):
    """Columns and expressions that have been read."""

    __slots__ = ()


def _values(value: Mapping[str, str] | _Values) -> _Values:
    if isinstance(value, _Values):
        return value
    if not isinstance(value, Mapping) or not value:
        raise given.refused("set", "a dict of columns and expressions", value)
    found = _Values((identifier(name), expression(text)) for name, text in value.items())
    if len(dict(found)) < len(found):
        raise DeclarationError("set has a column twice")
    return found


def _batch(value: int) -> int:
    return given.number("batch", value, 1, 1_000_000)


def _pause(value: float) -> float:
    return given.real("pause", value, 0, 60)


@frozen
class Backfill(Object):
    """Columns of rows that match a condition, filled until none does."""

    kind: ClassVar[str] = "backfill"
    asks_rows: ClassVar[bool] = True
    runs: ClassVar[bool] = True

    table: Name = field(converter=parse_name)
    values: _Values = field(converter=_values, alias="set", kw_only=True)
    where: str = field(converter=expression, kw_only=True)
    batch: int = field(default=5000, converter=_batch, kw_only=True)
    pause: float = field(default=0.1, converter=_pause, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.table, *(name for name, _ in self.values), self.where)

    @property
    def title(self) -> str:
        return f"{self.kind} {self.table} ({', '.join(quoted(name) for name, _ in self.values)})"

    def lines(self) -> Iterator[str]:
        return iter(())

    @property
    def _texts(self) -> tuple[str, ...]:
        return (*(text for _, text in self.values), self.where)

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from declared_references(*self._texts)

    def check_columns(self, catalog: Forecast) -> None:
        names = [name for name, _ in self.values]
        check_columns(self.table, catalog, names, self._texts)
        for column in catalog.columns_of(self.table):
            if column.name in names and (column.generated is not None or column.identity):
                raise DeclarationError(f"column {quoted(column.name)} gets its values by itself")

    def goes_with(self, table: Name, columns: AbstractSet[str]) -> bool:
        names = {name for name, _ in self.values} | named(*self._texts)
        return table == self.table and not columns.isdisjoint(names)

    def readings(self, current: Self | None) -> Iterator[Reading]:
        yield Reading(condition_template(self.table), self.where, self.table)

    def foretell(self, catalog: Forecast) -> None:
        """Have what is planned know what the rows will have once they are filled."""
        there = stored_columns(self.table, catalog)
        for name, _ in self.values:
            if name in there:
                catalog.fills.setdefault(self.table, {})[name] = self._filled(name, catalog)

    def _filled(self, name: Exact, catalog: Forecast) -> str:
        return (
            f"CASE WHEN ({closed(self.where)}) THEN {self._cast(name, catalog)} "
            f"ELSE {quoted(name)} END"
        )

    def _cast(self, name: Exact, catalog: Forecast) -> str:
        """What a column gets, in its type."""
        types = {column.name: column.type for column in catalog.columns_of(self.table)}
        text = closed(dict(self.values)[name])
        return f"CAST(({text}) AS {plain_type(types[name], catalog)})" if name in types else text

    def expand(self, catalog: Forecast) -> Iterator[Object]:
        given = {str(one.alias): getattr(self, one.name) for one in fields(Backfill)}
        yield CountedBackfill(**given)


@frozen
class CountedBackfill(Backfill):
    """A backfill, with what is known of the rows, and how they are filled."""

    left: int | None = field(default=None, eq=False, kw_only=True)
    """How many match; None where that is not known."""

    def find(self, catalog: Forecast, ask: Ask) -> Self:
        """Itself, with the number of rows that match."""
        return evolve(self, left=self._left(catalog, ask))

    def _left(self, catalog: Forecast, ask: Ask) -> int | None:
        """How many rows match; None where nobody knows yet, or they are too many to be counted."""
        if self.table not in catalog.relation_kinds:
            return None
        parts = (self.table, *catalog.leaves(self.table))
        if catalog.filled.isdisjoint(parts):
            return 0
        self.check_columns(catalog)
        rows = self._rows(catalog)
        if not rows.knows(named(*self._texts) | dict(self.values).keys()):
            return None
        query = _PATIENCE + TABLES_ONLY + under(rows.path(*self._texts), self._count(rows, catalog))
        try:
            ((left, again),) = ask(query)
        except HiddenRowsError:
            raise
        except HostError as error:
            if error.sqlstate == _TIMED_OUT:
                return None
            raise DeclarationError(str(error)) from None
        if again:
            raise DeclarationError(
                f"{_counted(again)} of {left} would match where={self.where!r} still, and so be "
                "filled for ever: have where= leave them out, or set= give them something else"
            )
        return int(left)

    def _rows(self, catalog: Forecast) -> PlannedRows:
        """The rows as the plan leaves them, but for what it fills into them itself."""
        own = {name: self._filled(name, catalog) for name, _ in self.values}
        known = catalog.fills.get(self.table, {})
        others = {name: text for name, text in known.items() if own.get(Exact(name)) != text}
        columns, planned = catalog.columns_of(self.table), catalog.values.get(self.table, {})
        return PlannedRows.having(self.table, columns, planned, catalog, others, only=False)

    def _count(self, rows: PlannedRows, catalog: Forecast) -> str:
        """The query for how many rows match, and how many would still, once they are filled."""
        columns = [one for one in catalog.columns_of(self.table) if rows.knows([one.name])]
        values = {name: self._cast(name, catalog) for name, _ in self.values}
        computed = {one.name for one in columns if one.generated is not None}
        again = "false"
        if computed.isdisjoint(named(self.where)):
            again = f"({closed(self.where)})"
        selected = ", ".join(
            f"{values[one.name]} AS {quoted(one.name)}" if one.name in values else quoted(one.name)
            for one in columns
        )
        # The row as it would be has the name of the table too, so that all of `where` means it.
        return (
            "SELECT pg_catalog.json_build_array(pg_catalog.count(*), "
            f"pg_catalog.count(*) FILTER (WHERE {again})) FROM (SELECT {selected} "
            f"FROM {rows.source} WHERE ({closed(self.where)})) AS {quoted(self.table.name)}"
        )

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return current if current.left == 0 else evolve(current)

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        """Rows are not in the catalog."""

    def erase(self, catalog: Forecast) -> None:
        """Rows are not in the catalog."""

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        return iter(())  # no more than UPDATE, which needs no owner

    @staticmethod
    def diff(
        current: CountedBackfill | None, declared: CountedBackfill | None
    ) -> Iterator[Statement]:
        """UPDATE in batches; a run that ends in between goes on where it stopped."""
        if declared is None or current is declared:
            return
        update = declared._update(str(declared.table))
        unknown = declared.left is None
        count = "more rows than are counted here" if unknown else _counted(declared.left or 0)
        yield Statement(
            f"DO {literal(declared._block())}",
            stage=Stage.AFTER,
            locks=Lock(declared.table, Mode.ROW_EXCLUSIVE),
            hazards=(Hazard.IN_BATCHES,),
            gives=frozenset({rows_of(declared.table)}),
            sees=(declared.table,),
            parts=(SearchPath.USERS.local, update),
            summary=f"{update}: {count}, {declared.batch} at a time",
        )

    def _update(self, table: str, more: str = "", returning: str = "") -> str:
        """UPDATE of a table, or of one of its parts under the name of the whole."""
        changes = ", ".join(f"{quoted(name)} = {closed(text)}" for name, text in self.values)
        name = "" if table == str(self.table) else f" AS {quoted(self.table.name)}"
        return f"UPDATE {table}{name} SET {changes} WHERE {more}({closed(self.where)}){returning}"

    def _block(self) -> str:
        """The block that fills the rows."""
        name, where = quoted(self.table.name), f"({closed(self.where)})"
        matching = f" AS {name} WHERE ctid OPERATOR(pg_catalog.>) $1 AND {where}"
        chosen = f"{matching} LIMIT {self.batch} FOR NO KEY UPDATE SKIP LOCKED) AS batch"
        more = "ctid OPERATOR(pg_catalog.=) ANY ($1) AND "
        update = self._update("ONLY \n", more, f" RETURNING {where} AS again")
        before, _, after = update.partition("ONLY \n")
        return _BLOCK.format(
            table=literal(str(self.table)),
            users=literal(SearchPath.USERS.value),
            own=literal(SearchPath.OWN.value),
            choose=literal(
                "SELECT pg_catalog.array_agg(ctid), pg_catalog.max(ctid) "
                "FROM (SELECT ctid FROM ONLY "
            ),
            chosen=literal(chosen),
            update=literal(f"WITH done AS ({before}ONLY "),
            updated=literal(
                f"{after}) SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE again) "
                "FROM done"
            ),
            exist=literal("SELECT EXISTS (SELECT FROM ONLY "),
            matching=literal(f" AS {name} WHERE {where})"),
            pause=self.pause,
            total=self.left or 0,
            progress=literal(PROGRESS),
        )


def _counted(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


_BLOCK = """
DECLARE
  parts regclass[]; part regclass; place tid; rows tid[]; done bigint; again bigint;
  filled bigint := 0; before bigint; waited int := 0; rounds int := 0; is_left boolean;
  told timestamptz := clock_timestamp();
BEGIN
  WITH RECURSIVE below(id) AS (SELECT {table}::regclass::oid UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = id)
  SELECT array_agg(c.oid::regclass ORDER BY c.oid) INTO parts
    FROM below JOIN pg_class c ON c.oid = id WHERE c.relkind = 'r';
  LOOP
    before := filled;
    FOREACH part IN ARRAY parts LOOP
      place := '(0,0)';
      LOOP
        PERFORM set_config('search_path', {users}, true);
        EXECUTE {choose} || part || {chosen} INTO rows, place USING place;
        IF rows IS NOT NULL THEN
          EXECUTE {update} || part || {updated} INTO done, again USING rows;
        END IF;
        PERFORM set_config('search_path', {own}, true);
        EXIT WHEN rows IS NULL;
        IF again > 0 THEN
          RAISE EXCEPTION USING MESSAGE = format('%s of %s rows that it has filled match still, and'
            ' would be filled for ever', again, done);
        END IF;
        COMMIT;
        filled := filled + done;
        IF clock_timestamp() > told + interval '5 s' THEN
          told := clock_timestamp();
          RAISE INFO USING ERRCODE = {progress}, MESSAGE = format('%s rows filled%s', filled,
            CASE WHEN {total} > 0 THEN format(' of %s', greatest({total}, filled)) END);
        END IF;
        PERFORM pg_sleep({pause});
      END LOOP;
    END LOOP;
    IF filled > before THEN
      waited := 0;
      rounds := rounds + 1;
      IF rounds > 100 THEN
        RAISE EXCEPTION 'rows that match keep coming: have something fill new ones first';
      END IF;
      CONTINUE;
    END IF;
    is_left := false;
    FOREACH part IN ARRAY parts LOOP
      PERFORM set_config('search_path', {users}, true);
      EXECUTE {exist} || part || {matching} INTO is_left;
      PERFORM set_config('search_path', {own}, true);
      EXIT WHEN is_left;
    END LOOP;
    COMMIT;
    EXIT WHEN NOT is_left;
    waited := waited + 1;
    IF waited > 10 THEN
      RAISE lock_not_available USING MESSAGE =
        'other sessions have locked rows that match, or a trigger keeps them as they are';
    END IF;
    PERFORM pg_sleep(least(waited, 5) * 0.5);
  END LOOP;
END"""
