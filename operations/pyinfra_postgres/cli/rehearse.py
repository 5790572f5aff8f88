"""`pyinfra-postgres rehearse`: deploys on a copy of a Neon branch."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import click
from attrs import evolve
from pyinfra.api.output import set_formatter

from ..neon.api import Neon, NeonError
from ..neon.rehearsal import Rehearsal, Rehearsed
from ..terminal import put
from .common import complain, passed_on, pyinfra_options, say

_PREFIX = "@neon/"


@click.command(
    "rehearse", epilog="Example: pyinfra-postgres rehearse @neon/my-project deploy.py verify.py"
)
@click.argument("inventory", metavar="@neon/PROJECT[/BRANCH]")
@click.argument(
    "scripts", metavar="DEPLOY.py...", nargs=-1, required=True, type=click.Path(exists=True)
)
@pyinfra_options("data", "group_data")
@click.option("--diff", is_flag=True, help="Show the plans.")
@click.option(
    "--measure",
    is_flag=True,
    help="Measure each plan before it is applied there, and stop where it is otherwise.",
)
@pyinfra_options("verbosity")
@click.option(
    "--expires-after",
    type=click.IntRange(1, 720),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="When Neon deletes the copy though this command was killed.",
)
def command(
    inventory: str, scripts: tuple[str, ...], measure: bool, expires_after: int, **given: Any
) -> None:
    """Run deploys on a copy of a Neon branch, and delete the copy whatever happens.

    Without BRANCH the project's default branch is copied. The scripts run one after another, until
    one fails; its exit code is this command's. Neon's API key is in NEON_API_KEY.
    """
    if not inventory.removeprefix(_PREFIX) or not inventory.startswith(_PREFIX):
        raise click.BadParameter("write @neon/PROJECT or @neon/PROJECT/BRANCH")
    set_formatter(click.style)
    results: list[Rehearsed] = []
    whole = False
    try:
        rehearsal = Rehearsal.of(
            evolve(Neon.from_environment(), say=say),
            inventory.removeprefix(_PREFIX),
            say,
            timedelta(hours=expires_after),
        )
        results = rehearsal.results
        rehearsal.run(scripts, passed_on(given), measure)
        whole = True
    except NeonError as error:
        complain(error)
    for result in results:
        put(result)
    failed = next((result.code for result in results if result.code), 0)
    sys.exit(failed or int(not whole))
