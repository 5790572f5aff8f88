"""`pyinfra-postgres drift`: 0 where all are equal, 2 where some differ, 1 where nobody knows."""

from __future__ import annotations

import json
import signal

import pytest

from fleet.conftest import Command, Start, children, ended, has_ended
from harness import Database, Databases, Project, one_version, until

pytestmark = one_version
DRIFT = ("drift", "inventory.py", "deploy.py")
LOCK = "SELECT pg_advisory_lock(1886220904, 1)"
DEPLOY = """
    with pg.transaction():
        pg.schema("shop")
        pg.table("shop.item", [pg.Column("id", "integer", primary_key=True)])
    with pg.transaction():
        pg.table("shop.later", [pg.Column("id", "integer")])
"""
MADE = """
    CREATE SCHEMA shop; CREATE TABLE shop.item (id integer PRIMARY KEY);
    CREATE TABLE shop.later (id integer);
"""


@pytest.fixture
def databases(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """Two databases that are as the deploy declares."""
    one, two = new_database(), new_database()
    for database in one, two:
        database.psql(MADE)
    project.inventory({"one": one.dsn, "two": two.dsn}, postgres_deploy_lock_timeout=20)
    project.deploy(DEPLOY)
    return one, two


def test_equal_and_different(
    project: Project, databases: tuple[Database, Database], command: Command
) -> None:
    one, two = databases
    # What nobody declares is told of both, all of it, and is no difference.
    for number in range(5):
        one.psql(f"CREATE TABLE shop.own{number} ()")
    equal = command(*DRIFT)
    assert equal.code == 0
    assert [line.strip().split("   ")[0] for line in equal.stdout.splitlines()[1:6]] == [
        f"table shop.own{number}" for number in range(5)
    ]
    assert equal.stdout.splitlines()[-1] == "2 equal, undeclared objects in 1"
    assert "later" not in equal.stdout
    two.psql("ALTER TABLE shop.item ALTER id TYPE bigint; DROP TABLE shop.later")
    dump = two.dump()
    different = command(*DRIFT, "--json")
    assert different.code == 2
    found = json.loads(different.stdout)
    assert found["status"] == "different"
    hosts = {host["host"]: host for host in found["hosts"]}
    assert [len(host["undeclared"]) for host in hosts.values()] == [5, 0]
    assert [host["status"] for host in hosts.values()] == ["equal", "different"]
    assert hosts["@postgres/two"]["counts"] == {"create": 1, "change": 1}
    assert [change["object"] for change in hosts["@postgres/two"]["changes"]] == [
        "table shop.item",
        "table shop.later",
    ]
    assert two.dump() == dump
    assert command(*DRIFT, "--limit", "@postgres/one").code == 0
    assert project.run("inventory.py", "deploy.py", "-y").succeeded().code == 0


@pytest.mark.usefixtures("databases")
def test_an_error_is_neither_though_others_are_compared(
    project: Project, databases: tuple[Database, Database], command: Command, unreachable_dsn: str
) -> None:
    one, two = databases
    two.psql("ALTER SCHEMA shop RENAME TO store")
    gone = {"postgres_dsn": unreachable_dsn, "postgres_connect_attempts": 1}
    project.inventory({"one": one.dsn, "two": two.dsn, "gone": gone})
    run = command(*DRIFT)
    assert run.code == 1
    assert "[@postgres/gone] unreachable" in run.stdout
    assert "Could not connect" in run.stdout
    assert run.stdout.splitlines()[-1] == "1 equal, 1 different, 1 unreachable"


@pytest.mark.parametrize(
    ("deploy", "message"),
    [
        ("import os\nos.kill(os.getpid(), 9)", "its process was ended by SIGKILL"),
        ("import os\nos._exit(0)", "its process ended with status 0"),
        ("raise SystemExit(0)", "the run left: SystemExit(0)"),
        ("1 / 0", "deploy.py line 11: ZeroDivisionError: division by zero"),
        ('pg.index("i", "shop.gone", ["a"])', "needs table shop.gone, which does not exist"),
    ],
    ids=["killed", "gone", "left", "an exception", "refused"],
)
@pytest.mark.usefixtures("databases")
def test_a_crash_is_never_equal(
    project: Project, command: Command, deploy: str, message: str
) -> None:
    project.deploy(f"{DEPLOY.replace(4 * ' ', '', 1)}\n".replace("\n    ", "\n") + deploy)
    run = command(*DRIFT)
    assert run.code == 1, run.output
    assert message in run.stdout
    assert "equal" not in run.stdout
    assert "undeclared" not in run.stdout  # as far as it was read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("drift", "inventory.py", "gone.py"), "there is no deploy file gone.py"),
        (("drift", "gone.py", "deploy.py"), "gone.py has no hosts"),
        ((*DRIFT, "--limit", "nowhere"), "no host matches --limit nowhere"),
        ((*DRIFT, "--data", "wrong"), "--data wrong: write key=value"),
        ((*DRIFT, "--data", "plan=plans"), "--data plan=plans: `pyinfra --dry` keeps plans"),
        ((*DRIFT, "--executor", "nowhere:none"), "--executor nowhere:none: ModuleNotFoundError"),
        (("drift", "--wrong"), "No such option"),
        (("drfit",), "No such command"),
    ],
)
@pytest.mark.usefixtures("databases")
def test_a_command_line_that_is_wrong_is_an_error(
    command: Command, arguments: tuple[str, ...], message: str
) -> None:
    run = command(*arguments)
    assert run.code == 1
    assert message in run.output


def test_a_deploy_under_way_is_waited_for(
    databases: tuple[Database, Database], project: Project, start: Start, command: Command
) -> None:
    one, two = databases
    one.psql("DROP TABLE shop.later")  # what the deploy has not made yet
    with one.holding(LOCK) as deploy:
        process = start(*DRIFT)
        assert process.stderr
        assert "[@postgres/one] waiting for the deploy of observer" in process.stderr.readline()
        deploy.execute("CREATE TABLE shop.later (id integer)")
        deploy.commit()
        deploy.execute("SELECT pg_advisory_unlock_all()")
        run = ended(process)
    assert (run.code, run.stdout) == (0, "2 equal\n")
    project.inventory({"one": one.dsn, "two": two.dsn}, postgres_deploy_lock_timeout=0.5)
    with two.holding(LOCK):
        run = command(*DRIFT)
    assert run.code == 1
    assert "a deploy is under way for more than 0.5 s: observer (pid " in run.stdout


def test_what_changes_while_it_is_read_is_read_again(
    databases: tuple[Database, Database], project: Project, command: Command
) -> None:
    """Else what a deploy has half made would be a difference."""
    one, _ = databases
    one.psql("DROP TABLE shop.later")
    project.deploy(
        f"""
        import psycopg

        with pg.transaction():
            pg.schema("shop")
            pg.table("shop.item", [pg.Column("id", "integer", primary_key=True)])
            pg.table("shop.later", [pg.Column("id", "integer")])
        with psycopg.connect({one.dsn!r}) as other:
            other.execute("CREATE TABLE IF NOT EXISTS shop.later (id integer)")
        """
    )
    run = command(*DRIFT)
    assert (run.code, run.stdout) == (0, "2 equal\n")


def test_one_that_never_rests_is_an_error(
    databases: tuple[Database, Database], project: Project, command: Command
) -> None:
    one, _ = databases
    one.psql("DROP TABLE shop.later")
    project.deploy(
        f"""
        import time
        import psycopg

        with pg.transaction():
            pg.table("shop.later", [pg.Column("id", "integer")])
        with psycopg.connect({one.dsn!r}) as other:
            other.execute(f"CREATE TABLE another{{time.monotonic_ns()}} ()")
        """
    )
    run = command(*DRIFT, "--limit", "@postgres/one")
    assert run.code == 1
    assert "its catalog changed each of the 3 times that it was compared" in run.stdout


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_nothing_goes_on_behind_a_signal(
    databases: tuple[Database, Database], start: Start, number: signal.Signals
) -> None:
    one, _ = databases
    with one.holding(LOCK):
        process = start(*DRIFT)
        assert process.stderr
        assert "waiting for the deploy" in process.stderr.readline()
        working = children(process)
        assert working
        process.send_signal(number)
        run = ended(process)
        until(lambda: all(map(has_ended, working)))
    assert run.code == (-number if number is signal.SIGKILL else 128 + number)
    assert "Traceback" not in run.output
    until(lambda: one.sessions() == [])


def test_what_waits_for_a_phase_is_told_and_is_no_difference(
    project: Project, databases: tuple[Database, Database], command: Command
) -> None:
    databases[0].psql("CREATE SCHEMA old")
    project.deploy("""
        with pg.transaction():
            pg.schema("shop")
            with pg.transaction(phase="contract"):
                pg.schema("old", present=False)
    """)
    waiting = command(*DRIFT)
    assert waiting.code == 0
    assert "1 waits for contract (schema old)" in waiting.stdout
    assert "2 equal, phases wait in 1" in waiting.stdout
    assert command(*DRIFT, "--data", "postgres_phase=contract").code == 2
