"""SQL as a pyinfra command."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import StringCommand

from . import psql
from .psql import Psql


class SQLCommand(StringCommand):
    """A script of SQL statements, run in order until one fails.

    As text it is a `psql` that reads the script from a here document, so that it needs no file and
    works where pyinfra gives a command no standard input, as it does for facts.
    """

    def __init__(self, statements: Sequence[str], client: Psql, seconds: float) -> None:
        self.statements = tuple(statements)
        end = "PYINFRA_POSTGRES"
        script = psql.script(self.statements)
        super().__init__(client.command(seconds), f"<<'{end}'\n{script}{end}\n")

    def __repr__(self) -> str:
        return f"SQLCommand({len(self.statements)} statements)"
