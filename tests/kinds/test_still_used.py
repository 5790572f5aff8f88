"""What a plan changes may use what the plan removes, all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE DOMAIN d AS integer; CREATE TYPE e AS ENUM ('a'); CREATE TYPE c AS (x integer);
    CREATE TYPE r AS RANGE (subtype = integer);
    CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
    CREATE SEQUENCE s;
    CREATE TYPE pair AS (x d);
"""


def _no_function() -> None:
    pg.function("f", arguments="integer", present=False)


USED: dict[str, tuple[str, Callable[[], object]]] = {
    "a domain": ("d d", lambda: pg.domain("d", present=False)),
    "an enum": ("e e", lambda: pg.enum("e", present=False)),
    "a composite type": ("c c", lambda: pg.composite("c", present=False)),
    "a range type": ("r r", lambda: pg.range_type("r", present=False)),
    "an array": ("d e[]", lambda: pg.enum("e", present=False)),
    "a default": ("n integer DEFAULT f(1)", _no_function),
    "a generated column": (
        "n integer GENERATED ALWAYS AS (f(id)) STORED",
        _no_function,
    ),
    "a check": ("CHECK (f(id) > 0)", _no_function),
    "an exclusion": (
        "EXCLUDE USING btree (f(id) WITH =)",
        _no_function,
    ),
}


@pytest.mark.parametrize("name", USED)
@one_version
def test_what_a_changed_table_uses_stays(database: Database, name: str) -> None:
    element, remove = USED[name]
    database.psql(f"{BEFORE}; CREATE TABLE t (id integer, other integer, {element})")
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("other", "bigint")], comment="changed")
            remove()

    for dry in True, False:
        outcome = run(database, deploy, dry=dry, postgres_allow="t")
        assert outcome.failed
        assert "used by" in outcome.messages, outcome.messages
        assert "table public.t: remove or change that before" in outcome.messages
    assert database.dump() == before


@one_version
def test_what_a_changed_table_no_longer_uses_goes(database: Database) -> None:
    columns = "d d, e e, n integer DEFAULT f(1), CONSTRAINT k CHECK (f(n) > 0)"
    database.psql(f"{BEFORE}; CREATE TABLE t ({columns})")

    def deploy() -> None:
        with pg.transaction():
            pg.composite("pair", present=False)
            pg.table(
                "t",
                [
                    pg.Column("d", "integer"),
                    pg.Column("e", present=False),
                    pg.Column("n", "integer", default="2"),
                ],
                constraints=[pg.Check("n > 0", name="k")],
            )
            pg.domain("d", present=False)
            pg.enum("e", present=False)
            _no_function()

    run(database, deploy, postgres_allow="t,t.e").succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


@pytest.mark.parametrize("key", ["PRIMARY KEY", "UNIQUE"])
@pytest.mark.parametrize("table", ["t", "u"])
@one_version
def test_a_key_stays_as_long_as_a_foreign_key_stands_on_it(
    database: Database, key: str, table: str
) -> None:
    database.psql(f"""
        CREATE TABLE t (id integer, up integer, CONSTRAINT k {key} (id));
        CREATE TABLE u (up integer);
        ALTER TABLE {table} ADD CONSTRAINT up FOREIGN KEY (up) REFERENCES t (id);
    """)
    before = database.dump()
    absent = pg.Constraint(name="k", present=False)

    def deploy(*, both: bool) -> None:
        with pg.transaction():
            if both:
                pg.table(table, constraints=[pg.Constraint(name="up", present=False)])
            pg.table("t", constraints=[absent])

    for dry in True, False:
        outcome = run(database, partial(deploy, both=False), dry=dry)
        assert outcome.failed
        assert f"foreign key up of public.{table} stands on it" in outcome.messages
    assert database.dump() == before
    run(database, partial(deploy, both=True)).succeeded()
    assert run(database, partial(deploy, both=True), dry=True).succeeded().plan.changes == []


@one_version
def test_a_column_takes_no_nulls_while_a_partition_is_identified_by_it(database: Database) -> None:
    database.psql("""
        CREATE TABLE p (id integer NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (1) TO (9);
        CREATE UNIQUE INDEX i ON p_1 (id);
        ALTER TABLE p_1 REPLICA IDENTITY USING INDEX i;
    """)
    before = database.dump()
    for dry in True, False:
        outcome = run(database, partial(pg.table, "p", [pg.Column("id", "integer")]), dry=dry)
        assert outcome.failed
        assert "i is the replica identity of public.p_1" in outcome.messages
    assert database.dump() == before


@one_version
def test_a_table_stays_as_long_as_a_foreign_key_of_a_changed_one_refers_to_it(
    database: Database,
) -> None:
    database.psql("""
        CREATE TABLE t (id integer PRIMARY KEY);
        CREATE TABLE u (up integer CONSTRAINT up REFERENCES t, note text CONSTRAINT c CHECK (true));
    """)

    def deploy(*, both: bool) -> None:
        with pg.transaction():
            pg.table("t", present=False)
            names = ["c", "up"] if both else ["c"]
            gone = [pg.Constraint(name=name, present=False) for name in names]
            pg.table("u", constraints=gone)

    with database.untouched():
        outcome = run(database, partial(deploy, both=False)).refused()
    assert "it is used by constraint up on table public.u" in outcome.messages
    run(database, partial(deploy, both=True)).succeeded()


@one_version
def test_no_change_of_a_type_hides_that_a_foreign_key_can_not_follow(database: Database) -> None:
    database.psql("""
        CREATE DOMAIN small AS integer;
        CREATE TABLE t (id integer PRIMARY KEY, n small);
        CREATE TABLE u (up integer CONSTRAINT up REFERENCES t, n small);
    """)

    def deploy() -> None:
        with pg.transaction():
            pg.domain("small", "integer", checks=[pg.Check("VALUE < 500", name="bound")])
            pg.table("u", [pg.Column("up", "text")])

    with database.untouched():
        outcome = run(database, deploy).refused()
    assert 'foreign key constraint "up" cannot be implemented' in outcome.messages
