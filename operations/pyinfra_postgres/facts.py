"""Facts about a database, for deploys and for `pyinfra INVENTORY fact`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra.api import FactBase, QuoteString, StringCommand
from pyinfra.context import ctx_host

from . import objects  # noqa: F401  (registers the kinds that the catalog reads)
from .catalog import snapshot as snapshots
from .errors import ConnectError, FactError, HostError
from .running.history import understood
from .running.record import reading
from .syntax.names import quoted
from .terminal import printable
from .transport.command import SQLCommand
from .transport.connector import PostgresConnector
from .transport.psql import Psql, without_marks
from .transport.scripts import run
from .transport.watch import Limits


def _asked(script: list[str]) -> tuple[StringCommand, Sequence[str]]:
    """What has the host in context run a script, and what it has answered where it has already."""
    host = ctx_host.get()
    if isinstance(host.connector, PostgresConnector):
        data = host.data.dict()
        try:
            limits = Limits.of(data)
            return SQLCommand(script, Psql.of(data, limits), limits.answer), ()
        except (ConnectError, HostError) as error:
            return StringCommand("echo", QuoteString(error.args[0]), ">&2; false"), ()
    # Asked to be loud, pyinfra would print what psql prints; and a fact has no standard input,
    # on which a password could come.
    answer = run(host, script)
    if answer.failure:
        failure = QuoteString(printable(answer.failure))
        return StringCommand("echo", failure, ">&2; false"), ()
    return StringCommand("echo", "read"), answer.rows


class Catalog(FactBase[dict[str, Any]]):
    """The objects of a database, by kind and name, each with the lines of its definition.

    **Example:** `pyinfra INVENTORY fact pyinfra_postgres.facts.Catalog --json`
    """

    rows: Sequence[str] = ()
    """What the server has answered already."""

    def command(self) -> StringCommand:
        """The script that reads the catalog in one round trip."""
        command, self.rows = _asked(snapshots.script())
        return command

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


class Deploys(FactBase[list[dict[str, Any]]]):
    """The plans that ran on a database where `postgres_history` is on, the newest first.

    + last: how many of them

    **Example:** `pyinfra INVENTORY fact pyinfra_postgres.facts.Deploys last=5 --json`
    """

    rows: Sequence[str] = ()
    """What the server has answered already."""
    script: Sequence[str] = ()

    def command(self, last: int = 20) -> StringCommand:
        """The script that reads them."""
        newest = f"ORDER BY d.started_at DESC, d.block DESC LIMIT {int(last)}"
        self.script = reading(frozenset(), newest)
        command, self.rows = _asked(list(self.script))
        return command

    def process(self, output: list[str]) -> list[dict[str, Any]]:
        """The rows as plain data. Raises FactError where they can't be read."""
        try:
            place, found = understood(self.rows or without_marks(self.script, output))
        except HostError as error:
            raise FactError(str(error)) from None
        if place.table and place.unreadable:
            raise FactError(place.unreadable)
        return [_ended(one) for one in found]


def _ended(row: dict[str, Any]) -> dict[str, Any]:
    """A row, with what became of a plan that nobody has written the end of."""
    cut_off, runs = row.pop("cut_off"), row.pop("runs")
    if runs:
        row["state"] = "running"
    elif cut_off:
        row["state"], row["error"] = "cut off", cut_off
    return row
