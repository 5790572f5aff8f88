"""Production gets what staging has proven: releases, and the hosts that require them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import Database, Databases, Project, Run, one_version

pytestmark = one_version

DEPLOY = """
    with pg.transaction():
        pg.schema("shop")
        pg.enum("shop.state", ["new", "paid"])
        pg.table("shop.orders", [pg.Column("at", "date", nullable=False)],
                 partition_by="RANGE (at)")
        pg.partitions("shop.orders", every="month", start="2026-01", ahead=1)
"""
FIXTURES = """
    from pyinfra.api import deploy

    @deploy("Fixtures")
    def fixtures():
        if host.data.get("app") == "app_stage":
            pg.schema("fixtures")

"""
VERIFY = """
    with pg.verification():
        pg.check("There is a schema", "SELECT count(*) FROM pg_namespace WHERE nspname = 'shop'",
                 [(1,)])
"""
TODAY = "2026-01-31"
RECORD = Path("releases/staging/deploy.json")


@pytest.fixture
def hosts(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """A database in staging.py, and one in production.py that requires staging's releases."""
    staging, production = new_database(), new_database()
    project.inventory(
        {"stage": staging.dsn},
        name="staging.py",
        postgres_environment="staging",
        postgres_today=TODAY,
        app="app_stage",
        postgres_varies=["app"],
    )
    project.inventory(
        {"prod": production.dsn},
        name="production.py",
        postgres_requires="staging",
        postgres_history=True,
        postgres_today=TODAY,
        app="app_prod",
        postgres_varies=["app"],
    )
    project.deploy(DEPLOY)
    project.deploy(VERIFY, name="verify.py")
    return staging, production


def release(project: Project) -> Run:
    return project.run("staging.py", "deploy.py", "verify.py", "-y")


def deploy(project: Project, *options: str) -> Run:
    return project.run("production.py", "deploy.py", "-y", *options)


def refused(project: Project, database: Database, reason: str) -> None:
    """Production is refused, in a dry run too, before anything connects to it."""
    for options in (("-y",), ("--dry",)):
        before = len(database.server.log_entries())
        run = project.run("production.py", "deploy.py", *options).failed()
        assert f"staging has not proven this: {reason}. Deploy there and verify it" in run.output
        entries = database.server.log_entries()[before:]
        assert [one for one in entries if one.database == database.name] == []


def record(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.path / RECORD).read_text())
    return found


def test_production_gets_what_staging_has_proven(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    staging, production = hosts
    refused(project, production, f"there is no {RECORD}")
    output = release(project).succeeded().output
    assert f"release of staging: {RECORD}" in output
    found = record(project)
    assert found["as_of"] == TODAY
    assert found["forms"] == ["in the transaction"]
    (host,) = found["hosts"]
    assert host["database"]["name"] == staging.name
    assert host["database"]["system_identifier"] == staging.psql(
        "SELECT system_identifier FROM pg_control_system()"
    )
    deploy(project).succeeded()
    assert "CREATE TYPE shop.state" in production.dump()
    assert production.psql("SELECT unproven IS NULL FROM pyinfra_postgres.deploy") == "t"
    # What has been proven is not forgotten by a run that has nothing to do.
    release(project).succeeded()
    assert record(project)["forms"] == ["in the transaction"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((']"', ']"'), ""),
        (('"paid"]', '"paid", "sent"]'), "enum shop.state is declared otherwise"),
        (
            ('pg.schema("shop")', 'pg.schema("shop")\n        pg.schema("more")'),
            "schema more was not declared",
        ),
        (
            ('pg.enum("shop.state", ["new", "paid"])', "pass"),
            "enum shop.state is no longer declared",
        ),
        (("pg.transaction()", "pg.transaction(exact=True)"), "schema shop is declared otherwise"),
    ],
    ids=["nothing", "changed", "more", "less", "exact"],
)
def test_what_was_declared_otherwise_on_staging_is_named(
    project: Project, hosts: tuple[Database, Database], change: tuple[str, str], reason: str
) -> None:
    release(project).succeeded()
    project.deploy(DEPLOY.replace(*change))
    if not reason:
        deploy(project).succeeded()
        return
    run = project.run("production.py", "deploy.py", "-y").failed()
    assert f"staging has not proven this: {reason}" in run.output
    assert "CREATE" not in hosts[1].dump()


def test_what_comes_later_is_looked_at_before_anything_is_sent(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    release(project).succeeded()
    project.deploy(DEPLOY + '    pg.schema("later")\n')
    assert "schema later was not declared" in deploy(project).failed().output
    assert "CREATE" not in hosts[1].dump()


def test_a_transaction_that_is_gone_is_noticed(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    project.deploy(DEPLOY + '    pg.schema("later")\n')
    release(project).succeeded()
    project.deploy(DEPLOY)
    output = deploy(project).failed().output
    assert "it had 2 transactions and has 1" in output
    assert "CREATE SCHEMA" not in hosts[1].dump()


def test_a_day_on_which_other_partitions_are_due_is_no_proof(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    release(project).succeeded()
    inventory = project.path / "production.py"
    inventory.write_text(inventory.read_text().replace(TODAY, "2026-02-01"))
    refused(
        project,
        hosts[1],
        "on 2026-02-01 other partitions are declared than on 2026-01-31: set postgres_today = "
        '"2026-01-31", or release anew',
    )
    inventory.write_text(inventory.read_text().replace("2026-02-01", "2026-01-30"))
    deploy(project).succeeded()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"run": "', '"run": "x', "can't be used: it has been edited: it is not what its id says"),
        ("{", "", "can't be used: it is something else than JSON, or too much of it"),
        ('"format_version": 1', '"format_version": 2', "can't be used: it has format 2, and 1 is"),
    ],
    ids=["edited", "cut", "format"],
)
def test_a_release_that_is_not_as_it_was_written_is_none(
    project: Project, hosts: tuple[Database, Database], old: str, new: str, reason: str
) -> None:
    release(project).succeeded()
    path = project.path / RECORD
    path.write_text(path.read_text().replace(old, new, 1))
    assert f"{RECORD} {reason}" in deploy(project).failed().output
    assert "CREATE" not in hosts[1].dump()


@pytest.mark.usefixtures("hosts")
def test_a_release_of_another_environment_or_version_is_none(project: Project) -> None:
    inventory = project.path / "staging.py"
    text = inventory.read_text()
    inventory.write_text(
        text.replace("'postgres_environment': 'staging'", "'postgres_environment': 'dev'")
    )
    release(project).succeeded()
    (project.path / RECORD).parent.mkdir()
    (project.path / "releases/dev/deploy.json").rename(project.path / RECORD)
    assert f"{RECORD} is of deploy.py in dev" in deploy(project).failed().output

    inventory.write_text(text)
    project.write("older.py", "import pyinfra_postgres.provenance as p\np.VERSION = '0.0.9'\n")
    project.run("staging.py", "older.py", "deploy.py", "verify.py", "-y").succeeded()
    assert f"{RECORD} is of pyinfra-postgres 0.0.9, and this is " in deploy(project).failed().output


def test_there_is_no_release_without_a_verification_that_all_hosts_have_passed(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    staging, other = hosts
    project.run("staging.py", "deploy.py", "-y").succeeded()
    assert not (project.path / RECORD).exists()
    project.deploy(VERIFY.replace("[(1,)]", "[(2,)]"), name="verify.py")
    release(project).failed()
    assert not (project.path / RECORD).exists()

    project.deploy(VERIFY, name="verify.py")
    inventory = {"stage": staging.dsn, "more": other.dsn}
    project.inventory(inventory, name="staging.py", postgres_environment="staging")
    run = project.run("staging.py", "deploy.py", "verify.py", "-y", "--limit", "@postgres/stage")
    assert "no release of staging: not verified: @postgres/more" in run.succeeded().output
    assert not (project.path / RECORD).exists()
    release(project).succeeded()
    assert len(record(project)["hosts"]) == 2


def test_what_may_differ_is_named(project: Project, hosts: tuple[Database, Database]) -> None:
    roles = '    pg.role(host.data.get("app"), login=True)\n'
    project.deploy(DEPLOY + roles)
    release(project).succeeded()
    deploy(project).succeeded()
    assert hosts[1].psql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^app_'") == "2"
    assert record(project)["varies"] == ["app"]
    assert "app_stage" not in (project.path / RECORD).read_text()

    inventory = project.path / "staging.py"
    inventory.write_text(inventory.read_text().replace("['app']", "[]"))
    release(project).succeeded()
    assert "role {app} was not declared" in deploy(project).failed().output


def test_a_phase_that_only_some_environments_have_is_left_out(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    project.deploy(
        DEPLOY.replace(
            "    with pg.transaction():",
            FIXTURES + "    with pg.transaction():\n        fixtures()",
        )
    )
    release(project).succeeded()
    assert "schema fixtures is no longer declared" in deploy(project).failed().output
    for name in ("staging.py", "production.py"):
        path = project.path / name
        path.write_text(path.read_text().replace("['app']", "['app', 'Fixtures']"))
    release(project).succeeded()
    deploy(project).succeeded()
    assert "fixtures" not in hosts[1].dump()


def test_a_phase_that_still_waits_on_staging_is_not_proven(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    table, phase = 'pg.table("shop.kept", [pg.Column("old", "text")])', "postgres_phase=contract"
    later = table.replace('"text"', "present=False")
    for one in hosts:
        one.psql("CREATE SCHEMA shop; CREATE TABLE shop.kept (old text)")
    project.deploy(f"""
    with pg.transaction():
        pg.schema("shop")
        {table}
        with pg.transaction(phase="contract"):
            {later}
    """)
    release(project).succeeded()
    assert record(project)["waiting"] == ["contract"]
    deploy(project).succeeded()
    options = ("--data", phase, "--data", "postgres_allow=shop.kept.old")
    output = deploy(project, *options).failed().output
    assert f"phase contract waits there still (--data {phase})" in output
    assert "old" in hosts[1].dump()

    project.run("staging.py", "deploy.py", "verify.py", "-y", *options).succeeded()
    assert record(project)["waiting"] == []
    deploy(project, *options).succeeded()
    assert "old" not in hosts[1].dump()


def test_going_without_is_by_name_and_kept(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    assert (
        "has not proven this" in deploy(project, "--data", "postgres_unproven=dev").failed().output
    )
    run = deploy(project, "--data", "postgres_unproven=staging").succeeded()
    assert f"there is no {RECORD}" in run.output
    assert hosts[1].psql("SELECT unproven FROM pyinfra_postgres.deploy") == (
        f"staging: there is no {RECORD}"
    )


def test_hosts_with_a_shell_are_gated_too(
    project: Project, hosts: tuple[Database, Database]
) -> None:
    _, production = hosts
    data = {"@local": {"postgres_dsn": production.dsn}}
    project.inventory(data, name="production.py", postgres_requires="staging")
    path = {"PATH": f"{production.server.binaries}:/usr/bin:/bin"}
    run = project.run("production.py", "deploy.py", "-y", env=path).failed()
    assert f"staging has not proven this: there is no {RECORD}" in run.output
    assert "CREATE" not in production.dump()
