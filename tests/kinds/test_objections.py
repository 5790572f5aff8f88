"""Rows that stand against a change are counted before anything runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE TABLE parent (id integer PRIMARY KEY);
    CREATE TABLE t (id integer, parent_id integer, name text, other integer);
    INSERT INTO parent VALUES (1);
    INSERT INTO t VALUES (1, 1, 'a', 1), (2, 7, NULL, 1), (-3, 8, 'b', NULL), (4, NULL, 'c', NULL);
    ALTER TABLE t ADD CONSTRAINT t_loose CHECK (id > -2) NOT VALID;
"""

CASES: dict[str, tuple[Callable[[], object], str]] = {
    "a null": (
        lambda: pg.table("t", [pg.Column("name", "text", nullable=False)]),
        "NOT NULL of column name does not hold for 1 row: correct that first",
    ),
    "nulls of a primary key": (
        lambda: pg.table("t", [pg.Column("other", "integer", primary_key=True)]),
        "NOT NULL of column other does not hold for 2 rows",
    ),
    "a check": (
        lambda: pg.table("t", constraints=[pg.Check("id > 0 AND lower(name) <> ''", name="ok")]),
        "does not hold for 1 row: correct that first",
    ),
    "a check that is not validated": (
        lambda: pg.table("t", constraints=[pg.Check("id > -2", name="t_loose")]),
        "CONSTRAINT t_loose CHECK ((id > '-2'::integer)) does not hold for 1 row",
    ),
    "a foreign key": (
        lambda: pg.table("t", constraints=[pg.ForeignKey("parent_id", references="parent(id)")]),
        "does not hold for 2 rows, whose parent_id is not in public.parent",
    ),
    "a unique constraint": (
        lambda: pg.table("t", constraints=[pg.Unique("other")]),
        "UNIQUE (other) does not hold for 2 rows, whose values others have too",
    ),
    "a unique constraint that takes nulls for equal": (
        lambda: pg.table("t", constraints=[pg.Unique("other", nulls_not_distinct=True)]),
        "does not hold for 4 rows",
    ),
    "a unique index": (
        lambda: pg.index("u", "t", ["(id / 100)"], unique=True, where="id > 0"),
        "the unique index u does not hold for 3 rows, whose values others have too",
    ),
}


@pytest.mark.parametrize("case", CASES)
@one_version
def test_rows_stand_against_it(database: Database, case: str) -> None:
    database.psql(BEFORE)
    declared, reason = CASES[case]
    before = database.dump()
    refused = run(database, declared).refused()
    assert reason in refused.messages
    assert database.dump() == before


@one_version
def test_rows_that_the_plan_changes_first_are_not_asked_about(database: Database) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction():
            pg.sql("UPDATE t SET name = 'x' WHERE name IS NULL", unless="SELECT false")
            pg.table("t", [pg.Column("name", "text", nullable=False)])

    run(database, deploy).succeeded()


@one_version
def test_what_does_not_exist_yet_is_not_asked_about(database: Database) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction():
            pg.table("new", [pg.Column("id", "integer", primary_key=True)])
            pg.table(
                "t",
                [pg.Column("new_id", "integer", references="new(id)"), pg.Column("more", "text")],
                constraints=[pg.Check("more <> ''", name="more_check"), pg.Unique("new_id")],
            )

    run(database, deploy).succeeded()


INHERITED = """
    CREATE TABLE parent (id integer, n integer);
    CREATE TABLE child () INHERITS (parent);
    INSERT INTO child VALUES (1, 1), (1, NULL);
"""
OF_CHILDREN: dict[str, tuple[Callable[[], object], str]] = {
    "a check": (
        lambda: pg.table("parent", constraints=[pg.Check("id > 1")]),
        "CHECK (id > 1) does not hold for 2 rows",
    ),
    "a null": (
        lambda: pg.table("parent", [pg.Column("n", "integer", nullable=False)]),
        "NOT NULL of column n does not hold for 1 row",
    ),
    "another type": (
        lambda: pg.table("parent", [pg.Column("id", "bigint")]),
        "would rewrite the table",
    ),
    "values": (
        lambda: pg.table("parent", [pg.Column("n", present=False)]),
        "would lose",
    ),
}


@one_version
def test_rows_of_tables_that_inherit_it_stand_against_it(database: Database) -> None:
    database.psql(INHERITED)
    for deploy, message in OF_CHILDREN.values():
        assert message in run(database, deploy).refused().messages


@one_version
def test_rows_of_tables_that_inherit_it_do_not_stand_against_keys(database: Database) -> None:
    database.psql(INHERITED + "CREATE TABLE other (id integer PRIMARY KEY);")

    def deploy() -> None:
        pg.table(
            "parent", constraints=[pg.Unique("id"), pg.ForeignKey("id", references="other(id)")]
        )
        pg.index("parent_n", "parent", ["(id + 0)"], unique=True)

    run(database, deploy).succeeded()
    assert not run(database, deploy).succeeded().plan.changes
