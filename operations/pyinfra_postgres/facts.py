"""Facts about a database, for deploys and for `pyinfra INVENTORY fact`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra.api import FactBase, QuoteString, StringCommand
from pyinfra.context import ctx_host

from . import objects  # noqa: F401  (registers the kinds that the catalog reads)
from .catalog import snapshot as snapshots
from .errors import ConnectError, FactError, HostError
from .syntax.names import quoted
from .terminal import printable
from .transport.command import SQLCommand
from .transport.connector import PostgresConnector
from .transport.psql import Psql, without_marks
from .transport.scripts import run
from .transport.watch import Limits


class Catalog(FactBase[dict[str, Any]]):
    """The objects of a database, by kind and name, each with the lines of its definition.

    **Example:** `pyinfra INVENTORY fact pyinfra_postgres.facts.Catalog --json`
    """

    rows: Sequence[str] = ()
    """What the server has answered already."""

    def command(self) -> StringCommand:
        """The script that reads the catalog in one round trip."""
        host = ctx_host.get()
        if isinstance(host.connector, PostgresConnector):
            data = host.data.dict()
            try:
                limits = Limits.of(data)
                return SQLCommand(snapshots.script(), Psql.of(data, limits), limits.answer)
            except (ConnectError, HostError) as error:
                return StringCommand("echo", QuoteString(error.args[0]), ">&2; false")
        # Asked to be loud, pyinfra would print what psql prints; and a fact has no standard input,
        # on which a password could come.
        answer = run(host, snapshots.script())
        self.rows = answer.rows
        if answer.failure:
            return StringCommand("echo", QuoteString(printable(answer.failure)), ">&2; false")
        return StringCommand("echo", "read")

    def process(self, output: list[str]) -> dict[str, Any]:
        """The catalog as plain data. Raises FactError where the answer is no catalog."""
        rows = self.rows or without_marks(snapshots.script(), output)
        if len(rows) != 1:
            raise FactError("the server answered with no catalog")
        catalog = snapshots.read(rows[0])
        found: dict[str, Any] = {
            "database": catalog.database,
            "version": catalog.version,
            "fingerprint": catalog.fingerprint.digest,
        }
        for key, one in sorted(catalog.objects.items()):
            kind = found.setdefault(one.kind, {})
            kind[".".join(map(quoted, key[1:]))] = list(one.lines())
        return found
