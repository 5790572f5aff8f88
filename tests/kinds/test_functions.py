from __future__ import annotations

import secrets

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy, outcomes

FACTS = """
    SELECT pg_get_function_arguments(oid), pg_get_function_result(oid), provolatile, proparallel,
           proisstrict, prosecdef, proleakproof, proconfig, proowner::regrole,
           obj_description(oid, 'pg_proc'), prosrc
      FROM pg_proc WHERE proname = 'f'"""


@one_version
def test_a_support_function_stays(database: Database) -> None:
    database.psql(
        "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE internal IMMUTABLE "
        "SUPPORT generate_series_int4_support AS 'int4abs'"
    )

    def deploy() -> None:
        pg.function(
            "f", arguments="integer", returns="integer", language="internal", body="int4abs"
        )

    run(database, deploy).succeeded()
    assert database.psql("SELECT provolatile, prosupport FROM pg_proc WHERE proname = 'f'") == (
        "v|generate_series_int4_support"
    )


def test_attributes_go_on_and_off(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}")
    deploy.apply("pg.function('f', returns='integer', body='SELECT 1')")
    plain = ("", "integer", "v", "u", "f", "f", "f", "", "postgres", "", "SELECT 1")
    assert database.rows(FACTS) == [plain]
    database.psql("CREATE TABLE t (a integer DEFAULT f())")  # It must stay the same function.
    deploy.apply(
        f"""
        pg.function(
            "f", returns="integer", body="SELECT 2 -- $function$", volatility="stable",
            parallel="safe", strict=True, security_definer=True, leakproof=True, owner="{owner}",
            comment="it's", settings={{
                "search_path": "pg_catalog, pg_temp", "work_mem": "8MB", "app.my_key": "it's"}})
        """
    )
    settings = '{"search_path=pg_catalog, pg_temp",work_mem=8MB,app.my_key=it\'s}'
    found = database.rows(FACTS)[0]
    assert found[:7] == ("", "integer", "s", "s", "t", "t", "t")
    assert sorted(found[7].strip("{}").split(",")) == sorted(settings.strip("{}").split(","))
    assert found[8:] == (owner, "it's", "SELECT 2 -- $function$")
    deploy.apply(
        "pg.function('f', returns='integer', body='SELECT 1', owner='postgres', comment='')"
    )
    assert database.rows(FACTS) == [plain]
    database.psql("DROP TABLE t")
    deploy.apply("pg.function('f', present=False)")
    assert database.rows(FACTS) == []


@one_version
def test_cost_and_rows_are_as_declared(deploy: Deploy) -> None:
    facts = "SELECT procost, prorows FROM pg_proc WHERE proname = 'f'"
    for numbers, expected in {
        "cost=100, rows=1000": "100|1000",
        "cost=5, rows=1234567": "5|1.234567e+06",
        "": "5|1.234567e+06",
        "cost=100, rows=1000.0": "100|1000",
    }.items():
        deploy.apply(
            f"""
            with pg.transaction():
                for _ in range(2):
                    pg.function("f", returns="SETOF integer", body="SELECT 1", {numbers})
            """
        )
        assert deploy.database.psql(facts) == expected


@one_version
def test_settings_as_people_write_them(deploy: Deploy) -> None:
    paths = [
        "",
        '""',
        "public",
        "public, pg_temp",
        '"$user", public',
        "'My Schema', public",
        '"My Schema",pg_catalog',
        "$user",
    ]
    lines = [
        f"    pg.function('f{n}', returns='void', body='SELECT 1', "
        f"settings={{'search_path': {path!r}}})\n"
        for n, path in enumerate(paths)
        if "'" not in path
    ]
    others = {
        "DateStyle": "ISO, DMY",
        "TimeZone": "UTC",
        "statement_timeout": 5000,
        "enable_seqscan": False,
        "work_mem": "64MB",
        "random_page_cost": 1.5,
    }
    lines.append(f"    pg.function('g', returns='void', body='SELECT 1', settings={others!r})\n")
    deploy.apply("with pg.transaction():\n" + "".join(lines))
    shown = deploy.database.psql(
        "SELECT string_agg(proconfig::text, ' ' ORDER BY proname) FROM pg_proc "
        "WHERE proname ~ '^f[0-9]'"
    )
    assert shown.count("search_path") == len(lines) - 1
    assert "My Schema" in shown


@one_version
def test_bodies_stay_as_they_are_written(deploy: Deploy) -> None:
    bodies = [
        "SELECT 'it''s $$ and $function$ and \\ and %s {} and -- a remark'::text -- end",
        "\n    SELECT 'größe'::text;\n\n",
        "SELECT '$function1$ $function$'::text",
    ]
    deploy.apply(
        "with pg.transaction():\n"
        + "".join(
            f"    pg.function('f{n}', returns='text', body={body!r})\n"
            for n, body in enumerate(bodies)
        )
    )
    for number, body in enumerate(bodies):
        found = deploy.database.rows(f"SELECT prosrc FROM pg_proc WHERE proname = 'f{number}'")
        assert found == [(body,)]


def test_arguments_and_results_of_every_form(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (id integer)")
    forms = [
        ("", "void"),
        ("a integer, b text", "SETOF integer"),
        ("integer, text", "text[]"),
        ("a mood, b mood[], c t", "SETOF t"),
        ("a integer, OUT b text, OUT c integer", None),
        ("INOUT a varchar(10)", None),
        ("VARIADIC a numeric[]", 'TABLE (x integer, "Y z" varchar(10))'),
        ("a timestamp, b timestamptz, c time, d bit(3), e char", "bigint"),
        ("a int4, b pg_catalog.int8, c float, d decimal(10, 2)", "public.mood"),
    ]
    lines = ""
    for number, (arguments, returns) in enumerate(forms):
        given = f"returns={returns!r}, " if returns else ""
        lines += (
            f"    pg.function('f{number}', arguments={arguments!r}, {given}language='plpgsql',"
            " body='BEGIN RETURN; END')\n"
            if returns is None or "SETOF" in returns or returns.startswith(("TABLE", "void"))
            else f"    pg.function('f{number}', arguments={arguments!r}, {given}"
            "language='plpgsql', body='BEGIN RETURN NULL; END')\n"
        )
    deploy.apply("with pg.transaction():\n" + lines)
    assert database.psql("SELECT count(*) FROM pg_proc WHERE proname ~ '^f[0-9]$'") == "9"
    assert (
        database.psql(
            "SELECT string_agg(pg_get_function_result(oid), ';' ORDER BY proname) "
            "FROM pg_proc WHERE proname IN ('f4', 'f5', 'f6')"
        )
        == 'record;character varying;TABLE(x integer, "Y z" character varying)'
    )
    lines = "".join(
        f"    pg.function('f{number}', arguments={arguments!r}, present=False)\n"
        for number, (arguments, _) in enumerate(forms)
    )
    deploy.apply("with pg.transaction():\n" + lines)
    assert database.psql("SELECT count(*) FROM pg_proc WHERE proname ~ '^f[0-9]$'") == "0"


@one_version
def test_overloads_are_told_apart(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql AS 'SELECT ''kept'''")
    deploy.apply("pg.function('f', arguments='a integer', returns='integer', body='SELECT 1')")
    assert database.psql("SELECT f(1), f('x'::text)") == "1|kept"
    deploy.apply("pg.function('f', arguments='integer', present=False)")
    assert database.psql("SELECT f('x'::text)") == "kept"


# name: (before, declared)
REPLACED = {
    "another return type": ("(a integer) RETURNS text", "'a integer', returns='integer'"),
    "another name": ("(a integer) RETURNS integer", "'b integer', returns='integer'"),
    "no name": ("(a integer) RETURNS integer", "'integer', returns='integer'"),
    "one more default": ("(a integer) RETURNS integer", "'a integer DEFAULT 1', returns='integer'"),
    "one default less": ("(a integer DEFAULT 1) RETURNS integer", "'a integer', returns='integer'"),
    "another default": ("(a integer = 1) RETURNS integer", "'a integer = 2', returns='integer'"),
    "other output": ("(OUT a integer) RETURNS integer", "'OUT b integer'"),
    "other columns": ("() RETURNS TABLE (a integer)", "'', returns='TABLE (b integer)'"),
    "another language": ("(a integer) RETURNS integer", "'a integer', returns='integer'"),
}


def test_a_function_is_replaced_and_keeps_what_it_had(deploy: Deploy) -> None:
    database, role = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role}; CREATE ROLE {role}_user")
    lines = ""
    for number, (before, declared) in enumerate(REPLACED.values()):
        one = "SELECT 1::text" if "text" in before else "SELECT 1"
        database.psql(
            f"CREATE FUNCTION f{number}{before} LANGUAGE sql AS '{one}';"
            f"ALTER ROUTINE f{number} OWNER TO {role};"
            f"COMMENT ON ROUTINE f{number} IS 'kept';"
            f"REVOKE ALL ON ROUTINE f{number} FROM PUBLIC;"
            f"GRANT EXECUTE ON ROUTINE f{number} TO {role}_user"
        )
        body = "SELECT 2 AS b" if number != 8 else "BEGIN RETURN 2; END"
        language = "sql" if number != 8 else "plpgsql"
        lines += (
            f"    pg.function('f{number}', arguments={declared}, body={body!r}, "
            f"language={language!r})\n"
        )
    run = deploy.apply("with pg.transaction():\n" + lines)
    changed = [name for name, outcome in outcomes(run).items() if outcome == "Success"]
    assert len([name for name in changed if name.startswith("function")]) == len(REPLACED)
    for number, name in enumerate(REPLACED):
        found = database.rows(
            "SELECT proowner::regrole, obj_description(oid, 'pg_proc'), proacl::text "
            f"FROM pg_proc WHERE proname = 'f{number}'"
        )
        assert found == [(role, "kept", f"{{{role}=X/{role},{role}_user=X/{role}}}")], name


@one_version
def test_a_function_of_another_result_is_made_anew_with_what_uses_it(
    deploy: Deploy, database: Database
) -> None:
    role = f"r_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role}; CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE sql AS "
        "'SELECT a'; COMMENT ON FUNCTION f IS 'kept'; REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION f TO pg_read_all_data WITH GRANT OPTION;"
        f"ALTER FUNCTION f OWNER TO {role};"
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
        "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO pg_monitor;"
        "CREATE TABLE t (id integer DEFAULT f(1)); CREATE POLICY p ON t USING (f(id) > 0);"
        "CREATE VIEW v AS SELECT f(id) AS f FROM t; GRANT SELECT ON v TO PUBLIC"
    )
    before = database.dump()
    deploy.apply(
        "pg.function('f', arguments='b integer', returns='bigint', body='SELECT b::bigint')"
    )
    changed = {"f(a integer)": "f(b integer)", "RETURNS integer": "RETURNS bigint",
               "SELECT a": "SELECT b::bigint"}  # fmt: skip
    for old, new in changed.items():
        before = before.replace(old, new)
    assert database.dump() == before
    assert database.psql("SELECT pg_typeof(f) FROM v") == ""
    database.psql("INSERT INTO t VALUES (1); ALTER TABLE t ADD CONSTRAINT k CHECK (f(id) > 0)")
    dump = database.dump()
    function = "pg.function('f', arguments='b integer', returns='integer', body='SELECT b')"
    block = "with pg.transaction():\n    pg.table('t', {})\n    " + function
    for text in (function, block.format("comment='other'")):
        assert "constraint k on table public.t" in deploy.run(text).failed().output
        assert database.dump() == dump
    deploy.apply(block.format("constraints=[pg.Constraint(name='k', present=False)]"))


def _in_plpgsql(name: str, body: str) -> pg.Function:
    return pg.Function(
        name, "x integer", returns="boolean", language="plpgsql", body=body, volatility="IMMUTABLE"
    )


@one_version
def test_what_a_body_in_plpgsql_calls_comes_first(database: Database) -> None:
    database.psql("CREATE TABLE t (x integer); INSERT INTO t VALUES (1)")

    def declared() -> None:
        calling = pg.Column("y", "boolean", generated="outer_one(x)")
        pg.objects(
            [
                _in_plpgsql("outer_one", "BEGIN RETURN public.inner_one(x); END"),
                pg.Table("t", [pg.Column("x", "integer"), calling]),
                _in_plpgsql("inner_one", "BEGIN RETURN x > 0; END"),
            ]
        )

    run(database, declared, postgres_allow="public.t").succeeded()
    assert database.psql("SELECT y FROM t") == "t"


@one_version
def test_bodies_in_plpgsql_may_call_each_other(database: Database) -> None:
    def declared() -> None:
        pg.objects(
            [
                _in_plpgsql("one", "BEGIN RETURN x > 9 OR two(x + 1); END"),
                _in_plpgsql("two", "BEGIN RETURN x > 9 OR one(x + 1); END"),
            ]
        )

    run(database, declared).succeeded()
    assert database.psql("SELECT one(1)") == "t"
