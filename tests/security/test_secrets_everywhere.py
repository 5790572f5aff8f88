"""What is hidden is sent to the server, and to nobody else, wherever SQL or a value is taken."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import run
from pyinfra_postgres import hidden
from pyinfra_postgres.comparison import verdicts
from pyinfra_postgres.errors import DeclarationError

MARK = "M4RKED"
PARTS = ("M4R", "4RK", "m4rk")
COLUMNS = [pg.Column("id", "int"), pg.Column("note", "text")]


@pytest.fixture(autouse=True)
def nothing_hidden_before() -> Iterator[None]:
    hidden.forget()
    yield
    hidden.forget()


def sql(text: str) -> Any:
    return HiddenValue(text)


def _table() -> None:
    pg.table("t", [*COLUMNS, pg.Column("x", "text", default=sql(f"'{MARK}'"))])


def _function(body: str) -> Callable[[], object]:
    return lambda: pg.function("f", returns="text", language="plpgsql", body=sql(body))


WORKS: dict[str, Callable[[], object]] = {
    "a statement": lambda: pg.sql(sql(f"SELECT '{MARK}'")),
    "statements": lambda: pg.sql(sql(f"SELECT '{MARK}' ; DO $$ BEGIN PERFORM '{MARK}'; END $$;")),
    "unless": lambda: pg.sql("SELECT 1", unless=sql(f"SELECT '{MARK}' = '';")),
    "a default": _table,
    "a check": lambda: pg.table("t", COLUMNS, constraints=[pg.Check(sql(f"note <> '{MARK}x'"))]),
    "a policy": lambda: pg.policy("p", "t", using=sql(f"note = '{MARK}'")),
    "an index": lambda: pg.index("i", "t", ["id"], where=sql(f"note = '{MARK}'")),
    "a view": lambda: pg.view("v", sql(f"SELECT id, '{MARK}'::text AS said FROM t;")),
    "a body": _function(f"BEGIN\n  -- it's {MARK}\n  RETURN '{MARK}';\nEND"),
    "a check's query": lambda: pg.check("c", sql(f"SELECT 1 WHERE '{MARK}' <> ''"), [(1,)]),
    "a check's rows": lambda: pg.check("c", "SELECT note FROM t", [(HiddenValue(MARK),)]),
    "rows": lambda: pg.rows("t", [{"id": 1, "note": HiddenValue(MARK)}], key="id", update=True),
}
FAILS: dict[str, Callable[[], object]] = {
    "a cast": lambda: pg.sql(sql(f"SELECT '{MARK}'::int")),
    "a name": lambda: pg.sql(sql(f"SELECT {MARK} FROM t")),
    "a table": lambda: pg.sql(sql(f"SELECT 1 FROM {MARK}")),
    "what it raises": lambda: pg.sql(sql(f"DO $$ BEGIN RAISE '%', lower('{MARK}'); END $$")),
    "a syntax error": lambda: pg.sql(sql(f"SELECT 1 1 '{MARK}'")),
    "half a string": lambda: pg.sql(sql(f"SELECT '{MARK}")),
    "a long one": lambda: pg.sql(sql(f"SELECT 1/0, '{'x ' * 230}{MARK}'")),
    "no cast": lambda: pg.policy("p", "t", using=sql(f"id = '{MARK}'")),
    "no column": lambda: pg.view("v", sql(f"SELECT {MARK} FROM t")),
    "unless": lambda: pg.sql("SELECT 1", unless=sql(f"SELECT '{MARK}'::int = 1")),
    "a check's query": lambda: pg.check("c", sql(f"WITH a AS (SELECT '{MARK}'::int) TABLE a"), []),
    "a check's setup": lambda: pg.check("c", "SELECT 1", [(1,)], setup=[sql(f"SELECT {MARK}")]),
    "other rows": lambda: pg.check("c", f"SELECT '{MARK}'", [(HiddenValue("other"),)]),
    "lines": lambda: pg.rows("t", [{"id": HiddenValue(f"{MARK}\n1"), "note": "x"}], key="note"),
}


@one_version
@pytest.mark.parametrize("case", WORKS)
def test_it_works_and_is_not_shown(database: Database, case: str) -> None:
    database.psql(f"CREATE TABLE t (id int, note text); INSERT INTO t VALUES (1, '{MARK}')")
    for dry in (True, False):
        found = run(database, WORKS[case], dry=dry).succeeded()
        assert not [part for part in PARTS if part in found.messages]
        assert not [
            part for part in PARTS if part in str([one.title for one in found.plan.changes])
        ]


@one_version
@pytest.mark.parametrize("case", FAILS)
def test_nothing_is_shown_of_what_fails(database: Database, case: str) -> None:
    database.psql("CREATE TABLE t (id int, note text)")
    try:
        messages = run(database, FAILS[case]).refused().messages
    except DeclarationError as error:
        messages = error.message
    assert not [part for part in PARTS if part in messages]


@one_version
def test_what_was_hidden_before_is_not_shown_either(database: Database) -> None:
    run(database, _function(f"BEGIN RETURN '{MARK}'; END")).succeeded()
    hidden.forget()
    changed = run(database, _function("BEGIN RETURN 'another'; END"), dry=True).succeeded()
    assert "its definition is hidden" in changed.messages
    assert not [part for part in PARTS if part in changed.messages]


@one_version
def test_no_verdict_of_it_is_kept(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.forget()
    database.psql("CREATE TABLE t (id int, note text)")
    for using, kept in ((sql(f"note IN ('{MARK}', 'b')"), False), ("note IN ('a', 'b')", True)):
        database.psql("DROP POLICY IF EXISTS p ON t")
        for _ in range(2):
            run(database, partial(pg.policy, "p", "t", using=using)).succeeded()
        assert (tmp_path / "pyinfra-postgres" / "verdicts").exists() is kept


@one_version
def test_loud_runs_through_psql(database: Database, project: Project) -> None:
    project.write("inventory.py", f'hosts = [("@local", {{"postgres_dsn": "{database.dsn}"}})]')
    project.deploy(f"""
        from pyinfra.api import HiddenValue

        with pg.verification(report="reports"):
            pg.sql(HiddenValue("CREATE TABLE t AS SELECT '{MARK}' AS note"))
            pg.role("app_{database.name}", password=HiddenValue("{MARK}"))
            pg.check("rows", "SELECT note FROM t", [(HiddenValue("{MARK}x"),)])
            pg.check("query", HiddenValue("SELECT '{MARK}'::int"), [])
    """)
    loud = ("-y", "-vvv", "--debug", "--debug-all", "--diff")
    found = project.run("inventory.py", "deploy.py", *loud).failed()
    assert "InvalidTextRepresentation in what is hidden (SQLSTATE 22P02)" in found.output
    written = [path for path in project.path.rglob("*") if path.suffix not in {".py", ".pyc"}]
    places = [found.output, *(path.read_text() for path in written if path.is_file())]
    assert len(places) > 1
    assert not [part for place in places for part in (*PARTS, "SCRAM") if part in place]


def _texts() -> Iterator[tuple[str, str]]:
    """The arguments of operations that take a text."""
    for name, operation in inspect.getmembers(pg, inspect.isfunction):
        if operation.__module__.startswith("pyinfra_postgres.operations"):
            for parameter in inspect.signature(operation).parameters.values():
                if re.search(r"\bstr\b", str(parameter.annotation)):
                    yield name, parameter.name


def _told(operation: str, argument: str) -> str:
    """What calling an operation with one hidden argument raises."""
    called = getattr(pg, operation)
    parameters = inspect.signature(called).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind != 4]
    try:
        called(**{one: sql(MARK) if one == argument else "x" for one in {*needed, argument}})
    except DeclarationError as error:
        return error.message
    except (TypeError, AttributeError) as error:  # of another type than text
        return str(error)
    return ""


@one_version
def test_where_nothing_can_be_hidden_one_line_says_so(database: Database) -> None:
    told: list[str] = []
    run(database, lambda: told.extend(_told(*one) for one in _texts()), dry=True)
    assert len(told) > 100
    assert [one for one in told if MARK in one or not one.isprintable()] == []
