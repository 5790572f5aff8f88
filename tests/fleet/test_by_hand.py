"""The SQL file of a kept plan, run by psql: the history has it as it has any other run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.conftest import Command
from harness import Database, Databases, Project, one_version

DEPLOY = """
    with pg.transaction():
        pg.schema("shop")
        pg.table("shop.item", [pg.Column("id", "integer", primary_key=True)])
    with pg.transaction():
        pg.index("later", "t", ["id"])
"""
FORMER = "ALTER TABLE pyinfra_postgres.deploy DROP COLUMN undoes, DROP COLUMN inverse"


@pytest.fixture
def databases(project: Project, new_database: Databases) -> list[Database]:
    """Two databases that are the same, for which a plan is kept."""
    databases = [new_database(), new_database()]
    for one in databases:
        one.psql("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    names = ("one", "two")
    hosts = {name: each.dsn for name, each in zip(names, databases, strict=True)}
    project.inventory(hosts, postgres_history=True)
    return databases


def kept(project: Project) -> str:
    """The one file of the plan."""
    project.deploy(DEPLOY)
    project.run("inventory.py", "deploy.py", "--dry", "--data", "plan=plans").succeeded()
    (script,) = (project.path / "plans").glob("*.sql")
    return script.read_text()


def listed(command: Command) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(
        command("history", "inventory.py", "--json").succeeded().stdout
    )
    return found


@pytest.mark.parametrize("there", ["", "now", "formerly"])
@one_version
def test_it_writes_the_rows(
    project: Project, databases: list[Database], command: Command, there: str
) -> None:
    one, _ = databases
    if there:
        project.deploy('with pg.transaction():\n    pg.schema("first")\n')
        project.run().succeeded()
    if there == "formerly":
        for each in databases:
            each.psql(FORMER)
    before = one.dump()
    script = kept(project)
    one.psql(script)
    rows = listed(command)
    assert len(rows["@postgres/two"]) == bool(there)
    second, first, *_ = rows["@postgres/one"]
    assert first["run"] == second["run"]
    plan = json.loads(next((project.path / "plans").glob("*.json")).read_text())
    for block, row in enumerate((first, second), 1):
        assert (row["block"], row["state"], row["error"]) == (block, "applied", None)
        assert (row["host"], row["plan"], row["account"]) == (
            "@postgres/one",
            plan["id"],
            "postgres",
        )
        assert row["applied_at"] or block == 2
        assert row["ended_at"]
        assert row["fingerprint_before"]
        assert row["fingerprint_after"]
    assert first["fingerprint_before"] == plan["source"]
    assert first["fingerprint_after"] == second["fingerprint_before"]
    # Run by pyinfra, the same plan says the same of itself.
    project.run(
        "inventory.py", "deploy.py", "-y", "--data", "apply=plans", "--limit", "@postgres/two"
    )
    (theirs, _, *_), (_, _, *_) = listed(command)["@postgres/two"], rows["@postgres/one"]
    for name in ("changes", "plan", "statements", "role", "version", "fingerprint_after"):
        assert theirs[name] == second[name], name
    command("undo", "inventory.py", first["run"], "-y").succeeded()
    if there == "now":
        assert one.dump() == before


@one_version
def test_what_fails_is_told_as_cut_off(
    project: Project, databases: list[Database], command: Command
) -> None:
    one, _ = databases
    script = kept(project)
    assert "division by zero" in one.error(
        script.replace("\nCREATE SCHEMA shop;", "\nSELECT 1 / 0;")
    )
    (row,) = listed(command)["@postgres/one"]
    assert (row["state"], row["error"]) == ("cut off", "cut off: nothing of it is in place")


@one_version
def test_nothing_is_written_where_nobody_wants_it(
    project: Project, databases: list[Database]
) -> None:
    one, two = databases
    project.inventory({"one": one.dsn, "two": two.dsn})
    one.psql(kept(project))
    assert "pyinfra_postgres" not in one.dump()
