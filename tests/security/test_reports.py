"""What rows, defaults, bodies and messages hold, and what is secret, is in no document."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, PasswordRole, one_version
from harness.html import Page
from harness.process import run

CANARY = "c4nary"
HOSTILE = '</script>|`\n"\u202e\x1b[2J{{ 7 * 7 }}'


def hidden(text: str) -> Any:
    return HiddenValue(text)


@pytest.fixture
def role(database: Database) -> PasswordRole:
    """A role with a password that nobody may see, who owns the database."""
    role = PasswordRole(f"pw_{secrets.token_hex(3)}", f"{CANARY}word")
    database.psql(
        f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}' IN ROLE password_users;"
        f"ALTER DATABASE {database.name} OWNER TO {role.name};"
        f"ALTER SCHEMA public OWNER TO {role.name}"
    )
    return role


def deploy() -> None:
    pg.table(
        "kept",
        [pg.Column("n", "int", using="note::int"), pg.Column("note", "text", default="'other'")],
        constraints=[pg.Unique("note"), pg.Check("length(note) < 3")],
    )
    pg.function("f", returns="int", body=hidden(f"SELECT length('{CANARY}')"))
    pg.sql(hidden(f"SELECT '{CANARY}'"))
    pg.rows("t.later", [{"note": hidden(CANARY)}], key="note")
    pg.view("t.v", hidden(f"SELECT '{CANARY}' AS said"))
    pg.policy("p", "t.later", using=hidden(f"note = '{CANARY}'"))
    pg.table("t.later", [pg.Column("note", "text", primary_key=True)])
    pg.schema("t")


@one_version
def test_no_document_has_what_is_nobodys_business(
    database: Database, role: PasswordRole, tmp_path: Path
) -> None:
    database.psql(
        f"""SET ROLE {role.name};
            CREATE TABLE kept (note text DEFAULT '{CANARY}d', n text DEFAULT '{CANARY}n');
            INSERT INTO kept VALUES ('{CANARY}r', '{CANARY}i'), ('{CANARY}r', '{CANARY}j');
            CREATE TABLE parts (note text, at date) PARTITION BY LIST (note);
            CREATE TABLE part PARTITION OF parts FOR VALUES IN ('{CANARY}p');
            CREATE TABLE rest PARTITION OF parts DEFAULT; INSERT INTO parts VALUES ('{CANARY}q');
            CREATE FUNCTION body() RETURNS trigger LANGUAGE plpgsql AS
              $$BEGIN EXECUTE 'SELECT ''{CANARY}''' || NEW.note; PERFORM '{CANARY}b'; END$$;
            CREATE TRIGGER t BEFORE INSERT ON kept FOR EACH ROW WHEN (NEW.note = '{CANARY}w')
              EXECUTE FUNCTION body();
            ALTER TABLE kept DISABLE TRIGGER t;
            CREATE POLICY p ON kept USING (note = '{CANARY}o');
            CREATE FUNCTION definer() RETURNS text LANGUAGE sql SECURITY DEFINER
              AS $$SELECT '{CANARY}s'$$"""
    )

    def verify() -> None:
        with pg.verification(report=str(tmp_path), deploy=deploy):
            pg.check("rows", "SELECT note FROM kept", [("x",)])
            pg.check("a message", "SELECT note::int FROM kept", [])
            pg.check("hidden", hidden(f"SELECT '{CANARY}'::int"), [])
            pg.check("a detail", "INSERT INTO part VALUES (1) RETURNING 1", [])

    run(database, verify, postgres_dsn=role.dsn(database), postgres_allow="kept").refused()
    (folder,) = tmp_path.iterdir()
    (host,) = json.loads((folder / "report.json").read_text())["hosts"]
    found = {one["rule"] for one in host["findings"]}
    assert found >= {"rows-in-default-partition", "disabled-trigger", "definer-without-search-path"}
    assert host["edges"]
    assert {one["title"] for one in host["attempts"]} == {"table t.later"}
    assert {path.suffix for path in folder.iterdir()} == {".html", ".md", ".json", ".xml", ".sarif"}
    assert [path.name for path in folder.iterdir() if CANARY in path.read_text()] == []


@one_version
def test_no_name_breaks_a_document(database: Database, tmp_path: Path) -> None:
    name = HOSTILE.replace('"', '""')
    database.psql(
        f"""CREATE SCHEMA "{name}"; SET search_path = "{name}";
            CREATE TABLE "{name}" (a int PRIMARY KEY, "{name}" int REFERENCES "{name}");
            COMMENT ON TABLE "{name}" IS '{HOSTILE}';
            CREATE TABLE "p{name}" (at date) PARTITION BY RANGE (at);
            CREATE TABLE "q{name}" PARTITION OF "p{name}"
              FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
            CREATE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
              $$BEGIN DELETE FROM "{name}"."{name}"; EXECUTE NEW.a; RETURN NEW; END$$;
            CREATE TRIGGER "{name}" BEFORE INSERT ON "{name}" FOR EACH ROW
              EXECUTE FUNCTION "{name}"();
            ALTER TABLE "{name}" DISABLE TRIGGER "{name}";
            CREATE POLICY "{name}" ON "{name}" USING (true)"""
    )

    def deploy() -> None:
        pg.schema(f'"{name}x"')
        pg.table(f'"{name}x"."{name}"', [pg.Column(f'"{name}"', "int")], comment=HOSTILE)

    def verify() -> None:
        with pg.verification(HOSTILE, report=str(tmp_path), deploy=deploy):
            pg.check(HOSTILE, "SELECT 1", [(1,)])

    run(database, verify)
    (folder,) = tmp_path.iterdir()
    for page in folder.glob("*.html"):
        assert "\u202e" not in page.read_text()
        Page.read(page)
    (host,) = json.loads((folder / "report.json").read_text())["hosts"]
    assert len(host["edges"]) >= 4
    assert {one["rule"] for one in host["findings"]} >= {"disabled-trigger", "partitions-run-out"}
    assert len(host["attempts"]) == 1
    text = (folder / "report.md").read_text()
    assert all(one.isprintable() or one == "\n" for one in text)
    # In a block of code it is code.
    assert "</script>" not in re.sub(r"^(```+).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
