"""`pyinfra INVENTORY pyinfra_postgres.sql "SELECT ..."`: a fleet is asked, and prints its rows."""

from __future__ import annotations

import json

import pytest

from harness import Database, Databases, Project, Run, one_version

pytestmark = one_version


def ask(project: Project, *arguments: str, env: dict[str, str] | None = None) -> Run:
    return project.run("inventory.py", "pyinfra_postgres.sql", *arguments, env=env)


def lines(run: Run) -> list[str]:
    """The rows of the table, with one space between cells."""
    return [" ".join(line.split()) for line in run.succeeded().stdout.splitlines()]


@pytest.fixture
def fleet(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """Two hosts whose tables hold one row, and none."""
    one, two = new_database(), new_database()
    for database in (one, two):
        database.psql("CREATE TABLE t (id int, price numeric, note text)")
    one.psql("INSERT INTO t VALUES (1, 1.50, NULL), (2, 20, E'two\\nlines\\x1b[31m')")
    project.inventory({"one": one.dsn, "two": two.dsn})
    return one, two


@pytest.mark.usefixtures("fleet")
def test_rows_of_all_hosts_are_one_table(project: Project) -> None:
    # pyinfra takes what has an = for an option of the operation.
    run = ask(project, "SELECT *, 'NULL' AS n FROM t WHERE price >= 1.50 AND true=true ORDER BY id")
    assert lines(run) == [
        "host │ id │ price │ note │ n",
        "───────────────┼────┼───────┼────────────────────┼────────",
        "@postgres/one │ 1 │ 1.50 │ NULL │ 'NULL'",
        r"@postgres/one │ 2 │ 20 │ two\nlines\x1b[31m │ 'NULL'",
        "2 rows from 1 host, none from @postgres/two",
    ]


@pytest.mark.usefixtures("fleet")
def test_machines_get_json(project: Project) -> None:
    run = ask(project, "SELECT id, note FROM t WHERE id=1", "--json").succeeded()
    expected = {"@postgres/one": [{"id": 1, "note": None}], "@postgres/two": []}
    assert json.loads(run.stdout) == expected


@pytest.mark.parametrize(
    ("query", "column", "row"),
    [
        ("SHOW statement_timeout", "statement_timeout", "0"),
        ("EXPLAIN (COSTS off) SELECT 1", "QUERY PLAN", "Result"),
        ("WITH a AS (VALUES (1)) TABLE a -- all of it", "column1", "1"),
    ],
)
def test_other_questions(
    project: Project, database: Database, query: str, column: str, row: str
) -> None:
    project.inventory({"one": database.dsn})
    head, _, first, *_ = lines(ask(project, query))
    assert (head, first) == (f"host │ {column}", f"@postgres/one │ {row}")


def test_hosts_with_a_shell_answer_alike(project: Project, database: Database) -> None:
    query = "SELECT E'a\\nb' AS text, json '{\"a\":\n1.0}' AS json, NULL AS nothing"
    project.inventory({"@local": {"postgres_dsn": database.dsn}, "db": database.dsn})
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    _, _, local, direct, count = lines(ask(project, query, env=path))
    assert local == r'@local │ a\nb │ {"a": 1.0} │ NULL'
    assert direct == local.replace("@local", "@postgres/db")
    assert count == "2 rows from 2 hosts"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nowhere", '[@postgres/one] relation "nowhere" does not exist'),
        ("SELECT nextval('s')", "a query asked here only reads; put what writes into a deploy"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "one query at a time: these are 2"),
        ("", "there is no SQL statement"),
    ],
)
def test_mistakes_are_one_line(
    project: Project, database: Database, query: str, message: str
) -> None:
    database.psql("CREATE SEQUENCE s")
    project.inventory({"one": database.dsn})
    run = ask(project, query).failed()
    assert message in run.output
    assert run.stdout == ""
    assert "util.py" not in run.output


def test_one_host_that_fails_leaves_the_others_answers(
    project: Project, fleet: tuple[Database, Database]
) -> None:
    fleet[1].psql("ALTER TABLE t DROP COLUMN note")
    run = ask(project, "SELECT note FROM t WHERE id = 1").failed()
    assert "@postgres/one │ NULL" in run.stdout
    assert '[@postgres/two] column "note" does not exist' in run.stderr


def test_what_writes_is_an_operation(project: Project, fleet: tuple[Database, Database]) -> None:
    one, two = fleet
    statement = "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone"
    dry = ask(project, statement, "--dry", "--diff").succeeded()
    assert "1 to run" in dry.output
    assert one.psql("SELECT count(*) FROM t") == "2"
    ask(project, statement, "-y").succeeded()
    assert one.psql("SELECT count(*) FROM t") == "0"
    assert two.psql("SELECT count(*) FROM t") == "0"
