"""The sixth task: what 0024 stands on, and how its tables refer to that."""

# The statements are put together from constants of this package, never from input.

import pyinfra_postgres as pg

from .access import TENANT_ROLE
from .settings import settings
from .tasks import INTEGRATION, READINESS, there

ROLE = f"role {TENANT_ROLE}"
AUTH = "schema auth"
ORGANIZATION = "table public.organization"
USERS = "table auth.users_extended"
USAGE = f"USAGE on schema auth for {TENANT_ROLE}"
CURRENT_USER = "function auth.current_user_id()"
CURRENT_ORG = "function auth.current_org_id()"

# What each table of 0023 refers to.
_INFRASTRUCTURE = {
    "sync_retry_policy": [],
    "sync_schedule": ["sync_retry_policy"],
    "sync_job_queue": ["sync_schedule", "sync_retry_policy"],
    "sync_error_log": ["sync_job_queue"],
}

_TO_ORGANIZATION = "FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE"
_FOREIGN_KEYS = {
    "sync_activity_log": [_TO_ORGANIZATION],
    "sync_preview_cache": [
        "FOREIGN KEY (created_by) REFERENCES auth.users_extended(id) ON DELETE SET NULL",
        _TO_ORGANIZATION,
    ],
    "sync_progress": [_TO_ORGANIZATION],
}


def prerequisites() -> None:
    """What has to be there before 0024, the role, the privilege and the functions among it."""
    there(INTEGRATION, ROLE)
    there(INTEGRATION, AUTH)
    there(INTEGRATION, ORGANIZATION)
    there(INTEGRATION, USERS, needs=[AUTH, ORGANIZATION])
    pg.check(
        USAGE,
        f"SELECT has_schema_privilege('{TENANT_ROLE}', 'auth', 'USAGE')",
        [(True,)],
        task=INTEGRATION,
        needs=[ROLE, AUTH],
        otherwise="it is not granted, so that tenants do not come to what policies call",
    )
    there(INTEGRATION, CURRENT_USER, needs=[AUTH])
    there(INTEGRATION, CURRENT_ORG, needs=[CURRENT_USER, USERS])
    for table, others in _INFRASTRUCTURE.items():
        needs = [ORGANIZATION, *(f"table public.{other}" for other in others)]
        there(INTEGRATION, f"table public.{table}", needs=needs)
    _fixtures()


def _fixtures() -> None:
    given = settings()
    asked = "SELECT count(*) FROM public.organization WHERE slug = 'test-org'"
    pg.check(
        "the test organization and its user",
        """SELECT count(*) FROM public.organization
           JOIN auth.users_extended ON org_id = organization.id
           WHERE slug = 'test-org' AND email = 'test@example.com'""",
        [(1,)],
        task=INTEGRATION,
        needs=[ORGANIZATION, USERS],
        skip="" if given.fixtures else "the host data sync_fixtures does not ask for them",
        otherwise="they are missing",
    )
    pg.check(
        "no test organization where nobody asks for it",
        asked,
        [(0,)],
        task=READINESS,
        needs=[ORGANIZATION],
        skip="the host data sync_fixtures asks for it" if given.fixtures else "",
    )


def foreign_keys() -> None:
    """The foreign keys of the three tables, valid for all rows."""
    for table, definitions in _FOREIGN_KEYS.items():
        also = [USERS] if table == "sync_preview_cache" else []
        pg.check(
            f"foreign keys of public.{table}",
            f"""SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = 'public.{table}'::regclass AND contype = 'f' AND convalidated
                  AND pg_get_constraintdef(oid) IN ({", ".join(f"'{one}'" for one in definitions)})
                ORDER BY 1""",
            [(definition,) for definition in definitions],
            task=INTEGRATION,
            needs=[f"table public.{table}", ORGANIZATION, *also],
            disclosed=True,
        )
