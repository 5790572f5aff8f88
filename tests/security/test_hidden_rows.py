"""Rows that row level security hides from the role that deploys count, or stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import Outcome, run

BEFORE = """
    GRANT CREATE ON SCHEMA public TO OWNER;
    SET ROLE OWNER;
    CREATE TABLE parent (id integer PRIMARY KEY);
    CREATE TABLE child (id integer, parent_id integer, name text, kind text);
    CREATE TABLE log (at date) PARTITION BY RANGE (at);
    CREATE TABLE log_default PARTITION OF log DEFAULT;
    CREATE TYPE e AS ENUM ('a', 'b');
    CREATE TABLE with_e (e e);
    INSERT INTO parent VALUES (1);
    INSERT INTO child VALUES (1, 1, 'a', '1'), (2, 7, NULL, 'x'), (2, 8, 'b', 'y');
    INSERT INTO log VALUES ('2025-11-05');
    INSERT INTO with_e VALUES ('b');
"""
HIDE = """
    ALTER TABLE {0} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE {0} FORCE ROW LEVEL SECURITY;
    CREATE POLICY nobody ON {0} USING (false);
"""
UNSEEN = "rows can't be seen: "
KEY = pg.ForeignKey("parent_id", references="parent(id)", name="child_parent")


class Owner:
    """A role that owns tables, and from which their policies hide all rows."""

    def __init__(self, database: Database, name: str) -> None:
        self.database, self.name = database, name
        self.dsn = database.dsn.replace("postgres@", f"{name}@", 1)
        database.psql(BEFORE.replace("OWNER", name))

    def hide(self, *tables: str) -> None:
        """Force the policies of tables on their owner."""
        self.database.psql("".join(map(HIDE.format, tables)))

    def run(self, deploy: Callable[[], object], **data: Any) -> Outcome:
        """Deploy as that role."""
        return run(self.database, deploy, postgres_dsn=self.dsn, **data)

    def is_refused(self, deploy: Callable[[], object], **data: Any) -> str:
        """Why a deploy is refused, before anything runs."""
        before = self.database.dump()
        with self.database.watch() as seen:
            outcome = self.run(deploy, **data).refused()
        assert self.database.dump() == before
        assert not [one for one in seen.statements if "pg_try_advisory_lock" in one]
        return outcome.messages


@pytest.fixture
def owner(database: Database, stranger: str) -> Owner:
    """A role that owns a few tables with rows."""
    return Owner(database, stranger)


CASES: dict[str, tuple[str, Callable[[], object]]] = {
    "a foreign key over orphans": ("child", lambda: pg.table("child", constraints=[KEY])),
    "a foreign key to what is hidden": ("parent", lambda: pg.table("child", constraints=[KEY])),
    "a check": ("child", lambda: pg.table("child", constraints=[pg.Check("id < 2")])),
    "a null": ("child", lambda: pg.table("child", [pg.Column("name", "text", nullable=False)])),
    "a unique constraint": ("child", lambda: pg.table("child", constraints=[pg.Unique("id")])),
    "a unique index": ("child", lambda: pg.index("u", "child", ["id"], unique=True)),
    "rows": ("child", lambda: pg.rows("child", [{"id": 5}], key=["id"])),
    "rows that go": ("child", lambda: pg.rows("child", [], key=["id"], exact=True)),
    "another type": ("child", lambda: pg.table("child", [pg.Column("kind", "integer")])),
    "a label that goes": ("with_e", lambda: pg.enum("e", ["a"], exact=True)),
    "what an SQL query asks": (
        "child",
        lambda: pg.sql("SELECT 1", unless="SELECT NOT EXISTS (SELECT FROM child)"),
    ),
    "a partition beside the default one": (
        "log_default",
        lambda: pg.partition("log_11", "log", "FOR VALUES FROM ('2025-11-01') TO ('2025-12-01')"),
    ),
}


@one_version
@pytest.mark.parametrize("case", CASES)
def test_what_is_hidden_is_refused_before_anything_runs(owner: Owner, case: str) -> None:
    hidden, deploy = CASES[case]
    owner.hide(hidden)
    said = owner.is_refused(deploy, postgres_allow="child,log_default")
    assert UNSEEN in said
    assert f'policy for table "{hidden}"' in said
    assert f"as for role {owner.name}" in said
    assert "BYPASSRLS" in said


@one_version
def test_a_column_that_goes_needs_permission_where_nobody_sees_it(owner: Owner) -> None:
    owner.hide("child")
    said = owner.is_refused(lambda: pg.table("child", [pg.Column("kind", present=False)]))
    assert "would lose" in said
    assert UNSEEN in said


def _behind_sql() -> None:
    """Where rows change first nobody counts them before."""
    with pg.transaction():
        pg.sql("SELECT 1")
        pg.table("child", constraints=[KEY])


@pytest.mark.parametrize("hidden", ["child", "parent"])
def test_no_foreign_key_becomes_valid_over_orphans(owner: Owner, hidden: str) -> None:
    owner.hide(hidden)
    said = owner.is_refused(_behind_sql)
    assert UNSEEN in said
    assert f"public.{hidden}" in said


@one_version
def test_one_that_waits_for_its_validation(owner: Owner) -> None:
    owner.database.psql(
        "ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent_id) "
        "REFERENCES parent (id) NOT VALID"
    )
    owner.hide("child")
    assert UNSEEN in owner.is_refused(_behind_sql)


@one_version
def test_row_security_that_the_same_run_forces(owner: Owner) -> None:
    owner.database.psql("DELETE FROM child WHERE parent_id <> 1")

    def deploy() -> None:
        pg.table("child", constraints=[KEY], row_security=True, force_row_security=True)

    assert UNSEEN in owner.is_refused(deploy)


@one_version
def test_a_foreign_key_of_an_empty_table(owner: Owner) -> None:
    """PostgreSQL asks even there, within the transaction."""
    owner.database.psql("TRUNCATE child")
    owner.hide("parent")
    assert UNSEEN in owner.is_refused(lambda: pg.table("child", constraints=[KEY]))


@one_version
def test_foreign_keys_of_a_new_partition(owner: Owner) -> None:
    owner.database.psql(
        f"SET ROLE {owner.name}; CREATE TABLE item (at date, parent_id integer REFERENCES parent) "
        "PARTITION BY RANGE (at); CREATE TABLE item_11 (at date NOT NULL, parent_id integer); "
        "INSERT INTO item_11 VALUES ('2025-11-03', 7)"
    )
    owner.hide("item_11")

    def deploy() -> None:
        pg.partition("item_11", "item", "FOR VALUES FROM ('2025-11-01') TO ('2025-12-01')")

    assert "public.item_11" in owner.is_refused(deploy)


@one_version
@pytest.mark.parametrize("role", ["BYPASSRLS", "SUPERUSER"])
def test_who_sees_all_rows_is_told_of_them(owner: Owner, role: str) -> None:
    owner.hide("child", "parent")
    owner.database.psql(f"ALTER ROLE {owner.name} {role}")
    said = owner.is_refused(lambda: pg.table("child", constraints=[KEY]))
    assert "does not hold for 2 rows" in said
    owner.database.psql("DELETE FROM child WHERE parent_id <> 1")
    owner.run(lambda: pg.table("child", constraints=[KEY])).succeeded()


@one_version
def test_an_owner_sees_all_rows_where_nothing_is_forced(owner: Owner) -> None:
    owner.hide("child")
    owner.database.psql(
        "ALTER TABLE child NO FORCE ROW LEVEL SECURITY; DELETE FROM child WHERE parent_id <> 1"
    )
    owner.run(_behind_sql).succeeded()
    assert owner.database.psql("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == "t"


@one_version
def test_a_session_that_row_security_filters_by_its_role_settings(owner: Owner) -> None:
    """The stage after the transaction sets it for itself."""
    owner.database.psql(f"ALTER ROLE {owner.name} SET row_security = on")
    owner.database.psql("DELETE FROM child WHERE parent_id <> 1")
    with owner.database.watch() as seen:
        owner.run(lambda: pg.table("child", constraints=[KEY])).succeeded()
    settings = [one for one in seen.statements if "SET row_security = off" in one]
    assert settings
    assert owner.database.psql("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == "t"


@one_version
def test_a_check_does_not_pass_for_want_of_rows(owner: Owner) -> None:
    owner.hide("child")
    query = "SELECT id FROM child WHERE parent_id NOT IN (SELECT id FROM parent)"
    said = owner.run(lambda: pg.check("no orphans", query, [])).refused().messages
    assert UNSEEN in said
    assert 'table "child"' in said


@one_version
def test_a_check_of_what_a_role_sees(owner: Owner) -> None:
    """A role that is taken sees what its policies show; the role that deploys sees all again."""
    database, tenant = owner.database, f"{owner.name}_tenant"
    database.psql(f"CREATE ROLE {tenant}; GRANT SELECT ON child TO {tenant}")
    owner.hide("child")
    count = "SELECT count(*) FROM child"

    def deploy() -> None:
        pg.check("nothing", count, [(0,)], setup=[f"SET LOCAL ROLE {tenant}"])
        pg.check("all", count, [(3,)], setup=[f"SET LOCAL ROLE {tenant}", "RESET ROLE"])
        pg.check("all rows", count, [(3,)], setup=["SET LOCAL ROLE NONE"])

    run(database, deploy).succeeded()

    def wrong() -> None:
        pg.check(
            "strict", count, [(0,)], setup=[f"SET LOCAL ROLE {tenant}", "SET row_security = off"]
        )

    said = run(database, wrong).refused().messages
    assert UNSEEN in said
    assert "SET LOCAL ROLE in its setup" in said


@one_version
def test_through_psql(project: Project, owner: Owner) -> None:
    owner.hide("child")
    project.inventory({"@local": {"postgres_dsn": owner.dsn}})
    project.deploy('pg.table("child", constraints=[pg.Check("id < 2")])\n')
    path = {"PATH": f"{owner.database.server.binaries}:/usr/bin:/bin"}
    said = project.run("inventory.py", "deploy.py", "-y", env=path).failed().output
    assert UNSEEN in said
    assert 'policy for table "child"' in said
