"""The test organization and its user, where the inventory asks for them."""

from pyinfra.api import deploy

import pyinfra_postgres as pg

from .settings import settings


@deploy("Fixtures")
def fixtures() -> None:
    """What the seed documents test with. Rows that are there stay as they are."""
    if not settings().fixtures:
        return
    pg.rows(
        "organization",
        [
            {
                "name": "Test Organization",
                "slug": "test-org",
                "description": "Test organization for sync feature validation",
                "is_active": True,
            }
        ],
        key=["slug"],
    )
    pg.rows(
        "auth.users_extended",
        [
            {
                "id": pg.SQL("gen_random_uuid()"),
                "org_id": pg.SQL("(SELECT id FROM public.organization WHERE slug = 'test-org')"),
                "email": "test@example.com",
                "full_name": "Test User",
                "is_active": True,
            }
        ],
        key=["email"],
    )
