"""The platform's database in the shapes that people leave behind.

For each shape: the dry run says what differs and what will happen, one run heals it or refuses it
with what to do, the rows survive, and a second run has nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen

import pyinfra_postgres as pg
import sync_platform
from harness import NEWEST, TODAY, Database, Databases, TestServer
from harness.process import Outcome, run

ROWS = """
    INSERT INTO organization (id, name, slug) VALUES
        ('00000000-0000-0000-0000-000000000001', 'One', 'one');
    INSERT INTO auth.users_extended (id, org_id, email) VALUES
        ('00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-000000000001', 'a@b');
    SET session_replication_role = replica; -- no log entry of today
    INSERT INTO sync_progress (org_id, sync_id, entity_type, source_system, status, total_items)
        SELECT '00000000-0000-0000-0000-000000000001', 'sync ' || n, 'order', 'odoo', 'failed', 10
          FROM generate_series(1, 20) n;
    RESET session_replication_role;
    INSERT INTO sync_preview_cache (org_id, sync_type, entity_type, preview_data)
        VALUES ('00000000-0000-0000-0000-000000000001', 'odoo', 'order', '{"a": 1}');
    INSERT INTO sync_activity_log (org_id, action, status, record_count, created_at)
        SELECT '00000000-0000-0000-0000-000000000001', 'sync_start', 'pending', n,
               timestamptz '2025-12-01' + n * interval '1 day' FROM generate_series(1, 50) n;
"""
TABLES = (
    "organization",
    "auth.users_extended",
    "sync_progress",
    "sync_preview_cache",
    "sync_activity_log",
)


@frozen
class Shape:
    """What somebody did to the database, and what a run does about it."""

    done: str
    """SQL that turns the platform's database into this shape."""
    says: tuple[str, ...] = ()
    """What the dry run prints."""
    refused: str = ""
    """The sentence of the refusal, where the run does not go through as it is."""
    allow: str = ""
    """What the run has to allow by name; then it heals."""
    leaves: str = ""
    """SQL that undoes what the run leaves alone, so that the rest compares with a new database."""
    alters: str = ""
    """The columns whose values the shape itself has changed: `table.column`."""


SHAPES = {
    "a column that nobody declares": Shape(
        "ALTER TABLE sync_progress ADD COLUMN note text; UPDATE sync_progress SET note = 'mine'",
        says=("public.sync_progress.note",),
        leaves="ALTER TABLE sync_progress DROP COLUMN note",
    ),
    "a table that nobody declares": Shape(
        "CREATE TABLE auth.tmp_import (id integer); INSERT INTO auth.tmp_import VALUES (1)",
        says=("auth.tmp_import",),
        leaves="DROP TABLE auth.tmp_import",
    ),
    "a column is missing": Shape(
        "ALTER TABLE sync_activity_log DROP COLUMN record_count",
        says=("ADD COLUMN record_count integer",),
        alters="sync_activity_log.record_count",
    ),
    "a column is text where an enum is declared": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN source_system TYPE text",
        says=("source_system",),
        refused="rewrite",
        allow="public.sync_progress",
    ),
    "a column is text where an enum is declared, with values that are no labels": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN source_system TYPE text;"
        "UPDATE sync_progress SET source_system = 'magento' WHERE sync_id = 'sync 7'",
        refused="magento",
        alters="sync_progress.source_system",
    ),
    "a column is narrower": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN sync_id TYPE varchar(80)",
        says=("ALTER COLUMN sync_id TYPE character varying(255)",),
    ),
    "a column may be null": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN sync_id DROP NOT NULL",
        says=("sync_id",),
    ),
    "a column may be null, and is": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN sync_id DROP NOT NULL;"
        "UPDATE sync_progress SET sync_id = NULL WHERE sync_id = 'sync 7'",
        refused="sync_id",
        alters="sync_progress.sync_id",
    ),
    "another default": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN status SET DEFAULT 'paused'",
        says=("SET DEFAULT 'pending'",),
    ),
    "an index is INVALID": Shape(
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'idx_sync_progress_sync'::regclass",
        says=("idx_sync_progress_sync", "INVALID", "CONCURRENTLY"),
    ),
    "an index is missing": Shape(
        "DROP INDEX idx_sync_progress_sync",
        says=("CREATE INDEX CONCURRENTLY idx_sync_progress_sync",),
    ),
    "an index has another definition": Shape(
        "DROP INDEX idx_sync_progress_active;"
        "CREATE INDEX idx_sync_progress_active ON sync_progress (org_id)",
        says=("idx_sync_progress_active", "CONCURRENTLY"),
    ),
    "an index has another name": Shape(
        "ALTER INDEX idx_sync_progress_sync RENAME TO progress_by_sync",
        says=("ALTER INDEX public.progress_by_sync RENAME TO idx_sync_progress_sync",),
    ),
    "an index of a partition is missing from the parent": Shape(
        "DROP INDEX idx_sync_activity_log_org_created",
        says=("idx_sync_activity_log_org_created",),
    ),
    "a foreign key is NOT VALID": Shape(
        "ALTER TABLE sync_progress DROP CONSTRAINT sync_progress_org_id_fkey;"
        "ALTER TABLE sync_progress ADD CONSTRAINT sync_progress_org_id_fkey FOREIGN KEY (org_id)"
        " REFERENCES organization(id) ON DELETE CASCADE NOT VALID",
        says=("VALIDATE CONSTRAINT sync_progress_org_id_fkey",),
    ),
    "a check is NOT VALID": Shape(
        "ALTER TABLE sync_progress DROP CONSTRAINT sync_progress_finite_check;"
        "ALTER TABLE sync_progress ADD CONSTRAINT sync_progress_finite_check"
        " CHECK (isfinite(started_at) AND isfinite(completed_at)) NOT VALID",
        says=("VALIDATE CONSTRAINT sync_progress_finite_check",),
    ),
    "a foreign key does something else": Shape(
        "ALTER TABLE sync_progress DROP CONSTRAINT sync_progress_org_id_fkey;"
        "ALTER TABLE sync_progress ADD CONSTRAINT sync_progress_org_id_fkey FOREIGN KEY (org_id)"
        " REFERENCES organization(id)",
        says=("ON DELETE CASCADE", "NOT VALID"),
    ),
    "a constraint has another name": Shape(
        "ALTER TABLE sync_progress RENAME CONSTRAINT sync_progress_finite_check TO finite",
        says=("RENAME CONSTRAINT finite TO sync_progress_finite_check",),
    ),
    "a primary key is missing": Shape(
        "ALTER TABLE sync_preview_cache DROP CONSTRAINT sync_preview_cache_pkey",
        says=("CREATE UNIQUE INDEX CONCURRENTLY sync_preview_cache_pkey",),
    ),
    "a partition takes all that is to come": Shape(
        "DROP TABLE sync_activity_log_2026_03, sync_activity_log_2026_04,"
        " sync_activity_log_2026_05, sync_activity_log_2026_06;"
        "CREATE TABLE sync_activity_log_rest PARTITION OF sync_activity_log"
        " FOR VALUES FROM ('2026-03-01') TO (MAXVALUE)",
        refused="sync_activity_log_rest",
    ),
    "a partition is missing": Shape(
        "DROP TABLE sync_activity_log_2026_04",
        says=("sync_activity_log_2026_04",),
    ),
    "a policy has another text": Shape(
        "ALTER POLICY sync_progress_select ON sync_progress USING (true)",
        says=("ALTER POLICY sync_progress_select",),
    ),
    "a policy that nobody declares": Shape(
        "CREATE POLICY open_door ON sync_progress USING (true)",
        says=("open_door",),
        leaves="DROP POLICY open_door ON sync_progress",
    ),
    "row security is off": Shape(
        "ALTER TABLE sync_progress DISABLE ROW LEVEL SECURITY",
        says=("ENABLE ROW LEVEL SECURITY",),
    ),
    "privileges are gone": Shape(
        "REVOKE SELECT, INSERT ON sync_progress FROM authenticated",
        says=("GRANT INSERT, SELECT ON TABLE public.sync_progress TO authenticated",),
    ),
    "privileges that nobody declares": Shape(
        "GRANT SELECT ON sync_progress TO PUBLIC",
        says=("sync_progress", "PUBLIC"),
        leaves="REVOKE SELECT ON sync_progress FROM PUBLIC",
    ),
    "an owner that nobody declares": Shape(
        "ALTER TABLE sync_preview_cache OWNER TO somebody",
        leaves="ALTER TABLE sync_preview_cache OWNER TO postgres",
    ),
    "a trigger is disabled": Shape(
        "ALTER TABLE sync_progress DISABLE TRIGGER sync_progress_update_elapsed",
        says=("ENABLE TRIGGER sync_progress_update_elapsed",),
    ),
    "a trigger is missing": Shape(
        "DROP TRIGGER sync_progress_log_completion ON sync_progress",
        says=("CREATE", "sync_progress_log_completion"),
    ),
    "a function has another body": Shape(
        "CREATE OR REPLACE FUNCTION auto_cleanup_preview_cache() RETURNS integer LANGUAGE plpgsql"
        " SET search_path = '' AS 'BEGIN RETURN 0; END'",
        says=("function public.auto_cleanup_preview_cache",),
    ),
    "an enum lacks a label": Shape(
        "ALTER TYPE sync_entity_type RENAME TO was;"
        "CREATE TYPE sync_entity_type AS ENUM"
        " ('customer', 'product', 'order', 'invoice', 'supplier', 'inventory', 'category');"
        "DROP INDEX idx_preview_cache_lookup, idx_sync_progress_sync;"
        "ALTER TABLE sync_preview_cache ALTER entity_type TYPE sync_entity_type"
        " USING entity_type::text::sync_entity_type;"
        "ALTER TABLE sync_progress ALTER entity_type TYPE sync_entity_type"
        " USING entity_type::text::sync_entity_type;"
        "ALTER TABLE sync_activity_log ALTER entity_type TYPE sync_entity_type"
        " USING entity_type::text::sync_entity_type;"
        "CREATE INDEX idx_preview_cache_lookup ON sync_preview_cache"
        " (org_id, sync_type, entity_type, created_at DESC);"
        "CREATE INDEX idx_sync_progress_sync ON sync_progress (sync_id, entity_type);"
        "DROP TYPE was",
        says=("ADD VALUE IF NOT EXISTS 'attribute' AFTER 'category'",),
    ),
    "a type is in the wrong schema": Shape(
        "CREATE SCHEMA misplaced; ALTER TYPE sync_type SET SCHEMA misplaced",
        refused="misplaced",
    ),
    "a view depends on a column that changes": Shape(
        "ALTER TABLE sync_progress ALTER COLUMN source_system TYPE text;"
        "CREATE VIEW overview AS SELECT source_system FROM sync_progress",
        refused="rewrite",
        allow="public.sync_progress",
        leaves="DROP VIEW overview",
    ),
}


def deploy() -> None:
    """What deploy.py does."""
    with pg.transaction():
        sync_platform.identity()
        sync_platform.infrastructure()
        sync_platform.tenant_functions()
        sync_platform.sync()
        sync_platform.identity_isolation()
        sync_platform.infrastructure_isolation()
        sync_platform.fixtures()


def converge(database: Database, **options: Any) -> Outcome:
    return run(database, deploy, postgres_today=TODAY, **options)


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with TestServer(NEWEST) as server:
        server.psql("-c", "CREATE ROLE somebody")
        yield Databases(server)


@pytest.fixture(scope="module")
def living(databases: Databases) -> Database:
    """A database with the platform and rows."""
    database = databases("living")
    converge(database).succeeded()
    database.psql(ROWS)
    return database


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_heals_it_or_refuses_it(databases: Databases, living: Database, name: str) -> None:
    shape = SHAPES[name]
    database = databases(copy_of=living)
    database.psql(shape.done)
    rows, found = contents(database, shape), database.dump()

    shown = converge(database, dry=True)
    text = shown_by(shown)
    for one in shape.says:
        assert one in text
    if shape.refused:
        assert shape.refused in text
        refused = converge(database).refused()
        assert shape.refused in refused.messages
        assert database.dump() == found
        assert contents(database, shape) == rows
        if not shape.allow:
            return
    converge(database, postgres_allow=shape.allow).succeeded()
    assert contents(database, shape) == rows
    assert converge(database).succeeded().plan.changes == []
    database.psql(shape.leaves or "SELECT")
    assert database.differences(living) == []


def shown_by(outcome: Outcome) -> str:
    return outcome.messages


def contents(database: Database, shape: Shape) -> dict[str, str]:
    """Every table's rows, but for the columns that the shape itself has changed."""
    altered = {one.rpartition(".")[::2] for one in shape.alters.split()}
    return {
        table: database.psql(
            f"SELECT md5(string_agg(row::text, chr(10) ORDER BY row::text)) FROM"
            f" (SELECT to_jsonb(t) - ARRAY[{_texts(altered, table)}]::text[] AS row"
            f" FROM {table} t) AS of"
        )
        for table in TABLES
    }


def _texts(altered: set[tuple[str, str]], table: str) -> str:
    names = [column for other, column in altered if other == table]
    return ", ".join(f"'{name}'" for name in [*names, "note"])
