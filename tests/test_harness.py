"""The harness itself: what the other tests take for granted."""

from __future__ import annotations

import psycopg
import pytest

from harness import Database, PasswordRole, Project, TestServer, one_version
from harness.servers import Databases


def test_psql_answers_from_the_servers_own_version(server: TestServer, database: Database) -> None:
    assert database.psql("SHOW server_version_num").startswith(str(server.version))
    assert f"(PostgreSQL) {server.version}" in server.run("psql", "--version").stdout


def test_rows_are_what_psql_prints(database: Database) -> None:
    assert database.rows("SELECT 1, NULL, E'two\\nlines'") == [("1", "", "two\nlines")]


def test_an_error_has_its_sqlstate(database: Database) -> None:
    assert "42P01" in database.error("SELECT * FROM missing")


def test_a_statement_that_should_fail_and_does_not_is_noticed(database: Database) -> None:
    with pytest.raises(AssertionError, match="this succeeded"):
        database.error("SELECT 1")


def test_two_dumps_of_one_database_are_equal(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer)")
    assert database.dump() == database.dump()
    assert "CREATE TABLE public.t" in database.dump()


def test_a_dump_is_never_of_before(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE t (id integer)")
        assert "CREATE TABLE" not in database.dump()
        connection.commit()
        assert "CREATE TABLE public.t" in database.dump()
    database.psql("DROP TABLE t")
    assert "CREATE TABLE" not in database.dump()


def test_a_commit_is_noticed_and_nothing_else(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE t (id integer)")
        with database.untouched():
            database.psql("SELECT 1; BEGIN; CREATE TABLE u (id integer); ROLLBACK")
        with pytest.raises(AssertionError), database.untouched():
            connection.commit()
    with pytest.raises(AssertionError), database.untouched():
        database.psql("INSERT INTO t VALUES (1)")


def test_the_log_shows_statements_of_clients_but_not_of_the_test(database: Database) -> None:
    with database.watch() as seen:
        database.psql("SELECT 'hidden'")
        with psycopg.connect(database.dsn) as connection:
            connection.execute("SELECT 'first\nline'")
            connection.execute("SELECT %s::text", ["parameter"])
    assert seen.statements == ["BEGIN", "SELECT 'first\nline'", "SELECT $1::text", "COMMIT"]


def test_the_log_of_one_database_leaves_out_the_others(new_database: Databases) -> None:
    one, two = new_database(), new_database()
    with one.watch() as seen, psycopg.connect(two.dsn) as connection:
        connection.execute("SELECT 1")
    assert seen.statements == []


@one_version
def test_roles_and_databases_of_a_test_go_away(server: TestServer) -> None:
    before = server.roles()
    databases = Databases(server)
    database = databases('Weird "Name"'.replace('"', ""))
    database.psql(
        'CREATE ROLE "temp""orary"; CREATE TABLE t (); ALTER TABLE t OWNER TO "temp""orary"'
    )
    assert server.roles() > before
    databases.remove()
    assert server.roles() == before


@one_version
def test_only_the_right_password_gets_in(database: Database, password_role: PasswordRole) -> None:
    assert database.psql("SELECT current_user", dsn=password_role.dsn(database)) == (
        password_role.name
    )
    assert "password authentication failed" in database.error(
        "SELECT 1", dsn=password_role.dsn(database, "wrong")
    )


@one_version
def test_a_held_lock_is_released_at_the_end(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer)")
    with database.holding("LOCK TABLE t"):
        assert "55P03" in database.error("SET lock_timeout = '50ms'; SELECT * FROM t")
    assert database.psql("SET lock_timeout = '50ms'; SELECT count(*) FROM t") == "0"


@one_version
def test_unreachable_servers_are_unreachable(
    database: Database, unreachable_dsn: str, silent_dsn: str
) -> None:
    assert "No such file" in database.error("SELECT 1", dsn=unreachable_dsn)
    assert "timeout expired" in database.error("SELECT 1", dsn=f"{silent_dsn}?connect_timeout=2")


def test_pyinfra_runs_a_project(project: Project) -> None:
    project.write("deploy.py", "from pyinfra.operations import server\n\nserver.shell('echo hi')\n")
    run = project.run("@local", "deploy.py", "-y").succeeded()
    assert "Success" in run.output
    assert project.run("@local", "missing.py", "-y").failed().code != 0


def test_an_inventory_has_hosts_and_data(project: Project) -> None:
    project.inventory({"one": "postgresql:///one", "@local": {"colour": "blue"}}, group="g", n=1)
    text = (project.path / "inventory.py").read_text()
    assert text == (
        "g = ([('@postgres/one', {'postgres_dsn': 'postgresql:///one'}), "
        "('@local', {'colour': 'blue'})], {'n': 1})\n"
    )
