"""The `@neon/PROJECT[/BRANCH]` connector: the branches of a Neon project are hosts.

pyinfra imports this module at every start, whatever it runs: the client of Neon's API is imported
when a host needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from ..errors import ConnectError, InventoryError
from ..terminal import printable
from ..transport.connector import PostgresConnector


class NeonConnector(PostgresConnector):
    """Runs SQL on a branch of a Neon project."""

    @staticmethod
    @override
    def make_names_data(name: str | None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        from .api import NeonError
        from .branches import targets

        project, _, branch = (name or "").partition("/")
        if not project:
            raise InventoryError("Name a Neon project: @neon/PROJECT or @neon/PROJECT/BRANCH")
        try:
            found = targets(project, branch)
        except NeonError as error:
            raise InventoryError(str(error)) from None
        for target in found:
            # pyinfra prints a host's name and its groups.
            name = printable(f"@neon/{project}/{target.branch.name}")
            yield name, target.data, list(map(printable, target.groups()))

    @override
    def dsn(self) -> str:
        from .api import NeonError
        from .branches import connection_uri

        try:
            return connection_uri(self.host.data.dict())
        except NeonError as error:
            raise ConnectError(str(error)) from None
