"""Hosts with a shell run the same plans through psql: here pyinfra's own machine."""

from __future__ import annotations

import json

from harness import Database, Project

DEPLOY = """
    with pg.transaction():
        pg.schema("shop", comment="It's the \\"shop\\"")
        pg.enum("shop.state", ["new", "done"])
        pg.table(
            "shop.job",
            [pg.Column("id", "int", primary_key=True), pg.Column("state", "shop.state")],
            constraints=[pg.Check("id in (1, 2, 3)")],
        )
"""


def run(project: Project, database: Database, *arguments: str) -> str:
    """Run pyinfra on @local with the server's psql in the path."""
    binaries = database.server.binaries
    path = {"PATH": f"{binaries}:/usr/bin:/bin"}
    return project.run("inventory.py", *arguments, env=path).output


def test_a_plan_through_psql(project: Project, database: Database) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(DEPLOY)

    assert "3 to create" in run(project, database, "deploy.py", "--dry", "--diff")
    assert database.psql("SELECT to_regnamespace('shop')") == ""
    assert "3 created" in run(project, database, "deploy.py", "-y")
    assert database.psql("SELECT enum_range(NULL::shop.state)") == "{new,done}"
    dump = database.dump()
    assert "created" not in run(project, database, "deploy.py", "-y")
    assert database.dump() == dump


def test_a_failure_names_its_statement_and_leaves_nothing(
    project: Project, database: Database
) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(DEPLOY.replace("id in (1, 2, 3)", "id in (1, 2, 'x')"))

    output = run(project, database, "deploy.py", "-y")

    assert "table shop.job failed" in output
    assert "SQLSTATE 22P02" in output
    assert "Traceback" not in output
    assert database.psql("SELECT to_regnamespace('shop')") == ""


def test_the_catalog_as_a_fact(project: Project, database: Database) -> None:
    database.psql('CREATE SCHEMA "It\'s"; CREATE TABLE "It\'s".t (a int)')
    project.inventory({"@local": {"postgres_dsn": database.dsn}})

    result = project.run(
        "inventory.py",
        *("fact", "pyinfra_postgres.facts.Catalog", "--json"),
        env={"PATH": f"{database.server.binaries}:/usr/bin:/bin"},
    ).succeeded()

    (fact,) = json.loads(result.stdout).values()
    assert "a integer" in fact["@local"]["table"]['"It\'s".t']


def test_psql_is_missing(project: Project) -> None:
    project.inventory({"@local": {}})
    project.deploy('pg.schema("shop")')

    only_a_shell = project.path / "bin"
    only_a_shell.mkdir()
    (only_a_shell / "sh").symlink_to("/bin/sh")

    result = project.run(env={"PATH": str(only_a_shell)}).failed()

    assert "schema shop: could not reach the database: " in result.output
    assert "psql: not found: psql is not installed, or not in the PATH" in result.output
