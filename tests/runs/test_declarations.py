"""Declarations that meet: in one run, in one plan, or with a database that is not as usual."""

from __future__ import annotations

import re
import threading

import pytest

from harness import Database, Project, one_version

pytestmark = one_version


@pytest.fixture
def host(project: Project, database: Database) -> Database:
    """An empty database that is host one."""
    project.inventory({"one": database.dsn})
    return database


def unchanged(project: Project) -> bool:
    """Whether a dry run finds nothing to do."""
    output = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    return bool(re.search(r"\[@postgres/one\] (.*: )?no changes", output))


@pytest.mark.parametrize(
    "pair",
    [
        'pg.table("t", [pg.Column("a", "int")]); pg.table("t", [pg.Column("a", "text")])',
        'pg.index("i", "t", ["a"]); pg.index("i", "t", ["b"])',
        'pg.policy("p", "t", using="true"); pg.policy("p", "t", using="false")',
        'pg.schema("s", comment="x"); pg.schema("s", comment="y")',
    ],
)
def test_two_operations_that_contradict_each_other_are_refused(
    project: Project, host: Database, pair: str
) -> None:
    host.psql("CREATE TABLE t (a int, b int)")
    before = host.dump()
    one, two = pair.split("; ")
    project.deploy(f"with pg.transaction():\n    {one}\n    {two}\n")
    assert "declares it otherwise in the same run" in project.run().failed().output
    assert host.dump() == before


@pytest.mark.usefixtures("host")
def test_two_operations_that_complete_each_other_are_not(project: Project) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("a", "int", default="1 + 1")])
            pg.table("t", row_security=True)
            pg.table("t", [pg.Column("b", "text")], comment="both")
            pg.grant("SELECT", on="TABLE t", to="PUBLIC")
            pg.grant("INSERT", on="TABLE t", to="PUBLIC")
        """
    )
    project.run().succeeded()
    assert unchanged(project)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('pg.table("t", [], colums=1)', "there is no argument colums: did you mean columns?"),
        (
            'pg.role("r", pasword="x")',
            "role r: there is no argument pasword: did you mean password",
        ),
        ('pg.role("r", login="yes")', "login is True or False, not 'yes'"),
        ('pg.sequence("s", increment="5")', "increment is a number, not '5'"),
        ('pg.table("t", [pg.Column("a", "int", default=0)])', "an expression is SQL in quotes"),
        ('pg.table("t", [pg.Column("a", "int", nullable="no")])', "nullable is True or False"),
        ('pg.table("t", ["a int"])', "columns are pg.Column(...), not 'a int'"),
        ('pg.table("t", [], constraints=["a > 0"])', "constraints are pg.Check(...)"),
        ("pg.table(None, [])", "a name is text, as in SQL, not None"),
    ],
)
@pytest.mark.usefixtures("host")
def test_python_mistakes_are_named(project: Project, call: str, message: str) -> None:
    project.deploy(f"{call}\n")
    output = project.run().failed().output
    assert message in output
    assert "deploy.py line" in output


def test_what_is_beside_a_declaration_can_be_declared_alone(
    project: Project, host: Database
) -> None:
    host.psql(
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER "
        "SET search_path = '' AS 'SELECT 1'; "
        "CREATE DOMAIN d AS text DEFAULT 'x' NOT NULL; "
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a) WHERE a > 0; "
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; "
        "CREATE TRIGGER r BEFORE UPDATE ON t FOR EACH ROW WHEN (new.a > 0) EXECUTE FUNCTION g()"
    )
    before = host.dump()
    project.deploy(
        """
        with pg.transaction():
            pg.function("f", comment="f")
            pg.domain("d", comment="d")
            pg.index("i", "t", comment="i")
            pg.trigger("r", "t", enabled=False)
        """
    )
    project.run().succeeded()
    after = host.dump()
    for what, name in {
        "FUNCTION public.f()": "f",
        "DOMAIN public.d": "d",
        "INDEX public.i": "i",
    }.items():
        assert f"COMMENT ON {what} IS '{name}'" in after
    assert "DISABLE TRIGGER r" in after
    assert len(after.splitlines()) > len(before.splitlines())
    assert set(before.splitlines()) <= set(after.splitlines())
    assert unchanged(project)
    project.deploy('pg.function("f", strict=True)\n')
    assert "declare its body too, or leave out strict" in project.run().failed().output


def test_a_view_with_all_columns_follows_its_table(project: Project, host: Database) -> None:
    host.psql("CREATE TABLE t (a int); CREATE VIEW v AS SELECT * FROM t")
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("a", "int"), pg.Column("b", "int")])
            pg.view("v", "SELECT * FROM t")
        """
    )
    project.run().succeeded()
    assert host.psql("SELECT b FROM v") == ""
    assert unchanged(project)


def test_a_changed_table_does_not_change_what_names_it(project: Project, host: Database) -> None:
    deploy = """
        pg.objects([
            pg.Table("t", [pg.Column("a", "text"){more}]),
            pg.Index("i", "t", ["a"], where="a IN ('x', 'y')"),
            pg.Policy("p", "t", using="a IN ('x', 'y')"),
        ])
    """
    project.deploy(deploy.format(more=""))
    project.run().succeeded()
    project.deploy(deploy.format(more=', pg.Column("b", "int")'))
    with host.watch() as seen:
        project.run().succeeded()
    found = [one for one in seen.statements if "ADD COLUMN b" in one]
    # The other one tries it on an empty copy.
    (transaction,) = [one for one in found if "public.t ADD COLUMN" in one]
    assert "INDEX" not in transaction
    assert "POLICY" not in transaction
    assert unchanged(project)


def test_a_materialized_view_is_made_anew_and_removed(project: Project, host: Database) -> None:
    host.psql("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE UNIQUE INDEX i ON m (a)")
    project.deploy('pg.materialized_view("m", "SELECT 2 AS a")\n')
    project.run().succeeded()
    assert host.psql("SELECT a FROM m") == "2"
    assert host.psql("SELECT to_regclass('i')") == "i"
    project.deploy('pg.materialized_view("m", present=False)\n')
    project.run().succeeded()
    assert host.psql("SELECT to_regclass('m')") == ""


def test_an_index_of_another_table_is_left_alone(project: Project, host: Database) -> None:
    host.psql("CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE INDEX i ON a (x)")
    project.deploy('pg.index("i", "b", ["x"])\n')
    assert "an index of this name is on public.a" in project.run().failed().output


def test_an_operation_that_is_tried_again_plans_again(project: Project, host: Database) -> None:
    host.psql("CREATE TABLE t (a int)")
    project.inventory({"one": host.dsn}, postgres_lock_timeout=200, postgres_lock_attempts=1)
    project.deploy(
        'pg.table("t", [pg.Column("a", "int"), pg.Column("b", "int")],'
        " _retries=5, _retry_delay=1)\n"
    )
    with host.holding("LOCK TABLE t IN SHARE MODE") as holder:
        timer = threading.Timer(3, holder.rollback)
        timer.start()
        project.run().succeeded()
        timer.join()
    assert (
        host.psql("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0")
        == "2"
    )


def test_a_role_that_reads_only_by_default(project: Project, host: Database) -> None:
    host.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE TYPE e AS ENUM ('a')")
    name = host.psql("SELECT current_database()")
    host.psql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    project.deploy(
        """
        with pg.transaction():
            pg.enum("e", ["a", "b"])
            pg.table("t", [pg.Column("a", "int"), pg.Column("e", "e", default="'b'")])
            pg.index("i", "t", ["a"])
        """
    )
    project.run().succeeded()
    assert host.psql("SELECT to_regclass('i')") == "i"
    assert unchanged(project)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding(project: Project, host: Database, encoding: str) -> None:
    name = f"{host.psql('SELECT current_database()')}_{encoding.lower()}"
    host.psql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        dsn = host.dsn.replace(host.psql("SELECT current_database()"), name)
        project.inventory({"one": dsn})
        project.deploy('pg.schema("café", comment="été")\n')
        project.run().succeeded()
        assert unchanged(project)
    finally:
        host.psql(f"DROP DATABASE {name}")


@pytest.mark.usefixtures("host")
def test_an_at_sign_in_a_password_is_not_printed(project: Project) -> None:
    project.inventory({"one": "postgresql://app:pa@ssw0rd@127.0.0.1:1/app"})
    project.deploy('pg.schema("s")\n')
    output = project.run("inventory.py", "deploy.py", "-y", "-vvv", "--debug").failed().output
    assert "write @ in a user or password as %40" in output
    assert "ssw0rd" not in output.replace("postgresql://app:pa@ssw0rd@127.0.0.1:1/app", "")


def test_rows_that_row_security_hides_are_not_lost(project: Project, host: Database) -> None:
    host.psql(
        "CREATE ROLE owner_of_t LOGIN; CREATE SCHEMA own AUTHORIZATION owner_of_t; "
        "CREATE TABLE own.t (id int); INSERT INTO own.t VALUES (1), (2); "
        "ALTER TABLE own.t OWNER TO owner_of_t; "
        "ALTER TABLE own.t ENABLE ROW LEVEL SECURITY; ALTER TABLE own.t FORCE ROW LEVEL SECURITY"
    )
    project.inventory({"one": host.dsn.replace("postgres@", "owner_of_t@")})
    project.deploy('pg.table("own.t", present=False)\n')
    project.run().failed()
    assert host.psql("SELECT count(*) FROM own.t") == "2"


def test_a_comment_at_the_end_of_a_fragment_swallows_nothing(
    project: Project, host: Database
) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.domain("d", "int", default="5 -- five", checks="VALUE > 0 -- more than none")
            pg.function("f", arguments="a int DEFAULT 1 -- one", returns="int",
                        body="SELECT a -- itself")
            pg.table("t", [pg.Column("a", "date", default="now() -- today")],
                     partition_by="RANGE (a) -- by day")
        """
    )
    project.run().succeeded()
    assert host.psql("SELECT f()") == "1"
    assert unchanged(project)


def test_a_grant_in_a_schema_that_is_not_there(project: Project, host: Database) -> None:
    host.psql("CREATE SCHEMA shop; CREATE TABLE shop.t (a int)")
    project.deploy('pg.grant("SELECT", on="ALL TABLES IN SCHEMA shpo", to="PUBLIC")\n')
    assert "shpo" in project.run().failed().output


@pytest.mark.usefixtures("host")
def test_partitions_from_long_ago(project: Project) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("a", "date")], partition_by="RANGE (a)")
            pg.partitions("t", every="day", start="1926-10-01")
        """
    )
    assert "there would be more than 10000; check its start" in project.run().failed().output
