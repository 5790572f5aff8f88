"""Workflows of GitHub's, job by job: their shell steps as written, and stand-ins for the rest.

What a job gets is what it gets at GitHub: an empty directory, the variables that its steps name,
the secrets of its environment.
https://docs.github.com/en/actions/reference/workflows-and-actions
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.server import environment

needs_jq = pytest.mark.skipif(
    shutil.which("jq") is None, reason="no jq here: install the package of this name"
)
REPOSITORY = "acme/shop"
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""What runs a step under `shell: bash`."""
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_GH = Path(__file__).with_name("gh.py")


@dataclass
class Ended:
    """How a job ended."""

    skipped: bool = False
    code: int = 0
    output: str = ""
    summary: str = ""
    steps: list[str] = field(default_factory=list)
    """The names of the shell steps that were run."""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return not self.skipped and self.code == 0


@dataclass
class GitHub:
    """A repository, and what its runs share."""

    path: Path
    checkout: Path
    """What `actions/checkout` puts into a job's directory."""
    environments: Mapping[str, Mapping[str, str]]
    """The secrets of each environment."""
    variables: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    """What else a runner has in its environment."""
    token: str = "ghs_s3cret-token"
    jobs: int = 0

    def __post_init__(self) -> None:
        self.programs = self.path / "bin"
        self.programs.mkdir(parents=True)
        gh = self.programs / "gh"
        gh.write_text(f'#!/bin/sh\nexec {sys.executable} {_GH} "$@"\n')
        gh.chmod(0o755)
        self.answers: dict[str, Any] = {}

    @property
    def said(self) -> list[dict[str, Any]]:
        """What was written through `gh`: its arguments and the text."""
        file = self.path / "said.jsonl"
        return [json.loads(one) for one in file.read_text().splitlines()] if file.exists() else []

    def artifacts(self, run: int) -> Path:
        """Where a run's artifacts are."""
        return self.path / "artifacts" / str(run)

    def run(self, workflow: Path, event: Mapping[str, Any], run: int, **github: str) -> Run:
        """A run of a workflow, of which no job has begun."""
        document = yaml.safe_load(workflow.read_text())
        context = {
            "event": event,
            "run_id": str(run),
            "repository": REPOSITORY,
            "server_url": "https://github.com",
            "token": self.token,
            **github,
        }
        return Run(self, document, context, run)


@dataclass
class Run:
    """A run of a workflow."""

    at: GitHub
    workflow: Mapping[Any, Any]
    context: Mapping[str, Any]
    number: int
    ended: dict[str, Ended] = field(default_factory=dict)

    def all(self) -> dict[str, Ended]:
        """Run the jobs in their order."""
        for name in self.workflow["jobs"]:
            self.job(name)
        return self.ended

    def job(self, name: str) -> Ended:
        """Run a job, if those before it allow that."""
        job = self.workflow["jobs"][name]
        ended = self.ended[name] = Ended()
        needed = self.ended[job["needs"]] if "needs" in job else None
        contexts = {
            "github": self.context,
            "vars": self.at.variables,
            "secrets": self.at.environments.get(job.get("environment", ""), {}),
            "needs": {job["needs"]: {"outputs": needed.outputs}} if needed else {},
            "steps": {},
        }
        if (needed and not needed.succeeded) or not _holds(job.get("if"), contexts):
            ended.skipped = True
            return ended
        self.at.jobs += 1
        directory = self.at.path / "jobs" / str(self.at.jobs)
        directory.mkdir(parents=True)
        for step in job["steps"]:
            if "uses" in step:
                self._use(step, directory)
            else:
                self._shell(step, directory, contexts, ended)
            if ended.code:
                return ended
        ended.outputs = {
            key: _filled(value, contexts) for key, value in job.get("outputs", {}).items()
        }
        return ended

    def _use(self, step: Mapping[str, Any], directory: Path) -> None:
        given = step.get("with", {})
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                shutil.copytree(self.at.checkout, directory, dirs_exist_ok=True)
            case "actions/setup-python":
                pass
            case "actions/upload-artifact":
                source = directory / given["path"]
                there = self.at.artifacts(self.number) / given["name"]
                if given.get("overwrite"):
                    shutil.rmtree(there, ignore_errors=True)
                if source.is_dir():  # what the directory holds, not the directory
                    shutil.copytree(source, there)
                else:
                    there.mkdir(parents=True)
                    shutil.copy(source, there)
            case "actions/download-artifact":
                there = self.at.artifacts(self.number) / given["name"]
                shutil.copytree(there, directory / given.get("path", ""), dirs_exist_ok=True)
            case other:
                raise AssertionError(f"nothing stands in for {other}")

    def _shell(
        self, step: Mapping[str, Any], directory: Path, contexts: dict[str, Any], ended: Ended
    ) -> None:
        assert self.workflow["defaults"]["run"]["shell"] == "bash"
        script, output, summary = (
            self.at.path / "files" / f"{self.at.jobs}-{len(ended.steps)}-{name}"
            for name in ("script", "output", "summary")
        )
        script.parent.mkdir(exist_ok=True)
        script.write_text(step["run"])
        output.touch()
        summary.touch()
        (self.at.path / "answers.json").write_text(json.dumps(self.at.answers))
        named = {key: _filled(value, contexts) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            [*SHELL, script],
            cwd=directory,
            env={
                "PATH": f"{self.at.programs}:{Path(sys.executable).parent}:{environment()['PATH']}",
                "HOME": str(self.at.path),
                "LANG": "C.UTF-8",
                "GITHUB_SHA": self.context.get("sha", ""),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "STAND_IN": str(self.at.path),
                **self.at.env,
                **named,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        ended.steps.append(step["name"])
        ended.code = done.returncode
        ended.output += done.stdout
        ended.summary += summary.read_text()
        if "id" in step:
            outputs = dict(one.split("=", 1) for one in output.read_text().splitlines())
            contexts["steps"][step["id"]] = {"outputs": outputs}


def _filled(text: str, contexts: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda one: _value(one[1], contexts), text)


def _holds(condition: str | None, contexts: Mapping[str, Any]) -> bool:
    """Whether one thing is another one, which is all that conditions say here."""
    if condition is None:
        return True
    one, other = condition.split(" == ")
    return _value(one, contexts) == _value(other, contexts)


def _value(expression: str, contexts: Mapping[str, Any]) -> str:
    """A literal, or what is found by names; "" for what is not there, as with GitHub."""
    if expression.startswith("'"):
        return expression.strip("'")
    found: Any = contexts
    for name in expression.split("."):
        found = found.get(name, {})
    return str(found or "")


def steps(workflow: Mapping[Any, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each step with its job."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            yield job, step
