"""The waves that an inventory declares, in its variable `waves`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyinfra_cli.util import exec_file

from ..errors import InventoryError
from .jobs import Planned, Target
from .runs import meant
from .waves import Wave, in_order

VARIABLE = "waves"
_ALL = "all"
"""What the one wave is called of an inventory that declares none."""


def declared(target: Target) -> dict[str, Wave]:
    """The waves that an inventory, which is loaded, declares: in a file, nowhere else."""
    if not Path(target.inventory).is_file():
        return {}
    found = exec_file(target.inventory).get(VARIABLE) or {}
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(one, Wave) for name, one in found.items()
    ):
        raise InventoryError(f'{VARIABLE} of {target.inventory} is not like {{"first": Wave(...)}}')
    return dict(found)


def planned(target: Target, parallel: int) -> list[Planned]:
    """The waves of a rollout as they come. Raises InventoryError for what is wrong with them.

    Where the inventory declares none it is one wave, so many hosts of it at once.
    """
    hosts = meant(target)
    return in_order(declared(target) or {_ALL: Wave(parallel=parallel)}, hosts)
