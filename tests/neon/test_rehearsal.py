"""`pyinfra-postgres rehearse`: deploys on a copy of a branch, which goes away in the end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import (
    FakeBranch,
    FakeNeon,
    FakeProject,
    Fault,
    Platform,
    Project,
    Run,
    Started,
    finished,
    one_version,
    until,
)

pytestmark = one_version
DEPLOY = """
    assert {"main", "neon_rehearsal"} <= set(host.groups)
    pg.sql(f"UPDATE t SET n = n + {host.data.get('step', 1)}")
"""
VERIFY = 'pg.check("The row is there", "SELECT n FROM t", [(8,)])\n'
SLOW = 'pg.sql("SELECT pg_sleep(60)")\n'


@pytest.fixture
def fake(fake_neon: FakeNeon) -> FakeNeon:
    return fake_neon


@pytest.fixture
def production(fake: FakeNeon, project: Project) -> FakeProject:
    """A project with a row in production, and a deploy that changes it."""
    production = fake.project("shop", "main")
    production.branch("main").databases["app"].psql("CREATE TABLE t AS SELECT 1 AS n")
    project.deploy(DEPLOY)
    project.deploy(VERIFY, name="verify.py")
    return production


@pytest.fixture
def start(fake: FakeNeon, project: Project) -> Callable[..., Started]:
    """Starts a rehearsal."""

    def start(*arguments: str | Path) -> Started:
        return project.start(
            *("rehearse", "@neon/shop", *arguments),
            env=fake.environment,
            module="pyinfra_postgres.cli.main",
        )

    return start


@pytest.fixture
def copies(fake: FakeNeon) -> list[FakeBranch]:
    """The branches that were made."""
    copies: list[FakeBranch] = []
    fake.on_create = copies.append
    return copies


def names(project: FakeProject) -> list[str]:
    return [branch.name for branch in project.branches]


def asleep(copies: list[FakeBranch]) -> Callable[[], bool]:
    """Whether the deploy is in its only statement."""

    def asleep() -> bool:
        sessions = copies[0].databases["app"].sessions() if copies else []
        return any("pg_sleep" in query and state == "active" for _, state, query in sessions)

    return asleep


def test_plans_are_measured_on_the_copy_before_they_are_applied(
    production: FakeProject, start: Any, project: Project
) -> None:
    project.deploy(
        'with pg.transaction():\n    pg.table("t", [pg.Column("n", "bigint")])\n'
        '    pg.sql("UPDATE t SET n = n + 7")\n'
    )
    options = ("--measure", "--data", "postgres_allow=t")
    run = finished(start("deploy.py", *options)).succeeded()
    assert re.search(
        r"rehearsed: 2 statements .*, 1 relation written anew, .*as planned", run.output
    )
    assert re.search(r"deploy.py measured succeeded in .*\n.*deploy.py succeeded in", run.output)
    assert production.branch("main").databases["app"].psql("SELECT n FROM t") == "1"


def test_the_copy_is_deployed_and_goes_away(
    production: FakeProject, start: Any, copies: list[FakeBranch]
) -> None:
    run = finished(start("deploy.py", "verify.py", "--data", "step=7")).succeeded()
    (copy,) = copies
    assert copy.name.startswith("rehearsal-main-")
    assert copy.expires_at
    assert 23 < (datetime.fromisoformat(copy.expires_at) - datetime.now(UTC)).seconds / 3600 < 24
    first, second = run.stdout.splitlines()
    assert first.startswith("deploy.py succeeded in")
    assert second.startswith("verify.py succeeded in")
    assert f"--> Deleted branch {copy.name}" in run.stderr
    assert names(production) == ["main"]
    assert production.branch("main").databases["app"].psql("SELECT n FROM t") == "1"


def test_the_platform_is_rehearsed(fake: FakeNeon, start: Any, platform: Platform) -> None:
    project = fake.project("shop", "main")
    scripts = [platform.scripts / name for name in ("deploy.py", "verify.py")]
    run = finished(start(*scripts)).succeeded()
    assert " created" in run.stderr
    assert "verify.py succeeded" in run.stdout
    assert names(project) == ["main"]


def test_a_deploy_that_fails_ends_the_rehearsal(production: FakeProject, start: Any) -> None:
    run = finished(start("verify.py", "deploy.py")).failed()
    assert run.code == 1
    assert run.stdout.startswith("verify.py failed with exit code 1 in")
    assert "deploy.py" not in run.stdout
    assert names(production) == ["main"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_it_without_a_trace(
    production: FakeProject,
    project: Project,
    start: Any,
    copies: list[FakeBranch],
    number: signal.Signals,
) -> None:
    project.deploy(SLOW)
    process = start("deploy.py")
    until(asleep(copies))
    process.send_signal(number)
    run = finished(process)
    assert run.code == 128 + number
    assert "Traceback" not in run.output
    assert names(production) == ["main"]


def test_what_a_kill_leaves_is_named_by_the_next(
    production: FakeProject, fake: FakeNeon, start: Any
) -> None:
    started: list[Started] = []

    def kill(_: FakeBranch) -> None:
        until(lambda: started)
        started[0].kill()

    fake.on_create = kill
    started.append(start("deploy.py"))
    finished(started[0])
    main, left = production.branches
    fake.on_create = lambda _: None
    run = finished(start("deploy.py")).succeeded()
    assert f"{left.name}, expires at {left.expires_at}" in run.stderr
    assert f"neonctl branches delete {left.id} --project-id {production.id}" in run.stderr
    assert production.branches == [main, left]


def test_a_branch_that_nobody_told_of_goes_away_too(
    production: FakeProject, fake: FakeNeon, start: Any
) -> None:
    fake.faults = [Fault("POST", "/branches", 0, after=True)]
    run = finished(start("deploy.py")).failed()
    assert "Server disconnected" in run.stderr
    assert "--> Deleted branch rehearsal-main-" in run.stderr
    assert names(production) == ["main"]


def test_a_branch_that_stays_is_named(production: FakeProject, fake: FakeNeon, start: Any) -> None:
    fake.faults = [Fault("DELETE", "/branches", 400)]
    run = finished(start("deploy.py")).failed()
    _, copy = names(production)
    assert f"branch {copy} could not be deleted: Neon's API: not now (HTTP 400" in run.stderr
    assert run.stdout.startswith("deploy.py succeeded")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop", "deploy.py"], "write @neon/PROJECT or @neon/PROJECT/BRANCH"),
        (["@neon/shop"], "Missing argument 'DEPLOY.py...'"),
        (["@neon/shop", "missing.py"], "Path 'missing.py' does not exist."),
        (["@neon/shop", "deploy.py"], "NEON_API_KEY is not set"),
    ],
)
def test_mistakes_are_one_line(project: Project, arguments: list[str], message: str) -> None:
    project.deploy(DEPLOY)
    command = Path(sys.executable).with_name("pyinfra-postgres")
    done = subprocess.run(
        [command, "rehearse", *arguments],
        cwd=project.path,
        env={"NEON_API_KEY": ""},
        capture_output=True,
        text=True,
    )
    assert message in Run(done.returncode, done.stdout, done.stderr).failed().output
