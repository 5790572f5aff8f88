"""What a database keeps of the plans that ran on it, and whether that is true after a fault."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import (
    Database,
    Databases,
    Project,
    Relay,
    finished,
    one_version,
    until,
)
from harness.process import Outcome, run, run_files
from pyinfra_postgres.catalog import snapshot
from pyinfra_postgres.facts import Catalog
from runs.conftest import EVERY_TIME, QUICK, SLOW, end_build, end_sessions

ON: dict[str, Any] = {"postgres_history": True}
ROWS = "CREATE TABLE t (id integer); INSERT INTO t VALUES (1), (2)"
BUILD = """
    with pg.transaction():
        pg.schema("s")
        pg.index("i", "t", ["id"])
"""
LONG = SLOW.replace("1.5", "60")
CUT_OFF = "cut off: nothing of it is in place"


def deployed(database: Database, *deploys: Any, **data: Any) -> Outcome:
    """Deploy objects in one block, recorded."""

    def deploy() -> None:
        with pg.transaction():
            pg.objects(list(deploys))

    return run(database, deploy, **{**ON, **data})


def column(database: Database, *names: str) -> list[tuple[str, ...]]:
    """Columns of the history, the oldest row first."""
    return database.rows(
        f"SELECT {', '.join(names)} FROM pyinfra_postgres.deploy ORDER BY started_at, block"
    )


def building(database: Database) -> bool:
    return any(one.startswith("CREATE INDEX") for *_, one in database.sessions())


def states(database: Database) -> list[tuple[str, ...]]:
    """Of each row the state, whether the transaction is in place, whether it ended, the error."""
    return column(database, "state", "applied_at IS NOT NULL", "ended_at IS NOT NULL", "error")


def sleeping(database: Database) -> bool:
    """Whether a run of SLOW has come to its sleep: of what is recorded its statement is a part."""
    return "PgSleep" in database.psql("SELECT wait_event FROM pg_stat_activity")


APPLIED = ("applied", "t", "t", "")


def started(project: Project, database: Database, deploy: str, **data: Any) -> Any:
    project.inventory({"one": database.dsn}, **{**ON, **data})
    project.deploy(deploy)
    return project.start()


def completed(project: Project, database: Database) -> str:
    """What the next run says; the one after it changes nothing."""
    project.inventory({"one": database.dsn}, **ON)
    last = run_files(project.path).succeeded()
    rows = column(database, "*")
    run_files(project.path).succeeded()
    assert column(database, "*") == rows
    return last.output


def test_a_plan_is_recorded_with_who_what_and_when(database: Database) -> None:
    outcome = deployed(database, pg.Schema("shop"), pg.Enum("shop.state", ["new"]))
    assert "not recorded" not in outcome.succeeded().messages
    assert states(database) == [APPLIED]
    ((run_name, host, *counts),) = column(
        database, "run", "host", "block", "changes", "jsonb_array_length(statements)"
    )
    assert (host, counts) == (f"@postgres/{database.name}", ["1", "create 2", "2"])
    assert len(run_name) == len("20261130-162001-4f2a9c")
    assert column(
        database,
        "role",
        "account <> ''",
        "controller <> ''",
        "version <> ''",
        "git_commit ~ '^[0-9a-f]{40}( with local changes)?$'",
        "duration BETWEEN '0 s' AND '1 min'",
        "ended_at - started_at = duration",
        "fingerprint_before <> fingerprint_after",
        "statements -> 0 ->> 'statement'",
    ) == [("postgres", *["t"] * 7, "CREATE SCHEMA shop")]
    # What one run leaves is what the next one begins with.
    deployed(database, pg.Schema("more")).succeeded()
    before, after = zip(*column(database, "fingerprint_before", "fingerprint_after"), strict=True)
    assert before[1] == after[0]


def test_a_run_without_changes_writes_nothing(database: Database) -> None:
    deployed(database, pg.Schema("shop")).succeeded()
    rows = column(database, "*", "xmin")
    with database.watch() as seen:
        deployed(database, pg.Schema("shop")).succeeded()
    assert column(database, "*", "xmin") == rows
    assert not any("pyinfra_postgres.deploy" in one for one in seen.statements)


@one_version
def test_nothing_is_recorded_unless_somebody_wants_it(database: Database) -> None:
    deployed(database, pg.Schema("shop"), postgres_history=False).succeeded()
    assert "pyinfra_postgres" not in database.dump()


@one_version
def test_it_is_no_part_of_any_catalog(new_database: Databases) -> None:
    """Neither of a fingerprint nor of what `exact=` takes away, nor of what is remembered."""
    one, two = new_database(), new_database()

    def deploy() -> None:
        with pg.transaction(exact=True):
            pg.schema("public", exact=True)
            pg.table("t", [pg.Column("id", "integer")])

    run(one, deploy, **ON).succeeded()
    run(two, deploy).succeeded()
    again = run(one, deploy, dry=True, **ON).succeeded()
    assert (again.plan.changes, again.plan.undeclared) == ([], [])
    catalogs = []
    for each in (one, two):
        fact = Catalog()
        fact.rows = each.psql(";\n".join(snapshot.script())).splitlines()[-1:]
        catalogs.append(fact.process([]))
        catalogs[-1].pop("database")
    assert catalogs[0] == catalogs[1]
    assert states(one) == [APPLIED]


@one_version
@pytest.mark.parametrize("name", ["pyinfra_postgres", "pyinfra_postgres.mine"])
def test_nobody_else_declares_anything_there(database: Database, name: str) -> None:
    one = pg.Enum(name, ["a"]) if "." in name else pg.Schema(name)
    outcome = deployed(database, one).refused()
    assert "schema pyinfra_postgres is where this collection keeps what it has done" in (
        outcome.messages
    )


def test_a_role_that_may_not_create_it_deploys_with_a_line(database: Database) -> None:
    database.psql(
        f"CREATE ROLE h_deployer LOGIN; CREATE SCHEMA shop AUTHORIZATION h_deployer;"
        f'REVOKE CREATE ON DATABASE "{database.name}" FROM PUBLIC'
    )
    dsn = database.dsn.replace("postgres@", "h_deployer@")
    outcome = deployed(database, pg.Enum("shop.state", ["new"]), postgres_dsn=dsn).succeeded()
    assert (
        "this run is not recorded: role h_deployer may not create pyinfra_postgres.deploy: "
        f"GRANT CREATE ON DATABASE {database.name} TO h_deployer; or set postgres_history = False"
    ) in outcome.messages
    assert database.psql(
        "SELECT to_regtype('shop.state'), to_regnamespace('pyinfra_postgres')"
    ) == ("shop.state|")


@one_version
def test_a_second_role_is_told_what_it_lacks_and_then_writes(database: Database) -> None:
    deployed(database, pg.Schema("shop")).succeeded()
    database.psql("CREATE ROLE h_second LOGIN; GRANT ALL ON SCHEMA shop TO h_second")
    dsn = database.dsn.replace("postgres@", "h_second@")
    made = pg.Enum("shop.state", ["new"])
    outcome = deployed(database, made, postgres_dsn=dsn).succeeded()
    assert "role h_second lacks USAGE on schema pyinfra_postgres" in outcome.messages
    database.psql(
        "GRANT USAGE ON SCHEMA pyinfra_postgres TO h_second;"
        "GRANT SELECT, INSERT, UPDATE ON pyinfra_postgres.deploy TO h_second"
    )
    made = pg.Enum("shop.state", ["new", "old"])
    assert "not recorded" not in deployed(database, made, postgres_dsn=dsn).succeeded().messages
    assert column(database, "role") == [("postgres",), ("h_second",)]


@one_version
def test_blocks_and_hosts_of_a_run_have_its_name(
    project: Project, pair: tuple[Database, Database]
) -> None:
    one, two = pair
    project.inventory({"one": one.dsn, "two": two.dsn}, **ON)
    project.deploy('pg.schema("a")\npg.schema("b")\n')
    project.run().succeeded()
    rows = [column(each, "run", "block", "state") for each in pair]
    assert rows[0] == rows[1]
    assert [row[1:] for row in rows[0]] == [("1", "applied"), ("2", "applied")]
    assert len({row[0] for row in rows[0]}) == 1


@one_version
def test_a_failed_plan_says_why(database: Database) -> None:
    database.psql(ROWS)
    outcome = deployed(database, pg.Schema("s"), pg.Script("SELECT 1 / (id - 1) FROM t"))
    assert outcome.failed
    ((state, applied, ended, error),) = states(database)
    assert (state, applied, ended) == ("failed", "f", "t")
    assert "division by zero" in error
    assert "CREATE SCHEMA s" not in database.dump()


@one_version
def test_what_fails_after_the_transaction_has_that_in_place(
    project: Project, database: Database
) -> None:
    database.psql(ROWS)
    with database.holding("INSERT INTO t VALUES (3)"):
        process = started(project, database, BUILD, postgres_snapshot_timeout=0.2)
        finished(process).failed()
    ((state, applied, ended, error),) = states(database)
    assert (state, applied, ended) == ("failed", "t", "t")
    assert "The transaction before it is in place" in error
    assert "CREATE SCHEMA s" in database.dump()


@one_version
def test_what_has_nothing_in_the_transaction_is_applied_at_its_end(database: Database) -> None:
    database.psql(ROWS)
    deployed(database, pg.Index("i", "t", ["id"])).succeeded()
    assert states(database) == [APPLIED]


@one_version
def test_a_client_that_is_interrupted_in_the_transaction(
    project: Project, database: Database
) -> None:
    process = started(project, database, LONG)
    until(lambda: sleeping(database))
    assert states(database) == [("started", "f", "f", "")]
    process.send_signal(signal.SIGINT)
    finished(process).failed()
    project.deploy(SLOW.replace("1.5", "0"))
    assert f"was {CUT_OFF}" in completed(project, database)
    assert states(database) == [("failed", "f", "t", CUT_OFF), APPLIED]


@one_version
def test_a_client_that_is_killed_in_the_transaction(project: Project, database: Database) -> None:
    """The server goes on, and has all of it in place."""
    process = started(project, database, SLOW)
    until(lambda: sleeping(database))
    process.kill()
    process.communicate()
    until(lambda: not database.sessions())
    assert states(database) == [("applied", "t", "f", "")]
    project.deploy(SLOW.rstrip() + '\n        pg.schema("s")\n')
    assert "was cut off" not in completed(project, database)
    assert states(database) == [APPLIED, APPLIED]


@one_version
def test_a_client_that_is_killed_after_the_transaction(
    project: Project, database: Database
) -> None:
    database.psql(ROWS)
    with database.holding("INSERT INTO t VALUES (3)") as writer:
        process = started(project, database, BUILD)
        until(lambda: building(database))
        assert states(database) == [("applied", "t", "f", "")]
        process.kill()
        process.communicate()
        end_build(database)
        writer.commit()
    until(lambda: not database.sessions())
    completed(project, database)
    cut_off, last = states(database)
    assert cut_off[:3] == ("failed", "t", "t")
    assert "cut off after the transaction, which is in place" in cut_off[3]
    assert last == APPLIED


@one_version
def test_a_session_that_is_ended_in_the_transaction_has_one_row(
    project: Project, database: Database
) -> None:
    process = started(project, database, SLOW, postgres_connect_delay=0.01)
    until(lambda: sleeping(database))
    end_sessions(database)
    output = finished(process).succeeded().output
    assert "the transaction was not committed: running it again" in output
    assert states(database) == [APPLIED]


@pytest.fixture
def host_data() -> dict[str, Any]:
    return ON


@one_version
def test_a_reply_that_is_lost_after_the_commit(
    project: Project, database: Database, network: Relay
) -> None:
    project.deploy(QUICK)
    network.swallowed = b"pyinfra-postgres transaction"
    project.run().succeeded()
    assert states(database) == [APPLIED]
    assert column(database, "jsonb_array_length(statements) > 1") == [("t",)]


@one_version
def test_what_runs_every_time_is_not_repeated_where_the_row_tells(
    project: Project, database: Database, network: Relay
) -> None:
    """Without a record of it such a plan is given up."""
    project.deploy(EVERY_TIME)
    network.swallowed = b"pyinfra-postgres transaction"
    output = project.run().succeeded().output
    assert "the transaction was committed: going on after it" in output
    assert database.psql("SELECT * FROM t") == "1"
    assert states(database) == [APPLIED]


@one_version
def test_a_network_that_is_gone_after_the_commit(
    project: Project, database: Database, network: Relay
) -> None:
    project.deploy(SLOW)
    process = project.start()
    until(lambda: sleeping(database))
    network.end()
    finished(process).failed()
    until(lambda: not database.sessions())
    assert states(database) == [("applied", "t", "f", "")]
    project.deploy(SLOW.rstrip() + '\n        pg.schema("s")\n')
    told = completed(project, database)
    assert "was cut off" not in told
    assert states(database) == [APPLIED, APPLIED]


@one_version
def test_a_table_that_others_lock_stops_no_deploy(database: Database) -> None:
    deployed(database, pg.Schema("shop")).succeeded()
    with database.holding("LOCK TABLE pyinfra_postgres.deploy"):
        outcome = deployed(database, pg.Schema("more")).succeeded()
    assert "this run is not recorded: canceling statement due to lock timeout" in outcome.messages
    assert "CREATE SCHEMA more" in database.dump()
    assert states(database) == [APPLIED]


@one_version
def test_a_row_that_is_taken_away_meanwhile_fails_the_transaction(
    project: Project, database: Database
) -> None:
    """What is in place without a record of it would be a lie."""
    database.psql("CREATE TABLE t (id integer)")
    with database.holding("SELECT * FROM t") as reader:
        process = started(
            project,
            database,
            'pg.table("t", [pg.Column("id", "integer"), pg.Column("more", "text")])',
            postgres_lock_timeout=20000,
        )
        until(lambda: any("LOCK TABLE public" in one for *_, one in database.sessions()))
        database.psql("DELETE FROM pyinfra_postgres.deploy")
        reader.rollback()
        output = finished(process).failed().output
    assert "could not record it: the row of this run is gone from pyinfra_postgres.deploy" in output
    assert "more text" not in database.dump()


@one_version
def test_hosts_with_a_shell_keep_the_same(project: Project, database: Database) -> None:
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    database.psql(ROWS)
    project.inventory({"@local": {"postgres_dsn": database.dsn}}, **ON)
    project.deploy(BUILD)
    project.run(env=path).succeeded()
    assert states(database) == [APPLIED]
    fact = ("inventory.py", "fact", "pyinfra_postgres.facts.Deploys", "--json")
    (found,) = json.loads(project.run(*fact, env=path).succeeded().stdout).values()
    ((row,),) = found.values()
    assert (row["state"], row["changes"], row["host"]) == ("applied", "create 2", "@local")
    assert [one["stage"] for one in row["statements"]] == ["main", "after"]


@one_version
def test_history_is_printed_for_people_and_machines(
    project: Project, pair: tuple[Database, Database]
) -> None:
    """A host where there is none has no rows, and what runs or was cut off says so."""
    one, two = pair

    def history(*options: str) -> str:
        process = project.start(
            *("history", "inventory.py", *options), module="pyinfra_postgres.cli.main"
        )
        return finished(process).succeeded().stdout

    process = started(project, one, LONG)
    until(lambda: sleeping(one))
    assert "│ running │" in history()
    process.kill()
    process.communicate()
    one.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    until(lambda: not one.sessions())
    project.inventory({"one": one.dsn, "two": two.dsn}, **ON)
    shown = history()
    assert "│ cut off │" in shown
    ((name,),) = column(one, "run")
    assert f"@postgres/one: {name} {CUT_OFF}" in shown
    assert "1 row from 1 host, none from @postgres/two" in shown
    found = json.loads(history("--json"))
    assert [row["run"] for row in found["@postgres/one"]] == [name]
    assert found["@postgres/two"] == []
    assert "CREATE TABLE public.u (\n    id integer\n);" in history("--statements", name)
    unknown = project.start(
        *("history", "inventory.py", "--statements", "x"), module="pyinfra_postgres.cli.main"
    )
    assert "no host has x among its last 20 deploys" in finished(unknown).failed().stderr
    nowhere = project.start("history", "nowhere.py", module="pyinfra_postgres.cli.main")
    assert "there is no host in nowhere.py" in finished(nowhere).failed().stderr


@one_version
def test_a_reviewed_plan_is_recorded_by_the_id_that_was_reviewed(
    database: Database, tmp_path: Path
) -> None:
    def deploy() -> None:
        pg.schema("s")
        pg.schema("t")

    run(database, deploy, dry=True, override={"plan": str(tmp_path)}, **ON).succeeded()
    (file,) = tmp_path.glob("*.json")
    run(database, deploy, override={"apply": str(tmp_path)}, **ON).succeeded()
    assert column(database, "plan") == [(json.loads(file.read_text())["id"],)] * 2


def test_a_host_whose_history_can_not_be_read_is_not_one_without(
    project: Project, new_database: Databases
) -> None:
    recorded, hidden = new_database(), new_database()
    for one in (recorded, hidden):
        deployed(one, pg.Schema("s")).succeeded()
    hidden.psql("CREATE ROLE h_reader LOGIN")
    dsn = hidden.dsn.replace("postgres@", "h_reader@")
    project.inventory({"one": recorded.dsn, "two": dsn})
    process = project.start("history", "inventory.py", module="pyinfra_postgres.cli.main")
    ended = finished(process).failed()
    assert "1 row from 1 host" in ended.stdout
    assert "role h_reader may not read pyinfra_postgres.deploy" in ended.stderr
