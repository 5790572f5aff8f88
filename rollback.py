"""Withdraw 0024 and nothing else, in the seed documents' order; a deploy afterwards restores it.

Run `pyinfra inventories/embedded.py rollback.py --dry --diff` to see what it would remove. Tables
that hold rows are refused unless the run allows their loss by name.
"""

import pyinfra_postgres as pg
import sync_platform

with pg.transaction():
    sync_platform.withdraw_sync()
