"""Taking back what a deploy has changed: `pyinfra-postgres undo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Outcome, run
from pyinfra_postgres.operations.undoing import undo
from pyinfra_postgres.plan import document

SCHEMA = Path(document.__file__).with_name("plan.schema.json")
ON: dict[str, Any] = {"postgres_history": True}
TABLE = pg.Table("t", [pg.Column("id", "bigint", primary_key=True), pg.Column("name", "text")])


def deployed(database: Database, *declarations: Any, **data: Any) -> str:
    """Deploy objects in one block, and return the name of the run."""

    def deploy() -> None:
        with pg.transaction():
            pg.objects(list(declarations))

    run(database, deploy, **{**ON, **data}).succeeded()
    return last(database)


def last(database: Database) -> str:
    return database.psql(
        "SELECT run FROM pyinfra_postgres.deploy ORDER BY started_at DESC, block DESC LIMIT 1"
    )


def undone(database: Database, name: str, *, dry: bool = False, **data: Any) -> Outcome:
    return run(database, lambda: undo(name), dry=dry, **{**ON, **data})


def started(database: Database) -> str:
    """A database with a history, and how it is dumped."""
    deployed(database, pg.Schema("first"))
    return database.dump()


def test_what_a_deploy_has_changed_is_taken_back(database: Database) -> None:
    before = started(database)
    name = deployed(database, pg.Schema("shop"), TABLE, pg.Index("i", "t", ["name"]))
    shown = undone(database, name, dry=True).succeeded()
    assert "0 to create, 0 to change, 2 to remove" in shown.messages
    assert "DROP TABLE public.t" in shown.messages
    undone(database, name).succeeded()
    assert database.dump() == before
    # It is a deploy of its own, and says of which.
    assert (
        database.psql(
            "SELECT undoes, state, changes FROM pyinfra_postgres.deploy WHERE undoes IS NOT NULL"
        )
        == f"{name}|applied|remove 2"
    )
    again = undone(database, name).succeeded()
    assert f"the deploy {name} is undone already, by {last(database)}" in again.messages
    # So it can be undone itself, and then the deploy once more.
    undone(database, last(database)).succeeded()
    assert database.psql("SELECT to_regclass('i')") == "i"
    undone(database, name).succeeded()
    assert database.dump() == before


@one_version
def test_all_transactions_of_a_deploy_are_undone_as_one(database: Database) -> None:
    before = started(database)

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("id", "bigint", primary_key=True)])
            pg.enum("e", ["a"])
        with pg.transaction():
            pg.table("t", comment="later")
            pg.index("i", "t", ["id"])
            pg.schema("more")
        pg.schema("more", comment="last")

    run(database, deploy, **ON).succeeded()
    name = last(database)
    plan = undone(database, name).succeeded().plan
    assert [one.title for one in plan.changes] == ["enum public.e", "table public.t", "schema more"]
    assert database.dump() == before


REFUSED: dict[str, tuple[str, str]] = {
    "rows": (
        "INSERT INTO t VALUES (1)",
        "table public.t: DROP TABLE public.t would lose 1 row",
    ),
    "a view of somebody": (
        "CREATE VIEW v AS SELECT name FROM t",
        "table public.t: it is used by view public.v",
    ),
    "a column that came later": (
        "ALTER TABLE t ADD COLUMN more integer",
        "table public.t: it is not as the deploy has left it: + column public.t.more",
    ),
    "a column of another type": (
        "ALTER TABLE t ALTER COLUMN name TYPE varchar(9)",
        "table public.t: it is not as the deploy has left it: - name text; "
        "+ name character varying(9)",
    ),
    "an index that came later": (
        "CREATE INDEX later ON t (name)",
        "index public.later: it would go with what the deploy has made",
    ),
    "a table that is gone": (
        "DROP TABLE t",
        "table public.t: it is not as the deploy has left it: it is gone",
    ),
    "a privilege that came later": (
        "GRANT SELECT ON t TO pg_monitor",
        "grant on TABLE public.t to pg_monitor: it would go with what the deploy has made",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@one_version
def test_what_stands_in_the_way_is_named(database: Database, name: str) -> None:
    started(database)
    deploy = deployed(database, TABLE)
    statement, reason = REFUSED[name]
    database.psql(statement)
    before = database.dump()
    outcome = undone(database, deploy, dry=True).refused()
    assert reason in outcome.messages
    undone(database, deploy).refused()
    assert database.dump() == before


@one_version
def test_what_a_later_deploy_has_changed_is_named_with_it(database: Database) -> None:
    started(database)
    name = deployed(database, pg.View("v", "SELECT 1 AS one"))
    later = deployed(database, pg.View("v", "SELECT 1 AS one, 2 AS two"))
    assert f"(changed by {later} since)" in undone(database, name).refused().messages
    undone(database, later).succeeded()
    undone(database, name).succeeded()


@one_version
def test_rows_are_lost_only_where_that_is_allowed(database: Database) -> None:
    before = started(database)
    name = deployed(database, TABLE, pg.Rows("t", [{"id": 1, "name": "x"}], key="id"))
    undone(database, name).refused()
    undone(database, name, postgres_allow="t").succeeded()
    assert database.dump() == before


@one_version
def test_what_is_in_no_catalog_is_refused_beforehand(database: Database) -> None:
    database.psql(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text, old text); "
        "INSERT INTO t VALUES (1, NULL, 'x')"
    )
    started(database)

    def deploy() -> None:
        with pg.transaction():
            pg.sql("SELECT 1", name="ask")
            pg.rows("t", [{"id": 2}], key="id")
            pg.backfill("t", set={"name": "'n'"}, where="name IS NULL")
            pg.table("t", [pg.Column("old", present=False)])

    run(database, deploy, postgres_allow="t.old", **ON).succeeded()
    outcome = undone(database, last(database)).refused()
    for text in (
        "sql SELECT 1: what it did is not known, so it can't be undone",
        "rows public.t: what it changed is in no catalog, so it can't be undone",
        "backfill",
        "column public.t.old: it lost 1 value, so it can't be undone",
    ):
        assert text in outcome.messages
    assert database.psql("SELECT count(*) FROM pg_attribute WHERE attname = 'old'") == "0"


@one_version
def test_what_has_not_run_or_is_not_known_is_told(database: Database) -> None:
    started(database)
    outcome = undone(database, "20200101-000000-abcdef").refused()
    assert "no host has a deploy 20200101-000000-abcdef" in outcome.messages

    def failing() -> None:
        with pg.transaction():
            pg.schema("s")
            pg.sql("SELECT 1 / 0")

    run(database, failing, **ON).refused()
    before = database.dump()
    outcome = undone(database, last(database)).succeeded()
    assert "nothing of the deploy" in outcome.messages
    assert "division by zero" in outcome.messages
    outcome = undone(database, last(database), postgres_history=None).refused()
    assert "what runs there is not recorded" in outcome.messages
    assert database.dump() == before


@one_version
def test_nothing_that_is_hidden_is_kept(database: Database) -> None:
    database.psql(
        "DROP ROLE IF EXISTS undo_app; CREATE FUNCTION f() RETURNS text LANGUAGE sql "
        "AS 'SELECT ''former'''"
    )
    started(database)
    secret = HiddenValue("SELECT 's3cret-of-the-inverse'")
    name = deployed(
        database,
        pg.Role("undo_app", login=True, password=secret),
        pg.Function("f", returns="text", language="sql", body=secret),
    )
    kept = database.psql("SELECT inverse FROM pyinfra_postgres.deploy")
    assert "*MASKED*" in kept
    assert "s3cret" not in kept
    assert "SCRAM" not in kept
    assert "former" not in kept
    outcome = undone(database, name).refused()
    assert "function public.f(): it has hidden values" in outcome.messages
    undone(database, name, postgres_allow="public.f()").succeeded()
    assert database.psql("SELECT f()") == "s3cret-of-the-inverse"
    assert database.psql("SELECT count(*) FROM pg_roles WHERE rolname = 'undo_app'") == "0"


@one_version
def test_a_history_of_a_former_version_gets_what_it_lacks(database: Database) -> None:
    deployed(database, TABLE)
    former = last(database)
    database.psql("ALTER TABLE pyinfra_postgres.deploy DROP COLUMN undoes, DROP COLUMN inverse")
    outcome = undone(database, former).refused()
    assert "the history does not have how the deploy" in outcome.messages
    name = deployed(database, pg.Schema("s"))
    undone(database, name).succeeded()
    assert database.psql("SELECT to_regnamespace('s')") == ""


@one_version
def test_a_plan_of_it_is_kept_reviewed_and_applied(database: Database, tmp_path: Any) -> None:
    before = started(database)
    name = deployed(database, TABLE)
    plans = str(tmp_path / "plans")
    shown = run(database, lambda: undo(name), dry=True, override={"plan": plans}, **ON).succeeded()
    assert "1 plan for 1 host" in shown.messages
    (file,) = Path(plans).glob("*.json")
    said = json.loads(file.read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(said)
    assert said["transactions"][0]["undoes"] == name
    assert said["transactions"][0]["inverse"]["objects"]
    run(database, lambda: undo(name), override={"apply": plans}, **ON).succeeded()
    assert database.dump() == before
    assert (
        database.psql("SELECT undoes FROM pyinfra_postgres.deploy ORDER BY started_at DESC LIMIT 1")
        == name
    )
