"""The command `pyinfra-postgres`: what is around pyinfra's own runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import click

from ..exits import ERROR

COMMANDS = ("plan", "rollout", "verify", "drift", "history", "undo", "rehearse")
"""The subcommands: each is `command` in the module of its name, imported when it is called."""


class _Commands(click.Group):
    """Subcommands that are imported when they are needed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Call one of them."""
        with _own_status():
            return super().invoke(ctx)

    def make_context(self, *given: Any, **keywords: Any) -> click.Context:
        """Read the command line up to its name."""
        with _own_status():
            return super().make_context(*given, **keywords)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The one of a name."""
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, import_module(f".{cmd_name}", __package__).command)


@contextmanager
def _own_status() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # By 2, which is click's, something differs here.
        error.exit_code = ERROR  # type: ignore[misc]
        raise


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """PostgreSQL objects as pyinfra operations: what is around pyinfra's own runs."""


if __name__ == "__main__":
    main()
