"""What belongs to PostgreSQL, or to the platform that runs it: roles, and extensions.

Pure: no I/O, no pyinfra state. What these roles are and may do is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ROLES = {
    "PostgreSQL": r"pg_.*|public|none",
    "Neon": r"neon_superuser|cloud_admin|zenith_admin",
    "Amazon RDS": r"rds_.*|rdsadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser",
    "Google Cloud SQL": r"cloudsql.*",
    "AlloyDB": r"alloydb.*",
    "Azure": r"azure_pg_admin|azure_superuser|azuresu",
    "Supabase": r"supabase_.*",
}
_PLATFORMS = {name: re.compile(pattern) for name, pattern in _ROLES.items()}
_ADMINISTRATORS = frozenset(
    {
        *("neon_superuser", "rds_superuser", "cloudsqlsuperuser", "alloydbsuperuser"),
        *("azure_pg_admin", "supabase_privileged_role"),
    }
)


_INSTALLERS = {"neon": "Neon", "pg_session_jwt": "Neon"}


def platform_of(role: str) -> str | None:
    """Whose role it is, where it is not the user's own."""
    return next((name for name, roles in _PLATFORMS.items() if roles.fullmatch(role)), None)


def installer_of(extension: str) -> str | None:
    """The platform that alone installs an extension."""
    return _INSTALLERS.get(extension)


def hashes_passwords(roles: Iterable[str]) -> bool:
    """Whether the server of these roles takes passwords only as they are: Neon does."""
    return "neon_superuser" in roles


def administers(roles: frozenset[str] | set[str]) -> bool:
    """Whether one of these is a platform's administrator.

    The platforms let it do some of what PostgreSQL keeps for superusers.
    """
    return not _ADMINISTRATORS.isdisjoint(roles)
