"""Columns that get another type: what rows lose is told, and what depends on them stays."""

from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy

ALLOW = ("--data", "postgres_allow=public.t")
LOSSES = {
    "varchar(255)|varchar(3)|'abcd'": "lose the value of c in 1 row (abcd as abc)",
    "numeric(9,4)|numeric(9,2)|1.2345": "c in 1 row (1.2345 as 1.23)",
    "timestamptz|date|'2025-01-01 10:00+00'": "c in 1 row (2025-01-01 10:00:00+00 as 2025-01-01)",
    "timestamp(6)|timestamp(0)|'2025-01-01 10:00:00.4'": "c in 1 row (",
    "double precision|real|0.123456789": "c in 1 row (",
    "text|char(2)|'abc'": "c in 1 row (abc as ab)",
    "text|integer|'007'": "c in 1 row (007 as 7)",
    'json|jsonb|\'{"a":1,"a":2}\'': "",
    "bigint|integer|'3000000000'": "integer out of range",
    "text|integer|'seven'": "can't become integer: 'seven' (1)",
    "text|mood|'angry'": "can't become public.mood: 'angry' (1)",
    "text|checked|''": "can't become public.checked",
    "integer|uuid|1": "does not convert to uuid by itself",
}


@one_version
def test_what_rows_would_lose_is_told_before_anything_runs(
    deploy: Deploy, database: Database
) -> None:
    database.psql(
        "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN checked AS text CHECK (VALUE <> '')"
    )
    operations = ""
    for number, case in enumerate(LOSSES):
        before, after, value = case.split("|")
        database.psql(
            f"CREATE TABLE t{number} (c {before}); INSERT INTO t{number} VALUES ({value})"
        )
        operations += f"    pg.table('t{number}', [pg.Column('c', {after!r})])\n"
    dump = database.dump()
    allowed = ",".join(f"t{number}" for number, text in enumerate(LOSSES.values()) if not text)
    output = deploy.run(f"with pg.transaction():\n{operations}", "--data",
                        f"postgres_allow={allowed}").failed().output  # fmt: skip
    for number, message in enumerate(LOSSES.values()):
        told = [line for line in output.splitlines() if f"public.t{number}:" in line]
        assert message in " ".join(told), told
        assert bool(told) is bool(message)
    assert database.dump() == dump


@one_version
def test_one_message_says_all_that_a_change_needs_permission_for(database: Database) -> None:
    database.psql("CREATE TABLE t (c text, d integer); INSERT INTO t VALUES ('abcd', 1)")

    def refused(*columns: pg.Column) -> list[str]:
        messages = run(database, lambda: pg.table("t", columns), dry=True).refused().messages
        return [line for line in messages.splitlines() if "test_retyping.py line" in line]

    (cut,) = refused(pg.Column("c", "varchar(3)"))
    assert (
        "TYPE character varying(3) USING c::character varying(3) would rewrite the table, which "
        "nobody can read or write meanwhile, and would lose the value of c in 1 row (abcd as abc); "
        "to allow it, run with --data 'postgres_allow=public.t,public.t.c'" in cut
    )
    (gap,) = refused(pg.Column("d", "intt"))
    assert "needs type public.intt" in gap
    (named,) = refused(pg.Column("d", "integer", renamed_from="d"))
    assert "leave renamed_from out" in named


@one_version
def test_values_are_lost_by_another_type_only_by_their_columns_name(database: Database) -> None:
    database.psql(
        "CREATE TABLE t (c text, d text); INSERT INTO t VALUES ('abcd', 'ab'), ('a', 'b')"
    )

    def narrowed() -> None:
        pg.table("t", [pg.Column("c", "varchar(3)"), pg.Column("d", "varchar(1)")])

    def wanted(allowed: str) -> str:
        messages = run(database, narrowed, postgres_allow=allowed).refused().messages
        return messages.rpartition("postgres_allow=")[2].partition("'")[0]

    assert wanted("") == "public.t,public.t.c,public.t.d"
    assert wanted("t") == "public.t.c,public.t.d"
    assert wanted("t, t.d") == "public.t.c"
    assert wanted("t.c, t.d") == "public.t"
    assert database.psql("SELECT c, d FROM t") == "abcd|ab\na|b"
    run(database, narrowed, postgres_allow="t, t.c, t.d").succeeded()
    assert database.psql("SELECT c, d FROM t") == "abc|a\na|b"


@one_version
def test_a_row_that_comes_meanwhile_is_not_cut(deploy: Deploy, database: Database) -> None:
    database.psql("CREATE TABLE t (c text); INSERT INTO t VALUES ('ab')")
    text = """
        with pg.transaction():
            pg.sql("INSERT INTO t VALUES ('abcd')", unless="SELECT 1 FROM t WHERE c = 'abcd'")
            pg.table("t", [pg.Column("c", "varchar(3)")])
        """
    assert "column public.t.c has values by now that would be lost" in (
        deploy.run(text, *ALLOW).failed().output
    )
    assert database.psql("SELECT c FROM t") == "ab"


@one_version
def test_a_declared_expression_converts(deploy: Deploy, database: Database) -> None:
    database.psql(
        "CREATE TABLE t (c integer DEFAULT 0, d text, e text); INSERT INTO t VALUES (1, 'A', 'x')"
    )
    text = """
        pg.enum("mood", ["a", "b"])
        pg.table("t", [
            pg.Column("c", "timestamptz", using="to_timestamp(c)", default="now()"),
            pg.Column("d", "mood", using="lower(d)::mood"),
            pg.Column("e", "integer", using="NULLIF(e, 'x')::integer"),
        ])
        """
    output = deploy.run(text).failed().output
    assert "USING to_timestamp(c)" in output
    assert "the value of e in 1 row (x as NULL)" in output
    deploy.apply(text, "--data", "postgres_allow=t,t.e")
    assert database.psql("SET TimeZone = 'UTC'; SELECT t FROM t").endswith(
        '("1970-01-01 00:00:01+00",a,)'
    )
    bad = "pg.table('t', [pg.Column('d', 'integer', using='nope(d)')])"
    assert "nope" in deploy.run(bad, *ALLOW).failed().output


DEPENDING = """
    CREATE TABLE o (id integer PRIMARY KEY);
    CREATE TABLE t (id integer PRIMARY KEY REFERENCES o, n text DEFAULT 'x' CHECK (n <> 'y'),
                    CONSTRAINT k CHECK (id > 0));
    CREATE INDEX part ON t (n) WHERE id > 5;
    CREATE INDEX expr ON t ((id + 1));
    CREATE STATISTICS st ON id, n FROM t;
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON t USING (id > 0);
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER g BEFORE UPDATE OF id ON t FOR EACH ROW EXECUTE FUNCTION fired();
    CREATE VIEW v WITH (security_invoker = true) AS SELECT id, n FROM t WHERE id > 1;
    CREATE VIEW w AS SELECT max(id) AS id FROM v;
    GRANT SELECT ON v TO A_ROLE; GRANT SELECT ON w TO A_ROLE WITH GRANT OPTION;
    ALTER VIEW v OWNER TO A_ROLE;
    COMMENT ON VIEW w IS 'why';
    CREATE MATERIALIZED VIEW m AS SELECT id FROM w;
    CREATE INDEX mi ON m (id);
    CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(id) FROM v; END;
    REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
    CREATE TABLE part_of (id integer, n text) PARTITION BY RANGE (n);
    CREATE TABLE part_of_1 PARTITION OF part_of DEFAULT;
    CREATE VIEW of_part AS SELECT id FROM part_of_1;
    INSERT INTO o VALUES (1), (7); INSERT INTO t VALUES (1), (7); INSERT INTO part_of VALUES (1);
"""


def test_what_depends_on_a_column_is_as_it_was(deploy: Deploy, database: Database) -> None:
    role = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role}; {DEPENDING.replace('A_ROLE', role)}")
    dump = database.dump()
    deploy.apply(
        """
        with pg.transaction():
            pg.table("o", [pg.Column("id", "bigint")])
            pg.table("t", [pg.Column("id", "bigint"),
                           pg.Column("n", "varchar(10)", default="'x'")])
            pg.table("part_of", [pg.Column("id", "bigint")])
        """,
        "--data",
        "postgres_allow=public.t,public.o,public.part_of",
    )

    def alike(text: str) -> str:
        for one, other in (
            ("bigint", "integer"),
            ("n character varying(10) DEFAULT 'x'::character varying", "n text DEFAULT 'x'::text"),
            ("((n)::text <> 'y'::text)", "(n <> 'y'::text)"),
        ):
            text = text.replace(one, other)
        return text

    assert "id bigint" in database.dump()
    assert alike(database.dump()) == alike(dump)
    assert database.psql("SELECT id FROM m") == "7"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("CREATE TABLE t (c integer, d integer GENERATED ALWAYS AS (c + 1) STORED)", "d of table"),
        ("CREATE TABLE t (c integer) PARTITION BY RANGE (c)", "in the partition key"),
        ("CREATE TABLE t (c integer); CREATE TABLE u (t t)", "column t of table public.u"),
        ("CREATE TABLE t (c integer); CREATE VIEW v AS SELECT c + 1 AS d FROM t; "
         "CREATE VIEW w AS SELECT d FROM v", "view public.v (PostgreSQL would refuse it then: "),
        ("CREATE TABLE t (c integer); CREATE RULE r AS ON INSERT TO t WHERE NEW.c > 1 "
         "DO INSTEAD NOTHING", "rule r on table public.t"),
        ("CREATE TABLE t (c integer CHECK (c IN (1, 2)))",
         "(SQLSTATE 42883) in one of constraint t_c_check on table public.t"),
    ],
)  # fmt: skip
@one_version
def test_what_can_not_stay_as_it_is_is_named(deploy: Deploy, made: str, message: str) -> None:
    deploy.database.psql(made)
    dump = deploy.database.dump()
    run = deploy.run("pg.table('t', [pg.Column('c', 'text')])", *ALLOW).failed()
    assert message in run.output
    assert deploy.database.dump() == dump


@one_version
def test_a_check_that_is_declared_anew_changes_with_the_type(
    deploy: Deploy, database: Database
) -> None:
    database.psql(
        "CREATE TABLE t (c text CONSTRAINT k CHECK (c IN ('a', 'b')) DEFAULT 'a');"
        "INSERT INTO t VALUES ('b')"
    )
    deploy.apply(
        """
        with pg.transaction():
            pg.enum("mood", ["a", "b"])
            pg.table("t", [pg.Column("c", "mood", default="'a'")],
                     constraints=[pg.Check("c >= 'a'", name="k")])
        """,
        *ALLOW,
    )
    assert database.psql("SELECT c, pg_typeof(c) FROM t") == "b|mood"
    # A check of two columns holds when both have changed.
    database.psql("CREATE TABLE u (a text, b text, CHECK (a < b)); INSERT INTO u VALUES ('a', 'b')")
    deploy.apply(
        "pg.table('u', [pg.Column('a', 'mood'), pg.Column('b', 'mood')])",
        *("--data", "postgres_allow=public.u"),
    )
    assert database.psql("SELECT u FROM u") == "(a,b)"


@one_version
def test_what_the_run_has_use_a_column_before_is_named(deploy: Deploy, database: Database) -> None:
    database.psql("CREATE TABLE w (c integer, d integer); CREATE POLICY q ON w USING (d > 1)")
    before = database.dump()
    policy, column = "pg.policy('q', 'w', using='c > 1')", "pg.table('w', [pg.Column('c', 'text')])"
    said = deploy.run(f"with pg.transaction():\n    {policy}\n    {column}").failed().output
    assert "policy q on public.w: PostgreSQL would refuse it on what it stands on by then" in said
    assert database.dump() == before
    later = policy.replace("> 1", "<> 1::text")
    deploy.apply(f"with pg.transaction():\n    {column}\n    {later}")
