"""What README.md says is so: its example runs, its tables name what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import pyinfra_postgres as pg
from harness import Project
from harness.servers import Databases
from pyinfra_postgres.connector import KNOWN_DATA


@pytest.fixture(scope="module")
def readme(checkout: Path) -> str:
    return (checkout / "README.md").read_text()


def files(readme: str) -> dict[str, str]:
    """The Python files that the README shows, by the name in their first line."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", readme, re.DOTALL)
    return dict(blocks)


def commands(readme: str) -> list[list[str]]:
    """The pyinfra commands of the example."""
    section = readme.split("## A deploy of your own")[1].split("\n## ")[0]
    lines = re.findall(r"^pyinfra (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_example_does_what_it_says(
    readme: str, project: Project, new_database: Databases
) -> None:
    staging, production = new_database(), new_database()
    inventory = files(readme)["inventory.py"]
    inventory = inventory.replace("service=app-staging", staging.dsn)
    project.write("inventory.py", inventory.replace("service=app", production.dsn))
    project.write("deploy.py", files(readme)["deploy.py"])

    dry, limited, everything, fact, query, setting = commands(readme)
    assert "5 to create" in project.run(*dry).succeeded().output
    # Without a terminal there is nobody to ask.
    project.run(*limited, "-y").succeeded()
    assert staging.psql("SELECT to_regclass('shop.orders')") == "shop.orders"
    assert production.psql("SELECT to_regclass('shop.orders')") == ""
    project.run(*everything).succeeded()
    assert production.dump() == staging.dump()
    assert "shop.order_state" in project.run(*fact).succeeded().stdout
    assert "0 rows from 2 hosts" in project.run(*query).succeeded().stdout
    assert len(json.loads(project.run(*setting).succeeded().stdout)) == 2


def test_every_operation_is_in_the_table(readme: str) -> None:
    operations = {name for name in pg.__all__ if name[0].islower()}
    blocks = {"transaction", "verification"}
    assert set(re.findall(r"^\| `pg\.(\w+)` ", readme, re.MULTILINE)) == operations - blocks


def test_all_host_data_is_in_the_table(readme: str) -> None:
    assert set(re.findall(r"^\| `(postgres_\w+)` ", readme, re.MULTILINE)) == set(KNOWN_DATA)


def test_the_demo_shown_is_the_demo(readme: str) -> None:
    shown = readme.split("<!-- demo -->")[1].split("<!-- /demo -->")[0]
    assert "7/7  Deploy again, to both: no changes" in shown
    assert "Error" not in shown


def test_commands_of_the_makefile(readme: str, checkout: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", readme, re.MULTILINE)) <= targets
