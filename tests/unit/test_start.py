"""pyinfra imports the connectors at every start; the package is imported where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import pyinfra_postgres as pg
from pyinfra_postgres import public

CONNECTORS = """
import sys
from importlib.metadata import entry_points
import pyinfra_cli.main

connectors = entry_points(group="pyinfra.connectors")
ours = [one for one in connectors if one.value.startswith("pyinfra_postgres")]
for one in connectors:
    if one not in ours:
        one.load()
before = set(sys.modules)
assert {one.load().__name__ for one in ours} == {"PostgresConnector", "NeonConnector"}
print(sorted(set(sys.modules) - before))
"""


def printed(script: str) -> object:
    """What a new interpreter prints, which is a Python literal."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def test_the_connectors_import_next_to_nothing() -> None:
    modules = ["errors", "hidden", "neon", "neon.connector", "terminal", "transport"]
    modules += ["transport.connector"]
    assert printed(CONNECTORS) == ["pyinfra_postgres", *(f"pyinfra_postgres.{m}" for m in modules)]


@pytest.mark.parametrize(
    "before",
    [
        "import pyinfra_postgres.objects.tables.tables",
        "import pyinfra_postgres.reports.verification",
        "from pyinfra_postgres import facts",
        "from pyinfra_postgres import *",
        "import pyinfra_postgres as pg; pg.schema",
    ],
)
def test_names_do_not_depend_on_what_was_imported_before(before: str) -> None:
    script = "import pyinfra_postgres as pg\nprint([type(getattr(pg, n)).__name__ for n in {}])"
    found = printed(f"{before}\n{script.format(['objects', 'verification', 'schema', 'Table'])}")
    assert found == ["function", "function", "function", "type"]


def test_every_name_is_there() -> None:
    assert {*pg.__all__} <= {*dir(pg)}
    assert all(getattr(pg, name) is getattr(public, name) for name in pg.__all__)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="'pyinfra_postgres' has no attribute 'tabel'"):
        pg.tabel  # type: ignore[attr-defined]  # noqa: B018
