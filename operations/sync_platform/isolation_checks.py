"""The second task, by what happens: two tenants, one of whom tries to reach the other."""

# The statements are put together from constants of this package, never from input.

from pyinfra import host

import pyinfra_postgres as pg

from .access import DATA_PRIVILEGES, TENANT_ROLE
from .integration_checks import CURRENT_ORG, ORGANIZATION, ROLE, USAGE, USERS
from .settings import settings
from .sync import TABLES
from .tasks import READINESS, ROW_SECURITY
from .tenants import (
    ORG_A,
    ORG_B,
    ROWS_OF_BOTH,
    TENANTS,
    USER_A,
    USER_B,
    USER_CLOSED,
    USER_LEFT,
    as_tenant,
    refused,
    unique_id,
)

AS_USER_A = [*TENANTS, *ROWS_OF_BOTH, *as_tenant(USER_A)]

NEW_ROWS = {
    "sync_preview_cache": f"""INSERT INTO public.sync_preview_cache
        (org_id, sync_type, entity_type, preview_data)
        VALUES ('{ORG_B}', 'odoo', 'order', '{{}}')""",
    "sync_progress": f"""INSERT INTO public.sync_progress
        (org_id, sync_id, entity_type, source_system) VALUES ('{ORG_B}', 'x', 'order', 'odoo')""",
    "sync_activity_log": f"""INSERT INTO public.sync_activity_log
        (org_id, action, status) VALUES ('{ORG_B}', 'sync_start', 'in_progress')""",
}


# What the rows of both tenants are written to, and what has them seen by one of them.
BASE = (
    ORGANIZATION,
    USERS,
    USAGE,
    CURRENT_ORG,
    *(f"columns of public.{table}" for table in TABLES),
)


def of(*tables: str) -> list[str]:
    """What has to be there before a tenant can be kept to its own rows of tables."""
    own = [(f"row security of public.{one}", f"four policies of public.{one}") for one in tables]
    return [*BASE, *(need for each in own for need in each)]


def isolation() -> None:
    """Two tenants, one of whom tries to reach the other."""
    _role_is_restrained()
    counts = ", ".join(f"(SELECT count(*) FROM public.{table})" for table in TABLES)
    for user, reason in host.loop(
        {
            "": "no user",
            "no-uuid": "a malformed user",
            unique_id("nobody"): "an unknown user",
            USER_LEFT: "an inactive user",
            USER_CLOSED: "a user of an inactive organization",
        }.items()
    ):
        pg.check(
            f"{reason} sees nothing",
            f"SELECT {counts}",
            [(0, 0, 0)],
            task=ROW_SECURITY,
            needs=of(*TABLES),
            disclosed=True,
            setup=[*TENANTS, *ROWS_OF_BOTH, *as_tenant(user)],
        )
    for table in host.loop(TABLES):
        pg.check(
            f"a tenant sees its own rows of {table} only",
            f"""SELECT count(*) FILTER (WHERE org_id = '{ORG_A}'),
                       count(*) FILTER (WHERE org_id <> '{ORG_A}')
                FROM public.{table}""",
            [(1, 0)],
            task=ROW_SECURITY,
            needs=of(table),
            disclosed=True,
            setup=AS_USER_A,
        )
        pg.check(
            f"a tenant changes its own rows of {table} only",
            f"""WITH changed AS (UPDATE public.{table} SET entity_type = 'supplier'
                                 RETURNING org_id)
                SELECT org_id::text, count(*) FROM changed GROUP BY org_id""",
            [(ORG_A, 1)],
            task=ROW_SECURITY,
            needs=of(table),
            setup=AS_USER_A,
        )
        pg.check(
            f"a tenant deletes its own rows of {table} only",
            f"""WITH deleted AS (DELETE FROM public.{table} RETURNING org_id)
                SELECT org_id::text, count(*) FROM deleted GROUP BY org_id""",
            [(ORG_A, 1)],
            task=ROW_SECURITY,
            needs=of(table),
            setup=AS_USER_A,
        )
        refused(
            f"a row of {table} for another organization is refused",
            NEW_ROWS[table],
            error="insufficient_privilege",
            setup=AS_USER_A,
            task=ROW_SECURITY,
            needs=of(table),
        )
        refused(
            f"moving a row of {table} to another organization is refused",
            f"UPDATE public.{table} SET org_id = '{ORG_B}'",
            error="insufficient_privilege",
            setup=AS_USER_A,
            task=ROW_SECURITY,
            needs=of(table),
        )
    _names_are_own()
    _identity_is_closed()


def _role_is_restrained() -> None:
    pg.check(
        f"{TENANT_ROLE} can't bypass row security, nor become an owner",
        f"""SELECT rolsuper OR rolbypassrls,
                   EXISTS (SELECT FROM pg_class
                           WHERE oid IN ({", ".join(f"'public.{t}'::regclass" for t in TABLES)},
                                         'auth.users_extended'::regclass,
                                         'public.organization'::regclass)
                             AND pg_has_role('{TENANT_ROLE}', relowner, 'MEMBER'))
            FROM pg_roles WHERE rolname = '{TENANT_ROLE}'""",
        [(False, False)],
        task=READINESS,
        needs=[ROLE, ORGANIZATION, USERS, *(f"table public.{table}" for table in TABLES)],
        disclosed=True,
    )
    pg.check(
        "the partitions can't be reached past the table",
        f"""SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = to_regclass('public.sync_activity_log')
              AND has_table_privilege('{TENANT_ROLE}', inhrelid,
                                      '{", ".join(DATA_PRIVILEGES)}, TRUNCATE')
            ORDER BY 1""",
        [],
        task=READINESS,
        needs=[ROLE, "table public.sync_activity_log"],
        disclosed=True,
    )


def _names_are_own() -> None:
    refused(
        "signing the activity log as another user is refused",
        f"""INSERT INTO public.sync_activity_log (org_id, action, status, user_id)
            VALUES ('{ORG_A}', 'sync_start', 'in_progress', '{USER_LEFT}')""",
        error="insufficient_privilege",
        setup=AS_USER_A,
        task=ROW_SECURITY,
        needs=of("sync_activity_log"),
    )
    pg.check(
        "what the triggers log for a tenant is signed by it",
        """SELECT org_id::text, status::text, user_id::text FROM public.sync_activity_log
           WHERE sync_id = 'verification'""",
        [(ORG_A, "completed", USER_A)],
        task=ROW_SECURITY,
        needs=[
            *of("sync_progress", "sync_activity_log"),
            "trigger sync_progress_log_completion on public.sync_progress",
        ],
        setup=[*AS_USER_A, "UPDATE public.sync_progress SET status = 'completed'"],
    )


def _identity_is_closed() -> None:
    is_open = settings().isolation == "seeds"
    skip = "the host data sync_isolation leaves organizations and users open" if is_open else ""
    for table in host.loop(["public.organization", "auth.users_extended"]):
        pg.check(
            f"nothing of another tenant is visible in {table}",
            f"""SELECT count(*) > 0, count(*) FILTER (WHERE id IN ('{ORG_B}', '{USER_B}'))
                FROM {table}""",
            [(True, 0)],
            task=READINESS,
            needs=BASE,
            skip=skip,
            disclosed=True,
            setup=AS_USER_A,
        )
    # Without WHERE: a condition would let the policies for SELECT judge the new row as well.
    for title, statement in host.loop(
        {
            "a user moving to another organization": (
                f"UPDATE auth.users_extended SET org_id = '{ORG_B}'"
            ),
            "a user becoming another user": (
                f"UPDATE auth.users_extended SET id = '{unique_id('other')}'"
            ),
            "a user deactivating itself": "UPDATE auth.users_extended SET is_active = false",
            "a new user": (
                "INSERT INTO auth.users_extended (id, org_id, email)"
                f" VALUES ('{unique_id('new')}', '{ORG_A}', 'new@example.com')"
            ),
            "an organization becoming another": (
                f"UPDATE public.organization SET id = '{unique_id('other')}'"
            ),
            "an organization deactivating itself": (
                "UPDATE public.organization SET is_active = false"
            ),
            "deleting a user": "DELETE FROM auth.users_extended",
            "deleting an organization": "DELETE FROM public.organization",
            "a new organization": (
                f"INSERT INTO public.organization (name, slug) VALUES ('x', '{unique_id('new')}')"
            ),
        }.items()
    ):
        refused(
            f"{title} is refused",
            statement,
            error="insufficient_privilege",
            setup=AS_USER_A,
            task=READINESS,
            needs=BASE,
            skip=skip,
        )
    pg.check(
        "a tenant changes no user but itself",
        """WITH changed AS (UPDATE auth.users_extended SET full_name = 'x' RETURNING id)
           SELECT id::text FROM changed""",
        [(USER_A,)],
        task=READINESS,
        needs=BASE,
        skip=skip,
        setup=AS_USER_A,
    )
