"""What others put in the way stops only what needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, Databases, TestServer, one_version, until
from harness.process import run
from pyinfra_postgres.planning.session import Session

LOG = """
    CREATE TABLE log (id integer, at {0}) PARTITION BY RANGE (at);
    CREATE TABLE log_default PARTITION OF log DEFAULT;
    INSERT INTO log VALUES (1, '-infinity'), (2, 'infinity'), (3, NULL), (4, '1970-01-01'),
      (5, '2999-12-31');
"""
TODAY = "2025-11-20"


def _months() -> None:
    pg.partitions("log", every="month", start="2025-11", ahead=1)


def _months_behind_sql() -> None:
    with pg.transaction():
        pg.sql("SELECT 1")
        _months()


def _month() -> None:
    pg.partition("log_2025_11", "log", "FOR VALUES FROM ('2025-11-01') TO ('2025-12-01')")


@one_version
@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("deploy", [_months, _months_behind_sql, _month])
def test_rows_that_no_period_holds_stand_against_none(
    database: Database, type_: str, deploy: Callable[[], object]
) -> None:
    database.psql(LOG.format(type_))
    run(database, deploy, postgres_today=TODAY).succeeded()
    assert database.psql("SELECT count(*) FROM log_default") == "5"
    assert database.psql("SELECT to_regclass('log_2025_11')") == "log_2025_11"
    run(database, deploy, postgres_today=TODAY).succeeded()


@one_version
def test_what_deletions_set_off_is_no_matter_where_no_row_moves(database: Database) -> None:
    database.psql(
        LOG.format("date") + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE TRIGGER g AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION f()"
    )
    run(database, _months, postgres_today=TODAY).succeeded()


@one_version
def test_rows_of_a_new_period_still_need_permission_to_move(database: Database) -> None:
    database.psql(LOG.format("date") + "INSERT INTO log VALUES (6, '2025-12-31')")
    said = run(database, _months, postgres_today=TODAY).refused().messages
    assert "postgres_allow=public.log_default" in said
    assert database.psql("SELECT to_regclass('log_2025_11')") == ""
    run(database, _months, postgres_today=TODAY, postgres_allow="log_default").succeeded()
    assert database.psql("SELECT count(*) FROM log_2025_12") == "1"
    assert database.psql("SELECT count(*) FROM log_default") == "5"


LOCKED = """
    CREATE SCHEMA own AUTHORIZATION {0};
    SET ROLE {0};
    CREATE TABLE own.t (id integer PRIMARY KEY DEFAULT 1, n integer CHECK (n > 0), k serial,
      g integer GENERATED ALWAYS AS (n + 1) STORED);
    CREATE TABLE own.child (id integer REFERENCES own.t);
    CREATE INDEX i ON own.t ((n + 1)) WHERE n > 1;
    ALTER TABLE own.t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON own.t USING (n > 1);
    CREATE POLICY q ON own.child USING (id IN (SELECT id FROM own.t));
    CREATE STATISTICS own.s ON (n + 1), id FROM own.t;
    CREATE FUNCTION own.f() RETURNS bigint LANGUAGE sql
      BEGIN ATOMIC SELECT count(*) FROM own.t; END;
    CREATE FUNCTION own.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER g BEFORE INSERT ON own.t FOR EACH ROW WHEN (NEW.n > 1)
      EXECUTE FUNCTION own.g();
    CREATE VIEW own.v AS SELECT * FROM own.t;
    CREATE VIEW own.w AS SELECT own.f(), v.id FROM own.v;
    CREATE MATERIALIZED VIEW own.m AS SELECT * FROM own.v;
    CREATE TABLE own.log (at date) PARTITION BY RANGE (at);
    CREATE TABLE own.log_1 PARTITION OF own.log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE own.heir () INHERITS (own.child);
"""


def _locked(database: Database, stranger: str, what: str) -> None:
    """Deploy while a tenant holds locks on what belongs to it."""
    database.psql(LOCKED.format(stranger))
    database.psql("CREATE TABLE mine (id integer)")

    def deploy() -> None:
        with pg.transaction():
            pg.schema("s")
            pg.table("mine", [pg.Column("id", "integer"), pg.Column("n", "integer")])
            pg.index("mine_n", "mine", ["n"])

    with database.holding(f"SET ROLE {stranger}; {what}"):
        said = run(database, deploy).succeeded().messages
    assert "not read, because other sessions have locked them: own." in said
    assert database.psql("SELECT count(n) FROM mine") == "0"
    assert not run(database, deploy).succeeded().plan.changes


def test_a_lock_of_a_tenant_stops_nobody_else(database: Database, stranger: str) -> None:
    _locked(database, stranger, "LOCK TABLE own.t")


@one_version
@pytest.mark.parametrize(
    "what",
    [
        "LOCK TABLE own.v",
        "LOCK TABLE own.w",
        "LOCK TABLE own.log_1; LOCK TABLE own.child",
        "LOCK TABLE own.log",
        "REFRESH MATERIALIZED VIEW own.m",
    ],
)
def test_whatever_it_locks(database: Database, stranger: str, what: str) -> None:
    _locked(database, stranger, what)


@one_version
def test_what_needs_it_is_refused(database: Database, stranger: str) -> None:
    database.psql(LOCKED.format(stranger))
    deploys: list[Callable[[], object]] = [
        lambda: pg.table("own.t", [pg.Column("id", "integer")]),
        lambda: pg.table("own.t", present=False),
        lambda: pg.index("j", "own.t", ["id"]),
        lambda: pg.policy("r", "own.t", using="true"),
        lambda: pg.trigger("g", "own.t", enabled=False),
        lambda: pg.trigger("g", "own.t", present=False),
        lambda: pg.view("own.v", "SELECT 1 AS one"),
        lambda: pg.table("own.child", [pg.Column("id", "integer")]),
        lambda: pg.function("own.f", returns="bigint", body="SELECT 1"),
        lambda: pg.grant("SELECT", on="TABLE own.t", to="PUBLIC"),
        lambda: pg.table("other", [pg.Column("id", "integer", references="own.t(id)")]),
    ]
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            for one in deploys:
                one()

    with database.holding(f"SET ROLE {stranger}; LOCK TABLE own.t"):
        said = run(database, deploy).refused().messages
    for one in ("t", "v", "child", "f"):
        assert f"own.{one} can't be read: session " in said
    assert said.count("can't be read: session") == len(deploys)
    assert "does not exist" not in said
    assert database.dump() == before


@one_version
def test_a_lock_that_is_held_for_a_moment_is_waited_for(
    server: TestServer, database: Database
) -> None:
    database.psql("CREATE TABLE t (id integer DEFAULT 1); CREATE VIEW v AS TABLE t")
    with database.holding("LOCK TABLE t") as holder:

        def let_go() -> None:
            until(lambda: any("lock timeout" in one.message for one in server.log_entries()))
            holder.rollback()

        thread = threading.Thread(target=let_go)
        thread.start()
        outcome = run(database, lambda: pg.table("t", [pg.Column("id", "bigint")]))
        thread.join()
    outcome.succeeded()
    assert "not read" not in outcome.messages


@one_version
def test_what_is_locked_once_the_plan_is_made(database: Database) -> None:
    """The catalog is read again under the deploy lock; the plan is made anew without that."""
    database.psql("CREATE TABLE t (id integer DEFAULT 1); CREATE VIEW v AS TABLE t")
    with contextlib.ExitStack() as stack:

        def deploy() -> None:
            with pg.transaction():
                pg.schema("s")
            Session.current().catalog()
            stack.enter_context(database.holding("LOCK TABLE t"))

        run(database, deploy).succeeded()
    assert database.psql("SELECT to_regnamespace('s')") == "s"


@one_version
@pytest.mark.parametrize("what", ["TABLE", "ROLE"])
def test_a_name_in_no_valid_encoding_names_itself(
    database: Database, new_database: Databases, what: str
) -> None:
    """A role's name comes from any database of the server."""
    raw = new_database(f"raw_{database.name}")
    raw.server.psql("-c", f'DROP DATABASE "{raw.name}"')
    raw.server.psql(
        "-c", f"CREATE DATABASE \"{raw.name}\" TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    )
    ends = "(id integer)" if what == "TABLE" else ""
    create = (
        "SET client_encoding = 'SQL_ASCII'; DO $$ BEGIN EXECUTE "
        f"'CREATE {what} caf' || convert_from('\\xe9', 'SQL_ASCII') || '{ends}'; END $$"
    )
    raw.psql(create)
    try:
        outcome = run(raw if what == "TABLE" else database, lambda: pg.schema("s"))
    finally:
        if what == "ROLE":
            raw.psql(create.replace("CREATE", "DROP"))
    said = outcome.refused().messages
    kind = "relation" if what == "TABLE" else "role"
    assert f"could not read the catalog: {kind} 'caf\\xe9'" in said
    assert "is in no valid encoding" in said
