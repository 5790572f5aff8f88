"""The seed documents' checks after the migration, 1 to 7, corrected where they were wrong.

Each runs in a transaction that is rolled back. Counts are restricted to the declared names and
the tests bring their own tenants, so a database that holds other data passes too.
"""

# The statements are put together from constants of this package, never from input.

from collections.abc import Iterable

import pyinfra_postgres as pg

from .access import TENANT_ROLE
from .isolation_checks import isolation
from .reach_checks import reach
from .sync import ENUMS, FUNCTIONS, TABLES, TRIGGERS, policies
from .tenants import ORG_A, TENANTS, refused

COLUMNS = {
    "sync_activity_log": (
        "action created_at entity_type error_message id org_id record_count status sync_id user_id"
    ),
    "sync_preview_cache": (
        "created_at created_by entity_type expires_at id org_id preview_data sync_type"
    ),
    "sync_progress": (
        "completed_at current_item elapsed_seconds entity_type eta_seconds failed_count id org_id"
        " processed_count source_system speed_items_per_min started_at status sync_id total_items"
        " updated_at"
    ),
}


def _in(names: Iterable[str]) -> str:
    return f"({', '.join(repr(name) for name in names)})"


def checks() -> None:
    """All seven."""
    tables()
    enums()
    row_security_policies()
    indexes()
    functions()
    trigger_calculation()
    isolation()
    reach()


def tables() -> None:
    """The three tables, their columns and their partitions."""
    pg.check(
        "1 Tables: three, with 10, 8 and 16 columns",
        f"""SELECT table_name, count(*), string_agg(column_name, ' ' ORDER BY column_name)
            FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name IN {_in(TABLES)}
            GROUP BY table_name
            ORDER BY table_name""",
        [(table, len(names.split()), names) for table, names in COLUMNS.items()],
    )
    pg.check(
        "1 Tables: today's activity has a partition of its month",
        """SELECT to_regclass(to_char(now() AT TIME ZONE 'UTC',
                                      '"public.sync_activity_log_"YYYY_MM')) IS NOT NULL""",
        [(True,)],
    )


def enums() -> None:
    """The four types with their labels in order."""
    pg.check(
        "2 Enum types: four, with their labels in order",
        f"""SELECT pg_type.typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
            FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
            WHERE pg_type.typnamespace = 'public'::regnamespace AND typname IN {_in(ENUMS)}
            GROUP BY typname
            ORDER BY typname""",
        [(name, ", ".join(labels)) for name, labels in sorted(ENUMS.items())],
    )


def row_security_policies() -> None:
    """The twelve policies, in force."""
    pg.check(
        "3 Policies: twelve, four per table",
        f"""SELECT tablename, policyname, cmd
            FROM pg_policies
            WHERE schemaname = 'public' AND tablename IN {_in(TABLES)}
              AND roles = ARRAY['{TENANT_ROLE}']::name[]
            ORDER BY tablename COLLATE "C", policyname COLLATE "C" """,
        sorted((policy.table, policy.name, policy.command) for policy in policies()),
    )
    pg.check(
        "3 Policies: row security is on",
        f"""SELECT relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname IN {_in(TABLES)}
              AND relrowsecurity
            ORDER BY relname""",
        [(table,) for table in sorted(TABLES)],
    )


def indexes() -> None:
    """Fifteen or more, each of its own use."""
    pg.check(
        "4 Indexes: at least fifteen",
        f"""SELECT count(*) >= 15 FROM pg_indexes
            WHERE schemaname = 'public' AND tablename IN {_in(TABLES)}""",
        [(True,)],
    )
    pg.check(
        "4 Indexes: all valid, and none is the beginning of another",
        f"""WITH keys AS (
              SELECT indexrelid, indrelid, indisvalid, indisunique, pg_am.amname,
                     pg_get_expr(indpred, indrelid) AS predicate,
                     (SELECT array_agg(pg_get_indexdef(indexrelid, n, true)
                                       || ' ' || indoption[n - 1]::text ORDER BY n)
                      FROM generate_series(1, indnkeyatts) AS n) AS columns
              FROM pg_index
              JOIN pg_class AS index ON index.oid = indexrelid
              JOIN pg_am ON pg_am.oid = index.relam
              WHERE indrelid IN (SELECT oid FROM pg_class
                                 WHERE relnamespace = 'public'::regnamespace
                                   AND relname IN {_in(TABLES)}))
            SELECT one.indexrelid::regclass::text, other.indexrelid::regclass::text
            FROM keys AS one
            LEFT JOIN keys AS other
              ON other.indexrelid <> one.indexrelid AND other.indrelid = one.indrelid
             AND other.amname = one.amname
             AND other.predicate IS NOT DISTINCT FROM one.predicate
             AND other.columns[:cardinality(one.columns)] = one.columns
            WHERE NOT one.indisvalid OR other.indexrelid IS NOT NULL
            ORDER BY 1, 2""",
        [],
    )


def functions() -> None:
    """Five functions, four triggers."""
    pg.check(
        "5 Functions: five",
        f"""SELECT routine_name FROM information_schema.routines
            WHERE routine_schema = 'public' AND routine_type = 'FUNCTION'
              AND routine_name IN {_in(FUNCTIONS)}
            ORDER BY routine_name COLLATE "C" """,
        [(name,) for name in sorted(FUNCTIONS)],
    )
    pg.check(
        "5 Triggers: four on sync_progress, enabled",
        f"""SELECT tgname FROM pg_trigger
            WHERE tgrelid = to_regclass('public.sync_progress') AND tgenabled = 'O'
              AND tgname IN {_in(TRIGGERS)}
            ORDER BY tgname COLLATE "C" """,
        [(name,) for name in sorted(TRIGGERS)],
    )


RUN = f"""INSERT INTO public.sync_progress
            (org_id, sync_id, entity_type, total_items, processed_count, source_system)
          VALUES ('{ORG_A}', 'verification', 'customer', 100, 0, 'woocommerce')"""

# Sets the start too: a slow connection between the two statements would count.
HALF_DONE = f"""UPDATE public.sync_progress
                SET processed_count = 50, current_item = 50, status = 'in_progress',
                    started_at = clock_timestamp() - interval '60.1 seconds'
                WHERE org_id = '{ORG_A}'"""


def trigger_calculation() -> None:
    """What the triggers make of a sync that began a minute ago."""
    pg.check(
        "6 Triggers: 50 of 100 after 60 seconds are 50 per minute and 60 seconds to go",
        """SELECT elapsed_seconds, round(speed_items_per_min)::integer, eta_seconds
           FROM public.sync_progress WHERE sync_id = 'verification'""",
        [(60, 50, 60)],
        setup=[*TENANTS, RUN, HALF_DONE],
    )
    pg.check(
        "6 Triggers: nothing to do and no time passed is no error",
        """SELECT elapsed_seconds, speed_items_per_min IS NULL, eta_seconds
           FROM public.sync_progress WHERE sync_id = 'verification'""",
        [(0, True, 0)],
        setup=[
            *TENANTS,
            f"""INSERT INTO public.sync_progress
                  (org_id, sync_id, entity_type, total_items, source_system)
                VALUES ('{ORG_A}', 'verification', 'order', 0, 'odoo')""",
        ],
    )
    pg.check(
        "6 Triggers: a sync that is over stays as long as it was, and start and end are logged",
        f"""SELECT progress.elapsed_seconds, progress.eta_seconds,
                   (SELECT string_agg(action || ' ' || status, ', ' ORDER BY created_at)
                    FROM public.sync_activity_log WHERE org_id = '{ORG_A}')
            FROM public.sync_progress AS progress WHERE sync_id = 'verification'""",
        [(60, 0, "sync_start in_progress, sync_complete completed")],
        setup=[
            *TENANTS,
            RUN,
            HALF_DONE,
            f"""UPDATE public.sync_progress SET processed_count = 100, status = 'completed',
                  completed_at = started_at + interval '60 seconds'
                WHERE org_id = '{ORG_A}'""",
            f"UPDATE public.sync_progress SET current_item = 100 WHERE org_id = '{ORG_A}'",
        ],
    )
    refused(
        "6 Triggers: more than the total is refused",
        f"UPDATE public.sync_progress SET processed_count = 99, failed_count = 2"
        f" WHERE org_id = '{ORG_A}'",
        error="check_violation",
        setup=[*TENANTS, RUN],
    )
