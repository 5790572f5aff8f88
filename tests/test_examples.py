"""The workflows of `examples/` do what they say; their shell steps run as they are written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Database, FakeNeon, Project, one_version
from harness.actions import REPOSITORY, GitHub, Run, needs_jq, steps
from harness.neon_api import FakeBranch

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WORKFLOWS = sorted(EXAMPLES.glob("*/*.yml"))
HEAD, MERGED = "a" * 40, "b" * 40
PULLS = f"repos/{REPOSITORY}/commits/{MERGED}/pulls"
RUNS = (
    f"repos/{REPOSITORY}/actions/workflows/plan.yml/runs"
    f"?event=pull_request&head_sha={HEAD}&status=success"
)
DEPLOY = """
    with pg.transaction():
        pg.schema("shop")
        pg.table("shop.item", [pg.Column("id", "integer", primary_key=True)])
"""


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda one: one.stem)
def test_workflows_give_away_nothing(file: Path) -> None:
    text = file.read_text()
    workflow = yaml.safe_load(text)
    events = workflow[True]  # YAML 1.1 reads `on` so
    assert "pull_request_target" not in events
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["cancel-in-progress"] is False
    for job, step in steps(workflow):
        assert job["timeout-minutes"] <= 60
        # A command line has neither a secret nor what somebody else has written.
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.search(rf"uses: {step['uses']} # v\d+\.\d+\.\d+\n", text)
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}
    for job in workflow["jobs"].values():
        # Code of the repository runs where nothing can be written, and what writes has no secret.
        has_code = any("actions/checkout@" in one.get("uses", "") for one in job["steps"])
        has_secrets = "secrets." in json.dumps(job)
        assert not has_code or set(job["permissions"].values()) == {"read"}
        assert not has_secrets or job["permissions"] == {"contents": "read"}
        assert ("environment" in job) == has_secrets
        if "pull_request" in events and "needs" not in job:
            assert job["if"] == (
                "github.event.pull_request.head.repo.full_name == github.repository"
            )


@pytest.fixture
def checkout(project: Project) -> Path:
    """What a team has in its repository."""
    project.deploy(DEPLOY)
    project.write("requirements.txt", "pyinfra-postgres\n")
    shutil.copy(EXAMPLES / "github-actions" / "inventory.py", project.path)
    return project.path


@pytest.fixture
def github(checkout: Path, tmp_path_factory: pytest.TempPathFactory, database: Database) -> GitHub:
    secrets = {"PRODUCTION_DSN": database.dsn}
    return GitHub(
        tmp_path_factory.mktemp("github"),
        checkout,
        {"production-plan": secrets, "production": secrets},
        env={"PIP_NO_INDEX": "1"},
    )


def pull_request(github: GitHub, workflow: str, run: int, *, fork: bool = False) -> Run:
    of = "stranger/shop" if fork else REPOSITORY
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": of}}}}
    return github.run(EXAMPLES / workflow, event, run)


def merge(github: GitHub, run: int = 2, **answers: Any) -> Run:
    """A push of a merge, about which GitHub answers as it does after run 1, if nothing else."""
    other = {"merge_commit_sha": "c" * 40, "merged_at": None, "head": {"sha": "d" * 40}}
    this = {"merge_commit_sha": MERGED, "merged_at": "2026-01-01", "head": {"sha": HEAD}}
    github.answers = {
        PULLS: answers.get("pulls", [other, this]),
        RUNS: {"workflow_runs": answers.get("runs", [of(9, "stranger/shop"), of(1)])},
    }
    return github.run(EXAMPLES / "github-actions/apply.yml", {}, run, sha=MERGED)


def of(run: int, repository: str = REPOSITORY) -> Mapping[str, Any]:
    return {"id": run, "head_repository": {"full_name": repository}}


def assert_no_secrets(github: GitHub, database: Database, *runs: Run) -> None:
    told = "".join(one.output + one.summary for run in runs for one in run.ended.values())
    told += json.dumps(github.said)
    files = [one for one in (github.path / "artifacts").rglob("*") if one.is_file()]
    told += "".join(one.read_text() for one in files)
    assert database.dsn not in told
    assert github.token not in told


@needs_jq
@one_version
def test_a_plan_is_reviewed_and_applied_as_it_is(
    github: GitHub, database: Database, project: Project
) -> None:
    planned = pull_request(github, "github-actions/plan.yml", 1)
    with database.untouched():
        ended = planned.all()
    assert ended["plan"].steps == ["Install", "Plan"]
    assert all(one.succeeded for one in ended.values()), ended
    artifact = github.artifacts(1) / "reviewed"
    (plan,) = (artifact / "plans").glob("*.json")
    assert plan.with_suffix(".sql").exists()
    (comment,) = github.said
    assert comment["words"] == ["pr", "comment", "7"]
    assert f"<code>{plan.stem}</code> | <code>&#64;postgres/app</code>" in comment["text"]
    assert "CREATE TABLE shop.item" in comment["text"]

    (artifact / "comment.md").write_text("Nothing to be afraid of.")
    applied = merge(github)
    assert applied.job("reviewed").succeeded, applied.ended
    assert applied.ended["reviewed"].steps == ["Install", "Find the plan", "Show it"]
    assert applied.ended["reviewed"].summary == comment["text"]
    copied = github.artifacts(2) / "reviewed/plans"
    assert (copied / plan.name).read_bytes() == plan.read_bytes()
    # Main has another deploy than the pull request, and then the same.
    project.deploy(DEPLOY.replace('"id"', '"number"'))
    with database.untouched():
        refused = applied.job("apply")
    assert refused.code
    assert "::error::main plans something else now" in refused.output
    project.deploy(DEPLOY)
    # What is shown was made up.
    reviewed = plan.read_text()
    forged = reviewed.replace('"summary": ""', '"summary": "SELECT 1"')
    assert forged != reviewed
    (copied / plan.name).write_text(forged)
    with database.untouched():
        refused = applied.job("apply")
    assert "::error::main plans something else now" in refused.output
    (copied / plan.name).write_text(reviewed)
    assert applied.job("apply").succeeded, applied.ended
    assert applied.ended["apply"].steps == ["Install", "Apply"]
    assert "CREATE TABLE shop.item" in database.dump()
    # It was for what was there before.
    again = merge(github, 3).all()["apply"]
    assert again.code
    assert "::error::main plans something else now" in again.output
    # Run again, the first run has the plan for what is there now.
    assert all(one.succeeded for one in planned.all().values())
    assert all(one.succeeded for one in merge(github, 4).all().values())
    assert_no_secrets(github, database, planned, applied)


@needs_jq
@one_version
@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"pulls": []}, f"{MERGED} is no merge of a pull request"),
        ({"runs": []}, f"there is no plan for {HEAD}"),
        ({"runs": [of(9, "stranger/shop")]}, f"there is no plan for {HEAD}"),
    ],
    ids=["a push", "no plan", "a plan of a fork"],
)
def test_what_nobody_reviewed_is_not_applied(
    github: GitHub, database: Database, answers: Mapping[str, Any], told: str
) -> None:
    with database.untouched():
        ended = merge(github, **answers).all()
    assert ended["reviewed"].code == 1
    assert f"::error::{told}" in ended["reviewed"].output
    assert ended["apply"].skipped


@one_version
@pytest.mark.parametrize("workflow", ["github-actions/plan.yml", "neon-branch/rehearsal.yml"])
def test_forks_get_no_job(github: GitHub, database: Database, workflow: str) -> None:
    with database.untouched():
        ended = pull_request(github, workflow, 1, fork=True).all()
    assert all(one.skipped for one in ended.values())
    assert github.jobs == 0


@needs_jq
@one_version
def test_drift_opens_an_issue_once(
    github: GitHub, database: Database, project: Project, unreachable_dsn: str
) -> None:
    project.run("inventory.py", "deploy.py", "-y", env={"PRODUCTION_DSN": database.dsn})

    def drift() -> Run:
        run = github.run(EXAMPLES / "github-actions/drift.yml", {}, 3)
        run.all()
        return run

    equal = drift()
    assert equal.ended["drift"].outputs == {"status": "0"}
    assert equal.ended["issue"].skipped
    database.psql("DROP TABLE shop.item")
    title = "Production is not as main declares it"
    github.answers = {"issues": [{"number": 3, "title": "Something else"}]}
    different = drift()
    assert different.ended["drift"].outputs == {"status": "2"}
    assert different.ended["issue"].succeeded
    github.answers["issues"].append({"number": 4, "title": title})
    assert different.job("issue").succeeded
    created, commented = github.said
    assert (created["words"], created["title"]) == (["issue", "create"], title)
    assert commented["words"] == ["issue", "comment", "4"]
    first, empty, *lines = created["text"].splitlines()
    assert first == f"Found by https://github.com/{REPOSITORY}/actions/runs/3"
    assert not empty
    assert all(one.startswith("    ") for one in lines)
    assert any("table shop.item" in one for one in lines)
    github.environments = {"production-plan": {"PRODUCTION_DSN": unreachable_dsn}}
    project.write("group_data/all.py", "postgres_connect_attempts = 1\n")
    unknown = drift()
    assert unknown.ended["drift"].code == 1
    assert unknown.ended["issue"].skipped
    assert len(github.said) == 2
    assert_no_secrets(github, database, equal, different, unknown)


@one_version
def test_a_pull_request_is_rehearsed_on_a_branch(
    github: GitHub, project: Project, fake_neon: FakeNeon
) -> None:
    production = fake_neon.project("shop", "main")
    there = production.branch("main").databases["app"]
    there.psql("CREATE TABLE item AS SELECT n FROM generate_series(1, 3) n")
    copies: list[FakeBranch] = []
    fake_neon.on_create = copies.append
    environment = dict(fake_neon.environment)
    github.environments = {"neon": {"NEON_API_KEY": environment.pop("NEON_API_KEY")}}
    github.variables = {"NEON_BRANCH": "shop/main"}
    github.env = {**github.env, **environment}
    project.deploy('pg.table("item", [pg.Column("n", "integer", nullable=False)])')
    project.write(
        "verify.py",
        """
        import pyinfra_postgres as pg
        pg.check("All rows are there", "SELECT count(*) FROM item", [(3,)])
        """,
    )
    dump = there.dump()
    well = pull_request(github, "neon-branch/rehearsal.yml", 1)
    assert well.job("rehearse").succeeded, well.ended
    # What fails because of a row fails before the merge.
    there.psql("INSERT INTO item VALUES (NULL)")
    badly = pull_request(github, "neon-branch/rehearsal.yml", 2)
    assert badly.job("rehearse").code
    assert there.dump() == dump
    assert len(copies) == 2
    assert all(one.expires_at for one in copies)
    assert [one.name for one in production.branches] == ["main"]
    summary = well.ended["rehearse"].summary
    assert "    verify.py succeeded in" in summary
    assert "+ n integer NOT NULL" in summary
    assert "    deploy.py failed with exit code 1" in badly.ended["rehearse"].summary
    assert github.environments["neon"]["NEON_API_KEY"] not in summary
