"""What tenants may do with which table and function: the deploy grants it, `verify.py` expects it.

Where it is enough, tenants have a privilege on columns and not on the table. UPDATE or DELETE on a
whole table would let them lock it against everybody, and set what is for workers to say.
"""

from collections.abc import Mapping

import pyinfra_postgres as pg

from .settings import settings

TENANT_ROLE = "authenticated"
"""The role in which the application works for a tenant."""

DATA_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")

_RETRY_POLICY = "name, max_attempts, backoff, base_delay, max_delay, jitter"
_SCHEDULE = (
    "name, job_type, payload, cron_expression, run_every, timezone, priority, retry_policy_id, "
    "is_active"
)
_JOB = "schedule_id, retry_policy_id, job_type, payload, dedupe_key, priority, max_attempts, run_at"
_EVERYTHING = dict.fromkeys(DATA_PRIVILEGES, "")

# By table and privilege the columns, "" for all of the table.
_STRICT: dict[str, Mapping[str, str]] = {
    "public.organization": {"SELECT": "", "UPDATE": "name, slug, description, updated_at"},
    "auth.users_extended": {"SELECT": "", "UPDATE": "email, full_name, avatar_url, updated_at"},
    "public.sync_retry_policy": {
        "SELECT": "",
        "INSERT": f"org_id, id, {_RETRY_POLICY}",
        "UPDATE": f"{_RETRY_POLICY}, updated_at",
    },
    # No DELETE: a schedule takes its jobs with it, and they are the workers'.
    "public.sync_schedule": {
        "SELECT": "",
        "INSERT": f"org_id, id, {_SCHEDULE}",
        "UPDATE": f"{_SCHEDULE}, updated_at",
    },
    "public.sync_job_queue": {"SELECT": "", "INSERT": f"org_id, id, {_JOB}"},
    "public.sync_error_log": {"SELECT": ""},
    # The seed documents have policies for all four commands on these.
    "public.sync_preview_cache": _EVERYTHING,
    "public.sync_progress": _EVERYTHING,
    "public.sync_activity_log": _EVERYTHING,
}
TABLES = tuple(sorted(_STRICT))
"""The tables that tenants reach."""
_SEEDS = _STRICT | dict.fromkeys(["public.organization", "auth.users_extended"], _EVERYTHING)

TENANT_FUNCTIONS = (
    "auth.current_user_id()",
    "auth.current_org_id()",
    "public.auto_cleanup_preview_cache()",
)
"""The functions that tenants call. Triggers need no privilege of whoever sets them off."""


def tenant_privileges() -> Mapping[str, Mapping[str, str]]:
    """By table and privilege the columns on which tenants have it, "" for all of the table."""
    return _SEEDS if settings().isolation == "seeds" else _STRICT


def grant_table(table: str) -> None:
    """Declare that tenants have these privileges on a table, and no others."""
    privileges = [
        f"{privilege} ({columns})" if columns else privilege
        for privilege, columns in tenant_privileges()[table].items()
    ]
    pg.grant(privileges, on=f"TABLE {table}", to=TENANT_ROLE, exact=True)


def grant_function(function: str) -> None:
    """Declare that of all roles tenants alone call a function, or not even they."""
    pg.grant(["EXECUTE"], on=f"FUNCTION {function}", to="PUBLIC", present=False)
    present = function in TENANT_FUNCTIONS
    pg.grant(["EXECUTE"], on=f"FUNCTION {function}", to=TENANT_ROLE, present=present)
