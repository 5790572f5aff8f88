"""Previews, progress and the activity log of synchronisations (0024), in seven parts.

Each part is named as the migration prints it. The seed documents are the source of the names, the
columns' number and what the triggers calculate.
"""

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import deploy

import pyinfra_postgres as pg

from .access import DATA_PRIVILEGES, TENANT_ROLE, grant_function, grant_table
from .bounds import mebibytes, times
from .functions import SEARCH_PATH, function_body
from .isolation import CURRENT_USER, OWN_ORG, Policy, tenant_policy

ENUMS = {
    "sync_type": ["woocommerce", "odoo", "shopify", "custom"],
    "sync_action": [
        "preview_delta",
        "sync_start",
        "sync_complete",
        "batch_process",
        "error_recovery",
        "manual_trigger",
        "scheduled_run",
        "partial_resume",
    ],
    "sync_entity_type": [
        "customer",
        "product",
        "order",
        "invoice",
        "supplier",
        "inventory",
        "category",
        "attribute",
    ],
    "sync_status_type": [
        "pending",
        "in_progress",
        "completed",
        "completed_with_errors",
        "failed",
        "cancelled",
        "paused",
        "timeout",
    ],
}

TABLES = ("sync_preview_cache", "sync_progress", "sync_activity_log")

TRIGGERS = {
    "sync_progress_update_elapsed": (
        "BEFORE INSERT OR UPDATE",
        "update_sync_progress_elapsed()",
    ),
    "sync_progress_validate_totals": (
        "BEFORE INSERT OR UPDATE",
        "validate_sync_progress_totals()",
    ),
    "sync_progress_update_timestamp": (
        "BEFORE UPDATE",
        "update_sync_progress_timestamp()",
    ),
    "sync_progress_log_completion": (
        "AFTER INSERT OR UPDATE OF status",
        "auto_log_sync_activity_on_progress_change()",
    ),
}

# The first is called by hand or by a schedule, the others by the triggers.
FUNCTIONS = {
    "auto_cleanup_preview_cache": "Deletes the expired previews and returns how many there were.",
    "update_sync_progress_elapsed": "Elapsed seconds, speed and time to go of a sync's progress.",
    "validate_sync_progress_totals": "Refuses counts that can't be.",
    "update_sync_progress_timestamp": "Keeps sync_progress.updated_at.",
    "auto_log_sync_activity_on_progress_change": "Logs each change of a sync's status.",
}

_FIRST_MONTH = "2025-11"

# Nobody signs for another user. Nor for another time: rows of a month that has no partition would
# land in the default partition, and stand against the partitions of the months to come.
_OWN_NAME = f"user_id = {CURRENT_USER} OR user_id IS NULL"
_COLLEAGUE = f"SELECT id FROM auth.users_extended WHERE {OWN_ORG}"
_IN_ITS_MONTH = (
    f"created_at >= '{_FIRST_MONTH}-01 00:00:00+00'"
    " AND created_at < pg_catalog.now() + interval '1 day'"
)


def sync() -> None:
    """All seven parts."""
    enum_types()
    preview_cache()
    progress()
    activity_log()
    row_security()
    trigger_functions()
    permissions()


@deploy("0024 | 1/7 Enum types")
def enum_types() -> None:
    """What is synchronised, from where, and how it stands."""
    for name, labels in host.loop(ENUMS.items()):
        pg.enum(name, labels)


@deploy("0024 | 2/7 sync_preview_cache")
def preview_cache() -> None:
    """What a sync would change, kept for an hour."""
    pg.table(
        "sync_preview_cache",
        [
            pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()"),
            pg.Column("org_id", "uuid", nullable=False),
            pg.Column("sync_type", "sync_type", nullable=False),
            pg.Column("entity_type", "sync_entity_type", nullable=False),
            pg.Column("preview_data", "jsonb", nullable=False),
            pg.Column("created_by", "uuid"),
            # The same moment in both defaults, and a full hour also late in a transaction.
            pg.Column("created_at", "timestamptz", nullable=False, default="statement_timestamp()"),
            pg.Column(
                "expires_at",
                "timestamptz",
                nullable=False,
                default="statement_timestamp() + interval '1 hour'",
            ),
        ],
        constraints=[
            pg.ForeignKey("org_id", references="organization(id)", on_delete="CASCADE"),
            pg.ForeignKey("created_by", references="auth.users_extended(id)", on_delete="SET NULL"),
            pg.Check("expires_at > created_at", name="sync_preview_cache_expires_check"),
            pg.Check(times("created_at", "expires_at"), name="sync_preview_cache_times_check"),
            pg.Check(mebibytes("preview_data", 16), name="sync_preview_cache_data_check"),
        ],
        comment="Previews of what a sync would change. They live for an hour.",
    )
    table = "sync_preview_cache"
    pg.index(
        "idx_preview_cache_lookup", table, ["org_id", "sync_type", "entity_type", "created_at DESC"]
    )
    pg.index("idx_preview_cache_expires", table, ["expires_at"])
    pg.index("idx_preview_cache_org_expires", table, ["org_id", "expires_at"])
    pg.index("idx_preview_cache_created_by", table, ["created_by"], where="created_by IS NOT NULL")


@deploy("0024 | 3/7 sync_progress")
def progress() -> None:
    """How far each sync has come."""
    pg.table(
        "sync_progress",
        [
            pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()"),
            pg.Column("org_id", "uuid", nullable=False),
            pg.Column("sync_id", "varchar(255)", nullable=False),
            pg.Column("entity_type", "sync_entity_type", nullable=False),
            pg.Column("source_system", "sync_type", nullable=False),
            pg.Column("current_item", "integer", nullable=False, default="0"),
            pg.Column("total_items", "integer", comment="NULL while it is not known"),
            pg.Column("processed_count", "integer", nullable=False, default="0"),
            pg.Column("failed_count", "integer", nullable=False, default="0"),
            pg.Column(
                "elapsed_seconds",
                "integer",
                nullable=False,
                default="0",
                comment="From started_at to completed_at, or to the last update",
            ),
            pg.Column(
                "speed_items_per_min",
                "numeric(14,2)",
                comment="NULL within the first second",
            ),
            pg.Column(
                "eta_seconds", "bigint", comment="NULL while the total or the speed is not known"
            ),
            pg.Column("status", "sync_status_type", nullable=False, default="'pending'"),
            # now() would be the start of the transaction, which can be long before.
            pg.Column("started_at", "timestamptz", nullable=False, default="clock_timestamp()"),
            pg.Column("updated_at", "timestamptz", nullable=False, default="clock_timestamp()"),
            pg.Column("completed_at", "timestamptz"),
        ],
        constraints=[
            pg.ForeignKey("org_id", references="organization(id)", on_delete="CASCADE"),
            pg.Check(
                times("started_at", "updated_at", "completed_at"),
                name="sync_progress_finite_check",
            ),
        ],
        comment="How far each sync has come. Triggers calculate elapsed time, speed and ETA.",
    )
    table = "sync_progress"
    pg.index("idx_sync_progress_org_sync", table, ["org_id", "sync_id"])
    pg.index("idx_sync_progress_sync", table, ["sync_id", "entity_type"])
    pg.index("idx_sync_progress_org_status", table, ["org_id", "status", "updated_at DESC"])
    pg.index("idx_sync_progress_org_started", table, ["org_id", "started_at DESC"])
    pg.index(
        "idx_sync_progress_active",
        table,
        ["org_id", "updated_at DESC"],
        where="completed_at IS NULL",
    )
    pg.index("idx_sync_progress_stalled", table, ["updated_at"], where="completed_at IS NULL")


@deploy("0024 | 4/7 sync_activity_log")
def activity_log() -> None:
    """What was done, by month."""
    pg.table(
        "sync_activity_log",
        [
            pg.Column("id", "uuid", nullable=False, default="gen_random_uuid()"),
            pg.Column("org_id", "uuid", nullable=False),
            pg.Column("sync_id", "varchar(255)"),
            pg.Column("entity_type", "sync_entity_type"),
            pg.Column("action", "sync_action", nullable=False),
            pg.Column("status", "sync_status_type", nullable=False),
            pg.Column("record_count", "integer"),
            pg.Column("error_message", "text"),
            # No foreign key: the log still says who it was when the user is gone.
            pg.Column("user_id", "uuid"),
            pg.Column("created_at", "timestamptz", nullable=False, default="clock_timestamp()"),
        ],
        constraints=[
            # The key of a partitioned table has to contain what it is partitioned by.
            pg.PrimaryKey("id", "created_at"),
            pg.ForeignKey("org_id", references="organization(id)", on_delete="CASCADE"),
            pg.Check("record_count >= 0", name="sync_activity_log_record_count_check"),
            pg.Check(times("created_at"), name="sync_activity_log_created_check"),
            pg.Check("char_length(error_message) <= 10000", name="sync_activity_log_message_check"),
        ],
        partition_by="RANGE (created_at)",
        comment="What was done for whom, partitioned by month.",
    )
    pg.partitions("sync_activity_log", every="month", start=_FIRST_MONTH, ahead=4, default=True)
    table = "sync_activity_log"
    pg.index("idx_sync_activity_log_org_created", table, ["org_id", "created_at DESC"])
    pg.index("idx_sync_activity_log_org_action", table, ["org_id", "action", "created_at DESC"])
    pg.index(
        "idx_sync_activity_log_org_sync",
        table,
        ["org_id", "sync_id", "created_at DESC"],
        where="sync_id IS NOT NULL",
    )
    pg.index(
        "idx_sync_activity_log_problems",
        table,
        ["org_id", "status", "created_at DESC"],
        where="status IN ('completed_with_errors', 'failed', 'timeout')",
    )
    pg.index(
        "idx_sync_activity_log_user",
        table,
        ["user_id", "created_at DESC"],
        where="user_id IS NOT NULL",
    )


def policies() -> Iterator[Policy]:
    """The twelve policies: own rows only, for each command on each table."""
    checks = {
        "sync_preview_cache": {
            "INSERT": f"created_by = {CURRENT_USER} OR created_by IS NULL",
            "UPDATE": f"created_by IN ({_COLLEAGUE}) OR created_by IS NULL",
        },
        "sync_activity_log": {
            "INSERT": f"({_OWN_NAME}) AND {_IN_ITS_MONTH}",
            "UPDATE": f"(user_id IN ({_COLLEAGUE}) OR user_id IS NULL) AND {_IN_ITS_MONTH}",
        },
    }
    for table in TABLES:
        # The seed documents name the cache's policies without the prefix.
        prefix = table.replace("sync_preview", "preview")
        for command in DATA_PRIVILEGES:
            further = checks.get(table, {}).get(command)
            check = f"{OWN_ORG} AND ({further})" if further else OWN_ORG
            yield Policy(
                f"{prefix}_{command.lower()}",
                table,
                command,
                using=OWN_ORG if command != "INSERT" else None,
                check=check if command in ("INSERT", "UPDATE") else None,
            )


@deploy("0024 | 5/7 Row security")
def row_security() -> None:
    """Tenants reach their own rows, through the tables and not through the partitions."""
    for table in host.loop(TABLES):
        pg.table(table, row_security=True)
    for policy in host.loop(list(policies())):
        tenant_policy(policy)


@deploy("0024 | 6/7 Trigger functions")
def trigger_functions() -> None:
    """Five functions, all with the rights of their caller, and four triggers."""
    for name, comment in host.loop(FUNCTIONS.items()):
        pg.function(
            name,
            arguments="",
            returns="integer" if name == "auto_cleanup_preview_cache" else "trigger",
            language="plpgsql",
            body=function_body(name),
            settings={"search_path": SEARCH_PATH},
            comment=comment,
        )
    for name, (when, function) in host.loop(TRIGGERS.items()):
        pg.trigger(name, "sync_progress", when=when, function=function, for_each="ROW")


@deploy("0024 | 7/7 Permissions")
def permissions() -> None:
    """What the tenants' role may do; row security says with which rows."""
    for table in host.loop(TABLES):
        grant_table(f"public.{table}")
    for function in host.loop(FUNCTIONS):
        grant_function(f"public.{function}()")
    # What 0023 and 0024 added since the identity phase.
    pg.grant(["USAGE", "SELECT"], on="ALL SEQUENCES IN SCHEMA public", to=TENANT_ROLE)


def withdraw_sync() -> None:
    """Everything above in the seed documents' order, and nothing else."""
    withdraw_policies()
    withdraw_triggers()
    withdraw_tables()


@deploy("0024 | Rollback 1/3 Row security")
def withdraw_policies() -> None:
    """Policies first, then row security itself."""
    for policy in host.loop(reversed(list(policies()))):
        tenant_policy(policy, present=False)
    for table in host.loop(reversed(TABLES)):
        pg.table(table, row_security=False)


@deploy("0024 | Rollback 2/3 Trigger functions")
def withdraw_triggers() -> None:
    """Triggers before the functions that they call."""
    for name in host.loop(reversed(TRIGGERS)):
        pg.trigger(name, "sync_progress", present=False)
    for name in host.loop(reversed(FUNCTIONS)):
        pg.function(name, arguments="", present=False)


@deploy("0024 | Rollback 3/3 Tables and enum types")
def withdraw_tables() -> None:
    """Tables before the types of their columns. Partitions go with their table."""
    for table in host.loop(reversed(TABLES)):
        pg.table(table, present=False)
    for enum in host.loop(reversed(ENUMS)):
        pg.enum(enum, present=False)
