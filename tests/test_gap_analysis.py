"""The gap analysis: what needs what, and how what is blocked would fail in PostgreSQL's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.html import Page
from harness.process import run

Analysed = Callable[..., dict[str, Any]]
LANGUAGE = "plpgsql"
TRIED = "SET LOCAL lock_timeout = '10ms'"


@pytest.fixture
def analysed(tmp_path: Path) -> Analysed:
    """Verifies a database against a deploy: what is known of the host."""

    def verify(
        database: Database, deploy: Callable[[], object] | None = None, *, psql: bool = False
    ) -> dict[str, Any]:
        def verification() -> None:
            with pg.verification(report=str(tmp_path), deploy=deploy):
                pg.check("it is there", "SELECT 1", [(1,)])

        with database.untouched():
            run(database, verification, psql=psql).succeeded()
        (path,) = tmp_path.glob("*/report.json")
        for page in path.parent.glob("*.html"):
            Page.read(page)
        (host,) = json.loads(path.read_text())["hosts"]
        return dict(host)

    return verify


def edges(host: dict[str, Any], source: str) -> set[tuple[str, str, str]]:
    return {
        (one["target"], one["basis"], one["note"])
        for one in host["edges"]
        if one["source"] == source
    }


@one_version
def test_edges_say_from_where_they_are_known(database: Database, analysed: Analysed) -> None:
    role = f"reader_{database.name}"
    database.psql(
        f"""CREATE ROLE {role}; CREATE SCHEMA app; CREATE TABLE app.log (n int);
           CREATE FUNCTION app.me() RETURNS int LANGUAGE sql AS 'SELECT max(n) FROM app.log';
           CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT app.me(); END;
           CREATE TABLE t (n int CHECK (n > app.me()), m int DEFAULT app.me());
           CREATE VIEW v AS SELECT app.me();
           CREATE FUNCTION several(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
           CREATE FUNCTION several(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
           CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SET search_path = app, pg_temp AS $$
             DECLARE old_row public.t%ROWTYPE; BEGIN
               old_row.n := lower('a'); INSERT INTO log SELECT public.several(1) FROM moved;
               DELETE FROM gone;
               EXECUTE 'DROP TABLE ' || TG_TABLE_NAME;
               RETURN NEW; END $$;
           CREATE TRIGGER ta AFTER INSERT ON t REFERENCING NEW TABLE AS moved
             FOR EACH STATEMENT EXECUTE FUNCTION f();
           CREATE POLICY p ON t TO {role} USING (n = app.me());
           CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
           UPDATE pg_proc SET prosrc = 'BEGIN a.b := 1; END' WHERE proname = 'broken'"""
    )
    host = analysed(database)
    function, known = ("function app.me()", "known", ""), "known"
    assert edges(host, "trigger ta on public.t") == {
        ("function public.f()", known, ""),
        ("table public.t", known, ""),
    }
    assert edges(host, "policy p on public.t") == {
        function,
        ("table public.t", known, ""),
        (f"role {role}", known, ""),
    }
    assert edges(host, "view public.v") == edges(host, "default of public.t.m") == {function}
    assert edges(host, "function public.atomic()") == {function}
    assert edges(host, "constraint t_n_check on public.t") == {function}
    assert edges(host, "function app.me()") == {("table app.log", "parsed", "")}
    assert edges(host, "function public.f()") == {
        ("table app.log", "parsed", ""),
        ("table public.t", "parsed", ""),
        ("function public.several()", "parsed", "one of 2 of that name"),
        ("table public.gone", "parsed", "not there"),
        ("", "unknown", "EXECUTE in line 5 of its body"),
    }
    assert edges(host, "function public.broken()") == {
        ("", "unknown", "its body can't be read without the database")
    }


def shop(role: str) -> Callable[[], None]:
    def deploy() -> None:
        pg.schema("shop")
        pg.enum("shop.state", ["new", "paid"])
        pg.table("shop.orders", [pg.Column("state", "shop.state", default="'new'")])
        pg.function(
            "shop.touch",
            returns="trigger",
            language=LANGUAGE,
            body="BEGIN INSERT INTO shop.orders DEFAULT VALUES; EXECUTE NEW.a; RETURN NEW; END",
        )
        pg.table("kept", [pg.Column("a", "text")])
        pg.trigger("touched", "kept", when="BEFORE INSERT", function="shop.touch()")
        pg.index("orders_state", "shop.orders", ["state"])
        pg.role(role)
        pg.policy("p", "kept", roles=role, using="true")
        pg.grant("USAGE", on="SCHEMA shop", to=role)
        pg.grant("SELECT", on="TABLE shop.orders", to=role)

    return deploy


@one_version
@pytest.mark.parametrize("psql", [False, True], ids=["psycopg", "psql"])
def test_what_is_blocked_fails_in_the_words_of_the_server(
    database: Database, analysed: Analysed, psql: bool
) -> None:
    database.psql("CREATE TABLE kept (a text); INSERT INTO kept VALUES ('x')")
    role = f"reader_{database.name}"
    host = analysed(database, shop(role), psql=psql)
    found = {one["title"]: (one["sqlstate"], one["message"]) for one in host["attempts"]}
    no_schema = ("3F000", 'schema "shop" does not exist')
    no_role = ("42704", f'role "{role}" does not exist')
    assert found == {
        "enum shop.state": no_schema,
        "table shop.orders": no_schema,
        "function shop.touch()": no_schema,
        "trigger touched on public.kept": no_schema,
        "index shop.orders_state": no_schema,
        "policy p on public.kept": no_role,
        f"grant on SCHEMA shop to {role}": no_schema,
        f"grant on TABLE shop.orders to {role}": no_schema,
    }
    blocked = {one["title"] for one in host["declared"] if one["status"] == "BLOCKED"}
    assert found.keys() == blocked
    for one in host["attempts"]:
        path, _, line = one["place"].partition(" line ")
        assert Path(path).name == Path(__file__).name
        assert one["title"].split()[0] in Path(__file__).read_text().splitlines()[int(line) - 1]
    assert edges(host, "function shop.touch()") == {
        ("table shop.orders", "parsed", "not there yet: the deploy makes it"),
        ("", "unknown", "EXECUTE in line 1 of its body"),
    }


@one_version
def test_nobody_waits_for_what_is_tried(database: Database, analysed: Analysed) -> None:
    database.psql("CREATE TABLE kept (a text)")
    role = f"reader_{database.name}"
    with database.watch() as seen, database.holding("INSERT INTO kept VALUES ('x')"):
        host = analysed(database, shop(role))
    found = {one["title"] for one in host["attempts"]}
    # What another session's lock stands against is left out, and the rest is not.
    assert "enum shop.state" in found
    assert "policy p on public.kept" in found  # The role is looked for before the table is locked.
    assert "trigger touched on public.kept" not in found
    assert any(TRIED in one for one in seen.statements)
    assert database.psql("SELECT count(*) FROM pg_locks WHERE relation = 'kept'::regclass") == "0"


@one_version
def test_rows_are_not_read_and_no_code_runs(database: Database, analysed: Analysed) -> None:
    database.psql(
        """CREATE TABLE kept (a int); INSERT INTO kept VALUES (1);
           CREATE FUNCTION noisy(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
             $$BEGIN RAISE EXCEPTION 'canary'; END$$"""
    )

    def deploy() -> None:
        pg.schema("s")
        pg.index("i", "kept", ["noisy(a)"], where="a > s.most()")
        pg.function("s.most", returns="int", volatility="IMMUTABLE", body="SELECT 1")
        pg.rows("s.t", [{"a": 1}], key="a")
        pg.table("s.t", [pg.Column("a", "int", primary_key=True)])

    with database.watch() as seen:
        host = analysed(database, deploy)
    assert "canary" not in json.dumps([host["attempts"], host["edges"]])
    (tried,) = [one for one in seen.statements if TRIED in one]
    assert "INSERT" not in tried
    assert "noisy" not in tried
    assert {one["title"] for one in host["attempts"]} >= {"function s.most()", "table s.t"}


@one_version
def test_a_grant_needs_usage_of_the_schema(database: Database, analysed: Analysed) -> None:
    role = f"reader_{database.name}"
    database.psql(f"CREATE ROLE {role}; CREATE SCHEMA shop; CREATE TABLE shop.t (a int)")

    def deploy() -> None:
        pg.grant("SELECT", on="TABLE shop.t", to=role)
        pg.grant("USAGE", on="SCHEMA shop", to=role)

    statuses = {
        one["title"]: (one["status"], one["roots"])
        for one in analysed(database, deploy)["declared"]
    }
    usage = f"grant on SCHEMA shop to {role}"
    assert statuses == {
        f"grant on TABLE shop.t to {role}": ("BLOCKED", [usage]),
        usage: ("FAIL", []),
    }
    database.psql(f"GRANT USAGE ON SCHEMA shop TO {role}")
    assert {one["status"] for one in analysed(database, deploy)["declared"]} == {"FAIL", "PASS"}
