"""Procedures, and functions whose body PostgreSQL parses."""

from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy

FACTS = """
    SELECT prokind, pg_get_function_arguments(oid), prosecdef, proconfig, proowner::regrole,
           obj_description(oid, 'pg_proc'), proacl IS NULL FROM pg_proc WHERE proname = 'p'"""


def test_a_procedure_is_created_replaced_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}; CREATE TABLE t (id integer, name text)")
    arguments = "a integer, b text default upper('x')"
    deploy.apply(
        f"""
        pg.function("p", arguments={arguments!r}, kind="procedure",
                    body="begin atomic insert into t values (a, b); end")
        """
    )
    stored = "IN a integer, IN b text DEFAULT upper('x'::text)"
    assert database.rows(FACTS) == [("p", stored, "f", "", "postgres", "", "t")]
    database.psql("CALL p(1); REVOKE ALL ON PROCEDURE p FROM PUBLIC")
    oid = database.psql("SELECT oid FROM pg_proc WHERE proname = 'p'")
    deploy.apply(
        f"""
        pg.function("p", arguments={arguments!r}, kind="procedure", language="plpgsql",
                    body="BEGIN INSERT INTO t VALUES (a + 1, b); COMMIT; END", owner="{owner}",
                    comment="it's")
        """
    )
    assert database.rows(FACTS) == [("p", stored, "f", "", owner, "it's", "f")]
    assert database.psql("SELECT oid FROM pg_proc WHERE proname = 'p'") == oid
    database.psql(f"GRANT ALL ON t TO {owner}; CALL p(1)")
    assert database.psql("SELECT string_agg(id || name, ',' ORDER BY id) FROM t") == "1X,2X"
    deploy.apply("pg.function('p', arguments='a int, b text', kind='procedure', present=False)")
    assert database.rows(FACTS) == []


@one_version
def test_a_procedure_of_other_outputs_is_made_anew_and_keeps_who_may_call_it(
    deploy: Deploy,
) -> None:
    database, role = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role}; CREATE PROCEDURE p(a integer) LANGUAGE sql AS 'SELECT 1';"
        f"REVOKE ALL ON PROCEDURE p FROM PUBLIC; GRANT EXECUTE ON PROCEDURE p TO {role}"
    )
    before = database.psql("SELECT proacl FROM pg_proc WHERE proname = 'p'")
    deploy.apply(
        "pg.function('p', arguments='inout a integer', kind='procedure', body='select 2 as a')"
    )
    assert database.psql("CALL p(1)") == "2"
    assert database.psql("SELECT proacl FROM pg_proc WHERE proname = 'p'") == before


@one_version
def test_functions_and_procedures_are_two_kinds(deploy: Deploy) -> None:
    for text, message in {
        "pg.function('p', kind='aggregate', body='')": "one of function, procedure",
        "pg.function('p', kind='procedure', returns='integer', body='')": "has no returns",
        "pg.function('p', kind='procedure', volatility='STABLE', body='')": "has no volatility",
        "pg.function('p', kind='procedure')": "declare its body",
    }.items():
        assert message in deploy.run(text).failed().output


def test_a_parsed_body_takes_the_place_of_a_text_and_back(deploy: Deploy) -> None:
    database = deploy.database
    shown = "SELECT prosqlbody IS NOT NULL, f(1) FROM pg_proc WHERE proname = 'f'"
    given = "arguments='a integer', returns='integer'"
    for body, parsed, result in (
        ("select a + 1", "f", "2"),
        ("RETURN a + 2 -- why", "t", "3"),
        ("/* so */ begin atomic select 1; select a + 3; end", "t", "4"),
        ("select a + 4", "f", "5"),
    ):
        deploy.apply(f"pg.function('f', {given}, body={body!r})")
        assert database.psql(shown) == f"{parsed}|{result}"


@one_version
def test_a_parsed_body_with_an_argument_that_has_no_name(deploy: Deploy) -> None:
    deploy.apply(
        "pg.function('f', arguments='text, b text', returns='boolean', "
        "body=\"return $1 in (b, 'z')\")"
    )


@one_version
def test_a_parsed_body_comes_after_what_it_reads(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.objects([
            pg.Function("f", returns="bigint", body="return (select count(*) from v)"),
            pg.View("v", "select id from t"),
            pg.Table("t", [pg.Column("id", "integer")]),
        ])
        """
    )
