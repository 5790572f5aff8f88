"""What a body in PL/pgSQL names, and what it makes only when it runs."""

from __future__ import annotations

import pytest

from pyinfra_postgres.syntax import plpgsql
from pyinfra_postgres.syntax.libpg_query import ParseError

HEAD = "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $body$"


def named(code: str) -> tuple[set[str], list[int]]:
    body = plpgsql.body(f"{HEAD}{code}$body$", {"app", "App"}, ["fresh"])
    return {str(one) for one in body.references}, body.dynamic


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("BEGIN NEW.n := app.one(1); RETURN NEW; END", {"function app.one()"}),
        ("BEGIN NEW.n = count(*) FROM app.t; END", {"function count()", "table app.t"}),
        ("BEGIN PERFORM g(); CALL app.p(1); END", {"function g()", "function app.p()"}),
        ("BEGIN INSERT INTO log SELECT FROM app.t; END", {"table public.log", "table app.t"}),
        ("BEGIN UPDATE t SET a = 'x'::app.mood; END", {"table public.t", "type app.mood"}),
        ("BEGIN IF EXISTS (SELECT FROM t) THEN DELETE FROM u; END IF; END", {*"tu"}),
        ("DECLARE r record; BEGIN FOR r IN TABLE t LOOP NULL; END LOOP; END", {*"t"}),
        ("DECLARE c CURSOR FOR SELECT FROM t; BEGIN OPEN c; END", {*"t"}),
        ("DECLARE n int := app.start(); BEGIN END", {"function app.start()"}),
        ("DECLARE r app.t%ROWTYPE; BEGIN r.n := 1; END", {"table app.t"}),
        ('DECLARE n "App"."T".n%TYPE; m t.n%TYPE; BEGIN END', {'table "App"."T"', *"t"}),
        ("DECLARE n CONSTANT app.mood := 'x'; BEGIN END", {"type app.mood"}),
        ("BEGIN CREATE TEMP TABLE x (a int); INSERT INTO x SELECT FROM fresh, t; END", {*"t"}),
        ("BEGIN EXECUTE 'DELETE FROM t'; END", {*"t"}),
        ("BEGIN NULL; END", set()),
    ],
)
def test_what_a_body_names(code: str, expected: set[str]) -> None:
    found = {f"table public.{one}" if len(one) == 1 else one for one in expected}
    assert named(code) == (found, [])


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("\nBEGIN\nEXECUTE format('DELETE FROM %I', app.one());\nEND", [3]),
        ("DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT ' || g() LOOP END LOOP; END", [1]),
        ("DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'a' || 'b'; END", [1]),
    ],
)
def test_sql_that_is_put_together_is_unknown(code: str, lines: list[int]) -> None:
    assert named(code)[1] == lines


def test_what_makes_it_is_named() -> None:
    assert named("BEGIN EXECUTE app.one('x'); END") == ({"function app.one()"}, [1])


def test_what_is_no_body_is_an_error() -> None:
    with pytest.raises(ParseError):
        named("BEGIN x.y := 1; END")
