"""Labels that are removed or reordered: the type is made anew with all that uses it."""

from __future__ import annotations

import re
import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy
from pyinfra_postgres.plan.plan import Lock
from pyinfra_postgres.syntax.names import Name

USES = """
    CREATE TYPE state AS ENUM ('new', 'old', 'done');
    COMMENT ON TYPE state IS 'it''s';
    REVOKE USAGE ON TYPE state FROM PUBLIC;
    GRANT USAGE ON TYPE state TO A_ROLE;
    CREATE DOMAIN open_state AS state DEFAULT 'new' CONSTRAINT os CHECK (VALUE <> 'done');
    COMMENT ON DOMAIN open_state IS 'open';
    COMMENT ON CONSTRAINT os ON DOMAIN open_state IS 'why';
    GRANT USAGE ON DOMAIN open_state TO A_ROLE WITH GRANT OPTION;
    CREATE DOMAIN states AS state[] NOT NULL;
    CREATE TABLE t (
        id integer PRIMARY KEY, state state DEFAULT 'new' NOT NULL,
        many state[] DEFAULT '{new,done}', open open_state, several states DEFAULT '{}', name text,
        CONSTRAINT k CHECK (state <> 'done' OR name IS NOT NULL),
        CONSTRAINT s CHECK (state IS NOT NULL), UNIQUE (state, id),
        EXCLUDE USING btree (id WITH =) WHERE (state = 'new'));
    COMMENT ON CONSTRAINT k ON t IS 'why';
    CREATE INDEX plain ON t (state);
    CREATE INDEX part ON t (id) WHERE state = 'new';
    COMMENT ON INDEX part IS 'why';
    CREATE INDEX expr ON t ((state = 'done'), id);
    CREATE STATISTICS st ON (state = 'new'), id FROM t;
    COMMENT ON STATISTICS st IS 'why';
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON t AS RESTRICTIVE FOR SELECT TO A_ROLE USING (state <> 'done');
    COMMENT ON POLICY p ON t IS 'why';
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER g BEFORE UPDATE OF state ON t FOR EACH ROW WHEN (NEW.state = 'done')
        EXECUTE FUNCTION fired();
    COMMENT ON TRIGGER g ON t IS 'why';
    ALTER TABLE t DISABLE TRIGGER g;
    CREATE VIEW v WITH (security_barrier = true) AS SELECT id, state, name FROM t
        WHERE state <> 'done';
    COMMENT ON VIEW v IS 'why';
    COMMENT ON COLUMN v.name IS 'why';
    GRANT SELECT ON v TO PUBLIC;
    GRANT UPDATE (name) ON v TO A_ROLE WITH GRANT OPTION;
    CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER i INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION instead();
    CREATE VIEW w AS SELECT count(*) AS c FROM v;
    ALTER VIEW w OWNER TO A_ROLE;
    CREATE MATERIALIZED VIEW m WITH (fillfactor = 80) AS SELECT state, count(*) AS c FROM t
        GROUP BY 1;
    CREATE UNIQUE INDEX mi ON m (state);
    GRANT SELECT ON m TO A_ROLE;
    CREATE FUNCTION f(s state, x integer DEFAULT 1) RETURNS boolean LANGUAGE sql IMMUTABLE
        AS 'SELECT s = ''new''';
    REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION f TO A_ROLE;
    COMMENT ON FUNCTION f IS 'why';
    CREATE FUNCTION h() RETURNS bigint LANGUAGE sql
        BEGIN ATOMIC SELECT count(*) FROM v WHERE f(state); END;
    CREATE FUNCTION rows_of_v() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';
    CREATE TABLE keys (s state PRIMARY KEY);
    CREATE TABLE refers (s state REFERENCES keys ON DELETE CASCADE);
    CREATE TABLE pt (id integer, state state DEFAULT 'new', CONSTRAINT pc CHECK (state <> 'done'
        OR id > 10)) PARTITION BY RANGE (id);
    CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
    CREATE TABLE pt2 (id integer, state state, CONSTRAINT pc CHECK (state <> 'done' OR id > 10));
    ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (10) TO (20);
    ALTER TABLE pt2 ALTER state SET DEFAULT 'done';
    CREATE INDEX pi ON pt (id) WHERE state <> 'done';
    ALTER INDEX pt1_id_idx RENAME TO "A name of its own";
    CREATE TRIGGER pg AFTER UPDATE ON pt FOR EACH ROW
        WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION fired();
    CREATE TYPE pair AS (a integer, s state);
    CREATE FUNCTION of_pair(x pair) RETURNS integer LANGUAGE sql AS 'SELECT 1';
    INSERT INTO pt VALUES (1, 'new'), (11, 'done');
    INSERT INTO t VALUES (1, 'new', '{new,done}', 'new', '{done}', 'x'),
                         (2, 'done', NULL, NULL, '{}', 'y');
    INSERT INTO keys VALUES ('new'), ('done');
    INSERT INTO refers VALUES ('new');
    REFRESH MATERIALIZED VIEW m;
"""
ROWS = (
    "SELECT string_agg(t::text, ' ' ORDER BY id), (SELECT string_agg(pt::text, ' ' ORDER BY id) "
    "FROM pt), (SELECT string_agg(s::text, ' ' ORDER BY s::text) FROM keys), "
    "(SELECT string_agg(m::text, ' ' ORDER BY state::text) FROM m), (SELECT c FROM w) FROM t"
)
ALLOW = ("--data", "postgres_allow=public.state")


def without_labels(dump: str) -> str:
    """A dump but for what CREATE TYPE ... AS ENUM lists."""
    return re.sub(r"AS ENUM \([^)]*\)", "AS ENUM ()", dump)


@pytest.fixture
def used(database: Database) -> Database:
    """A database in which everything that can use an enum does."""
    role = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role}; {USES.replace('A_ROLE', role)}")
    return database


def test_labels_are_removed_and_reordered_with_all_that_uses_them(
    deploy: Deploy, used: Database
) -> None:
    dump, rows = used.dump(), used.rows(ROWS)
    refused = deploy.run("pg.enum('state', ['done', 'new'], exact=True)").failed().output
    assert "would rewrite" in refused
    assert "postgres_allow=public.state" in refused
    assert used.dump() == dump
    deploy.apply("pg.enum('state', ['done', 'new'], exact=True)", *ALLOW)
    assert without_labels(used.dump()) == without_labels(dump)
    assert used.rows(ROWS) == rows
    assert used.psql("SELECT enum_range(NULL::state)") == "{done,new}"
    assert used.psql("SELECT count(*) FROM pg_type WHERE typname ~ 'old'") == "0"


@one_version
def test_a_row_that_holds_a_removed_label_is_refused_or_replaced(
    deploy: Deploy, used: Database
) -> None:
    used.psql(
        "UPDATE t SET many = '{old,done,old}', open = 'old' WHERE id = 1;"
        "UPDATE pt SET state = 'old'"
    )
    dump = used.dump()
    output = deploy.run("pg.enum('state', ['new', 'done'], exact=True)", *ALLOW).failed().output
    assert "'old' is in 1 row of public.t.open" in output
    assert "'old' is in 1 row of public.t.many" in output
    assert "'old' is in 2 rows of public.pt.state" in output
    assert "replaced={" in output
    assert used.dump() == dump
    deploy.apply("pg.enum('state', ['new', 'done'], replaced={'old': 'new'})", *ALLOW)
    assert without_labels(used.dump()) == without_labels(dump)
    assert used.psql("SELECT many, open FROM t WHERE id = 1") == "{new,done,new}|new"
    assert used.psql("SELECT string_agg(state::text, ',') FROM pt") == "new,new"


@one_version
def test_what_nothing_uses_needs_no_permission(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('a', 'b'); CREATE TYPE \"Oh My\" AS ENUM ('it''s', 'B');"
        'CREATE TABLE t (state state, o "Oh My" DEFAULT \'B\'); CREATE DOMAIN "D D" AS "Oh My"'
    )
    deploy.apply(
        "pg.enum('state', ['b'], exact=True); pg.enum('\"Oh My\"', ['B', 'new', \"it's\"])"
    )
    assert database.psql("SELECT enum_range(NULL::state)") == "{b}"
    assert database.psql('SELECT enum_range(NULL::"Oh My")') == "{B,new,it's}"
    assert database.psql("INSERT INTO t DEFAULT VALUES RETURNING o") == "B"


@one_version
def test_a_type_whose_name_begins_like_it_keeps_its_labels(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('a', 'b'); CREATE TYPE state_2 AS ENUM ('a', 'b');"
        "CREATE TABLE t (s state, two state_2); CREATE VIEW v AS SELECT s FROM t WHERE two = 'a'"
    )
    deploy.apply("pg.enum('state', ['b'], exact=True)")
    assert database.psql("SELECT enum_range(NULL::state)") == "{b}"


@one_version
def test_what_a_foreign_key_refers_to_is_locked_at_the_start(database: Database) -> None:
    database.psql(
        "CREATE TYPE state AS ENUM ('a', 'b'); CREATE SCHEMA \"My S\";"
        'CREATE TABLE "My S"."K" (s state PRIMARY KEY);'
        'CREATE TABLE t (s state REFERENCES "My S"."K")'
    )
    planned = run(database, lambda: pg.enum("state", ["b", "a"]), dry=True).succeeded().plan
    assert {lock.relation for lock in planned.locks()} == {Name("My S", "K"), Name("public", "t")}
    dropping = [one for one in planned.changes[0].statements if "DROP CONSTRAINT" in one.sql]
    assert Lock(Name("My S", "K"), only=True) in dropping[0].locks


@one_version
def test_what_a_new_role_has_been_given_is_kept(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('a', 'b'); CREATE TABLE t (s state);"
        "CREATE POLICY p ON t USING (s > 'b')"
    )
    role = f"r_{secrets.token_hex(3)}"
    deploy.apply(
        f"""
        with pg.transaction():
            pg.role("{role}", member_of="pg_monitor")
            pg.grant("USAGE", on="TYPE state", to="{role}")
            pg.policy("p", "t", using="s > 'b'", roles="{role}")
            pg.enum("state", ["b"], exact=True)
        """
    )
    acl = database.psql("SELECT typacl FROM pg_type WHERE typname = 'state'")
    assert f"{role}=U/postgres" in acl


OBSTACLES = {
    "(in the partition key)": "CREATE TABLE t (s state) PARTITION BY LIST (s)",
    "column c of table public.t (in the partition": "CREATE TABLE t (c state[]) "
    "PARTITION BY RANGE ((c[1]))",
    "column s of table public.t (its row": "CREATE TABLE t (s state); CREATE TABLE u (t t)",
    "column s of composite type public.c (its row": "CREATE TYPE c AS (s state); "
    "CREATE TABLE u (c c[])",
    "(generated)": "CREATE TABLE t (s state, d boolean GENERATED ALWAYS AS (s = 'a') STORED)",
    "function public.last(public.state)": "CREATE FUNCTION one(state, state) RETURNS state "
    "LANGUAGE sql AS 'SELECT $2'; CREATE AGGREGATE last(state) (SFUNC = one, STYPE = state)",
    "cast from public.state to integer": "CREATE FUNCTION n(state) RETURNS integer LANGUAGE sql "
    "AS 'SELECT 1'; CREATE CAST (state AS integer) WITH FUNCTION n(state)",
    "rule r on table public.t": "CREATE TABLE t (s state); "
    "CREATE RULE r AS ON INSERT TO t WHERE NEW.s = 'a' DO INSTEAD NOTHING",
    "constraint k on table public.t: 'a'": "CREATE TABLE t (s state CONSTRAINT k CHECK (s > 'a'))",
    "default value for column s of table public.t: 'a'": "CREATE TABLE t (s state[] "
    "DEFAULT '{b,a}')",
}


@one_version
@pytest.mark.parametrize("message", OBSTACLES)
def test_what_can_not_be_made_anew_is_refused_with_its_name(deploy: Deploy, message: str) -> None:
    deploy.database.psql(f"CREATE TYPE state AS ENUM ('a', 'b'); {OBSTACLES[message]}")
    dump = deploy.database.dump()
    assert message in deploy.run("pg.enum('state', ['b'], exact=True)").failed().output
    assert deploy.database.dump() == dump


@one_version
def test_what_names_a_removed_label_may_change_before_in_the_same_run(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('a', 'b'); CREATE TABLE t (s state DEFAULT 'a' CONSTRAINT k "
        "CHECK (s >= 'a')); CREATE POLICY p ON t USING (s = 'a'); INSERT INTO t VALUES ('b');"
        "CREATE VIEW v AS SELECT s FROM t WHERE s = 'a'; GRANT SELECT ON v TO PUBLIC"
    )
    deploy.apply(
        """
        with pg.transaction():
            pg.policy("p", "t", using="s = 'b'")
            pg.view("v", "SELECT s FROM t WHERE s = 'b'")
            pg.table("t", [pg.Column("s", "state", default="'b'")],
                     constraints=[pg.Check("s >= 'b'", name="k")])
            pg.enum("state", ["b"], exact=True)
        """,
        *ALLOW,
    )
    assert "='b'::state" in database.psql("SELECT pg_get_viewdef('v')").replace(" ", "")
    assert database.psql("SELECT s FROM v") == "b"
    assert "=r/" in database.psql("SELECT relacl FROM pg_class WHERE relname = 'v'")
    assert database.psql("INSERT INTO t DEFAULT VALUES RETURNING s") == "b"
