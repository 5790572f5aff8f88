"""Self-hosted servers: the SSH user, through sudo, is the database's account."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.server import UNPRIVILEGED
from harness import (
    NEWEST,
    Database,
    Databases,
    PasswordRole,
    Platform,
    Project,
    Relay,
    SSHServer,
    TestServer,
    accept,
    finished,
    needs_ssh,
    one_version,
    peer_server,
    ssh_server,
    until,
)

pytestmark = needs_ssh


@pytest.fixture(scope="module")
def peer() -> Iterator[TestServer]:
    """A server that listens on its socket only, with peer authentication."""
    with peer_server(NEWEST) as running:
        yield running


@pytest.fixture(scope="module")
def ssh(peer: TestServer) -> Iterator[SSHServer]:
    """The way to that server."""
    with ssh_server(peer) as running:
        yield running


@pytest.fixture
def databases(peer: TestServer) -> Iterator[Databases]:
    made = Databases(peer)
    yield made
    made.remove()


@pytest.fixture
def far(databases: Databases) -> Database:
    """A database behind SSH."""
    return databases()


def test_one_deploy_for_hosts_of_every_kind(
    project: Project, platform: Platform, ssh: SSHServer, databases: Databases
) -> None:
    far, near, direct = (databases() for _ in range(3))
    project.inventory(
        {"@ssh/far": ssh.host(far), "@local": {"postgres_dsn": near.dsn}, "direct": direct.dsn}
    )
    path = {"PATH": f"{far.server.binaries}:/usr/bin:/bin"}

    def run(script: str) -> str:
        where = platform.scripts / f"{script}.py"
        return project.run("inventory.py", where, "-y", env=path).succeeded().output

    assert len(re.findall(r"created, .* in \d+ ms", run("deploy"))) == 3
    assert "CREATE TABLE public.sync_progress" in far.dump()
    assert far.dump() == near.dump() == direct.dump()
    assert "created," not in run("deploy")
    run("verify")
    run("rollback")
    assert "sync_progress" not in far.dump()
    assert far.dump() == near.dump() == direct.dump()


def test_the_catalog_as_a_fact(project: Project, ssh: SSHServer, far: Database) -> None:
    far.psql("CREATE TABLE t (a int)")
    project.inventory({"@ssh/far": ssh.host(far)})
    run = project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog", "--json")
    (fact,) = json.loads(run.succeeded().stdout).values()
    assert "a integer" in fact["@ssh/far"]["table"]["public.t"]


# Passwords.


@contextlib.contextmanager
def reached_by_tcp(database: Database) -> Iterator[int]:
    """The port at which a database's server is reached by TCP."""

    def route(_: socket.socket) -> socket.socket:
        target = socket.socket(socket.AF_UNIX)
        target.connect(str(database.server.socket))
        return target

    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(listener, route)
        yield listener.getsockname()[1]
        relay.end()


def seen_in_proc(secret: str, until_set: threading.Event) -> list[str]:
    """Where a secret stands in the arguments or the environment of a process."""
    found: set[str] = set()
    while not until_set.is_set():
        for process in Path("/proc").iterdir():
            for name in ("cmdline", "environ") if process.name.isdigit() else ():
                with contextlib.suppress(OSError):
                    if secret.encode() in (process / name).read_bytes():
                        found.add(f"{name}: {(process / 'comm').read_text()}")
    return sorted(found)


@one_version
def test_a_password_is_in_no_process_list(
    project: Project, ssh: SSHServer, database: Database, password_role: PasswordRole
) -> None:
    database.psql(f'GRANT ALL ON DATABASE "{database.name}" TO {password_role.name}')
    with reached_by_tcp(database) as port:
        data: dict[str, Any] = {
            "_sudo": False,
            "postgres_host": "127.0.0.1",
            "postgres_port": port,
            "postgres_user": password_role.name,
            "postgres_password": password_role.password,
        }
        project.inventory({"@ssh/far": ssh.host(database, **data)})
        project.deploy(
            """
            with pg.transaction():
                pg.schema("s")
                pg.sql("SELECT pg_sleep(1)")
            """
        )
        ended, found = threading.Event(), list[str]()
        watcher = threading.Thread(
            target=lambda: found.extend(seen_in_proc(password_role.password, ended))
        )
        watcher.start()
        output = project.run("inventory.py", "deploy.py", "-y", "-vvv", "--debug").output
        fact = project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog", "--json")
        ended.set()
        watcher.join()
    assert "1 created, 1 run" in output
    assert found == []
    assert password_role.password not in output
    assert "s" in json.loads(fact.succeeded().stdout).popitem()[1]["@ssh/far"]["schema"]
    owner = "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 's'"
    assert database.psql(owner) == password_role.name


# A connection that drops.

BEFORE_AND_AFTER = """
    with pg.transaction():
        pg.enum("status", ["a", "b"])
        pg.table("t", [pg.Column("s", "status", default="'b'"), pg.Column("n", "integer")])
        pg.index("i", "u", ["n"])
"""
TYPE = "CREATE TYPE status AS ENUM ('a')"
TABLES = "CREATE TABLE t (s status, n integer); CREATE TABLE u AS SELECT 1 AS n"


@pytest.fixture(scope="module")
def whole(peer: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dump of a database on which the deploy was complete."""
    databases = Databases(peer)
    database = databases()
    database.psql(f"{TYPE}; {TABLES}")
    project = Project(tmp_path_factory.mktemp("whole"))
    project.deploy(BEFORE_AND_AFTER)
    project.inventory({"whole": database.dsn})
    project.run().succeeded()
    yield database.dump()
    databases.remove()


def active(database: Database, text: str) -> bool:
    """Whether a statement with this text is under way."""
    return any(text in query for _, state, query in database.sessions() if state == "active")


def asked(database: Database, text: str) -> bool:
    """Whether a statement with this text has been sent."""
    entries = database.server.log_entries()
    return any(one.database == database.name and text in one.message for one in entries)


def ended(database: Database) -> None:
    """Wait until nobody is connected."""
    until(lambda: database.sessions() == [], 60)


@pytest.mark.parametrize(
    ("holds", "waits", "known", "states"),
    [
        ("SELECT pg_advisory_lock(1886220904, 1)", "", "Nothing was changed", {0}),
        ("ALTER TYPE status ADD VALUE 'x'", "ADD VALUE", "whole or not at all", {0, 1, 2, 3}),
        ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE", "whole or not at all", {1, 2, 3}),
        ("INSERT INTO u VALUES (2)", "CONCURRENTLY", "The transaction is in place", {2, 3}),
    ],
    ids=["waiting for a deploy", "before", "waiting for a lock", "after"],
)
def test_a_dropped_connection_leaves_before_or_after(
    project: Project,
    ssh: SSHServer,
    far: Database,
    whole: str,
    holds: str,
    waits: str,
    known: str,
    states: set[int],
) -> None:
    """Steps of the plan that are complete: the label, the transaction, the index."""
    far.psql(f"{TYPE}; {TABLES}")
    project.deploy(BEFORE_AND_AFTER)

    def state() -> int:
        label = far.psql("SELECT count(*) FROM pg_enum WHERE enumlabel = 'b'")
        default = far.psql("SELECT count(*) FROM pg_attrdef")
        index = far.psql(
            "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'u'::regclass"
        )
        assert default == "0" or label == "1"
        assert index == "0" or default == "1"
        return int(label) + int(default) + int(index)

    with ssh.network() as (network, port), far.holding(holds) as holder:
        project.inventory({"@ssh/far": ssh.host(far, port=port)}, postgres_lock_timeout=20000)
        process = project.start()
        if waits:
            until(lambda: active(far, waits), 60)
        else:
            until(lambda: asked(far, "pg_try_advisory_lock"), 60)
        network.end()
        output = finished(process).failed().output
        assert known in output
        holder.rollback()
    ended(far)
    assert state() in states

    project.inventory({"@ssh/far": ssh.host(far)})
    project.run().succeeded()
    assert state() == 3
    assert far.dump() == whole


def test_a_network_that_comes_back_is_used(project: Project, ssh: SSHServer, far: Database) -> None:
    """The run finds its orphan by the deploy lock, waits for it, and learns what it did."""
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer")])
            pg.sql("SELECT pg_advisory_xact_lock(42)")
        """
    )
    held = far.holding("SELECT pg_advisory_xact_lock(42)")
    with ssh.network() as (network, port), held as holder:
        project.inventory({"@ssh/far": ssh.host(far, port=port)})
        process = project.start()
        until(lambda: active(far, "xact_lock"), 60)
        network.cut()
        holder.rollback()
        output = finished(process).succeeded().output
    assert "the connection was lost: " in output
    assert re.search("the transaction was (not )?committed", output)
    assert "CREATE TABLE public.t" in far.dump()
    ended(far)


SLEEPS = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer")])
        pg.sql("SELECT pg_sleep(60)")
"""


def test_ctrl_c_ends_what_runs_on_the_host(project: Project, ssh: SSHServer, far: Database) -> None:
    """No signal goes through SSH: a second psql cancels the first."""
    project.inventory({"@ssh/far": ssh.host(far)})
    project.deploy(SLEEPS)
    process = project.start()
    until(lambda: active(far, "pg_sleep"), 60)
    process.send_signal(signal.SIGINT)
    run = finished(process).failed()
    assert run.code == 130
    assert "[@ssh/far] interrupted, before: nothing was changed" in run.output
    ended(far)
    assert "CREATE TABLE" not in far.dump()


def test_a_network_that_falls_silent_is_not_waited_for(
    project: Project, ssh: SSHServer, far: Database
) -> None:
    project.deploy(SLEEPS)
    with ssh.network() as (network, port):
        project.inventory({"@ssh/far": ssh.host(far, port=port)}, postgres_answer_timeout=2)
        process = project.start()
        until(lambda: active(far, "pg_sleep"), 60)
        network.mute()
        output = finished(process, timeout=50).failed().output
    assert "the server has said nothing for 2 s" in output
    assert "in place as a whole or not at all" in output


def test_the_inventory_in_the_readme(
    project: Project, ssh: SSHServer, far: Database, checkout: Path
) -> None:
    (text,) = re.findall(
        r"```python\n# servers.py\n(.*?)```", (checkout / "README.md").read_text(), re.DOTALL
    )
    shown: dict[str, Any] = {}
    exec(text, shown)  # noqa: S102
    ((name, data),) = shown["servers"]
    # What ~/.ssh/config has elsewhere, and the names that a Debian package gives.
    written = far.server.data / "pg_hba.new"
    project.inventory({"@ssh/far": data | ssh.host(far, written=str(written))})
    project.deploy(
        """
        from pyinfra.operations import files

        files.line(host.data.written, "local all all peer")
        pg.schema("s")
        """
    )
    assert name == "db1.internal"
    assert set(data) <= set(ssh.host(far))
    assert "1 created" in project.run().succeeded().output
    assert written.read_text() == "local all all peer\n"
    assert written.owner() == UNPRIVILEGED


def test_what_stands_in_the_way_is_said_with_what_to_do(
    project: Project, ssh: SSHServer, far: Database
) -> None:
    project.inventory(
        {
            "@ssh/sudo": ssh.host(far, _sudo_user="root"),
            "@ssh/peer": ssh.host(far, postgres_user="somebody"),
            "@ssh/database": ssh.host(far, postgres_database="nothing"),
            "@ssh/server": ssh.host(far, postgres_host="/nowhere"),
        }
    )
    project.deploy('pg.schema("s")\n')
    output = project.run().failed().output
    for host, advice in {
        "sudo": "allow it in the host's sudoers, or set _sudo_password",
        "peer": "correct it or postgres_user, or map them in pg_ident.conf",
        "database": "Create the database, or correct postgres_database",
        "server": "start it, or set postgres_host and postgres_port",
    }.items():
        said = (
            rf"@ssh/{host}\] +schema s: could not reach the database: .*[.] .*{re.escape(advice)}"
        )
        assert re.search(said, output), output


def test_the_acceptance_tests_look_at_the_machine_too(
    project: Project, platform: Platform, ssh: SSHServer, far: Database
) -> None:
    inventory = project.inventory({"@ssh/far": ssh.host(far)})
    project.run("inventory.py", platform.scripts / "deploy.py", "-y").succeeded()
    done = accept("--inventory", inventory, "--writes", "-k", "server or tenant").succeeded()
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)", done.stdout, re.MULTILINE)
    assert set(skipped) <= {"the machine has no systemd"}
