"""Checks and foreign keys with `validated=False`: for new rows, whatever those before say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.plan.plan import Hazard, Stage

ROWS = """
    CREATE TABLE parent (id integer PRIMARY KEY);
    CREATE TABLE t (id integer, parent_id integer);
    INSERT INTO t VALUES (-1, 7);
    CREATE DOMAIN d AS integer;
    CREATE TABLE users (d d, several d[]);
    INSERT INTO users VALUES (-1, '{-1}');
"""
BOTH = """pg.table("t", constraints=[
    pg.Check("id > 0", name="c", validated={validated}),
    pg.ForeignKey("parent_id", references="parent", validated={validated})])
"""
DOMAIN = "pg.domain('d', 'int', checks=pg.Check('value > 0', validated={validated}))\n"
VALID = """
    SELECT coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname,
           convalidated
      FROM pg_constraint WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace
     ORDER BY 1, 2"""


def test_rows_that_are_there_stay_unread_until_they_are_to_be_read(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(ROWS)
    deploy.apply(BOTH.format(validated=False) + DOMAIN.format(validated=False))
    assert database.rows(VALID) == [
        ("d", "d_check", "f"),
        ("t", "c", "f"),
        ("t", "t_parent_id_fkey", "f"),
    ]
    assert "23514" in database.error("INSERT INTO t VALUES (-2, NULL)")
    assert "23503" in database.error("INSERT INTO t VALUES (2, 8)")
    assert "23514" in database.error("INSERT INTO users VALUES (-2)")
    declared = BOTH.format(validated=True)
    refused = deploy.run(declared).failed().output
    assert "CONSTRAINT c CHECK ((id > 0)) does not hold for 1 row" in refused
    database.psql("INSERT INTO parent VALUES (7); UPDATE t SET id = 1")
    with database.watch() as seen:
        deploy.apply(declared)
    changes = [one for one in seen.statements if one.startswith("ALTER TABLE")]
    assert changes == [
        "ALTER TABLE public.t VALIDATE CONSTRAINT c",
        "ALTER TABLE public.t VALIDATE CONSTRAINT t_parent_id_fkey",
    ]
    database.psql("ALTER TABLE users DROP several; UPDATE users SET d = 1")
    deploy.apply(DOMAIN.format(validated=True))
    assert {valid for *_, valid in database.rows(VALID)} == {"t"}


@one_version
def test_what_is_valid_stays_valid(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(ROWS + "TRUNCATE t; ALTER TABLE users DROP several; UPDATE users SET d = 1")
    deploy.apply(BOTH.format(validated=True) + DOMAIN.format(validated=True))
    found = database.rows(VALID)
    assert {valid for *_, valid in found} == {"t"}
    deploy.apply(BOTH.format(validated=False) + DOMAIN.format(validated=False))
    # It gets another name, and is still valid.
    deploy.apply("pg.table('t', constraints=[pg.Check('id > 0', name='e', validated=False)])")
    assert ("t", "e", "t") in database.rows(VALID)


def test_what_is_created_with_its_table_or_domain_is_valid(deploy: Deploy) -> None:
    deploy.apply(
        """
        own = pg.ForeignKey("b", references="t(a)", name="f", validated=False)
        check = pg.Check("a > 0", name="c", validated=False)
        columns = [pg.Column("a", "integer", primary_key=True), pg.Column("b", "integer")]
        pg.table("t", columns, constraints=[check, own])
        pg.table("parts", columns, constraints=[check, own], partition_by="LIST (a)")
        pg.domain("d", "integer", checks=pg.Check("value > 0", validated=False))
        """
    )
    assert {valid for *_, valid in deploy.database.rows(VALID)} == {"t"}


@one_version
def test_a_plan_says_what_is_not_validated(database: Database) -> None:
    database.psql(ROWS)

    def deploy() -> None:
        pg.table("t", constraints=[pg.Check("id > 0", name="c", validated=False)])
        pg.table("new", [pg.Column("a", "integer")], constraints=[pg.Check("a > 0", name="c",
                 validated=False)])  # fmt: skip

    plan = run(database, deploy, dry=True).succeeded().plan
    added, created = (change.statements for change in plan.changes)
    assert [one.sql for one in added] == [
        "ALTER TABLE public.t ADD CONSTRAINT c CHECK (id > 0) NOT VALID"
    ]
    assert [one.hazards for one in added] == [(Hazard.RESTRICTS,)]
    assert "NOT VALID" not in created[0].sql


PARTITIONED = """
    CREATE TABLE parent (id integer PRIMARY KEY);
    CREATE TABLE parts (id integer) PARTITION BY LIST (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
    INSERT INTO parts VALUES (1);
"""


def test_a_partitioned_table_has_such_a_check_and_from_18_on_such_a_key(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(PARTITIONED)
    deploy.apply("pg.table('parts', constraints=[pg.Check('id > 1', name='c', validated=False)])")
    key = """
        pg.table("{table}", constraints=[
            pg.ForeignKey("id", references="parent", name="f", validated=False)])
        """
    if database.server.version < 18:
        dump = database.dump()
        refused = deploy.run(key.format(table="parts")).failed().output
        assert "can't be with validated=False: public.parts is partitioned" in refused
        assert database.dump() == dump
        deploy.apply(key.format(table="part"))
        return
    deploy.apply(key.format(table="parts"))
    assert {row for row in database.rows(VALID) if row[1] == "f"} == {
        ("part", "f", "f"), ("parts", "f", "f"),
    }  # fmt: skip
    database.psql("INSERT INTO parent VALUES (1)")
    deploy.apply(key.format(table="parts").replace(", validated=False", ""))
    assert {row for row in database.rows(VALID) if row[1] == "f"} == {
        ("part", "f", "t"), ("parts", "f", "t"),
    }  # fmt: skip


@one_version
def test_a_table_becomes_a_partition_with_rows_that_are_against_it(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(PARTITIONED + "CREATE TABLE other (id integer); INSERT INTO other VALUES (-2)")
    deploy.apply(
        """
        with pg.transaction():
            pg.table("parts", constraints=[pg.Check("id > 1", name="c", validated=False)])
            pg.partition("other", "parts", "FOR VALUES IN (-2)")
        """
    )
    assert [row for row in database.rows(VALID) if row[0] != "parent"] == [
        ("other", "c", "f"), ("part", "c", "f"), ("parts", "c", "f"),
    ]  # fmt: skip


@one_version
def test_another_definition_is_for_new_rows_too(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        ROWS + "ALTER TABLE t ADD CONSTRAINT c CHECK (id < 5);"
        "ALTER DOMAIN d ADD CONSTRAINT d_check CHECK (value < 5) NOT VALID"
    )
    deploy.apply(BOTH.format(validated=False) + DOMAIN.format(validated=False))
    assert ("t", "c", "f") in database.rows(VALID)
    assert database.psql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c'"
                         ) == "CHECK ((id > 0)) NOT VALID"  # fmt: skip


@one_version
def test_a_key_that_a_dead_run_owes_its_validation_gets_it(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        ROWS + "DELETE FROM t; INSERT INTO t VALUES (1, NULL);"
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (parent_id) REFERENCES parent NOT VALID;"
        "COMMENT ON CONSTRAINT f ON t IS '(put back, still to be validated)'"
    )
    deploy.apply(
        """
        pg.table("t", constraints=[
            pg.ForeignKey("parent_id", references="parent", name="f", validated=False)])
        """
    )
    assert ("t", "f", "t") in database.rows(VALID)
    comment = "SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'f'"
    assert database.psql(comment) == ""


@one_version
def test_two_operations_of_a_run_may_say_it_differently(database: Database) -> None:
    database.psql(ROWS + "UPDATE t SET id = 1")

    def deploy(*validated: bool) -> Callable[[], None]:
        def declare() -> None:
            with pg.transaction():
                for one in validated:
                    pg.table("t", constraints=[pg.Check("id > 0", name="c", validated=one)])

        return declare

    plan = run(database, deploy(False, True)).succeeded().plan
    assert [one.sql.removeprefix("ALTER TABLE public.t ") for _, one in plan.of(Stage.AFTER)] == [
        "VALIDATE CONSTRAINT c"
    ]
    for order in ((False, True), (True, False)):
        assert run(database, deploy(*order)).succeeded().plan.changes == []


@pytest.mark.parametrize("kind", ["Check", "ForeignKey"])
def test_validated_is_true_or_false(kind: str) -> None:
    given = {"Check": ("a > 0", {}), "ForeignKey": ("a", {"references": "o(a)"})}
    text, keywords = given[kind]
    with pytest.raises(DeclarationError, match="validated is True or False, not 'no'"):
        getattr(pg, kind)(text, validated="no", **keywords)
