"""The findings of advice that are as they should be, each with its reason."""

from collections.abc import Iterable, Iterator

import pyinfra_postgres as pg

from .access import TABLES
from .sync import TRIGGERS


def _each(rule: str, whats: Iterable[str], reason: str) -> Iterator[pg.Accepted]:
    return (pg.Accepted(rule, what, reason) for what in whats)


ACCEPTED = (
    *_each(
        "redundant-index",
        (
            "index public.idx_organization_slug",
            "index auth.idx_auth_users_email",
            "index auth.idx_auth_users_org",
        ),
        "the seed documents declare it",
    ),
    *_each(
        "pgrls SEC002",
        (f"table {name}" for name in TABLES),
        "the owner moves rows into partitions, counts what stands against a change and runs the "
        "workers; and auth.current_org_id reads organizations and users as their owner, because "
        "the policies of both call it: forced, they would call one another for ever",
    ),
    *_each(
        "pgrls SEC007",
        (f"table {name}" for name in TABLES),
        "each command has one policy for tenants, so there is no other that could let more through",
    ),
    *_each(
        "pgrls SEC013",
        (f"trigger {name} on public.sync_progress" for name in TRIGGERS),
        "its function runs with the rights of whoever writes, and not with its owner's; the only "
        "other table that one of them writes to is the activity log, whose policies judge that too",
    ),
    *_each(
        "pgrls SEC014",
        ("function auth.current_org_id()",),
        "it takes no argument, reads one row by the caller's own id and tells the caller's own "
        "organization; every name in its body has its schema, and its search path is closed",
    ),
    *_each(
        "pgrls SEC022",
        ("table public.sync_error_log",),
        "tenants read their errors, and the workers write them",
    ),
    *_each(
        "pgrls PERF003",
        (
            "policy sync_activity_log_insert on public.sync_activity_log",
            "policy sync_activity_log_update on public.sync_activity_log",
            "policy sync_job_queue_insert on public.sync_job_queue",
            "policy sync_schedule_tenant on public.sync_schedule",
        ),
        "its condition is a check of rows that are written, and looks up none",
    ),
    *_each(
        "squawk prefer-text-field",
        (
            *("table public.organization", "table auth.users_extended"),
            *("table public.sync_retry_policy", "table public.sync_schedule"),
            *("table public.sync_job_queue", "table public.sync_error_log"),
            *("table public.sync_progress", "table public.sync_activity_log"),
        ),
        "the seed documents declare the length, and a longer one takes no rewrite",
    ),
    *_each(
        "squawk prefer-bigint-over-int",
        (
            *("table public.sync_retry_policy", "table public.sync_job_queue"),
            *("table public.sync_error_log", "table public.sync_progress"),
            "table public.sync_activity_log",
        ),
        "it counts attempts, seconds and items of one synchronisation, and is no key",
    ),
    *_each(
        "squawk prefer-bigint-over-smallint",
        ("table public.sync_schedule", "table public.sync_job_queue"),
        "priorities are from 0 to 9",
    ),
)
