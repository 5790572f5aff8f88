"""Whoever may create functions has none of them run because of the search path.

A database's owner sets its path, and so does a role for itself; who may create in `public` creates
what fits a call better than PostgreSQL's own; who may create a schema calls it like the role that
deploys, which `"$user"` then finds. Each of them waits here for the collection's own SQL.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyinfra import host

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres import facts
from pyinfra_postgres.operations.query import Query

from .conftest import Trap
from .search_paths import Replay, names_in

# What the attackers put in front of PostgreSQL's own, each with an exact signature of its own.
_FIRST = (
    ("pg_backend_pid()", "integer", "1"),
    ("pg_try_advisory_lock(integer, integer)", "boolean", "true"),
    ("current_setting(text, boolean)", "text", "'0'"),
    ("pg_current_xact_id()", "xid8", "'1'"),
    ("set_config(text, text, boolean)", "text", "NULL"),
    ("hashtextextended(text, bigint)", "bigint", "1"),
)
_BETTER = (
    ("format(text, text, integer, text, text)", "text", "''"),
    ("json_build_array(text)", "json", "'[]'"),
    ("json_build_array(text, text)", "json", "'[]'"),
    ("concat_ws(text, text, text)", "text", "''"),
    ("to_json(text)", "json", "'1'"),
    ("json_trap(text, json)", "text", "''"),
)


def _lay(trap: Trap, schema: str, owner: str) -> None:
    """Have a schema full of what the collection calls."""
    for signature, returns, value in (*_FIRST, *_BETTER):
        trap.function(f'"{schema}".{signature}', returns, f"RETURN {value}", owner=owner)
    trap.as_role(
        owner,
        f'CREATE AGGREGATE "{schema}".json_agg(json) (sfunc = "{schema}".json_trap, stype = text)',
    )


def _path_of_the_database(trap: Trap, stranger: str) -> None:
    trap.database.psql(f"CREATE SCHEMA evil AUTHORIZATION {stranger}")
    _lay(trap, "evil", stranger)
    name = trap.database.name
    trap.database.psql(f"ALTER DATABASE {name} OWNER TO {stranger}")
    trap.as_role(stranger, f"ALTER DATABASE {name} SET search_path = evil, pg_catalog")


def _public(trap: Trap, stranger: str) -> None:
    trap.database.psql(f"GRANT CREATE ON SCHEMA public TO {stranger}")
    _lay(trap, "public", stranger)


def _schema_of_the_deployer(trap: Trap, stranger: str) -> None:
    trap.database.psql(f"GRANT CREATE ON DATABASE {trap.database.name} TO {stranger}")
    trap.as_role(stranger, "CREATE SCHEMA postgres")
    _lay(trap, "postgres", stranger)
    trap.database.psql(f'ALTER DATABASE {trap.database.name} SET search_path = "$user", pg_catalog')


ATTACKS = [_path_of_the_database, _public, _schema_of_the_deployer]


def _deploy() -> None:
    """Everything that evaluates SQL: a fact, a question, a plan of several kinds, a check."""
    host.get_fact(facts.Catalog)
    question = Query.read("SELECT 1 AS one")
    assert question
    assert question.ask(host).rows == ("[1]",)
    with pg.transaction():
        pg.schema("shop")
        pg.enum("shop.state", ["new", "done"])
        pg.table(
            "shop.job",
            [pg.Column("id", "int", primary_key=True), pg.Column("s", "text")],
            constraints=[pg.Check("id > 0")],
        )
        pg.rows("shop.job", [{"id": 1, "s": "one"}], key="id", update=True)
        pg.sql("SELECT 1", unless="SELECT false")
    pg.check("There is one", "SELECT id FROM shop.job", [(1,)])


@pytest.mark.parametrize("psql", [False, True], ids=["psycopg", "psql"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.strip("_"))
@one_version
def test_no_way_in_runs_what_the_path_finds(
    attack: Callable[[Trap, str], None],
    psql: bool,
    trap: Trap,
    stranger: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dry run, a deploy, and another one over its rows."""
    monkeypatch.setenv("PATH", f"{database.server.binaries}:/usr/bin:/bin")
    attack(trap, stranger)
    with database.watch() as seen:
        for dry in (True, False, False):
            run(database, _deploy, dry=dry, psql=psql).succeeded()
    assert trap.sprung() == []
    Replay(seen.entries).check(names_in("SELECT id > 0"))


@one_version
def test_the_path_stays_over_all_that_ends_a_session(
    trap: Trap, stranger: str, database: Database
) -> None:
    """DISCARD ALL at each rollout's end, a failed statement, a connection that is lost."""
    _path_of_the_database(trap, stranger)

    def deploy() -> None:
        pg.sql("SELECT 1")
        pg.sql(
            "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())",
            unless="SELECT true",
        )
        pg.sql("SELECT 1 / 0", _ignore_errors=True)
        pg.sql("SELECT 2")

    with database.watch() as seen:
        run(database, deploy)
    assert trap.sprung() == []
    Replay(seen.entries).check(names_in("SELECT 1 / 0"))


@one_version
def test_what_a_check_calls_sets_no_path_for_the_next_statement(
    trap: Trap, stranger: str, database: Database
) -> None:
    """A function that runs as its owner may set a path, for the transaction or the session."""
    database.psql(f"CREATE SCHEMA evil AUTHORIZATION {stranger}")
    _lay(trap, "evil", stranger)
    trap.as_role(
        stranger,
        "CREATE FUNCTION evil.sets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
        "PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', true); "
        "PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false); "
        "RETURN NEW; END $$",
    )
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, s text); CREATE TABLE other (id bigint NOT NULL);"
        "CREATE TRIGGER sets BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION evil.sets()"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.rows("t", [{"id": 1}], key="id")
            # Its sequence goes on behind the greatest value that is there.
            pg.table("other", [pg.Column("id", "bigint", identity="ALWAYS", nullable=False)])
        with pg.transaction():
            pg.table("third", [pg.Column("id", "int")])

    run(database, deploy, postgres_trust=stranger).succeeded()
    assert trap.sprung() == []
