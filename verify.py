"""The eight validation tasks on every host, before a deploy or after; nothing of it stays.

Run `pyinfra inventories/embedded.py verify.py -y`; the report is in `reports/`, in a folder that is
called as the inventory.
"""

import pyinfra_postgres as pg
import sync_platform

with pg.verification(
    "Sync platform",
    report="reports",
    deploy=sync_platform.everything,
    accepted=sync_platform.ACCEPTED,
):
    sync_platform.checks()
