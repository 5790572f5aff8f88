"""`pyinfra-postgres undo`: what a deploy has changed, taken back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click

from .common import passed_on, pyinfra_options


@click.command(
    "undo", epilog="Example: pyinfra-postgres undo inventory.py 20261130-162001-4f2a9c --dry --diff"
)
@click.argument("inventory", metavar="INVENTORY")
@click.argument("deploy", metavar="DEPLOY")
@click.option("--dry", is_flag=True, help="Only show what would change.")
@click.option("--diff", is_flag=True, help="Show the plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pyinfra_options("limit", "data", "group_data", "verbosity")
def command(inventory: str, deploy: str, **given: Any) -> None:
    """Take back what a deploy has changed, on each host whose history has it.

    DEPLOY is as `pyinfra-postgres history` lists it. It is planned, shown and refused as any deploy
    is, and recorded as one. `--data plan=DIR` and `--data apply=DIR` are for plans for review.
    """
    options = [*passed_on(given), *["--dry"] * given["dry"], *["-y"] * given["yes"]]
    arguments = [*options, inventory, _OPERATION, deploy]
    code = subprocess.call([sys.executable, "-m", "pyinfra", *arguments])  # noqa: S603  (no shell)
    sys.exit(code if code >= 0 else 128 - code)


_OPERATION = "pyinfra_postgres.operations.undoing.undo"
