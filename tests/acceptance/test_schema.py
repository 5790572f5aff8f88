"""Organizations, users and the tables of 0023 and 0024, as the documents describe them."""

from __future__ import annotations

import pytest

from .observer import Database

COLUMNS = """
    SELECT column_name || ' ' || CASE data_type WHEN 'USER-DEFINED' THEN udt_name ELSE data_type END
           || coalesce('(' || character_maximum_length || ')', '')
           || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
    FROM information_schema.columns
    WHERE table_schema = '{}' AND table_name = '{}' ORDER BY ordinal_position"""
KEY = """
    SELECT string_agg(k.column_name, ', ' ORDER BY k.ordinal_position)
    FROM information_schema.table_constraints c
    JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
    WHERE c.table_schema = '{}' AND c.table_name = '{}' AND c.constraint_type = '{}'"""
# Partitions have a constraint of the same name, which is what the standard's views join by.
REFERENCE = """
    SELECT DISTINCT
      to_table.table_schema || '.' || to_table.table_name || ' ON DELETE ' || r.delete_rule
    FROM information_schema.key_column_usage k
    JOIN information_schema.referential_constraints r USING (constraint_schema, constraint_name)
    JOIN information_schema.table_constraints to_table
      ON to_table.constraint_schema = r.unique_constraint_schema
     AND to_table.constraint_name = r.unique_constraint_name
    WHERE k.table_schema = '{}' AND k.table_name = '{}' AND k.column_name = '{}'"""
TIME = "timestamp with time zone"


@pytest.mark.parametrize(
    ("schema", "table", "columns"),
    [
        pytest.param(
            *("public", "organization"),
            [
                "id uuid NOT NULL",
                "name character varying(255) NOT NULL",
                "slug character varying(255) NOT NULL",
                "description text",
                "is_active boolean",
                f"created_at {TIME} NOT NULL",
                f"updated_at {TIME} NOT NULL",
            ],
            id="an organization has name, slug and whether it is active",
        ),
        pytest.param(
            *("auth", "users_extended"),
            [
                "id uuid NOT NULL",
                "org_id uuid NOT NULL",
                "email character varying(255) NOT NULL",
                "full_name character varying(255)",
                "avatar_url text",
                "is_active boolean",
                f"created_at {TIME} NOT NULL",
                f"updated_at {TIME} NOT NULL",
            ],
            id="a user has an organization, an address and whether it is active",
        ),
        pytest.param(
            *("public", "sync_preview_cache"),
            [
                "id uuid NOT NULL",
                "org_id uuid NOT NULL",
                "sync_type sync_type NOT NULL",
                "entity_type sync_entity_type NOT NULL",
                "preview_data jsonb NOT NULL",
                "created_by uuid",
                f"created_at {TIME} NOT NULL",
                f"expires_at {TIME} NOT NULL",
            ],
            id="the preview cache has its 8 columns",
        ),
        pytest.param(
            *("public", "sync_progress"),
            [
                "id uuid NOT NULL",
                "org_id uuid NOT NULL",
                "sync_id character varying(255) NOT NULL",
                "entity_type sync_entity_type NOT NULL",
                "source_system sync_type NOT NULL",
                "current_item integer NOT NULL",
                "total_items integer",
                "processed_count integer NOT NULL",
                "failed_count integer NOT NULL",
                "elapsed_seconds integer NOT NULL",
                "speed_items_per_min numeric",
                "eta_seconds bigint",
                "status sync_status_type NOT NULL",
                f"started_at {TIME} NOT NULL",
                f"updated_at {TIME} NOT NULL",
                f"completed_at {TIME}",
            ],
            id="the progress has its 16 columns",
        ),
        pytest.param(
            *("public", "sync_activity_log"),
            [
                "id uuid NOT NULL",
                "org_id uuid NOT NULL",
                "sync_id character varying(255)",
                "entity_type sync_entity_type",
                "action sync_action NOT NULL",
                "status sync_status_type NOT NULL",
                "record_count integer",
                "error_message text",
                "user_id uuid",
                f"created_at {TIME} NOT NULL",
            ],
            id="the activity log has its 10 columns",
        ),
    ],
)
def test_columns(database: Database, schema: str, table: str, columns: list[str]) -> None:
    # A column that an earlier version has left behind is at another place.
    assert sorted(database.column(COLUMNS.format(schema, table))) == sorted(columns)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("sync_job_queue", id="0023 has brought the job queue"),
        pytest.param("sync_schedule", id="0023 has brought the schedules"),
        pytest.param("sync_error_log", id="0023 has brought the error log"),
        pytest.param("sync_retry_policy", id="0023 has brought the retry policies"),
    ],
)
def test_tables_of_0023(database: Database, table: str) -> None:
    found = f"SELECT table_type FROM information_schema.tables WHERE table_name = '{table}'"
    assert database.column(found) == ["BASE TABLE"]


@pytest.mark.parametrize(
    ("schema", "table", "kind", "columns"),
    [
        pytest.param(
            *("public", "organization", "PRIMARY KEY", "id"), id="an organization is known by id"
        ),
        pytest.param(
            *("public", "organization", "UNIQUE", "slug"), id="no two organizations have one slug"
        ),
        pytest.param(*("auth", "users_extended", "PRIMARY KEY", "id"), id="a user is known by id"),
        pytest.param(
            *("auth", "users_extended", "UNIQUE", "email"), id="no two users have one address"
        ),
        pytest.param(
            *("public", "sync_preview_cache", "PRIMARY KEY", "id"), id="a preview is known by id"
        ),
        pytest.param(
            *("public", "sync_progress", "PRIMARY KEY", "id"), id="a progress is known by id"
        ),
        pytest.param(
            *("public", "sync_activity_log", "PRIMARY KEY", "id, created_at"),
            id="an activity is known by id and time",
        ),
        pytest.param(
            *("public", "sync_job_queue", "PRIMARY KEY", "org_id, id"),
            id="a job is known within its organization",
        ),
    ],
)
def test_keys(database: Database, schema: str, table: str, kind: str, columns: str) -> None:
    assert database.value(KEY.format(schema, table, kind)) == columns


@pytest.mark.parametrize(
    ("schema", "table", "column", "target"),
    [
        pytest.param(
            *("auth", "users_extended", "org_id", "public.organization ON DELETE CASCADE"),
            id="users go with their organization",
        ),
        pytest.param(
            *("public", "sync_preview_cache", "org_id", "public.organization ON DELETE CASCADE"),
            id="previews go with their organization",
        ),
        pytest.param(
            *("public", "sync_preview_cache", "created_by"),
            "auth.users_extended ON DELETE SET NULL",
            id="previews outlive who has made them",
        ),
        pytest.param(
            *("public", "sync_progress", "org_id", "public.organization ON DELETE CASCADE"),
            id="progress goes with its organization",
        ),
        pytest.param(
            *("public", "sync_activity_log", "org_id", "public.organization ON DELETE CASCADE"),
            id="activities go with their organization",
        ),
        pytest.param(
            *("public", "sync_job_queue", "schedule_id", "public.sync_schedule ON DELETE CASCADE"),
            id="jobs go with their schedule",
        ),
    ],
)
def test_references(database: Database, schema: str, table: str, column: str, target: str) -> None:
    assert database.column(REFERENCE.format(schema, table, column)) == [target]


def test_nothing_outside_of_0024_refers_to_it(database: Database) -> None:
    others = """
        SELECT conrelid::regclass FROM pg_constraint
        WHERE contype = 'f' AND conparentid = 0
          AND confrelid IN (to_regclass('public.sync_preview_cache'),
                            to_regclass('public.sync_progress'),
                            to_regclass('public.sync_activity_log'))"""
    assert database.column(others) == []


@pytest.mark.parametrize(
    ("enum", "labels"),
    [
        pytest.param(
            "sync_type",
            ["woocommerce", "odoo", "shopify", "custom"],
            id="systems that are synchronised",
        ),
        pytest.param(
            "sync_action",
            [
                *("preview_delta", "sync_start", "sync_complete", "batch_process"),
                *("error_recovery", "manual_trigger", "scheduled_run", "partial_resume"),
            ],
            id="actions that are logged",
        ),
        pytest.param(
            "sync_entity_type",
            [
                *("customer", "product", "order", "invoice"),
                *("supplier", "inventory", "category", "attribute"),
            ],
            id="entities that are synchronised",
        ),
        pytest.param(
            "sync_status_type",
            [
                *("pending", "in_progress", "completed", "completed_with_errors"),
                *("failed", "cancelled", "paused", "timeout"),
            ],
            id="states of a sync",
        ),
    ],
)
def test_labels(database: Database, enum: str, labels: list[str]) -> None:
    # Of a type that is missing: no labels.
    found = f"SELECT unnest(enum_range(NULL::public.{enum}))"
    assert database.column(found) == labels


def test_the_activity_log_is_partitioned_by_time(database: Database) -> None:
    key = "SELECT pg_get_partkeydef(to_regclass('public.sync_activity_log'))"
    assert database.value(key) == "RANGE (created_at)"


BOUNDS = """
    SELECT pg_get_expr(relpartbound, oid) FROM pg_class
    WHERE oid IN (SELECT relid FROM pg_partition_tree(to_regclass('public.sync_activity_log'))
                  WHERE isleaf)"""


@pytest.mark.parametrize(
    ("month", "months"),
    [
        pytest.param("'2025-11-01'", 1, id="from November 2025"),
        pytest.param("date_trunc('month', now())", 1, id="for this month"),
        pytest.param("date_trunc('month', now())", 4, id="for the four months ahead"),
    ],
)
def test_the_activity_log_has_partitions(database: Database, month: str, months: int) -> None:
    missing = f"""
        SELECT to_char({month}::timestamptz + i * interval '1 month', 'YYYY-MM')
        FROM generate_series(0, {months}) AS i
        WHERE NOT EXISTS (
          SELECT FROM ({BOUNDS}) AS bounds (bound)
          WHERE bound LIKE format('FOR VALUES FROM (''%s-01 00:00:00+00'')%%',
            to_char({month}::timestamptz + i * interval '1 month', 'YYYY-MM')))"""
    assert database.column(missing) == []


def test_the_activity_log_has_a_partition_for_any_other_time(database: Database) -> None:
    assert database.column(BOUNDS).count("DEFAULT") == 1


def test_no_index_is_invalid(database: Database) -> None:
    invalid = """
        SELECT indexrelid::regclass FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        WHERE NOT (indisvalid AND indisready)
          AND relnamespace IN ('public'::regnamespace, to_regnamespace('auth'))"""
    assert database.column(invalid) == []


def test_no_constraint_is_left_unchecked(database: Database) -> None:
    unchecked = """
        SELECT conrelid::regclass || ': ' || conname FROM pg_constraint
        WHERE NOT convalidated
          AND connamespace IN ('public'::regnamespace, to_regnamespace('auth'))"""
    assert database.column(unchecked) == []


INDEX = "SELECT indexdef FROM pg_indexes WHERE schemaname = '{}' AND indexname = '{}'"


@pytest.mark.parametrize(
    ("schema", "index", "columns"),
    [
        pytest.param(
            *("public", "idx_organization_active", "(is_active)"),
            id="organizations are found by whether they are active",
        ),
        pytest.param(
            *("public", "idx_organization_created", "(created_at DESC)"),
            id="the newest organizations are found",
        ),
        pytest.param(*("auth", "idx_auth_users_org", "(org_id)"), id="an organization's users are"),
        pytest.param(
            *("auth", "idx_auth_users_org_active", "(org_id, is_active)"),
            id="an organization's active users are",
        ),
        pytest.param(
            *("public", "idx_preview_cache_lookup"),
            "(org_id, sync_type, entity_type, created_at DESC)",
            id="the newest preview is",
        ),
        pytest.param(
            *("public", "idx_preview_cache_expires", "(expires_at)"), id="expired previews are"
        ),
        pytest.param(
            *("public", "idx_sync_progress_org_sync", "(org_id, sync_id)"),
            id="an organization's sync is",
        ),
        pytest.param(
            *("public", "idx_sync_progress_active", "(org_id, updated_at DESC)"),
            id="an organization's running syncs are",
        ),
        pytest.param(
            *("public", "idx_sync_activity_log_org_created", "(org_id, created_at DESC)"),
            id="an organization's last activities are",
        ),
        pytest.param(
            *("public", "idx_sync_job_queue_ready", "(priority, run_at)"), id="the next job is"
        ),
    ],
)
def test_indexes(database: Database, schema: str, index: str, columns: str) -> None:
    definition = database.column(INDEX.format(schema, index))
    assert [one.partition(" USING btree ")[2].partition(" WHERE ")[0] for one in definition] == [
        columns
    ]


def test_0024_has_15_indexes_or_more(database: Database) -> None:
    count = """SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND tablename IN
               ('sync_preview_cache', 'sync_progress', 'sync_activity_log')"""
    assert int(database.value(count)) >= 15
