"""For inventories: what they take from the environment, and show to nobody."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyinfra.api import HiddenValue

from .errors import InventoryError


class Secret(HiddenValue):
    """Host data that no output shows, pyinfra's `debug-inventory` neither."""

    def __init__(self, value: str) -> None:
        super().__init__(value)  # type: ignore[no-untyped-call]

    def to_json(self) -> str:
        """What JSON has in its place."""
        return str(self)


def required(**variables: str) -> dict[str, Secret]:
    """The values of environment variables, each given with what it holds.

    Raises InventoryError with all that are not set, before anything connects.

    .. code:: python

        dsn = required(SHOP_EU_DSN="the shop's database in Frankfurt")
        shop = [("@postgres/shop-eu", {"postgres_dsn": dsn["SHOP_EU_DSN"]})]
    """
    missing = [f"{name} ({what})" for name, what in variables.items() if not os.environ.get(name)]
    if missing:
        inventory = Path(sys._getframe(1).f_code.co_filename).name
        raise InventoryError(f"{inventory} needs environment variables: {', '.join(missing)}")
    return {name: Secret(os.environ[name]) for name in variables}
