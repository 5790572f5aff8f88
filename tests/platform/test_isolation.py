"""Two tenants, asked as `authenticated` with plain SQL: neither reaches the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from harness import Database, Databases, Platform

Session = psycopg.Connection[Any]

ORG_A = "00000000-0000-4000-8000-00000000000a"
ORG_B = "00000000-0000-4000-8000-00000000000b"
USER_A = "00000000-0000-4000-8000-0000000000a1"
COLLEAGUE = "00000000-0000-4000-8000-0000000000a2"
GONE = "00000000-0000-4000-8000-0000000000a3"
USER_B = "00000000-0000-4000-8000-0000000000b1"

TENANTS = f"""
    INSERT INTO organization (id, name, slug) VALUES ('{ORG_A}', 'A', 'a'), ('{ORG_B}', 'B', 'b');
    INSERT INTO auth.users_extended (id, org_id, email, is_active) VALUES
      ('{USER_A}', '{ORG_A}', 'a@example.com', true),
      ('{COLLEAGUE}', '{ORG_A}', 'colleague@example.com', true),
      ('{GONE}', '{ORG_A}', 'gone@example.com', false),
      ('{USER_B}', '{ORG_B}', 'b@example.com', true);
    INSERT INTO sync_preview_cache (org_id, sync_type, entity_type, preview_data, created_by)
      VALUES ('{ORG_A}', 'odoo', 'order', '{{}}', '{USER_A}'),
             ('{ORG_B}', 'odoo', 'order', '{{}}', '{USER_B}');
    INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system)
      VALUES ('{ORG_A}', 'a', 'order', 'odoo'), ('{ORG_B}', 'b', 'order', 'odoo');
    INSERT INTO sync_activity_log (org_id, action, status, user_id)
      VALUES ('{ORG_A}', 'sync_start', 'in_progress', '{USER_A}'),
             ('{ORG_B}', 'sync_start', 'in_progress', '{USER_B}');
    INSERT INTO sync_retry_policy (org_id, id, name)
      VALUES ('{ORG_A}', '{ORG_A}', 'a'), ('{ORG_B}', '{ORG_B}', 'b');
    INSERT INTO sync_schedule (org_id, id, name, job_type, run_every)
      VALUES ('{ORG_A}', '{ORG_A}', 'a', 'x', '1 hour'), ('{ORG_B}', '{ORG_B}', 'b', 'x', '1 hour');
    INSERT INTO sync_job_queue (org_id, id, job_type)
      VALUES ('{ORG_A}', '{ORG_A}', 'x'), ('{ORG_B}', '{ORG_B}', 'x');
    INSERT INTO sync_error_log (org_id, message) VALUES ('{ORG_A}', 'x'), ('{ORG_B}', 'x');
"""

# Every table with rows of tenants, and which of its columns says whose they are.
OWNER = {
    "organization": "id",
    "auth.users_extended": "org_id",
    "sync_preview_cache": "org_id",
    "sync_progress": "org_id",
    "sync_activity_log": "org_id",
    "sync_retry_policy": "org_id",
    "sync_schedule": "org_id",
    "sync_job_queue": "org_id",
    "sync_error_log": "org_id",
}
SYNC = ["sync_preview_cache", "sync_progress", "sync_activity_log"]

NEW_ROW_OF_B = {
    "organization": "INSERT INTO organization (name, slug) VALUES ('C', 'c')",
    "auth.users_extended": (
        f"INSERT INTO auth.users_extended (id, org_id, email) VALUES ('{ORG_B}', '{ORG_B}', 'new')"
    ),
    "sync_preview_cache": f"""INSERT INTO sync_preview_cache
        (org_id, sync_type, entity_type, preview_data)
        VALUES ('{ORG_B}', 'odoo', 'order', '{{}}')""",
    "sync_progress": f"""INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system)
        VALUES ('{ORG_B}', 'x', 'order', 'odoo')""",
    "sync_activity_log": f"""INSERT INTO sync_activity_log (org_id, action, status)
        VALUES ('{ORG_B}', 'sync_start', 'in_progress')""",
    "sync_retry_policy": f"INSERT INTO sync_retry_policy (org_id, name) VALUES ('{ORG_B}', 'x')",
    "sync_schedule": f"""INSERT INTO sync_schedule (org_id, name, job_type, run_every)
        VALUES ('{ORG_B}', 'x', 'x', '1 hour')""",
    "sync_job_queue": f"INSERT INTO sync_job_queue (org_id, job_type) VALUES ('{ORG_B}', 'x')",
    "sync_error_log": f"INSERT INTO sync_error_log (org_id, message) VALUES ('{ORG_B}', 'x')",
}


def run(session: Session, sql: str) -> psycopg.Cursor[Any]:
    return session.execute(sql)


def become(session: Session, user: str | None) -> None:
    """Go on as a tenant's user, or as nobody in particular."""
    run(session, "RESET ROLE")
    if user is not None:
        session.execute("SELECT set_config('app.current_user_id', %s, true)", [user])
    run(session, "SET LOCAL ROLE authenticated")


def refusal(session: Session, sql: str) -> str:
    """The SQLSTATE with which the server refuses a statement; empty when it does not."""
    try:
        with session.transaction(force_rollback=True):
            run(session, sql)
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


@pytest.fixture
def tenants(session: Session) -> Session:
    """A transaction with the rows of two tenants."""
    run(session, TENANTS)
    return session


@pytest.fixture
def as_a(tenants: Session) -> Session:
    """The same as user A."""
    become(tenants, USER_A)
    return tenants


@pytest.mark.parametrize("table", OWNER)
def test_a_tenant_sees_its_own_rows_only(as_a: Session, table: str) -> None:
    owners = run(as_a, f"SELECT DISTINCT {OWNER[table]}::text FROM {table}").fetchall()
    assert owners == [(ORG_A,)]


@pytest.mark.parametrize("table", OWNER)
def test_nobody_in_particular_sees_nothing(tenants: Session, table: str) -> None:
    for user in (None, "", "nobody", "' OR true --", f"{{{USER_A}}}", USER_A + "0", GONE, ORG_A):
        become(tenants, user)
        assert run(tenants, f"SELECT * FROM {table}").fetchall() == [], user


def test_the_case_of_the_users_id_does_not_matter(tenants: Session) -> None:
    become(tenants, USER_A.upper())
    assert run(tenants, "SELECT count(*) FROM sync_progress").fetchone() == (1,)


def test_users_of_a_closed_organization_see_nothing(tenants: Session) -> None:
    run(tenants, f"UPDATE organization SET is_active = false WHERE id = '{ORG_A}'")
    become(tenants, USER_A)
    for table in OWNER:
        assert run(tenants, f"SELECT * FROM {table}").fetchall() == [], table


@pytest.mark.parametrize("table", NEW_ROW_OF_B)
def test_a_row_for_another_organization_is_refused(as_a: Session, table: str) -> None:
    assert refusal(as_a, NEW_ROW_OF_B[table]) == "42501"


@pytest.mark.parametrize("table", SYNC)
def test_a_row_for_the_own_organization_is_accepted(as_a: Session, table: str) -> None:
    assert refusal(as_a, NEW_ROW_OF_B[table].replace(ORG_B, ORG_A)) == ""


@pytest.mark.parametrize("table", SYNC)
def test_a_tenant_changes_and_deletes_its_own_rows_only(as_a: Session, table: str) -> None:
    changed = run(as_a, f"UPDATE {table} SET entity_type = 'invoice' RETURNING org_id::text")
    assert changed.fetchall() == [(ORG_A,)]
    deleted = run(as_a, f"DELETE FROM {table} RETURNING org_id::text")
    assert deleted.fetchall() == [(ORG_A,)]
    become(as_a, USER_B)
    rows = run(as_a, f"SELECT entity_type::text FROM {table}").fetchall()
    assert len(rows) == 1
    assert rows != [("invoice",)]


@pytest.mark.parametrize("table", [*SYNC, "sync_retry_policy", "sync_schedule"])
def test_no_row_moves_to_another_organization(as_a: Session, table: str) -> None:
    assert refusal(as_a, f"UPDATE {table} SET org_id = '{ORG_B}'") == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE auth.users_extended SET org_id = '{ORG_B}'",
        f"UPDATE auth.users_extended SET org_id = '{ORG_B}' WHERE id = '{USER_A}'",
        f"UPDATE auth.users_extended SET id = '{ORG_A}'",
        "UPDATE auth.users_extended SET is_active = false",
        f"UPDATE organization SET id = '{USER_A}'",
        "UPDATE organization SET is_active = NULL",
        f"""INSERT INTO organization (id, name, slug) VALUES ('{ORG_B}', 'x', 'x')
            ON CONFLICT (id) DO UPDATE SET name = 'taken'""",
        f"""INSERT INTO auth.users_extended (id, org_id, email)
            VALUES ('{USER_B}', '{ORG_A}', 'x')
            ON CONFLICT (id) DO UPDATE SET org_id = '{ORG_A}'""",
        f"INSERT INTO auth.users_extended (id, org_id, email) VALUES ('{ORG_A}', '{ORG_A}', 'x')",
        "TRUNCATE sync_progress",
        "TRUNCATE auth.users_extended CASCADE",
        "SELECT * FROM sync_activity_log_2026_02",
        "SELECT * FROM sync_activity_log_default",
        f"""INSERT INTO sync_activity_log_default (org_id, action, status)
            VALUES ('{ORG_B}', 'sync_start', 'in_progress')""",
        "ALTER TABLE sync_progress DISABLE ROW LEVEL SECURITY",
        "DROP POLICY sync_progress_select ON sync_progress",
        "CREATE TABLE public.t ()",
        "CREATE TABLE auth.t ()",
        "SET LOCAL row_security = off; SELECT * FROM sync_progress",
        f"""INSERT INTO sync_activity_log (org_id, action, status, user_id)
            VALUES ('{ORG_A}', 'sync_start', 'in_progress', '{COLLEAGUE}')""",
        f"""UPDATE sync_activity_log SET user_id = '{USER_B}'""",
        f"""INSERT INTO sync_preview_cache
              (org_id, sync_type, entity_type, preview_data, created_by)
            VALUES ('{ORG_A}', 'odoo', 'order', '{{}}', '{USER_B}')""",
        f"UPDATE sync_preview_cache SET created_by = '{USER_B}'",
        f"""INSERT INTO sync_activity_log (org_id, action, status, created_at)
            VALUES ('{ORG_A}', 'sync_start', 'in_progress', now() + interval '1 year')""",
        f"""INSERT INTO sync_job_queue (org_id, job_type, status, locked_by, locked_at,
              lock_expires_at) VALUES ('{ORG_A}', 'x', 'running', 'me', now(), now())""",
        "UPDATE sync_job_queue SET priority = 0",
        "DELETE FROM sync_error_log",
        "DELETE FROM auth.users_extended",
        "DELETE FROM organization",
        "DELETE FROM sync_schedule",  # its jobs would go with it
        "UPDATE sync_schedule SET next_run_at = now(), priority = 0",
        "UPDATE sync_schedule SET priority = 4",
        f"INSERT INTO sync_job_queue (org_id, job_type, priority) VALUES ('{ORG_A}', 'x', 0)",
        f"""INSERT INTO sync_job_queue (org_id, job_type, run_at)
            VALUES ('{ORG_A}', 'x', now() - interval '1 second')""",
        "CREATE TEMP TABLE t ()",
        *(
            f"LOCK TABLE {table} IN {mode} MODE"
            for table in ("organization", "auth.users_extended", "sync_schedule", "sync_job_queue")
            for mode in ("ROW EXCLUSIVE", "SHARE", "ACCESS EXCLUSIVE")
        ),
    ],
)
def test_what_isolation_relies_on_is_out_of_reach(as_a: Session, statement: str) -> None:
    assert refusal(as_a, statement) == "42501"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("sync_activity_log", "created_at"),
        ("sync_preview_cache", "expires_at"),
        ("sync_progress", "started_at"),
        ("sync_progress", "completed_at"),
    ],
)
@pytest.mark.parametrize("time", ["-infinity", "infinity", "1999-12-31", "2100-01-02"])
def test_a_time_that_nobody_can_count_with_is_refused(
    tenants: Session, table: str, column: str, time: str
) -> None:
    # By the table, whoever writes: the owner's rows have to fit into partitions too.
    set_others = ", created_at = 'infinity'" if (column, time) == ("expires_at", "infinity") else ""
    statement = f"UPDATE {table} SET {column} = '{time}'{set_others}"
    assert refusal(tenants, statement) == "23514"


@pytest.mark.parametrize(
    "statement",
    [
        f"""INSERT INTO sync_job_queue (org_id, job_type, payload)
            VALUES ('{ORG_A}', 'x', to_jsonb(repeat('x', 1100000)))""",
        f"""INSERT INTO sync_job_queue (org_id, job_type, max_attempts)
            VALUES ('{ORG_A}', 'x', 101)""",
        f"""INSERT INTO sync_job_queue (org_id, job_type, run_at)
            VALUES ('{ORG_A}', 'x', 'infinity')""",
        "UPDATE sync_schedule SET run_every = '100000000 years'",
        "UPDATE sync_retry_policy SET max_delay = '100000000 years'",
        "UPDATE sync_activity_log SET error_message = repeat('x', 10001)",
        "UPDATE sync_preview_cache SET preview_data = to_jsonb(repeat('x', 17000000))",
    ],
)
def test_what_would_trouble_workers_or_the_disk_is_refused(as_a: Session, statement: str) -> None:
    assert refusal(as_a, statement) == "23514"


def test_a_schedule_cannot_name_another_tenants_retry_policy(as_a: Session) -> None:
    statement = f"UPDATE sync_schedule SET retry_policy_id = '{ORG_B}'"
    assert refusal(as_a, f"{statement}; SET CONSTRAINTS ALL IMMEDIATE") == "23503"


def test_a_user_changes_itself_but_no_colleague(as_a: Session) -> None:
    changed = run(as_a, "UPDATE auth.users_extended SET full_name = 'x' RETURNING id::text")
    assert changed.fetchall() == [(USER_A,)]
    assert run(as_a, "UPDATE organization SET name = 'New'").rowcount == 1


def test_a_colleagues_preview_and_log_entry_can_be_corrected(as_a: Session) -> None:
    become(as_a, COLLEAGUE)
    for table in SYNC:
        assert run(as_a, f"UPDATE {table} SET entity_type = 'invoice'").rowcount == 1, table


def test_what_a_trigger_logs_belongs_to_the_tenant(as_a: Session) -> None:
    run(as_a, "UPDATE sync_progress SET status = 'failed'")
    logged = run(
        as_a, "SELECT org_id::text, user_id::text FROM sync_activity_log WHERE sync_id = 'a'"
    )
    assert logged.fetchall() == [(ORG_A, USER_A)]


def test_cleaning_up_removes_expired_previews_of_the_tenant_only(tenants: Session) -> None:
    run(
        tenants,
        "UPDATE sync_preview_cache SET created_at = now() - interval '2 hours', "
        "expires_at = now() - interval '1 hour'",
    )
    become(tenants, USER_A)
    assert run(tenants, "SELECT auto_cleanup_preview_cache()").fetchone() == (1,)
    run(tenants, "RESET ROLE")
    left = run(tenants, "SELECT org_id::text FROM sync_preview_cache").fetchall()
    assert left == [(ORG_B,)]


def test_the_organization_is_looked_up_once_per_statement(tenants: Session) -> None:
    run(
        tenants,
        """INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system)
            SELECT o.id, 'x', 'order', 'odoo' FROM organization o, generate_series(1, 500)""",
    )
    run(tenants, "SET LOCAL track_functions = 'all'")
    become(tenants, USER_A)
    assert run(tenants, "SELECT count(*) FROM sync_progress").fetchone() == (501,)
    calls = run(
        tenants,
        "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'current_org_id'",
    )
    assert calls.fetchall() == [(1,)]


def test_others_than_tenants_cannot_ask_who_is_asking(tenants: Session) -> None:
    run(tenants, "CREATE ROLE stranger")
    run(tenants, "GRANT USAGE ON SCHEMA auth TO stranger")
    run(tenants, "SET LOCAL ROLE stranger")
    for function in ("current_user_id", "current_org_id"):
        assert refusal(tenants, f"SELECT auth.{function}()") == "42501"


def test_an_object_of_the_callers_schema_takes_no_ones_place(tenants: Session) -> None:
    """A function that runs as its owner looks nothing up where its caller can write."""
    run(tenants, "GRANT TEMPORARY ON DATABASE deployed TO authenticated")
    become(tenants, USER_A)
    run(tenants, "CREATE TEMP TABLE users_extended (id uuid, org_id uuid, is_active boolean)")
    run(tenants, f"INSERT INTO users_extended VALUES ('{USER_A}', '{ORG_B}', true)")
    run(tenants, "SET LOCAL search_path = pg_temp, auth, public")
    owners = run(tenants, "SELECT DISTINCT org_id::text FROM public.sync_progress").fetchall()
    assert owners == [(ORG_A,)]


# The seed documents' literal behaviour.


@pytest.fixture
def as_a_in_seeds_mode(
    platform: Platform, new_database: Databases
) -> Iterator[Callable[[], Session]]:
    """User A on a database of its own whose inventory asks for the seed documents' isolation."""
    database = new_database()
    platform("deploy", database, sync_isolation="seeds").succeeded()
    with database.connect() as session:

        def start() -> Session:
            run(session, TENANTS)
            become(session, USER_A)
            return session

        yield start
        session.rollback()


def test_seeds_leave_organizations_and_users_open_and_the_rest_closed(
    as_a_in_seeds_mode: Callable[[], Session],
) -> None:
    session = as_a_in_seeds_mode()
    assert run(session, "SELECT count(*) FROM organization").fetchone() == (2,)
    assert run(session, "SELECT count(*) FROM auth.users_extended").fetchone() == (4,)
    renamed = run(session, f"UPDATE organization SET name = 'x' WHERE id = '{ORG_B}'")
    assert renamed.rowcount == 1
    for table in SYNC:
        owners = run(session, f"SELECT DISTINCT org_id::text FROM {table}").fetchall()
        assert owners == [(ORG_A,)], table
        assert refusal(session, NEW_ROW_OF_B[table]) == "42501"


def test_the_mode_can_be_changed_and_back(platform: Platform, copy: Database) -> None:
    before = copy.dump()
    platform("deploy", copy, sync_isolation="seeds").succeeded()
    assert "POLICY organization_select" not in copy.dump()
    assert "ALTER TABLE auth.users_extended ENABLE ROW LEVEL SECURITY" not in copy.dump()
    platform("deploy", copy).succeeded()
    assert copy.dump() == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sync_isolation": "open"}, 'sync_isolation must be "strict" or "seeds", not'),
        ({"sync_fixture": True}, "unknown host data sync_fixture (known: sync_fixtures"),
        ({"sync_fixtures": "no"}, "sync_fixtures must be True or False, not 'no'"),
        ({"postgres_today": "today"}, "postgres_today must be a date like 2025-11-06, not 'today'"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_host_data_that_means_nothing_is_refused(
    platform: Platform, database: Database, data: dict[str, Any], message: str
) -> None:
    run = platform("deploy", database, **data).failed()
    assert message in run.output
    assert "CREATE" not in database.dump()


def test_production_holds_no_fixtures(platform: Platform, database: Database) -> None:
    run = platform("deploy", database, group="production", sync_fixtures=True).failed()
    assert "production holds no fixtures" in run.output
    assert "CREATE" not in database.dump()
