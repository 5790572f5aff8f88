"""What another project's prover and linter for row security say of the deployed platform.

https://pypi.org/project/pgrls/
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import Database, one_version
from sync_platform import ACCEPTED

# In an environment of its own: what it needs is nothing that this package may need.
PGRLS = Path(sys.prefix) / "judges" / "bin" / "pgrls"

pytestmark = [
    one_version,
    pytest.mark.skipif(
        not PGRLS.exists(), reason="pgrls is not installed: python demo/install.py test"
    ),
]

# The conditions of these policies have a subquery, for who counts as a colleague: that is beyond
# what pgrls decides. test_isolation.py tries them.
UNDECIDED = {"public.sync_activity_log", "public.sync_preview_cache"}


@pytest.fixture(scope="module")
def config(checkout: Path) -> Path:
    return checkout / "pgrls.toml"


def pgrls(database: Database, *arguments: str | Path) -> tuple[int, Any]:
    """The exit code and the answer of one of its commands."""
    result = subprocess.run(
        [PGRLS, *arguments, "--database-url", database.dsn, "--format", "json"],
        cwd=database.server.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_the_linter_finds_nothing_but_what_is_accepted(deployed: Database, config: Path) -> None:
    _, report = pgrls(deployed, "lint", "--config", config)
    found = {(f"pgrls {one['rule_id']}", one["location"]) for one in report["violations"]}
    rules = {rule for rule, _ in found}
    assert rules == {one.rule for one in ACCEPTED if one.rule.startswith("pgrls")}
    assert len(found) == len([one for one in ACCEPTED if one.rule.startswith("pgrls")])


@pytest.mark.parametrize("mode", ["anon", "cross-tenant", "write"])
def test_the_prover_finds_every_table_closed(deployed: Database, config: Path, mode: str) -> None:
    function = ("--auth-function", "auth.current_org_id")
    code, report = pgrls(deployed, "verify", "--config", config, "--mode", mode, *function)
    verdicts = {one["table"]: one["verdict"] for one in report["tables"]}
    assert code == 0
    assert len(verdicts) == 9
    undecided = {table for table, verdict in verdicts.items() if verdict == "unverified"}
    assert undecided == (UNDECIDED if mode == "write" else set())
    assert {verdicts[table] for table in verdicts.keys() - undecided} == {"isolated"}


@pytest.mark.parametrize("mode", ["escalation", "reachability"])
def test_the_prover_finds_no_way_around(deployed: Database, config: Path, mode: str) -> None:
    code, report = pgrls(deployed, "verify", "--config", config, "--mode", mode)
    assert code == 0
    assert report["tables"] == []
