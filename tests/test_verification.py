"""Checks: rows compared exactly, always rolled back, reported by host."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from harness import Database, Project, one_version
from harness.servers import Databases
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.reports.verification import Outcome, Question, Section, answer_query, write
from pyinfra_postgres.transport.answer import Answer, Failure

MARK = "pyinfra-postgres answer "


def outcome(rows: Sequence[Sequence[Any]], *answer: str) -> Outcome:
    """What becomes of a check when the server answers with these rows."""
    check = Question.declared("1 Title: more", "SELECT 1", rows, ())
    return check.outcome(Answer(answer), 0.0)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ((1, "x", None, True), '[1, "x", null, true]'),
        ((Decimal("1.5"), 1.5, 1), "[1.50, 1.5, 1.0]"),
        ((0.1, Decimal("0.1")), "[0.1, 0.1]"),
        ((float("nan"), float("-inf")), '["NaN", "-Infinity"]'),
        (([1, [2]], {"a": (1,)}), '[[1, [2]], {"a": [1]}]'),
        ((date(2025, 1, 2), UUID(int=1)), f'["2025-01-02", "{UUID(int=1)}"]'),
        ((datetime(2025, 1, 2, 3, tzinfo=UTC),), '["2025-01-02T04:00:00+01:00"]'),
        ((b"\x00\xff",), '["\\\\x00ff"]'),
        ((), "[]"),
    ],
)
def test_equal_values_are_equal_however_they_are_written(expected: tuple[Any], got: str) -> None:
    assert outcome([expected], MARK + got).passed


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ((1,), "[true]"),
        ((False,), "[0]"),
        ((1,), '["1"]'),
        ((None,), "[false]"),
        (("",), "[null]"),
        ((1,), "[1, 2]"),
        ((1, 2), "[1]"),
        (([1],), "[[true]]"),
        (({"a": 1},), '[{"a": 1, "b": 2}]'),
        ((date(2025, 1, 2),), '["2025-01-03"]'),
        ((date(2025, 1, 2),), "[20250102]"),
        ((Decimal("1.5"),), "[1.51]"),
    ],
)
def test_other_values_are_not(expected: tuple[Any], got: str) -> None:
    assert not outcome([expected], MARK + got).passed


def test_order_and_number_of_rows_count() -> None:
    assert outcome([(1,), (2,)], f"{MARK}[1]", f"{MARK}[2]").passed
    assert not outcome([(1,), (2,)], f"{MARK}[2]", f"{MARK}[1]").passed
    assert not outcome([(1,)]).passed
    assert not outcome([], f"{MARK}[1]").passed
    assert outcome([]).passed


def test_rows_of_the_setup_are_not_the_querys() -> None:
    assert outcome([(1,)], "[9]", "anything", f"{MARK}[1]").passed


def test_a_difference_is_a_few_lines() -> None:
    wrong = outcome([(n, "x" * 500) for n in range(50)], f'{MARK}[0, "y"]')
    lines = wrong.lines()
    assert lines[0] == "- expected (50 rows), + got (1 row)"
    assert lines[-1] == "... and 43 more lines"
    assert len(lines) == 10
    assert max(map(len, lines)) <= 160
    assert outcome([(1, "x"), (2, True)], f'{MARK}[1, "x"]', f"{MARK}[2, false]").lines() == [
        "- expected (2 rows), + got (2 rows)",
        "-(2, True)",
        "+(2, False)",
    ]


def test_an_error_names_its_statement() -> None:
    check = Question.declared("x", "SELECT 1", [], ["SELECT 2", "SELECT 3"])
    script = check.script()
    for text, place in {
        "SELECT 3": "SQL error: no (SQLSTATE 42P01), in statement 2 of the setup: SELECT 3",
        script[-2]: "SQL error: no (SQLSTATE 42P01), in the query",
        "BEGIN READ WRITE": "SQL error: no (SQLSTATE 42P01)",
    }.items():
        failure = Failure("no", "42P01", script.index(text))
        assert check.outcome(Answer((), failure), 0.0).lines() == [place]


def test_a_script_ends_by_rolling_back() -> None:
    assert Question.declared("x", "SELECT 1", [], ["SELECT 2"]).script()[-1] == "ROLLBACK"


@pytest.mark.parametrize(
    ("query", "setup"),
    [
        ("SELECT 1; SELECT 2", ()),
        ("", ()),
        ("SELEC", ()),
        ("SET work_mem = '8MB'", ()),
        ("SELECT 1 INTO t", ()),
        ("COMMIT", ()),
        ("SELECT 1", ("SELECT 1; SELECT 2",)),
        ("SELECT 1", ("COMMIT",)),
        ("SELECT 1", ("SELEC",)),
    ],
)
def test_mistakes_are_told_before_anything_runs(query: str, setup: Sequence[str]) -> None:
    with pytest.raises(DeclarationError):
        Question.declared("x", query, [], setup)


def test_a_value_that_no_answer_can_have_is_a_mistake() -> None:
    with pytest.raises(DeclarationError, match="type object"):
        Question.declared("x", "SELECT 1", [(object(),)], ())


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
    with pg.verification(report="out/report.html"):
        pg.check("1 Passes: one", "SELECT n FROM t", [(1,)], setup=["SELECT 9"])
        pg.check("2 Rows: differ", "SELECT n, '<b>' FROM t", [(2, "<b>")])
        pg.check("3 Broken: query", "SELECT * FROM nowhere", [])
        pg.check("4 Writes: rolled back", "SELECT count(*) FROM t", [(3,)],
                 setup=["INSERT INTO t VALUES (7), (8)", "SET search_path = pg_catalog",
                        "SET search_path = public", "CREATE TABLE left_behind ()"])
        pg.check("5 Broken: setup", "SELECT 1", [(1,)],
                 setup=["CREATE TABLE left_behind ()", "SELECT 1 / 0"])
    pg.schema("after_the_verification")
"""


class _Text(HTMLParser):
    """Gathers a page's text, and notices tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read_report(path: Path) -> str:
    """The page's text; it is well formed and needs nothing from elsewhere."""
    page = _Text()
    page.feed(path.read_text())
    assert page.open == []
    assert all(source.startswith("#") for source in page.sources)
    return page.text


@one_version
def test_all_checks_run_and_the_end_fails_the_host(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    project.inventory({"db": database.dsn})
    project.deploy(CHECKS)
    output = project.run().failed().output
    for line in (
        "2 Rows: differ: failed",
        "- expected (1 row), + got (1 row)",
        "-(2, '<b>')",
        "+(1, '<b>')",
        'relation "nowhere" does not exist (SQLSTATE 42P01), in the query',
        "division by zero (SQLSTATE 22012), in statement 2 of the setup: SELECT 1 / 0",
        "3 of 5 checks failed: 2 Rows, 3 Broken, 5 Broken",
    ):
        assert line in output
    assert "1 Passes: one: failed" not in output
    assert "Traceback" not in output
    assert database.psql("SELECT count(*) FROM t") == "1"
    assert database.psql("SELECT to_regclass('left_behind') IS NULL") == "t"
    assert database.psql("SELECT to_regnamespace('after_the_verification') IS NULL") == "t"
    assert database.sessions() == []
    text = read_report(project.path / "out" / "report.html")
    assert [path.name for path in (project.path / "out").iterdir()] == ["report.html"]
    assert f"Database {database.name}, PostgreSQL {database.server.version}" in text
    assert "3 of 5 checks failed" in text
    assert "(2, '<b>')" in text
    assert "SELECT * FROM nowhere" in text


@one_version
def test_the_report_holds_all_hosts_and_those_that_fail(
    project: Project, new_database: Databases
) -> None:
    good, bad = new_database(), new_database()
    good.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    project.inventory({"good": good.dsn, "bad": bad.dsn})
    project.deploy("""
        with pg.verification(report="report.html"):
            pg.check("1 Rows: one", "SELECT n FROM t", [(1,)])
    """)
    output = project.run().failed().output
    assert "1 of 1 checks failed: 1 Rows" in output
    text = read_report(project.path / "report.html")
    assert f"Database {good.name}" in text
    assert f"Database {bad.name}" in text
    assert "1 of 1 checks passed" in text
    assert "1 of 1 checks failed" in text


@one_version
def test_passing_checks_change_nothing_and_say_nothing(
    project: Project, database: Database
) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.verification():
            pg.check("1 One: is one", "SELECT 1", [(1,)])
    """)
    output = project.run().succeeded().output
    assert output.count("No changes") == 2
    assert "1 One: is one: " not in output
    assert not list(project.path.glob("*.html"))


@one_version
def test_hosts_with_a_shell_are_checked_through_psql(project: Project, database: Database) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy("""
        with pg.transaction():
            pg.table("t", [pg.Column("k", "text"), pg.Column("v", "jsonb")])
            pg.rows("t", [{"k": "two\\nlines", "v": {"a": ["\\\\", "'"]}}], key="k", update=True)
        with pg.verification(report="report.html"):
            pg.check("1 Rows: as declared", "SELECT k, v FROM t",
                     [("two\\nlines", {"a": ["\\\\", "'"]})], setup=["SELECT 9"])
            pg.check("2 Broken: setup", "SELECT 1", [(1,)], setup=["SELECT 1 / 0"])
    """)
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    for _ in range(2):
        output = project.run("inventory.py", "deploy.py", "-y", env=path).failed().output
        assert "division by zero" in output
        assert "in statement 1 of the setup: SELECT 1 / 0" in output
        assert "1 of 2 checks failed: 2 Broken" in output
    assert "changed" not in output
    assert f"Database {database.name}" in read_report(project.path / "report.html")


@one_version
def test_a_dry_run_checks_nothing(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.verification(report="report.html"):
            pg.check("1 One: is two", "SELECT 1", [(2,)])
    """)
    with database.watch() as seen:
        project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded()
    assert seen.statements == ["SELECT pg_catalog.pg_backend_pid()"]  # as on every connection
    assert not (project.path / "report.html").exists()


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


@one_version
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('with pg.transaction():\n    pg.check("x", "SELECT 1", [])', "behind the block"),
        (
            "with pg.verification():\n    with pg.verification():\n        pass",
            "leave the inner one out",
        ),
        ('pg.check("x", "SELECT 1; SELECT 2", [])', "expected one SQL statement, found 2"),
        (
            'with pg.verification(report="config.py/r.html"):\n    pass',
            "could not write the report",
        ),
    ],
)
def test_mistakes_are_one_message(
    project: Project, database: Database, body: str, message: str
) -> None:
    project.inventory({"db": database.dsn})
    project.deploy(body)
    output = project.run().failed().output
    assert message in output
    assert "Traceback" not in output


def test_a_report_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(path, [Section("one", path)])
    before = path.read_text()
    assert "one" in before
    with pytest.raises(Exception, match="unreadable"):
        write(path, [Section("two", path, [_Unreadable()])])  # type: ignore[list-item]
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


class _Unreadable:
    @property
    def passed(self) -> bool:
        raise ValueError("unreadable")
