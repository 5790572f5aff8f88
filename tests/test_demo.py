"""The guided tour: what it shows of pyinfra's output, and that it hides no failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo import run as tour

APPLY = """\
--> Starting operation: Identity | schema auth
    [@postgres/staging]    Success
--> Starting operation: Identity | table public.organization
    [@postgres/staging]    No changes
--> Starting operation: 0024 | 1/7 Enum types | enum public.sync_type
    [@postgres/staging]    Success
    [@postgres/staging] 1 to create, 1 to change, 0 to remove
--> Results:
""".splitlines()

DRY_RUN = """\
--> Connecting to hosts...
    [@postgres/staging]    Connected
--> Preparing operations...
    [@postgres/staging] enum public.sync_type      create
    CREATE TYPE public.sync_type AS ENUM ('odoo')
    [@postgres/staging] 1 to create, 0 to change, 0 to remove
    [@postgres/production] warning that is not the first host's
    [@postgres/production] same plan as @postgres/staging
--> Detected changes:
    Operation      Change
""".splitlines()


def test_a_run_is_one_line_per_deploy() -> None:
    assert [" ".join(line.split()) for line in tour.results(APPLY)] == [
        "Identity 1 changed, 1 unchanged",
        "[@postgres/staging] 1 to create, 1 to change, 0 to remove",
        "0024 | 1/7 Enum types 1 changed",
        "all operations 2 changed, 1 unchanged",
    ]


def test_a_dry_run_is_the_first_hosts_plan_and_every_hosts_last_line() -> None:
    assert [line.strip() for line in tour.plan(DRY_RUN)] == [
        "[@postgres/staging] enum public.sync_type      create",
        "CREATE TYPE public.sync_type AS ENUM ('odoo')",
        "[@postgres/staging] 1 to create, 0 to change, 0 to remove",
        "[@postgres/production] same plan as @postgres/staging",
    ]


def test_a_long_plan_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "PLAN_LINES", 1)
    assert "... 1 more lines" in list(tour.plan(DRY_RUN))


def test_a_second_run_that_changes_something_is_an_error() -> None:
    with pytest.raises(tour.UnexpectedError) as caught:
        list(tour.unchanged(APPLY))
    assert caught.value.args[1:] == (
        "@postgres/staging: Identity | schema auth",
        "@postgres/staging: 0024 | 1/7 Enum types | enum public.sync_type",
    )


def test_a_second_run_in_which_nothing_ran_is_an_error() -> None:
    with pytest.raises(tour.UnexpectedError):
        list(tour.unchanged(["--> Results:"]))


def test_a_failed_step_shows_its_whole_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tour, "ROOT", tmp_path)
    monkeypatch.setattr(tour, "LOGS", tmp_path / "logs")
    command = (sys.executable, "-c", "print('a detail'); raise SystemExit(3)")
    assert not tour.run(1, tour.Step("Fail", command, tour.results))
    printed = capfd.readouterr().out
    assert "a detail" in printed
    assert "exit code 3" in printed


def test_who_reads_only_the_first_line_of_the_servers_state_gets_no_trace(checkout: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, checkout / "demo" / "server.py", "status"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""
