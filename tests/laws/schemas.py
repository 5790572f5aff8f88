"""Random databases as declarations, from few names so that two of them overlap.

What is drawn is a value: the operations that declare it, and rows that its tables can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

import pyinfra_postgres as pg
from pyinfra_postgres.names import quoted

ROLES = ("law_reader", "law_writer")
SETUP = "; ".join(f"CREATE ROLE {role}" for role in ROLES)

# Types with a default, a check, an index element and a value, each valid for the type.
TYPES: dict[str, tuple[str, str, str, str]] = {
    "integer": ("41 + 1", "{} > 0", "{}", "7"),
    "bigint": ("42", "{} BETWEEN 1 AND 1000", "{} DESC", "8"),
    "numeric(10,2)": ("0.5", "{} >= 0", "{}", "1.25"),
    "text": ("'x'", "{} IN ('x', 'y', 'z')", "lower({})", "'y'"),
    "varchar(30)": ("'it''s'", "length({}) < 30", "{} varchar_pattern_ops", "'v'"),
    "boolean": ("false", "{} IS NOT NULL", "{}", "true"),
    "timestamptz": ("now()", "{} > '2000-01-01'", "{} DESC NULLS LAST", "'2025-05-05 05:05+00'"),
    "date": ("CURRENT_DATE", "{} >= DATE '2000-01-01'", "{}", "'2025-05-05'"),
    "jsonb": ("'{{}}'", "jsonb_typeof({}) = 'object'", "({} ->> 'k')", "'{{}}'"),
    "uuid": ("gen_random_uuid()", "{} IS NOT NULL", "{}", "gen_random_uuid()"),
    "text[]": ("ARRAY['a', 'b']", "cardinality({}) < 9", "{}", "'{{a}}'"),
    "mood": ("'calm'", "{} <> 'wild'", "{}", "'calm'"),
    "positive": ("1", "{} < 100", "{}", "5"),
}
COLUMNS = ("a", "b", "c", "d", 'odd "name"')
TABLES = ("one", "two", 'third "t"')


@frozen
class TableDraw:
    """A table, what belongs to it, and the values of a row."""

    name: str
    columns: tuple[pg.Column, ...]
    constraints: tuple[Any, ...]
    extras: tuple[Callable[[], object], ...]
    values: dict[str, str]
    options: dict[str, Any]

    @property
    def sql_name(self) -> str:
        return quoted(self.name)


@frozen
class Draw:
    """A whole database."""

    labels: tuple[str, ...]
    domain_check: str
    others: tuple[Callable[[], object], ...]
    tables: tuple[TableDraw, ...]

    def deploy(self, **options: Any) -> Callable[[], None]:
        """The operations that declare it, in one transaction."""

        def declare() -> None:
            with pg.transaction(**options):
                pg.schema("public")
                pg.function(
                    "touched", returns="trigger", language="plpgsql", body="BEGIN RETURN NEW; END"
                )
                pg.enum("mood", self.labels)
                pg.domain("positive", "integer", checks=[pg.Check(self.domain_check, name="pos")])
                for table in self.tables:
                    pg.table(
                        table.sql_name,
                        table.columns,
                        constraints=table.constraints,
                        **table.options,
                    )
                for other in (*self.others, *(one for t in self.tables for one in t.extras)):
                    other()

        return declare

    def rows(self) -> Iterator[str]:
        """INSERTs of a row or two for each table."""
        for table in self.tables:
            names = ", ".join(map(quoted, table.values))
            values = ", ".join(table.values.values())
            if names:
                yield f"INSERT INTO {table.sql_name} ({names}) VALUES ({values})"


# What the run may lose, whatever it is.
EVERYTHING = ",".join(
    [
        *(f"public.{name}" for name in ("mood", "other", "positive", "log", "counter", "sums")),
        *(f"public.{quoted(table)}" for table in TABLES),
        *(f"public.{quoted(table)}.{quoted(column)}" for table in TABLES for column in COLUMNS),
    ]
)


@st.composite
def columns(draw: st.DrawFn, name: str) -> tuple[pg.Column, str | None]:
    """A column, and a value for it; None for one that the server fills."""
    type_ = draw(st.sampled_from(sorted(TYPES)))
    default, _, _, value = (one.replace("{{}}", "{}") for one in TYPES[type_])
    what = draw(st.sampled_from(["plain", "plain", "default", "not null", "identity"]))
    written = quoted(name)
    comment = draw(st.sampled_from([None, "why", "it's"]))
    if what == "identity":
        return pg.Column(written, "bigint", identity="BY DEFAULT", comment=comment), None
    return (
        pg.Column(
            written,
            type_,
            default=default if what == "default" else None,
            nullable=what != "not null",
            comment=comment,
        ),
        value,
    )


def _filled(template: str, column: str) -> str:
    return template.replace("{{}}", "\0").replace("{}", quoted(column)).replace("\0", "{}")


@st.composite
def tables(draw: st.DrawFn, name: str) -> TableDraw:
    """A table over the drawn columns, with constraints, indexes, policies, triggers and rights."""
    names = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4, unique=True))
    drawn = {one: draw(columns(one)) for one in names}
    constraints: list[Any] = []
    extras: list[Callable[[], object]] = []
    table = quoted(name)
    short = TABLES.index(name)
    for column, (declared, value) in drawn.items():
        place = COLUMNS.index(column)
        on = quoted(column)
        for what in draw(st.lists(st.sampled_from(EXTRAS), max_size=3, unique=True)):
            label = f"{what}_{short}_{place}"
            written = str(declared.type)
            match what:
                case "check" if value is not None:
                    text = TYPES[_spelled(written)][1]
                    constraints.append(pg.Check(_filled(text, column), name=label))
                case "unique" if written not in {"jsonb"}:
                    constraints.append(pg.Unique(on, name=label))
                case "index":
                    text = _filled(TYPES[_spelled(written)][2], column)
                    where = draw(st.sampled_from([None, f"{on} IS NOT NULL"]))
                    extras.append(_index(label, table, [text], where))
                case "policy":
                    command = draw(st.sampled_from(["ALL", "SELECT"]))
                    extras.append(_policy(label, table, f"{on} IS NOT NULL", command))
                case "view":
                    extras.append(_view(f"view_{short}_{place}", f"SELECT {on} AS it FROM {table}"))
                case "grant":
                    role = draw(st.sampled_from(ROLES))
                    rights = draw(st.sampled_from(["SELECT", "INSERT", "ALL"]))
                    extras.append(_grant(rights, table, role))
                case "statistics" if len(names) > 1 and written != "jsonb":
                    other = next(one for one in names if one != column)
                    if _spelled(str(drawn[other][0].type)) != "jsonb":
                        extras.append(_statistics(label, table, [on, quoted(other)]))
                case "trigger":
                    extras.append(_trigger(label, table, on))
    if draw(st.booleans()) and not any(isinstance(one, pg.PrimaryKey) for one in constraints):
        key = next((one for one in names if str(drawn[one][0].type) != "jsonb"), None)
        if key:
            constraints.append(pg.PrimaryKey(quoted(key), name=f"key_{short}"))
    return TableDraw(
        name,
        tuple(declared for declared, _ in drawn.values()),
        tuple(constraints),
        tuple(extras),
        {column: value for column, (_, value) in drawn.items() if value is not None},
        draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "comment": st.sampled_from(["a table", "another"]),
                    "row_security": st.just(True),
                },
            )
        ),
    )


EXTRAS = ["check", "unique", "index", "policy", "view", "grant", "statistics", "trigger"]
_ALIASES = {
    "character varying(30)": "varchar(30)",
    "timestamp with time zone": "timestamptz",
    "public.mood": "mood",
    "public.positive": "positive",
}


def _spelled(type_: str) -> str:
    return _ALIASES.get(type_, type_)


def _index(name: str, table: str, elements: list[str], where: str | None) -> Callable[[], object]:
    return lambda: pg.index(name, table, elements, where=where)


def _policy(name: str, table: str, using: str, command: str) -> Callable[[], object]:
    return lambda: pg.policy(name, table, command=command, using=using)


def _view(name: str, query: str) -> Callable[[], object]:
    return lambda: pg.view(name, query)


def _grant(privileges: str, table: str, role: str) -> Callable[[], object]:
    return lambda: pg.grant(privileges, on=table, to=role)


def _statistics(name: str, table: str, columns: list[str]) -> Callable[[], object]:
    return lambda: pg.statistics(name, table, columns)


def _trigger(name: str, table: str, column: str) -> Callable[[], object]:
    return lambda: pg.trigger(
        name, table, when=f"BEFORE UPDATE OF {column}", function="touched()", for_each="ROW"
    )


# Of each of these objects, two ways to declare it.
OTHERS: dict[str, tuple[Callable[[], object], ...]] = {
    "sequence": (
        lambda: pg.sequence("counter", increment=2, minimum=1),
        lambda: pg.sequence("counter", increment=3, minimum=1, cycle=True),
    ),
    "function": (
        lambda: pg.function(
            "half", arguments="x integer", returns="integer", body="SELECT x / 2",
            volatility="IMMUTABLE",
        ),
        lambda: pg.function(
            "half", arguments="x integer", returns="integer", body="RETURN (x + 1) / 2",
            volatility="STABLE", comment="rounded up",
        ),
    ),
    "procedure": (
        lambda: pg.function("work", arguments="x integer", kind="procedure", language="plpgsql",
                            body="BEGIN NULL; END"),
        lambda: pg.function("work", arguments="x integer", kind="procedure", language="plpgsql",
                            body="BEGIN PERFORM x; END", security_definer=True),
    ),
    "materialized view": (
        lambda: pg.materialized_view("sums", "SELECT sum(n) AS total FROM generate_series(1, 3) n"),
        lambda: pg.materialized_view("sums", "SELECT max(n) AS total FROM generate_series(1, 3) n"),
    ),
    "enum": (
        lambda: pg.enum("other", ["p", "q"]),
        lambda: pg.enum("other", ["p", "q", "r"], comment="more"),
    ),
    "partitions": (
        lambda: _log("month"),
        lambda: _log("month", comment="by month"),
    ),
}  # fmt: skip


def _log(every: str, comment: str = "") -> None:
    pg.table(
        "log",
        [pg.Column("at", "date", nullable=False), pg.Column("what", "text")],
        partition_by="RANGE (at)",
        comment=comment,
    )
    pg.partitions("log", every=every, start="2025-01", ahead=0, default=True)


@st.composite
def draws(draw: st.DrawFn) -> Draw:
    """A database."""
    names = draw(st.lists(st.sampled_from(TABLES), max_size=3, unique=True))
    kinds = draw(st.lists(st.sampled_from(sorted(OTHERS)), max_size=3, unique=True))
    return Draw(
        draw(st.sampled_from([("calm", "wild"), ("calm", "wild", "sad"), ("new", "calm", "wild")])),
        draw(st.sampled_from(["VALUE > 0", "VALUE >= 1", "VALUE > -1"])),
        tuple(draw(st.sampled_from(OTHERS[kind])) for kind in kinds),
        tuple(draw(tables(name)) for name in names),
    )
