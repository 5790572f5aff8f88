"""The command `pyinfra-postgres`: what is around pyinfra's own runs."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

COMMANDS = ("rehearse", "verify")
"""The subcommands: each is `command` in the module of its name, imported when it is called."""


class _Commands(click.Group):
    """Subcommands that are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The one of a name."""
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, import_module(f".{cmd_name}", __package__).command)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """PostgreSQL objects as pyinfra operations: what is around pyinfra's own runs."""


if __name__ == "__main__":
    main()
