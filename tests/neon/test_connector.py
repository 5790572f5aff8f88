"""`@neon/PROJECT[/BRANCH]`: the branches of a project are hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pyinfra.api.exceptions import InventoryError

from harness import FakeNeon, FakeProject, Fault, Project, Run, one_version
from pyinfra_postgres.endpoint import endpoint
from pyinfra_postgres.neon import NeonConnector, verified

pytestmark = one_version
DEPLOY = 'pg.schema("s")\n'


@pytest.fixture
def run(project: Project, fake: FakeNeon) -> Callable[..., Run]:
    """Runs pyinfra with the API in its environment."""
    project.deploy(DEPLOY)

    def run(*arguments: str) -> Run:
        return project.run(*arguments, env=fake.environment)

    return run


def groups(name: str) -> dict[str, set[str]]:
    """The hosts of an inventory with their groups."""
    return {host: set(groups) for host, _, groups in NeonConnector.make_names_data(name)}


@pytest.mark.usefixtures("environment")
def test_branches_are_hosts_in_groups(fake: FakeNeon, shop: FakeProject) -> None:
    shop.branch("staging").endpoint = None
    fake.branch(shop, "rehearsal-main-1")
    shop.branch("preview/7").protected = True
    shop.branch("preview/7").endpoint = "active"
    expected = {
        "@neon/shop/main": {"neon", "neon_idle", "neon_default", "shop", "main"},
        "@neon/shop/preview/7": {"neon", "neon_active", "neon_protected", "shop", "preview/7"},
    }
    assert groups("shop") == expected
    assert groups(f"{shop.id}/main") == {
        f"@neon/{shop.id}/main": expected["@neon/shop/main"],
    }
    assert groups("shop/rehearsal-main-1") == {
        "@neon/shop/rehearsal-main-1": {*expected["@neon/shop/main"], "neon_rehearsal"},
    }


def test_a_project_is_asked_for_once(fake: FakeNeon, shop: FakeProject, run: Any) -> None:
    found = json.loads(run(f"@neon/{shop.id}/main", "debug-inventory", "--json").succeeded().stdout)
    assert sorted(found[0]["data"]) == ["neon_branch", "neon_endpoint", "neon_project"]
    assert len(set(fake.requests)) == len(fake.requests)


def test_a_deploy_runs_on_the_branches_of_a_limit(shop: FakeProject, run: Any) -> None:
    dry = run("@neon/shop", "deploy.py", "--dry", "--diff").succeeded()
    for branch in ("main", "staging", "preview/7"):
        assert f"[@neon/shop/{branch}]" in dry.output
    run("@neon/shop", "deploy.py", "-y", "--limit", "staging").succeeded()
    made = [
        one.databases["app"].psql("SELECT to_regnamespace('s') IS NOT NULL")
        for one in shop.branches
    ]
    assert made == ["f", "t", "f"]


@pytest.mark.usefixtures("shop", "environment")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Name a Neon project: @neon/PROJECT or @neon/PROJECT/BRANCH"),
        ("shpo", "there is no Neon project shpo: did you mean shop?"),
        ("zzz", "there is no Neon project zzz: there is shop, twin"),
        ("twin", "several Neon projects are called twin: take one by its id, twin-"),
        ("shop/stagin", "there is no branch stagin in Neon project shop: did you mean staging?"),
        ("shop/bare", "bare: no compute that takes writes in Neon project shop"),
    ],
)
def test_what_is_not_there(fake: FakeNeon, shop: FakeProject, name: str, message: str) -> None:
    fake.project("twin")
    fake.project("twin")
    fake.branch(shop, "bare", endpoint=None)
    with pytest.raises(InventoryError) as error:
        groups(name)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("server")
def test_the_server_has_to_prove_who_it_is() -> None:
    uri = "postgresql://u:p@ep-a-b-1.aws.neon.tech/db?sslmode=require&channel_binding=require"
    assert endpoint(verified(uri)).changes["sslmode"] == "verify-full"
    assert "channel_binding=require" in verified(uri)
    elsewhere = "postgresql://u:p@db.example/db?sslmode=require"
    assert verified(elsewhere) == elsewhere


@pytest.mark.usefixtures("server")
def test_a_missing_token_is_one_line(project: Project) -> None:
    project.deploy(DEPLOY)
    run = project.run("@neon/shop", "deploy.py", "-y", env={"NEON_API_KEY": ""}).failed()
    assert "NEON_API_KEY is not set: make an API key in Neon's console" in run.output
    assert "Connecting" not in run.output


def test_which_database_and_role(fake: FakeNeon, shop: FakeProject, run: Any) -> None:
    main = shop.branch("main")
    main.databases["other"] = fake.databases()
    target = ("@neon/shop/main", "deploy.py", "-y")
    assert (
        "the branch has several databases (app, other): choose one by the host data neon_database, "
        "as with --data neon_database=app" in run(*target).failed().output
    )
    wrong = run(*target, "--data", "neon_database=othr").failed()
    assert "the branch has no database othr: did you mean other?" in wrong.output
    wrong = run(*target, "--data", "neon_database=other", "--data", "neon_role=x").failed()
    assert "the branch has no role x: there is postgres" in wrong.output
    wrong = run(*target, "--data", "neon_databse=other").failed()
    assert "unknown host data neon_databse: known are neon_database, neon_role" in wrong.output
    run(*target, "--data", "neon_database=other").succeeded()
    assert main.databases["other"].psql("SELECT to_regnamespace('s')") == "s"
    assert main.databases["app"].psql("SELECT to_regnamespace('s')") == ""


def test_an_api_that_is_busy_is_waited_for(fake: FakeNeon, shop: FakeProject, run: Any) -> None:
    fake.faults = [
        Fault("GET", "/branches", 429, {"Retry-After": "0"}),
        Fault("GET", "/connection_uri", 423),
    ]
    output = run(f"@neon/{shop.id}/main", "deploy.py", "-y").succeeded().output
    assert "Neon's API: not now (HTTP 429, request req-fault); try 2 of 8" in output
    assert "Neon's API: not now (HTTP 423, request req-fault); try 2 of 8" in output
