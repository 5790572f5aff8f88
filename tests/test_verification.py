"""Checks: rows compared exactly, always rolled back, reported by host."""

from __future__ import annotations

import json

import pytest

from harness import Database, Project, one_version
from harness.html import Page
from harness.process import run_files
from harness.servers import Databases
from pyinfra_postgres.reports.rows import MARK, answer_query

QUERIES = {
    "columns of one name": ("SELECT 1 AS a, 2 AS a, 3", "[1, 2, 3]"),
    "no columns": ("SELECT", "[]"),
    "a comment at the end": ("SELECT 1 -- one", "[1]"),
    "VALUES": ("VALUES (1, 'x')", '[1, "x"]'),
    "a writing WITH": ("WITH w AS (INSERT INTO t VALUES (5) RETURNING n) SELECT n FROM w", "[5]"),
    "WITH names that are keywords": (
        'WITH RECURSIVE update (a) AS (SELECT 1), "select" AS NOT MATERIALIZED (SELECT 2 AS b), '
        'deleted AS (DELETE FROM t RETURNING n) (SELECT a, b FROM update, "select")',
        "[1, 2]",
    ),
    "RETURNING": ("UPDATE t SET n = n + 1 RETURNING n, n * 2", "[2, 4]"),
    "line breaks in values": ("SELECT E'a\\nb', ARRAY[ROW(1, E'c\\n')]", None),
}


@pytest.mark.parametrize("name", QUERIES)
def test_any_query_becomes_rows_of_json(database: Database, name: str) -> None:
    query, row = QUERIES[name]
    database.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    (line,) = database.psql(answer_query(query)).split("\n")
    assert line.startswith(MARK)
    assert row is None or line == MARK + row


CHECKS = """
    with pg.verification("Rows of t", report="out"):
        pg.check("1 Passes: one", "SELECT n FROM t", [(1,)], setup=["SELECT 9"], task="1 Rows")
        pg.check("2 Rows: differ", "SELECT n, '<b>' FROM t", [(2, "<b>")], task="1 Rows")
        pg.check("3 Broken: query", "SELECT * FROM nowhere", [])
        pg.check("4 Writes: rolled back", "SELECT count(*) FROM t", [(3,)],
                 setup=["INSERT INTO t VALUES (7), (8)", "SET search_path = pg_catalog",
                        "SET search_path = public", "CREATE TABLE left_behind ()"])
        pg.check("5 Broken: setup", "SELECT 1", [(1,)],
                 setup=["CREATE TABLE left_behind ()", "SELECT 1 / 0"])
        pg.check("6 Blocked", "SELECT 1 / 0", [], needs="3 Broken: query")
        pg.check("7 Skipped", "SELECT 1 / 0", [], skip="there is nothing of it")
        pg.check("8 Not here", "SELECT 1 / 0", [], _if=lambda: False)
    pg.schema("after_the_verification")
"""


@one_version
def test_all_checks_run_and_the_end_fails_the_host(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    project.inventory({"db": database.dsn})
    project.deploy(CHECKS)
    output = project.run().failed().output
    for line in (
        "2 Rows: differ: FAIL",
        "- expected (1 row), + got (1 row)",
        "-(2, '<b>')",
        "+(1, '<b>')",
        'relation "nowhere" does not exist (SQLSTATE 42P01), in the query',
        "division by zero (SQLSTATE 22012), in statement 2 of the setup: SELECT 1 / 0",
        "NOT APPROVED: 1 root cause blocks 1 of 8 checks (3 Broken: query); 2 checks fail by "
        "themselves (2 Rows: differ, 5 Broken: setup)",
    ):
        assert line in output
    assert "1 Passes: one: " not in output
    assert database.psql("SELECT count(*) FROM t") == "1"
    assert database.psql("SELECT to_regclass('left_behind') IS NULL") == "t"
    assert database.psql("SELECT to_regnamespace('after_the_verification') IS NULL") == "t"
    assert database.sessions() == []
    folder = project.path / "out" / "inventory"
    assert {path.name for path in folder.iterdir()} == {
        *("index.html", "db.html", "report.md", "report.json", "report.sarif", "junit.xml")
    }
    assert "1 of 1 database does not pass" in Page.read(folder / "index.html").text
    text = Page.read(folder / "db.html").text
    for told in (
        f"Database{database.name}, asked as postgres",
        f"PostgreSQL {database.server.version}",
        "SELECT * FROM nowhere",
        "BLOCKED 1 by 3 Broken: query",
        "there is nothing of it",
    ):
        assert told.replace(" ", "") in text.replace(" ", "").replace("\n", "")
    (host,) = json.loads((folder / "report.json").read_text())["hosts"]
    statuses = {one["title"][0]: one["status"] for one in host["checks"]}
    assert [statuses[number] for number in "12345678"] == [
        *("PASS", "FAIL", "FAIL", "PASS", "FAIL", "BLOCKED", "NOT APPLICABLE", "NOT APPLICABLE")
    ]


@one_version
def test_the_report_keeps_what_it_said_of_other_hosts(
    project: Project, new_database: Databases, unreachable_dsn: str
) -> None:
    good, bad = new_database(), new_database()
    good.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    gone = {"postgres_dsn": unreachable_dsn, "postgres_connect_attempts": 1}
    project.inventory({"good": good.dsn, "bad": bad.dsn, "gone": gone})
    project.deploy("""
        with pg.verification(report="reports"):
            pg.check("table t", "SELECT to_regclass('t') IS NOT NULL", [(True,)])
            pg.check("rows of t", "SELECT n FROM t", [(1,)], needs="table t")
    """)
    everywhere = ("inventory.py", "deploy.py", "-y", "--fail-percent", "100")
    output = project.run(*everywhere).failed().output
    assert "NOT APPROVED: 1 root cause blocks 1 of 2 checks (table t)" in output
    folder = project.path / "reports" / "inventory"
    index = Page.read(folder / "index.html").text
    for said in ("1 of 3 approved", "NOT APPROVED: unreachable", "UNREACHABLE", "BLOCKED"):
        assert said in index
    before = {path.name: path.read_bytes() for path in folder.glob("*.html")}
    project.run("inventory.py", "deploy.py", "-y", "--limit", "@postgres/good").succeeded()
    assert (folder / "bad.html").read_bytes() == before["bad.html"]
    assert "1 of 3 approved" in Page.read(folder / "index.html").text
    (folder / "report.json").write_text("{}")
    only = ("inventory.py", "deploy.py", "-y", "--limit", "@postgres/good")
    assert "is not a report of this version" in project.run(*only).failed().output


@one_version
def test_passing_checks_change_nothing(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.verification():
            pg.check("One is one", "SELECT 1", [(1,)])
    """)
    output = project.run().succeeded().output
    assert output.count("No changes") == 1
    assert "APPROVED: 1 of 1 check pass" in output
    assert not list(project.path.rglob("*.html"))


@one_version
def test_hosts_with_a_shell_are_checked_through_psql(project: Project, database: Database) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy("""
        with pg.transaction():
            pg.table("t", [pg.Column("k", "text"), pg.Column("v", "jsonb")])
            pg.rows("t", [{"k": "two\\nlines", "v": {"a": ["\\\\", "'"]}}], key="k", update=True)
        with pg.verification(report="reports"):
            pg.check("Rows as declared", "SELECT k, v FROM t",
                     [("two\\nlines", {"a": ["\\\\", "'"]})], setup=["SELECT 9"])
            pg.check("Broken setup", "SELECT 1", [(1,)], setup=["SELECT 1 / 0"])
    """)
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    for _ in range(2):
        output = project.run("inventory.py", "deploy.py", "-y", env=path).failed().output
        assert "division by zero" in output
        assert "in statement 1 of the setup: SELECT 1 / 0" in output
        assert "1 check fails by itself (Broken setup)" in output
    (page,) = (project.path / "reports" / "inventory").glob("*local*.html")
    assert database.name in Page.read(page).text


@one_version
def test_a_dry_run_checks_nothing(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.verification(report="reports"):
            pg.check("One is two", "SELECT 1", [(2,)])
    """)
    with database.watch() as seen:
        project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded()
    assert seen.statements == ["SELECT pg_catalog.pg_backend_pid()"]  # as on every connection
    assert not (project.path / "reports").exists()


@one_version
def test_outside_a_block_a_check_fails_its_host_at_once(
    project: Project, database: Database
) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        pg.check("One is two", "SELECT 1", [(2,)])
        pg.schema("after_the_check")
    """)
    output = project.run().failed().output
    assert "One is two: failed\n" in output
    assert database.psql("SELECT to_regnamespace('after_the_check') IS NULL") == "t"


MISTAKES = {
    "with pg.transaction():\n    pg.check('x', 'SELECT 1', [])": "behind the block",
    "with pg.verification():\n    with pg.verification():\n        pass": "leave the inner one out",
    "with pg.verification():\n    pass": "would approve anything",
    "with pg.verification(report='x.html'):\n    pass": "report is a folder",
    "pg.check('x', 'SELECT 1; SELECT 2', [])": "expected one SQL statement, found 2",
    "pg.check('x', 'SELECT 1', [], needs='y')": "known only inside a pg.verification()",
    "with pg.verification():\n    pg.check('x', 'SELECT 1', [], needs='y')": "no check before it",
    "with pg.verification():\n    pg.check('x', 'SELECT 1', [], _serial=True)": "has no meaning",
    "with pg.verification():\n    for _ in range(2):\n        pg.check('x', 'SELECT 1', [])": (
        "there are two checks 'x'"
    ),
    "with pg.verification(report='config.py'):\n    pg.check('x', 'SELECT 1', [(1,)])": (
        "could not write the report"
    ),
}


@one_version
@pytest.mark.parametrize("body", MISTAKES)
def test_mistakes_are_one_message(project: Project, database: Database, body: str) -> None:
    project.inventory({"db": database.dsn})
    project.deploy(body)
    output = run_files(project.path).failed().output
    assert MISTAKES[body] in output


SCHEMA = """
    CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."T t" (id int PRIMARY KEY);
    CREATE TABLE log (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE log_rest PARTITION OF log DEFAULT;
    CREATE TABLE kept (tenant text) PARTITION BY LIST (tenant);
    CREATE TABLE kept_1 PARTITION OF kept FOR VALUES IN ('a tenant');
    CREATE TABLE t (id int PRIMARY KEY, above int REFERENCES t, odd int NOT NULL UNIQUE
                      REFERENCES "Odd ""one"."T t", log_id int, log_at date,
                    FOREIGN KEY (log_id, log_at) REFERENCES log);
    ALTER TABLE log_1 ADD FOREIGN KEY (id) REFERENCES t
"""


@one_version
def test_a_page_draws_what_the_catalog_says(project: Project, database: Database) -> None:
    database.psql(SCHEMA)
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.verification(report="reports"):
            pg.check("One is one", "SELECT 1", [(1,)])
    """)
    project.run().succeeded()
    folder = project.path / "reports" / "inventory"
    (host,) = json.loads((folder / "report.json").read_text())["hosts"]
    assert {one["name"]: (one["key"], one["partitions"]) for one in host["tables"]} == {
        "public.kept": ([], 1),
        "public.log": (["id", "at"], 3),
        "public.t": (["id"], 0),
        '"Odd ""one"."T t"': (["id"], 0),
    }
    told = ("table", "source", "target", "columns", "is_optional", "is_unique")
    keys = {one["name"]: [one[name] for name in told] for one in host["foreign_keys"]}
    own = ["public.t", "public.t"]
    assert keys == {
        "log_1_id_fkey": ["public.log_1", "public.log", "public.t", ["id"], False, False],
        "t_above_fkey": [*own, "public.t", ["above"], True, False],
        "t_odd_fkey": [*own, '"Odd ""one"."T t"', ["odd"], False, True],
        "t_log_id_log_at_fkey": [*own, "public.log", ["log_id", "log_at"], True, False],
    }
    assert host["partitioned"] == [
        {
            "name": "public.log",
            "column": "at",
            "partitions": [
                {"name": "public.log_1", "lower": "2026-01-01", "upper": "2026-02-01"},
                {"name": "public.log_old", "lower": "MINVALUE", "upper": "2026-01-01"},
            ],
            "default": "public.log_rest",
        }
    ]
    page = Page.read(folder / "db.html").text
    for said in ("All tables: 4", "2 partitions by at; all else in public.log_rest", "→ itself"):
        assert said in page
    assert "a tenant" not in (folder / "report.json").read_text()


CANARY = "canary-4711"


@one_version
def test_no_document_has_what_rows_defaults_and_passwords_hold(
    project: Project, database: Database
) -> None:
    database.psql(
        f"""CREATE TABLE t (n text PRIMARY KEY DEFAULT '{CANARY}' CHECK (n <> '{CANARY}-2'));
            INSERT INTO t VALUES ('{CANARY}');
            CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS
              $$BEGIN RAISE EXCEPTION '{CANARY}'; END$$;
            CREATE TABLE extra (n text DEFAULT '{CANARY}')"""
    )
    project.inventory(
        {"db": {"postgres_dsn": database.dsn, "postgres_password": f"{CANARY}-password"}}
    )
    project.deploy("""
        def deploy():
            pg.schema("public")
            pg.table("t", [pg.Column("n", "int", primary_key=True, default="1", using="n::int")])

        with pg.verification(report="reports", deploy=deploy):
            pg.check("rows", "SELECT n FROM t", [("other",)])
            pg.check("told", "SELECT n FROM t", None)
            pg.check("detail", "SELECT 1", [(1,)], setup=["INSERT INTO t TABLE t"])
            pg.check("message", "SELECT n::int FROM t", [])
            pg.check("exception", "SELECT boom()", [])
    """)
    output = project.run().failed().output
    folder = project.path / "reports" / "inventory"
    documents = {path.name: path.read_text() for path in folder.iterdir()}
    assert len(documents) == 6
    assert [name for name, text in documents.items() if CANARY in text] == []
    assert f"+('{CANARY}')" in output
    host = documents["db.html"]
    for said in ("UniqueViolation", "InvalidTextRepresentation", "RaiseException"):
        assert said in host
