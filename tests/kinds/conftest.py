"""What the tests of the kinds share: a deploy that is applied by pyinfra and repeated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import Database, Project, Run
from harness.process import run_files
from pyinfra_postgres.comparison import verdicts

_OUTCOME = re.compile(
    r"Starting operation: (.*?) *\n(?:(?!--> ).*\n)*?"
    r"\s+\[@postgres/\w+\] (No changes|Success|Error)"
)
_READS = re.compile(r"BEGIN READ ONLY;|SELECT |SHOW ")
_COMPARES = re.compile(r"BEGIN READ WRITE;.*pg_temp\..*;\nROLLBACK", re.DOTALL)


def outcomes(run: Run) -> dict[str, str]:
    """How each operation of a run ended, by its name."""
    return {**dict(_OUTCOME.findall(run.stdout + run.stderr)), **run.operations}


class Deploy:
    """A project with one database, and verdicts that nothing remembers from run to run."""

    def __init__(self, project: Project, database: Database, cache: Path) -> None:
        self.project = project
        self.database = database
        self.cache = cache
        self.runs = 0
        self.arguments: tuple[str, ...] = ()
        project.inventory({"db": database.dsn})

    def run(self, text: str | None = None, *arguments: str) -> Run:
        """Apply a deploy, or the last one again."""
        if text is not None:
            self.project.deploy(text)
            self.arguments = arguments
        self.runs += 1
        data = dict(one.split("=", 1) for one in self.arguments if one != "--data")
        # A fresh cache: the server itself has to judge every time.
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("XDG_CACHE_HOME", str(self.cache / str(self.runs)))
            verdicts.forget()
            return run_files(self.project.path, **data)

    def apply(self, text: str, *arguments: str) -> Run:
        """Apply a deploy, and see that a second run changes nothing and sends no DDL."""
        run = self.run(text, *arguments).succeeded()
        self.unchanged()
        return run

    def unchanged(self) -> None:
        """Run the last deploy again: no operation has anything to do, and none does anything."""
        with self.database.watch() as seen, self.database.untouched():
            run = self.run().succeeded()
        changed = [name for name, outcome in outcomes(run).items() if outcome != "No changes"]
        assert not changed, run.output
        assert outcomes(run), run.output
        writes = [
            one for one in seen.statements if not _READS.match(one) and not _COMPARES.match(one)
        ]
        assert writes == []
        assert seen.statements


@pytest.fixture
def deploy(project: Project, database: Database, tmp_path: Path) -> Deploy:
    """A deploy against an empty database."""
    return Deploy(project, database, tmp_path / "cache")
