"""What the triggers make of a sync's progress, by the seed documents' arithmetic."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

Session = psycopg.Connection[Any]


def run(session: Session, sql: str) -> psycopg.Cursor[Any]:
    return session.execute(sql)


@pytest.fixture
def org(session: Session) -> Session:
    """A transaction with the test organization."""
    run(session, "INSERT INTO organization (name, slug) VALUES ('Test Organization', 'test-org')")
    return session


def insert(session: Session, **columns: object) -> None:
    given = {
        "sync_id": "test-sync-001",
        "entity_type": "customer",
        "source_system": "woocommerce",
        **columns,
    }
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in given.values())
    run(
        session,
        f"""INSERT INTO sync_progress (org_id, {", ".join(given)})
            VALUES ((SELECT id FROM organization WHERE slug = 'test-org'), {values})""",
    )


def calculated(session: Session) -> tuple[Any, ...]:
    row = run(
        session, "SELECT elapsed_seconds, speed_items_per_min, eta_seconds FROM sync_progress"
    ).fetchone()
    assert row is not None
    return tuple(row)


def logged(session: Session) -> list[tuple[Any, ...]]:
    return run(
        session,
        """SELECT action::text, status::text, record_count, error_message
           FROM sync_activity_log ORDER BY created_at""",
    ).fetchall()


def began(seconds: float) -> str:
    """An assignment that lets the sync have begun so long ago."""
    return f"started_at = clock_timestamp() - interval '{seconds} seconds'"


def refusal(session: Session, sql: str) -> str:
    with pytest.raises(psycopg.errors.CheckViolation) as caught, session.transaction():
        run(session, sql)
    return str(caught.value.diag.message_primary)


def test_the_seed_documents_own_example(org: Session) -> None:
    row = run(
        org,
        """INSERT INTO sync_progress (
             org_id, sync_id, entity_type, total_items, processed_count, source_system)
           VALUES ((SELECT id FROM organization WHERE slug = 'test-org'), 'test-sync-001',
                   'customer'::sync_entity_type, 100, 0, 'woocommerce')
           RETURNING sync_id, elapsed_seconds, speed_items_per_min, eta_seconds""",
    ).fetchone()
    assert row == ("test-sync-001", 0, None, None)
    run(
        org,
        f"""UPDATE sync_progress SET processed_count = 50, current_item = 50, {began(60.1)}
            WHERE sync_id = 'test-sync-001'""",
    )
    assert calculated(org) == (60, 50, 60)


@pytest.mark.parametrize(
    ("seconds", "total", "processed", "expected"),
    [
        (30.1, 100, 25, (30, 50, 90)),
        (30.1, 100, 100, (30, 200, 0)),
        (7.1, 10, 3, (7, 25.71, 16)),
        (30.1, None, 25, (30, 50, None)),
        (30.1, 100, 0, (30, 0, None)),
        (0, 100, 50, (0, None, None)),
        (0, 0, 0, (0, None, 0)),
        (30.1, 0, 0, (30, 0, 0)),
        (-100, 10, 5, (0, None, None)),
        (1.1, 2147483647, 2147483647, (1, 128849018820, 0)),
        (86400.1, 2147483647, 1, (86400, 0, 185542587100800 - 86400)),
    ],
    ids=[
        "a quarter done",
        "all done",
        "rounded",
        "without a total there is no end in sight",
        "without progress there is no end in sight",
        "no second has passed yet",
        "nothing to do",
        "nothing to do and time passed",
        "begins in the future",
        "the most at once",
        "the slowest",
    ],
)
def test_elapsed_speed_and_time_to_go(
    org: Session, seconds: float, total: int | None, processed: int, expected: tuple[Any, ...]
) -> None:
    insert(org, total_items=total)
    run(org, f"UPDATE sync_progress SET processed_count = {processed}, {began(seconds)}")
    elapsed, speed, eta = calculated(org)
    assert (elapsed, speed if speed is None else float(speed), eta) == expected


def test_time_passes_inside_a_long_transaction(org: Session) -> None:
    insert(org, total_items=100)
    run(org, "SELECT pg_sleep(1.1)")
    run(org, "UPDATE sync_progress SET processed_count = 50")
    elapsed, speed, eta = calculated(org)
    assert (elapsed, speed, eta) == (1, 3000, 1)
    assert run(org, "SELECT updated_at > started_at + interval '1 second' FROM sync_progress")
    assert run(org, "SELECT updated_at > now() FROM sync_progress").fetchone() == (True,)


def test_a_preview_lives_for_an_hour_from_its_own_statement_on(org: Session) -> None:
    run(org, "SELECT pg_sleep(0.2)")
    run(
        org,
        """INSERT INTO sync_preview_cache (org_id, sync_type, entity_type, preview_data)
           SELECT id, 'odoo', 'order', '{}' FROM organization""",
    )
    row = run(
        org,
        """SELECT expires_at - created_at = interval '1 hour',
                  created_at > now() + interval '0.2 seconds' FROM sync_preview_cache""",
    )
    assert row.fetchone() == (True, True)


def test_expired_previews_are_removed_and_counted(org: Session) -> None:
    run(
        org,
        """INSERT INTO sync_preview_cache
             (org_id, sync_type, entity_type, preview_data, created_at, expires_at)
           SELECT id, 'odoo', 'order', '{}', now() - age, now() - age + interval '1 hour'
           FROM organization, unnest('{0 hours,2 hours,3 hours}'::interval[]) AS age""",
    )
    assert run(org, "SELECT auto_cleanup_preview_cache()").fetchone() == (2,)
    assert run(org, "SELECT auto_cleanup_preview_cache()").fetchone() == (0,)
    assert run(org, "SELECT count(*) FROM sync_preview_cache").fetchone() == (1,)


def test_a_sync_that_is_over_stands_still(org: Session) -> None:
    insert(org, total_items=100)
    run(org, f"UPDATE sync_progress SET processed_count = 80, status = 'in_progress', {began(60)}")
    run(
        org,
        "UPDATE sync_progress SET status = 'failed', "
        "completed_at = started_at + interval '40 seconds'",
    )
    assert calculated(org) == (40, 120, 0)
    run(org, "UPDATE sync_progress SET current_item = 1")
    assert calculated(org) == (40, 120, 0)


def test_the_end_is_set_by_itself_and_taken_back_when_work_goes_on(org: Session) -> None:
    insert(org, total_items=10, status="in_progress")
    run(org, "UPDATE sync_progress SET status = 'completed'")
    assert run(org, "SELECT completed_at >= started_at FROM sync_progress").fetchone() == (True,)
    run(org, "UPDATE sync_progress SET status = 'in_progress'")
    assert run(org, "SELECT completed_at FROM sync_progress").fetchone() == (None,)


def test_changes_of_status_are_logged_and_others_are_not(org: Session) -> None:
    insert(org, total_items=10)
    assert logged(org) == []
    for status in ("in_progress", "paused", "in_progress", "failed", "in_progress"):
        run(org, f"UPDATE sync_progress SET status = '{status}'")
        run(org, "UPDATE sync_progress SET current_item = current_item + 1")
    run(org, "UPDATE sync_progress SET processed_count = 8, failed_count = 2")
    run(org, "UPDATE sync_progress SET status = 'completed_with_errors'")
    assert logged(org) == [
        ("sync_start", "in_progress", 0, None),
        ("batch_process", "paused", 0, None),
        ("partial_resume", "in_progress", 0, None),
        ("sync_complete", "failed", 0, None),
        ("error_recovery", "in_progress", 0, None),
        ("sync_complete", "completed_with_errors", 8, "2 of 10 items failed"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"total_items": -1}, "total_items is negative (-1)"),
        ({"processed_count": -1}, "processed_count is negative (-1)"),
        ({"failed_count": -1}, "failed_count is negative (-1)"),
        ({"current_item": -1}, "current_item is negative (-1)"),
        ({"total_items": 5, "current_item": 6}, "current_item (6) exceeds total_items (5)"),
        (
            {"total_items": 2147483647, "processed_count": 2147483647, "failed_count": 1},
            "processed_count (2147483647) plus failed_count (1) exceeds total_items (2147483647)",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_counts_that_cannot_be_are_refused(
    org: Session, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(org, **columns)
    assert caught.value.diag.message_primary == f'sync_progress of sync "test-sync-001": {message}'


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
def test_times_that_cannot_be_are_refused(org: Session, moment: str) -> None:
    insert(org)
    assert "sync_progress_finite_check" in refusal(
        org, f"UPDATE sync_progress SET started_at = '{moment}'"
    )
    assert "is before started_at" in refusal(
        org, "UPDATE sync_progress SET completed_at = started_at - interval '1 second'"
    )


def test_activity_of_any_time_finds_a_partition(org: Session) -> None:
    run(
        org,
        """INSERT INTO sync_activity_log (org_id, action, status, created_at)
           SELECT id, 'sync_start', 'pending', at::timestamptz
           FROM organization, unnest('{2020-01-01,2026-02-10,2099-01-01}'::date[]) AS at""",
    )
    partitions = run(
        org, "SELECT tableoid::regclass::text FROM sync_activity_log ORDER BY created_at"
    )
    assert [name for (name,) in partitions] == [
        "sync_activity_log_default",
        "sync_activity_log_2026_02",
        "sync_activity_log_default",
    ]
