"""Phases: what breaks running clients waits for a run that does it by name."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import Outcome, run
from pyinfra_postgres.plan.plan import Hazard

Deploy = Callable[[], object]
pytestmark = one_version

SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id bigint PRIMARY KEY, mail text, name varchar(50));
INSERT INTO shop.customer SELECT g, g || '@x', 'n' || g FROM generate_series(1, 20) g;
CREATE INDEX customer_mail ON shop.customer (mail);
CREATE VIEW shop.old AS SELECT id FROM shop.customer;
CREATE FUNCTION shop.old_f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TYPE shop.state AS ENUM ('new', 'sent');
CREATE TABLE shop.orders (id bigint PRIMARY KEY, state shop.state DEFAULT 'new');
INSERT INTO shop.orders VALUES (1);
"""
ID = pg.Column("id", "bigint", primary_key=True)
NAME = pg.Column("name", "varchar(50)")


def expand_and_contract() -> None:
    """A column is taken over by another one, with a trigger that keeps both in step meanwhile."""
    with pg.transaction(exact=["columns", "triggers", "functions", "indexes"]):
        pg.schema("shop")
        pg.table("shop.customer", [ID, NAME, pg.Column("mail", "text"), pg.Column("email", "text")])
        pg.index("customer_mail", "shop.customer", ["mail"])
        pg.function(
            "shop.follow",
            returns="trigger",
            language="plpgsql",
            body="BEGIN NEW.email := coalesce(NEW.email, NEW.mail); RETURN NEW; END",
        )
        pg.trigger(
            "follow", "shop.customer", when="BEFORE INSERT OR UPDATE", function="shop.follow()"
        )
        pg.backfill("shop.customer", set={"email": "mail"}, where="email IS NULL", pause=0)
        with pg.transaction(phase="contract"):
            pg.table(
                "shop.customer",
                [pg.Column("mail", present=False), pg.Column("email", "text", nullable=False)],
            )
            pg.trigger("follow", "shop.customer", present=False)
            pg.function("shop.follow", present=False)
            pg.function("shop.old_f", present=False)


def kept_out() -> None:
    """The same, where the rest of the deploy says nothing of what goes."""
    with pg.transaction(exact=True):
        pg.schema("shop")
        pg.table("shop.customer", [ID, NAME])
        pg.enum("shop.state", ["new", "sent"])
        pg.table("shop.orders", [ID, pg.Column("state", "shop.state", default="'new'")])
        with pg.transaction(phase="contract"):
            pg.table("shop.customer", [pg.Column("mail", present=False)])
            pg.index("customer_mail", "shop.customer", present=False)
            pg.view("shop.old", present=False)
            pg.function("shop.old_f", present=False)


def other_names() -> None:
    """A table, a column and a label get other names."""
    with pg.transaction(exact=["columns", "indexes", "tables"]):
        pg.schema("shop")
        pg.table("shop.customer", [ID, NAME, pg.Column("mail", "text")])
        pg.index("customer_mail", "shop.customer", ["lower(mail)"])
        pg.enum("shop.state", ["new", "sent"])
        pg.table("shop.orders", [ID, pg.Column("state", "shop.state", default="'new'")])
        with pg.transaction(phase="contract"):
            pg.table(
                "shop.client", [pg.Column("email", "text", renamed_from="mail")],
                renamed_from="shop.customer",
            )  # fmt: skip
            pg.enum("shop.state", ["new", "shipped"], renamed={"sent": "shipped"})


def narrower() -> None:
    """A type, a default, row security, a privilege."""
    with pg.transaction():
        pg.role("phase_reader")
        pg.grant(["SELECT", "UPDATE"], on="TABLE shop.orders", to="phase_reader")
        pg.table("shop.customer", [ID, NAME, pg.Column("mail", "text")], row_security=False)
        pg.table("shop.orders", [ID, pg.Column("state", "shop.state", default="'new'")])
        with pg.transaction(phase="contract"):
            pg.table("shop.customer", [pg.Column("name", "varchar(20)")], row_security=True)
            pg.table("shop.orders", [pg.Column("state", "shop.state")])
            pg.grant("UPDATE", on="TABLE shop.orders", to="phase_reader", present=False)


DEPLOYS: dict[str, tuple[Deploy, set[Hazard]]] = {
    "a column is taken over": (
        expand_and_contract,
        {Hazard.DROPS, Hazard.RESTRICTS},
    ),
    "what goes is declared for the phase alone": (kept_out, {Hazard.DROPS}),
    "other names": (other_names, {Hazard.RENAMES}),
    "less than before": (
        narrower,
        {Hazard.RETYPES, Hazard.DROPS_DEFAULT, Hazard.ROW_SECURITY, Hazard.REVOKES},
    ),
}
ALLOWED: dict[str, Any] = {"postgres_allow": "shop.customer.mail,shop.customer,shop.customer.name"}
CONTRACT: dict[str, Any] = {"postgres_phase": "contract", **ALLOWED}


@pytest.fixture(autouse=True)
def shop(database: Database) -> None:
    database.psql(SETUP)


def unchanged(outcome: Outcome) -> str:
    assert outcome.succeeded().plan.changes == []
    return outcome.messages


@pytest.mark.parametrize("name", DEPLOYS)
def test_both_kinds_of_run_end_with_nothing_to_do(database: Database, name: str) -> None:
    deploy, hazards = DEPLOYS[name]
    columns = "SELECT table_name, column_name FROM information_schema.columns ORDER BY 1, 2"
    before = set(database.psql(columns).splitlines())
    dry = run(database, deploy, dry=True).succeeded()
    assert "waits for contract" in dry.messages
    for _, one in dry.plan.statements():
        assert not [each for each in one.hazards if each.breaks_clients], one.sql
    expanded = run(database, deploy).succeeded()
    (waiting,) = expanded.plan.waiting
    told = {each for _, one in waiting.plan.statements() for each in one.hazards}
    assert {one for one in told if one.breaks_clients} == hazards
    # Nothing that clients know is gone.
    assert before <= set(database.psql(columns).splitlines())

    said = unchanged(run(database, deploy, dry=True))
    assert "no changes in this run" in said
    between = database.dump()
    unchanged(run(database, deploy))
    assert database.dump() == between

    dry = run(database, deploy, dry=True, **CONTRACT).succeeded()
    assert dry.plan.changes
    contracted = run(database, deploy, **CONTRACT).succeeded()
    assert contracted.plan.waiting == []
    assert contracted.plan.changes
    after = database.dump()
    for data in ({}, CONTRACT):
        for is_dry in (True, False):
            outcome = run(database, deploy, dry=is_dry, **data)
            said = unchanged(outcome)
            assert outcome.plan.waiting == []
            assert "no changes" in said or not is_dry
            assert "in this run" not in said
    assert database.dump() == after


def test_what_goes_is_gone_then_and_not_before(database: Database) -> None:
    there = (
        "SELECT to_regclass('shop.old'), to_regclass('shop.customer_mail'), (SELECT count(*) FROM"
        " pg_attribute WHERE attrelid = 'shop.customer'::regclass AND attname = 'mail')"
    )
    outcome = run(database, kept_out).succeeded()
    assert outcome.plan.undeclared == [], "what goes later is declared for that"
    assert database.psql(there) == "shop.old|shop.customer_mail|1"
    run(database, kept_out, **CONTRACT).succeeded()
    assert database.psql(there) == "||0"


def test_an_empty_database_gets_the_shape_that_the_runs_declare(database: Database) -> None:
    database.psql("DROP SCHEMA shop CASCADE")
    run(database, expand_and_contract).succeeded()
    columns = (
        "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'shop.customer'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    assert database.psql(columns) == "id name mail email"
    run(database, expand_and_contract, **CONTRACT).succeeded()
    assert database.psql(columns) == "id name email"
    unchanged(run(database, expand_and_contract))
    database.psql("DROP SCHEMA shop CASCADE")
    run(database, expand_and_contract, **CONTRACT).succeeded()
    assert database.psql(columns) == "id name email"
    unchanged(run(database, expand_and_contract, **CONTRACT))


def test_contracting_first_is_refused_where_rows_stand_against_it(database: Database) -> None:
    outcome = run(database, expand_and_contract, dry=True, **CONTRACT).refused()
    assert "email is NOT NULL without a default, and the table has rows" in outcome.messages


def test_a_run_does_the_phases_that_it_names(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            with pg.transaction(phase="old-view"):
                pg.view("shop.old", present=False)
            with pg.transaction(phase="old-function"):
                pg.function("shop.old_f", present=False)

    first = run(database, deploy, dry=True).succeeded()
    assert "1 waits for old-view (view shop.old)" in first.messages
    assert "1 waits for old-function (function shop.old_f())" in first.messages
    one = run(database, deploy, postgres_phase="old-view").succeeded()
    assert [waiting.phase for waiting in one.plan.waiting] == ["old-function"]
    unchanged(run(database, deploy))
    both = run(database, deploy, postgres_phase="old-view, old-function").succeeded()
    assert both.plan.waiting == []


def test_a_block_of_its_own_may_say_what_no_other_says_otherwise(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("shop.customer", [ID, NAME])
        with pg.transaction(phase="contract"):
            pg.view("shop.old", present=False)

    run(database, deploy).succeeded()
    assert database.psql("SELECT to_regclass('shop.old')") == "shop.old"
    run(database, deploy, **CONTRACT).succeeded()
    assert database.psql("SELECT to_regclass('shop.old')") == ""
    unchanged(run(database, deploy))


@pytest.mark.parametrize("dry", [True, False])
def test_a_block_of_its_own_is_refused_where_another_says_otherwise(
    database: Database, dry: bool
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("shop.customer", [ID, NAME, pg.Column("mail", "text")])
        with pg.transaction(phase="contract"):
            pg.table("shop.customer", [pg.Column("mail", present=False)])

    before = database.dump()
    outcome = run(database, deploy, dry=dry, **ALLOWED).refused()
    assert "put that pg.transaction(phase='contract') into the block with this" in outcome.messages
    assert database.dump() == before


def test_a_phase_has_a_name(database: Database) -> None:
    def deploy(phase: Any) -> Deploy:
        def of() -> None:
            with pg.transaction(phase=phase):
                pg.view("shop.old", present=False)

        return of

    for wrong in ("", "a,b", 5, secrets.token_bytes(2)):
        said = run(database, deploy(wrong), dry=True).refused().messages
        assert "phase is a name like contract" in said


def test_a_phase_is_in_no_other_one(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction(phase="one"), pg.transaction(phase="two"):
            pg.view("shop.old", present=False)

    assert "is inside of phase='one'" in run(database, deploy, dry=True).refused().messages


def test_a_verification_beside_the_deploy_puts_nothing_against_it(database: Database) -> None:
    """What it plans once more is nobody's to send, what is for a phase among it."""

    def narrowing() -> None:
        with pg.transaction():
            pg.table("shop.customer", [ID, NAME, pg.Column("mail", "text")])
            with pg.transaction(phase="contract"):
                pg.table("shop.customer", [pg.Column("mail", present=False)])

    def deploy() -> None:
        narrowing()
        with pg.verification(deploy=narrowing):
            pg.check("There are customers", "SELECT count(*) FROM shop.customer", [(20,)])

    assert "APPROVED" in run(database, deploy).succeeded().messages
    run(
        database, deploy, postgres_phase="contract", postgres_allow="shop.customer.mail"
    ).succeeded()
    assert database.psql("SELECT count(*) FROM pg_attribute WHERE attname = 'mail'") == "0"


def test_a_phase_that_no_block_has_is_refused(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.schema("s")
            with pg.transaction(phase="contract"):
                pg.schema("gone", present=False)

    with database.untouched():
        said = run(database, deploy, postgres_phase="contarct").refused().messages
    assert "postgres_phase: no pg.transaction(phase=...) of this run is for contarct" in said
    assert "did you mean contract?" in said
    run(database, deploy, postgres_phase="contract").succeeded()


def test_a_phase_of_a_deploy_that_has_none_is_refused(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.schema("s")

    said = run(database, deploy, postgres_phase="contract").refused().messages
    assert "is for contract: leave it out" in said


def test_a_dry_run_tells_at_its_end_of_a_phase_that_no_block_has(
    project: Project, database: Database
) -> None:
    project.inventory({"one": database.dsn}, postgres_phase="contarct")
    project.deploy(
        """
        with pg.transaction():
            pg.schema("s")
        with pg.transaction(phase="contract"):
            pg.schema("gone", present=False)
        """
    )
    for options in ([], ["--diff"]):
        run = project.run("inventory.py", "deploy.py", "--dry", *options).succeeded()
        assert run.stdout.count("is for contarct: did you mean contract?") == 1
