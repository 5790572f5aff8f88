"""What the subcommands have in common: options that go on to pyinfra, and words of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ..terminal import line, put, styled

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {
    "limit": click.option("--limit", multiple=True, help="Hosts or groups, as pyinfra takes them."),
    "data": click.option(
        "--data", multiple=True, metavar="KEY=VALUE", help="Host data, as pyinfra takes it."
    ),
    "group_data": click.option(
        "--group-data", multiple=True, help="Directory of group data, as pyinfra takes it."
    ),
    "verbosity": click.option("-v", "verbosity", count=True, help="As pyinfra takes it."),
}


def pyinfra_options(*names: str) -> Callable[[F], F]:
    """Options of a command that go on to pyinfra."""

    def decorated(command: F) -> F:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorated


def passed_on(given: Mapping[str, Any]) -> list[str]:
    """Those that were given, as pyinfra takes them."""
    options = [
        f"--{name.replace('_', '-')}={one}"
        for name in ("limit", "data", "group_data")
        for one in given.get(name, ())
    ]
    return [*options, *["--diff"] * given.get("diff", 0), *["-v"] * given.get("verbosity", 0)]


def say(message: object) -> None:
    """Print a word of the command itself."""
    put(line("--> ", message), err=True)


def complain(message: object) -> None:
    """Print what went wrong with it."""
    say(styled(message, "red"))
