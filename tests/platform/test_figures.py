"""The seed documents' queries, corrected where they were wrong, give their figures."""

from __future__ import annotations

from datetime import date

from harness import TODAY, Database, Databases, Platform, one_version

TABLES = "('sync_preview_cache', 'sync_progress', 'sync_activity_log')"


def test_three_tables_have_eight_sixteen_and_ten_columns(deployed: Database) -> None:
    assert deployed.rows(
        f"""SELECT table_name,
                   (SELECT COUNT(*) FROM information_schema.columns
                    WHERE table_schema='public' AND table_name=t.table_name) as column_count
            FROM information_schema.tables t
            WHERE table_schema = 'public' AND table_name IN {TABLES}
            ORDER BY table_name"""
    ) == [("sync_activity_log", "10"), ("sync_preview_cache", "8"), ("sync_progress", "16")]


def test_the_columns_have_the_given_names(deployed: Database) -> None:
    def columns(table: str) -> str:
        return deployed.psql(
            f"""SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
                WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"""
        )

    assert columns("sync_preview_cache") == (
        "id org_id sync_type entity_type preview_data created_by created_at expires_at"
    )
    assert columns("sync_progress") == (
        "id org_id sync_id entity_type source_system current_item total_items processed_count "
        "failed_count elapsed_seconds speed_items_per_min eta_seconds status started_at "
        "updated_at completed_at"
    )
    assert columns("sync_activity_log") == (
        "id org_id sync_id entity_type action status record_count error_message user_id created_at"
    )


def test_only_five_columns_of_the_log_are_required(deployed: Database) -> None:
    assert deployed.psql(
        """SELECT string_agg(column_name, ' ' ORDER BY ordinal_position)
           FROM information_schema.columns
           WHERE table_name = 'sync_activity_log' AND is_nullable = 'NO'"""
    ) == ("id org_id action status created_at")


def test_four_enum_types_have_their_labels_in_order(deployed: Database) -> None:
    # pg_enum has no enum_name: the type's name is in pg_type.
    assert deployed.rows(
        """SELECT typname, string_agg(enumlabel, ' ' ORDER BY enumsortorder)
           FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
           WHERE typname IN ('sync_type', 'sync_action', 'sync_entity_type', 'sync_status_type')
           GROUP BY typname ORDER BY typname"""
    ) == [
        (
            "sync_action",
            "preview_delta sync_start sync_complete batch_process error_recovery manual_trigger "
            "scheduled_run partial_resume",
        ),
        (
            "sync_entity_type",
            "customer product order invoice supplier inventory category attribute",
        ),
        (
            "sync_status_type",
            "pending in_progress completed completed_with_errors failed cancelled paused timeout",
        ),
        ("sync_type", "woocommerce odoo shopify custom"),
    ]


def test_twelve_policies_are_four_for_each_table(deployed: Database) -> None:
    policies = deployed.rows(
        f"""SELECT tablename, policyname, cmd FROM pg_policies
            WHERE schemaname = 'public' AND tablename IN {TABLES}
            ORDER BY tablename, policyname"""
    )
    prefixes = {
        "sync_activity_log": "sync_activity_log",
        "sync_preview_cache": "preview_cache",
        "sync_progress": "sync_progress",
    }
    assert policies == [
        (table, f"{prefix}_{command}", command.upper())
        for table, prefix in prefixes.items()
        for command in ("delete", "insert", "select", "update")
    ]
    assert (
        deployed.psql(f"SELECT count(*) FROM pg_class WHERE relname IN {TABLES} AND relrowsecurity")
        == "3"
    )


def test_fifteen_or_more_indexes_are_all_valid(deployed: Database) -> None:
    count = deployed.psql(
        f"""SELECT count(*) FROM pg_indexes
            WHERE schemaname = 'public' AND tablename IN {TABLES}"""
    )
    assert int(count) >= 15
    assert deployed.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "0"


def test_no_index_of_the_migration_begins_as_another(deployed: Database) -> None:
    # Compared as text: what pg_get_indexdef says after the name of the index.
    definitions = deployed.rows(
        f"""SELECT tablename, regexp_replace(indexdef, '^.* ON (ONLY )?', '')
            FROM pg_indexes WHERE schemaname = 'public' AND tablename IN {TABLES}"""
    )
    keys = []
    for table, definition in definitions:
        columns, _, predicate = definition.partition("(")[2].partition(" WHERE ")
        keys.append((table, predicate, columns.rstrip(")").split(", ")))
    duplicates = [
        (one, other)
        for place, one in enumerate(keys)
        for other in keys[:place] + keys[place + 1 :]
        if one[:2] == other[:2] and other[2][: len(one[2])] == one[2]
    ]
    assert len(keys) >= 15
    assert duplicates == []


def test_five_functions_and_four_triggers(deployed: Database) -> None:
    # In parentheses: without them the OR lets other schemas in.
    assert deployed.psql(
        """SELECT string_agg(routine_name, ' ' ORDER BY routine_name COLLATE "C")
           FROM information_schema.routines
           WHERE routine_schema = 'public' AND (routine_name LIKE 'sync_%'
             OR routine_name LIKE 'auto_%' OR routine_name LIKE '%_sync_progress_%')"""
    ) == (
        "auto_cleanup_preview_cache auto_log_sync_activity_on_progress_change "
        "update_sync_progress_elapsed update_sync_progress_timestamp validate_sync_progress_totals"
    )
    assert deployed.psql(
        """SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger
           WHERE tgrelid = 'sync_progress'::regclass AND NOT tgisinternal AND tgenabled = 'O'"""
    ) == (
        "sync_progress_log_completion sync_progress_update_elapsed "
        "sync_progress_update_timestamp sync_progress_validate_totals"
    )


def test_the_tables_of_0023_are_there(deployed: Database) -> None:
    assert deployed.psql(
        r"""SELECT string_agg(table_name, ' ' ORDER BY table_name)
            FROM information_schema.tables
            WHERE table_schema = 'public' AND table_name LIKE 'sync%'
              AND table_name !~ '^sync_(preview|progress|activity)'"""
    ) == ("sync_error_log sync_job_queue sync_retry_policy sync_schedule")


def test_organizations_and_users_have_their_columns_and_indexes(deployed: Database) -> None:
    def found(table: str) -> tuple[str, str]:
        columns = deployed.psql(
            f"""SELECT count(*) FROM pg_attribute
                WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"""
        )
        indexes = deployed.psql(
            f"""SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C")
                FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = '{table}'::regclass"""
        )
        return columns, indexes

    # 3 and 4 by the seed documents, which forget the keys' own.
    assert found("organization") == (
        "7",
        "idx_organization_active idx_organization_created idx_organization_slug "
        "organization_pkey organization_slug_key",
    )
    assert found("auth.users_extended") == (
        "8",
        "idx_auth_users_active idx_auth_users_email idx_auth_users_org idx_auth_users_org_active "
        "users_extended_email_key users_extended_pkey",
    )


def _months(database: Database) -> list[str]:
    return database.psql(
        """SELECT inhrelid::regclass FROM pg_inherits
           WHERE inhparent = 'sync_activity_log'::regclass
           ORDER BY inhrelid::regclass::text COLLATE "C" """
    ).splitlines()


def test_partitions_reach_to_the_current_month_and_four_more(deployed: Database) -> None:
    assert date.fromisoformat(TODAY) == date(2026, 2, 10)
    assert _months(deployed) == [
        "sync_activity_log_2025_11",
        "sync_activity_log_2025_12",
        "sync_activity_log_2026_01",
        "sync_activity_log_2026_02",
        "sync_activity_log_2026_03",
        "sync_activity_log_2026_04",
        "sync_activity_log_2026_05",
        "sync_activity_log_2026_06",
        "sync_activity_log_default",
    ]


def test_a_partition_is_a_month_in_utc(deployed: Database) -> None:
    assert deployed.psql(
        """SET timezone = 'UTC';
           SELECT pg_get_expr(relpartbound, oid) FROM pg_class
           WHERE relname = 'sync_activity_log_2026_02'"""
    ) == ("FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-03-01 00:00:00+00')")


@one_version
def test_partitions_move_on_with_the_month(platform: Platform, copy: Database) -> None:
    before = _months(copy)
    platform("deploy", copy, postgres_today="2026-04-01").succeeded()
    assert [month for month in _months(copy) if month not in before] == [
        "sync_activity_log_2026_07",
        "sync_activity_log_2026_08",
    ]


def test_the_servers_own_day_decides_where_none_is_given(
    platform: Platform, new_database: Databases
) -> None:
    database = new_database()
    platform("deploy", database, postgres_today=None).succeeded()
    today = database.psql(
        "SELECT to_char(CURRENT_DATE, '\"sync_activity_log_\"YYYY_MM'), "
        "to_char(CURRENT_DATE + interval '4 months', '\"sync_activity_log_\"YYYY_MM')"
    )
    months = _months(database)
    assert [months[-6], months[-2]] == today.split("|")
