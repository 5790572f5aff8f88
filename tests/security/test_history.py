"""Whoever may reach the table of the history: it runs nobody's code, and tells nobody's secrets."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, Project, finished, one_version, until
from harness.process import Outcome, run

pytestmark = one_version

# Code of somebody else's that would become a superuser's.
TRAP = """
    CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN CREATE TABLE public.trapped(); RETURN NEW; END $$;
    ALTER FUNCTION public.trap() OWNER TO h_mallory;
    CREATE FUNCTION public.trap_text() RETURNS text LANGUAGE plpgsql VOLATILE AS
      $$ BEGIN CREATE TABLE public.trapped(); RETURN 'x'; END $$;
    ALTER FUNCTION public.trap_text() OWNER TO h_mallory;
"""
TABLE = "pyinfra_postgres.deploy"
ATTACKS = {
    "a trigger": f"CREATE TRIGGER t BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION trap()",
    "a trigger of updates": f"CREATE TRIGGER t AFTER UPDATE ON {TABLE} FOR EACH ROW"
    " EXECUTE FUNCTION trap()",
    "a default": f"ALTER TABLE {TABLE} ALTER COLUMN error SET DEFAULT trap_text()",
    "another column": f"ALTER TABLE {TABLE} ADD COLUMN more text;"
    f"ALTER TABLE {TABLE} ALTER COLUMN more SET DEFAULT trap_text()",
    "a check": f"ALTER TABLE {TABLE} ADD CHECK (trap_text() <> run) NOT VALID",
    "a rule": f"CREATE RULE r AS ON UPDATE TO {TABLE} DO ALSO SELECT trap_text()",
    "a policy": f"CREATE POLICY p ON {TABLE} USING (trap_text() <> run);"
    f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY",
    "an index": "CREATE FUNCTION public.key(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
    " $$ BEGIN CREATE TABLE public.trapped(); RETURN $1; END $$;"
    f"CREATE INDEX i ON {TABLE} (public.key(error)) WHERE false",
    "a child": f"CREATE TABLE public.child () INHERITS ({TABLE})",
    "a view in its place": f"ALTER TABLE {TABLE} RENAME TO was;"
    f"CREATE VIEW {TABLE} AS SELECT * FROM pyinfra_postgres.was WHERE trap_text() <> run",
    "a domain": "CREATE DOMAIN public.d AS text;"
    f"ALTER TABLE {TABLE} ALTER COLUMN error TYPE public.d;"
    "ALTER DOMAIN public.d ADD CHECK (trap_text() <> VALUE) NOT VALID",
}


def deployed(database: Database, name: str, **data: Any) -> Outcome:
    return run(database, lambda: pg.schema(name), **{"postgres_history": True, **data})


@pytest.fixture
def attacked(database: Database) -> Database:
    """A database with a history, and a role that has code in it."""
    deployed(database, "first").succeeded()
    database.psql(f"CREATE ROLE h_mallory LOGIN; {TRAP}")
    return database


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_attached_to_the_table_does_not_run(attacked: Database, attack: str) -> None:
    attacked.psql(ATTACKS[attack])
    outcome = deployed(attacked, "second").succeeded()
    assert (
        "this run is not recorded: pyinfra_postgres.deploy is not the table that this version "
        "declares"
    ) in outcome.messages
    assert "CREATE SCHEMA second" in attacked.dump()
    assert "trapped" not in attacked.psql(r"\dt public.*")
    fact = run(attacked, lambda: None)
    assert not fact.failed


def test_a_table_that_somebody_else_has_made_is_told_nothing(attacked: Database) -> None:
    attacked.psql(f"ALTER TABLE {TABLE} OWNER TO h_mallory")
    outcome = deployed(attacked, "second").succeeded()
    assert f"{TABLE} belongs to h_mallory, whom this run does not trust" in outcome.messages
    assert attacked.psql(f"SELECT count(*) FROM {TABLE}") == "1"
    deployed(attacked, "third", postgres_trust="h_mallory").succeeded()
    assert attacked.psql(f"SELECT count(*) FROM {TABLE}") == "2"


def test_a_schema_that_somebody_else_has_made_is_no_place_for_it(database: Database) -> None:
    database.psql("CREATE ROLE h_mallory; CREATE SCHEMA pyinfra_postgres AUTHORIZATION h_mallory")
    outcome = deployed(database, "first").succeeded()
    assert "schema pyinfra_postgres belongs to h_mallory, whom this run does not trust" in (
        outcome.messages
    )
    assert database.psql(f"SELECT to_regclass('{TABLE}')") == ""


def test_what_is_attached_while_a_run_waits_rolls_it_back(
    project: Project, attacked: Database
) -> None:
    attacked.psql("CREATE TABLE t (id integer)")
    project.inventory({"one": attacked.dsn}, postgres_history=True, postgres_lock_timeout=20000)
    project.deploy('pg.table("t", [pg.Column("id", "integer"), pg.Column("more", "text")])')
    with attacked.holding("SELECT * FROM t") as reader:
        process = project.start()
        until(lambda: any("LOCK TABLE public" in one for *_, one in attacked.sessions()))
        attacked.psql(ATTACKS["a trigger of updates"])
        reader.rollback()
        output = finished(process).failed().output
    assert "could not record it: pyinfra_postgres.deploy is not the table that" in output
    assert "more text" not in attacked.dump()
    assert "trapped" not in attacked.psql(r"\dt public.*")


def test_what_is_hidden_is_not_in_it(database: Database) -> None:
    secret = "s3cret-of-the-history"

    def deploy() -> None:
        with pg.transaction():
            pg.role("h_app", password=HiddenValue(secret))
            pg.table("t", [pg.Column("a", "text")])
            pg.rows("t", [{"a": HiddenValue(secret)}], key="a")
            pg.sql(cast(str, HiddenValue(f"SELECT '{secret}'::integer")))

    assert run(database, deploy, postgres_history=True).failed
    assert run(
        database, lambda: pg.role("h_more", password=HiddenValue(secret)), postgres_history=True
    )
    rows = database.psql(f"SELECT d::text FROM {TABLE} AS d")
    assert "h_app" in rows
    assert "MASKED" in rows
    assert secret not in rows
