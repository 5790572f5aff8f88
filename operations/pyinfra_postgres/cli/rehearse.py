"""`pyinfra-postgres rehearse`: deploys on a copy of a Neon branch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import click
from attrs import evolve
from pyinfra.api.output import set_formatter

from ..neon.api import Neon, NeonError
from ..neon.rehearsal import Rehearsal, Rehearsed
from ..terminal import line, put, styled

_PREFIX = "@neon/"


@click.command(
    "rehearse", epilog="Example: pyinfra-postgres rehearse @neon/my-project deploy.py verify.py"
)
@click.argument("inventory", metavar="@neon/PROJECT[/BRANCH]")
@click.argument(
    "scripts", metavar="DEPLOY.py...", nargs=-1, required=True, type=click.Path(exists=True)
)
@click.option("--data", multiple=True, help="Host data, key=value, as pyinfra takes it.")
@click.option("--group-data", multiple=True, help="Directory of group data, as pyinfra takes it.")
@click.option("--diff", is_flag=True, help="Show the plans.")
@click.option("-v", "verbosity", count=True, help="As pyinfra takes it.")
@click.option(
    "--expires-after",
    type=click.IntRange(1, 720),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="When Neon deletes the copy though this command was killed.",
)
def command(inventory: str, scripts: tuple[str, ...], expires_after: int, **given: Any) -> None:
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
            evolve(Neon.from_environment(), say=_say),
            inventory.removeprefix(_PREFIX),
            _say,
            timedelta(hours=expires_after),
        )
        results = rehearsal.results
        rehearsal.run(scripts, _options(**given))
        whole = True
    except NeonError as error:
        _say(styled(error, "red"))
    for result in results:
        put(result)
    failed = next((result.code for result in results if result.code), 0)
    sys.exit(failed or int(not whole))


def _options(
    data: Iterable[str], group_data: Iterable[str], diff: bool, verbosity: int
) -> list[str]:
    """The options that go on to pyinfra."""
    options = [f"--data={one}" for one in data]
    options += [f"--group-data={one}" for one in group_data]
    return [*options, *["--diff"] * diff, *["-v"] * verbosity]


def _say(message: str) -> None:
    put(line("--> ", message), err=True)
