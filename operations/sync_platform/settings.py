"""What the inventory decides about a host's sync platform: host data `sync_*`."""

from typing import Literal, NamedTuple

from pyinfra import host
from pyinfra.api.exceptions import OperationValueError


class Settings(NamedTuple):
    """The host data of the sync platform.

    Each field is the host data `sync_<field>`, with the value that holds where it is not given.
    """

    fixtures: bool = False
    """Whether the host has the test organization and its user."""
    isolation: Literal["strict", "seeds"] = "strict"
    """Whether organizations and users are closed to other tenants ("strict"), or readable and
    writable for all of them as the seed documents leave them ("seeds")."""
    rollback: Literal["static", "live"] = "static"
    """Whether `verify.py` tries a rollback, in a transaction that locks all of it ("live")."""


def settings() -> Settings:
    """The settings of this host.

    Raises OperationValueError for a value or a key that has no meaning.
    """
    data = {
        key.removeprefix("sync_"): value
        for key, value in host.data.dict().items()
        if key.startswith("sync_")
    }
    if unknown := sorted(set(data) - set(Settings._fields)):
        known = ", ".join(f"sync_{field}" for field in Settings._fields)
        raise OperationValueError(f"{host}: unknown host data sync_{unknown[0]} (known: {known})")
    found = Settings(**data)
    if found.isolation not in ("strict", "seeds"):
        raise OperationValueError(
            f'{host}: sync_isolation must be "strict" or "seeds", not {found.isolation!r}'
        )
    if found.rollback not in ("static", "live"):
        raise OperationValueError(
            f'{host}: sync_rollback must be "static" or "live", not {found.rollback!r}'
        )
    if not isinstance(found.fixtures, bool):
        raise OperationValueError(
            f"{host}: sync_fixtures must be True or False, not {found.fixtures!r}"
        )
    if found.fixtures and "production" in host.groups:
        raise OperationValueError(f"{host}: sync_fixtures is set, but production holds no fixtures")
    return found
