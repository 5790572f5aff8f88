"""Tenants for the checks: their rows exist only in transactions that are rolled back."""

# The statements are put together from constants of this package, never from input.

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pyinfra_postgres as pg

from .access import TENANT_ROLE
from .functions import USER_SETTING


def unique_id(name: str) -> str:
    """The same unique id in every run, so that every run sends the same statements."""
    return str(uuid5(NAMESPACE_URL, f"urn:sync-platform:verification:{name}"))


ORG_A = unique_id("organization A")
ORG_B = unique_id("organization B")
ORG_CLOSED = unique_id("closed organization")
USER_A = unique_id("user of A")
USER_B = unique_id("user of B")
USER_LEFT = unique_id("user who left A")
USER_CLOSED = unique_id("user of the closed organization")

TENANTS = (
    f"""INSERT INTO public.organization (id, name, slug, is_active)
        VALUES ('{ORG_A}', 'A', '{ORG_A}', true), ('{ORG_B}', 'B', '{ORG_B}', true),
               ('{ORG_CLOSED}', 'C', '{ORG_CLOSED}', false)""",
    f"""INSERT INTO auth.users_extended (id, org_id, email, is_active)
        VALUES ('{USER_A}', '{ORG_A}', '{USER_A}@example.com', true),
               ('{USER_B}', '{ORG_B}', '{USER_B}@example.com', true),
               ('{USER_LEFT}', '{ORG_A}', '{USER_LEFT}@example.com', false),
               ('{USER_CLOSED}', '{ORG_CLOSED}', '{USER_CLOSED}@example.com', true)""",
)

ROWS_OF_BOTH = tuple(
    statement
    for org, user in ((ORG_A, USER_A), (ORG_B, USER_B))
    for statement in (
        f"""INSERT INTO public.sync_preview_cache
              (org_id, sync_type, entity_type, preview_data, created_by)
            VALUES ('{org}', 'odoo', 'product', '{{}}', '{user}')""",
        f"""INSERT INTO public.sync_progress (org_id, sync_id, entity_type, source_system)
            VALUES ('{org}', 'verification', 'product', 'odoo')""",
        f"""INSERT INTO public.sync_activity_log (org_id, action, status, user_id)
            VALUES ('{org}', 'sync_start', 'in_progress', '{user}')""",
    )
)


def as_tenant(user: str) -> list[str]:
    """The statements that make the rest of the transaction work for `user`."""
    return [
        # A deployer that created the role without being a superuser may have to let itself in.
        f"""DO $$
            BEGIN
              IF NOT pg_has_role(current_user, '{TENANT_ROLE}',
                  CASE WHEN current_setting('server_version_num')::integer < 160000
                       THEN 'MEMBER' ELSE 'SET' END) THEN
                GRANT {TENANT_ROLE} TO CURRENT_USER;
              END IF;
            END $$""",
        f"SET LOCAL ROLE {TENANT_ROLE}",
        f"SELECT set_config('{USER_SETTING}', '{user}', true)",
    ]


def refused(
    check: str, statement: str, *, error: str, setup: Sequence[str], **arguments: Any
) -> None:
    """Check that the server answers `statement` with `error`; the rest is the check's."""
    pg.check(
        check,
        "SELECT current_setting('sync_check.answer')",
        [(error,)],
        setup=[
            *setup,
            "SELECT set_config('sync_check.answer', 'accepted', true)",
            f"""DO $$
                BEGIN
                  {statement};
                EXCEPTION WHEN {error} THEN
                  PERFORM set_config('sync_check.answer', '{error}', true);
                END $$""",
        ],
        disclosed=True,
        **arguments,
    )
