"""Who there is: organizations, their users, and the role that works for them."""

from pyinfra import host
from pyinfra.api import deploy

import pyinfra_postgres as pg

from .access import TENANT_ROLE, grant_table


@deploy("Identity")
def identity() -> None:
    """Organizations and users as the seed documents declare them."""
    pg.role(TENANT_ROLE, login=False)
    # As PostgreSQL has it from 15 on, but not in databases that come from before.
    pg.grant(["CREATE"], on="SCHEMA public", to="PUBLIC", present=False)
    _organization()
    pg.schema("auth", comment="Who the application's users are.")
    _users_extended()
    # The seed documents grant the table, but not the way to it: without this no tenant reaches it.
    pg.grant(["USAGE"], on="SCHEMA auth", to=TENANT_ROLE)
    for table in host.loop(["public.organization", "auth.users_extended"]):
        grant_table(table)
    for schema in host.loop(["public", "auth"]):
        pg.grant(["USAGE", "SELECT"], on=f"ALL SEQUENCES IN SCHEMA {schema}", to=TENANT_ROLE)


def _organization() -> None:
    pg.table(
        "organization",
        [
            pg.Column(
                "id",
                "uuid",
                primary_key=True,
                default="gen_random_uuid()",
                comment="Organization unique identifier (UUID)",
            ),
            pg.Column("name", "varchar(255)", nullable=False),
            pg.Column(
                "slug",
                "varchar(255)",
                nullable=False,
                unique=True,
                comment="URL-safe organization identifier (unique constraint)",
            ),
            pg.Column("description", "text"),
            pg.Column(
                "is_active",
                "boolean",
                default="true",
                comment="Organizations can be soft-deleted by setting to false",
            ),
            pg.Column("created_at", "timestamptz", nullable=False, default="now()"),
            pg.Column("updated_at", "timestamptz", nullable=False, default="now()"),
        ],
        comment=(
            "Multi-tenant organization isolation table. "
            "All sync operations require org_id for security."
        ),
    )
    pg.index("idx_organization_slug", "organization", ["slug"])
    pg.index("idx_organization_active", "organization", ["is_active"])
    pg.index("idx_organization_created", "organization", ["created_at DESC"])


def _users_extended() -> None:
    pg.table(
        "auth.users_extended",
        [
            pg.Column(
                "id",
                "uuid",
                primary_key=True,
                comment="User ID from authentication provider (typically from auth provider)",
            ),
            pg.Column(
                "org_id",
                "uuid",
                nullable=False,
                comment="Organization this user belongs to (enforced by RLS)",
            ),
            pg.Column(
                "email",
                "varchar(255)",
                nullable=False,
                unique=True,
                comment="User email address (unique for login)",
            ),
            pg.Column("full_name", "varchar(255)"),
            pg.Column("avatar_url", "text"),
            pg.Column(
                "is_active",
                "boolean",
                default="true",
                comment="User can be deactivated without deleting records",
            ),
            pg.Column("created_at", "timestamptz", nullable=False, default="now()"),
            pg.Column("updated_at", "timestamptz", nullable=False, default="now()"),
        ],
        constraints=[
            pg.ForeignKey("org_id", references="organization(id)", on_delete="CASCADE"),
        ],
        comment=(
            "User-to-organization mapping and extended user profile. "
            "Required for RLS policies in sync tables."
        ),
    )
    pg.index("idx_auth_users_org", "auth.users_extended", ["org_id"])
    pg.index("idx_auth_users_email", "auth.users_extended", ["email"])
    pg.index("idx_auth_users_active", "auth.users_extended", ["is_active"])
    pg.index("idx_auth_users_org_active", "auth.users_extended", ["org_id", "is_active"])
