"""pyinfra looks its connectors up once in a process, not three times in each run.

The lookup reads the metadata of everything installed, which no run changes.
"""

from functools import cache

from pyinfra.api import connectors, inventory

_all = cache(connectors.get_all_connectors)
for _module in (connectors, inventory):
    vars(_module)["get_all_connectors"] = _all
