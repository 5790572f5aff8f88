"""A change of a column has the checks on it read again, and the planner forget what it knew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

ROWS = "INSERT INTO t SELECT 'x' || n, n FROM generate_series(1, 100) AS n"
CHECK = "CREATE TABLE t (v varchar(20), n integer, CONSTRAINT c CHECK (v <> ''))"
HEIR = "CREATE TABLE h (CONSTRAINT c CHECK (v <> '')) INHERITS (t); INSERT INTO h VALUES ('a')"


def longer() -> None:
    pg.table("t", [pg.Column("v", "varchar(40)")])


ASKED: dict[str, tuple[str, str]] = {
    "a check of the table": (f"{CHECK}; {ROWS}", "the check c of public.t"),
    "a check of a table that inherits it": (
        f"CREATE TABLE t (v varchar(20), n integer); {HEIR}",
        "the check c of public.h",
    ),
}


@pytest.mark.parametrize("case", ASKED)
@one_version
def test_it_is_allowed_by_name(database: Database, case: str) -> None:
    before, reason = ASKED[case]
    database.psql(before)
    refused = run(database, longer, dry=True).refused()
    assert "would block reads and writes while it reads all rows" in refused.messages
    assert reason in refused.messages
    run(database, longer, postgres_allow="t").succeeded()
    assert run(database, longer, dry=True).succeeded().plan.changes == []


FREE: dict[str, str] = {
    "no rows": CHECK,
    "a check of another column": "CREATE TABLE t (v varchar(20), n integer CHECK (n > 0)); " + ROWS,
    "a check that is not validated": "CREATE TABLE t (v varchar(20), n integer); "
    f"{ROWS}; ALTER TABLE t ADD CONSTRAINT c CHECK (v <> '') NOT VALID",
}


@pytest.mark.parametrize("case", FREE)
@one_version
def test_where_nothing_is_read_nothing_is_asked(database: Database, case: str) -> None:
    database.psql(FREE[case])
    run(database, longer).succeeded()
    assert run(database, longer, dry=True).succeeded().plan.changes == []


GENERATED = "CREATE TABLE t (a integer, v integer GENERATED ALWAYS AS (a * 2) STORED)"
FORGOTTEN: dict[str, tuple[str, Callable[[], object]]] = {
    "a longer type": ("CREATE TABLE t (v varchar(20), n integer)", longer),
    "another collation": (
        "CREATE TABLE t (v text, n integer)",
        lambda: pg.table("t", [pg.Column("v", "text", collation="C")]),
    ),
    "another expression": (
        f"{GENERATED}; INSERT INTO t (a) SELECT generate_series(1, 100)",
        lambda: pg.table("t", [pg.Column("v", "integer", generated="a * 3")]),
    ),
}


@pytest.mark.parametrize("case", FORGOTTEN)
@one_version
def test_the_planner_gets_its_statistics_again(database: Database, case: str) -> None:
    before, declared = FORGOTTEN[case]
    database.psql(before if case == "another expression" else f"{before}; {ROWS}")
    database.psql("ANALYZE t")
    count = "SELECT count(*) FROM pg_stats WHERE tablename = 't' AND attname = 'v'"
    assert database.psql(count) == "1"
    run(database, declared, postgres_allow="t").succeeded()
    assert database.psql(count) == "1"
    assert run(database, declared, dry=True).succeeded().plan.changes == []


@pytest.mark.parametrize("server", ["18"], indirect=True)
def test_what_is_computed_when_read_may_be_read(database: Database) -> None:
    database.psql(
        "CREATE TABLE t (a integer, v integer NOT NULL GENERATED ALWAYS AS (a * 2) VIRTUAL); "
        "INSERT INTO t VALUES (1)"
    )
    column = pg.Column("v", "integer", generated="a * 3", virtual=True, nullable=False)
    refused = run(database, lambda: pg.table("t", [column]), dry=True).refused()
    assert "would block reads and writes while it reads all rows" in refused.messages


def in_one_operation() -> None:
    absent = pg.Constraint(name="c", present=False)
    pg.table("t", [pg.Column("v", "integer")], constraints=[absent])


def in_two_operations() -> None:
    pg.table("t", constraints=[pg.Constraint(name="c", present=False)])
    pg.table("t", [pg.Column("v", "integer")])


@pytest.mark.parametrize("declared", [in_one_operation, in_two_operations])
@one_version
def test_a_check_that_goes_does_not_stand_against_another_type(
    database: Database, declared: Callable[[], None]
) -> None:
    database.psql(f"{CHECK}; INSERT INTO t VALUES ('1', 1)")

    def deploy() -> None:
        with pg.transaction():
            declared()

    run(database, deploy, postgres_allow="t").succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
