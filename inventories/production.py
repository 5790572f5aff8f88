"""Production: two databases at Neon, two on servers of our own.

    pyinfra inventories/production.py deploy.py --dry --diff
    pyinfra-postgres rollout inventories/production.py deploy.py verify.py

`group_data/` has what the groups, and production as a whole, have in common.
"""

from pyinfra_postgres.fleet.probes import Deadlocks, LockWaiters, Verify
from pyinfra_postgres.fleet.waves import Wave
from pyinfra_postgres.inventory import required

_dsn = required(
    SYNC_PRODUCTION_EU_DSN="connection URI of the owner, Frankfurt",
    SYNC_PRODUCTION_US_DSN="connection URI of the owner, Ohio",
)

neon = [
    ("@postgres/sync-eu", {"postgres_dsn": _dsn["SYNC_PRODUCTION_EU_DSN"]}),
    ("@postgres/sync-us", {"postgres_dsn": _dsn["SYNC_PRODUCTION_US_DSN"]}),
]

# Reached over SSH, with the keys and the configuration of whoever runs this.
self_hosted = ["db1.internal", "db2.internal"]

canaries = ["@postgres/sync-us", "db2.internal"]
rest = ["@postgres/sync-eu", "db1.internal"]

waves = {
    "canaries": Wave(
        match="canaries",
        parallel=2,
        bake=600,
        probes=[LockWaiters(seconds=5), Deadlocks(), Verify()],
    ),
    "rest": Wave(match="rest"),
}
