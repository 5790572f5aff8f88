"""What others name, write or say is told to a terminal as escapes, wherever it comes out."""

from __future__ import annotations

import ast
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from click import unstyle

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import Outcome, run
from pyinfra_postgres.errors import ConnectError, DeclarationError, HostError, InventoryError
from pyinfra_postgres.operations.host_rows import HostRows
from pyinfra_postgres.operations.tabular import print_answers
from pyinfra_postgres.terminal import printable, printable_lines

PACKAGE = Path(pg.__file__).parent
HOSTILE = (
    "\x1b[2J\x1b]0;t\x07\r\n    [db] Success\x08\x7f\x85\x9b1m"
    "\u202e\u2066\u200f\u200b\u2028\u2029\ufeff"
)
"""What a terminal obeys, without what PostgreSQL does not keep: null bytes, halves of pairs."""
CONTROLS = set(HOSTILE) - set("[2J]0;t    [db] Success1m")


def clean(outcome: Outcome | str) -> str:
    """The output, in which the hostile text stands, and none of it is obeyed."""
    text = outcome if isinstance(outcome, str) else outcome.messages
    assert not (CONTROLS - {"\n"}) & set(text)
    assert not [line for line in text.splitlines() if line.strip() == "[db] Success"]
    return text


def test_every_character_shows_itself() -> None:
    for character in map(
        chr,
        (
            *range(0x3200),
            *range(0xD7F0, 0xE010),
            *range(0xFE00, 0x11000),
            *range(0x1BCA0, 0x1BCA4),
            *range(0x1D173, 0x1D17B),
            *range(0xE0000, 0xE0200),
            sys.maxunicode,
        ),
    ):
        text = printable(f"a{character}b")
        assert text.isprintable()
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            assert character not in text
        assert printable(str(text)) == text
    assert printable("Ünïcode 表 🐘 \\x1b") == "Ünïcode 表 🐘 \\x1b"


def test_lines_stay_lines() -> None:
    assert printable_lines("a\n\x1bb\r\nc\u2028d") == "a\n\\x1bb\\r\nc\\u2028d"


@pytest.mark.parametrize("error", [DeclarationError, HostError, ConnectError, InventoryError])
def test_errors_that_pyinfra_prints(error: type[Exception]) -> None:
    clean(str(error(HOSTILE)))
    assert str(error(HOSTILE)).isprintable()


SPEAKS = frozenset(["echo", "secho", "print", "format_text", "log", "log_styled", "noop", "style"])
OF_PYINFRA = frozenset(["PyinfraError", "ConnectError", "InventoryError", "FactProcessError"])


def test_nothing_else_speaks() -> None:
    """One module prints; what pyinfra prints is made printable where it is raised or named."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        raised = OF_PYINFRA & set(re.findall(r"^from pyinfra.*?import (.*)", text, re.MULTILINE))
        for node in ast.walk(ast.parse(text)) if path.stem != "terminal" else ():
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in SPEAKS:
                    found.append((path.name, name))
                # What rich prints is captured.
                case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr=name)):
                    if name in SPEAKS and (of, name) != ("console", "print"):
                        found.append((path.name, name))
                case ast.Name(id="logger") | ast.Attribute(attr="logger"):
                    found.append((path.name, "a logger"))
                # What another process prints is read.
                case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"):
                    found.append((path.name, "a stream"))
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name in raised:
                    found.append((path.name, name))
    assert found == []


@pytest.fixture
def hostile(database: Database) -> Database:
    """A database that says hostile things wherever it can."""
    name, text = '"' + HOSTILE[:25].replace('"', "") + '"', "'" + HOSTILE + "'"
    database.psql(
        f"""
        CREATE TABLE {name} ({name} int CHECK ({name} > 0));
        COMMENT ON TABLE {name} IS {text};
        CREATE TABLE t (id int, note text);
        COMMENT ON TABLE t IS {text};
        COMMENT ON COLUMN t.note IS {text};
        INSERT INTO t VALUES (1, {text});
        CREATE INDEX {name} ON t (id) WHERE note <> {text};
        CREATE POLICY {name} ON t USING (note = {text});
        CREATE TYPE mood AS ENUM ({text.replace(HOSTILE, HOSTILE[:20])});
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $x$ SELECT {text}::text $x$;
        CREATE VIEW v AS SELECT note, {text} AS said FROM t;
        CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $x$ BEGIN
          RAISE EXCEPTION USING MESSAGE = {text}, DETAIL = {text}, HINT = {text}; END $x$;
        CREATE TRIGGER shout BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()
    """.replace("INDEX " + name, 'INDEX "i' + name[1:])
    )
    return database


def everything() -> None:
    with pg.transaction():
        pg.schema("public", exact=False)
        pg.table("t", [pg.Column("id", "int"), pg.Column("note", "text")], comment="new")
        pg.enum("mood", ["calm"])
        pg.function("f", returns="text", body="SELECT 'x'::text")
        pg.view("v", "SELECT note FROM t")


def test_plans(hostile: Database) -> None:
    text = clean(run(hostile, everything, dry=True, postgres_allow="mood"))
    assert "\\x1b[2J" in text
    assert "undeclared" in text


def test_messages_of_the_server(hostile: Database) -> None:
    for deploy in (
        lambda: pg.sql("UPDATE t SET id = 2"),
        lambda: pg.check("c", "UPDATE t SET id = 2 RETURNING id", []),
        lambda: pg.check("c", "SELECT note FROM t", []),
        lambda: pg.check(HOSTILE, "SELECT 1", [(2,)]),
        lambda: pg.sql(f"SELECT '{HOSTILE}'::int"),
        lambda: pg.table("t", [pg.Column("note", "int", using="note::int")]),
    ):
        assert "\\x1b[2J" in clean(run(hostile, deploy).refused())


def test_operations_name_themselves(hostile: Database) -> None:
    name = '"' + HOSTILE[:25] + '"'
    found = run(hostile, lambda: pg.table(name, present=False), postgres_allow="x").succeeded()
    assert "\\x1b[2J" in clean(found)
    assert "\\x1b[2J" in clean(run(hostile, lambda: pg.sql("SELECT 1", name=HOSTILE)))


@one_version
def test_who_holds_a_lock(hostile: Database) -> None:
    with hostile.connect() as other:
        other.execute(f"LOCK TABLE t IN SHARE MODE; SELECT 1 /* {HOSTILE} */")
        found = run(
            hostile,
            lambda: pg.table("t", [pg.Column("id", "int"), pg.Column("n2", "int")]),
            postgres_lock_timeout=100,
            postgres_lock_attempts=1,
        )
    assert "\\x1b[2J" in clean(found.refused())


@one_version
def test_a_report_and_loud_runs_through_psql(hostile: Database, project: Project) -> None:
    project.write("inventory.py", f'hosts = [("@local", {{"postgres_dsn": "{hostile.dsn}"}})]')
    project.deploy("""
        with pg.verification(report="reports"):
            pg.check("rows", "SELECT note FROM t", [], disclosed=True)
            pg.check("error", "UPDATE t SET id = 2 RETURNING id", [])
    """)
    report = project.run("inventory.py", "deploy.py", "-y", "-vvv", "--diff").failed()
    clean(unstyle(report.output))
    folder = project.path / "reports" / "inventory"
    for document in folder.iterdir():
        clean(document.read_text())
    assert "\\x1b[2J" in clean((folder / "local.html").read_text())
    fact = project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog", "-vvv")
    clean(unstyle(fact.succeeded().output))
    rows = project.run("inventory.py", "pyinfra_postgres.sql", "SELECT note, note AS n FROM t")
    assert "\\x1b[2J" in clean(unstyle(rows.succeeded().output))


def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_answers({HOSTILE: HostRows((HOSTILE,), ('["\\u202e\\u001b[2J\\r\\u2028"]',))})
    printed = capsys.readouterr().out
    clean(printed)
    assert "\\u202e\\x1b[2J\\r\\u2028" in printed
