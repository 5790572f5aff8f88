"""The acceptance tests, run as a user runs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Database, Databases, Project, Run, TestServer, accept, one_version


def failed(done: Run) -> list[str]:
    """The tests that failed, without their folder."""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return [line.partition("tests/acceptance/")[2].partition(" - ")[0] for line in lines]


@pytest.fixture
def whole(server: TestServer, deployment: Callable[..., Database]) -> Database:
    """A database with the platform as of today."""
    return deployment(server, "accepted", None)


@one_version
def test_they_pass_on_the_platform_and_say_what_is_damaged(
    whole: Database, new_database: Databases, project: Project
) -> None:
    damaged = new_database(copy_of=whole)
    damaged.psql(
        """DROP POLICY sync_progress_delete ON sync_progress;
           ALTER TABLE sync_progress DISABLE TRIGGER sync_progress_validate_totals;
           ALTER TABLE organization ALTER slug DROP NOT NULL"""
    )
    inventory = project.inventory({"whole": whole.dsn, "damaged": damaged.dsn})
    with whole.untouched():
        done = accept("--inventory", inventory, "--writes")
    assert done.code == 1
    assert sorted(failed(done)) == [
        "test_isolation.py::test_each_command_has_its_policy[@postgres/damaged-for progress]",
        "test_schema.py::test_columns[@postgres/damaged-an organization has name, slug and whether "
        "it is active]",
        "test_triggers.py::test_no_trigger_on_progress_is_switched_off[@postgres/damaged]",
        *(
            f"test_triggers.py::test_what_is_refused_as_progress_is[@postgres/damaged-{counts}]"
            for counts in (
                "a total below nothing",
                "an item behind the last",
                "more that has failed than is left",
                "more that is done than there is",
            )
        ),
    ]


@one_version
@pytest.mark.parametrize(
    ("group", "data"),
    [("production", {}), ("databases", {"postgres_environment": "production"})],
    ids=["by its group", "by its environment"],
)
def test_production_is_not_written_to(
    database: Database, project: Project, group: str, data: dict[str, str]
) -> None:
    inventory = project.inventory({"live": database.dsn}, group=group, **data)
    with database.watch() as seen:
        done = accept("--inventory", inventory, "--writes")
    assert done.code == 4
    assert "nothing is written to production, and that is @postgres/live" in done.stderr
    assert seen.entries == []


@one_version
def test_a_run_that_tests_nothing_fails(database: Database, project: Project) -> None:
    inventory = project.inventory({"database": database.dsn})
    done = accept("--inventory", inventory, "-k", "service")
    assert done.code == 1
    assert "no host of the inventory is a machine" in done.stdout
    assert "FAILED: no test has run" in done.stdout


def test_a_host_that_is_not_there_is_one_failure(unreachable_dsn: str, project: Project) -> None:
    inventory = project.inventory({"gone": unreachable_dsn.replace("postgres@", "u:s3cret@")})
    done = accept("--inventory", inventory, "-k", "server")
    assert done.code == 1
    assert len(failed(done)) == 1
    assert "@postgres/gone can't be asked: connection " in done.stdout
    assert "s3cret" not in done.stdout


def test_without_an_inventory_they_say_so() -> None:
    done = accept()
    assert done.code == 4
    assert "say on which hosts by --inventory FILE" in done.stderr


@one_version
def test_the_commands_in_the_readme_are_understood(
    database: Database, project: Project, checkout: Path
) -> None:
    section = (checkout / "README.md").read_text().split("### Acceptance tests")[1]
    commands = re.findall(r"^\.venv/bin/python -m pytest tests/acceptance (.*)$", section, re.M)
    inventory = project.inventory({"one": database.dsn}, group="staging")
    assert len(commands) == 2
    for command in commands:
        options = command.replace("inventories/embedded.py", str(inventory)).split()
        assert "tests collected" in accept(*options, "--collect-only").succeeded().stdout
