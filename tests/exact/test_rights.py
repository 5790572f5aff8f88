"""Comparing needs no superuser, no right to create in the database, and nothing temporary."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.server import Server
from exact.test_equal import block, differing
from harness import Database, TestServer, one_version
from kinds.conftest import Deploy

DECLARED = [
    "pg.table('own.t', [pg.Column('a', 'text', default='upper(\\'x\\')'), "
    "pg.Column('b', 'integer', default='1 + 1')], constraints=[pg.Check(\"a in ('x', 'y')\")])",
    "pg.index('i', 'own.t', ['lower(a)'], where='b in (1, 2)')",
    "pg.policy('p', 'own.t', using=\"a in ('x', current_user)\")",
    "pg.view('own.v', \"select a, b from own.t where a in ('x', 'y')\")",
    "pg.domain('own.d', 'text', checks=\"value in ('x', 'y')\")",
    "pg.function('own.f', arguments=\"a text default 'x' || 'y'\", returns='boolean', "
    "body=\"return a in ('x', 'y')\")",
    "pg.statistics('own.s', 'own.t', ['lower(a)', 'b'])",
]
CHANGED = DECLARED[0].replace("'y')\")", "'z')\", name='t_a_check')")


@pytest.fixture
def owner(database: Database) -> str:
    """A role that owns one schema and may do nothing else."""
    role = f"o_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role} LOGIN; CREATE SCHEMA own AUTHORIZATION {role};"
        f"REVOKE ALL ON DATABASE {database.name} FROM PUBLIC;"
        f"GRANT CONNECT ON DATABASE {database.name} TO {role};"
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC"
    )
    return role


@pytest.fixture
def owned(deploy: Deploy, database: Database, owner: str) -> Iterator[Deploy]:
    """A deploy as that role; what it owns goes before the role does."""
    deploy.project.inventory({"db": database.dsn.replace("postgres@", f"{owner}@", 1)})
    yield deploy
    database.psql(f"DROP OWNED BY {owner}")


@pytest.mark.parametrize("temporary", [True, False], ids=["with TEMP", "without TEMP"])
def test_the_owner_of_a_schema_compares(
    owned: Deploy, database: Database, owner: str, temporary: bool
) -> None:
    if temporary:
        database.psql(f"GRANT TEMP ON DATABASE {database.name} TO {owner}")
    owned.run(block(DECLARED)).succeeded()
    before = database.dump()
    with database.watch() as seen:
        assert differing(owned.run().succeeded(), DECLARED) == []
    assert database.dump() == before
    compared = [one for one in seen.statements if "pyinfra_postgres_deparse" in one]
    assert compared
    assert any(("own.pyinfra" in one) is not temporary for one in compared)
    # What differs is still told apart.
    assert differing(owned.run(block([CHANGED, *DECLARED[1:]])).succeeded(), DECLARED) == [
        DECLARED[0]
    ]


@one_version
def test_a_role_that_may_create_nothing_is_told_so(deploy: Deploy, database: Database) -> None:
    database.psql("CREATE SCHEMA own")
    deploy.run(block(DECLARED)).succeeded()
    role = f"r_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role} LOGIN; REVOKE ALL ON DATABASE {database.name} FROM PUBLIC;"
        f"GRANT CONNECT ON DATABASE {database.name} TO {role}; GRANT USAGE ON SCHEMA own TO {role};"
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    )
    deploy.project.inventory({"db": database.dsn.replace("postgres@", f"{role}@", 1)})
    output = deploy.run().failed().output
    assert "could not compare definitions: permission denied to create temporary" in output
    assert f": GRANT TEMPORARY ON DATABASE {database.name} TO {role}" in output


def test_a_role_whose_transactions_are_read_only(
    owned: Deploy, database: Database, owner: str
) -> None:
    database.psql(f"ALTER ROLE {owner} SET default_transaction_read_only = on")
    owned.run(block(DECLARED)).succeeded()
    assert differing(owned.run().succeeded(), DECLARED) == []
    assert differing(owned.run(block([CHANGED, *DECLARED[1:]])).succeeded(), DECLARED) == [
        DECLARED[0]
    ]


class Standby(Server):
    """A hot standby of a test's server."""

    def __init__(self, primary: TestServer, data: Path) -> None:
        super().__init__(primary.binaries, data, settings={"hot_standby": "on"})
        self.own(data.parent)
        self._run(
            *("pg_basebackup", "-d", primary.dsn(), "-D", data, "-R", "-X", "stream"),
            *("-c", "fast", "--no-sync"),
        )
        # The primary's own, which is in its data directory.
        for lock in data.glob(".s.PGSQL.*"):
            lock.unlink()


@pytest.fixture
def standby(server: TestServer) -> Iterator[Standby]:
    """A running standby, made after whatever the test has asked for before it."""
    data = server.directory / f"standby_{secrets.token_hex(3)}"
    data.mkdir(mode=0o700)
    running = Standby(server, data / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def filled(deploy: Deploy, database: Database) -> Database:
    """The database with all that is declared, on the primary."""
    database.psql("CREATE SCHEMA own")
    deploy.run(block(DECLARED)).succeeded()
    return database


@one_version
def test_a_standby_says_what_it_can_not_tell(
    deploy: Deploy, filled: Database, standby: Standby
) -> None:
    deploy.project.inventory({"db": standby.dsn(filled.name)})
    run = deploy.run().succeeded()
    assert differing(run, DECLARED) == []
    assert "whether '1 + 1' differs" not in run.output
    assert "unknown on a standby whether \"a in ('x', 'y')\" differs" in run.output
    # What needs no judge is known there as well, and PostgreSQL refuses to change it.
    assert "during recovery" in deploy.run("pg.view('own.v', comment='new')").failed().output


@one_version
def test_a_standby_takes_no_plan(deploy: Deploy, filled: Database, standby: Standby) -> None:
    """It has the identifier, the oid and the name of its primary."""
    project = deploy.project
    project.deploy('with pg.transaction():\n    pg.schema("more")\n')
    dry = ("inventory.py", "deploy.py", "--dry", "--data", "plan=plans")
    for dsn, apply_to, said in (
        (standby.dsn(filled.name), None, "it is a standby, to which no plan can be applied"),
        (filled.dsn, standby.dsn(filled.name), "is for something else: it is a standby"),
    ):
        project.inventory({"db": dsn})
        output = project.run(*dry).output
        if apply_to:
            project.inventory({"db": apply_to})
            output = project.run("inventory.py", "deploy.py", "-y", "--data", "apply=plans").output
        assert said in output
