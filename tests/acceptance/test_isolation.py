"""Who may do what: the tenants' role, its privileges, and row security."""

from __future__ import annotations

import pytest

from .inventory import Host
from .observer import Database

ALL = ["DELETE", "INSERT", "SELECT", "UPDATE"]
TENANT_TABLES = {
    "public.sync_preview_cache": "previews",
    "public.sync_progress": "progress",
    "public.sync_activity_log": "activities",
    "public.sync_job_queue": "jobs",
    "public.sync_schedule": "schedules",
    "public.sync_error_log": "errors",
    "public.sync_retry_policy": "retry policies",
}


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param("rolcanlogin", id="log in"),
        pytest.param("rolsuper", id="do everything"),
        pytest.param("rolbypassrls", id="pass row security"),
        pytest.param("rolcreaterole", id="create roles"),
        pytest.param("rolcreatedb", id="create databases"),
    ],
)
def test_the_role_of_the_tenants_can_not(database: Database, attribute: str) -> None:
    found = f"SELECT {attribute} FROM pg_roles WHERE rolname = 'authenticated'"
    assert database.column(found) == ["f"]


@pytest.mark.parametrize(
    ("privilege", "granted"),
    [
        pytest.param("has_schema_privilege({}, 'auth', 'USAGE')", "t", id="reach the users"),
        pytest.param(
            "has_schema_privilege({}, 'auth', 'CREATE')", "f", id="not create beside them"
        ),
        pytest.param(
            "has_schema_privilege({}, 'public', 'CREATE')", "f", id="not create in public"
        ),
        pytest.param(
            "has_table_privilege({}, 'public.sync_job_queue', 'UPDATE')",
            "f",
            id="not change jobs, which are the workers'",
        ),
        pytest.param(
            "has_table_privilege({}, 'public.sync_schedule', 'DELETE')",
            "f",
            id="not delete schedules with the workers' jobs",
        ),
        pytest.param(
            "has_table_privilege({}, 'public.sync_error_log', 'INSERT')",
            "f",
            id="not write into the error log",
        ),
        pytest.param(
            "has_table_privilege({}, 'public.sync_progress', 'TRUNCATE')",
            "f",
            id="not empty tables",
        ),
        pytest.param(
            "has_function_privilege({}, 'auth.current_org_id()', 'EXECUTE')",
            "t",
            id="ask for their organization",
        ),
        pytest.param(
            "has_function_privilege({}, 'public.auto_cleanup_preview_cache()', 'EXECUTE')",
            "t",
            id="clean up their previews",
        ),
    ],
)
def test_tenants_may(database: Database, privilege: str, granted: str) -> None:
    asked = privilege.format("'authenticated'")
    assert database.value(f"SELECT {asked}") == granted


@pytest.mark.parametrize(
    "table", ["sync_preview_cache", "sync_progress", "sync_activity_log"], ids="of {}".format
)
def test_tenants_have_all_four_commands(database: Database, table: str) -> None:
    granted = f"""SELECT privilege_type FROM information_schema.table_privileges
                  WHERE table_name = '{table}' AND grantee = 'authenticated' ORDER BY 1"""
    assert database.column(granted) == ALL


def test_everybody_has_nothing_on_the_tables(database: Database) -> None:
    granted = """SELECT table_schema || '.' || table_name
                 FROM information_schema.table_privileges
                 WHERE table_schema IN ('public', 'auth') AND grantee = 'PUBLIC'
                   AND (table_schema = 'auth' OR table_name = 'organization'
                        OR table_name LIKE 'sync%')"""
    assert database.column(granted) == []


@pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda one: f"of {TENANT_TABLES[one]}")
def test_row_security_holds_for_the_rows(database: Database, table: str) -> None:
    found = f"""SELECT rowsecurity FROM pg_tables
                WHERE schemaname || '.' || tablename = '{table}'"""
    assert database.column(found) == ["t"]


@pytest.mark.parametrize("table", ["organization", "users_extended"])
def test_row_security_holds_unless_the_inventory_leaves_it_open(
    database: Database, tested: Host, table: str
) -> None:
    found = f"SELECT rowsecurity FROM pg_tables WHERE tablename = '{table}'"
    is_open = tested.data.get("sync_isolation") == "seeds"
    assert database.column(found) == ["f" if is_open else "t"]


@pytest.mark.parametrize(
    ("table", "policies"),
    [
        pytest.param(
            table,
            [f"{prefix}_{command.lower()} {command} {{authenticated}}" for command in ALL],
            id=f"for {what}",
        )
        for table, prefix, what in (
            ("sync_preview_cache", "preview_cache", "previews"),
            ("sync_progress", "sync_progress", "progress"),
            ("sync_activity_log", "sync_activity_log", "activities"),
        )
    ],
)
def test_each_command_has_its_policy(database: Database, table: str, policies: list[str]) -> None:
    found = f"""SELECT policyname || ' ' || cmd || ' ' || roles::text FROM pg_policies
                WHERE tablename = '{table}' AND permissive = 'PERMISSIVE' ORDER BY cmd"""
    assert database.column(found) == policies


def test_no_policy_is_for_everybody(database: Database) -> None:
    found = """SELECT schemaname || '.' || tablename || ': ' || policyname FROM pg_policies
               WHERE schemaname IN ('public', 'auth') AND 'public' = ANY (roles)
                 AND (schemaname = 'auth' OR tablename = 'organization'
                      OR tablename LIKE 'sync%')"""
    assert database.column(found) == []


def test_the_function_that_policies_ask_runs_as_its_owner(database: Database) -> None:
    found = """SELECT security_type FROM information_schema.routines
               WHERE routine_schema = 'auth' AND routine_name = 'current_org_id'"""
    assert database.column(found) == ["DEFINER"]


def test_and_nobody_else_says_what_its_names_mean(database: Database) -> None:
    found = "SELECT proconfig FROM pg_proc WHERE oid = to_regprocedure('auth.current_org_id()')"
    assert database.column(found) == ['{"search_path=pg_catalog, pg_temp"}']


def test_everybody_but_the_owner_makes_no_temporary_objects(database: Database) -> None:
    found = "SELECT has_database_privilege('authenticated', current_database(), 'TEMPORARY')"
    assert database.value(found) == "f"


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("", id="for nobody"),
        pytest.param("x'' OR true --", id="for what is no user"),
    ],
)
def test_whoever_works_sees_no_organization(database: Database, tested: Host, user: str) -> None:
    if tested.data.get("sync_isolation") == "seeds":
        pytest.skip("the inventory leaves organizations open (sync_isolation)")
    may = "SELECT pg_has_role('authenticated', 'USAGE')"
    if database.value(may) != "t":
        pytest.skip("the role of the inventory is no member of authenticated")
    seen = database.value(
        "SELECT count(*) FROM public.organization",
        "SET LOCAL ROLE authenticated",
        f"SELECT set_config('app.current_user_id', '{user}', true)",
    )
    assert seen == "0"


def test_the_test_organization_is_where_the_inventory_asks_for_it(
    database: Database, tested: Host
) -> None:
    asked = bool(tested.data.get("sync_fixtures"))
    count = "SELECT count(*) FROM public.organization WHERE slug = 'test-org'"
    assert int(database.value(count)) == asked
