from __future__ import annotations

import secrets

import pyinfra_postgres as pg
from harness import Database, one_version, process
from kinds.conftest import Deploy

DOMAIN = """
    SELECT format_type(typbasetype, typtypmod), typnotnull, typdefault, typowner::regrole,
           obj_description(t.oid, 'pg_type'),
           (SELECT string_agg(conname || ' ' || pg_get_constraintdef(c.oid), '; ' ORDER BY conname)
              FROM pg_constraint c WHERE contypid = t.oid AND contype = 'c')
      FROM pg_type t WHERE typname = 'd'"""


def test_a_domain_is_created_altered_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}")
    deploy.apply("pg.domain('d', 'varchar(9)', checks=\"value in ('a', 'b')\")")
    check = "d_check CHECK (((VALUE)::text = ANY ((ARRAY['a'::character varying, "
    found = database.rows(DOMAIN)[0]
    assert found[:5] == ("character varying(9)", "f", "", "postgres", "")
    assert found[5].startswith(check)
    database.psql("CREATE TABLE t (x d); INSERT INTO t VALUES ('a')")
    deploy.apply(
        f"""
        pg.domain(
            "d", "varchar(9)", nullable=False, default="'b'", owner="{owner}", comment="it's",
            checks=["value in ('a', 'b')", pg.Check("value <> 'x' -- why", name="no_x")])
        """
    )
    found = database.rows(DOMAIN)[0]
    assert found[1:5] == ("t", "'b'::character varying", owner, "it's")
    assert "no_x CHECK" in found[5]
    # A check of the same name is replaced; those that are not declared stay.
    deploy.apply(
        "pg.domain('d', 'varchar(9)', checks=[pg.Check(\"value <> 'y'\", name='no_x')], comment='')"
    )
    found = database.rows(DOMAIN)[0]
    assert found[1:5] == ("f", "", owner, "")
    assert found[5].startswith(check)
    assert "'y'" in found[5]
    assert database.psql("SELECT * FROM t") == "a"
    assert (
        "used by column x of table public.t"
        in deploy.run("pg.domain('d', present=False)").failed().output
    )
    database.psql("DROP TABLE t")
    deploy.apply("pg.domain('d', present=False)")
    assert database.rows(DOMAIN) == []


@one_version
def test_a_check_that_was_not_validated_is(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE DOMAIN d AS integer; ALTER DOMAIN d ADD CONSTRAINT k CHECK (VALUE > 0) "
                  "NOT VALID")  # fmt: skip
    with database.watch() as seen:
        deploy.apply("pg.domain('d', 'int', checks=pg.Check('value > 0', name='k'))")
    changes = [one for one in seen.statements if "ALTER DOMAIN" in one]
    assert len(changes) == 1
    assert "VALIDATE CONSTRAINT k" in changes[0]


@one_version
def test_what_a_domain_can_not_become_is_refused(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE DOMAIN d AS integer; CREATE TABLE t (x d); INSERT INTO t VALUES (1)")
    before = database.dump()
    for text, message in {
        "pg.domain('d', 'bigint')": "can't change the type under a domain",
        "pg.domain('e')": "declare its type",
        "pg.domain('e', 'text', checks='value > ')": "syntax error",
    }.items():
        assert message in deploy.run(text).failed().output
    assert database.dump() == before
    assert database.psql("SELECT * FROM t") == "1"


@one_version
def test_a_domains_check_is_validated_after_the_transaction(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE DOMAIN d AS integer CHECK (VALUE > 0) CONSTRAINT other CHECK (VALUE > -1);"
        "CREATE TABLE t (x d); INSERT INTO t VALUES (1)"
    )
    # A check without a name takes the place of the one that PostgreSQL has named.
    run = deploy.run("pg.domain('d', 'int', checks='value > 1')").failed()
    assert "does not hold for 1 row, in column x of public.t: correct that first" in run.output
    checks = (
        "SELECT conname, convalidated FROM pg_constraint WHERE contypid = 'd'::regtype "
        "ORDER BY conname"
    )
    assert database.rows(checks) == [("d_check", "t"), ("other", "t")]
    database.psql("UPDATE t SET x = 2")
    deploy.apply("pg.domain('d', 'int', checks='value > 1')")
    assert database.rows(checks) == [("d_check", "t"), ("other", "t")]


@one_version
def test_checks_of_two_operations_do_not_take_one_anothers_place(deploy: Deploy) -> None:
    deploy.apply(
        "with pg.transaction():\n"
        "    pg.domain('d', 'int', checks='value > 0')\n"
        "    pg.domain('d', 'int', checks='value < 9')\n"
    )


@one_version
def test_a_domain_comes_after_what_it_needs(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.objects([
            pg.Table("t", [pg.Column("x", "d"), pg.Column("y", "d[]")]),
            pg.Domain("d", "mood", checks="good(value)"),
            pg.Function("good", "a mood", returns="boolean", body="select a = 'ok'",
                        volatility="IMMUTABLE"),
            pg.Enum("mood", ["ok"]),
        ])
        """
    )


@one_version
def test_a_check_of_values_within_others_is_refused(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE DOMAIN d AS integer CHECK (VALUE > 0); CREATE TYPE pair AS (x d);"
        "CREATE DOMAIN many AS d[]; CREATE TABLE t (x d, y many, z pair); CREATE TABLE u (x d)"
    )
    before = database.dump()
    for text in "checks='value > 1'", "checks='value > 0', nullable=False":
        message = deploy.run(f"pg.domain('d', 'int', {text})").failed().output
        assert "y of public.t, z of public.t (an array" in message
        assert "x of public" not in message
    assert database.dump() == before
    # Nothing is read for less.
    deploy.apply(
        "pg.domain('d', 'int', default='2',"
        " checks=[pg.Check('value > 0'), pg.Constraint(name='other', present=False)])"
    )
    # A table that the run has taken away holds none.
    database.psql("ALTER TABLE t DROP y, DROP z; CREATE TABLE v (x d[])")
    deploy.apply(
        """
        with pg.transaction():
            pg.table("v", present=False)
            pg.domain("d", "int", checks="value > 1")
        """
    )


@one_version
def test_a_check_that_nobody_declares_is_told_and_goes_where_that_is_asked(
    database: Database,
) -> None:
    database.psql("""
        CREATE DOMAIN d AS text DEFAULT 'x' NOT NULL CONSTRAINT d_check CHECK (value <> '');
        ALTER DOMAIN d ADD CONSTRAINT extra CHECK (value <> 'z');
        ALTER DOMAIN d ADD CONSTRAINT more CHECK (value <> 'y');
        CREATE TABLE t (d d);
        INSERT INTO t VALUES ('a');
    """)

    def deploy(exact: bool, *names: str) -> None:
        checks = [pg.Check("value <> ''", name="d_check")]
        checks += [pg.Check("value <> 'y'", name=name) for name in names]
        with pg.transaction(exact=exact):
            pg.domain("d", "text", checks=checks[:1], default="'x'", nullable=False)
            pg.domain("d", "text", checks=checks, default="'x'", nullable=False)

    told = process.run(database, lambda: deploy(False), dry=True).succeeded().plan
    assert told.changes == []
    assert [one.title for one in told.undeclared] == [
        "constraint public.d.extra",
        "constraint public.d.more",
    ]
    process.run(database, lambda: deploy(True, "more")).succeeded()
    names = (
        "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint "
        "WHERE contype = 'c' AND contypid = 'd'::regtype"
    )
    assert database.psql(names) == "d_check more"
    again = process.run(database, lambda: deploy(True, "more"), dry=True).succeeded().plan
    assert (again.changes, again.undeclared) == ([], [])
