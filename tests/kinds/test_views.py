from __future__ import annotations

import secrets

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy

VIEW = """
    SELECT pg_get_viewdef(c.oid), c.reloptions, c.relowner::regrole,
           obj_description(c.oid, 'pg_class') FROM pg_class c WHERE relname = 'v'"""
TABLE = "CREATE TABLE t (id integer, name text); INSERT INTO t VALUES (1, 'a'), (2, 'b');"


def test_a_view_is_created_replaced_in_place_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"{TABLE} CREATE ROLE {owner}; GRANT SELECT ON t TO {owner}")
    deploy.apply("pg.view('v', 'select id from t where id in (1, 3)')")
    database.psql("CREATE VIEW uses AS SELECT * FROM v; GRANT SELECT ON v TO PUBLIC")
    oid = database.psql("SELECT 'v'::regclass::oid")
    deploy.apply(
        f"""
        pg.view("v", "select id, name from t where id = 2 -- it's", owner="{owner}", comment="it's",
                security_invoker=True, security_barrier=True, check_option="LOCAL")
        """
    )
    definition, options, *rest = database.rows(VIEW)[0]
    assert "t.name" in definition or "name" in definition
    expected = {"security_invoker=true", "security_barrier=true", "check_option=local"}
    assert set(options.strip("{}").split(",")) == expected
    assert rest == [owner, "it's"]
    assert database.psql("SELECT 'v'::regclass::oid, (SELECT id FROM uses)") == f"{oid}|2"
    assert "=r/" in database.psql("SELECT relacl FROM pg_class WHERE relname = 'v'")
    # What is not declared stays, what is declared goes.
    deploy.apply("pg.view('v', security_invoker=False, comment='')")
    assert set(database.rows(VIEW)[0][1].strip("{}").split(",")) == expected - {
        "security_invoker=true"
    }
    deploy.apply("pg.view('v', security_barrier=False, check_option='none')")
    assert database.rows(VIEW)[0][1:] == ("", owner, "")
    assert (
        "it is used by view public.uses"
        in deploy.run("pg.view('v', present=False)").failed().output
    )
    database.psql("DROP VIEW uses")
    deploy.apply("pg.view('v', present=False)")
    assert database.rows(VIEW) == []
    assert database.psql("SELECT count(*) FROM t") == "2"


@one_version
def test_options_stay_however_they_were_written(database: Database) -> None:
    database.psql(
        f"{TABLE} CREATE VIEW v WITH (security_invoker = 1, security_barrier = yes) "
        "AS SELECT id FROM t"
    )

    def deploy() -> None:
        pg.view("v", "SELECT id, name FROM t")

    run(database, deploy).succeeded()
    options = database.rows(VIEW)[0][1].strip("{}").split(",")
    assert set(options) == {"security_invoker=true", "security_barrier=true"}


@one_version
def test_what_is_no_view_is_refused(deploy: Deploy) -> None:
    for text, message in {
        "pg.view('w')": "declare its query",
        "pg.view('w', 'delete from t')": "must be one SELECT",
        "pg.view('w', 'select 1; select 2')": "expected one SQL statement",
        "pg.view('w', 'select 1 into x')": "must be one SELECT",
        "pg.view('w', 'select 1', check_option='all')": "check_option is",
    }.items():
        assert message in deploy.run(text).failed().output


def test_a_materialized_view_is_made_anew_with_all_that_it_had(deploy: Deploy) -> None:
    database, role = deploy.database, f"r_{secrets.token_hex(3)}"
    # It is filled as its owner.
    database.psql(f"{TABLE} CREATE ROLE {role}; GRANT SELECT ON t TO {role}")
    deploy.apply(
        f"""
        with pg.transaction():
            pg.materialized_view("m", "select id, name from t where name in ('a', 'x')",
                                 comment="it's", owner="{role}")
            pg.index("m_id", "m", ["id"], unique=True, comment="kept",
                     parameters={{"fillfactor": 70}})
            pg.grant(["SELECT"], on="TABLE m", to="PUBLIC")
        """.replace("pg.materialized_view(", "pg.materialized_view(", 1)
    )
    assert database.psql("SELECT * FROM m") == "1|a"
    facts = """
        SELECT c.relowner::regrole, obj_description(c.oid, 'pg_class'), relacl,
               pg_get_indexdef('m_id'::regclass), obj_description('m_id'::regclass, 'pg_class')
          FROM pg_class c WHERE relname = 'm'"""
    before = database.rows(facts)
    assert "fillfactor='70'" in before[0][3]
    deploy.apply("pg.materialized_view('m', 'select id, name from t')")
    assert database.psql("SELECT count(*) FROM m") == "2"
    assert database.rows(facts) == before
    database.psql("CREATE VIEW uses AS SELECT name FROM m; GRANT SELECT ON uses TO PUBLIC")
    output = deploy.run("pg.materialized_view('m', 'select id from t')").failed().output
    assert "view public.uses (it uses its column name, which goes)" in output
    deploy.apply("pg.materialized_view('m', 'select name, id, 1 AS n from t where id = 1')")
    assert database.psql("SELECT name FROM uses") == "a"
    assert "=r/" in database.psql("SELECT relacl FROM pg_class WHERE relname = 'uses'")
    assert database.rows(facts) == before
    database.psql("DROP VIEW uses")
    deploy.apply("pg.materialized_view('m', present=False)")
    assert database.psql("SELECT to_regclass('m'), count(*) FROM t") == "|2"


@one_version
def test_views_come_after_what_they_read(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.objects([
            pg.View("b", "select id from a where even(id)"),
            pg.MaterializedView("c", "select id from b"),
            pg.View("a", "select id from t"),
            pg.Function("even", "a integer", returns="boolean", body="select a % 2 = 0"),
            pg.Table("t", [pg.Column("id", "integer")]),
        ])
        """
    )
    assert deploy.database.psql("SELECT count(*) FROM c") == "0"


@one_version
def test_a_view_of_other_columns_is_made_anew_with_what_uses_it(
    deploy: Deploy, database: Database
) -> None:
    role = f"r_{secrets.token_hex(3)}"
    database.psql(
        f"{TABLE} CREATE ROLE {role}; CREATE VIEW v AS SELECT id, name, 1 AS one FROM t;"
        "COMMENT ON COLUMN v.name IS 'kept'; COMMENT ON COLUMN v.one IS 'gone';"
        f"GRANT UPDATE (name), SELECT (name) ON v TO {role}; GRANT SELECT (one) ON v TO {role};"
        f"GRANT SELECT ON v TO {role}; GRANT SELECT ON t TO {role};"
        "REVOKE INSERT, UPDATE ON v FROM CURRENT_USER; GRANT UPDATE (name) ON v TO CURRENT_USER;"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER g INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE VIEW uses AS SELECT id, name FROM v; COMMENT ON VIEW uses IS 'kept';"
        "CREATE FUNCTION n() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM uses)"
    )
    before = database.dump()
    text = "pg.view('v', 'select name, id::bigint AS id from t where id > 1')"
    deploy.apply(text)
    after = database.dump()
    assert database.psql("SELECT id, name, n() FROM uses") == "2|b|1"
    lost = [line for line in before.splitlines() if line not in after.splitlines()]
    assert [line for line in lost if line.strip() and not line.startswith("--")] == [
        "    name,",
        "    1 AS one",
        "   FROM public.t;",
        "COMMENT ON COLUMN public.v.one IS 'gone';",
        f"GRANT SELECT(one) ON TABLE public.v TO {role};",
    ]
    # What uses a column that goes is told before anything runs.
    run = deploy.run("pg.view('v', 'select id from t')").failed()
    assert "view public.uses" in run.output
    assert "it uses its column name, which goes" in run.output
    assert database.dump() == after


@one_version
def test_a_view_may_read_a_column_that_the_same_run_adds(
    deploy: Deploy, database: Database
) -> None:
    database.psql(f"{TABLE} CREATE VIEW v AS SELECT id, name FROM t; CREATE VIEW w AS TABLE v")
    deploy.apply(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("more", "integer", default="7")])
            pg.view("v", "select id, more, name from t")
        """
    )
    assert database.psql("SELECT * FROM v WHERE id = 1") == "1|7|a"
    assert database.psql("SELECT * FROM w WHERE id = 1") == "1|a"


@one_version
def test_what_is_used_is_not_removed_and_its_users_are_named(
    deploy: Deploy, database: Database
) -> None:
    database.psql(
        "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE job (id integer PRIMARY KEY, mood mood);"
        "CREATE TABLE step (job integer REFERENCES job); CREATE TABLE empty (id integer CHECK"
        " (id > 0)); CREATE VIEW v AS SELECT * FROM job; CREATE FUNCTION f(job) RETURNS integer"
        " LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION g() RETURNS integer LANGUAGE sql IMMUTABLE"
        " AS 'SELECT 1'; CREATE TABLE u (n integer DEFAULT g())"
    )
    dump = database.dump()
    told = (
        deploy.run(
            """
        with pg.transaction():
            pg.table("empty", present=False)
            pg.enum("mood", present=False)
            pg.table("job", present=False)
            pg.function("g", present=False)
        """
        )
        .failed()
        .output
    )
    for message in (
        "table public.job: it is used by",
        "function public.f(public.job)",
        "constraint step_job_fkey on table public.step",
        "view public.v",
        "function public.g(): it is used by default value for column n of table public.u",
    ):
        assert message in told, message
    assert "public.empty:" not in told
    assert database.dump() == dump
