"""Values are counted against the domains that their columns have once a plan has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE DOMAIN d AS integer CHECK (VALUE < 100);
    CREATE DOMAIN over AS d;
    CREATE TABLE t (
        id integer, x d, y over, n integer, double d GENERATED ALWAYS AS (id * 2) STORED
    );
    INSERT INTO t VALUES (1, 10, 20, 300), (2, 11, NULL, 5);
    CREATE MATERIALIZED VIEW m AS SELECT x AS z FROM t;
    CREATE TABLE log (at date, x d) PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO log VALUES ('2025-02-02', 1);
"""
Calls = tuple[Callable[[], object], ...]


def domain(check: str, *, nullable: bool = True) -> Callable[[], object]:
    checks = [pg.Check(check, name="d_check")]
    return lambda: pg.domain("d", "integer", checks=checks, nullable=nullable)


def column(*args: str, **options: Any) -> Callable[[], object]:
    return lambda: pg.table("t", [pg.Column(*args, **options)])


def gone(relation: str) -> Callable[[], object]:
    return lambda: pg.materialized_view(relation, present=False)


REFUSED: dict[str, tuple[Calls, str]] = {
    "a column": ((domain("VALUE < 11"),), "for 1 row, in column x of public.t"),
    "a column of a domain over it": (
        (domain("VALUE <> 20"),),
        "for 1 row, in column y of public.t",
    ),
    "a partition": ((domain("VALUE <> 1"),), "for 1 row, in column x of public.log_1"),
    "a generated column": ((domain("VALUE <> 4"),), "for 1 row, in column double of public.t"),
    "a materialized view": (
        (domain("VALUE <> 11"), column("x", "integer"), gone("n")),
        "for 1 row, in column z of public.m",
    ),
    "nulls": (
        (domain("VALUE < 100", nullable=False),),
        "NOT NULL does not hold for 1 row, in column y",
    ),
    "another column of the table goes": (
        (domain("VALUE < 11"), column("n", present=False)),
        "for 1 row, in column x of public.t",
    ),
    "a column that becomes one of it": (
        (column("n", "d"),),
        "a row can't become public.d: value for domain public.d violates check constraint",
    ),
    "a column that becomes one of what is over it": (
        (column("n", "over", using="n"),),
        "CHECK ((VALUE < 100)) of domain public.d does not hold for 1 row",
    ),
    "a column that becomes one of what it becomes": (
        (domain("VALUE <> 5"), column("n", "d", using="least(n, 50)")),
        "CHECK (VALUE <> 5) of domain public.d does not hold for 1 row",
    ),
    "a new column": (
        (domain("VALUE <> 5"), column("new", "d", default="5")),
        "CHECK (VALUE <> 5) of domain public.d does not hold for 2 rows",
    ),
    "a new column of what is over it": (
        (column("new", "over", default="500"),),
        "CHECK ((VALUE < 100)) of domain public.d does not hold for 2 rows",
    ),
    "a new column that has nothing": (
        (domain("VALUE IS NOT NULL"), column("new", "d")),
        "does not hold for 2 rows, which get nothing in it",
    ),
    "a new generated column": (
        (column("new", "d", generated="id * 60"),),
        "CHECK ((VALUE < 100)) of domain public.d does not hold for 1 row",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@one_version
def test_values_that_are_against_a_domain_are_counted(database: Database, name: str) -> None:
    calls, message = REFUSED[name]
    database.psql(BEFORE)
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            for call in calls:
                call()

    for dry in True, False:
        outcome = run(database, deploy, dry=dry, postgres_allow="t,t.n,log_1")
        assert outcome.failed
        assert message in outcome.messages, outcome.messages
    assert database.dump() == before


TAKEN: dict[str, Calls] = {
    "the column becomes another": (domain("VALUE <> 20"), column("y", "integer")),
    "the column goes": (domain("VALUE <> 20"), column("y", present=False)),
    "the value becomes another": (domain("VALUE < 51"), column("n", "d", using="least(n, 50)")),
    "nothing is against it": (domain("VALUE < 99"),),
}


@pytest.mark.parametrize("name", TAKEN)
@one_version
def test_values_are_those_that_a_plan_gives(database: Database, name: str) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction():
            for call in TAKEN[name]:
                call()

    run(database, deploy, postgres_allow="t,t.y").succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
