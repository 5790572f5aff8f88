"""The seven checks after the migration, on every host. What they write is rolled back.

Run `pyinfra inventories/embedded.py verify.py -y`; it needs no deploy in the same run.
"""

import pyinfra_postgres as pg
import sync_platform

with pg.verification(report="reports/verification.html"):
    sync_platform.checks()
