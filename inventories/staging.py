"""Staging: the same kinds of databases as production, with the fixtures.

    pyinfra inventories/staging.py deploy.py verify.py

A branch at Neon can take the place of a database: `@neon/sync/staging`.
"""

from pyinfra_postgres.inventory import required

_dsn = required(SYNC_STAGING_DSN="connection URI of the owner, at Neon")

neon = [("@postgres/sync-staging", {"postgres_dsn": _dsn["SYNC_STAGING_DSN"]})]

self_hosted = ["db1.staging.internal"]

# No shell there: libpq's service file has the address, its password file the password.
services = [("@postgres/sync-legacy", {"postgres_dsn": "service=sync-legacy"})]
