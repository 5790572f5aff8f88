"""What the commands for many hosts have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from pyinfra.api.output import set_formatter

from ..fleet.jobs import Target
from ..terminal import at_once
from ..transport.options import PLAN
from .common import pyinfra_options

F = TypeVar("F", bound=Callable[..., Any])


def fleet_options(command: F) -> F:
    """The arguments that say which scripts, which hosts, and who works on them."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For machines."),
        click.option(
            "--executor",
            default="",
            metavar="MODULE:FUNCTION",
            help="A function that returns a concurrent.futures.Executor, for other machines.",
        ),
        click.option(
            "--processes",
            type=click.IntRange(1),
            default=_cores(),
            show_default="one per core",
            help="How many of pyinfra's processes work at once.",
        ),
        pyinfra_options("limit", "data", "group_data"),
        click.argument("scripts", metavar="DEPLOY.py...", nargs=-1, required=True),
        click.argument("inventory"),
    ):
        command = option(command)
    return command


def target(given: dict[str, Any]) -> Target:
    """What a command line means. Raises UsageError."""
    for script in given["scripts"]:
        if not (script.endswith(".py") and os.path.isfile(script)):  # noqa: PTH113
            raise click.UsageError(f"there is no deploy file {script}")
    for one in given["data"]:
        name, is_pair, _ = one.partition("=")
        if not is_pair:
            raise click.UsageError(f"--data {one}: write key=value")
        if name == PLAN:
            # Each process would take away what the others have kept.
            raise click.UsageError(f"--data {one}: `pyinfra --dry` keeps plans")
    return Target(
        given["inventory"],
        tuple(given["scripts"]),
        tuple(given["data"]),
        tuple(given["group_data"]),
        tuple(given["limit"]),
    )


def begin() -> None:
    """What a command does first: lines come as they are printed, and have colours."""
    set_formatter(click.style)
    at_once()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
