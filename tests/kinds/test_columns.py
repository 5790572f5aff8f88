"""Columns: defaults of arrays, and what stands against taking nulls."""

from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

ARRAY = "array['a', 'b']"


@pytest.mark.parametrize("type_", ["varchar[]", "varchar(3)[]", "text[]", "char(2)[]", "words"])
@one_version
def test_an_array_of_literals_is_as_declared(database: Database, type_: str) -> None:
    domain = f"CREATE DOMAIN words AS varchar[] DEFAULT {ARRAY}"
    database.psql(f"{domain}; CREATE TABLE t (a {type_} DEFAULT {ARRAY})")
    given = ARRAY

    def deploy() -> None:
        with pg.transaction():
            pg.domain("words", "varchar[]", default=ARRAY)
            pg.table(
                "t",
                [
                    pg.Column("a", type_, default=given),
                    pg.Column("b", type_, generated="array['a', 'b']"),
                ],
            )

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
    given = "array['a', 'c']"
    assert len(run(database, deploy, dry=True).succeeded().plan.changes) == 1


CLASS = """
    CREATE SCHEMA ext;
    CREATE FUNCTION ext.h(box) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE OPERATOR CLASS ext.box_ops DEFAULT FOR TYPE box USING hash
        AS OPERATOR 1 ~=, FUNCTION 1 ext.h(box);
    CREATE TABLE t (b box, CONSTRAINT e EXCLUDE USING hash (b WITH ~=));
    CREATE INDEX t_b ON t USING hash (b);
"""


@one_version
def test_a_default_operator_class_may_be_named_with_its_schema(database: Database) -> None:
    database.psql(CLASS)

    def deploy() -> None:
        with pg.transaction():
            exclude = pg.Exclude(("b ext.box_ops", "~="), using="hash", name="e")
            pg.table("t", constraints=[exclude])
            pg.index("t_b", "t", ["b ext.box_ops"], method="hash")

    assert run(database, deploy, dry=True).succeeded().plan.changes == []


K = "k integer NOT NULL"
PARTITION = f"CREATE TABLE p ({K}) PARTITION BY LIST (k); CREATE TABLE c PARTITION OF p DEFAULT"
STRICT: dict[str, tuple[str, str]] = {
    "a partition": (PARTITION, "its column k is NOT NULL in public.p, from which it inherits"),
    "an heir": (
        f"CREATE TABLE p ({K}); CREATE TABLE c () INHERITS (p)",
        "its column k is NOT NULL in public.p, from which it inherits",
    ),
    "a replica identity": (
        f"CREATE TABLE c ({K}); CREATE UNIQUE INDEX u ON c (k); "
        "ALTER TABLE c REPLICA IDENTITY USING INDEX u",
        "u is the replica identity of public.c",
    ),
    "a key that is one": (
        f"CREATE TABLE c ({K} CONSTRAINT u UNIQUE); ALTER TABLE c REPLICA IDENTITY USING INDEX u",
        "u is the replica identity of public.c",
    ),
}


@pytest.mark.parametrize("case", STRICT)
@one_version
def test_a_column_that_has_to_be_not_null_stays_so(database: Database, case: str) -> None:
    before, reason = STRICT[case]
    database.psql(before)
    refused = run(database, lambda: pg.table("c", [pg.Column("k", "integer")]), dry=True).refused()
    assert reason in refused.messages


@one_version
def test_a_column_takes_nulls_with_the_one_above(database: Database) -> None:
    database.psql(PARTITION)

    def deploy() -> None:
        with pg.transaction():
            pg.table("p", [pg.Column("k", "integer")])
            pg.table("c", [pg.Column("k", "integer")])

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


@pytest.mark.parametrize(
    ("type_", "one", "other"),
    [("integer", 1, "1"), ("integer", "1", "01"), ("text", 1, "1"), ("numeric", "1.0", "1.00")],
)
@pytest.mark.parametrize("is_new", [False, True])
@one_version
def test_two_rows_of_one_key_are_refused(
    database: Database, type_: str, one: object, other: object, is_new: bool
) -> None:
    if not is_new:
        database.psql(f"CREATE TABLE t (id {type_} PRIMARY KEY)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("id", type_, primary_key=True)])
            pg.rows("t", [{"id": one}, {"id": 7}, {"id": other}], key="id")

    refused = run(database, deploy, dry=True).refused()
    assert f"these rows have one key: id={one}, id={other}" in refused.messages


@one_version
def test_an_error_belongs_to_the_operation_that_has_it(database: Database) -> None:
    database.psql("""
        CREATE TABLE t (id integer, CONSTRAINT c CHECK (id > 0));
        CREATE TABLE u (id text, CONSTRAINT c CHECK (id > '0'));
        CREATE VIEW v AS SELECT id FROM t;
    """)

    def deploy() -> None:
        with pg.transaction():
            for name, type_ in (("t", "integer"), ("u", "text")):
                pg.table(
                    name,
                    [pg.Column("id", type_)],
                    constraints=[pg.Check("-id < 0", name="c")],
                )
            pg.view("v", "SELECT id,\n       count(*) AS n\n  FROM t")

    refusals = run(database, deploy, dry=True).refused().plan.refusals
    assert [one.title for one in refusals] == ["table public.u", "view public.v"]
    assert "operator does not exist: - text" in refusals[0].reason
    assert "must appear in the GROUP BY clause" in refusals[1].reason


CHECKED = """
    CREATE TABLE t (
        a integer,
        v integer GENERATED ALWAYS AS (a * 2) VIRTUAL,
        CONSTRAINT ap CHECK (a > 0)
    );
"""


@pytest.mark.parametrize("server", ["18"], indirect=True)
def test_what_is_computed_when_read_is_not_changed_beside_checks(database: Database) -> None:
    database.psql(CHECKED)
    columns = [
        pg.Column("a", "integer"),
        pg.Column("v", "integer", generated="a * 3", virtual=True),
    ]
    refused = run(database, lambda: pg.table("t", columns), dry=True).refused()
    assert "does not change in a table with checks (ap)" in refused.messages

    def deploy() -> None:
        absent = pg.Constraint(name="ap", present=False)
        pg.table("t", columns, constraints=[absent])

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
