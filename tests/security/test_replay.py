"""What is made anew from the server's own text is what it was, or the transaction is undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

from .conftest import Trap

# Everything that is made anew calls functions and operators of PostgreSQL's own on text.
USED = """
    CREATE TYPE state AS ENUM ('new', 'done');
    CREATE TABLE t (id integer, a text, b text, s state DEFAULT 'new', v varchar(10));
    INSERT INTO t VALUES (1, 'a', 'b', 'done', 'x');
    CREATE DOMAIN d AS state DEFAULT 'new' CHECK (concat(VALUE::text, ''::text) <> 'x');
    CREATE VIEW view AS SELECT concat(a, b) AS ab, upper(a) || b AS up, s, v, id FROM t;
    CREATE VIEW on_view AS SELECT concat(ab, up) AS pair, s FROM view WHERE v <> lower(ab);
    CREATE FUNCTION f(s state, x text DEFAULT concat('a'::text, 'b'::text)) RETURNS text
      LANGUAGE sql AS 'SELECT a FROM t';
    CREATE FUNCTION atomic(s state) RETURNS text LANGUAGE sql
      BEGIN ATOMIC SELECT concat(a, b) FROM t; END;
    CREATE POLICY p ON t USING (concat(a, b) <> '' AND s = 'done' AND v <> 'y');
    CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW
      WHEN (concat(NEW.a, NEW.b) <> '' AND NEW.s = 'done' AND NEW.v <> 'y') EXECUTE FUNCTION g();
    ALTER TABLE t ADD CONSTRAINT k CHECK (upper(a) <> b AND s <> 'new' AND v <> 'y');
    CREATE INDEX i ON t (upper(a), (s = 'done'), v) WHERE upper(a) <> b AND v <> 'y';
"""
# What a role with CREATE on `public` puts there fits each of these calls exactly.
OVERLOADS = {
    "concat(text, text)": "text",
    "upper(text)": "text",
    "lower(text)": "text",
    "textcat(text, text)": "text",
}


@pytest.fixture
def creator(database: Database, stranger: str) -> str:
    """A role with CREATE on `public`."""
    database.psql(f"GRANT CREATE ON SCHEMA public TO {stranger}")
    return stranger


ANEW: dict[str, Callable[[], object]] = {
    "an enum": lambda: pg.enum("state", ["done", "new"], exact=True),
    "a type": lambda: pg.table("t", [pg.Column("v", "text")]),
    "a view": lambda: pg.view(
        "view",
        "SELECT pg_catalog.concat(a, b) AS ab, pg_catalog.upper(a) OPERATOR(pg_catalog.||) b AS up,"
        " s, v, id::bigint AS id FROM t",
    ),
}


@pytest.mark.parametrize("what", ANEW)
def test_it_comes_back_as_it_was(database: Database, creator: str, trap: Trap, what: str) -> None:
    database.psql(USED)
    for signature, returns in OVERLOADS.items():
        trap.function(f"public.{signature}", returns, "RETURN 'z'", owner=creator)
    trap.function("public.ne(text, text)", "boolean", "RETURN true", owner=creator)
    trap.as_role(
        creator, "CREATE OPERATOR public.<> (FUNCTION = public.ne, LEFTARG = text, RIGHTARG = text)"
    )
    before = database.psql(_CALLS)
    run(database, ANEW[what], postgres_allow="state,t").succeeded()
    assert database.psql(_CALLS) == before
    assert database.psql("SELECT pair FROM on_view") == "abAb"
    assert trap.sprung() == []


# What of the database calls a function or an operator that is not PostgreSQL's own.
_CALLS = """
    SELECT pg_describe_object(classid, objid, 0), pg_describe_object(refclassid, refobjid, 0)
      FROM pg_depend WHERE refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
       AND classid NOT IN ('pg_proc'::regclass, 'pg_operator'::regclass) ORDER BY 1, 2
"""
OWN = """
    CREATE TABLE t (id integer, a varchar(10));
    INSERT INTO t VALUES (1, 'a');
    CREATE FUNCTION own(varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
"""
USERS = {
    "a view": "CREATE VIEW v AS SELECT own(a) FROM t",
    "a policy": "CREATE POLICY p ON t USING (own(a))",
    "a trigger": "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (own(NEW.a)) EXECUTE FUNCTION g()",
    "a check": "ALTER TABLE t ADD CONSTRAINT k CHECK (own(a))",
    "an index": "CREATE INDEX i ON t (own(a))",
    "a predicate": "CREATE INDEX i ON t (id) WHERE own(a)",
}


@one_version
@pytest.mark.parametrize("user", USERS)
def test_a_better_match_in_the_same_schema(
    database: Database, creator: str, trap: Trap, user: str
) -> None:
    """A function of the same name takes the column's new type as it is."""
    database.psql(f"{OWN}{USERS[user]}")
    trap.as_role(
        creator,
        "CREATE FUNCTION public.own(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE "
        f"AS {trap.body('RETURN true')}",
    )
    before = database.dump()
    said = run(database, lambda: pg.table("t", [pg.Column("a", "text")]), postgres_allow="t")
    messages = said.refused().messages
    assert "would call function public.own(text)" in messages
    assert database.dump() == before
    assert trap.sprung() == []


@one_version
def test_a_difference_is_named(database: Database) -> None:
    """Whatever changes the meaning between the plan and the transaction's end."""
    database.psql(
        "CREATE TYPE state AS ENUM ('new', 'done'); CREATE TABLE t (s state);"
        "CREATE VIEW v AS SELECT s FROM t WHERE s = 'done'"
    )
    database.psql(
        "CREATE FUNCTION other() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF tg_tag = 'CREATE VIEW' AND current_setting('my.other', true) IS NULL THEN"
        " SET LOCAL my.other = 1; CREATE OR REPLACE VIEW public.v AS SELECT s FROM public.t; "
        "END IF; END $$; CREATE EVENT TRIGGER other ON ddl_command_end EXECUTE FUNCTION other()"
    )
    before = database.dump()

    def deploy() -> None:
        pg.enum("state", ["done", "new"], exact=True)

    said = run(database, deploy, postgres_allow="state").refused().messages
    assert "made anew, view public.v would no longer be what it was" in said
    assert "WHERE (s = 'done'::public.state)" in said
    assert "Nothing of the transaction stays" in said
    assert database.dump() == before


@one_version
def test_a_function_comes_back_though_its_body_names_what_no_schema_has(database: Database) -> None:
    """A body that is a string is not read once more: it may need the path of those who call it."""
    database.psql(
        "CREATE TYPE state AS ENUM ('new', 'done'); CREATE TABLE t (s state);"
        "CREATE FUNCTION f(s state) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';"
        "COMMENT ON FUNCTION f IS 'f'"
    )
    run(
        database, lambda: pg.enum("state", ["done", "new"], exact=True), postgres_allow="state"
    ).succeeded()
    assert database.psql("SELECT f('new'), obj_description('f'::regproc)") == "0|f"
