from __future__ import annotations

import secrets

from harness import one_version
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
    assert "uses depends on" in deploy.run("pg.view('v', present=False)").failed().output
    database.psql("DROP VIEW uses")
    deploy.apply("pg.view('v', present=False)")
    assert database.rows(VIEW) == []
    assert database.psql("SELECT count(*) FROM t") == "2"


@one_version
def test_what_a_view_can_not_become_is_refused_by_postgresql(deploy: Deploy) -> None:
    deploy.database.psql(f"{TABLE} CREATE VIEW v AS SELECT id, name FROM t")
    before = deploy.database.dump()
    output = deploy.run("pg.view('v', 'select name from t')").failed().output
    assert "42P16" in output or "cannot drop columns" in output
    assert deploy.database.dump() == before
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
    database.psql(f"{TABLE} CREATE ROLE {role}")
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
    database.psql(f"GRANT SELECT ON t TO {role}")
    deploy.apply("pg.materialized_view('m', 'select id, name from t')")
    assert database.psql("SELECT count(*) FROM m") == "2"
    assert database.rows(facts) == before
    database.psql("CREATE VIEW uses AS SELECT * FROM m")
    output = deploy.run("pg.materialized_view('m', 'select id from t')").failed().output
    assert "it is used by" in output
    assert "uses" in output
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
