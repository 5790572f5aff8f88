"""How work is scheduled, queued, retried and recorded (0023).

Every key begins with the organization, and so does every reference: no row can name a row of
another tenant. Nothing here uses a type of 0024, which is rolled back without asking 0023.
"""

from collections.abc import Sequence

from pyinfra.api import deploy

import pyinfra_postgres as pg

from .bounds import mebibytes, times

ORGANIZATION = pg.ForeignKey("org_id", references="organization(id)", on_delete="CASCADE")


@deploy("0023 | Sync infrastructure")
def infrastructure() -> None:
    """The four tables in the order in which they refer to each other."""
    _retry_policy()
    _schedule()
    _job_queue()
    _error_log()


def _keys() -> list[pg.Column]:
    return [
        pg.Column("org_id", "uuid", nullable=False),
        pg.Column("id", "uuid", nullable=False, default="gen_random_uuid()"),
    ]


def _times() -> list[pg.Column]:
    return [
        pg.Column("created_at", "timestamptz", nullable=False, default="now()"),
        pg.Column("updated_at", "timestamptz", nullable=False, default="now()"),
    ]


def _one_of(column: str, labels: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(repr(label) for label in labels)})"


def _retry_policy() -> None:
    pg.table(
        "sync_retry_policy",
        [
            *_keys(),
            pg.Column("name", "varchar(100)", nullable=False),
            pg.Column("max_attempts", "integer", nullable=False, default="5"),
            pg.Column("backoff", "varchar(20)", nullable=False, default="'exponential'"),
            pg.Column("base_delay", "interval", nullable=False, default="'30 seconds'"),
            pg.Column("max_delay", "interval", nullable=False, default="'1 hour'"),
            pg.Column(
                "jitter",
                "numeric(3,2)",
                nullable=False,
                default="0.10",
                comment="The share of a delay that is random, so that retries do not come at once",
            ),
            *_times(),
        ],
        constraints=[
            pg.PrimaryKey("org_id", "id"),
            pg.Unique("org_id", "name"),
            ORGANIZATION,
            pg.Check("max_attempts BETWEEN 1 AND 100", name="sync_retry_policy_attempts_check"),
            pg.Check(
                _one_of("backoff", ["fixed", "linear", "exponential"]),
                name="sync_retry_policy_backoff_check",
            ),
            pg.Check(
                "base_delay > interval '0' AND max_delay BETWEEN base_delay AND interval '30 days'",
                name="sync_retry_policy_delay_check",
            ),
            pg.Check("jitter BETWEEN 0 AND 1", name="sync_retry_policy_jitter_check"),
        ],
        comment="How often and how soon a failed job is tried again.",
    )


def _schedule() -> None:
    pg.table(
        "sync_schedule",
        [
            *_keys(),
            pg.Column("name", "varchar(100)", nullable=False),
            pg.Column("job_type", "varchar(50)", nullable=False),
            pg.Column("payload", "jsonb", nullable=False, default="'{}'"),
            pg.Column("cron_expression", "varchar(120)"),
            pg.Column("run_every", "interval"),
            pg.Column("timezone", "varchar(64)", nullable=False, default="'UTC'"),
            pg.Column("priority", "smallint", nullable=False, default="5"),
            pg.Column("retry_policy_id", "uuid"),
            pg.Column("is_active", "boolean", nullable=False, default="true"),
            pg.Column("last_run_at", "timestamptz"),
            pg.Column("next_run_at", "timestamptz"),
            *_times(),
        ],
        constraints=[
            pg.PrimaryKey("org_id", "id"),
            pg.Unique("org_id", "name"),
            ORGANIZATION,
            pg.ForeignKey(
                "org_id",
                "retry_policy_id",
                references="sync_retry_policy(org_id, id)",
                name="sync_schedule_retry_policy_fkey",
            ),
            pg.Check(
                "num_nonnulls(cron_expression, run_every) = 1", name="sync_schedule_when_check"
            ),
            pg.Check(
                "run_every BETWEEN interval '1 second' AND interval '366 days'",
                name="sync_schedule_run_every_check",
            ),
            pg.Check("priority BETWEEN 0 AND 9", name="sync_schedule_priority_check"),
            pg.Check(mebibytes("payload", 1), name="sync_schedule_payload_check"),
        ],
        comment="What is to run regularly: by cron expression or at an interval.",
    )
    pg.index("idx_sync_schedule_due", "sync_schedule", ["next_run_at"], where="is_active")
    pg.index("idx_sync_schedule_retry_policy", "sync_schedule", ["org_id", "retry_policy_id"])


def _job_queue() -> None:
    pg.table(
        "sync_job_queue",
        [
            *_keys(),
            pg.Column("schedule_id", "uuid", comment="The schedule it comes from, if any"),
            pg.Column("retry_policy_id", "uuid"),
            pg.Column("job_type", "varchar(50)", nullable=False),
            pg.Column("payload", "jsonb", nullable=False, default="'{}'"),
            pg.Column(
                "dedupe_key",
                "varchar(255)",
                comment="Of the jobs with the same key, one at a time is queued or running",
            ),
            pg.Column(
                "priority",
                "smallint",
                nullable=False,
                default="5",
                comment="0 is served first; tenants have 5 to 9",
            ),
            pg.Column("status", "varchar(20)", nullable=False, default="'queued'"),
            pg.Column("attempts", "integer", nullable=False, default="0"),
            pg.Column("max_attempts", "integer", nullable=False, default="5"),
            pg.Column(
                "run_at",
                "timestamptz",
                nullable=False,
                default="now()",
                comment="Not before; a retry moves it by its backoff",
            ),
            pg.Column("locked_by", "varchar(255)", comment="The worker that runs it"),
            pg.Column("locked_at", "timestamptz"),
            pg.Column(
                "lock_expires_at",
                "timestamptz",
                comment="From then on another worker may take it: its worker is presumed dead",
            ),
            pg.Column("last_error", "text"),
            pg.Column("finished_at", "timestamptz"),
            *_times(),
        ],
        constraints=[
            pg.PrimaryKey("org_id", "id"),
            ORGANIZATION,
            pg.ForeignKey(
                "org_id",
                "schedule_id",
                references="sync_schedule(org_id, id)",
                on_delete="CASCADE",
                name="sync_job_queue_schedule_fkey",
            ),
            pg.ForeignKey(
                "org_id",
                "retry_policy_id",
                references="sync_retry_policy(org_id, id)",
                name="sync_job_queue_retry_policy_fkey",
            ),
            pg.Check("priority BETWEEN 0 AND 9", name="sync_job_queue_priority_check"),
            pg.Check(times("run_at"), name="sync_job_queue_run_at_check"),
            pg.Check(mebibytes("payload", 1), name="sync_job_queue_payload_check"),
            pg.Check(
                _one_of("status", ["queued", "running", "succeeded", "failed", "cancelled"]),
                name="sync_job_queue_status_check",
            ),
            pg.Check(
                "max_attempts BETWEEN 1 AND 100 AND attempts BETWEEN 0 AND max_attempts",
                name="sync_job_queue_attempts_check",
            ),
            # A job that runs has a worker and a lease; one that doesn't has neither.
            pg.Check(
                "num_nonnulls(locked_by, locked_at, lock_expires_at)"
                " = CASE WHEN status = 'running' THEN 3 ELSE 0 END",
                name="sync_job_queue_lock_check",
            ),
        ],
        comment=(
            "Jobs for workers, which take the next with FOR UPDATE SKIP LOCKED "
            "in the order of priority and run_at."
        ),
    )
    pg.index(
        "idx_sync_job_queue_ready",
        "sync_job_queue",
        ["priority", "run_at"],
        where="status = 'queued'",
    )
    pg.index(
        "idx_sync_job_queue_leases",
        "sync_job_queue",
        ["lock_expires_at"],
        where="status = 'running'",
    )
    pg.index(
        "idx_sync_job_queue_dedupe",
        "sync_job_queue",
        ["org_id", "dedupe_key"],
        unique=True,
        where="status IN ('queued', 'running')",
    )
    pg.index("idx_sync_job_queue_org", "sync_job_queue", ["org_id", "status", "created_at DESC"])
    pg.index("idx_sync_job_queue_schedule", "sync_job_queue", ["org_id", "schedule_id"])
    pg.index("idx_sync_job_queue_retry_policy", "sync_job_queue", ["org_id", "retry_policy_id"])


def _error_log() -> None:
    pg.table(
        "sync_error_log",
        [
            *_keys(),
            pg.Column("job_id", "uuid"),
            pg.Column("attempt", "integer"),
            pg.Column("error_code", "varchar(50)"),
            pg.Column("message", "text", nullable=False),
            pg.Column("details", "jsonb", nullable=False, default="'{}'"),
            pg.Column("is_retryable", "boolean", nullable=False, default="true"),
            pg.Column("occurred_at", "timestamptz", nullable=False, default="now()"),
            pg.Column("resolved_at", "timestamptz"),
        ],
        constraints=[
            pg.PrimaryKey("org_id", "id"),
            ORGANIZATION,
            pg.ForeignKey(
                "org_id",
                "job_id",
                references="sync_job_queue(org_id, id)",
                on_delete="CASCADE",
                name="sync_error_log_job_fkey",
            ),
            pg.Check("attempt >= 1", name="sync_error_log_attempt_check"),
            pg.Check("resolved_at >= occurred_at", name="sync_error_log_resolved_check"),
        ],
        comment="What went wrong, attempt by attempt.",
    )
    pg.index("idx_sync_error_log_org", "sync_error_log", ["org_id", "occurred_at DESC"])
    pg.index("idx_sync_error_log_job", "sync_error_log", ["org_id", "job_id", "attempt"])
    pg.index(
        "idx_sync_error_log_open",
        "sync_error_log",
        ["occurred_at"],
        where="resolved_at IS NULL",
    )
