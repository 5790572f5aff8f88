"""verify.py passes what deploy.py made, and says of a damaged database what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Database, Databases, Platform, TestServer, one_version


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
    assert re.search(r"Grand total\s+55\s", verified)
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
    for number in range(1, 8):
        assert re.search(rf"Starting operation: {number} ", run.output), number
    assert current.dump() == before
    for table in ("organization", "auth.users_extended", "sync_progress", "sync_activity_log"):
        assert current.psql(f"SELECT count(*) FROM {table}") == "0"
    assert current.sessions() == []
    assert (platform.project.path / "reports" / "verification.html").exists()


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
    assert re.search(
        rf"@postgres/{empty.name}\] (\x1b\[\w+)?\d+ of \d+ checks failed: 1 ", run.output
    )
    assert f"@postgres/{current.name}] Error" not in run.output


@pytest.mark.parametrize(
    ("damage", "section", "message"),
    [
        (
            "ALTER TABLE sync_progress ADD COLUMN more text",
            "1 Tables",
            "('sync_progress', 17, 'completed_at current_item elapsed_seconds entity_type "
            "eta_seconds failed_count id more org_id",
        ),
        (
            "DROP TABLE sync_preview_cache",
            "1 Tables",
            "-('sync_preview_cache', 8, 'created_at created_by",
        ),
        (
            "SELECT to_char(now(), '\"DROP TABLE sync_activity_log_\"YYYY_MM') \\gexec",
            "1 Tables",
            "today's activity has a partition of its month",
        ),
        (
            "ALTER TYPE sync_type ADD VALUE 'magento' AFTER 'odoo'",
            "2 Enum types",
            "+('sync_type', 'woocommerce, odoo, magento, shopify, custom')",
        ),
        (
            "DROP POLICY preview_cache_delete ON sync_preview_cache",
            "3 Policies",
            "-('sync_preview_cache', 'preview_cache_delete', 'DELETE')",
        ),
        (
            "ALTER TABLE sync_activity_log DISABLE ROW LEVEL SECURITY",
            "3 Policies",
            "-('sync_activity_log',)",
        ),
        (
            "DROP INDEX idx_preview_cache_org_expires, idx_preview_cache_expires, "
            "idx_preview_cache_lookup, idx_sync_progress_active, idx_sync_progress_stalled",
            "4 Indexes",
            "at least fifteen",
        ),
        (
            "CREATE INDEX twice ON sync_progress (org_id, sync_id)",
            "4 Indexes",
            "+('idx_sync_progress_org_sync', 'twice')",
        ),
        (
            "UPDATE pg_index SET indisvalid = false "
            "WHERE indexrelid = 'idx_sync_progress_sync'::regclass",
            "4 Indexes",
            "+('idx_sync_progress_sync', None)",
        ),
        (
            "DROP FUNCTION auto_cleanup_preview_cache",
            "5 Functions",
            "-('auto_cleanup_preview_cache',)",
        ),
        (
            "ALTER TABLE sync_progress DISABLE TRIGGER sync_progress_validate_totals",
            "5 Triggers",
            "-('sync_progress_validate_totals',)",
        ),
        (
            "CREATE OR REPLACE FUNCTION update_sync_progress_elapsed() RETURNS trigger "
            "LANGUAGE plpgsql AS $$BEGIN NEW.elapsed_seconds := 1; RETURN NEW; END$$",
            "6 Triggers",
            "50 of 100 after 60 seconds are 50 per minute and 60 seconds to go",
        ),
        (
            "CREATE OR REPLACE FUNCTION validate_sync_progress_totals() RETURNS trigger "
            "LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$",
            "6 Triggers",
            "+('accepted',)",
        ),
        (
            "ALTER POLICY sync_progress_select ON sync_progress USING (true)",
            "7 Isolation",
            "a tenant sees its own rows of sync_progress only",
        ),
        (
            "ALTER POLICY sync_progress_update ON sync_progress WITH CHECK (true)",
            "7 Isolation",
            "moving a row of sync_progress to another organization is refused",
        ),
        (
            "DROP POLICY sync_activity_log_insert ON sync_activity_log; "
            "CREATE POLICY sync_activity_log_insert ON sync_activity_log FOR INSERT "
            "TO authenticated WITH CHECK (true)",
            "7 Isolation",
            "a row of sync_activity_log for another organization is refused",
        ),
        (
            "GRANT SELECT ON sync_activity_log_default TO authenticated",
            "7 Isolation",
            "+('sync_activity_log_default',)",
        ),
        (
            "ALTER ROLE authenticated BYPASSRLS",
            "7 Isolation",
            "authenticated can't bypass row security",
        ),
        (
            "ALTER TABLE auth.users_extended DISABLE ROW LEVEL SECURITY",
            "7 Isolation",
            "nothing of another tenant is visible in auth.users_extended",
        ),
        (
            "GRANT UPDATE (org_id) ON auth.users_extended TO PUBLIC",
            "7 Isolation",
            "+('auth.users_extended', 'SELECT, UPDATE avatar_url, UPDATE email, UPDATE full_name, "
            "UPDATE org_id, UPDATE updated_at')",
        ),
        (
            "GRANT TRUNCATE ON sync_activity_log_default TO PUBLIC",
            "7 Isolation",
            "+('public.sync_activity_log_default', 'TRUNCATE')",
        ),
        (
            "GRANT EXECUTE ON FUNCTION update_sync_progress_elapsed TO PUBLIC",
            "7 Isolation",
            "+('public.update_sync_progress_elapsed()',)",
        ),
        (
            "CREATE SCHEMA other; CREATE FUNCTION other.all_rows(integer) RETURNS bigint "
            "LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.sync_progress'",
            "7 Isolation",
            "+('other.all_rows(integer)',)",
        ),
        (
            "SELECT format('GRANT TEMPORARY ON DATABASE %I TO authenticated', current_database()) "
            "\\gexec",
            "7 Isolation",
            "', 'TEMPORARY')",
        ),
        (
            "GRANT CREATE ON SCHEMA auth TO authenticated",
            "7 Isolation",
            "+('schema auth', 'CREATE')",
        ),
        (
            "CREATE VIEW mine AS SELECT id FROM sync_error_log; "
            "CREATE VIEW theirs WITH (security_invoker) AS SELECT * FROM mine; "
            "CREATE VIEW report AS SELECT * FROM theirs; "
            "GRANT SELECT ON theirs, report TO authenticated",
            "7 Isolation",
            "+('report',)",
        ),
        (
            "CREATE TABLE heir () INHERITS (sync_error_log); "
            "GRANT SELECT (message) ON heir TO PUBLIC",
            "7 Isolation",
            "+('heir',)",
        ),
        (
            "CREATE OR REPLACE FUNCTION auth.current_user_id() RETURNS uuid STABLE LANGUAGE sql "
            "SET search_path = '' AS $$SELECT current_setting('app.current_user_id')::uuid$$",
            "7 Isolation",
            "+('ran as postgres',)",
        ),
        (
            "REVOKE USAGE ON SCHEMA auth FROM authenticated",
            "7 Isolation",
            "permission denied for schema auth",
        ),
    ],
    ids=lambda value: " ".join(value.split()[:4]).replace(",", "") if " " in value else value,
)
@one_version
def test_a_damage_is_named(
    platform: Platform, damaged: Database, damage: str, section: str, message: str
) -> None:
    damaged.psql(damage)
    before = damaged.dump()
    run = platform("verify", damaged).failed()
    assert message in run.output
    (summary,) = re.findall(r"\d+ of \d+ checks failed: (.*)", run.output)
    assert section in summary
    assert damaged.dump() == before


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
