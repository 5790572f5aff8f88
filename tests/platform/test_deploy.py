"""Deploying, deploying again, and withdrawing."""

from __future__ import annotations

import re

import pytest

from harness import Database, Databases, Platform, one_version

FIXTURE = """
    INSERT INTO organization (name, slug) VALUES ('A', 'a');
    INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system)
      SELECT id, 'x', 'order', 'odoo' FROM organization;
    INSERT INTO sync_schedule (org_id, name, job_type, run_every)
      SELECT id, 'x', 'x', '1 hour' FROM organization;
"""


def results(output: str) -> set[str]:
    """How operations ended on hosts."""
    found = re.findall(r"\[@\S+\] (?:\x1b\[\w+)?(Success|No changes|Error|Skipped)", output)
    assert found, output
    return set(found)


def test_a_second_deploy_changes_nothing(platform: Platform, new_database: Databases) -> None:
    database = new_database()
    assert "Success" in results(platform("deploy", database).succeeded().output)
    once = database.dump()
    for _ in range(2):
        assert results(platform("deploy", database).succeeded().output) == {"No changes"}
        assert database.dump() == once


@one_version
def test_the_parts_show_as_the_migration_names_them(platform: Platform, database: Database) -> None:
    output = platform("deploy", database).succeeded().output
    parts = re.findall(r"^ +0024 \| (\d/7 .*?\S) +\d+ to create", output, re.MULTILINE)
    assert parts == [
        "1/7 Enum types",
        "2/7 sync_preview_cache",
        "3/7 sync_progress",
        "4/7 sync_activity_log",
        "5/7 Row security",
        "6/7 Trigger functions",
        "7/7 Permissions",
    ]


def test_a_dry_run_shows_all_and_changes_nothing(
    platform: Platform, new_database: Databases
) -> None:
    one, two = new_database(), new_database()
    run = platform("deploy", [one, two], "--dry", "--diff").succeeded()
    assert "CREATE TABLE public.sync_progress (" in run.output
    assert "CREATE TABLE" not in one.dump() + two.dump()
    assert len(re.findall(r"\] same plan as @postgres/", run.output)) == 1
    assert run.output.count("CREATE TABLE public.sync_progress (") == 1
    platform("deploy", one).succeeded()
    nothing = platform("deploy", one, "--dry", "--diff").succeeded().output
    assert not re.search(r"\d to (create|change|remove)|CREATE|ALTER|DROP", nothing)


@one_version
def test_a_dry_run_prints_the_statements_that_run_later(
    platform: Platform, new_database: Databases
) -> None:
    database = new_database()
    shown = platform("deploy", database, "--dry", "--diff").succeeded().output
    with database.watch() as seen:
        platform("deploy", database).succeeded()
    sent = [one for one in seen.statements if "CREATE TABLE public.sync_progress" in one]
    (transaction,) = [one for one in sent if one.endswith("COMMIT")]
    shown_in_one_line = re.sub(r"\s+", " ", shown)
    statements = [re.sub(r"\s+", " ", one).strip() for one in transaction.split(";\n")]
    # Around the plan: its frame, and the blocks that take the deploy lock, pin settings, tell
    # the transaction and ask whether the code of other roles is the same.
    blocks = r"DO \$alone\$|END IF|END \$alone\$|DO \$(tell|pin|same)\$|PERFORM pg_stat"
    frame = rf"BEGIN|COMMIT|SET |{blocks}"
    plan = [one for one in statements if not re.match(frame, one)]
    assert len(plan) > 100
    assert [one for one in plan if one not in shown_in_one_line] == []


def test_fixtures_are_on_staging_only(platform: Platform, new_database: Databases) -> None:
    staging, production = new_database(), new_database()
    platform("deploy", staging, group="staging", sync_fixtures=True).succeeded()
    platform("deploy", production, group="production").succeeded()
    users = """SELECT email, full_name, u.is_active, slug, name, description, o.is_active
               FROM auth.users_extended u JOIN organization o ON o.id = org_id"""
    assert staging.rows(users) == [
        (
            *("test@example.com", "Test User", "t"),
            *("test-org", "Test Organization"),
            *("Test organization for sync feature validation", "t"),
        )
    ]
    assert production.psql("SELECT count(*) FROM organization") == "0"
    assert production.rows(users) == []
    assert staging.dump() == production.dump()


@one_version
def test_fixtures_that_are_there_stay_as_they_are(
    platform: Platform, new_database: Databases
) -> None:
    staging = new_database()
    platform("deploy", staging, sync_fixtures=True).succeeded()
    staging.psql("UPDATE organization SET name = 'Mine', is_active = false")
    rows = "SELECT u.id, o.id, u.created_at, o.name FROM auth.users_extended u, organization o"
    before = staging.rows(rows)
    assert results(platform("deploy", staging, sync_fixtures=True).succeeded().output) == {
        "No changes"
    }
    assert staging.rows(rows) == before


# Rollback.


@one_version
def test_rollback_withdraws_0024_and_nothing_else(
    platform: Platform, deployed: Database, copy: Database
) -> None:
    platform("rollback", copy).succeeded()
    objects = """
        SELECT 'relation', c.oid::regclass::text FROM pg_class c
         WHERE relnamespace IN ('public'::regnamespace, 'auth'::regnamespace)
        UNION ALL SELECT 'function', p.oid::regprocedure::text FROM pg_proc p
         WHERE pronamespace IN ('public'::regnamespace, 'auth'::regnamespace)
        UNION ALL SELECT 'type', t.oid::regtype::text FROM pg_type t WHERE typtype = 'e'
        UNION ALL SELECT 'policy', polname FROM pg_policy
        UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal"""
    withdrawn = set(deployed.rows(objects)) - set(copy.rows(objects))
    assert set(copy.rows(objects)) < set(deployed.rows(objects))
    prefixes = re.compile(
        "sync_(preview_cache|progress|activity_log)|preview_cache_|idx_(sync_progress"
        "|preview_cache|sync_activity_log)|auto_(cleanup|log)|(update|validate)_sync_progress"
        "|sync_(type|action|entity_type|status_type)$"
    )
    assert [one for one in withdrawn if not prefixes.search(one[1])] == []
    assert [one for one in copy.rows(objects) if prefixes.match(one[1])] == []
    kinds = [kind for kind, _ in withdrawn]
    assert {kind: kinds.count(kind) for kind in ("function", "type", "policy", "trigger")} == {
        "function": 5,
        "type": 4,
        "policy": 12,
        "trigger": 4,
    }


def test_a_deploy_after_a_rollback_restores_everything(
    platform: Platform, deployed: Database, copy: Database
) -> None:
    platform("rollback", copy).succeeded()
    assert copy.dump() != deployed.dump()
    platform("deploy", copy).succeeded()
    assert copy.dump() == deployed.dump()


@one_version
def test_rollback_goes_in_the_seed_documents_order(platform: Platform, copy: Database) -> None:
    with copy.watch() as seen:
        platform("rollback", copy).succeeded()
    (transaction,) = [one for one in seen.statements if "\nDROP POLICY" in one]
    kinds = re.findall(
        r"^(DROP POLICY|ALTER TABLE \S+ DISABLE|DROP TRIGGER|DROP FUNCTION|DROP TABLE|DROP TYPE)",
        transaction,
        re.MULTILINE,
    )
    assert list(dict.fromkeys(re.sub(r" \S+ D", " D", kind) for kind in kinds)) == [
        "DROP POLICY",
        "ALTER TABLE DISABLE",
        "DROP TRIGGER",
        "DROP FUNCTION",
        "DROP TABLE",
        "DROP TYPE",
    ]
    assert len(kinds) == 12 + 3 + 4 + 5 + 3 + 4
    assert "CASCADE" not in transaction


def test_a_second_rollback_changes_nothing(platform: Platform, copy: Database) -> None:
    platform("rollback", copy).succeeded()
    once = copy.dump()
    output = platform("rollback", copy).succeeded().output
    assert set(re.findall(r"\] (?:\x1b\[\w+)?(Success|No changes)", output)) == {"No changes"}
    assert copy.dump() == once


@one_version
def test_rollback_of_what_was_never_deployed_changes_nothing(
    platform: Platform, database: Database
) -> None:
    before = database.dump()
    platform("rollback", database).succeeded()
    assert database.dump() == before


@one_version
@pytest.mark.parametrize("option", [["--dry"], ["-y"]], ids=["dry", "real"])
def test_rollback_refuses_while_tables_hold_rows(
    platform: Platform, copy: Database, option: list[str]
) -> None:
    copy.psql(FIXTURE)
    before = copy.dump()
    run = platform("rollback", copy, *option).failed()
    assert re.search(r"table public\.sync_progress: .*lose 1 row", run.output)
    assert "postgres_allow=" in run.output
    assert copy.dump() == before
    assert copy.psql("SELECT count(*) FROM sync_progress") == "1"


@one_version
@pytest.mark.parametrize("name", ["public.sync_progress", "sync_progress", "table sync_progress"])
def test_rollback_loses_rows_that_the_run_allows_by_name(
    platform: Platform, copy: Database, name: str
) -> None:
    copy.psql(FIXTURE)
    platform("rollback", copy, "-y", "--data", f"postgres_allow={name}").succeeded()
    assert copy.psql("SELECT to_regclass('sync_progress') IS NULL") == "t"
    assert copy.psql("SELECT count(*) FROM sync_schedule") == "1"


@one_version
def test_the_permission_for_one_table_is_not_one_for_another(
    platform: Platform, copy: Database
) -> None:
    copy.psql(
        FIXTURE
        + """INSERT INTO sync_activity_log (org_id, action, status)
             SELECT id, 'sync_start', 'failed' FROM organization"""
    )
    run = platform("rollback", copy, "-y", "--data", "postgres_allow=public.sync_progress").failed()
    assert "table public.sync_activity_log" in run.output
    assert copy.psql("SELECT count(*) FROM sync_progress") == "1"
    allowed = "postgres_allow=public.sync_progress,public.sync_activity_log"
    platform("rollback", copy, "-y", "--data", allowed).succeeded()


@one_version
def test_rows_that_come_after_the_check_stop_the_rollback(
    platform: Platform, copy: Database
) -> None:
    """The plan assumes empty tables, and the transaction holds it to that under its own lock."""
    with copy.watch() as seen:
        platform("rollback", copy).succeeded()
    (transaction,) = [one for one in seen.statements if "DROP TABLE" in one]
    lock = transaction.index("LOCK TABLE")
    for table in ("sync_activity_log", "sync_progress", "sync_preview_cache"):
        guard = transaction.index(f"table public.{table} has rows by now")
        assert lock < guard < transaction.index(f"DROP TABLE public.{table}")
