"""Rows are counted as they will be: with what they get in columns that are new or converted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE TABLE p (id integer PRIMARY KEY);
    INSERT INTO p VALUES (1);
    CREATE TABLE t (
        id integer,
        length text,
        twice integer GENERATED ALWAYS AS (id * 2) STORED CONSTRAINT even CHECK (twice > 0)
    );
    INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);
    CREATE DOMAIN positive AS integer DEFAULT 7;
"""


def table(*columns: pg.Column, constraints: tuple[pg.Constraint, ...] = ()) -> Callable[[], object]:
    return lambda: pg.table(
        "t",
        [
            pg.Column("id", "integer"),
            pg.Column("length", "text"),
            pg.Column("twice", "integer", generated="id * 2"),
            *columns,
        ],
        constraints=constraints,
    )


def changed(column: pg.Column, *constraints: pg.Constraint) -> Callable[[], object]:
    return lambda: pg.table("t", [column], constraints=constraints)


def with_index(element: str) -> Callable[[], object]:
    def declared() -> None:
        table(pg.Column("n", "integer", default="0"))()
        pg.index("t_n", "t", [element], unique=True)

    return declared


def with_target(*rows: int) -> Callable[[], object]:
    def declared() -> None:
        pg.table("q", [pg.Column("id", "integer", primary_key=True)])
        pg.table("t", constraints=[pg.ForeignKey("id", references="q(id)")])
        if rows:
            pg.rows("q", [{"id": row} for row in rows], key="id")

    return declared


ZERO = pg.Column("n", "integer", default="0")
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a check of a new column": (
        table(ZERO, constraints=(pg.Check("n > 0"),)),
        "CHECK (n > 0) does not hold for 3 rows",
    ),
    "a check of a new column and an old one": (
        table(ZERO, constraints=(pg.Check("t.n + id <> 2"),)),
        "CHECK (t.n + id <> 2) does not hold for 1 row",
    ),
    "a check of a new column without a default": (
        table(pg.Column("n", "integer"), constraints=(pg.Check("n IS NOT NULL"),)),
        "does not hold for 3 rows",
    ),
    "a check of a new column with the default of its domain": (
        table(pg.Column("n", "positive"), constraints=(pg.Check("n <> 7"),)),
        "does not hold for 3 rows",
    ),
    "a check of a new generated column": (
        table(
            pg.Column("n", "integer", generated="id - 1"),
            constraints=(pg.Check("n > 0", name="n"),),
        ),
        "CONSTRAINT n CHECK (n > 0) does not hold for 1 row",
    ),
    "a check of a generated column over a new column": (
        lambda: pg.table(
            "t",
            [
                pg.Column("id", "integer"),
                pg.Column("twice", "integer", generated="id * 2"),
                pg.Column("m", "integer", default="2"),
                pg.Column("length", "text"),
                pg.Column("n", "integer", generated="id - m"),
            ],
            constraints=[pg.Check("n <> 0")],
        ),
        "does not hold for 1 row",
    ),
    "NOT NULL of a new generated column": (
        table(pg.Column("n", "integer", generated="nullif(id, 1)", nullable=False)),
        "NOT NULL of column n does not hold for 1 row",
    ),
    "a foreign key of a new column": (
        table(pg.Column("n", "integer", default="2", references="p(id)")),
        "does not hold for 3 rows, whose n is not in public.p",
    ),
    "a foreign key to a new column of the table itself": (
        table(
            pg.Column("n", "integer", generated="id - 1", unique=True),
            constraints=(pg.ForeignKey("id", references="t(n)"),),
        ),
        "does not hold for 1 row, whose id is not in public.t",
    ),
    "a unique constraint of a new column": (
        table(pg.Column("n", "integer", default="0", unique=True)),
        "does not hold for 3 rows, whose values others have too",
    ),
    "a unique index of a new column": (
        with_index("n"),
        "the unique index t_n does not hold for 3 rows",
    ),
    "a unique index over an expression of a new column": (
        with_index("(n + id / 2)"),
        "the unique index t_n does not hold for 2 rows",
    ),
    "an exclusion constraint": (
        changed(
            pg.Column("id", "integer"),
            pg.Exclude(("int4range(id, id + 2)", "&&"), where="id < 3"),
        ),
        "does not hold for 2 rows, which exclude each other",
    ),
    "an exclusion constraint of a new column": (
        table(
            pg.Column("n", "int4range", default="'[1,2]'"),
            constraints=(pg.Exclude(("n", "&&")),),
        ),
        "does not hold for 3 rows, which exclude each other",
    ),
    "a foreign key to a new table": (
        with_target(),
        "does not hold for 3 rows, whose id is not in public.q",
    ),
    "a check of what is computed otherwise": (
        changed(pg.Column("twice", "integer", generated="id - 1")),
        "CONSTRAINT even CHECK ((twice > 0)) does not hold for 1 row",
    ),
    "NOT NULL of what is computed otherwise": (
        changed(pg.Column("twice", "integer", generated="nullif(id, 2)", nullable=False)),
        "NOT NULL of column twice does not hold for 1 row",
    ),
    "NOT NULL of what is converted": (
        changed(pg.Column("length", "integer", using="char_length(length)", nullable=False)),
        "NOT NULL of column length does not hold for 1 row",
    ),
    "a unique constraint of what is converted": (
        changed(pg.Column("length", "integer", using="char_length(length)"), pg.Unique("length")),
        "does not hold for 2 rows, whose values others have too",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@one_version
def test_rows_stand_against_it(database: Database, case: str) -> None:
    database.psql(BEFORE)
    declared, reason = REFUSED[case]
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            declared()

    refused = run(database, deploy, dry=True, postgres_allow="t").refused()
    assert reason in refused.messages
    assert database.dump() == before


ACCEPTED: dict[str, Callable[[], object]] = {
    "an exclusion constraint": changed(
        pg.Column("id", "integer"), pg.Exclude(("int4range(id, id + 1)", "&&"))
    ),
    "a check that holds for the default": table(ZERO, constraints=(pg.Check("n = 0"),)),
    "a check of a new column that is null": table(
        pg.Column("n", "integer"), constraints=(pg.Check("n > 0"),)
    ),
    "a key of an identity": table(
        pg.Column("n", "bigint", identity="ALWAYS", primary_key=True),
    ),
    "a unique column that is null": table(pg.Column("n", "integer", unique=True)),
    "a unique column with other values in each row": table(
        pg.Column("n", "uuid", default="gen_random_uuid()", unique=True)
    ),
    "a foreign key of a new column": table(
        pg.Column("n", "integer", default="1", references="p(id)")
    ),
    "a foreign key to a new table, whose rows come after it": with_target(1, 2, 3),
    "what is computed otherwise": changed(pg.Column("twice", "integer", generated="id + 1")),
}


@pytest.mark.parametrize("case", ACCEPTED)
@one_version
def test_rows_fit(database: Database, case: str) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction():
            ACCEPTED[case]()

    run(database, deploy, postgres_allow="t").succeeded()
    assert run(database, deploy, dry=True, postgres_allow="t").succeeded().plan.changes == []


@one_version
def test_a_check_of_values_that_nobody_knows_ends_the_transaction(database: Database) -> None:
    database.psql(BEFORE)
    before = database.dump()
    column = pg.Column("n", "double precision", default="random()")
    deploy = table(column, constraints=(pg.Check("n > 2"),))
    failed = run(database, deploy, postgres_allow="t").refused()
    assert "Nothing of the transaction stays" in failed.messages
    assert database.dump() == before


@one_version
def test_a_column_of_a_partitioned_table_is_new_in_its_partitions(database: Database) -> None:
    database.psql("""
        CREATE TABLE log (id integer) PARTITION BY LIST (id);
        CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1);
        INSERT INTO log VALUES (1), (1);
    """)

    def deploy() -> None:
        with pg.transaction():
            pg.table("log", [pg.Column("id", "integer"), pg.Column("n", "integer", default="0")])
            pg.index("log_1_n", "log_1", ["n"], unique=True)

    assert "does not hold for 2 rows" in run(database, deploy, dry=True).refused().messages
