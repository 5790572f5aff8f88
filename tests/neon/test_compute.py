"""Deploys to Neon's computes, as far as they can be had here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness import Platform, Project, finished, needs_neon, until
from harness.neon import DIRECT, ENDPOINT, OWNER, POOLED, Compute, compute

pytestmark = needs_neon

WAKES: dict[str, Any] = {"postgres_connect_delay": 0.01}


@pytest.fixture(scope="module")
def neon_eu() -> Iterator[Compute]:
    with compute() as running:
        yield running


@pytest.fixture
def trusting(neon_eu: Compute, monkeypatch: pytest.MonkeyPatch) -> Compute:
    """The compute, whose certificate this machine trusts."""
    for name, value in neon_eu.environment.items():
        monkeypatch.setenv(name, value)
    return neon_eu


def test_one_address_serves_two_names(neon_eu: Compute) -> None:
    """Of the simulation itself: names are told apart, certificates verified."""
    options = {
        "sslmode": "verify-full",
        "sslrootcert": str(neon_eu.certificate),
        "channel_binding": "prefer",  # PgBouncer has none; Neon's own has
    }
    own, logins = {}, neon_eu.pooler.logins()
    for name in (DIRECT, POOLED):
        with psycopg.connect(neon_eu.dsn(name, **options), prepare_threshold=None) as session:
            row = session.execute("SELECT pg_backend_pid(), current_user").fetchone()
            assert row
            assert row[1] == OWNER
            own[name] = row[0] == session.info.backend_pid
    assert own == {DIRECT: True, POOLED: False}
    assert neon_eu.pooler.logins() == logins + 1


def test_the_platform_is_deployed_and_verified_by_the_owner(
    platform: Platform, project: Project, trusting: Compute
) -> None:
    project.inventory({"neon-eu": trusting.dsn()}, **WAKES)
    before, logins = trusting.platform(), trusting.pooler.logins()
    trusting.relay.asleep = 2

    deploy = ("inventory.py", platform.scripts / "deploy.py", "-y")
    output = project.run(*deploy).succeeded().output
    assert f"{POOLED} is a pooler, which keeps no session: connecting to {DIRECT}" in output
    for attempt in (2, 3):
        assert f"[@postgres/neon-eu] waking neon-eu, try {attempt} of 5: " in output
    assert "try 4" not in output
    project.run("inventory.py", platform.scripts / "verify.py", "-y").succeeded()
    dump = trusting.database.dump()
    output = project.run(*deploy).succeeded().output
    assert " created, " not in output
    assert trusting.database.dump() == dump

    assert trusting.platform() == before
    # Nothing went through the pooler, whose sessions belong to everybody.
    assert trusting.pooler.logins() == logins


def test_a_compute_that_restarts_is_woken_and_the_transaction_repeated(
    project: Project, trusting: Compute
) -> None:
    project.inventory({"neon-eu": trusting.dsn(DIRECT)}, **WAKES)
    project.deploy(
        """
        with pg.transaction():
            pg.table("restarted", [pg.Column("id", "integer")])
            pg.sql("SELECT pg_sleep(1)", unless="SELECT false")
        """
    )
    database = trusting.database
    process = project.start()
    until(lambda: any("pg_sleep" in query for _, _, query in database.sessions()))
    trusting.relay.asleep = 1
    database.psql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{OWNER}'"
    )
    output = finished(process).succeeded().output
    assert "the connection was lost: terminating connection due to administrator" in output
    assert "waking neon-eu, try 2 of 5: " in output
    assert "the transaction was not committed: running it again" in output
    assert "CREATE TABLE public.restarted" in database.dump()


@pytest.mark.parametrize("wrong", ["password", "certificate"])
def test_what_stays_wrong_is_not_tried_again(
    project: Project, trusting: Compute, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "certificate":
        monkeypatch.delenv("SSL_CERT_FILE")
        dsn, reason = trusting.dsn(DIRECT), "certificate verify failed"
    else:
        dsn, reason = trusting.dsn(DIRECT, "wr0ng"), "password authentication failed"
    project.inventory({"neon-eu": dsn}, **WAKES)
    project.deploy('pg.schema("s")')
    output = project.run().failed().output
    assert reason in output
    assert "try 2" not in output
    assert "wr0ng" not in output


def test_computes_wake_side_by_side(project: Project, trusting: Compute) -> None:
    """The second is woken before the first is awake."""
    hosts = {name: trusting.dsn(DIRECT) for name in ("neon-eu", "neon-us")}
    project.inventory(hosts, postgres_connect_delay=0.5)
    project.deploy('pg.schema("awake")')
    trusting.relay.asleep = 2
    output = project.run("inventory.py", "deploy.py", "--dry").succeeded().output
    told = re.findall(r"(waking neon-\w\w, try \d|Connected)", output)
    assert sorted(told[:2]) == ["waking neon-eu, try 2", "waking neon-us, try 2"]
    assert told[2:] == ["Connected", "Connected"]


def test_a_plan_is_for_one_branch(project: Project, trusting: Compute) -> None:
    """All branches of a project have the same system identifier, oid and name."""
    project.inventory({"neon-eu": trusting.dsn(DIRECT)}, **WAKES)
    project.deploy('with pg.transaction():\n    pg.schema("planned")\n')
    project.run("inventory.py", "deploy.py", "--dry", "--data", "plan=plans").succeeded()
    (file,) = (project.path / "plans").glob("*.json")
    (database,) = json.loads(file.read_text())["databases"]
    assert database["identity"]["neon_branch"] == f"endpoint {ENDPOINT}"
    apply = ("inventory.py", "deploy.py", "-y", "--data", "apply=plans")
    project.inventory({"neon-eu": trusting.dsn(DIRECT.replace("quiet", "other"))}, **WAKES)
    output = project.run(*apply).failed().output
    assert "the branch of Neon's is endpoint ep-other-lake-" in output
    assert "CREATE SCHEMA planned" not in trusting.database.dump()
    project.inventory({"neon-eu": trusting.dsn(POOLED)}, **WAKES)
    project.run(*apply).succeeded()
    assert "CREATE SCHEMA planned" in trusting.database.dump()
