"""In one block the order of operations does not matter: what lets go comes before what goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

Declare = Callable[[], object]

CASES: dict[str, tuple[str, Sequence[Declare]]] = {
    "a key and its column, and the column that refers to it": (
        """CREATE TABLE parent (id integer PRIMARY KEY, code text UNIQUE);
        CREATE TABLE child (id integer, code text REFERENCES parent (code))""",
        [
            lambda: pg.table("parent", [pg.Column("code", present=False)]),
            lambda: pg.table("child", [pg.Column("code", present=False)]),
        ],
    ),
    "a key and its column, and the table that refers to it": (
        """CREATE TABLE parent (id integer PRIMARY KEY, code text UNIQUE);
        CREATE TABLE child (id integer, code text REFERENCES parent (code))""",
        [
            lambda: pg.table("parent", [pg.Column("code", present=False)]),
            lambda: pg.table("child", present=False),
        ],
    ),
    "a view that turns from a column that goes to one that comes": (
        "CREATE TABLE t (a integer); CREATE VIEW v AS SELECT a AS n FROM t",
        [
            lambda: pg.table("t", [pg.Column("a", present=False), pg.Column("b", "integer")]),
            lambda: pg.view("v", "SELECT b AS n FROM t"),
        ],
    ),
    "a column, its default, and the function of that": (
        """CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE t (id integer, a integer DEFAULT f()); CREATE VIEW v AS SELECT a FROM t""",
        [
            lambda: pg.function("f", present=False),
            lambda: pg.table("t", [pg.Column("a", present=False)]),
            lambda: pg.view("v", present=False),
        ],
    ),
    "a label that goes, the index on it, and a column of the type": (
        """CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t (id integer, x e, y e);
        CREATE INDEX i ON t (id) WHERE x = 'b'; CREATE VIEW v AS SELECT x, y FROM t""",
        [
            lambda: pg.enum("e", ["a"], exact=True),
            lambda: pg.index("i", "t", present=False),
            lambda: pg.table("t", [pg.Column("y", present=False)], comment="x alone"),
            lambda: pg.view("v", "SELECT x FROM t"),
        ],
    ),
    "a computed column, what it is computed from, and what shows both": (
        """CREATE TABLE t (id integer, a integer, g integer GENERATED ALWAYS AS (a * 2) STORED);
        CREATE VIEW v AS SELECT id, g FROM t; CREATE VIEW w AS SELECT id, a FROM t""",
        [
            lambda: pg.table("t", [pg.Column("a", present=False), pg.Column("g", present=False)]),
            lambda: pg.view("v", "SELECT id FROM t"),
            lambda: pg.view("w", present=False),
        ],
    ),
    "a partition that goes, and an index and a check of its whole": (
        """CREATE TABLE p (id integer, at date) PARTITION BY RANGE (at);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
            PARTITION BY LIST (id);
        CREATE TABLE p_1_a PARTITION OF p_1 FOR VALUES IN (1);
        CREATE TABLE p_1_b PARTITION OF p_1 FOR VALUES IN (2);
        INSERT INTO p VALUES (1, '2025-02-02')""",
        [
            lambda: pg.index("p_id", "p", ["id"]),
            lambda: pg.table("p", constraints=[pg.Check("id > 0", name="over")]),
            lambda: pg.partition("p_1_b", "p_1", present=False),
        ],
    ),
    "a table that gives its name away, and what gets it": (
        "CREATE TABLE t (id integer); CREATE VIEW v AS SELECT id FROM t",
        [
            lambda: pg.table("t_old", renamed_from="t"),
            lambda: pg.view("v", "SELECT id FROM t_old WHERE id > 0"),
            lambda: pg.index("i", "t_old", ["id"]),
        ],
    ),
}
ORDERS = [
    pytest.param(name, order, id=f"{name}, {''.join(map(str, order))}")
    for name, (_, several) in CASES.items()
    for order in [*permutations(range(len(several)))][:: 5 if len(several) > 3 else 1]
]


@pytest.mark.parametrize(("name", "order"), ORDERS)
@one_version
def test_any_order_applies(database: Database, name: str, order: Sequence[int]) -> None:
    before, several = CASES[name]
    database.psql(before)

    def deploy() -> None:
        with pg.transaction():
            for place in order:
                several[place]()

    allowed = ["t", "t.a", "t.y", "parent.code", "child", "child.code"]
    run(database, deploy, postgres_allow=allowed).succeeded()
    again = run(database, deploy, dry=True).succeeded().plan
    assert (again.changes, list(again.problems())) == ([], [])


@pytest.mark.parametrize("is_first", [True, False])
@one_version
def test_a_script_finds_the_column_that_goes(database: Database, is_first: bool) -> None:
    database.psql("CREATE TABLE t (a integer, b integer); INSERT INTO t VALUES (7)")

    def table() -> None:
        pg.table("t", [pg.Column("a", present=False), pg.Column("c", "integer")])

    def deploy() -> None:
        with pg.transaction():
            for each in (table, script) if is_first else (script, table):
                each()

    def script() -> None:
        pg.sql("UPDATE t SET b = a")

    run(database, deploy, postgres_allow=["t.a"]).succeeded()
    assert database.rows("SELECT b FROM t") == [("7",)]
