"""`pyinfra-postgres rollout`: wave after wave, stopped by the first failure, and gone on with."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from contextlib import closing
from pathlib import Path

import pytest

from fleet.conftest import Command, Start, children, ended, has_ended
from harness import Database, Databases, Project, Run, one_version, until

pytestmark = one_version
ROLLOUT = ("rollout", "inventory.py", "deploy.py")
DEPLOY = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", primary_key=True)])
        pg.sql(
            "INSERT INTO t SELECT 1 / n FROM divisor",
            unless="SELECT EXISTS (SELECT FROM pg_tables WHERE tablename = 't')",
        )
"""
HEAD = """
from pyinfra_postgres.fleet.probes import Deadlocks, LockWaiters, Query, ReplicationLag, Verify
from pyinfra_postgres.fleet.waves import Wave

"""
IS_AFTER = "SELECT count(*) FROM pg_tables WHERE tablename = 't'"


def inventory(project: Project, databases: list[Database], waves: str) -> None:
    """Hosts 1, 2, ... in groups of one or two, with waves."""
    hosts = [(f"@postgres/{n}", {"postgres_dsn": one.dsn}) for n, one in enumerate(databases, 1)]
    project.write(
        "inventory.py",
        f"{HEAD.lstrip()}canaries = {hosts[:2]!r}\nrest = {hosts[2:]!r}\nwaves = {waves}\n",
    )


def again(command: Command, run: Run) -> Run:
    """Run the last line that a rollout has printed, as it stands there."""
    program, *arguments = shlex.split(run.stdout.splitlines()[-1])
    assert program == "pyinfra-postgres"
    return command(*arguments).succeeded()


def state(databases: list[Database]) -> list[str]:
    """Of each database the number of the table that the deploy makes, and what it holds."""
    return [
        one.psql("SELECT c.oid, (SELECT xmin FROM t) FROM pg_class c WHERE relname = 't'")
        if one.psql(IS_AFTER) == "1"
        else ""
        for one in databases
    ]


def several(new_database: Databases, count: int, failing: int) -> list[Database]:
    """Databases, of which the deploy fails on one."""
    databases = [new_database() for _ in range(count)]
    for number, database in enumerate(databases, 1):
        database.psql(f"CREATE TABLE divisor AS SELECT {int(number != failing)} AS n")
    return databases


def test_twelve_databases_in_three_waves_of_which_the_fifth_fails(
    project: Project, new_database: Databases, command: Command
) -> None:
    databases = several(new_database, 12, failing=5)
    inventory(
        project,
        databases,
        '{"canaries": Wave(match="canaries", parallel=2), '
        '"few": Wave(match="@postgres/[3-6]"), "rest": Wave(match="rest", parallel=6)}',
    )
    project.deploy(DEPLOY)
    project.deploy('pg.check("A row", "SELECT count(*) FROM t", [(1,)])', name="verify.py")
    fifth, rest = databases[4], databases[5:]
    seen = [one.watch() for one in rest]
    watched = [one.__enter__() for one in seen]
    run = command(*ROLLOUT, "verify.py", "--processes", "2")
    for one in seen:
        one.__exit__(None, None, None)
    assert run.code == 1, run.output
    assert [one.statements for one in watched] == [[]] * 7  # nobody was so much as asked
    before = state(databases)
    assert [bool(one) for one in before] == [True] * 4 + [False] * 8, run.output
    assert "Rollout failed: 4 after, 1 failed, 7 not begun" in run.stdout
    assert "division by zero" in run.stdout
    assert fifth.sessions() == []

    fifth.psql("UPDATE divisor SET n = 1")
    second = again(command, run)
    assert second.stdout.splitlines()[-1] == "Rollout done: 12 after"
    after = state(databases)
    assert after[:4] == before[:4]
    assert all(after)
    assert [line.strip().split("]")[0] for line in second.stdout.splitlines() if "changed:" in line]
    assert "[@postgres/4]" not in second.stdout


def test_the_readme_s_rollout_is_stopped_or_paused_by_its_probes(
    project: Project, new_database: Databases, command: Command, checkout: Path
) -> None:
    readme = (checkout / "README.md").read_text()
    (shown,) = re.findall(r"```python\n# tenants.py\n(.*?)```", readme, re.DOTALL)
    commands = re.findall(r"^pyinfra-postgres (rollout tenants\.py .*?)(?: +#.*)?$", readme, re.M)
    plain, for_machines, accepting = map(shlex.split, commands[:3])
    databases = [new_database() for _ in range(3)]
    for number, database in enumerate(databases, 1):
        database.psql(
            "CREATE TABLE divisor AS SELECT 1 AS n; CREATE TABLE orders (created_at timestamptz)"
        )
        shown = shown.replace(f"service=tenant-{number}", database.dsn)
    shown = shown.replace("bake=600", "bake=1").replace("seconds=5", "seconds=0.1")
    project.write("tenants.py", shown)
    project.deploy(DEPLOY)
    project.deploy('pg.check("A row", "SELECT count(*) FROM t", [(1,)])', name="verify.py")
    canary, *tenants = databases

    paused = command(*plain)
    assert paused.code == 3, paused.output
    assert "canaries is left alone for 1 s, until" in paused.stdout
    for title in "lock waiters", "deadlocks", "replication lag", "verify":
        assert f"    {title}: 1 pass" in paused.stdout
    assert "    orders come in: 1 inconclusive" in paused.stdout
    assert shlex.split(paused.stdout.splitlines()[-1])[1:] == accepting
    assert [one.psql(IS_AFTER) for one in databases] == ["1", "0", "0"]

    canary.psql("INSERT INTO orders VALUES ('2020-01-01')")
    with canary.holding("SELECT pg_advisory_lock(5)"), closing(canary.connect()) as waiter:
        waiter.pgconn.send_query(b"SELECT pg_advisory_lock(5)")
        failed = command(*for_machines)
        waiter.cancel()
    assert failed.code == 1, failed.output
    events = [json.loads(line) for line in failed.stdout.splitlines()]
    assert {one["probe"]: one["verdict"] for one in events if one["event"] == "probe"} == {
        "lock waiters": "fail",
        "deadlocks": "pass",
        "replication lag": "pass",
        "orders come in": "fail",
        "verify": "pass",
    }
    assert events[-1]["ended"] == "failed"
    # Those of a wave come by their size.
    assert events[-1]["hosts"] == {
        "equal": ["@postgres/tenant-1"],
        "not begun": ["@postgres/tenant-3", "@postgres/tenant-2"],
    }
    assert "bake" not in {one["event"] for one in events}  # nothing had changed

    canary.psql("TRUNCATE orders")
    assert again(command, paused).stdout.splitlines()[-1] == "Rollout done: 3 after"
    assert [one.psql(IS_AFTER) for one in tenants] == ["1", "1"]


SLOW = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", primary_key=True)])
        pg.sql("INSERT INTO t SELECT 1 FROM pg_sleep((SELECT seconds FROM slow))",
               unless="SELECT EXISTS (SELECT FROM pg_tables WHERE tablename = 't')")
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_what_ends_it_leaves_each_database_before_or_after(
    project: Project,
    new_database: Databases,
    start: Start,
    command: Command,
    number: signal.Signals,
) -> None:
    """SIGKILL takes the process that works; the others the command."""
    databases = [new_database() for _ in range(3)]
    for place, database in enumerate(databases):
        database.psql(f"CREATE TABLE slow AS SELECT {60 if place == 1 else 0} AS seconds")
    inventory(project, databases, '{"canaries": Wave(match="canaries", parallel=2), "r": Wave()}')
    project.deploy(SLOW)
    process = start(*ROLLOUT, "--processes", "1")
    slow = databases[1]
    until(lambda: any("pg_sleep" in query for _, _, query in slow.sessions()), 60)
    until(lambda: databases[0].psql(IS_AFTER) == "1", 60)
    if number is signal.SIGKILL:
        (working,) = children(process)
        os.kill(working, number)
    else:
        working = 0
        process.send_signal(number)
    run = ended(process)
    assert run.code == (1 if number is signal.SIGKILL else 128 + number), run.output
    assert "Traceback" not in run.output
    if working:
        assert has_ended(working)
        assert "was ended by SIGKILL: whether it is before or after is not known" in run.stdout
        slow.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'"
        )
    else:
        assert "[@postgres/2] stopped" in run.stdout
        assert "interrupted, before: nothing was changed" in run.stdout
    until(lambda: slow.sessions() == [])
    assert [one.psql(IS_AFTER) for one in databases] == ["1", "0", "0"]
    slow.psql("UPDATE slow SET seconds = 0")
    assert again(command, run).stdout.splitlines()[-1] == "Rollout done: 3 after"


EXECUTORS = {
    "a pool of processes": """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        def executor():
            return ProcessPoolExecutor(2, mp_context=get_context("spawn"))
        """,
    "a Dask cluster": """
        from distributed import Client, LocalCluster

        def executor():
            cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            return Client(cluster).get_executor()
        """,
}


@pytest.mark.parametrize("code", EXECUTORS.values(), ids=EXECUTORS)
def test_any_executor_will_do(
    project: Project, new_database: Databases, command: Command, code: str
) -> None:
    databases = several(new_database, 4, failing=4)
    inventory(
        project,
        databases,
        '{"canaries": Wave(match="canaries", parallel=2, probes=[Deadlocks()]), '
        '"rest": Wave(on_error="continue")}',
    )
    project.deploy(DEPLOY)
    project.write("cluster.py", code)
    run = command(*ROLLOUT, "--executor", "cluster:executor", "--processes", "2", "--json")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.code == 1, run.output
    assert [one.psql(IS_AFTER) for one in databases] == ["1", "1", "1", "0"]
    assert {one["status"] for one in events if one["event"] == "host"} == {"changed", "failed"}
