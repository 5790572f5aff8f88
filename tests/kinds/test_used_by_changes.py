"""What goes is still used by what the same block changes: that is told before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

Declare: TypeAlias = Callable[[], Any]

MADE = """
    CREATE FUNCTION f(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT x';
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE t (id integer, c integer);
    CREATE VIEW v AS SELECT id, c FROM t;
"""
POLICY = "CREATE POLICY p ON t USING (f(c) > 1)"
VIEW = "CREATE VIEW w AS SELECT f(id) AS id FROM v"
INDEX = "CREATE INDEX i ON t (f(c))"
TRIGGER = "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fired()"
BODY = "CREATE FUNCTION h() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT f(id) FROM v; END"


def _no_function() -> None:
    pg.function("f", arguments="integer", present=False)


def _no_trigger_function() -> None:
    pg.function("fired", present=False)


def _no_view() -> None:
    pg.view("v", present=False)


CASES = [
    (POLICY, lambda: pg.policy("p", "t", using="f(c) > 1", roles="postgres"), _no_function),
    (POLICY, lambda: pg.policy("p", "t", using="f(c) > 2"), _no_function),
    (INDEX, lambda: pg.index("i", "t", ["f(c)"], comment="x"), _no_function),
    (TRIGGER, lambda: pg.trigger("g", "t", comment="x"), _no_trigger_function),
    (TRIGGER, lambda: pg.trigger("g", "t", when="BEFORE INSERT", function="fired()"),
     _no_trigger_function),
    (VIEW, lambda: pg.view("w", "SELECT f(id) AS id FROM v", security_barrier=True), _no_view),
    (VIEW, lambda: pg.view("w", "SELECT f(id) AS id FROM v", comment="x"), _no_function),
    (VIEW, lambda: pg.view("w", "SELECT id + 1 AS id FROM v"), _no_view),
    (BODY, lambda: pg.function("h", returns="integer", comment="x",
                               body="BEGIN ATOMIC SELECT f(id) FROM v; END"), _no_view),
]  # fmt: skip


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(("made", "change", "goes"), CASES)
@one_version
def test_what_goes_is_still_used(
    database: Database, made: str, change: Declare, goes: Declare, is_first: bool
) -> None:
    database.psql(f"{MADE}; {made}")
    before = database.dump()

    def block() -> None:
        with pg.transaction():
            for one in (change, goes) if is_first else (goes, change):
                one()

    assert "it is used by" in run(database, block, dry=True).refused().messages
    run(database, block).refused()
    assert database.dump() == before


LETTING_GO = [
    (POLICY, lambda: pg.policy("p", "t", using="c > 1"), _no_function),
    (INDEX, lambda: pg.index("i", "t", ["c"]), _no_function),
    (VIEW, lambda: pg.view("w", "SELECT id FROM v"), _no_function),
    (VIEW, lambda: pg.view("w", "SELECT f(id) AS id FROM t AS v"), _no_view),
    (VIEW, lambda: pg.view("w", "WITH v AS (SELECT id FROM t) SELECT id FROM v"), _no_view),
]


@pytest.mark.parametrize(("made", "change", "goes"), LETTING_GO)
@one_version
def test_what_lets_go_of_it_is_no_user(
    database: Database, made: str, change: Declare, goes: Declare
) -> None:
    database.psql(f"{MADE}; {made}")

    def block() -> None:
        with pg.transaction():
            change()
            goes()

    run(database, block, dry=True).succeeded()
    run(database, block).succeeded()
    assert not run(database, block).succeeded().plan.changes
