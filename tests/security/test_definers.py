"""A function that runs with its owner's rights leaves no name in it to its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

from .conftest import Trap

BODY = "SELECT current_setting('a.b', true)::uuid"
WHOEVER = "whoever calls it decides what names in it mean"


def definer(**more: Any) -> Callable[[], object]:
    """A deploy of one."""
    given = {"returns": "uuid", "body": BODY, "security_definer": True, **more}
    return lambda: pg.function("f", **given)


@one_version
@pytest.mark.parametrize(
    "settings",
    [
        None,
        {},
        {"work_mem": "8MB"},
        {"search_path": ""},
        {"search_path": '""'},
        {"search_path": "pg_temp, pg_catalog"},
        {"search_path": "pg_temp, pg_catalog, pg_temp"},
        {"search_path": "public"},
        {"search_path": '"$user", pg_temp'},
        {"search_path": "$user, public, pg_temp"},
        {"search_path": '"PG_TEMP"'},
        {"search_path": '"pg_catalog, pg_temp"'},
        {"SEARCH_PATH": "pg_catalog"},
    ],
    ids=str,
)
def test_a_path_that_is_free_or_incomplete_is_refused(
    database: Database, settings: dict[str, Any] | None
) -> None:
    for dry in (True, False):
        outcome = run(database, definer(settings=settings), dry=dry).refused()
        assert WHOEVER in outcome.messages
        assert "pg_temp'}, with pg_temp at the end" in outcome.messages
        assert "--data 'postgres_allow=function public.f'" in outcome.messages
    assert database.psql("SELECT to_regproc('f')") == ""


@one_version
def test_the_line_that_a_refusal_gives_is_accepted(database: Database) -> None:
    messages = run(database, definer(settings={"search_path": "public"})).refused().messages
    line = messages.split("settings=")[1].split("}")[0] + "}"
    assert line == "{'search_path': 'public, pg_temp'}"
    settings = {"search_path": "public, pg_temp"}
    run(database, definer(settings=settings)).succeeded()
    assert not run(database, definer(settings=settings)).succeeded().plan.changes
    assert database.psql("SELECT proconfig FROM pg_proc WHERE proname = 'f'") == (
        '{"search_path=public, pg_temp"}'
    )


@one_version
def test_it_is_allowed_by_its_own_name_only(database: Database) -> None:
    run(database, definer(), postgres_allow="g").refused()
    run(database, definer(), postgres_allow="table f").refused()
    run(database, definer(), postgres_allow="function f").succeeded()


@one_version
def test_objects_and_procedures_are_no_way_around(database: Database) -> None:
    def several() -> None:
        pg.objects(
            [
                pg.Function("f", returns="int", body="SELECT 1", security_definer=True),
                pg.Procedure("p", language="plpgsql", body="BEGIN END", security_definer=True),
            ]
        )

    messages = run(database, several).refused().messages
    assert "postgres_allow=function public.f'" in messages
    assert "postgres_allow=procedure public.p'" in messages


@one_version
def test_one_that_is_there_already_is_judged_by_what_is_declared(
    database: Database, stranger: str
) -> None:
    database.psql(f"CREATE FUNCTION f() RETURNS uuid LANGUAGE sql SECURITY DEFINER AS $${BODY}$$")
    run(database, definer()).refused()
    # Nobody declares its body: it stays as it is.
    run(database, lambda: pg.function("f", comment="Left alone")).succeeded()
    # Who declares its owner says with whose rights it runs.
    run(database, lambda: pg.function("f", owner=stranger)).refused()
    run(database, definer(settings={"search_path": "pg_catalog, pg_temp"})).succeeded()
    assert database.psql("SELECT proconfig FROM pg_proc WHERE proname = 'f'") == (
        '{"search_path=pg_catalog, pg_temp"}'
    )
    run(database, lambda: pg.function("f", owner=stranger)).succeeded()


@one_version
@pytest.mark.parametrize(
    "gives",
    [
        "CREATE SCHEMA app AUTHORIZATION {stranger}",
        "CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO {stranger}",
        "CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO PUBLIC",
        # It is not there: whoever may create it has it.
        "GRANT CREATE ON DATABASE {database} TO {stranger}",
        "ALTER DATABASE {database} OWNER TO {stranger}",
    ],
)
def test_a_schema_in_which_others_create_is_refused(
    database: Database, stranger: str, gives: str
) -> None:
    database.psql(gives.format(stranger=stranger, database=database.name))
    settings = {"search_path": "app, pg_temp"}
    messages = run(database, definer(settings=settings)).refused().messages
    assert "may create in schema app, which its search path has" in messages
    assert (stranger in messages) != ("PUBLIC" in messages)
    # Whoever owns the function may do as much as it does.
    owned = definer(settings=settings, owner=stranger)
    assert run(database, owned).failed == ("PUBLIC" in gives)


@one_version
def test_the_owner_of_the_database_is_the_owner_of_public(
    database: Database, stranger: str
) -> None:
    settings = {"search_path": "public, pg_temp"}
    database.psql(f"ALTER DATABASE {database.name} OWNER TO {stranger}")
    messages = run(database, definer(settings=settings)).refused().messages
    assert f"{stranger} may create in schema public" in messages


def test_what_the_refusal_is_for(database: Database, trap: Trap, stranger: str) -> None:
    """With the path that is asked for nothing of a caller's runs; with another one it does."""
    for path, sprung in {"": [f"{trap.mark} as postgres"], "pg_catalog, pg_temp": []}.items():
        before = len(trap.sprung())
        run(
            database, definer(settings={"search_path": path}), postgres_allow="function f"
        ).succeeded()
        trap.as_role(
            stranger,
            f"""SET a.b = '00000000-0000-0000-0000-000000000000';
                CREATE FUNCTION pg_temp.evil(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql
                  AS {trap.body("RETURN true")};
                CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid
                  CHECK (pg_temp.evil(value::pg_catalog.text));
                SELECT public.f()""",
        )
        assert trap.sprung()[before:] == sprung
