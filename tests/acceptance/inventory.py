"""The hosts of a pyinfra inventory, with the data that leads to their databases.

pyinfra patches the process that loads an inventory for gevent, for good: that is a process of its
own here, which writes what it has found to its standard output.

    python -m acceptance.inventory INVENTORY [LIMIT...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parent.parent
_DATABASES = ("@postgres", "@neon")
_MACHINES = ("@ssh", "@local")
_SCALARS = (str, int, float, bool)


class InventoryError(Exception):
    """An inventory that leads to no database; the message says why."""


@dataclass(frozen=True)
class Host:
    """A host of the inventory."""

    name: str
    groups: tuple[str, ...]
    data: dict[str, Any] = field(repr=False)
    """Secrets among it."""
    dsn: str = field(repr=False)
    """What a host that is only a database connects to; nothing for a machine."""

    @property
    def connector(self) -> str:
        """How pyinfra reaches it: over SSH where its name does not say."""
        return self.name.partition("/")[0] if self.name.startswith("@") else "@ssh"

    @property
    def is_machine(self) -> bool:
        """Whether there is more than a database: a shell, files, services."""
        return self.connector in _MACHINES

    @property
    def is_production(self) -> bool:
        """Whether nothing may be written there: by `postgres_environment`, else by its group."""
        environment = self.data.get("postgres_environment")
        return environment == "production" or "production" in self.groups


def hosts(inventory: str, limit: Sequence[str]) -> list[Host]:
    """The hosts of an inventory, as pyinfra would load it here. Raises InventoryError."""
    command = [sys.executable, "-m", "acceptance.inventory", inventory, *limit]
    path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InventoryError(done.stderr.strip())
    found = [
        Host(one["name"], tuple(one["groups"]), one["data"], one["dsn"])
        for one in json.loads(done.stdout)
    ]
    for host in found:
        if host.connector not in (*_DATABASES, *_MACHINES):
            known = ", ".join((*_DATABASES, *_MACHINES))
            raise InventoryError(
                f"{host.name}: the acceptance tests reach hosts by {known}; leave it out by --limit"
            )
    return found


def _main(inventory: str, *limit: str) -> None:
    # First of all: gevent patches what is imported after it.
    import pyinfra_cli  # noqa: F401
    from pyinfra.api.exceptions import PyinfraError

    from pyinfra_postgres.fleet.jobs import Target
    from pyinfra_postgres.fleet.runs import meant, reason

    sys.path.append(".")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an inventory prints
    try:
        found = [_told(host) for host in meant(Target(inventory, limit=limit))]
    except PyinfraError as error:
        raise SystemExit(f"{inventory}: {reason(error)}") from None
    with answers:
        json.dump(found, answers)


def _told(host: Any) -> dict[str, Any]:
    from pyinfra_postgres.neon.branches import connection_uri
    from pyinfra_postgres.syntax.values import unmasked
    from pyinfra_postgres.transport import target

    data = {key: unmasked(value) for key, value in host.data.dict().items()}
    dsn = ""
    if host.name.startswith("@postgres/"):
        dsn = target.dsn(data)
    elif host.name.startswith("@neon/"):
        dsn = connection_uri(data)
    scalars = {key: value for key, value in data.items() if isinstance(value, _SCALARS)}
    return {"name": host.name, "groups": host.groups, "data": scalars, "dsn": dsn}


if __name__ == "__main__":
    _main(*sys.argv[1:])
