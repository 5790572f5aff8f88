"""Advice about partitioned tables: how far ahead they reach, what has no partition, what is amiss.

Bounds are read as PostgreSQL prints them. Of rows there are estimates, and counts of what is small.
https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any, TypeAlias

from attrs import field, frozen

from ..catalog.snapshot import USER_SCHEMA
from ..errors import HostError
from ..syntax.names import MAX_BYTES, Name

Ask: TypeAlias = Callable[[str], Sequence[Any]]
Value: TypeAlias = datetime | int
Said: TypeAlias = tuple[str, str, str, str]
"""A rule, the object, what is said of it, and what mends it."""

_TABLES = f"""
    SELECT json_build_array(n.nspname, p.relname, partstrat,
             CASE WHEN partnatts = 1 THEN (SELECT format_type(atttypid, NULL) FROM pg_attribute
                    WHERE attrelid = p.oid AND attnum = partattrs[0]) END,
             (SELECT coalesce(json_agg(json_build_array(m.nspname, c.relname, c.relkind,
                       pg_get_expr(c.relpartbound, c.oid), c.reltuples,
                       CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) ELSE 0 END)
                       ORDER BY m.nspname, c.relname), '[]')
                FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
                JOIN pg_namespace m ON m.oid = c.relnamespace
               WHERE inhparent = p.oid AND NOT inhdetachpending))
      FROM pg_partitioned_table JOIN pg_class p ON p.oid = partrelid
      JOIN pg_namespace n ON n.oid = p.relnamespace WHERE {USER_SCHEMA}
     ORDER BY n.nspname, p.relname"""
_UNATTACHED = f"""
    SELECT json_build_array(format('index %I.%I', n.nspname, i.relname), c.oid::regclass,
             CASE WHEN k.oid IS NOT NULL THEN ''
                  WHEN twin IS NOT NULL THEN format('ALTER INDEX %s ATTACH PARTITION %s',
                    i.oid::regclass, twin)
                  ELSE format('CREATE %sINDEX %sON %s%s',
                    CASE WHEN x.indisunique THEN 'UNIQUE ' END,
                    CASE c.relkind WHEN 'r' THEN 'CONCURRENTLY ' END, c.oid::regclass,
                    substr(pg_get_indexdef(i.oid), strpos(pg_get_indexdef(i.oid),
                      ' ' || x.indrelid::regclass || ' USING ')
                      + length(' ' || x.indrelid::regclass))) END)
      FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'I'
      JOIN pg_namespace n ON n.oid = i.relnamespace
      JOIN pg_inherits h ON h.inhparent = x.indrelid
      JOIN pg_class c ON c.oid = h.inhrelid AND c.relkind IN ('r', 'p')
      LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.contype IN ('p', 'u', 'x')
      LEFT JOIN LATERAL (
           SELECT y.indexrelid::regclass AS twin
             FROM pg_index y JOIN pg_class j ON j.oid = y.indexrelid
            WHERE y.indrelid = c.oid AND y.indisvalid AND NOT j.relispartition
              AND y.indisunique = x.indisunique AND j.relam = i.relam
              AND substr(pg_get_indexdef(j.oid), strpos(pg_get_indexdef(j.oid),
                    ' ' || c.oid::regclass || ' USING ') + length(' ' || c.oid::regclass))
                = substr(pg_get_indexdef(i.oid), strpos(pg_get_indexdef(i.oid),
                    ' ' || x.indrelid::regclass || ' USING ')
                    + length(' ' || x.indrelid::regclass)) LIMIT 1) AS y ON true
     WHERE {USER_SCHEMA} AND NOT EXISTS (
           SELECT FROM pg_inherits p JOIN pg_index y ON y.indexrelid = p.inhrelid
            WHERE p.inhparent = i.oid AND y.indrelid = c.oid)
     ORDER BY 1::text"""
_BOUND = re.compile(r"FOR VALUES FROM \((.*)\) TO \((.*)\)")
_HASH = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)")
_TIMES = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_NUMBERS = frozenset({"smallint", "integer", "bigint"})
_SMALL = 8 * 1024 * 1024
"""Bytes of a table whose rows are counted; of a larger one the planner's estimate is told."""
_SHOWN = 3


@frozen
class _Partition:
    name: Name
    relkind: str
    bound: str
    estimate: float
    size: int

    @property
    def is_default(self) -> bool:
        return self.bound == "DEFAULT"


@frozen
class _Table:
    name: Name
    strategy: str
    key: str | None
    """The type of the key, where that is one column."""
    partitions: tuple[_Partition, ...] = field(factory=tuple)

    @property
    def title(self) -> str:
        return f"table {self.name}"

    @property
    def default(self) -> _Partition | None:
        return next((one for one in self.partitions if one.is_default), None)

    def spans(self) -> list[tuple[Value | None, Value | None]]:
        """From where to where its partitions reach, in order; None is no bound at all."""
        found = []
        for one in self.partitions:
            match = _BOUND.fullmatch(one.bound)
            if match:
                found.append((self._value(match[1]), self._value(match[2])))
        return sorted(found, key=lambda one: (one[0] is not None, one[0] or 0))

    def _value(self, text: str) -> Value | None:
        if text in {"MINVALUE", "MAXVALUE"}:
            return None
        plain = text.strip("'")
        return int(plain) if self.key in _NUMBERS else _time(plain)

    def readable(self) -> list[tuple[Value | None, Value | None]]:
        """The same, where its bounds are times or whole numbers; none where they are not."""
        if self.strategy != "r" or self.key not in _TIMES | _NUMBERS:
            return []
        try:
            return self.spans()
        except ValueError:  # infinity, or before Christ
            return []

    def made(self, suffix: str, bound: str) -> str:
        """The statement that makes a partition; "" where it has no short name of its own."""
        name = Name(self.name.schema, f"{self.name.name}_{suffix}")
        taken = {one.name for one in self.partitions}
        if len(name.name.encode()) > MAX_BYTES or name in taken:
            return ""
        return f"CREATE TABLE {name} PARTITION OF {self.name} {bound}"

    def between(self, low: Value, high: Value) -> str:
        """The statement that makes the partition from one value to another."""
        suffix = f"{low:%Y_%m_%d}" if isinstance(low, datetime) else str(low).replace("-", "minus")
        bound = f"FOR VALUES FROM ({self._written(low)}) TO ({self._written(high)})"
        return self.made(suffix, bound)

    def _written(self, value: Value) -> str:
        if not isinstance(value, datetime):
            return f"'{value}'"
        text = value.isoformat(" ") if self.key != "date" else f"{value:%Y-%m-%d}"
        return f"'{text}{'+00' if self.key == 'timestamp with time zone' else ''}'"


def said(ask: Ask, today: date) -> Iterator[Said]:
    """What is to be said of the partitioned tables of a database."""
    for schema, name, strategy, key, rows in ask(_TABLES):
        partitions = tuple(_Partition(Name(one[0], one[1]), *one[2:]) for one in rows)
        table = _Table(Name(schema, name), strategy, key, partitions)
        yield from _window(table, today)
        yield from _gaps(table)
        yield from _catch_all(table, ask)
    yield from _unattached(ask)


def _window(table: _Table, today: date) -> Iterator[Said]:
    spans = table.readable()
    if not spans:
        return
    low, high = spans[-1]
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return
    following = _following(low, high)
    now = datetime(today.year, today.month, today.day)
    if high - now < following - high:
        ends = "has ended" if high <= now else f"ends in {(high - now).days} days"
        said = f"its last partition {ends}, on {high:%Y-%m-%d}: after that there is none"
        mend = _operation(table, spans) or table.between(high, following)
        yield "partitions-run-out", table.title, said, mend


def _gaps(table: _Table) -> Iterator[Said]:
    spans = table.readable()
    found = [
        (high, low)
        for (_, high), (low, _) in pairwise(spans)
        if high is not None and low is not None and high < low  # type: ignore[operator]
    ]
    if found:
        shown = ", ".join(f"from {_shown(one)} to {_shown(other)}" for one, other in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        mends = [table.between(one, other) for one, other in found]
        mend = ";\n".join(filter(None, mends))
        yield "partition-gap", table.title, f"there is no partition {shown}{more}", mend
    if table.strategy == "h":
        yield from _remainders(table)


def _remainders(table: _Table) -> Iterator[Said]:
    matches = [_HASH.fullmatch(one.bound) for one in table.partitions]
    pairs = [(int(one[1]), int(one[2])) for one in matches if one]
    most = max((modulus for modulus, _ in pairs), default=1)
    taken = {each for modulus, one in pairs for each in range(one, most, modulus)}
    left = [one for one in range(most) if one not in taken]
    if left:
        bounds = {one: f"FOR VALUES WITH (modulus {most}, remainder {one})" for one in left}
        mend = ";\n".join(filter(None, (table.made(f"h{one}", bounds[one]) for one in left)))
        share = f"{len(left)} of {most} remainders have no partition: such rows are refused"
        yield "partition-gap", table.title, share, mend


def _catch_all(table: _Table, ask: Ask) -> Iterator[Said]:
    default = table.default
    if table.strategy in {"r", "l"} and default is None:
        said = "it has no default partition: a row for which there is none is refused"
        yield "no-default-partition", table.title, said, table.made("default", "DEFAULT")
    elif default and default.relkind == "r" and (rows := _rows(default, ask)):
        said = f"{rows} in it: they stand against partitions of their own"
        mend = _operation(table, table.readable())
        yield "rows-in-default-partition", f"table {default.name}", said, mend


def _rows(one: _Partition, ask: Ask) -> str:
    """How many rows a table has, in words; "" for none."""
    if not one.size:
        return ""
    if one.size <= _SMALL:
        try:
            (count,) = ask(
                "SET LOCAL statement_timeout = '2s';\n"
                f"SELECT json_build_array(count(*)) FROM ONLY {one.name}"
            )[0]
        except HostError:  # No privilege, a lock, or the timeout.
            pass
        else:
            return {0: "", 1: "1 row is"}.get(count, f"{count} rows are")
    estimate = f"about {one.estimate:.0f} rows are" if one.estimate > 0 else "rows are"
    return f"{estimate}, as the planner estimates,"


def _unattached(ask: Ask) -> Iterator[Said]:
    found: dict[str, list[tuple[str, str]]] = {}
    for what, partition, mend in ask(_UNATTACHED):
        found.setdefault(what, []).append((partition, mend))
    for what, several in found.items():
        names = [partition for partition, _ in several]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        said = f"it has no part on {', '.join(names[:_SHOWN])}{more}, and is INVALID"
        yield (
            "index-without-partition",
            what,
            said,
            ";\n".join(filter(None, dict(several).values())),
        )


def _operation(table: _Table, spans: Sequence[tuple[Value | None, Value | None]]) -> str:
    """The operation that makes what is missing, where the periods are those that it knows."""
    periods = {_period(low, high) for low, high in spans}
    first = next((low for low, _ in spans if isinstance(low, datetime)), None)
    if len(periods) != 1 or first is None:
        return ""
    (period,) = periods
    if not period:
        return ""
    start = f"{first:%Y-%m-%d}" if period in {"day", "week"} else f"{first:%Y-%m}"
    default = ", default=True" if table.default else ""
    return f'pg.partitions("{table.name}", every="{period}", start="{start}", ahead=3{default})'


def _period(low: Value | None, high: Value | None) -> str:
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return ""
    months, days = _months(low, high), (high - low).total_seconds() / 86400
    words = {"month": months == 1, "year": months == 12, "day": days == 1, "week": days == 7}
    return next((word for word, fits in words.items() if fits), "")


def _months(low: datetime, high: datetime) -> int:
    """How many whole months there are between two times; 0 where they are not such."""
    same = (low.day, low.time()) == (high.day, high.time())
    return (high.year - low.year) * 12 + high.month - low.month if same else 0


def _following(low: datetime, high: datetime) -> datetime:
    """Where the period would end that follows one."""
    months = _months(low, high)
    if months <= 0 or high.day > 28:
        return high + (high - low)
    count = high.year * 12 + high.month - 1 + months
    return high.replace(year=count // 12, month=count % 12 + 1)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _shown(value: Value) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == value.time().min else value.isoformat(" ")
    return str(value)
