"""The whole platform, in the order of its phases."""

from .fixtures import fixtures
from .identity import identity
from .infrastructure import infrastructure
from .isolation import (
    database_isolation,
    identity_isolation,
    infrastructure_isolation,
    tenant_functions,
)
from .sync import sync


def everything() -> None:
    """All phases."""
    identity()
    infrastructure()
    tenant_functions()  # the policies of 0024 call them
    sync()
    identity_isolation()
    infrastructure_isolation()
    fixtures()
    database_isolation()
