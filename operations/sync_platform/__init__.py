"""The multi-tenant sync platform of the seed documents, as functions that call operations.

From bottom to top:

- `settings`, `functions`: the host data, and the functions' bodies from templates
- `bounds`, `access`: what tenants may write, and what they may do with which table
- `identity`: organizations, users and the tenants' role
- `infrastructure` (0023): schedules, the job queue, errors and retry policies
- `isolation`: what a tenant can reach
- `sync` (0024): enum types, previews, progress and the activity log, and how to withdraw them
- `fixtures`: the test organization, where the inventory asks for it
- `everything`: all of these
- `tasks`, `integration_checks`, `isolation_checks`, `reach_checks`, `rollback_checks`, `checks`:
  the eight validation tasks, by hand
- `accepted`: which findings of advice are to stay, and why
"""

from .accepted import ACCEPTED
from .checks import checks
from .everything import everything
from .fixtures import fixtures
from .identity import identity
from .infrastructure import infrastructure
from .isolation import (
    database_isolation,
    identity_isolation,
    infrastructure_isolation,
    tenant_functions,
)
from .sync import sync, withdraw_sync

__all__ = [
    "ACCEPTED",
    "checks",
    "database_isolation",
    "everything",
    "fixtures",
    "identity",
    "identity_isolation",
    "infrastructure",
    "infrastructure_isolation",
    "sync",
    "tenant_functions",
    "withdraw_sync",
]
