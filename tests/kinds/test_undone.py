"""What deploys have changed of each kind is taken back: the database is dumped as it was before.

And so it is with all that is created from the declarations of `exact/declarations.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

import pyinfra_postgres as pg
from exact.declarations import DIFFERENT, SETUP
from exact.test_equal import block
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres.operations.undoing import undo

ON: dict[str, Any] = {"postgres_history": True}

# What is there before, and what a block declares then.
CASES: dict[str, tuple[str, str]] = {
    "schema": (
        "",
        "pg.schema('s', comment='x')",
    ),
    "schema comment": (
        "CREATE SCHEMA s",
        "pg.schema('s', comment='x')",
    ),
    "schema rename": (
        "CREATE SCHEMA s; CREATE TABLE s.t (a int primary key, b serial); "
        "CREATE VIEW s.v AS SELECT a FROM s.t",
        "pg.schema('z', renamed_from='s')\npg.table('z.t', [pg.Column('c', 'text')])",
    ),
    "table rename": (
        "CREATE TABLE t (a int primary key, b serial); CREATE INDEX i ON t (b); "
        "CREATE VIEW v AS SELECT a FROM t",
        "pg.table('u', [pg.Column('a', 'int', nullable=False), pg.Column('x', 'text')], "
        "renamed_from='t')",
    ),
    "column rename": (
        "CREATE TABLE t (a int primary key, b int check (b > 0)); "
        "CREATE INDEX i ON t (b); CREATE VIEW v AS SELECT a, b FROM t",
        "pg.table('t', [pg.Column('c', 'int', renamed_from='b')])",
    ),
    "column rename and type": (
        "CREATE TABLE t (a int primary key, b varchar(20))",
        "pg.table('t', [pg.Column('c', 'varchar(30)', renamed_from='b')])",
    ),
    "constraint rename": (
        "CREATE TABLE t (a int CONSTRAINT q CHECK (a > 0))",
        "pg.table('t', constraints=[pg.Check('a > 0', name='z', renamed_from='q')])",
    ),
    "index rename": (
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a)",
        "pg.index('z', 't', ['a'], renamed_from='i')",
    ),
    "index renamed by match": (
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a)",
        "pg.index('z', 't', ['a'])",
    ),
    "enum label renamed and added": (
        "CREATE TYPE e AS ENUM ('a','b'); CREATE TABLE t (e e DEFAULT 'a')",
        "pg.enum('e', ['a2','b','c'], renamed={'a':'a2'})",
    ),
    "enum label renamed": (
        "CREATE TYPE e AS ENUM ('a','b'); CREATE TABLE t (e e DEFAULT 'a')",
        "pg.enum('e', ['a2','b'], renamed={'a':'a2'})",
    ),
    "enum label added": (
        "CREATE TYPE e AS ENUM ('a','b'); CREATE TABLE t (e e DEFAULT 'a')",
        "pg.enum('e', ['a','x','b'])",
    ),
    "enum": (
        "",
        "pg.enum('e', ['a','b'], comment='c')",
    ),
    "composite": (
        "CREATE TYPE c AS (a int)",
        "pg.composite('c', [pg.Attribute('a','int'), pg.Attribute('b','text')])",
    ),
    "composite renamed": (
        "CREATE TYPE c AS (a int)",
        "pg.composite('c', [pg.Attribute('z','int', renamed_from='a')])",
    ),
    "domain": (
        "CREATE DOMAIN d AS int CHECK (VALUE > 0)",
        "pg.domain('d', 'int', checks=[pg.Check('VALUE > 1', name='d_check')], default='7', "
        "nullable=False)",
    ),
    "range": (
        "",
        "pg.range_type('r', 'int')",
    ),
    "sequence": (
        "CREATE SEQUENCE q",
        "pg.sequence('q', increment=5, cache=10)",
    ),
    "sequence new": (
        "CREATE TABLE t (a int)",
        "pg.sequence('q', owned_by='t.a')",
    ),
    "column added": (
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
        "pg.table('t', [pg.Column('b', 'text', comment='c')])",
    ),
    "column dropped": (
        "CREATE TABLE t (a int, b text NOT NULL DEFAULT 'x'); CREATE INDEX i ON t (b)",
        "pg.table('t', [pg.Column('b', present=False)])",
    ),
    "column comment": (
        "CREATE TABLE t (a int); COMMENT ON COLUMN t.a IS 'old'",
        "pg.table('t', [pg.Column('a', 'int', comment='c', statistics=50, storage='plain')], "
        "comment='tt')",
    ),
    "not null": (
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
        "pg.table('t', [pg.Column('a', 'int', nullable=False)])",
    ),
    "primary key": (
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
        "pg.table('t', [pg.Column('a', 'int', primary_key=True)])",
    ),
    "foreign key": (
        "CREATE TABLE p (a int primary key); CREATE TABLE t (a int); "
        "INSERT INTO p VALUES (1); INSERT INTO t VALUES (1)",
        "pg.table('t', [pg.Column('a', 'int', references='p')])",
    ),
    "identity": (
        "CREATE TABLE t (a int not null)",
        "pg.table('t', [pg.Column('a', 'int', identity='ALWAYS')])",
    ),
    "serial to identity": (
        "CREATE TABLE t (a serial)",
        "pg.table('t', [pg.Column('a', 'int', identity='ALWAYS')])",
    ),
    "serial": (
        "CREATE TABLE t (b int)",
        "pg.table('t', [pg.Column('a', 'serial')])",
    ),
    "table": (
        "",
        "pg.table('t', [pg.Column('a', 'serial', primary_key=True), pg.Column('b','bigint', "
        "identity='ALWAYS'), pg.Column('c', 'text', unique=True, references='t(c)')])\n"
        "pg.index('i','t',['c'])\n"
        "pg.policy('p','t',using='true')\n"
        "pg.statistics('st','t',['a','c'])\n"
        "pg.role('undo_reader', login=False)\n"
        "pg.grant('SELECT', on='TABLE t', to='undo_reader')",
    ),
    "table dropped": (
        'CREATE TABLE t (a serial primary key, b int CHECK (b > 0), c text COLLATE "C"); '
        "CREATE INDEX i ON t (b) WHERE b > 1; COMMENT ON TABLE t IS 'x'; "
        "CREATE POLICY p ON t USING (true); ALTER TABLE t ENABLE ROW LEVEL SECURITY; "
        "GRANT SELECT ON t TO pg_monitor; "
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); "
        "ALTER TABLE t DISABLE TRIGGER g",
        "pg.table('t', present=False)",
    ),
    "tables dropped with keys": (
        "CREATE TABLE p (a int primary key); "
        "CREATE TABLE t (a int references p, b int generated always as identity)",
        "pg.table('t', present=False)\npg.table('p', present=False)",
    ),
    "view": (
        "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t; "
        "CREATE VIEW w AS SELECT a FROM v; GRANT SELECT ON v TO pg_monitor",
        "pg.view('v', 'select b, a from t')",
    ),
    "view columns": (
        "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t",
        "pg.view('v', 'select a as z from t', renamed_columns={'z': 'a'})",
    ),
    "view dropped": (
        "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t; "
        "COMMENT ON VIEW v IS 'x'; GRANT SELECT ON v TO pg_monitor",
        "pg.view('v', present=False)",
    ),
    "matview": (
        "CREATE TABLE t (a int, b int); CREATE MATERIALIZED VIEW v AS SELECT a FROM t; "
        "CREATE INDEX i ON v (a)",
        "pg.materialized_view('v', 'select a, b from t')",
    ),
    "function": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "GRANT EXECUTE ON FUNCTION f TO pg_monitor",
        "pg.function('f', arguments='b int', returns='bigint', language='sql', body='SELECT 2', "
        "comment='q')",
    ),
    "function dropped": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; "
        "REVOKE ALL ON FUNCTION f FROM PUBLIC; GRANT EXECUTE ON FUNCTION f TO pg_monitor",
        "pg.function('f', arguments='a int', present=False)",
    ),
    "policy": (
        "CREATE TABLE t (a int); CREATE POLICY p ON t FOR SELECT USING (a > 1)",
        "pg.policy('p', 't', command='UPDATE', using='a > 2')\npg.table('t', row_security=True)",
    ),
    "publication": (
        "CREATE TABLE t (a int primary key); CREATE TABLE u (a int primary key); "
        "CREATE PUBLICATION p FOR TABLE t",
        "pg.publication('p', tables=['u'], publish='insert')",
    ),
    "grant": (
        "CREATE TABLE t (a int, b int); GRANT SELECT (a) ON t TO pg_monitor; "
        "GRANT SELECT ON t TO PUBLIC",
        "pg.grant('SELECT, UPDATE (b)', on='TABLE t', to='pg_read_all_data', grant_option=True)\n"
        "pg.grant('SELECT', on='TABLE t', to='PUBLIC', present=False)",
    ),
    "grant exact": (
        "CREATE TABLE t (a int, b int); GRANT SELECT, INSERT ON t TO PUBLIC",
        "pg.grant('UPDATE', on='TABLE t', to='PUBLIC', exact=True)",
    ),
    "grant database": (
        "",
        "pg.grant('CREATE', on='SCHEMA public', to='PUBLIC')",
    ),
    "default privileges": (
        "CREATE SCHEMA s",
        "pg.default_privileges('SELECT', on='TABLES', to='PUBLIC', in_schema='s')\n"
        "pg.default_privileges('EXECUTE', on='FUNCTIONS', to='PUBLIC', present=False)",
    ),
    "role": (
        "",
        "pg.role('undo_r1', login=True, member_of='pg_monitor', comment='x')",
    ),
    "role changed": (
        "DROP ROLE IF EXISTS undo_r2; CREATE ROLE undo_r2 CREATEDB; GRANT pg_monitor TO undo_r2",
        "pg.role('undo_r2', login=True, createdb=False, "
        "member_of=[pg.Membership('pg_monitor', present=False), 'pg_read_all_data'], "
        "comment='x')",
    ),
    "owner": (
        "DROP ROLE IF EXISTS undo_r3; CREATE ROLE undo_r3; CREATE TABLE t (a serial); "
        "GRANT SELECT ON t TO PUBLIC",
        "pg.table('t', owner='undo_r3')",
    ),
    "partitions": (
        "CREATE TABLE e (id int, at date) PARTITION BY RANGE (at)",
        "pg.partitions('e', every='month', start='2026-01', ahead=1, default=True)",
    ),
    "partition": (
        "CREATE TABLE e (id int, k text) PARTITION BY LIST (k)",
        "pg.partition('e_a', 'e', \"FOR VALUES IN ('a')\")",
    ),
    "partition attached": (
        "CREATE TABLE e (id int, k text) PARTITION BY LIST (k); "
        "CREATE TABLE e_a (id int, k text); INSERT INTO e_a VALUES (1,'a')",
        "pg.partition('e_a', 'e', \"FOR VALUES IN ('a')\")",
    ),
    "partition detached": (
        "CREATE TABLE e (id int, k text) PARTITION BY LIST (k); "
        "CREATE TABLE e_r PARTITION OF e DEFAULT; "
        "CREATE TABLE e_a PARTITION OF e FOR VALUES IN ('a'); "
        "INSERT INTO e_a VALUES (1,'a')",
        "pg.partition('e_a', 'e', attached=False)",
    ),
    "partitioned column": (
        "CREATE TABLE e (id int, k text) PARTITION BY LIST (k); "
        "CREATE TABLE e_a PARTITION OF e FOR VALUES IN ('a'); CREATE INDEX i ON e (id)",
        "pg.table('e', [pg.Column('z', 'int', default='1'), pg.Column('id', 'bigint')])\n"
        "pg.index('j', 'e', ['z'])",
    ),
    "partition dropped": (
        "CREATE TABLE e (id int, k text) PARTITION BY LIST (k); "
        "CREATE TABLE e_a PARTITION OF e FOR VALUES IN ('a'); CREATE INDEX i ON e (id)",
        "pg.partition('e_a', 'e', present=False)",
    ),
    "trigger": (
        "CREATE TABLE t (a int); "
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); "
        "ALTER TABLE t ENABLE REPLICA TRIGGER g",
        "pg.trigger('g', 't', when='AFTER UPDATE', function='f()', comment='x')",
    ),
    "serial moved": (
        "CREATE SEQUENCE other; CREATE TABLE t (a int DEFAULT nextval('other')); "
        "ALTER SEQUENCE other OWNED BY t.a",
        "pg.table('t', present=False)",
    ),
    "comments removed": (
        "CREATE TABLE t (a int); COMMENT ON TABLE t IS 'x'; COMMENT ON COLUMN t.a IS 'y'",
        "pg.table('t', [pg.Column('a', 'int', comment='')], comment='')",
    ),
    "exact": (
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a); "
        "CREATE STATISTICS st ON a, (a+1) FROM t; CREATE VIEW v AS SELECT a FROM t",
        "pg.table('t', [pg.Column('a', 'int')], exact=True)",
    ),
}


def deployed(database: Database, text: str) -> str:
    """Run a deploy that is recorded, and return its name."""

    def deploy() -> None:
        exec(text, {"pg": pg})  # noqa: S102  (a test's own declarations)

    run(database, deploy, **ON).succeeded()
    return database.psql("SELECT run FROM pyinfra_postgres.deploy ORDER BY started_at DESC LIMIT 1")


@pytest.mark.parametrize("name", CASES)
@one_version
def test_it_is_as_it_was(database: Database, name: str) -> None:
    deployed(database, "pg.schema('first')")
    there, declared = CASES[name]
    if there:
        database.psql(there)
    before, roles = database.dump(), database.rows(ROLES)
    lines = "".join(f"    {line}\n" for line in declared.splitlines())
    deploy = deployed(database, f"with pg.transaction():\n{lines}")
    assert (database.dump(), database.rows(ROLES)) != (before, roles)
    run(database, lambda: undo(deploy), **ON).succeeded()
    assert database.dump() == before
    assert database.rows(ROLES) == roles


ROLES = """
    SELECT r.*, shobj_description(r.oid, 'pg_authid'), ARRAY(
             SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
      FROM pg_roles r WHERE rolname LIKE 'undo%' ORDER BY rolname"""


@one_version
def test_declarations_of_all_kinds_that_are_replaced_by_others(database: Database) -> None:
    database.psql(SETUP)
    deployed(database, "pg.schema('first')")
    empty = database.dump()
    first = deployed(database, block([one for one, _ in DIFFERENT]))
    before = database.dump()
    second = deployed(database, block([other for _, other in DIFFERENT]))
    run(database, lambda: undo(second), **ON).succeeded()
    assert database.dump() == before
    run(database, lambda: undo(first), **ON).succeeded()
    assert database.dump() == empty
