"""Which hosts of an inventory a word means, on a command line or in a wave."""

from __future__ import annotations

from fnmatch import fnmatch

from pyinfra.api import Host


def is_meant(host: Host, pattern: str) -> bool:
    """Whether the name of a group, or a pattern for names, means a host."""
    return pattern in host.groups or pattern == "all" or fnmatch(host.name, pattern)
