"""The gap analysis of a deploy, on each prefix of it and with each kind of damage in turn.

What is to be expected is read from the declarations: what each provides, and what it requires.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
import sync_platform
from harness import Database, Databases, TestServer, one_version
from harness.process import run
from pyinfra_postgres.planning.session import Item, Session

EVERY = 20
"""How many statements come between two prefixes that are looked at."""

# By what is damaged, the ways to do it.
DAMAGES: dict[str, list[str]] = {
    "schema auth": ["ALTER SCHEMA auth RENAME TO former"],
    "table public.organization": ["ALTER TABLE organization RENAME TO former"],
    "table public.sync_progress": [
        "DROP TABLE sync_progress",
        "ALTER TABLE sync_progress RENAME TO former",
        "ALTER TABLE sync_progress DROP COLUMN total_items CASCADE",
        "ALTER TABLE sync_progress DISABLE ROW LEVEL SECURITY",
    ],
    "enum public.sync_type": [
        "ALTER TYPE sync_type RENAME TO former",
        "ALTER TYPE sync_type RENAME VALUE 'odoo' TO 'former'",
    ],
    "index public.idx_sync_progress_sync": [
        "DROP INDEX idx_sync_progress_sync",
        "ALTER INDEX idx_sync_progress_sync RENAME TO former; CREATE INDEX idx_sync_progress_sync "
        "ON sync_progress (sync_id)",
    ],
    "function public.update_sync_progress_elapsed()": [
        "DROP FUNCTION update_sync_progress_elapsed CASCADE",
        "ALTER FUNCTION update_sync_progress_elapsed RENAME TO former",
        "ALTER FUNCTION update_sync_progress_elapsed SECURITY DEFINER SET search_path = pg_temp",
    ],
    "function auth.current_org_id()": ["ALTER FUNCTION auth.current_org_id RENAME TO former"],
    "trigger sync_progress_update_elapsed on public.sync_progress": [
        "DROP TRIGGER sync_progress_update_elapsed ON sync_progress",
        "ALTER TABLE sync_progress DISABLE TRIGGER sync_progress_update_elapsed",
        "ALTER TRIGGER sync_progress_update_elapsed ON sync_progress RENAME TO former",
    ],
    "policy sync_progress_select on public.sync_progress": [
        "DROP POLICY sync_progress_select ON sync_progress",
        "ALTER POLICY sync_progress_select ON sync_progress USING (true)",
        "ALTER POLICY sync_progress_select ON sync_progress RENAME TO former",
    ],
    "grant on SCHEMA auth to authenticated": ["REVOKE USAGE ON SCHEMA auth FROM authenticated"],
    "grant on TABLE public.sync_progress to authenticated": [
        "REVOKE DELETE ON sync_progress FROM authenticated"
    ],
}

Analysed = Callable[[Database], dict[str, dict[str, Any]]]


class Declared:
    """What the platform declares: what needs what, by titles."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def deploy(self) -> None:
        sync_platform.everything()
        block = Session.current().block
        assert block
        self.items = list(block.items)

    def deploy_in_one(self) -> None:
        with pg.transaction():
            self.deploy()

    def needing(self, damaged: str) -> set[str]:
        """What needs one, directly or through others."""
        provided = {
            (ref.kind, ref.name.name): item.declaration.title
            for item in self.items
            if item.present
            for ref in item.declaration.provides()
        }
        found = {damaged}
        while True:
            more = {
                item.declaration.title
                for item in self.items
                if found
                & {provided.get((ref.kind, ref.name.name)) for ref in item.declaration.requires()}
            }
            if more <= found:
                return found - {damaged}
            found |= more


@pytest.fixture
def finished(server: TestServer, deployment: Callable[..., Database]) -> Database:
    """A database with the platform as of the server's own day."""
    return deployment(server, "current", None)


@pytest.fixture
def declared() -> Declared:
    return Declared()


@pytest.fixture
def analysed(tmp_path: Path, declared: Declared) -> Analysed:
    """Holds a database against the deploy: each declared object by its title."""

    def verify() -> None:
        with pg.verification(report=str(tmp_path), deploy=declared.deploy):
            pg.check("it is there", "SELECT 1", [(1,)])

    def analysed(database: Database) -> dict[str, dict[str, Any]]:
        run(database, verify, postgres_squawk=False).succeeded()
        (path,) = tmp_path.glob("*/report.json")
        (host,) = json.loads(path.read_text())["hosts"]
        return {one["title"]: one for one in host["declared"]}

    return analysed


def of(status: str, checks: dict[str, dict[str, Any]]) -> set[str]:
    return {title for title, one in checks.items() if one["status"] == status}


@one_version
def test_a_finished_platform_has_no_gap(finished: Database, analysed: Analysed) -> None:
    checks = analysed(finished)
    assert {one["status"] for one in checks.values()} <= {"PASS", "NOT APPLICABLE"}


@one_version
@pytest.mark.parametrize(
    ("title", "damage"), [(title, one) for title, several in DAMAGES.items() for one in several]
)
def test_a_damage_is_named_and_blocks_what_needs_it_alone(
    finished: Database,
    new_database: Databases,
    analysed: Analysed,
    declared: Declared,
    title: str,
    damage: str,
) -> None:
    database = new_database(copy_of=finished)
    database.psql(damage)
    checks = analysed(database)
    assert of("FAIL", checks) == {title}
    blocked = of("BLOCKED", checks)
    assert blocked <= declared.needing(title) | grants_in(title, checks)
    assert all(checks[one]["roots"] == [title] for one in blocked)
    assert of("NOT VERIFIED", checks) == set()
    if damage.startswith("DROP TABLE"):
        assert blocked >= {one for one in checks if one.endswith(f" on {title.split()[1]}")}


def grants_in(title: str, checks: Iterable[str]) -> set[str]:
    """What a grant of USAGE on a schema is needed for."""
    schema = title.removeprefix("grant on SCHEMA ").removesuffix(" to authenticated")
    return {one for one in checks if one.startswith("grant on ") and f" {schema}." in one}


@one_version
def test_each_prefix_of_the_deploy_has_the_rest_as_gaps(
    new_database: Databases, analysed: Analysed, declared: Declared
) -> None:
    database = new_database()
    plan = run(database, declared.deploy_in_one, dry=True).succeeded().plan
    steps = list(plan.in_run_order())
    last = {change.title: number for number, (change, _) in enumerate(steps)}
    with database.connect(autocommit=True) as connection:
        for number, (_, statement) in enumerate(steps):
            connection.execute(statement.path.session)
            connection.execute(statement.sql)
            if number % EVERY and number < len(steps) - 1:
                continue
            checks = analysed(database)
            there = of("PASS", checks) | of("NOT APPLICABLE", checks)
            assert there >= {one for one, end in last.items() if end <= number} & checks.keys()
            left = checks.keys() - there
            for one in left:
                # What is blocked has a root that is left itself, and not blocked.
                assert checks[one]["status"] in {"FAIL", "BLOCKED"}
                assert set(checks[one]["roots"]) <= of("FAIL", checks)
                assert bool(checks[one]["roots"]) == (checks[one]["status"] == "BLOCKED")
    assert left == set()
