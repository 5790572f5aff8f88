"""The seed documents' eight validation tasks, corrected where they were wrong.

Each check runs in a transaction that is rolled back. It looks at the declared names alone and
brings its own tenants, so a database that holds other data passes too. What a check needs is
another check: where that fails, this one is blocked.
"""

# The statements are put together from constants of this package, never from input.

import pyinfra_postgres as pg

from .access import TENANT_ROLE
from .integration_checks import (
    AUTH,
    CURRENT_ORG,
    CURRENT_USER,
    ORGANIZATION,
    ROLE,
    USERS,
    foreign_keys,
    prerequisites,
)
from .isolation_checks import isolation
from .reach_checks import reach
from .rollback_checks import rollback
from .sync import ENUMS, FUNCTIONS, TABLES, TRIGGERS, policies
from .tasks import ENUM_TYPES, INDEXES, ROW_SECURITY, SCHEMA, TRIGGER_FUNCTIONS, in_list, there
from .tenants import ORG_A, TENANTS, refused

# By table the columns: name, type and "!" where it is NOT NULL.
_COLUMNS = {
    "sync_activity_log": """
        action sync_action !
        created_at timestamp with time zone !
        entity_type sync_entity_type
        error_message text
        id uuid !
        org_id uuid !
        record_count integer
        status sync_status_type !
        sync_id character varying(255)
        user_id uuid
    """,
    "sync_preview_cache": """
        created_at timestamp with time zone !
        created_by uuid
        entity_type sync_entity_type !
        expires_at timestamp with time zone !
        id uuid !
        org_id uuid !
        preview_data jsonb !
        sync_type sync_type !
    """,
    "sync_progress": """
        completed_at timestamp with time zone
        current_item integer !
        elapsed_seconds integer !
        entity_type sync_entity_type !
        eta_seconds bigint
        failed_count integer !
        id uuid !
        org_id uuid !
        processed_count integer !
        source_system sync_type !
        speed_items_per_min numeric(14,2)
        started_at timestamp with time zone !
        status sync_status_type !
        sync_id character varying(255) !
        total_items integer
        updated_at timestamp with time zone !
    """,
}
_TYPES = {
    "sync_activity_log": ["sync_action", "sync_entity_type", "sync_status_type"],
    "sync_preview_cache": ["sync_entity_type", "sync_type"],
    "sync_progress": ["sync_entity_type", "sync_status_type", "sync_type"],
}

# By table the indexes: name, method and columns.
_INDEXES = {
    "sync_activity_log": """
        idx_sync_activity_log_org_action btree (org_id, action, created_at DESC)
        idx_sync_activity_log_org_created btree (org_id, created_at DESC)
        idx_sync_activity_log_org_sync btree (org_id, sync_id, created_at DESC) \
            WHERE (sync_id IS NOT NULL)
        idx_sync_activity_log_problems btree (org_id, status, created_at DESC) \
            WHERE (status = ANY (ARRAY['completed_with_errors'::sync_status_type, \
            'failed'::sync_status_type, 'timeout'::sync_status_type]))
        idx_sync_activity_log_user btree (user_id, created_at DESC) WHERE (user_id IS NOT NULL)
        sync_activity_log_pkey btree (id, created_at)
    """,
    "sync_preview_cache": """
        idx_preview_cache_created_by btree (created_by) WHERE (created_by IS NOT NULL)
        idx_preview_cache_expires btree (expires_at)
        idx_preview_cache_lookup btree (org_id, sync_type, entity_type, created_at DESC)
        idx_preview_cache_org_expires btree (org_id, expires_at)
        sync_preview_cache_pkey btree (id)
    """,
    "sync_progress": """
        idx_sync_progress_active btree (org_id, updated_at DESC) WHERE (completed_at IS NULL)
        idx_sync_progress_org_started btree (org_id, started_at DESC)
        idx_sync_progress_org_status btree (org_id, status, updated_at DESC)
        idx_sync_progress_org_sync btree (org_id, sync_id)
        idx_sync_progress_stalled btree (updated_at) WHERE (completed_at IS NULL)
        idx_sync_progress_sync btree (sync_id, entity_type)
        sync_progress_pkey btree (id)
    """,
}


def checks() -> None:
    """All eight tasks, what others need first."""
    prerequisites()
    enums()
    tables()
    foreign_keys()
    indexes()
    functions()
    trigger_calculation()
    row_security_policies()
    isolation()
    reach()
    rollback()


def _lines(text: str) -> list[str]:
    """The lines of a table above; one that ends with a backslash goes on."""
    return [" ".join(line.split()) for line in text.replace("\\\n", " ").strip().splitlines()]


def enums() -> None:
    """The four types with their labels in order."""
    for name, labels in sorted(ENUMS.items()):
        there(ENUM_TYPES, f"type public.{name}")
        pg.check(
            f"labels of public.{name}",
            f"""SELECT enumlabel::text FROM pg_enum
                WHERE enumtypid = 'public.{name}'::regtype ORDER BY enumsortorder""",
            [(label,) for label in labels],
            task=ENUM_TYPES,
            needs=f"type public.{name}",
            disclosed=True,
        )


def tables() -> None:
    """The three tables, their columns and their partitions."""
    for table in sorted(TABLES):
        there(
            SCHEMA,
            f"table public.{table}",
            needs=[
                ORGANIZATION,
                *([USERS] if table == "sync_preview_cache" else []),
                *(f"type public.{name}" for name in _TYPES[table]),
            ],
        )
        _columns(table)
    month = "'\"public.sync_activity_log_\"YYYY_MM'"
    for when, title in {
        "now()": "today's activity has a partition of its month",
        "now() + interval '1 month'": "next month's activity has a partition",
    }.items():
        pg.check(
            title,
            f"SELECT to_regclass(to_char(({when}) AT TIME ZONE 'UTC', {month})) IS NOT NULL",
            [(True,)],
            task=SCHEMA,
            needs="table public.sync_activity_log",
            otherwise="it is missing: a deploy adds it",
        )


def _columns(table: str) -> None:
    lines = _lines(_COLUMNS[table])
    names = [line.split()[0] for line in lines]
    pg.check(
        f"columns of public.{table}",
        f"""SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod),
                             CASE WHEN attnotnull THEN '!' END)
            FROM pg_attribute
            WHERE attrelid = 'public.{table}'::regclass AND attname IN {in_list(names)}
            ORDER BY attname COLLATE "C" """,
        [(line,) for line in lines],
        task=SCHEMA,
        needs=f"table public.{table}",
        disclosed=True,
    )
    pg.check(
        f"no other columns in public.{table}",
        f"""SELECT attname::text FROM pg_attribute
            WHERE attrelid = 'public.{table}'::regclass AND attnum > 0 AND NOT attisdropped
              AND attname NOT IN {in_list(names)}
            ORDER BY attnum""",
        [],
        task=SCHEMA,
        needs=f"table public.{table}",
        disclosed=True,
    )


def row_security_policies() -> None:
    """The twelve policies, in force."""
    for table in sorted(TABLES):
        needs = [f"table public.{table}", ROLE]
        pg.check(
            f"row security of public.{table}",
            f"SELECT relrowsecurity FROM pg_class WHERE oid = 'public.{table}'::regclass",
            [(True,)],
            task=ROW_SECURITY,
            needs=needs,
            otherwise="it is off",
        )
        pg.check(
            f"four policies of public.{table}",
            f"""SELECT policyname::text, cmd
                FROM pg_policies
                WHERE schemaname = 'public' AND tablename = '{table}'
                  AND roles = ARRAY['{TENANT_ROLE}']::name[] AND permissive = 'PERMISSIVE'
                ORDER BY policyname COLLATE "C" """,
            sorted((one.name, one.command) for one in policies() if one.table == table),
            task=ROW_SECURITY,
            needs=[*needs, AUTH, USERS, CURRENT_ORG],
            disclosed=True,
        )


def indexes() -> None:
    """Eighteen, each of its own use."""
    for table in sorted(TABLES):
        lines = _lines(_INDEXES[table])
        pg.check(
            f"indexes of public.{table}",
            f"""SELECT relname || substring(pg_get_indexdef(indexrelid), ' USING( .*)')
                FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = 'public.{table}'::regclass AND indisvalid
                  AND relname IN {in_list([line.split()[0] for line in lines])}
                ORDER BY relname COLLATE "C" """,
            [(line,) for line in lines],
            task=INDEXES,
            needs=[f"table public.{table}", f"columns of public.{table}"],
            disclosed=True,
        )
    pg.check(
        "every index is valid, and none is the beginning of another",
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
                                   AND relname IN {in_list(TABLES)}))
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
        task=INDEXES,
        needs=[f"table public.{table}" for table in TABLES],
        disclosed=True,
    )


def functions() -> None:
    """Five functions, four triggers."""
    for name in sorted(FUNCTIONS):
        there(TRIGGER_FUNCTIONS, f"function public.{name}()")
    for name, (when, function) in sorted(TRIGGERS.items()):
        pg.check(
            f"trigger {name} on public.sync_progress",
            f"""SELECT CASE tgenabled WHEN 'O' THEN 'on' ELSE 'off' END,
                       substring(pg_get_triggerdef(oid), '(?:BEFORE|AFTER) .*')
                FROM pg_trigger
                WHERE tgrelid = 'public.sync_progress'::regclass AND tgname = '{name}'""",
            [("on", f"{when} ON public.sync_progress FOR EACH ROW EXECUTE FUNCTION {function}")],
            task=TRIGGER_FUNCTIONS,
            needs=[
                "table public.sync_progress",
                "columns of public.sync_progress",
                f"function public.{function}",
            ],
            disclosed=True,
        )


RUN = f"""INSERT INTO public.sync_progress
            (org_id, sync_id, entity_type, total_items, processed_count, source_system)
          VALUES ('{ORG_A}', 'verification', 'customer', 100, 0, 'woocommerce')"""

# Sets the start too: a slow connection between the two statements would count.
HALF_DONE = f"""UPDATE public.sync_progress
                SET processed_count = 50, current_item = 50, status = 'in_progress',
                    started_at = clock_timestamp() - interval '60.1 seconds'
                WHERE org_id = '{ORG_A}'"""


# All that the statements above write to, and set off.
_CALCULATION = (
    ORGANIZATION,
    USERS,
    CURRENT_USER,
    "columns of public.sync_progress",
    "columns of public.sync_activity_log",
    *(f"trigger {name} on public.sync_progress" for name in TRIGGERS),
)


def trigger_calculation() -> None:
    """What the triggers make of a sync that began a minute ago."""
    pg.check(
        "50 of 100 after 60 seconds are 50 per minute and 60 seconds to go",
        """SELECT elapsed_seconds, round(speed_items_per_min)::integer, eta_seconds
           FROM public.sync_progress WHERE sync_id = 'verification'""",
        [(60, 50, 60)],
        task=TRIGGER_FUNCTIONS,
        needs=_CALCULATION,
        disclosed=True,
        setup=[*TENANTS, RUN, HALF_DONE],
    )
    pg.check(
        "nothing to do and no time passed is no error",
        """SELECT elapsed_seconds, speed_items_per_min IS NULL, eta_seconds
           FROM public.sync_progress WHERE sync_id = 'verification'""",
        [(0, True, 0)],
        task=TRIGGER_FUNCTIONS,
        needs=_CALCULATION,
        disclosed=True,
        setup=[
            *TENANTS,
            f"""INSERT INTO public.sync_progress
                  (org_id, sync_id, entity_type, total_items, source_system)
                VALUES ('{ORG_A}', 'verification', 'order', 0, 'odoo')""",
        ],
    )
    pg.check(
        "a sync that is over stays as long as it was, and start and end are logged",
        f"""SELECT progress.elapsed_seconds, progress.eta_seconds,
                   (SELECT string_agg(action || ' ' || status, ', ' ORDER BY created_at)
                    FROM public.sync_activity_log WHERE org_id = '{ORG_A}')
            FROM public.sync_progress AS progress WHERE sync_id = 'verification'""",
        [(60, 0, "sync_start in_progress, sync_complete completed")],
        task=TRIGGER_FUNCTIONS,
        needs=_CALCULATION,
        disclosed=True,
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
        "more than the total is refused",
        f"UPDATE public.sync_progress SET processed_count = 99, failed_count = 2"
        f" WHERE org_id = '{ORG_A}'",
        error="check_violation",
        task=TRIGGER_FUNCTIONS,
        needs=_CALCULATION,
        setup=[*TENANTS, RUN],
    )
