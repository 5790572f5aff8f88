"""Random databases as declarations, from few names so that two of them overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

import pyinfra_postgres as pg
from pyinfra_postgres.names import quoted

from .calls import Call, made
from .tables import (
    COMMENTS,
    FAMILIES,
    KEY,
    OWNERS,
    ROLES,
    SCHEMAS,
    TABLES,
    Drawn,
    add_foreign_keys,
    either,
    tables,
)

SETUP = "; ".join(f"CREATE ROLE {quoted(role)}" for role in (*ROLES, *OWNERS[1:]))

Many = tuple[Call, ...]


@frozen
class Draw:
    """A whole database."""

    before: Many
    tables: tuple[Drawn, ...]
    after: Many
    at_once: bool
    """Whether it is declared as one operation, or as many."""

    def deploy(self, **options: Any) -> Callable[[], None]:
        """The operations that declare it, in one transaction."""

        def declare() -> None:
            calls = list(self._calls())
            with pg.transaction(**options):
                if self.at_once:
                    pg.objects([made(one) for one in map(_as_declaration, calls) if one])
                for call in calls:
                    if not self.at_once or not _as_declaration(call):
                        call()

        return declare

    def _calls(self) -> Iterator[Call]:
        yield from self.before
        if self.at_once:
            yield from (table.whole for table in self.tables)
        else:
            yield from (table.first for table in self.tables)
            for table in self.tables:
                if table.foreign:
                    yield Call("table", table.name, constraints=table.foreign)
        for table in self.tables:
            yield from table.extras
        yield from self.after

    def __repr__(self) -> str:
        return "\n".join(map(repr, [*self._calls(), self.rows()]))

    def rows(self) -> list[str]:
        """What gives each table a row, which the rows of others refer to."""
        found = []
        for table in self.tables:
            if table.values:
                names = ", ".join(map(quoted, table.values))
                values = ", ".join(table.values.values())
                found.append(f"INSERT INTO {table.name} ({names}) VALUES ({values})")
            elif table.columns:
                found.append(f"INSERT INTO {table.name} DEFAULT VALUES")
        for table in self.tables:
            for column in table.columns:
                if column.startswith("ref_"):
                    found.append(f"UPDATE {table.name} SET {column} = 1")
        return found


def _as_declaration(call: Call) -> Call | None:
    """The same for `pg.objects`, where there is such a thing."""
    name = call.function.title().replace("_", "")
    beyond = {"kind", "present"} & call.keywords.keys()
    return None if beyond else Call(name, *call.arguments, **call.keywords)


LABELS = (("calm", "wild"), ("calm", "wild", "sad"), ("new", "calm", "wild"), ("wild", "calm"))
DOMAINS = (f"{quoted(SCHEMAS[1])}.positive", f"{quoted(SCHEMAS[1])}.natural")
ENUMS = ("mood", "feeling")
COUNTER = {"minimum": 1, "maximum": 1000, "start": 1, "cache": 1}


@st.composite
def draws(draw: st.DrawFn, *, renamed: bool = False) -> Draw:
    """A database; one of its objects may have a former name, which another database has for it."""
    former = (
        draw(either(None, None, None, "domain", "enum", "table", *_RENAMED)) if renamed else None
    )
    enum = ENUMS[former == "enum"]
    spelled = {"positive": DOMAINS[former == "domain"], "mood": enum, "mood[]": f"{enum}[]"}
    places = draw(st.lists(st.integers(0, len(TABLES) - 1), max_size=3, unique=True))
    found = [draw(tables(place, spelled, former == "table")) for place in places]
    add_foreign_keys(draw, found)
    others = draw(st.lists(st.sampled_from(_OTHERS), max_size=3, unique=True))
    after = [call for other in others for call in other(At(draw, former))]
    return Draw(
        tuple(_basis(draw, former)),
        tuple(found),
        (*after, *_default_privileges(draw)),
        draw(st.booleans()),
    )


def _basis(draw: st.DrawFn, former: str | None) -> Iterator[Call]:
    """What tables need."""
    for name in SCHEMAS:
        options = {"owner": draw(either(*OWNERS)), "comment": draw(COMMENTS)}
        yield Call("schema", quoted(name), **options)
    yield Call(
        "function", "touched", returns="trigger", language="plpgsql", body="BEGIN RETURN NEW; END",
        owner=draw(either(*OWNERS)), comment="",
    )  # fmt: skip
    half = draw(either("SELECT x / 2", "RETURN x / 2", "RETURN x - x / 2"))
    strict = draw(st.booleans())
    yield Call(
        "function", "half", arguments="x integer", returns="integer", body=half,
        volatility="IMMUTABLE", strict=strict, comment=draw(COMMENTS),
    )  # fmt: skip
    name, renamed = _renamed(ENUMS, former == "enum")
    yield Call("enum", name, list(draw(st.sampled_from(LABELS))), comment=draw(COMMENTS), **renamed)
    check = draw(either("VALUE > 0", "VALUE >= 1", "VALUE > -1"))
    name, renamed = _renamed(DOMAINS, former == "domain")
    yield Call(
        "domain", name, "integer", checks=[Call("Check", check, name="pos")],
        owner=draw(either(*OWNERS)), comment=draw(COMMENTS), **renamed,
    )  # fmt: skip


def _renamed(names: tuple[str, str], former: bool) -> tuple[str, dict[str, str]]:
    """The name of an object, and its former one where it has one."""
    return (names[1], {"renamed_from": names[0]}) if former else (names[0], {})


@frozen
class At:
    """A database, for what can be in it beside tables."""

    draw: st.DrawFn
    former: str | None
    """What has a former name."""

    def named(self, what: str, name: str) -> tuple[str, dict[str, str]]:
        """The name of an object, and its former one where it has one."""
        return _renamed((name, f"new_{name}"), self.former == what)


def _sequence(at: At) -> Iterator[Call]:
    name, renamed = at.named("sequence", "counter")
    more = {"increment": at.draw(either(2, 3)), "cycle": at.draw(st.booleans())}
    options = (
        COUNTER
        | more
        | {"type": at.draw(either("bigint", "integer")), "comment": at.draw(COMMENTS)}
    )
    yield Call("sequence", name, **options, **renamed)
    role = quoted(at.draw(either(*ROLES)))
    yield Call("grant", at.draw(either("USAGE", "ALL")), on=f"SEQUENCE {name}", to=role)


def _defaults(at: At) -> Iterator[Call]:
    name, renamed = at.named("function", "twice")
    default = at.draw(either("", " DEFAULT 1", " DEFAULT 1 + 1"))
    returns = at.draw(either("integer", "bigint"))
    yield Call(
        "function", name, arguments=f"x integer{default}", returns=returns, body="SELECT x * 2",
        security_definer=at.draw(st.booleans()),
        settings=at.draw(either({}, {"search_path": "public"})),
        comment=at.draw(COMMENTS), **renamed,
    )  # fmt: skip
    to = at.draw(either("PUBLIC", quoted(ROLES[1])))
    yield Call("grant", "EXECUTE", on=f"FUNCTION {name}(integer)", to=to)


def _procedure(at: At) -> Iterator[Call]:
    body = at.draw(either("BEGIN NULL; END", "BEGIN PERFORM x; END"))
    yield Call(
        "function", "work", arguments="x integer", kind="procedure", language="plpgsql", body=body,
        owner=at.draw(either(*OWNERS)), comment=at.draw(COMMENTS),
    )  # fmt: skip


def _materialized(at: At) -> Iterator[Call]:
    name, renamed = at.named("materialized view", "sums")
    query = f"SELECT {at.draw(either('sum(n)', 'max(n)'))} AS total FROM generate_series(1, 3) n"
    yield Call("materialized_view", name, query, comment=at.draw(COMMENTS), **renamed)
    yield Call("index", "sums_total", name, ["total"], unique=at.draw(st.booleans()), comment="")


def _enum(at: At) -> Iterator[Call]:
    name = f"{quoted(SCHEMAS[1])}.other"
    yield Call("enum", name, ["p", "q", "r"][: at.draw(either(2, 3))], comment=at.draw(COMMENTS))
    yield Call("grant", "USAGE", on=f"TYPE {name}", to=quoted(at.draw(either(*ROLES))))


def _partitions(at: At) -> Iterator[Call]:
    columns = [Call("Column", "at", "date", nullable=False), Call("Column", "what", "text")]
    constraints = [Call("PrimaryKey", "at", name="log_key")] if at.draw(st.booleans()) else []
    secured = at.draw(st.booleans())
    yield Call(
        "table", "log", columns, partition_by="RANGE (at)", constraints=constraints,
        comment=at.draw(COMMENTS), row_security=secured,
    )  # fmt: skip
    yield Call(
        "partitions", "log", every="month", start=at.draw(either("2024-12", "2025-01")), ahead=0,
        default=True, row_security=secured,
    )  # fmt: skip
    if at.draw(st.booleans()):
        yield Call("index", "log_what", "log", ["what"], comment=at.draw(COMMENTS))


def _lists(at: At) -> Iterator[Call]:
    columns = [Call("Column", "name", "text", nullable=False), Call("Column", "n", "integer")]
    yield Call("table", "region", columns, partition_by="LIST (name)", comment=at.draw(COMMENTS))
    some = at.draw(either("'de', 'fr'", "'de'", "'calm', NULL"))
    yield Call("partition", "region_some", "region", f"FOR VALUES IN ({some})", row_security=False)
    if at.draw(st.booleans()):
        yield Call("partition", "region_rest", "region", "DEFAULT", row_security=False)
    if at.draw(st.booleans()):
        yield Call("index", "region_n", "region", ["n"], comment="")


def _hashes(at: At) -> Iterator[Call]:
    columns = [Call("Column", "id", "bigint", nullable=False)]
    key = Call("PrimaryKey", "id", name="spread_key")
    keys = [key] if at.draw(st.booleans()) else []
    yield Call("table", "spread", columns, partition_by="HASH (id)", constraints=keys)
    for remainder in range(2):
        bound = f"FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})"
        yield Call("partition", f"spread_{remainder}", "spread", bound)


def _schema_grant(at: At) -> Iterator[Call]:
    role = quoted(at.draw(either(*ROLES)))
    yield Call("grant", at.draw(either("USAGE", "ALL")), on=f"SCHEMA {quoted(SCHEMAS[1])}", to=role)


_OTHERS = [
    _sequence, _defaults, _procedure, _materialized, _enum, _partitions, _lists, _hashes,
    _schema_grant,
]  # fmt: skip
_RENAMED = ("sequence", "function", "materialized view")


def _default_privileges(draw: st.DrawFn) -> Iterator[Call]:
    """Last, because what the run creates before has none of them."""
    present = draw(st.booleans())
    yield Call(
        "default_privileges", "SELECT", on="TABLES", to=quoted(ROLES[0]), in_schema="public",
        present=present,
    )  # fmt: skip


# What the run may lose, whatever it is.
_TABLES = (*TABLES, "renamed", "log", "region", "region_some", "region_rest", "spread")
_COLUMNS = (
    *FAMILIES,
    KEY,
    "n",
    "gs",
    "gv",
    *(f"ref_{place}" for place in range(len(TABLES))),
    "at",
    "what",
)
EVERYTHING = ",".join(
    [
        *(f"public.{name}" for name in (*ENUMS, "counter", "new_counter", "sums", "new_sums")),
        *DOMAINS,
        f"{quoted(SCHEMAS[1])}.other",
        *(f"public.{quoted(table)}" for table in _TABLES),
        *(f"public.{quoted(table)}.{quoted(column)}" for table in _TABLES for column in _COLUMNS),
    ]
)
