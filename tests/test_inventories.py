"""The inventories of this checkout: secrets from the environment, groups, and their data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import Database, Databases, PasswordRole, Project, one_version

pytestmark = one_version
FIXTURES = "SELECT count(*) FROM organization"


@pytest.fixture
def inventories(checkout: Path) -> Path:
    return checkout / "inventories"


@pytest.mark.usefixtures("server")
def test_no_secret_is_shown(project: Project, inventories: Path) -> None:
    names = ("SYNC_PRODUCTION_EU_DSN", "SYNC_PRODUCTION_US_DSN")
    env = dict.fromkeys(names, "postgresql://u:s3cret@db.example/sync")
    command = (inventories / "production.py", "debug-inventory")
    seen = project.run(*command, "-vvv", "--debug", env=env).succeeded()
    machine = project.run(*command, "--json", env=env).succeeded()
    assert "s3cret" not in seen.output + machine.output
    hosts = {host["name"]: host for host in json.loads(machine.stdout)}
    assert hosts["@postgres/sync-eu"]["data"]["postgres_dsn"] == "*MASKED*"
    assert hosts["db1.internal"]["data"]["_sudo_user"] == "postgres"
    for host in hosts.values():
        assert "production" in host["groups"]
        assert len({"canaries", "rest"} & set(host["groups"])) == 1
        assert len({"neon", "self_hosted"} & set(host["groups"])) == 1


@pytest.mark.usefixtures("server")
def test_all_missing_variables_are_one_line(project: Project, inventories: Path) -> None:
    run = project.run(inventories / "production.py", "debug-inventory").failed()
    (line,) = (line for line in run.output.splitlines() if "SYNC_" in line)
    assert line.endswith(
        "production.py needs environment variables: "
        "SYNC_PRODUCTION_EU_DSN (connection URI of the owner, Frankfurt), "
        "SYNC_PRODUCTION_US_DSN (connection URI of the owner, Ohio)"
    )


def test_only_staging_has_fixtures(
    project: Project, new_database: Databases, checkout: Path, inventories: Path
) -> None:
    staging, eu, us = new_database(), new_database(), new_database()
    env = {
        "SYNC_STAGING_DSN": staging.dsn,
        "SYNC_PRODUCTION_EU_DSN": eu.dsn,
        "SYNC_PRODUCTION_US_DSN": us.dsn,
    }
    deploy = (checkout / "deploy.py", "-y", "--limit")
    project.run(inventories / "staging.py", *deploy, "neon", env=env).succeeded()
    project.run(
        inventories / "production.py", *deploy, "@postgres/sync-us", "--debug", env=env
    ).succeeded()
    assert staging.psql(FIXTURES) == "1"
    assert us.psql(FIXTURES) == "0"
    assert eu.psql("SELECT to_regclass('organization')") == ""


def test_a_service_and_a_password_file_suffice(
    project: Project, database: Database, password_role: PasswordRole, inventories: Path
) -> None:
    directory = database.server.socket.parent
    project.write(
        "services",
        f"[sync-legacy]\nhost={directory}\ndbname={database.name}\nuser={password_role.name}\n",
    )
    passwords = project.write("passwords", "")
    escaped = password_role.password.replace(":", "\\:")
    passwords.write_text(f"*:*:*:*:{escaped}\n")
    passwords.chmod(0o600)
    run = project.run(
        *(inventories / "staging.py", "pyinfra_postgres.sql", "SELECT current_user", "--json"),
        *("--limit", "services"),
        env={
            "SYNC_STAGING_DSN": "unused",
            "PGSERVICEFILE": str(project.path / "services"),
            "PGPASSFILE": str(passwords),
        },
    ).succeeded()
    assert json.loads(run.stdout) == {
        "@postgres/sync-legacy": [{"current_user": password_role.name}]
    }
