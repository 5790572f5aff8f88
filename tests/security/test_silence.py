"""What says nothing is not waited for: a peer, a network, a server, and other sessions' work."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.api.exceptions import ConnectError

from harness import (
    Database,
    Project,
    Relay,
    TestServer,
    finished,
    one_version,
    relay,
    relayed,
    until,
)
from pyinfra_postgres.transport.connection import Connection
from pyinfra_postgres.transport.connector import check_host_data
from pyinfra_postgres.transport.psql import Psql
from pyinfra_postgres.transport.watch import Limits
from runs.conftest import SLOW, sleeping

LONG = SLOW.replace("1.5", "60")
ROWS = "CREATE TABLE t (a integer); INSERT INTO t SELECT n FROM generate_series(1, 9) n"
KEY = "1886220904, 1"
WAYS = ("@postgres/one", "@local")


def path(server: TestServer) -> dict[str, str]:
    """An environment with the server's psql."""
    return {"PATH": f"{server.binaries}:/usr/bin:/bin"}


@pytest.fixture
def network(database: Database) -> Iterator[tuple[Relay, str]]:
    """What lies between a run and the database, and the URI through it."""
    with (
        tempfile.TemporaryDirectory(prefix="pgt-") as name,
        relay(database.server, Path(name)) as between,
    ):
        Path(name).chmod(0o755)
        yield between, relayed(database, Path(name))


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_a_peer_that_never_says_a_word(
    project: Project, server: TestServer, silent_dsn: str, way: str
) -> None:
    project.inventory({way: {"postgres_dsn": silent_dsn}}, postgres_answer_timeout=2)
    project.deploy('pg.schema("s")\n')
    began = time.monotonic()
    output = project.run(env=path(server), timeout=30).failed().output
    assert "timeout expired" in output or "no answer within 2 s" in output, output
    assert time.monotonic() - began < 20


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_falls_silent_while_a_statement_runs(
    project: Project, database: Database, network: tuple[Relay, str], way: str
) -> None:
    between, dsn = network
    project.inventory({way: {"postgres_dsn": dsn}}, postgres_answer_timeout=2)
    project.deploy(LONG)
    process = project.start(env=path(database.server))
    until(lambda: sleeping(database), 60)
    between.mute()
    output = finished(process, timeout=45).failed().output
    assert "the server has said nothing for 2 s" in output
    assert "in place as a whole or not at all" in output


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_a_catalog_that_does_not_come(
    project: Project, database: Database, network: tuple[Relay, str], way: str
) -> None:
    """The session is there, and its answer is swallowed."""
    between, dsn = network
    project.inventory({way: {"postgres_dsn": dsn}}, postgres_answer_timeout=2)
    project.deploy('pg.schema("s")\n')
    between.muted_by = b"pg_attribute"
    output = project.run(env=path(database.server), timeout=40).failed().output
    assert "no answer within 2 s" in output
    assert "CREATE SCHEMA" not in database.dump()


@one_version
def test_a_connection_notices_that_nobody_is_there(database: Database) -> None:
    """The system is asked how it watches a connection by TCP; psql is given the same words."""

    def route(_: socket.socket) -> socket.socket:
        target = socket.socket(socket.AF_UNIX)
        target.connect(str(database.server.socket))
        return target

    limits = Limits(answer=6)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        between = Relay(listener, route)
        port = listener.getsockname()[1]
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{database.name}"
        connection = Connection(dsn, "one", print, 1, 0.1, limits)
        connection.open()
        assert connection.session
        with socket.socket(fileno=os.dup(connection.session.fileno())) as seen:
            found = {
                name: seen.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            }
        connection.close()
        between.end()
    assert found == {
        "TCP_KEEPIDLE": 2,
        "TCP_KEEPINTVL": 2,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": 6000,
    }
    public = Psql.of({"postgres_dsn": dsn}, limits).public
    assert {name: public[name] for name in limits.connection} == {
        name: str(value) for name, value in limits.connection.items()
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("postgres_answer_timeout", 0, "must be a number from 1 to 86400, not 0"),
        ("postgres_answer_timeout", "soon", "must be a number, not 'soon'"),
        ("postgres_snapshot_timeout", -1, "must be a number from 0 to 86400, not -1"),
        ("postgres_snapshot_timeout", float("inf"), "must be a number"),
    ],
)
def test_what_is_no_time_is_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(ConnectError, match=said):
        check_host_data({name: value})


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_a_build_says_for_whom_it_waits_and_gives_up(
    project: Project, database: Database, way: str
) -> None:
    database.psql(ROWS)
    project.inventory({way: {"postgres_dsn": database.dsn}}, postgres_snapshot_timeout=1)
    project.deploy('pg.index("i", "t", ["a"])\n')
    with contextlib.closing(database.connect()) as reader:
        # An old snapshot; it holds no lock on the table.
        reader.execute("SET default_transaction_isolation = 'repeatable read'")
        reader.commit()
        reader.execute("SELECT 1")
        pid = reader.info.backend_pid
        output = project.run(env=path(database.server), timeout=60).failed().output
        reader.rollback()
    who = f"session {pid} (observer of postgres, idle in transaction since "
    assert f"waiting for {who}" in output
    assert f"it has waited 1 s for {who}" in output
    assert "the next run completes this" in output
    assert database.psql(f"SELECT pg_try_advisory_lock({KEY})") == "t"
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "f"
    project.run(env=path(database.server)).succeeded()
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == "t"
