"""This checkout's own deploy, run on databases of a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.server import environment
from harness.cli import Project, Run
from harness.servers import Database

ROOT = Path(__file__).resolve().parent.parent.parent
TODAY = "2026-02-10"


class Platform:
    """`deploy.py`, `rollback.py` and `verify.py`, on a day that stands still."""

    scripts = ROOT
    """Where they are."""

    def __init__(self, project: Project) -> None:
        self.project = project
        # What the server once called equal would be remembered from one test to the next.
        self.cache = project.path / "cache"

    def __call__(
        self,
        script: str,
        databases: Database | Sequence[Database],
        *options: str,
        group: str = "databases",
        **data: Any,
    ) -> Run:
        """Run a script for these databases, whose names are also their hosts' names."""
        if isinstance(databases, Database):
            databases = [databases]
        self.inventory(databases, group=group, **data)
        return self.project.run(
            *("inventory.py", self.scripts / f"{script}.py", *(options or ["-y"])),
            env={"XDG_CACHE_HOME": str(self.cache)},
        )

    def inventory(
        self, databases: Sequence[Database], *, group: str = "databases", **data: Any
    ) -> Path:
        """Write the inventory that a run would use."""
        return self.project.inventory(
            {database.name: database.dsn for database in databases},
            group=group,
            **{"postgres_today": TODAY, **data},
        )


def accept(*options: str | Path) -> Run:
    """Run the acceptance tests as a user does, in this checkout."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfEs"),
            *("tests/acceptance", *map(str, options)),
        ],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)
