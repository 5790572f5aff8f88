"""A connection that is lost: what was under way is decided, and the run goes on or says why not."""

from __future__ import annotations

import time

from harness import (
    Database,
    Databases,
    Project,
    Relay,
    TestServer,
    finished,
    one_version,
    until,
)
from runs.conftest import EVERY_TIME, QUICK, SLOW, end_build, end_sessions, sleeping

ENDED = "terminating connection due to administrator command"


@one_version
def test_a_server_that_is_restarted_is_waited_for(project: Project, server: TestServer) -> None:
    """Meanwhile it has no socket, as where there never was one."""
    with TestServer(server.label) as own:
        database = Databases(own)()
        project.inventory({"one": database.dsn}, postgres_connect_delay=0.3)
        project.deploy(SLOW)
        process = project.start()
        until(lambda: sleeping(database))
        own.stop()
        time.sleep(1)
        own.start()
        output = finished(process).succeeded().output
        assert "No such file or directory" in output
        assert "CREATE TABLE public.u" in database.dump()


def test_a_session_that_is_ended_in_the_transaction_is_replaced(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    project.deploy(SLOW)
    with one.watch() as seen:
        process = project.start()
        until(lambda: sleeping(one))
        end_sessions(one)
        output = finished(process).succeeded().output
    assert f"@postgres/one] the connection was lost: {ENDED} (SQLSTATE 57P01)" in output
    assert "@postgres/one] the transaction was not committed: running it again" in output
    assert len([one for one in seen.statements if "pg_sleep" in one]) == 2
    assert one.dump() == two.dump()
    assert "CREATE TABLE public.u" in one.dump()
    assert one.sessions() == []


@one_version
def test_a_statement_that_ends_every_session_is_given_up(
    project: Project, database: Database
) -> None:
    project.inventory({"one": database.dsn}, postgres_connect_delay=0.01)
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer", primary_key=True)])
            pg.sql("SELECT pg_terminate_backend(pg_backend_pid())")
        """
    )
    output = project.run().failed().output
    assert f"the connection was lost 3 times: {ENDED}" in output
    assert "CREATE TABLE" not in database.dump()


def test_a_transaction_that_was_committed_is_not_repeated(
    project: Project, database: Database, network: Relay
) -> None:
    """The server goes on when the network fails: the next connection waits, and asks it."""
    project.deploy(SLOW)
    with database.watch() as seen:
        process = project.start()
        until(lambda: sleeping(database))
        network.cut()
        output = finished(process).succeeded().output
    assert "the connection was lost: " in output
    assert "waiting for the deploy of pyinfra-postgres " in output
    assert "the transaction was committed: going on after it" in output
    assert len([one for one in seen.statements if "pg_sleep" in one]) == 1
    assert "CREATE TABLE public.u" in database.dump()


@one_version
def test_a_network_that_does_not_come_back_is_a_clear_failure(
    project: Project, database: Database, network: Relay
) -> None:
    project.deploy(SLOW)
    process = project.start()
    until(lambda: sleeping(database))
    network.end()
    output = finished(process).failed().output
    assert "could not take the deploy lock: Could not connect after 5 tries" in output
    assert "in place as a whole or not at all: run again" in output
    assert "nothing was changed" not in output.lower()


@one_version
def test_of_a_transaction_that_never_told_its_id_the_catalog_tells(
    project: Project, database: Database, network: Relay
) -> None:
    project.deploy(QUICK)
    network.swallowed = b"pyinfra-postgres transaction"
    output = project.run().succeeded().output
    assert "the catalog tells what is left: planning anew" in output
    assert "nothing left to change" in output
    assert "CREATE TABLE public.u" in database.dump()


@one_version
def test_what_runs_every_time_is_not_repeated_on_a_guess(
    project: Project, database: Database, network: Relay
) -> None:
    project.deploy(EVERY_TIME)
    network.swallowed = b"pyinfra-postgres transaction"
    output = project.run().failed().output
    assert "the connection was lost. The transaction is in place as a whole or not at all" in output
    assert database.psql("SELECT * FROM t") == "1"


@one_version
def test_an_index_whose_build_was_cut_off_is_built_again(
    project: Project, database: Database
) -> None:
    database.psql("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    project.inventory({"one": database.dsn})
    project.deploy('pg.index("i", "t", ["id"])\n')
    with database.holding("INSERT INTO t VALUES (2)") as writer:
        process = project.start()
        until(lambda: database.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "1")
        end_build(database)
        writer.commit()
        output = finished(process).succeeded().output
    assert f"the connection was lost: {ENDED}" in output
    assert (
        database.psql(
            "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 't'::regclass"
        )
        == "i|t"
    )


@one_version
def test_a_session_that_ended_while_nothing_was_under_way_is_replaced(
    project: Project, database: Database
) -> None:
    """As a compute's that fell asleep while somebody read the plan."""
    project.inventory({"one": database.dsn})
    project.deploy(
        """
        import subprocess

        pg.table("t", [pg.Column("id", "integer", default="1 + 1")])
        psql = host.data.get("psql")
        subprocess.run(psql, check=True)
        with pg.transaction():
            pg.table("u", [pg.Column("id", "integer", default="1 + 2")])
        """
    )
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'pyinfra%'"
    )
    psql = [str(database.server.binaries / "psql"), "-Xqc", query, database.dsn]
    project.inventory({"one": database.dsn}, psql=psql)
    output = project.run().succeeded().output
    assert output.count("the connection was lost") == 1
    assert "CREATE TABLE public.u" in database.dump()
