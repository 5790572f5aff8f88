"""Random databases as declarations, from few names so that two of them overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

import pyinfra_postgres as pg
from pyinfra_postgres.syntax.names import quoted

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
    Names,
    Outline,
    add_foreign_keys,
    either,
    mostly,
    outlines,
    tables,
)

FAN = "law_fan"
"""Gets privileges by default alone."""
GIVEN = (("SELECT", "TABLES"), ("USAGE", "SEQUENCES"), ("EXECUTE", "FUNCTIONS"))
MAKER = "law_maker"
SETUP = "; ".join(f"CREATE ROLE {quoted(role)}" for role in (*ROLES, *OWNERS[1:], FAN, MAKER))

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
                names = ", ".join(table.values)
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
COUNTER = {"minimum": 1, "maximum": 1000, "start": 1, "cache": 1}
KINDS = (
    "domain", "enum", "label", "table", "column", "constraint", "index", "statistics", "policy",
    "trigger", "function", "sequence", "view", "materialized view",
)  # fmt: skip


@st.composite
def databases(draw: st.DrawFn) -> Draw:
    """A database."""
    return _database(draw, draw(_shapes()), Names(draw(_RENAMED)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Draw, Draw]:
    """Two databases much like one another; the second has former names for some objects."""
    shape = draw(_shapes())
    return _database(draw, shape, Names(set())), _database(draw, shape, Names(draw(_RENAMED)))


_RENAMED = st.sets(st.sampled_from(KINDS), max_size=3)


@frozen
class _Shape:
    tables: dict[int, Outline]
    others: Sequence[Callable[[At], Iterator[Call]]]


@st.composite
def _shapes(draw: st.DrawFn) -> _Shape:
    """What databases have in common, more or less."""
    places = draw(st.lists(st.integers(0, len(TABLES) - 1), max_size=3, unique=True))
    others = draw(st.lists(st.sampled_from(_OTHERS), max_size=3, unique=True))
    return _Shape({place: draw(outlines()) for place in places}, others)


def _database(draw: st.DrawFn, shape: _Shape, names: Names) -> Draw:
    before = tuple(_basis(draw, names))
    places = mostly(draw, draw(st.permutations(list(shape.tables))))
    found = [draw(tables(place, shape.tables[place], names)) for place in places]
    add_foreign_keys(draw, found)
    after = [call for other in mostly(draw, shape.others) for call in other(At(draw, names))]
    after += _default_privileges(draw)
    return Draw(before, tuple(found), tuple(after), draw(st.booleans()))


def _basis(draw: st.DrawFn, names: Names) -> Iterator[Call]:
    """What tables need."""
    # What is created has them, so they are the same everywhere.
    for role, (privilege, on) in product(OWNERS, GIVEN):
        yield Call("default_privileges", privilege, on=on, to=FAN, for_role=role)
    for name in SCHEMAS:
        options = {"owner": draw(either(*OWNERS)), "comment": draw(COMMENTS)}
        yield Call("schema", quoted(name), **options)
    # An owner's foreign keys look there.
    yield Call("grant", "USAGE", on=f"SCHEMA {quoted(SCHEMAS[1])}", to=OWNERS[1])
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
    labels = list(draw(st.sampled_from(LABELS)))
    enum, former = names.of("enum", "mood")
    if "label" in names.renamed:
        labels = ["fierce" if one == "wild" else one for one in labels]
        former |= {"renamed": {"wild": "fierce"}}
    names.types.update({"mood": enum, "mood[]": f"{enum}[]"})
    yield Call("enum", enum, labels, owner=draw(either(*OWNERS)), comment=draw(COMMENTS), **former)
    for name, type_, checks in (
        ("positive", "integer", ("VALUE > 0", "VALUE >= 1", "VALUE > -1")),
        ("temper", enum, (names.label("VALUE <> 'wild'"), "VALUE IN ('calm')")),
        ("tempers", f"{enum}[]", ("cardinality(VALUE) < 9", "VALUE <> '{}'")),
    ):
        domain, former = names.of("domain", name, SCHEMAS[1])
        names.types.update({name: domain, f"{name}[]": f"{domain}[]"})
        yield Call(
            "domain", domain, type_, checks=[Call("Check", draw(either(*checks)), name="pos")],
            owner=draw(either(*OWNERS)), comment=draw(COMMENTS), **former,
        )  # fmt: skip


def _default_privileges(draw: st.DrawFn) -> Iterator[Call]:
    """Those of a role that creates nothing, or none: what nobody declares of them stays."""
    for role, (on, schema) in product(ROLES, (("TABLES", None), ("TYPES", SCHEMAS[0]))):
        options: dict[str, Any] = draw(
            either({"present": False}, {"exact": True}, {"exact": True, "grant_option": True})
        )
        some = draw(either("SELECT", ["INSERT", "DELETE"])) if on == "TABLES" else "USAGE"
        yield Call(
            "default_privileges", some if options.get("exact") else "ALL", on=on, to=quoted(role),
            in_schema=schema, for_role=MAKER, **options,
        )  # fmt: skip


@frozen
class At:
    """A database, for what can be in it beside tables."""

    draw: st.DrawFn
    names: Names


def _sequence(at: At) -> Iterator[Call]:
    name, former = at.names.of("sequence", "counter")
    more = {"increment": at.draw(either(2, 3)), "cycle": at.draw(st.booleans())}
    more |= {"type": at.draw(either("bigint", "integer")), "owner": at.draw(either(*OWNERS))}
    yield Call("sequence", name, comment=at.draw(COMMENTS), **COUNTER, **more, **former)
    role = quoted(at.draw(either(*ROLES)))
    yield Call("grant", at.draw(either("USAGE", "ALL")), on=f"SEQUENCE {name}", to=role)


def _defaults(at: At) -> Iterator[Call]:
    name, former = at.names.of("function", "twice")
    default = at.draw(either("", " DEFAULT 1", " DEFAULT 1 + 1"))
    returns = at.draw(either("integer", "bigint"))
    definer = at.draw(st.booleans())
    closed = {"search_path": "pg_catalog, pg_temp"}
    settings = closed if definer else at.draw(either({}, {"search_path": "public"}))
    yield Call(
        "function", name, arguments=f"x integer{default}", returns=returns, body="SELECT x * 2",
        security_definer=definer, settings=settings,
        comment=at.draw(COMMENTS), **former,
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
    name, former = at.names.of("materialized view", "sums")
    query = f"SELECT {at.draw(either('sum(n)', 'max(n)'))} AS total FROM generate_series(1, 3) n"
    yield Call("materialized_view", name, query, comment=at.draw(COMMENTS), **former)
    index, former = at.names.of("index", "sums_total")
    unique = at.draw(st.booleans())
    yield Call("index", index, name, ["total"], unique=unique, comment="", **former)


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
        "partitions", "log", every="month", start="2024-12", ahead=0,
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
    else:
        values = "FOR VALUES IN ('es')"
        yield Call("partition", "region_es", "region", values, partition_by="RANGE (n)")
        bound = at.draw(either("(0) TO (10)", "(0) TO (20)", "(MINVALUE) TO (10)"))
        start, end = bound.split(" TO ")
        yield Call("partition", "region_es_0", "region_es", f"FOR VALUES FROM {start} TO {end}")
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


def _allowed() -> Iterator[str]:
    """What the run may lose: everything."""
    tables = [name for _, name in TABLES]
    tables += [
        "log",
        "log_default",
        "region",
        "region_some",
        "region_rest",
        "region_es",
        "region_es_0",
        "spread",
    ]
    refs = (f"ref_{place}" for place in range(len(TABLES)))
    columns = [*FAMILIES, KEY, "n", "gs", "gv", "at", "what", *refs]
    others = ["mood", "other", "counter"]
    for schema in SCHEMAS:
        for name in _both([*tables, *others]):
            yield f"{quoted(schema)}.{quoted(name)}"
        for table, column in product(_both(tables), _both(columns)):
            yield f"{quoted(schema)}.{quoted(table)}.{quoted(column)}"


def _both(names: list[str]) -> list[str]:
    """Names, and the new ones in their place."""
    return [*names, *(f"new_{name}" for name in names)]


EVERYTHING = ",".join(_allowed())
