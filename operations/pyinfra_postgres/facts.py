"""Facts about a database, for deploys and for `pyinfra INVENTORY fact`."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from . import catalog as catalogs
from . import objects  # noqa: F401  (registers the kinds that the catalog reads)
from .command import SQLCommand, without_marks
from .names import quoted


class Catalog(FactBase[dict[str, Any]]):
    """The objects of a database, by kind and name, each with the lines of its definition.

    **Example:** `pyinfra INVENTORY fact pyinfra_postgres.facts.Catalog --json`
    """

    def command(self, database: str | None = None) -> SQLCommand:
        """The script that reads the catalog in one round trip."""
        return SQLCommand(catalogs.script(), database)

    def process(self, output: list[str]) -> dict[str, Any]:
        """The catalog as plain data. Raises FactProcessError where the answer is no catalog."""
        rows = without_marks(output)
        if len(rows) != 1:
            raise FactProcessError("the server answered with no catalog")
        catalog = catalogs.read(rows[0])
        found: dict[str, Any] = {
            "database": catalog.database,
            "version": catalog.version,
            "fingerprint": catalog.fingerprint,
        }
        for key, one in sorted(catalog.objects.items()):
            kind = found.setdefault(one.kind, {})
            kind[".".join(map(quoted, key[1:]))] = list(one.lines())
        return found
