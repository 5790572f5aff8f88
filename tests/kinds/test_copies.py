"""What PostgreSQL has against a change of what exists is found before anything runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE TABLE p (id integer PRIMARY KEY);
    CREATE TABLE t (id integer, data json, at timestamptz, period int4range, sum text);
    INSERT INTO t VALUES (1);
    CREATE TABLE parts (id integer, k integer) PARTITION BY LIST (k);
    CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
    INSERT INTO parts VALUES (1, 1);
    CREATE DOMAIN d AS text;
    CREATE TABLE users (d d);
    INSERT INTO users VALUES ('a');
    CREATE POLICY p ON t USING (id > 0);
    CREATE INDEX t_id ON t (id) WHERE id > 0;
"""


def column(name: str, type_: str, **given: object) -> Callable[[], object]:
    return lambda: pg.table("t", [pg.Column(name, type_, **given)])  # type: ignore[arg-type]


def constraint(one: pg.Constraint, table: str = "t") -> Callable[[], object]:
    return lambda: pg.table(table, constraints=[one])


def checks(*those: str) -> Callable[[], object]:
    return lambda: pg.domain("d", "text", checks=those)


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "storage that a type can't have": (
        column("id", "integer", storage="external"),
        "column data type integer can only have storage PLAIN",
    ),
    "compression of a type that has none": (
        column("id", "integer", compression="pglz"),
        "column data type integer does not support compression",
    ),
    "storage of a new column": (
        column("n", "integer", storage="main"),
        "column data type integer can only have storage PLAIN",
    ),
    "an identity of a type that can't be one": (
        column("sum", "text", identity="ALWAYS", nullable=False),
        "identity column type must be smallint, integer, or bigint",
    ),
    "a generated column that is another one each time": (
        column("n", "timestamptz", generated="now() + (at - at)"),
        "generation expression is not immutable",
    ),
    "a collation of a type that has none": (
        column("n", "integer", collation="C"),
        "collations are not supported by type integer",
    ),
    "a check with a query": (
        constraint(pg.Check("id > (SELECT 0)")),
        "cannot use subquery in check constraint",
    ),
    "a check with a query, of new rows alone": (
        constraint(pg.Check("id > (SELECT 0)", validated=False)),
        "cannot use subquery in check constraint",
    ),
    "a check that counts": (
        constraint(pg.Check("count(id) > 0")),
        "aggregate functions are not allowed",
    ),
    "a unique constraint of a type without an order": (
        constraint(pg.Unique("data")),
        "data type json has no default operator class",
    ),
    "an exclusion constraint of another operator": (
        constraint(pg.Exclude(("period", "<<"), using="gist")),
        "operator <<(anyrange,anyrange) is not commutative",
    ),
    "a foreign key of another type": (
        constraint(pg.ForeignKey("sum", references="p(id)")),
        'Key columns "sum" of the referencing table and "id" of the referenced table are of '
        "incompatible types: text and integer",
    ),
    "a foreign key to the table itself of another type": (
        lambda: pg.table(
            "t",
            [pg.Column("id", "integer", unique=True), pg.Column("sum", "text")],
            constraints=[pg.ForeignKey("sum", references="t(id)")],
        ),
        "incompatible types: text and integer",
    ),
    "a key of a partitioned table without its partition key": (
        constraint(pg.Unique("id"), "parts"),
        "UNIQUE (id) lacks k, by which public.parts is partitioned",
    ),
    "a policy that counts": (
        lambda: pg.policy("p", "t", using="id > count(*)"),
        "aggregate functions are not allowed in WHERE (SQLSTATE 42803) in 'id > count(*)'",
    ),
    "an index of what is counted": (
        lambda: pg.index("t_id", "t", ["id"], where="id > count(*)"),
        "aggregate functions are not allowed in WHERE (SQLSTATE 42803) in 'id > count(*)'",
    ),
    "a check of a domain with a wrong name": (
        checks("VALU LIKE '%@%'"),
        'column "valu" does not exist',
    ),
    "a check of a domain with a query": (
        checks("value > (SELECT '')"),
        "cannot use subquery in check constraint",
    ),
}


@pytest.mark.parametrize("case", CASES)
@one_version
def test_postgresql_refuses_it_beforehand(database: Database, case: str) -> None:
    database.psql(BEFORE)
    declared, reason = CASES[case]
    before = database.dump()
    with database.watch() as seen:
        refused = run(database, declared, dry=True, postgres_allow="t,parts").refused()
    assert reason in refused.messages
    assert database.dump() == before
    assert not [one for one in seen.statements if "ALTER TABLE public." in one]


@one_version
def test_what_the_plan_brings_is_not_missing(database: Database) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction():
            pg.enum("mood", ["sad", "happy"])
            pg.function(
                "f",
                arguments="integer",
                returns="boolean",
                body="SELECT $1 > 0",
                language="sql",
            )
            pg.table(
                "t",
                [pg.Column("id", "integer"), pg.Column("mood", "mood", default="'sad'")],
                constraints=[pg.Check("f(id)"), pg.Check("mood <> 'happy'")],
            )

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


@one_version
def test_a_row_as_one_value_is_not_taken_for_an_unknown_type(database: Database) -> None:
    database.psql("""
        CREATE TABLE t (id integer);
        CREATE FUNCTION ok(t) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.id > 0';
    """)

    def deploy() -> None:
        checks = [pg.Check("ok(t)", name="one"), pg.Check("ok(t.*)", name="two")]
        pg.table("t", [pg.Column("id", "bigint")], constraints=checks[:1])
        pg.table("t", [pg.Column("id", "bigint")], constraints=checks[1:])

    database.psql("ALTER TABLE t ALTER id TYPE bigint")
    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


@pytest.mark.parametrize("filled", [False, True])
@one_version
def test_two_operations_change_one_key_and_then_more(database: Database, filled: bool) -> None:
    database.psql(
        "CREATE TABLE t (a integer NOT NULL, b integer NOT NULL, CONSTRAINT k UNIQUE (a))"
    )
    database.psql("INSERT INTO t VALUES (1, 1)" if filled else "SELECT 1")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", constraints=[pg.Unique("a", "b", name="k")])
            pg.table("t", constraints=[pg.Check("a > 0", name="c")])
            pg.table("t", constraints=[pg.Unique("a", "b", name="k"), pg.Check("b > 0", name="d")])

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


@pytest.mark.parametrize("renamed", ["type", "table"])
@one_version
def test_a_change_beside_a_rename_is_tried_too(database: Database, renamed: str) -> None:
    database.psql(
        "CREATE TYPE mood AS ENUM ('calm'); CREATE TABLE farm (id integer PRIMARY KEY); "
        "CREATE TABLE child (m mood, farm integer CONSTRAINT child_farm REFERENCES farm)"
    )
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            if renamed == "type":
                pg.enum("temper", ["calm"], renamed_from="mood")
                pg.table("child", [pg.Column("farm", "text")])
            else:
                column = pg.Column("of_farm", "text", renamed_from="farm")
                pg.table("kid", [column], renamed_from="child")

    for dry in True, False:
        (problem,) = run(database, deploy, dry=dry).refused().plan.problems()
        assert 'foreign key constraint "child_farm" cannot be implemented' in problem
    assert database.dump() == before


@one_version
def test_a_body_names_a_table_that_gets_the_name_in_the_same_block(database: Database) -> None:
    database.psql("""
        CREATE TABLE farm (id integer);
        CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM farm';
    """)

    def deploy() -> None:
        with pg.transaction():
            pg.table("farms", [pg.Column("id", "integer")], renamed_from="farm")
            pg.function("f", returns="bigint", body="SELECT count(*) FROM farms")

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
