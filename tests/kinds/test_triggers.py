from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy, outcomes

FACTS = (
    "SELECT tgname, pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger') "
    "FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname"
)
SETUP = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE t (id integer, name text); INSERT INTO t VALUES (1, 'kept');
CREATE TRIGGER other BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f();
"""


@one_version
def test_attributes_go_on_and_off(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(SETUP)
    other = database.rows(FACTS)[0]
    deploy.apply("pg.trigger('x', 't', when='BEFORE INSERT', function='f()')")
    plain = "CREATE TRIGGER x BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION f()"
    assert database.rows(FACTS) == [other, ("x", plain, "O", "")]
    deploy.apply(
        "pg.trigger('x', 't', when='after update of name, id', function=\"public.g('a', 2)\", "
        "condition='NEW.id > 1', enabled=False, comment='it\\'s')"
    )
    changed = (
        "CREATE TRIGGER x AFTER UPDATE OF name, id ON public.t FOR EACH ROW "
        "WHEN ((new.id > 1)) EXECUTE FUNCTION g('a', '2')"
    )
    assert database.rows(FACTS) == [other, ("x", changed, "D", "it's")]
    # Replacing a trigger switches it on; it is declared off.
    deploy.apply("pg.trigger('x', 't', when='BEFORE INSERT', function='f()', enabled=False)")
    assert database.rows(FACTS) == [other, ("x", plain, "D", "it's")]
    deploy.apply("pg.trigger('x', 't', when='BEFORE INSERT', function='f()', comment='')")
    assert database.rows(FACTS) == [other, ("x", plain, "O", "")]
    deploy.apply("pg.trigger('x', 't', present=False)")
    assert database.rows(FACTS) == [other]
    assert database.psql("SELECT name FROM t") == "kept"


# (before, declared): each pair has to be told apart.
CHANGES = {
    "another time": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                     "when='AFTER INSERT', function='f()'"),
    "another event": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                      "when='BEFORE INSERT OR UPDATE', function='f()'"),
    "another function": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                         "when='BEFORE INSERT', function='g()'"),
    "a function in a schema": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                               "when='BEFORE INSERT', function='s.f()'"),
    "PostgreSQL's own function": (
        "BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION s.suppress_redundant_updates_trigger()",
        "when='BEFORE UPDATE', function='suppress_redundant_updates_trigger()'"),
    "an argument": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                    "when='BEFORE INSERT', function=\"f('x')\""),
    "another level": ("BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                      "when='BEFORE INSERT', function='f()', for_each='STATEMENT'"),
    "other columns": ("BEFORE UPDATE OF id ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                      "when='BEFORE UPDATE OF name', function='f()'"),
    "no columns": ("BEFORE UPDATE OF id ON {} FOR EACH ROW EXECUTE FUNCTION f()",
                   "when='BEFORE UPDATE', function='f()'"),
    "no condition": ("BEFORE UPDATE ON {} FOR EACH ROW WHEN (NEW.id > 1) EXECUTE FUNCTION f()",
                     "when='BEFORE UPDATE', function='f()'"),
    "transition tables": (
        "AFTER UPDATE ON {} REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f()",
        "when='AFTER UPDATE', function='f()', for_each='STATEMENT', "
        "referencing='NEW TABLE AS n OLD TABLE AS o'"),
    "no transition tables": (
        "AFTER UPDATE ON {} REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f()",
        "when='AFTER UPDATE', function='f()', for_each='STATEMENT'"),
}  # fmt: skip


def test_every_clause_is_told_apart(deploy: Deploy) -> None:
    database = deploy.database
    own = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    database.psql(
        f"{SETUP}CREATE SCHEMA s; CREATE FUNCTION s.f() {own};"
        f"CREATE FUNCTION s.suppress_redundant_updates_trigger() {own}"
    )
    lines = ""
    # A table may be called as a clause is.
    tables = [f"t{number}" for number in range(len(CHANGES))]
    tables[-1] = "referencing"
    for table, (before, declared) in zip(tables, CHANGES.values(), strict=True):
        database.psql(f"CREATE TABLE {table} (id integer, name text)")
        database.psql(f"CREATE TRIGGER x {before.format(table)}")
        lines += f"    pg.trigger('x', {table!r}, {declared}, name={table!r})\n"
    run = deploy.apply("with pg.transaction():\n" + lines)
    seen = outcomes(run)
    assert [name for name, table in zip(CHANGES, tables, strict=True)
            if seen[table] != "Success"] == []  # fmt: skip


@one_version
def test_a_partition_has_those_of_the_whole(deploy: Deploy) -> None:
    deploy.database.psql(
        SETUP + "CREATE TABLE l (at date) PARTITION BY RANGE (at); "
        "CREATE TABLE l_2026 PARTITION OF l FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'); "
        "CREATE TRIGGER tr BEFORE INSERT ON l FOR EACH ROW EXECUTE FUNCTION f(); "
        "CREATE TRIGGER own BEFORE INSERT ON l_2026 FOR EACH ROW EXECUTE FUNCTION f()"
    )
    names = "SELECT tgrelid::regclass, tgname FROM pg_trigger ORDER BY 1, 2"
    refused = deploy.run("pg.trigger('tr', 'l_2026', present=False)").failed()
    assert "its table has it as a partition: remove it from the whole" in refused.output
    deploy.apply(
        """
        with pg.transaction(exact=["triggers"]):
            pg.table("l", [pg.Column("at", "date")], partition_by="RANGE (at)")
            pg.trigger("tr", "l", when="BEFORE INSERT", function="f()")
            pg.partition("l_2026", "l", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
            pg.table("l_2026", [pg.Column("at", "date")])
        """
    )
    assert deploy.database.rows(names) == [("t", "other"), ("l", "tr"), ("l_2026", "tr")]
    deploy.apply("pg.trigger('tr', 'l', present=False)")
    assert deploy.database.rows(names) == [("t", "other")]


@pytest.mark.parametrize("constraint", [False, True])
def test_a_partition_keeps_its_own_state_and_comment(database: Database, constraint: bool) -> None:
    word = "CONSTRAINT TRIGGER g AFTER" if constraint else "TRIGGER g AFTER"
    database.psql(f"""
        CREATE TABLE t (id integer, v text) PARTITION BY LIST (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
        CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY LIST (id);
        CREATE TABLE t21 PARTITION OF t2 FOR VALUES IN (2);
        CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE {word} UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touched();
        ALTER TABLE t1 DISABLE TRIGGER g; ALTER TABLE t21 ENABLE REPLICA TRIGGER g;
        COMMENT ON TRIGGER g ON t21 IS 'kept'""")
    states = """SELECT tgrelid::regclass, tgenabled, obj_description(oid, 'pg_trigger')
        FROM pg_trigger ORDER BY 1"""
    assert database.rows(states) == [
        ("t", "O", ""), ("t1", "D", ""), ("t2", "O", ""), ("t21", "R", "kept")
    ]  # fmt: skip

    def changed() -> None:
        pg.trigger("g", "t", when="AFTER UPDATE", function="touched()", constraint=constraint,
                   condition="new.v <> ''")  # fmt: skip

    run(database, changed).succeeded()
    assert database.rows(states) == [
        ("t", "O", ""), ("t1", "D", ""), ("t2", "O", ""), ("t21", "R", "kept")
    ]  # fmt: skip
    assert run(database, changed).succeeded().plan.changes == []
    run(database, lambda: pg.trigger("g", "t", enabled="always")).succeeded()
    assert [row[1] for row in database.rows(states)] == ["A", "D", "A", "R"]


@one_version
def test_several_constraint_triggers_of_a_table_go_together(database: Database) -> None:
    """Each is a constraint of the table, which does not need it."""
    database.psql(SETUP)
    for name in ("a", "b"):
        database.psql(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
        )
    before = database.rows(FACTS)[2:]

    def deploy() -> None:
        with pg.transaction():
            pg.trigger("a", "t", present=False)
            pg.trigger("b", "t", present=False)

    run(database, deploy).succeeded()
    assert database.rows(FACTS) == before
