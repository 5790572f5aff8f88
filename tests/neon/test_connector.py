"""`@neon/PROJECT[/BRANCH]`: the branches of a project are hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness import FakeNeon, FakeProject, Fault, Project, Run, one_version

pytestmark = one_version
DEPLOY = 'pg.schema("s")\n'


@pytest.fixture
def fake(fake_neon: FakeNeon) -> FakeNeon:
    return fake_neon


@pytest.fixture
def shop(fake: FakeNeon) -> FakeProject:
    return fake.project("shop", "main", "staging", "preview/7")


@pytest.fixture
def run(project: Project, fake: FakeNeon) -> Callable[..., Run]:
    """Runs pyinfra with the API in its environment."""
    project.deploy(DEPLOY)

    def run(*arguments: str) -> Run:
        return project.run(*arguments, env=fake.environment)

    return run


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
