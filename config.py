"""pyinfra reads this file from the current directory before it loads the inventory."""

from pyinfra import config

# A host that fails stops the run: without this pyinfra goes on to the next operation as long as one
# host is left, and production would follow a staging that did not work.
config.FAIL_PERCENT = 0
