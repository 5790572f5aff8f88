"""What the triggers make of a sync's progress, and what tenants can't reach.

By the documents' own example. What these tests write is rolled back; `--writes` runs them.
"""

from __future__ import annotations

import pytest

from .observer import Database

OURS, THEIRS = "acce97ed-0000-4000-8000-000000000001", "acce97ed-0000-4000-8000-000000000002"
USER = "acce97ed-0000-4000-8000-000000000003"
ORGANIZATIONS = (
    f"""INSERT INTO public.organization (id, name, slug)
        VALUES ('{OURS}', 'Ours', 'acceptance-ours'),
               ('{THEIRS}', 'Theirs', 'acceptance-theirs')""",
    f"""INSERT INTO auth.users_extended (id, org_id, email)
        VALUES ('{USER}', '{OURS}', 'acceptance@example.invalid')""",
)
HALF_DONE = (
    *ORGANIZATIONS,
    f"""INSERT INTO public.sync_progress
          (org_id, sync_id, entity_type, total_items, processed_count, source_system, started_at)
        VALUES ('{OURS}', 'test-sync-001', 'customer', 100, 0, 'woocommerce',
                clock_timestamp() - interval '60.2 seconds')""",
    """UPDATE public.sync_progress SET processed_count = 50, current_item = 50
       WHERE sync_id = 'test-sync-001'""",
)
ROWS_OF_BOTH = (
    *ORGANIZATIONS,
    *(
        f"""INSERT INTO public.sync_progress (org_id, sync_id, entity_type, source_system)
            VALUES ('{org}', 'acceptance', 'customer', 'odoo')"""
        for org in (OURS, THEIRS)
    ),
    # Who has created a role need not be its member.
    """DO $$ BEGIN
         IF NOT pg_has_role('authenticated', 'MEMBER') THEN GRANT authenticated TO CURRENT_USER;
         END IF; END $$""",
    "SET LOCAL ROLE authenticated",
    f"SELECT set_config('app.current_user_id', '{USER}', true)",
)
CHECK_VIOLATION, INSUFFICIENT_PRIVILEGE = "23514", "42501"

FUNCTIONS = (
    "auto_cleanup_preview_cache",
    "auto_log_sync_activity_on_progress_change",
    "update_sync_progress_elapsed",
    "update_sync_progress_timestamp",
    "validate_sync_progress_totals",
)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_there_is_the_function(database: Database, function: str) -> None:
    found = f"""SELECT routine_type FROM information_schema.routines
                WHERE routine_schema = 'public' AND routine_name = '{function}'"""
    assert database.column(found) == ["FUNCTION"]


@pytest.mark.parametrize(
    ("trigger", "when", "function"),
    [
        pytest.param(
            *("sync_progress_update_elapsed", "BEFORE INSERT, UPDATE"),
            "update_sync_progress_elapsed",
            id="the elapsed time is computed",
        ),
        pytest.param(
            *("sync_progress_validate_totals", "BEFORE INSERT, UPDATE"),
            "validate_sync_progress_totals",
            id="counts are checked",
        ),
        pytest.param(
            *("sync_progress_update_timestamp", "BEFORE UPDATE"),
            "update_sync_progress_timestamp",
            id="the time of the change is kept",
        ),
        pytest.param(
            *("sync_progress_log_completion", "AFTER INSERT, UPDATE"),
            "auto_log_sync_activity_on_progress_change",
            id="changes of the state are logged",
        ),
    ],
)
def test_on_each_change_of_progress(
    database: Database, trigger: str, when: str, function: str
) -> None:
    found = f"""
        SELECT action_timing || ' ' || string_agg(event_manipulation, ', ' ORDER BY 1)
               || ' ' || max(action_statement)
        FROM information_schema.triggers
        WHERE event_object_table = 'sync_progress' AND trigger_name = '{trigger}'
        GROUP BY action_timing"""
    assert [one.replace("public.", "") for one in database.column(found)] == [
        f"{when} EXECUTE FUNCTION {function}()"
    ]


def test_no_trigger_on_progress_is_switched_off(database: Database) -> None:
    found = """SELECT tgname FROM pg_trigger
               WHERE tgrelid = to_regclass('public.sync_progress') AND tgenabled <> 'O'"""
    assert database.column(found) == []


@pytest.mark.writes
@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("elapsed_seconds", 60, id="the elapsed seconds"),
        pytest.param("speed_items_per_min", 50, id="the speed, in items per minute"),
        pytest.param("eta_seconds", 60, id="the seconds that are left"),
    ],
)
def test_a_sync_that_is_half_done_after_a_minute_has(
    written_to: Database, column: str, value: int
) -> None:
    found = f"SELECT {column} FROM public.sync_progress WHERE sync_id = 'test-sync-001'"
    assert round(float(written_to.value(found, *HALF_DONE))) == value


@pytest.mark.writes
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param("total_items = -1", id="a total below nothing"),
        pytest.param("processed_count = 101", id="more that is done than there is"),
        pytest.param("failed_count = 51", id="more that has failed than is left"),
        pytest.param("current_item = 101", id="an item behind the last"),
    ],
)
def test_what_is_refused_as_progress_is(written_to: Database, counts: str) -> None:
    update = f"UPDATE public.sync_progress SET {counts} WHERE sync_id = 'test-sync-001'"
    assert written_to.refusal(update, *HALF_DONE) == CHECK_VIOLATION


@pytest.mark.writes
def test_the_end_of_a_sync_is_logged(written_to: Database) -> None:
    logged = f"SELECT action FROM public.sync_activity_log WHERE org_id = '{OURS}'"
    done = "UPDATE public.sync_progress SET status = 'completed' WHERE sync_id = 'test-sync-001'"
    assert written_to.column(logged, *HALF_DONE, done) == ["sync_complete"]


@pytest.mark.writes
def test_an_activity_of_today_has_a_partition_of_its_own(written_to: Database) -> None:
    where = f"""SELECT pg_get_expr(relpartbound, pg_class.oid) = 'DEFAULT'
                FROM public.sync_activity_log l JOIN pg_class ON pg_class.oid = l.tableoid
                WHERE org_id = '{OURS}'"""
    row = f"""INSERT INTO public.sync_activity_log (org_id, action, status)
              VALUES ('{OURS}', 'sync_start', 'in_progress')"""
    assert written_to.column(where, *ORGANIZATIONS, row) == ["f"]


@pytest.mark.writes
def test_expired_previews_are_cleaned_up(written_to: Database) -> None:
    preview = f"""INSERT INTO public.sync_preview_cache
                    (org_id, sync_type, entity_type, preview_data, created_at, expires_at)
                  VALUES ('{OURS}', 'odoo', 'order', '{{}}', now() - interval '2 hours',
                          now() - interval '1 hour')"""
    left = f"SELECT count(*) FROM public.sync_preview_cache WHERE org_id = '{OURS}'"
    clean = "SELECT public.auto_cleanup_preview_cache()"
    assert written_to.value(left, *ORGANIZATIONS, preview, clean) == "0"


@pytest.mark.writes
def test_a_tenant_sees_its_own_rows_only(written_to: Database) -> None:
    seen = "SELECT DISTINCT org_id FROM public.sync_progress"
    assert written_to.column(seen, *ROWS_OF_BOTH) == [OURS]


@pytest.mark.writes
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            "UPDATE public.sync_progress SET current_item = 0 WHERE org_id = '{}'", id="changes"
        ),
        pytest.param("DELETE FROM public.sync_progress WHERE org_id = '{}'", id="deletes"),
    ],
)
def test_another_tenants_rows_are_nothing_that_a_tenant(
    written_to: Database, statement: str
) -> None:
    done = f"WITH done AS ({statement.format(THEIRS)} RETURNING 1) SELECT count(*) FROM done"
    assert written_to.value(done, *ROWS_OF_BOTH) == "0"


@pytest.mark.writes
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            f"""INSERT INTO public.sync_progress (org_id, sync_id, entity_type, source_system)
                VALUES ('{THEIRS}', 'x', 'order', 'odoo')""",
            id="write a row for another",
        ),
        pytest.param(
            f"UPDATE public.sync_progress SET org_id = '{THEIRS}'", id="move its rows to another"
        ),
        pytest.param("DELETE FROM public.organization", id="delete organizations"),
        pytest.param("UPDATE public.sync_job_queue SET priority = 0", id="get before others"),
    ],
)
def test_a_tenant_can_not(written_to: Database, statement: str) -> None:
    assert written_to.refusal(statement, *ROWS_OF_BOTH) == INSUFFICIENT_PRIVILEGE
