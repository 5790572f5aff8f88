"""A shell's psql is held to the rules of any other way to a database: no pooled session is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness import (
    Database,
    PasswordRole,
    Project,
    TestServer,
    needs_neon,
    needs_pgbouncer,
    one_version,
    pooler,
)
from harness.neon import Compute, compute

DEPLOY = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", default="1 + 1", primary_key=True)])
    pg.index("i", "t", ["id"])
"""
LEFT_BEHIND = """
    SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
         + (SELECT count(*) FROM pg_settings WHERE source = 'session'
             AND name IN ('statement_timeout', 'lock_timeout', 'search_path'))"""
_WITH_TLS = Path("/usr/lib/postgresql/15/bin/psql")
"""The psql of embedded servers has no TLS."""
REFUSED = "this is a pooler that hands the sessions around among its clients"


def path(server: TestServer) -> dict[str, str]:
    """An environment with the server's psql."""
    return {"PATH": f"{server.binaries}:/usr/bin:/bin"}


@needs_pgbouncer
@one_version
@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
@pytest.mark.parametrize("round_robin", [0, 1], ids=["newest first", "in turn"])
def test_sessions_that_are_handed_around_are_refused(
    project: Project, database: Database, pool_mode: str, round_robin: int
) -> None:
    with pooler(
        database.server, pool_mode, default_pool_size=2, server_round_robin=round_robin
    ) as behind:
        with behind.session(database) as one, behind.session(database) as two:
            one.execute("SELECT pg_sleep(0.01)")
            two.execute("SELECT pg_sleep(0.01)")
        project.inventory({"@local": {"postgres_dsn": behind.dsn(database)}})
        project.deploy(DEPLOY)
        output = project.run(env=path(database.server)).failed().output
        assert REFUSED in output
        assert "connect to the server itself, or to a pool in session mode" in output
        assert "CREATE TABLE" not in database.dump()
        for _ in range(2):
            assert behind.ask(database, LEFT_BEHIND) == "0"


@needs_pgbouncer
@one_version
def test_a_fact_and_a_query_leave_nothing_there_either(
    project: Project, database: Database
) -> None:
    with pooler(database.server, "transaction", default_pool_size=1) as behind:
        project.inventory({"@local": {"postgres_dsn": behind.dsn(database)}})
        for command in (
            ("fact", "pyinfra_postgres.facts.Catalog"),
            ("pyinfra_postgres.sql", "SELECT 1"),
        ):
            run = project.run("inventory.py", *command, env=path(database.server))
            assert REFUSED in run.output
        assert behind.ask(database, LEFT_BEHIND) == "0"


@needs_pgbouncer
@one_version
def test_a_password_reaches_both_sessions(
    project: Project, database: Database, password_role: PasswordRole
) -> None:
    database.psql(f"GRANT CREATE ON SCHEMA public TO {password_role.name}")
    secret = {password_role.name: password_role.password}
    users = {"postgres": "", **secret}
    with pooler(
        database.server, "transaction", users, default_pool_size=2, auth_type="plain"
    ) as behind:
        pooled = behind.dsn(database).replace("postgres@", f"{password_role.name}@")
        data = {"postgres_dsn": pooled, "postgres_password": password_role.password}
        project.inventory({"@local": data})
        project.deploy(DEPLOY)
        output = project.run("inventory.py", "deploy.py", "-y", "-vvv", env=path(database.server))
        assert REFUSED in output.failed().output
        assert password_role.password not in output.output
    data["postgres_dsn"] = database.dsn.replace("postgres@", f"{password_role.name}@")
    project.inventory({"@local": data})
    project.run(env=path(database.server)).succeeded()


@needs_pgbouncer
@one_version
def test_sessions_that_are_the_clients_own_are_used(project: Project, database: Database) -> None:
    with pooler(database.server, "session", server_reset_query="''") as behind:
        project.inventory({"@local": {"postgres_dsn": behind.dsn(database)}})
        project.deploy(DEPLOY)
        project.run(env=path(database.server)).succeeded()
        assert "CREATE INDEX i" in database.dump()


@needs_pgbouncer
@one_version
def test_a_pooler_that_has_too_few_sessions_is_a_clear_failure(
    project: Project, database: Database
) -> None:
    with pooler(database.server, "session", default_pool_size=1, query_wait_timeout=1) as behind:
        project.inventory({"@local": {"postgres_dsn": behind.dsn(database)}})
        project.deploy(DEPLOY)
        output = project.run(env=path(database.server)).failed().output
    assert "a pooler that gives no second session, which would tell how: " in output
    assert "query_wait_timeout" in output
    assert "CREATE TABLE" not in database.dump()


@pytest.fixture(scope="module")
def neon() -> Iterator[Compute]:
    with compute() as running:
        yield running


@needs_neon
@pytest.mark.skipif(not _WITH_TLS.exists(), reason="no psql with TLS: install postgresql-client")
@pytest.mark.parametrize("named_by", ["host data", "the host's service file"])
def test_a_pooled_name_of_neons_is_not_used(project: Project, neon: Compute, named_by: str) -> None:
    # This PgBouncer knows no channel binding.
    given = psycopg.conninfo.conninfo_to_dict(neon.dsn(channel_binding="prefer"))
    environment = {"PATH": f"{_WITH_TLS.parent}:/usr/bin:/bin", **neon.environment}
    data = {"postgres_dsn": neon.dsn()}
    if named_by != "host data":
        lines = "".join(f"{key}={value}\n" for key, value in given.items())
        environment["PGSERVICEFILE"] = str(project.write("services", f"[pooled]\n{lines}"))
        data = {"postgres_dsn": "service=pooled"}
    project.inventory({"@local": data})
    project.deploy(DEPLOY)
    before = neon.pooler.log.read_text().count("login attempt")
    output = project.run(env=environment).succeeded().output
    assert "is a pooler, which keeps no session: connecting to ep-quiet-lake-a1b2c3d4." in output
    assert "CREATE INDEX i" in neon.database.dump()
    # A service file is read on the host only, so what it names is found out there.
    asked = neon.pooler.log.read_text().count("login attempt") - before
    assert asked == (0 if named_by == "host data" else 2)
