"""Tables, partitions, grants and triggers where one thing reaches into another."""

from __future__ import annotations

import re
import secrets

import pytest
from attrs import evolve

from harness import Database, one_version
from kinds.conftest import Deploy, outcomes
from pyinfra_postgres.objects.constraints.constraints import PrimaryKey, Unique
from pyinfra_postgres.objects.tables.columns import Column
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.plan.plan import Stage

CONSTRAINTS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = 't'::regclass AND contype <> 'n' ORDER BY conname"
)
TODAY = ("--data", "postgres_today=2025-11-10")
NOVEMBER = "pg.partitions('log', every='month', start='2025-11', ahead=0, default=True)"


@pytest.fixture
def role(database: Database) -> str:
    """A role that may log in and create."""
    name = f"app_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {name} LOGIN; GRANT ALL ON SCHEMA public TO {name}")
    return name


def as_role(deploy: Deploy, role: str) -> str:
    """Have the deploy connect as a role."""
    dsn = deploy.database.dsn.replace("postgres@", f"{role}@", 1)
    deploy.project.inventory({"db": dsn})
    return dsn


FIRST = """
pg.table("t", constraints=[
    pg.PrimaryKey("a"), pg.Unique("b"), pg.Check("a > 0"), pg.Check("a < b"),
    pg.ForeignKey("o", references="o", on_delete="CASCADE"),
])
"""
SECOND = """
pg.table("t", constraints=[
    pg.PrimaryKey("b", "a"), pg.Unique("b", deferrable=True), pg.Check("a > 5"),
    pg.Check("a <= b"), pg.ForeignKey("o", references="o", on_delete="RESTRICT"),
])
"""


@pytest.mark.parametrize("filled", [False, True], ids=["an empty table", "a table with rows"])
def test_an_unnamed_constraint_that_changes_is_replaced(deploy: Deploy, filled: bool) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE o (id integer PRIMARY KEY); INSERT INTO o VALUES (1);"
        "CREATE TABLE t (a integer, b integer, o integer, CONSTRAINT mine CHECK (a > -9))"
    )
    if filled:
        database.psql("INSERT INTO t VALUES (6, 7, 1)")
    deploy.apply(FIRST)
    deploy.apply(SECOND)
    assert database.rows(CONSTRAINTS) == [
        ("mine", "CHECK ((a > '-9'::integer))"),
        ("t_a_check", "CHECK ((a > 5))"),
        ("t_b_key", "UNIQUE (b) DEFERRABLE"),
        ("t_check", "CHECK ((a <= b))"),
        ("t_o_fkey", "FOREIGN KEY (o) REFERENCES o(id) ON DELETE RESTRICT"),
        ("t_pkey", "PRIMARY KEY (b, a)"),
    ]


@pytest.mark.parametrize("key", [PrimaryKey, Unique])
def test_a_key_is_replaced_in_the_transaction(key: type[PrimaryKey | Unique]) -> None:
    columns = [Column("a", "integer", nullable=False), Column("b", "integer", nullable=False)]
    current = Table("t", columns, constraints=[key("a", name="k")])
    found = list(Table.diff(current, evolve(current, constraints=[key("b", name="k")])))
    assert [one.sql.partition(" k")[0] for one in found] == [
        "ALTER TABLE public.t DROP CONSTRAINT",
        "ALTER TABLE public.t ADD CONSTRAINT",
    ]
    assert {one.stage for one in found} == {Stage.MAIN}


@one_version
def test_what_another_declaration_claims_is_not_replaced(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE o (id integer PRIMARY KEY); CREATE TABLE p (id integer PRIMARY KEY);"
        "CREATE TABLE t (a integer CHECK (a > 0), o integer REFERENCES o)"
    )
    deploy.apply(
        """
        pg.table("t", constraints=[
            pg.Check("a > 1"), pg.Check("a > 0"),
            pg.ForeignKey("o", references="o"), pg.ForeignKey("o", references="p"),
        ])
        """
    )
    # Neither is what an earlier operation declares.
    deploy.apply(
        """
        pg.table("t", constraints=[pg.Check("a > 0")])
        pg.table("t", constraints=[pg.Check("a > 2")])
        """
    )
    assert database.rows(CONSTRAINTS) == [
        ("t_a_check", "CHECK ((a > 0))"),
        ("t_a_check1", "CHECK ((a > 1))"),
        ("t_a_check2", "CHECK ((a > 2))"),
        ("t_o_fkey", "FOREIGN KEY (o) REFERENCES o(id)"),
        ("t_o_fkey1", "FOREIGN KEY (o) REFERENCES p(id)"),
    ]


@one_version
def test_a_primary_key_on_which_others_depend_stays(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t (a integer PRIMARY KEY, b integer); CREATE TABLE u (a integer REFERENCES t)"
    )
    dump = database.dump()
    run = deploy.run("pg.table('t', constraints=[pg.PrimaryKey('b')])").failed()
    assert "can't stand on what is declared: u_a_fkey of public.u" in run.output
    assert database.dump() == dump


@one_version
def test_a_partition_key_may_end_with_a_comment(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.table("t", [pg.Column("a", "date")], partition_by="RANGE (a) -- by day", comment="x")
        """
    )


@pytest.mark.parametrize("rows", ["(1), (2)", ""], ids=["with rows", "without rows"])
def test_a_table_that_hides_its_rows_is_dropped_only_by_name(
    deploy: Deploy, role: str, rows: str
) -> None:
    database = deploy.database
    dsn = as_role(deploy, role)
    database.psql(
        "CREATE TABLE t (id integer); CREATE TABLE log (at date) PARTITION BY RANGE (at);"
        "CREATE TABLE log_default PARTITION OF log DEFAULT;"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;"
        "ALTER TABLE log_default ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE log_default FORCE ROW LEVEL SECURITY",
        dsn=dsn,
    )
    if rows:
        database.psql(f"INSERT INTO t VALUES {rows}; INSERT INTO log VALUES ('2020-01-01')")
    for name, absent in (
        ("t", "pg.table('t', present=False)"),
        ("log_default", NOVEMBER.replace("default=True", "default=True, present=False")),
    ):
        run = deploy.run(absent, *TODAY).failed()
        told = "would lose rows, which can't be counted: rows can't be seen: query would be"
        assert told in run.output
        assert database.psql(f"SELECT to_regclass('{name}') IS NOT NULL") == "t"
        deploy.apply(absent, *TODAY, "--data", f"postgres_allow=public.{name}")
        assert database.psql(f"SELECT to_regclass('{name}')") == ""


@pytest.mark.parametrize(
    ("obstacle", "told"),
    [
        pytest.param(
            "CREATE TABLE note (id integer, at timestamptz, "
            "FOREIGN KEY (id, at) REFERENCES log ON DELETE CASCADE);"
            "INSERT INTO note VALUES (1, '2025-11-05')",
            "the foreign key note_id_at_fkey of public.note: drop it",
            id="a foreign key",
        ),
        pytest.param(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
            "INSERT INTO gone VALUES (OLD.id); RETURN OLD; END';"
            "CREATE TRIGGER x AFTER INSERT OR DELETE ON log FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger x on public.log",
            id="a trigger",
        ),
        pytest.param(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
            "INSERT INTO gone VALUES (1); RETURN NULL; END';"
            "CREATE TRIGGER x AFTER DELETE ON log_default EXECUTE FUNCTION f()",
            "trigger x on public.log_default: disable it",
            id="a trigger of the default partition",
        ),
    ],
)
def test_rows_stay_where_moving_them_would_reach_others(
    deploy: Deploy, obstacle: str, told: str
) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE gone (id integer);"
        "CREATE TABLE log (id integer, at timestamptz, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at); CREATE TABLE log_default PARTITION OF log DEFAULT;"
        f"INSERT INTO log VALUES (1, '2025-11-05'), (2, '2020-01-01'); {obstacle}"
    )
    dump = database.dump()
    run = deploy.run(NOVEMBER, *TODAY).failed()
    assert "public.log_default holds rows of public.log_2025_11" in run.output
    assert told in run.output
    assert database.dump() == dump
    assert database.psql("SELECT count(*) FROM log") == "2"
    if "note" in obstacle:
        assert database.psql("SELECT count(*) FROM note") == "1"
        database.psql("DROP TABLE note")
    else:
        database.psql("ALTER TABLE ONLY log DISABLE TRIGGER USER")
        database.psql("ALTER TABLE log_default DISABLE TRIGGER USER")
    # Without it they move, where they may be read while nobody else can.
    deploy.apply(NOVEMBER, *TODAY, "--data", "postgres_allow=log_default")
    assert database.psql("SELECT tableoid::regclass, id FROM log ORDER BY id") == (
        "log_2025_11|1\nlog_default|2"
    )
    assert database.psql("SELECT count(*) FROM gone") == "0"


def test_a_partition_for_which_no_rows_wait_needs_no_move(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE log (id integer, at timestamptz, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at); CREATE TABLE log_default PARTITION OF log DEFAULT;"
        "CREATE TABLE note (id integer, at timestamptz, "
        "FOREIGN KEY (id, at) REFERENCES log ON DELETE CASCADE);"
        "INSERT INTO log VALUES (2, '2020-01-01'); INSERT INTO note VALUES (2, '2020-01-01')"
    )
    deploy.apply(NOVEMBER, *TODAY)
    assert database.psql("SELECT count(*) FROM note") == "1"
    assert database.psql("SELECT to_regclass('log_2025_11')") == "log_2025_11"


@one_version
def test_a_partition_is_a_table_in_the_same_plan(deploy: Deploy) -> None:
    deploy.apply(
        f"""
        with pg.transaction():
            pg.table("log", [pg.Column("id", "int"), pg.Column("at", "date")],
                     constraints=[pg.PrimaryKey("id", "at")], partition_by="RANGE (at)")
            {NOVEMBER}
            pg.table("log_2025_11", comment="x", constraints=[pg.Check("id > 0")])
        """,
        *TODAY,
    )
    found = "SELECT obj_description('log_2025_11'::regclass)"
    assert deploy.database.psql(found) == "x"


@one_version
def test_what_goes_with_a_table_is_declared_anew(deploy: Deploy, role: str) -> None:
    database = deploy.database
    database.psql(
        f"CREATE TABLE t (id serial, a text); GRANT SELECT (a) ON t TO {role};"
        f"GRANT USAGE ON SEQUENCE t_id_seq TO {role}"
    )
    deploy.run(
        f"""
        with pg.transaction():
            pg.table("t", present=False)
            pg.view("t", "SELECT 'x'::text AS a")
            pg.grant("SELECT (a)", on="TABLE t", to="{role}", name="column")
            pg.sequence("t_id_seq", name="sequence")
            pg.grant("USAGE", on="SEQUENCE t_id_seq", to="{role}", name="its use")
        """
    ).succeeded()
    assert database.rows(
        f"SELECT has_column_privilege('{role}', 't', 'a', 'SELECT'), "
        f"has_sequence_privilege('{role}', 't_id_seq', 'USAGE')"
    ) == [("t", "t")]


@one_version
def test_an_owner_leaves_its_rights_to_the_next(deploy: Deploy, role: str) -> None:
    database = deploy.database
    database.psql(
        f"CREATE ROLE {role}_2; CREATE TABLE t (a integer); ALTER TABLE t OWNER TO {role};"
        f"CREATE TABLE u (a integer); ALTER TABLE u OWNER TO {role}; GRANT SELECT ON u TO {role}_2"
    )
    deploy.apply(
        f"""
        with pg.transaction():
            for name in "t", "u":
                pg.table(name, owner="{role}_2")
                pg.grant("SELECT", on=f"TABLE {{name}}", to="{role}")
        """
    )
    assert database.psql(f"SELECT has_table_privilege('{role}', 't', 'SELECT')") == "t"


@one_version
def test_a_sequence_and_a_table_in_one_grant(deploy: Deploy, role: str) -> None:
    database = deploy.database
    database.psql("CREATE SEQUENCE sq; CREATE TABLE tt (a integer); CREATE TABLE uu (a integer)")
    deploy.apply(f"pg.grant('ALL', on='TABLE tt, sq, uu', to='{role}')")
    assert database.rows(
        f"SELECT has_table_privilege('{role}', 'tt', 'TRIGGER'), "
        f"has_table_privilege('{role}', 'uu', 'TRIGGER'), "
        f"has_sequence_privilege('{role}', 'sq', 'USAGE')"
    ) == [("t", "t", "t")]


@one_version
def test_another_database_is_refused(deploy: Deploy) -> None:
    for present in True, False:
        run = deploy.run(
            f"pg.grant('CONNECT', on='DATABASE template1', to='public', present={present})"
        )
        assert "is not the one that this host is connected to" in run.failed().output


@one_version
def test_a_trigger_fires_as_to_replication(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TABLE t (id integer)"
    )
    for enabled, stored in (("'always'", "A"), ("'replica'", "R"), ("True", "O"), ("False", "D")):
        deploy.apply(
            f"pg.trigger('x', 't', when='BEFORE INSERT', function='f()', enabled={enabled})"
        )
        assert database.psql("SELECT tgenabled FROM pg_trigger") == stored
    run = deploy.run("pg.trigger('x', 't', enabled='sometimes')").failed()
    assert "enabled is True, False, 'always' or 'replica'" in run.output


@one_version
def test_existing_tables_are_locked_first(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TABLE t (id integer); CREATE TABLE log (at date) PARTITION BY RANGE (at)"
    )
    with database.watch() as seen:
        run = deploy.run(
            f"""
            with pg.transaction():
                pg.trigger("x", "t", when="BEFORE INSERT", function="f()")
                {NOVEMBER}
            """,
            *TODAY,
        ).succeeded()
    assert set(outcomes(run).values()) == {"Success", "No changes"}
    (sent,) = (one for one in seen.statements if "CREATE TRIGGER" in one or "TRIGGER x" in one)
    assert re.findall(r"LOCK TABLE (.*?) MODE", sent) == [
        "ONLY public.log IN ACCESS EXCLUSIVE",
        "ONLY public.t IN SHARE ROW EXCLUSIVE",
    ]
