"""What belongs to PostgreSQL or to a platform is left as it is."""

from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.catalog.platforms import administers, platform_of
from pyinfra_postgres.comparison.compare import Comparison
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.transport.answer import Answer

OWNERS = {
    "pg_monitor": "PostgreSQL",
    "neon_superuser": "Neon",
    "cloud_admin": "Neon",
    "rds_superuser": "Amazon RDS",
    "rdsadmin": "Amazon RDS",
    "cloudsqlsuperuser": "Google Cloud SQL",
    "azure_pg_admin": "Azure",
    "supabase_admin": "Supabase",
}


@pytest.mark.parametrize(("role", "platform"), OWNERS.items(), ids=OWNERS)
def test_a_platforms_role_is_not_declared(role: str, platform: str) -> None:
    for present in (True, False):
        with pytest.raises(DeclarationError, match=f"{role} belongs to {platform}"):
            pg.Role(role).validate(present)


@pytest.mark.parametrize("role", ["authenticated", "neon", "rds", "my_rds_superuser", "postgres"])
def test_any_other_role_is_the_users_own(role: str) -> None:
    assert platform_of(role) is None
    pg.Role(role).validate(True)


def test_a_platforms_privileges_are_not_taken_away() -> None:
    given = pg.Grant("SELECT", on="TABLE t", to="neon_superuser")
    given.validate(True)
    with pytest.raises(DeclarationError, match="present=False would take it away"):
        given.validate(False)
    exact = pg.Grant("SELECT", on="TABLE t", to=["app", "neon_superuser"], exact=True)
    with pytest.raises(DeclarationError, match=r"neon_superuser .* Neon, and exact=True"):
        exact.validate(True)


def test_privileges_of_public_are_the_users_own() -> None:
    pg.Grant("SELECT", on="TABLE t", to="PUBLIC", exact=True).validate(True)


def test_a_platforms_extension_is_looked_for_and_never_installed() -> None:
    extension = pg.Extension("pg_session_jwt")
    extension.validate(True)
    with pytest.raises(DeclarationError, match="pg_session_jwt belongs to Neon"):
        extension.validate(False)
    with pytest.raises(DeclarationError, match="it is not there, and Neon alone installs it"):
        extension.completed(Forecast(), Comparison(Forecast(), lambda _: Answer()))


def test_a_platforms_administrator_is_known() -> None:
    assert administers({"app", "neon_superuser"})
    assert not administers({"app", "pg_monitor"})
