"""The seventh check: two tenants, one of whom tries to reach the other."""

# The statements are put together from constants of this package, never from input.

from pyinfra import host

import pyinfra_postgres as pg

from .access import DATA_PRIVILEGES, TENANT_ROLE
from .settings import settings
from .sync import TABLES
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
            f"7 Isolation: {reason} sees nothing",
            f"SELECT {counts}",
            [(0, 0, 0)],
            setup=[*TENANTS, *ROWS_OF_BOTH, *as_tenant(user)],
        )
    for table in host.loop(TABLES):
        pg.check(
            f"7 Isolation: a tenant sees its own rows of {table} only",
            f"""SELECT count(*) FILTER (WHERE org_id = '{ORG_A}'),
                       count(*) FILTER (WHERE org_id <> '{ORG_A}')
                FROM public.{table}""",
            [(1, 0)],
            setup=AS_USER_A,
        )
        pg.check(
            f"7 Isolation: a tenant changes its own rows of {table} only",
            f"""WITH changed AS (UPDATE public.{table} SET entity_type = 'supplier'
                                 RETURNING org_id)
                SELECT org_id::text, count(*) FROM changed GROUP BY org_id""",
            [(ORG_A, 1)],
            setup=AS_USER_A,
        )
        pg.check(
            f"7 Isolation: a tenant deletes its own rows of {table} only",
            f"""WITH deleted AS (DELETE FROM public.{table} RETURNING org_id)
                SELECT org_id::text, count(*) FROM deleted GROUP BY org_id""",
            [(ORG_A, 1)],
            setup=AS_USER_A,
        )
        refused(
            f"7 Isolation: a row of {table} for another organization is refused",
            NEW_ROWS[table],
            error="insufficient_privilege",
            setup=AS_USER_A,
        )
        refused(
            f"7 Isolation: moving a row of {table} to another organization is refused",
            f"UPDATE public.{table} SET org_id = '{ORG_B}'",
            error="insufficient_privilege",
            setup=AS_USER_A,
        )
    _names_are_own()
    _identity_is_closed()


def _role_is_restrained() -> None:
    pg.check(
        f"7 Isolation: {TENANT_ROLE} can't bypass row security, nor become an owner",
        f"""SELECT rolsuper OR rolbypassrls,
                   EXISTS (SELECT FROM pg_class
                           WHERE oid IN ({", ".join(f"'public.{t}'::regclass" for t in TABLES)},
                                         'auth.users_extended'::regclass,
                                         'public.organization'::regclass)
                             AND pg_has_role('{TENANT_ROLE}', relowner, 'MEMBER'))
            FROM pg_roles WHERE rolname = '{TENANT_ROLE}'""",
        [(False, False)],
    )
    pg.check(
        "7 Isolation: the partitions can't be reached past the table",
        f"""SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = to_regclass('public.sync_activity_log')
              AND has_table_privilege('{TENANT_ROLE}', inhrelid,
                                      '{", ".join(DATA_PRIVILEGES)}, TRUNCATE')
            ORDER BY 1""",
        [],
    )


def _names_are_own() -> None:
    refused(
        "7 Isolation: signing the activity log as another user is refused",
        f"""INSERT INTO public.sync_activity_log (org_id, action, status, user_id)
            VALUES ('{ORG_A}', 'sync_start', 'in_progress', '{USER_LEFT}')""",
        error="insufficient_privilege",
        setup=AS_USER_A,
    )
    pg.check(
        "7 Isolation: what the triggers log for a tenant is signed by it",
        """SELECT org_id::text, status::text, user_id::text FROM public.sync_activity_log
           WHERE sync_id = 'verification'""",
        [(ORG_A, "completed", USER_A)],
        setup=[*AS_USER_A, "UPDATE public.sync_progress SET status = 'completed'"],
    )


def _identity_is_closed() -> None:
    if settings().isolation == "seeds":
        return
    for table in host.loop(["public.organization", "auth.users_extended"]):
        pg.check(
            f"7 Isolation: nothing of another tenant is visible in {table}",
            f"""SELECT count(*) > 0, count(*) FILTER (WHERE id IN ('{ORG_B}', '{USER_B}'))
                FROM {table}""",
            [(True, 0)],
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
            f"7 Isolation: {title} is refused",
            statement,
            error="insufficient_privilege",
            setup=AS_USER_A,
        )
    pg.check(
        "7 Isolation: a tenant changes no user but itself",
        """WITH changed AS (UPDATE auth.users_extended SET full_name = 'x' RETURNING id)
           SELECT id::text FROM changed""",
        [(USER_A,)],
        setup=AS_USER_A,
    )
