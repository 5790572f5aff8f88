"""A pooler that hands sessions around is refused, and nothing is left behind in it."""

from __future__ import annotations

import contextlib

import pytest

from harness import Database, Project, needs_pgbouncer, one_version, pooler, until

pytestmark = needs_pgbouncer

DEPLOY = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", default="1 + 1", primary_key=True)])
    pg.index("i", "t", ["id"])
"""

LEFT_BEHIND = """
    SELECT (SELECT count(*) FROM pg_prepared_statements)
         + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
         + (SELECT count(*) FROM pg_settings WHERE source = 'session'
             AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone',
                              'standard_conforming_strings', 'transaction_isolation'))"""
"""In a server's session; the parameters named are those that PgBouncer itself sets, and that of a
transaction, which each begins with anew."""


@one_version
@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
@pytest.mark.parametrize("round_robin", [0, 1], ids=["newest first", "in turn"])
def test_sessions_that_are_handed_around_are_refused(
    project: Project, database: Database, pool_mode: str, round_robin: int
) -> None:
    with pooler(
        database.server, pool_mode, default_pool_size=2, server_round_robin=round_robin
    ) as behind:
        # Two sessions of the server wait for clients.
        with behind.session(database) as one, behind.session(database) as two:
            one.execute("SELECT pg_sleep(0.01)")
            two.execute("SELECT pg_sleep(0.01)")
        project.inventory({"one": behind.dsn(database)})
        project.deploy(DEPLOY)
        output = project.run().failed().output
        assert "this is a pooler that hands the sessions around among its clients" in output
        assert "connect to the server itself, or to a pool in session mode" in output
        assert "CREATE TABLE" not in database.dump()
        for _ in range(2):
            assert behind.ask(database, LEFT_BEHIND) == "0"


@one_version
def test_sessions_that_are_the_clients_own_are_used(project: Project, database: Database) -> None:
    # Nothing that PgBouncer itself would clear up.
    with pooler(database.server, "session", server_reset_query="''") as behind:
        project.inventory({"one": behind.dsn(database)})
        project.deploy(DEPLOY)
        project.run().succeeded()
        assert "CREATE INDEX i" in database.dump()
        assert behind.ask(database, LEFT_BEHIND) == "0"


@one_version
@pytest.mark.parametrize("free", [0, 1])
def test_a_pooler_that_has_too_few_sessions_is_a_clear_failure(
    project: Project, database: Database, free: int
) -> None:
    with (
        pooler(
            database.server, "session", default_pool_size=free or 1, query_wait_timeout=1
        ) as behind,
        contextlib.ExitStack() as clients,
    ):
        if not free:
            clients.enter_context(behind.session(database)).execute("SELECT 1")
        project.inventory({"one": behind.dsn(database)})
        project.deploy(DEPLOY)
        output = project.run().failed().output
    told = "a pooler that gives no second session, which would tell how: " if free else "connect: "
    assert f"{told}" in output
    assert "query_wait_timeout" in output
    assert "CREATE TABLE" not in database.dump()
    until(lambda: database.sessions() == [])
