"""Every statement says which locks it takes: the server's own pg_locks is the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.locks import differences
from harness.process import run

BEFORE = """
    CREATE ROLE lock_owner;
    CREATE SCHEMA other;
    CREATE TYPE state AS ENUM ('new', 'done');
    CREATE DOMAIN amount AS integer;
    ALTER DOMAIN amount ADD CONSTRAINT amount_loose CHECK (VALUE > 0) NOT VALID;
    CREATE DOMAIN small AS amount; CREATE DOMAIN unused_amount AS integer;
    CREATE TABLE priced (one small); INSERT INTO priced VALUES (1);
    CREATE TABLE free (one unused_amount, two amount);
    CREATE TABLE parent (id integer PRIMARY KEY, code text);
    CREATE TABLE t (
        id integer NOT NULL, parent_id integer, name varchar(20) DEFAULT 'x', state state,
        note text, amount numeric(8, 2), twice integer GENERATED ALWAYS AS (id * 2) STORED,
        CONSTRAINT t_amount_check CHECK (amount > 0));
    ALTER TABLE t ADD CONSTRAINT t_loose CHECK (id > 0) NOT VALID;
    CREATE TABLE child (id integer REFERENCES parent(id));
    CREATE INDEX t_name ON t (name);
    INSERT INTO parent VALUES (1, 'a');
    INSERT INTO t VALUES (1, 1, 'x', 'new', 'note', 1);
    INSERT INTO child VALUES (1);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
    CREATE POLICY p ON t USING (true);
    CREATE POLICY gone ON t USING (true);
    CREATE VIEW v AS SELECT id FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
    CREATE STATISTICS st ON id, name FROM t;
    CREATE SEQUENCE counter;
    CREATE TABLE unused (id integer); INSERT INTO unused VALUES (1);
    CREATE TABLE log (at date NOT NULL, id integer) PARTITION BY RANGE (at);
    CREATE TABLE log_2025 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO log VALUES ('2025-03-01', 1);
    CREATE TABLE day (at date NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE day_default PARTITION OF day DEFAULT;
    CREATE TABLE day_2025 PARTITION OF day FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE kind (of text) PARTITION BY LIST (of);
    CREATE TABLE a PARTITION OF kind FOR VALUES IN ('a');
    CREATE TABLE rest PARTITION OF kind DEFAULT;
    CREATE TABLE b (of text); INSERT INTO b VALUES ('b');
    CREATE TABLE heir (one integer) INHERITS (t);
    CREATE TABLE heir_of_parent () INHERITS (parent);
"""
DATA: dict[str, Any] = {"postgres_today": "2026-11-01"}
ALLOWED = "unused,child,log_2025"

CASES: dict[str, Callable[[], object]] = {
    "a column is added": lambda: pg.table("t", [pg.Column("extra", "integer")]),
    "a column is added with a comment": lambda: pg.table(
        "t", [pg.Column("extra", "integer", comment="new")]
    ),
    "a default is set": lambda: pg.table("t", [pg.Column("name", "varchar(20)", default="'y'")]),
    "a default is dropped": lambda: pg.table("t", [pg.Column("name", "varchar(20)")]),
    "a type widens": lambda: pg.table("t", [pg.Column("name", "varchar(40)", default="'x'")]),
    "a column is no longer nullable": lambda: pg.table(
        "t", [pg.Column("note", "text", nullable=False)]
    ),
    "a column becomes nullable": lambda: pg.table("t", [pg.Column("id", "integer")]),
    "a comment on a column": lambda: pg.table("t", [pg.Column("note", "text", comment="why")]),
    "a column's storage": lambda: pg.table(
        "t", [pg.Column("note", "text", storage="EXTERNAL", compression="pglz", statistics=500)]
    ),
    "a column that is no longer generated": lambda: pg.table("t", [pg.Column("twice", "integer")]),
    "a table's name": lambda: pg.table("u", renamed_from="t"),
    "a table's schema": lambda: pg.table("other.u", renamed_from="t"),
    "names inside a table": lambda: pg.table(
        "t",
        [pg.Column("remark", "text", renamed_from="note")],
        constraints=[
            pg.Check("amount > 0", name="t_positive", renamed_from="t_amount_check"),
        ],
    ),
    "the name of a partitioned table's column": lambda: pg.table(
        "log", [pg.Column("number", "integer", renamed_from="id")]
    ),
    "an index's name": lambda: pg.index("t_title", "t", renamed_from="t_name"),
    "a policy's name": lambda: pg.policy("q", "t", using="true", renamed_from="p"),
    "a trigger's name": lambda: pg.trigger("ts", "t", renamed_from="tr"),
    "the name of statistics": lambda: pg.statistics("su", "t", renamed_from="st"),
    "a domain's check, which is read": lambda: pg.domain(
        "amount", "integer", checks=[pg.Check("VALUE > 0", name="amount_loose"), "VALUE < 9"]
    ),
    "a domain without nulls": lambda: pg.domain("amount", "integer", nullable=False),
    "a check of a domain without rows": lambda: pg.domain(
        "unused_amount", "integer", checks="VALUE < 9"
    ),
    "the name of a domain's check": lambda: pg.domain(
        "amount", "integer", checks=pg.Check("VALUE > 0", name="a", renamed_from="amount_loose")
    ),
    "a comment on a table": lambda: pg.table("t", comment="why"),
    "an owner": lambda: pg.table("t", owner="lock_owner"),
    "row security": lambda: pg.table("t", row_security=True, force_row_security=True),
    "a check": lambda: pg.table("t", constraints=[pg.Check("id < 100", name="t_new")]),
    "a check is redefined": lambda: pg.table(
        "t", constraints=[pg.Check("amount > -1", name="t_amount_check")]
    ),
    "a check is validated": lambda: pg.table("t", constraints=[pg.Check("id > 0", name="t_loose")]),
    "a foreign key": lambda: pg.table(
        "t", constraints=[pg.ForeignKey("parent_id", references="parent(id)")]
    ),
    "a unique constraint": lambda: pg.table("t", constraints=[pg.Unique("note")]),
    "a primary key": lambda: pg.table("t", constraints=[pg.PrimaryKey("id")]),
    "an index": lambda: pg.index("t_note", "t", ["note"]),
    "an index is changed": lambda: pg.index("t_name", "t", ["name DESC"]),
    "an index is dropped": lambda: pg.index("t_name", "t", present=False),
    "an index's parameters": lambda: pg.index(
        "t_name", "t", ["name"], parameters={"fillfactor": 80}
    ),
    "a comment on an index": lambda: pg.index("t_name", "t", ["name"], comment="why"),
    "an index of a partitioned table": lambda: pg.index("log_id", "log", ["id"]),
    "a trigger": lambda: pg.trigger("other", "t", when="AFTER INSERT", function="f()"),
    "a trigger is replaced": lambda: pg.trigger("tr", "t", when="AFTER INSERT", function="f()"),
    "a trigger is switched off": lambda: pg.trigger("tr", "t", enabled=False),
    "a trigger is dropped": lambda: pg.trigger("tr", "t", present=False),
    "a policy": lambda: pg.policy("q", "t", using="id > 1"),
    "a policy is altered": lambda: pg.policy("p", "t", using="id > 1"),
    "a policy is replaced": lambda: pg.policy("p", "t", command="SELECT", using="true"),
    "a comment on a policy": lambda: pg.policy("p", "t", using="true", comment="why"),
    "a comment on a trigger": lambda: pg.trigger("tr", "t", comment="why"),
    "a policy is dropped": lambda: pg.policy("gone", "t", present=False),
    "a view": lambda: pg.view("w", "SELECT id FROM t"),
    "a view is replaced": lambda: pg.view("v", "SELECT id, note FROM t"),
    "a materialized view": lambda: pg.materialized_view("n", "SELECT id FROM t"),
    "statistics": lambda: pg.statistics("su", "t", ["id", "note"]),
    "statistics are changed": lambda: pg.statistics("st", "t", ["id", "note"]),
    "privileges": lambda: pg.grant("SELECT", on="t", to="lock_owner"),
    "a sequence's owner column": lambda: pg.sequence("counter", owned_by="t.id"),
    "a partition": lambda: pg.partitions("log", every="year", start="2025"),
    "a partition is removed": lambda: pg.partition("log_2025", "log", present=False),
    "a partition beside a default one": lambda: pg.partitions("day", every="year", start="2025"),
    "one partition": lambda: pg.partition("c", "kind", "FOR VALUES IN ('c')"),
    "a partition that is detached": lambda: pg.partition("a", "kind", attached=False),
    "a default partition that is detached": lambda: pg.partition("rest", "kind", attached=False),
    "a table becomes a partition": lambda: pg.partition("b", "kind", "FOR VALUES IN ('b')"),
    "a comment on a partitioned table": lambda: pg.table("kind", comment="why"),
    "row security of a partitioned table": lambda: pg.table("kind", row_security=True),
    "an owner of a partitioned table": lambda: pg.table("kind", owner="lock_owner"),
    "a policy of a partitioned table": lambda: pg.policy("q", "kind", using="true"),
    "a column of a partitioned table": lambda: pg.table("kind", [pg.Column("n", "integer")]),
    "a trigger of a partitioned table": lambda: pg.trigger(
        "tk", "kind", when="AFTER INSERT", function="f()"
    ),
    "a table is dropped": lambda: pg.table("unused", present=False),
    "a table with a foreign key is dropped": lambda: pg.table("child", present=False),
}


@pytest.mark.parametrize("case", CASES)
@one_version
def test_a_statement_locks_what_it_says(database: Database, case: str) -> None:
    database.psql(BEFORE)
    plan = run(database, CASES[case], dry=True, **DATA, postgres_allow=ALLOWED).plan
    assert plan.changes
    assert plan.sound, list(plan.problems())
    assert differences(database, plan) == []
