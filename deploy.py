"""The sync platform: all of it lands on a host, or none of it.

Run `pyinfra inventories/embedded.py deploy.py --dry --diff` to see what it would change.
"""

import pyinfra_postgres as pg
import sync_platform

with pg.transaction():
    sync_platform.identity()
    sync_platform.infrastructure()
    sync_platform.tenant_functions()  # the policies of 0024 call them
    sync_platform.sync()
    sync_platform.identity_isolation()
    sync_platform.infrastructure_isolation()
    sync_platform.fixtures()
    sync_platform.database_isolation()
