"""What is there and no operation declares: told at the end of the block, and left as it is."""

from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import run

pytestmark = one_version

SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.job (
  id bigint PRIMARY KEY, state text, note text, CONSTRAINT short CHECK (length(note) < 100));
CREATE INDEX job_note ON shop.job (note);
CREATE POLICY everybody ON shop.job USING (true);
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON shop.job FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE STATISTICS shop.pair ON state, note FROM shop.job;
CREATE TABLE shop.old_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at serial);
CREATE VIEW shop.latest AS SELECT max(id) FROM shop.job;
CREATE TYPE shop.mood AS ENUM ('ok');
CREATE DOMAIN shop.short AS text;
CREATE SEQUENCE shop.free;
CREATE TABLE tmp_import (id integer);
CREATE ROLE {role}; CREATE ROLE {other};
GRANT SELECT, INSERT ON shop.job TO {role};
GRANT SELECT, UPDATE (state) ON shop.job TO {other};
"""
JOB = [pg.Column("id", "bigint", primary_key=True), pg.Column("state", "text")]


@pytest.fixture
def roles(project: Project, database: Database) -> dict[str, str]:
    stem = secrets.token_hex(3)
    names = {"role": f"r_{stem}", "other": f"o_{stem}"}
    database.psql(SETUP.format(**names))
    project.inventory({"db": database.dsn})
    return names


def test_all_that_belongs_to_a_declared_table_and_schema_is_found(
    database: Database, roles: dict[str, str]
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.schema("shop")
            pg.table("shop.job", JOB)
            pg.grant("INSERT", on="shop.job", to=roles["role"])

    before = database.dump()
    outcome = run(database, deploy).succeeded()
    assert [(one.within, one.title) for one in outcome.plan.undeclared] == [
        ("schema shop", "table shop.old_log"),
        ("schema shop", "view shop.latest"),
        ("schema shop", "function shop.touch()"),
        ("schema shop", "enum shop.mood"),
        ("schema shop", "domain shop.short"),
        ("schema shop", "sequence shop.free"),
        ("table shop.job", f"grant on TABLE shop.job to {roles['other']}"),
        ("table shop.job", f"grant on TABLE shop.job to {roles['role']}"),
        ("table shop.job", "column shop.job.note"),
        ("table shop.job", "constraint shop.job.short"),
        ("table shop.job", "index shop.job_note"),
        ("table shop.job", "statistics shop.pair"),
        ("table shop.job", "trigger touched on shop.job"),
        ("table shop.job", "policy everybody on shop.job"),
    ]
    assert outcome.plan.undeclared[7].definition == "SELECT"
    assert not outcome.plan.changes
    assert database.dump() == before


def test_the_dry_run_shows_it_under_what_it_belongs_to(
    project: Project, roles: dict[str, str]
) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.schema("shop")
            pg.table("shop.job", [
                pg.Column("id", "bigint", primary_key=True), pg.Column("state", "text")])
        """
    )
    shown = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "table shop.job   undeclared, left as it is\n" in shown
    assert "        index shop.job_note   btree (note)\n" in shown
    assert "        column shop.job.note   note text\n" in shown
    assert "        view shop.latest   SELECT " in shown
    assert "        function shop.touch()   () returns trigger, language plpgsql, " in shown
    assert "no changes, 14 undeclared (shop.old_log, view shop.latest, " in shown
    assert "function shop.touch(), and 11 more)" in shown
    assert roles
    assert "no changes, 14 undeclared" in project.run().succeeded().output


def test_what_is_declared_anywhere_in_the_run_is_not_undeclared(
    database: Database, roles: dict[str, str]
) -> None:
    """Under its own name or another, by a later block, or by an operation of its own."""

    def deploy() -> None:
        with pg.transaction():
            pg.table("shop.job", JOB)
            pg.table("shop.job", constraints=[pg.Check("length(note) < 100")], name="check")
            pg.grant(["SELECT", "INSERT"], on="shop.job", to=roles["role"])
            pg.grant("SELECT, UPDATE (state)", on="shop.job", to=roles["other"])
        with pg.transaction():
            pg.index("job_note", "shop.job", ["note"])
            pg.table("shop.job", [pg.Column("note", "text")], name="column")
            pg.policy("everybody", "shop.job", using="true")
        pg.trigger("touched", "shop.job", when="BEFORE UPDATE", function="shop.touch()")
        pg.statistics("shop.pair", "shop.job", ["state", "note"])

    # What is said here is said while executing, when the whole deploy has been read.
    assert "undeclared" not in run(database, deploy).succeeded().messages


def test_owners_defaults_and_platforms_are_left_out(
    database: Database, roles: dict[str, str]
) -> None:
    database.psql(
        """
        CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE t (id serial PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY);
        GRANT SELECT ON t TO postgres;
        CREATE ROLE rds_superuser; GRANT SELECT ON t TO rds_superuser;
        CREATE EXTENSION vector; CREATE TYPE theirs AS ENUM ('a'); CREATE TABLE model (id integer);
        ALTER EXTENSION vector ADD TYPE theirs; ALTER EXTENSION vector ADD TABLE model;
        """
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("public")
            pg.function("f", returns="integer", body="SELECT 1")
            columns = [
                pg.Column("id", "serial", primary_key=True),
                pg.Column("n", "integer", identity="ALWAYS"),
            ]
            pg.table("t", columns)

    outcome = run(database, deploy).succeeded()
    assert [one.title for one in outcome.plan.undeclared] == ["table public.tmp_import"]
    assert roles


def test_only_beside_a_table_nothing_else_of_it_is_looked_at(
    database: Database, roles: dict[str, str]
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("shop.job", row_security=True)
            pg.index("job_note", "shop.job", ["note"])

    assert run(database, deploy).succeeded().plan.undeclared == []
    assert roles


def test_partitions_that_other_days_have_made_are_not_undeclared(database: Database) -> None:
    database.psql(
        """
        CREATE TABLE log (at date) PARTITION BY RANGE (at);
        CREATE TABLE log_2020_01 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
        CREATE TABLE log_by_hand PARTITION OF log FOR VALUES FROM ('2021-01-01') TO ('2021-01-09');
        CREATE TABLE log_2025_11 PARTITION OF log FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');
        """
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("public")
            pg.table("log", [pg.Column("at", "date")], partition_by="RANGE (at)")
            pg.partitions("log", every="month", start="2025-11", ahead=0)

    outcome = run(database, deploy, postgres_today="2025-11-06").succeeded()
    assert [one.title for one in outcome.plan.undeclared] == ["partition public.log_by_hand"]


def test_what_a_plan_removes_or_creates_is_not_undeclared(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer); CREATE INDEX gone ON t (id)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer"), pg.Column("new", "text", unique=True)])
            pg.index("gone", "t", present=False)
            pg.index("made", "t", ["new"])

    assert run(database, deploy).succeeded().plan.undeclared == []


def test_of_many_of_a_kind_the_first_few_are_shown(database: Database, project: Project) -> None:
    database.psql(
        "CREATE TABLE t (id integer); DO $$ BEGIN FOR i IN 1..300 LOOP "
        "EXECUTE format('CREATE INDEX i%s ON t (id)', i); END LOOP; END $$"
    )
    project.inventory({"db": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer")])
        """
    )
    shown = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "no changes, 300 undeclared (index public.i1, index public.i10, " in shown
    assert "... and 290 more of kind index\n" in shown
    assert shown.count("index public.i") == 13


def test_a_dry_run_counts_it_at_its_end(project: Project, database: Database) -> None:
    """Of what a later block declares it knows by then."""
    database.psql("CREATE SCHEMA shop; CREATE TABLE shop.old (id int); CREATE TABLE shop.t (a int)")
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        with pg.transaction():
            pg.schema("shop")
        pg.table("shop.t", [pg.Column("a", "int")])
        """
    )
    dry = project.run("inventory.py", "deploy.py", "--dry").succeeded().stdout
    assert "[@postgres/one] 1 undeclared (shop.old)" in dry
    assert dry.count("undeclared") == 1
    real = project.run().succeeded().output
    assert real.count("1 undeclared (shop.old)") == 1
