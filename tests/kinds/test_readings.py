"""What is declared anew over what the same block changes: the server reads it beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

Declare: TypeAlias = Callable[[], Any]
MADE = """
    CREATE TABLE t (id integer PRIMARY KEY, c integer, d text); INSERT INTO t VALUES (1, 2, 'x');
    CREATE VIEW v AS SELECT id, c FROM t;
    CREATE FUNCTION f(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT x';
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION of_row(r t) RETURNS integer LANGUAGE sql AS 'SELECT r.id';
"""


def _retyped() -> None:
    pg.table("t", [pg.Column("c", "text")])


def _dropped() -> None:
    pg.table("t", [pg.Column("c", "integer", present=False)])


def _renamed() -> None:
    pg.table("t", [pg.Column("e", "integer", renamed_from="c")])


def _moved() -> None:
    pg.table("u", renamed_from="t")


def _renamed_argument() -> None:
    pg.function(
        "f", arguments="y integer", returns="integer", body="SELECT y", volatility="IMMUTABLE"
    )


def _several() -> None:
    pg.statistics("s", "t", ["id", "lower(c)"])
    pg.statistics("r", "t", ["id", "length(c)"])
    pg.policy("p", "t", using="c > 'a'")


def _view(query: str) -> Declare:
    return lambda: pg.view("v", query)


def _policy(using: str, table: str = "t") -> Declare:
    return lambda: pg.policy("p", table, using=using)


CASES = [
    (_retyped, _view("SELECT id, c + 1 AS c FROM t"), "42883"),
    (_retyped, _view("SELECT id, c FROM public.t AS a WHERE a.c > 1"), "42883"),
    (_retyped, _view("WITH t AS (SELECT c FROM public.t) SELECT 1 AS id, c + 1 AS c FROM t"),
     "42883"),
    (_retyped, _policy("c > 1"), "42883"),
    (_retyped, _policy("EXISTS (SELECT FROM t AS o WHERE o.c > 1)"), "42883"),
    (_retyped, lambda: pg.index("i", "t", ["(c + 1)"]), "42883"),
    (_retyped, lambda: pg.index("i", "t", ["id"], where="c > 1"), "42883"),
    (_retyped, lambda: pg.index("i", "t", ["c int4_ops"]), "42804"),
    (_renamed_argument, lambda: pg.index("i", "t", ["f(x => c)"]), "42883"),
    (_retyped, lambda: pg.trigger("g", "t", when="BEFORE UPDATE", function="fired()",
                                  condition="NEW.c > 1"), "42883"),
    (_retyped, lambda: pg.statistics("s", "t", ["id", "(c + 1)"]), "42883"),
    (_retyped, lambda: pg.function("h", returns="integer", body="SELECT c + 1 FROM t"), "42883"),
    (_retyped, lambda: pg.function("h", returns="bigint",
                                   body="BEGIN ATOMIC SELECT sum(c) FROM t; END"), "42883"),
    (_retyped, lambda: pg.publication("feed", ["t WHERE (c > 1)"]), "42883"),
    (_dropped, _view("SELECT id, c FROM t WHERE id > 1"), "42703"),
    (_renamed, _view("SELECT id, c FROM t WHERE id > 1"), "42703"),
    (_moved, _view("SELECT id, nothing AS c FROM u"), "42703"),
    (_moved, _policy("(SELECT c > d FROM u AS o LIMIT 1)", "u"), "42883"),
    (_renamed_argument, _policy("f(x => c) > 1"), "42883"),
    (_renamed_argument, _view("SELECT id, f(x => c) AS c FROM t"), "42883"),
]  # fmt: skip


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(("change", "declare", "state"), CASES)
@one_version
def test_what_will_not_fit_is_refused(
    database: Database,
    change: Declare,
    declare: Declare,
    state: str,
    is_first: bool,
) -> None:
    database.psql(MADE)
    before = database.dump()

    def block() -> None:
        with pg.transaction():
            for one in (change, declare) if is_first else (declare, change):
                one()

    refused = run(database, block, dry=True, postgres_allow="t,t.c").refused().messages
    assert state in refused or "use it: declare this one before that" in refused
    run(database, block, postgres_allow="t,t.c").refused()
    assert database.dump() == before


FITTING = [
    (_retyped, _view("SELECT id, c || 'x' AS c FROM t")),
    (_retyped, _view("SELECT id, d AS c FROM t GROUP BY id")),
    (_retyped, _view("SELECT id, of_row(t) AS c FROM t WHERE c > ''")),
    (_retyped, _policy("c > 'a'")),
    (_retyped, _several),
    (_retyped, lambda: pg.index("i", "t", ["lower(c)"])),
    (_retyped, lambda: pg.index("i", "t", ["c text_pattern_ops"], where="c > ''")),
    (_retyped, lambda: pg.function("h", returns="text", body="SELECT c || 'x' FROM t")),
    (_dropped, _view("SELECT id FROM t")),
    (_renamed, _view("SELECT id, e AS c FROM t WHERE e > 1")),
    (_moved, _view("SELECT id, c FROM u WHERE id > 1")),
    (_renamed_argument, _view("SELECT id, f(y => c) AS c FROM t")),
]


@pytest.mark.parametrize(("change", "declare"), FITTING)
@one_version
def test_what_will_fit_applies(
    database: Database, change: Declare, declare: Callable[[], None]
) -> None:
    database.psql(MADE)

    def block() -> None:
        with pg.transaction():
            change()
            declare()

    run(database, block, dry=True, postgres_allow="t,t.c").succeeded()
    run(database, block, postgres_allow="t,t.c").succeeded()
    assert not run(database, block, postgres_allow="t,t.c").succeeded().plan.changes
