"""`pyinfra-postgres drift`: which databases are not as a deploy declares them."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..fleet.drift import Drift, compare
from ..fleet.slices import ExecutorError, stopped_by_signals, workers
from ..terminal import put
from .common import complain
from .fleets import begin, fleet_options, target


@click.command("drift", epilog="Example: pyinfra-postgres drift inventory.py deploy.py")
@fleet_options
@click.option("--diff", is_flag=True, help="Show what differs in each object.")
def command(executor: str, processes: int, as_json: bool, diff: bool, **given: Any) -> None:
    """Say which databases are not as a deploy declares them. Nothing is changed.

    The exit status is 0 where all are equal, 2 where some differ, and 1 where one could not be
    compared. What nobody declares is listed and is no difference. A deploy that is under way is
    waited for.
    """
    begin()
    drift = Drift()
    with stopped_by_signals(complain) as stop:
        try:
            with workers(executor, processes) as them:
                drift = compare(target(given), them, stop)
        except ExecutorError as error:
            drift = Drift(error=str(error))
    if as_json:
        put(json.dumps(drift.data(), indent=2))
    else:
        for one in drift.lines(diff):
            put(one)
    sys.exit(stop.status if stop.number else drift.exit_status)
