"""The sync platform: all of it lands on a host, or none of it.

Run `pyinfra inventories/embedded.py deploy.py --dry --diff` to see what it would change.
"""

import pyinfra_postgres as pg
import sync_platform

with pg.transaction():
    sync_platform.everything()
