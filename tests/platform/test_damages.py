"""Each object of a finished platform in turn is damaged: it is named, what needs it is blocked.

What needs what is read from the report itself: the checks say which others they need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
import sync_platform
from harness import Database, Databases, TestServer, one_version
from harness.process import run

TABLES = ("sync_activity_log", "sync_preview_cache", "sync_progress")
FUNCTIONS = (
    "auto_cleanup_preview_cache",
    "auto_log_sync_activity_on_progress_change",
    "update_sync_progress_elapsed",
    "update_sync_progress_timestamp",
    "validate_sync_progress_totals",
)
TRIGGERS = (
    "sync_progress_log_completion",
    "sync_progress_update_elapsed",
    "sync_progress_update_timestamp",
    "sync_progress_validate_totals",
)
TYPES = ("sync_action", "sync_entity_type", "sync_status_type", "sync_type")

# By what is damaged the ways to do it. Its own check fails, and nothing else does.
DAMAGES: dict[str, list[str]] = {
    "role authenticated": ["ALTER ROLE authenticated RENAME TO former"],
    "schema auth": ["ALTER SCHEMA auth RENAME TO former"],
    "table public.organization": ["ALTER TABLE organization RENAME TO former"],
    "table auth.users_extended": ["ALTER TABLE auth.users_extended RENAME TO former"],
    "USAGE on schema auth for authenticated": ["REVOKE USAGE ON SCHEMA auth FROM authenticated"],
    "function auth.current_user_id()": ["ALTER FUNCTION auth.current_user_id RENAME TO former"],
    "function auth.current_org_id()": ["ALTER FUNCTION auth.current_org_id RENAME TO former"],
    **{
        f"table public.{table}": [f"ALTER TABLE {table} RENAME TO former"]
        for table in (
            *("sync_retry_policy", "sync_schedule", "sync_job_queue", "sync_error_log"),
            *TABLES,
        )
    },
    **{f"type public.{name}": [f"ALTER TYPE {name} RENAME TO former"] for name in TYPES},
    **{
        f"labels of public.{name}": [f"ALTER TYPE {name} ADD VALUE 'more' BEFORE '{label}'"]
        for name, label in zip(TYPES, ("sync_start", "order", "paused", "odoo"), strict=True)
    },
    **{
        f"columns of public.{table}": [
            f"ALTER TABLE {table} ALTER COLUMN org_id DROP NOT NULL",
            f"ALTER TABLE {table} DROP COLUMN entity_type CASCADE;"
            f"ALTER TABLE {table} ADD COLUMN entity_type text",
        ]
        for table in TABLES
    },
    **{
        f"no other columns in public.{table}": [f"ALTER TABLE {table} ADD COLUMN more text"]
        for table in TABLES
    },
    "today's activity has a partition of its month": [
        "SELECT to_char(now() AT TIME ZONE 'UTC', "
        "'\"DROP TABLE sync_activity_log_\"YYYY_MM') \\gexec"
    ],
    **{
        f"foreign keys of public.{table}": [
            f"ALTER TABLE {table} DROP CONSTRAINT {table}_org_id_fkey"
        ]
        for table in TABLES
    },
    "indexes of public.sync_progress": [
        "DROP INDEX idx_sync_progress_sync",
        "ALTER INDEX idx_sync_progress_sync RENAME TO former",
        "DROP INDEX idx_sync_progress_sync;"
        "CREATE INDEX idx_sync_progress_sync ON sync_progress (sync_id)",
    ],
    "indexes of public.sync_preview_cache": ["DROP INDEX idx_preview_cache_expires"],
    "indexes of public.sync_activity_log": ["DROP INDEX idx_sync_activity_log_user"],
    "every index is valid, and none is the beginning of another": [
        "CREATE INDEX twice ON sync_progress (org_id, sync_id)"
    ],
    **{
        f"function public.{name}()": [f"ALTER FUNCTION {name} RENAME TO former"]
        for name in FUNCTIONS
    },
    **{
        f"trigger {name} on public.sync_progress": [
            f"DROP TRIGGER {name} ON sync_progress",
            f"ALTER TABLE sync_progress DISABLE TRIGGER {name}",
            f"ALTER TRIGGER {name} ON sync_progress RENAME TO former",
        ]
        for name in TRIGGERS
    },
    **{
        f"row security of public.{table}": [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"]
        for table in TABLES
    },
    **{
        f"four policies of public.{table}": [
            f"DROP POLICY {prefix}_update ON {table}",
            f"ALTER POLICY {prefix}_select ON {table} RENAME TO former",
            f"ALTER POLICY {prefix}_insert ON {table} TO PUBLIC",
        ]
        for table, prefix in zip(
            TABLES, ("sync_activity_log", "preview_cache", "sync_progress"), strict=True
        )
    },
    "every foreign key and check holds for all rows": [
        "ALTER TABLE sync_error_log ADD CONSTRAINT later CHECK (attempt < 1000) NOT VALID"
    ],
    "nothing outside 0024 depends on it": [
        "CREATE VIEW outside AS SELECT id FROM sync_preview_cache",
        "CREATE TABLE outside (type sync_type)",
    ],
    "no test organization where nobody asks for it": [
        "INSERT INTO organization (name, slug) VALUES ('Test', 'test-org')"
    ],
}

Verified = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def finished(server: TestServer, deployment: Callable[..., Database]) -> Database:
    """A database with the platform as of the server's own day."""
    return deployment(server, "current", None)


@pytest.fixture
def damaged(finished: Database, new_database: Databases) -> Iterator[Database]:
    """A database for the test to damage; the role, which others share, is made whole again."""
    yield new_database(copy_of=finished)
    finished.psql(
        """DO $$ BEGIN ALTER ROLE former RENAME TO authenticated;
           EXCEPTION WHEN undefined_object THEN NULL; END $$;
           ALTER ROLE authenticated NOBYPASSRLS"""
    )


@pytest.fixture
def verified(tmp_path: Path) -> Verified:
    """Verifies a database: its checks by their titles."""

    def verify() -> None:
        with pg.verification("Sync platform", report=str(tmp_path)):
            sync_platform.checks()

    def checks(database: Database, **data: Any) -> dict[str, dict[str, Any]]:
        run(database, verify, **data)
        (path,) = tmp_path.glob("*/report.json")
        (host,) = json.loads(path.read_text())["hosts"]
        return {one["title"]: one for one in host["checks"]}

    return checks


def needing(title: str, checks: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The checks that need one, directly or through others."""
    found: set[str] = set()
    for name, one in checks.items():  # what is needed comes first
        if found & set(one["needs"]) or title in one["needs"]:
            found.add(name)
    return found


def of(status: str, checks: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {title for title, one in checks.items() if one["status"] == status}


@one_version
def test_nothing_is_wrong_with_what_was_deployed(finished: Database, verified: Verified) -> None:
    checks = verified(finished, sync_rollback="live")
    assert {one["status"] for one in checks.values()} == {"PASS", "NOT APPLICABLE"}
    assert of("NOT APPLICABLE", checks) == {"the test organization and its user"}
    assert checks["rows that a rollback would lose"]["note"] == (
        "('0 of sync_preview_cache', '0 of sync_progress', '0 of sync_activity_log')"
    )


@one_version
@pytest.mark.parametrize(
    ("title", "damage"), [(title, one) for title, several in DAMAGES.items() for one in several]
)
def test_a_damage_is_named_and_blocks_what_needs_it(
    damaged: Database, verified: Verified, title: str, damage: str
) -> None:
    damaged.psql(damage)
    checks = verified(damaged)
    assert of("FAIL", checks) == {title}
    blocked = of("BLOCKED", checks)
    assert blocked == needing(title, checks) - of("NOT APPLICABLE", checks)
    assert {root for one in blocked for root in checks[one]["roots"]} <= {title}
    assert of("NOT VERIFIED", checks) == set()


# What changes what happens, and no object's name or shape: a check that fails, and what it shows.
BEHAVIOURS = {
    """UPDATE pg_index SET indisvalid = false
       WHERE indexrelid = 'idx_sync_progress_sync'::regclass""": (
        "every index is valid, and none is the beginning of another",
        "('idx_sync_progress_sync', NULL)",
    ),
    """CREATE OR REPLACE FUNCTION update_sync_progress_elapsed() RETURNS trigger
       LANGUAGE plpgsql AS $$BEGIN NEW.elapsed_seconds := 1; RETURN NEW; END$$""": (
        "50 of 100 after 60 seconds are 50 per minute and 60 seconds to go",
        "(1, NULL, NULL)",
    ),
    """CREATE OR REPLACE FUNCTION validate_sync_progress_totals() RETURNS trigger
       LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$""": (
        "more than the total is refused",
        "('accepted')",
    ),
    "ALTER POLICY sync_progress_select ON sync_progress USING (true)": (
        "a tenant sees its own rows of sync_progress only",
        "(1, 1)",
    ),
    "ALTER POLICY sync_progress_update ON sync_progress WITH CHECK (true)": (
        "moving a row of sync_progress to another organization is refused",
        "('accepted')",
    ),
    "ALTER POLICY sync_activity_log_insert ON sync_activity_log WITH CHECK (true)": (
        "a row of sync_activity_log for another organization is refused",
        "('accepted')",
    ),
    "GRANT SELECT ON sync_activity_log_default TO authenticated": (
        "the partitions can't be reached past the table",
        "('sync_activity_log_default')",
    ),
    "ALTER ROLE authenticated BYPASSRLS": (
        "authenticated can't bypass row security, nor become an owner",
        "(true, false)",
    ),
    "ALTER TABLE auth.users_extended DISABLE ROW LEVEL SECURITY": (
        "nothing of another tenant is visible in auth.users_extended",
        "(true, 1)",
    ),
    "GRANT UPDATE (org_id) ON auth.users_extended TO PUBLIC": (
        "tenants have these privileges on tables and columns, none on partitions",
        "UPDATE org_id",
    ),
    "GRANT TRUNCATE ON sync_activity_log_default TO PUBLIC": (
        "tenants have these privileges on tables and columns, none on partitions",
        "('public.sync_activity_log_default', 'TRUNCATE')",
    ),
    "GRANT EXECUTE ON FUNCTION update_sync_progress_elapsed TO PUBLIC": (
        "tenants call these functions, and of others none with its owner's rights",
        "('public.update_sync_progress_elapsed()')",
    ),
    """CREATE SCHEMA other; CREATE FUNCTION other.all_rows(integer) RETURNS bigint
       LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.sync_progress'""": (
        "tenants call these functions, and of others none with its owner's rights",
        "('other.all_rows(integer)')",
    ),
    """SELECT format('GRANT TEMPORARY ON DATABASE %I TO authenticated', current_database())
       \\gexec""": (
        "tenants create nothing, in no schema and no temporary objects",
        "'TEMPORARY')",
    ),
    "GRANT CREATE ON SCHEMA auth TO authenticated": (
        "tenants create nothing, in no schema and no temporary objects",
        "('schema auth', 'CREATE')",
    ),
    """CREATE VIEW mine AS SELECT id FROM sync_error_log;
       CREATE VIEW theirs WITH (security_invoker) AS SELECT * FROM mine;
       CREATE VIEW report AS SELECT * FROM theirs;
       GRANT SELECT ON theirs, report TO authenticated""": (
        "no view and no heir of a table shows tenants its rows",
        "('report')",
    ),
    """CREATE TABLE heir () INHERITS (sync_error_log);
       GRANT SELECT (message) ON heir TO PUBLIC""": (
        "no view and no heir of a table shows tenants its rows",
        "('heir')",
    ),
    """CREATE OR REPLACE FUNCTION auth.current_user_id() RETURNS uuid STABLE LANGUAGE sql
       SET search_path = '' AS $$SELECT current_setting('app.current_user_id')::uuid$$""": (
        "a tenant's temporary types and views take no part in what others wrote",
        "('ran as postgres')",
    ),
}


@one_version
@pytest.mark.parametrize("damage", BEHAVIOURS)
def test_what_happens_is_asked_and_not_only_what_there_is(
    damaged: Database, verified: Verified, damage: str
) -> None:
    damaged.psql(damage)
    before = damaged.dump()
    checks = verified(damaged)
    title, shown = BEHAVIOURS[damage]
    assert checks[title]["status"] == "FAIL"
    assert shown in "\n".join(checks[title]["got"])
    assert damaged.dump() == before


@one_version
def test_an_empty_database_fails_where_something_can_be_done(
    finished: Database, new_database: Databases, verified: Verified
) -> None:
    assert finished.psql("SELECT to_regrole('authenticated')") == "authenticated"
    checks = verified(new_database())
    assert of("FAIL", checks) == {
        "schema auth",
        "table public.organization",
        *(f"type public.{name}" for name in TYPES),
        *(f"function public.{name}()" for name in FUNCTIONS),
        # The role is the server's, and has come with other databases.
        "tenants create nothing, in no schema and no temporary objects",
    }
    assert len(of("BLOCKED", checks)) > 80


@one_version
def test_what_the_seeds_forgot_is_a_prerequisite_too(
    damaged: Database, new_database: Databases, tmp_path: Path
) -> None:
    damaged.psql("ALTER ROLE authenticated RENAME TO former")

    def verify() -> None:
        with pg.verification(report=str(tmp_path), deploy=sync_platform.everything):
            sync_platform.checks()

    run(new_database(), verify, postgres_today=None)
    (path,) = tmp_path.glob("*/report.json")
    (host,) = json.loads(path.read_text())["hosts"]
    declared = {one["title"]: one for one in host["declared"]}
    assert of("FAIL", declared) >= {
        "role authenticated",
        "schema auth",
        "table public.organization",
    }
    usage = declared["grant on SCHEMA auth to authenticated"]
    assert set(usage["roots"]) == {"schema auth", "role authenticated"}
    said = {one["title"]: one["message"] for one in host["attempts"]}
    assert said[usage["title"]] == 'schema "auth" does not exist'
    assert said["policy sync_progress_select on public.sync_progress"]
    # By hand too: the checks name them as their roots.
    checks = {one["title"]: one for one in host["checks"]}
    assert of("FAIL", checks) >= {"role authenticated", "schema auth", "table public.organization"}
    assert checks["USAGE on schema auth for authenticated"]["status"] == "BLOCKED"
    assert checks["function auth.current_user_id()"]["status"] == "BLOCKED"


@one_version
def test_each_phase_of_the_deploy_leaves_fewer_gaps(
    new_database: Databases, verified: Verified
) -> None:
    database = new_database()
    phases = (
        sync_platform.identity,
        sync_platform.infrastructure,
        sync_platform.tenant_functions,
        sync_platform.sync,
        sync_platform.identity_isolation,
        sync_platform.infrastructure_isolation,
        sync_platform.database_isolation,
    )
    passed = -1
    for phase in phases:

        def apply(phase: Callable[[], object] = phase) -> None:
            with pg.transaction():
                phase()

        run(database, apply).succeeded()
        checks = verified(database)
        assert len(of("PASS", checks)) > passed
        passed = len(of("PASS", checks))
    assert of("FAIL", checks) == of("BLOCKED", checks) == set()
