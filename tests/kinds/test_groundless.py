"""What a run declares to be there can't stand on what the same run takes away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

GROUND = """
    CREATE SCHEMA s;
    CREATE TABLE t (id integer PRIMARY KEY, at date, kind text);
    CREATE TABLE p (at date) PARTITION BY RANGE (at);
    CREATE TABLE other (id integer);
    CREATE TYPE mood AS ENUM ('calm');
    CREATE DOMAIN small AS integer;
    CREATE TYPE pair AS (a integer, b integer);
    CREATE SEQUENCE numbers;
    CREATE FUNCTION fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""
TABLES: tuple[Callable[[], object], ...] = (
    lambda: pg.index("t_kind", "t", ["kind"]),
    lambda: pg.statistics("t_both", "t", ["at", "kind"]),
    lambda: pg.policy("seen", "t", using="true"),
    lambda: pg.trigger("touch", "t", function="touched()", when="BEFORE INSERT"),
    lambda: pg.view("kinds", "SELECT kind FROM t"),
    lambda: pg.rows("t", [{"id": 1}], key="id"),
    lambda: pg.grant("SELECT", on="TABLE t", to="PUBLIC"),
    lambda: pg.publication("fed", tables=["t"]),
    lambda: pg.sequence("counted", owned_by="t.id"),
    lambda: pg.backfill("t", set={"kind": "'x'"}, where="kind IS NULL"),
    lambda: pg.table("other", constraints=[pg.ForeignKey("id", references="t(id)", name="f")]),
    lambda: pg.function(
        "label", arguments="t", returns="text", language="sql", body="SELECT $1.kind"
    ),
)
PARTITIONED: tuple[Callable[[], object], ...] = (
    lambda: pg.partition("p_25", "p", "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"),
    lambda: pg.index("p_at", "p", ["at"]),
)
FUNCTIONS: tuple[Callable[[], object], ...] = (
    lambda: pg.policy("seen", "t", using="fine(id)"),
    lambda: pg.index("t_fine", "t", ["fine(id)"]),
    lambda: pg.table("t", constraints=[pg.Check("fine(id)", name="is_fine")]),
    lambda: pg.domain("checked", "integer", checks=[pg.Check("fine(VALUE)", name="is_fine")]),
    lambda: pg.view("fines", "SELECT fine(id) FROM t"),
    lambda: pg.table("t", [pg.Column("ok", "boolean", default="fine(1)")]),
)
WITH_TYPES = {
    "mood": lambda: pg.enum("mood", present=False),
    "small": lambda: pg.domain("small", present=False),
    "pair": lambda: pg.composite("pair", present=False),
}
CASES: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
    *((f"table {n}", one, lambda: pg.table("t", present=False)) for n, one in enumerate(TABLES)),
    *(
        (f"partitioned {n}", one, lambda: pg.table("p", present=False))
        for n, one in enumerate(PARTITIONED)
    ),
    *(
        (f"function {n}", one, lambda: pg.function("fine", arguments="integer", present=False))
        for n, one in enumerate(FUNCTIONS)
    ),
    (
        "trigger's function",
        lambda: pg.trigger("touch", "t", function="touched()", when="BEFORE INSERT"),
        lambda: pg.function("touched", present=False),
    ),
    *(
        (f"type {name}", lambda name=name: pg.table("t", [pg.Column("c", name)]), gone)
        for name, gone in WITH_TYPES.items()
    ),
    (
        "sequence",
        lambda: pg.table("t", [pg.Column("n", "bigint", default="nextval('numbers')")]),
        lambda: pg.sequence("numbers", present=False),
    ),
    (
        "schema",
        lambda: pg.table("s.inside", [pg.Column("id", "integer")]),
        lambda: pg.schema("s", present=False),
    ),
]


@one_version
@pytest.mark.parametrize("first", ["what goes", "what needs it"])
@pytest.mark.parametrize(
    ("present", "absent"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_it_is_refused(
    database: Database,
    present: Callable[[], object],
    absent: Callable[[], object],
    first: str,
) -> None:
    both: Sequence[Callable[[], object]] = (absent, present)

    def deploy() -> None:
        with pg.transaction():
            for one in both if first == "what goes" else reversed(both):
                one()

    database.psql(GROUND)
    with database.untouched():
        run(database, deploy, dry=True).refused()
        run(database, deploy).refused()
