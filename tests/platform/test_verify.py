"""verify.py passes what deploy.py made, and says of a damaged database what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click import unstyle

from harness import Database, Databases, Platform, TestServer, one_version
from harness.html import Page


@pytest.fixture
def current(server: TestServer, deployment: Callable[..., Database]) -> Database:
    """A database with the platform as of the server's own day."""
    return deployment(server, "current", None)


@pytest.fixture
def damaged(current: Database, new_database: Databases) -> Iterator[Database]:
    """A database for the test to damage; the role, which others share, is made whole again."""
    database = new_database(copy_of=current)
    yield database
    database.psql("ALTER ROLE authenticated NOBYPASSRLS NOSUPERUSER")


@one_version
def test_the_commands_of_the_readme(
    platform: Platform, current: Database, new_database: Databases
) -> None:
    copy = new_database(copy_of=current)
    section = (platform.scripts / "README.md").read_text().split("## The sync platform")[1]
    commands = re.findall(
        r"^pyinfra inventories/embedded.py (\w+)\.py (.*)$", section, re.MULTILINE
    )
    outputs = [
        platform(script, copy, *options.split(), group="staging", postgres_today=None)
        .succeeded()
        .output
        for script, options in commands
    ]
    verified, shown, withdrawn = outputs
    assert re.search(r"APPROVED: \d+ of \d+ checks pass, \d+ do not apply", verified)
    assert "DROP TABLE public.sync_progress" in shown
    assert "removed" in withdrawn


def test_what_was_deployed_passes_and_stays_as_it_was(
    platform: Platform, current: Database
) -> None:
    before = current.dump()
    run = platform("verify", current).succeeded()
    assert set(re.findall(r"\] (?:\x1b\[\w+)?(Success|No changes|Error)", run.output)) == {
        "No changes"
    }
    assert "] APPROVED: " in unstyle(run.output)
    assert current.dump() == before
    for table in ("organization", "auth.users_extended", "sync_progress", "sync_activity_log"):
        assert current.psql(f"SELECT count(*) FROM {table}") == "0"
    assert current.sessions() == []
    folder = platform.project.path / "reports" / "inventory"
    Page.read(folder / "index.html")
    Page.read(folder / f"{current.name}.html")


def test_it_passes_with_fixtures_and_in_the_seed_documents_isolation(
    platform: Platform, new_database: Databases
) -> None:
    database = new_database()
    data: dict[str, Any] = {
        "sync_fixtures": True,
        "sync_isolation": "seeds",
        "postgres_today": None,
    }
    platform("deploy", database, **data).succeeded()
    platform("verify", database, **data).succeeded()
    assert database.psql("SELECT count(*) FROM organization") == "1"


@one_version
def test_it_passes_where_others_have_their_own_objects_and_rows(
    platform: Platform, damaged: Database
) -> None:
    damaged.psql(
        """CREATE TABLE sync_other (id integer);
           CREATE FUNCTION sync_other() RETURNS integer LANGUAGE sql AS 'SELECT 1';
           CREATE TYPE other AS ENUM ('a');
           INSERT INTO organization (name, slug) VALUES ('Other', 'other');
           INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system, status)
             SELECT id, 'test-sync-001', 'customer', 'odoo', 'in_progress' FROM organization"""
    )
    platform("verify", damaged).succeeded()


@one_version
def test_a_database_without_the_platform_fails_on_that_host_alone(
    platform: Platform, current: Database, new_database: Databases
) -> None:
    empty = new_database()
    run = platform("verify", [current, empty]).failed()
    said = unstyle(run.output)
    assert re.search(rf"@postgres/{empty.name}\] +NOT APPROVED: \d+ root causes block", said)
    assert re.search(rf"@postgres/{current.name}\] +APPROVED", said)


def test_what_deploy_heals_passes_again(platform: Platform, damaged: Database) -> None:
    damaged.psql(
        """DROP POLICY sync_progress_select ON sync_progress;
           ALTER TABLE sync_activity_log DISABLE ROW LEVEL SECURITY;
           DROP TRIGGER sync_progress_update_elapsed ON sync_progress;
           DROP FUNCTION validate_sync_progress_totals CASCADE;
           DROP INDEX idx_preview_cache_org_expires;
           DROP TABLE sync_preview_cache;
           REVOKE ALL ON SCHEMA auth FROM authenticated"""
    )
    platform("verify", damaged).failed()
    platform("deploy", damaged, postgres_today=None).succeeded()
    platform("verify", damaged).succeeded()
