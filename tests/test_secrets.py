"""Passwords, tokens and hidden values show up nowhere, however loud a run is and however it fails.

Each of them holds the same mark. It is looked for in what runs print, in the files that they leave,
in the titles of processes while they run, and in what the server logs of them.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import (
    PASSWORD,
    TOKEN,
    Database,
    FakeNeon,
    PasswordRole,
    Project,
    Run,
    finished,
    one_version,
    until,
)
from harness.servers import OBSERVER

pytestmark = one_version

MARK = "M4RKED"
LOUD = ("-vvv", "--debug", "--debug-all", "--diff")
DEPLOY = f"""
    from pyinfra import state
    from pyinfra.api import HiddenValue, operation

    columns = [pg.Column("id", "int", primary_key=True), pg.Column("token", "text", unique=True)]


    @operation()
    def breaks():
        if state.is_executing:
            raise RuntimeError("this is nobody's fault")
        yield "nothing"


    pg.table("t", columns)
    pg.rows("t", [dict(id=1, token=HiddenValue("{MARK}"))], key="id")
    pg.sql("SELECT pg_sleep(1)")
    breaks()
"""
TWICE = f"""
    from pyinfra.api import HiddenValue

    pg.rows("t", [dict(id=2, token=HiddenValue("{MARK}"))], key="id")
"""
INVENTORY = """
    from pyinfra_postgres.inventory import required

    dsn = required(GOOD="a", WRONG="b", BROKEN="c", AWAY="d")
    good = [("@postgres/good", {"postgres_dsn": dsn["GOOD"]})]
    bad = [
        ("@postgres/wrong", {"postgres_dsn": dsn["WRONG"]}),
        ("@postgres/broken", {"postgres_dsn": dsn["BROKEN"]}),
        ("@postgres/away", {"postgres_dsn": dsn["AWAY"]}),
    ]
"""


@pytest.fixture
def role(database: Database) -> PasswordRole:
    """A role with a marked password, who owns the database."""
    role = PasswordRole(f"pw_{secrets.token_hex(3)}", f"{MARK}right")
    database.psql(
        f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}' IN ROLE password_users;"
        f"ALTER DATABASE {database.name} OWNER TO {role.name};"
        f"ALTER SCHEMA public OWNER TO {role.name}"
    )
    return role


@pytest.fixture
def nowhere(project: Project, database: Database) -> Callable[..., None]:
    """Call it with runs that have ended, to look for the marks."""
    before = len(database.server.log_entries())

    def look(*runs: Run) -> None:
        written = [path for path in project.path.rglob("*") if path.suffix != ".py"]
        places = [run.output for run in runs]
        places += [path.read_text() for path in written if path.is_file()]
        places += [
            entry.message
            for entry in database.server.log_entries()[before:]
            # With log_statement = all, the server logs values as well.
            if entry.application != OBSERVER and "INSERT" not in entry.message
        ]
        for secret in (MARK, TOKEN, PASSWORD):
            assert not [place for place in places if secret in place]

    return look


def titles_while_it_sleeps(database: Callable[[], Database | None]) -> list[str]:
    """The command lines of all processes while a run executes its `pg_sleep`."""

    def asleep() -> bool:
        found = database()
        return found is not None and any("pg_sleep" in query for *_, query in found.sessions())

    until(asleep)
    titles = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            titles.append(path.read_text(errors="replace"))
        except OSError:  # it has ended
            continue
    assert any("pyinfra" in title for title in titles)
    return titles


def test_of_databases(
    project: Project,
    database: Database,
    role: PasswordRole,
    nowhere: Callable[..., None],
    unreachable_dsn: str,
) -> None:
    project.write("inventory.py", INVENTORY)
    project.deploy(DEPLOY)
    project.deploy(TWICE, name="twice.py")
    env = {
        "GOOD": role.dsn(database),
        "WRONG": role.dsn(database, f"{MARK}wrong"),
        "BROKEN": f"postgresql://u:{MARK}@/x?colour=red",
        "AWAY": unreachable_dsn.replace("postgres@", f"postgres:{MARK}@"),
        "XDG_CACHE_HOME": str(project.path / "cache"),
    }

    def run(*arguments: str) -> Run:
        return project.run("inventory.py", *arguments, *LOUD, env=env)

    process = project.start("inventory.py", "deploy.py", "-y", "--limit", "good", *LOUD, env=env)
    titles = titles_while_it_sleeps(lambda: database)
    broken = finished(process)
    assert "this is nobody's fault" in (project.path / "pyinfra-debug.log").read_text()
    twice = run("twice.py", "-y", "--limit", "good").failed()
    assert "duplicate key" in twice.output
    unconnected = run("deploy.py", "-y", "--limit", "bad", "--data", "postgres_connect_attempts=1")
    for reason in ("password authentication failed", "is no connection string", "No such file"):
        assert reason in unconnected.failed().output
    nowhere(
        *(broken, twice, unconnected, Run(0, "\n".join(titles), "")),
        run("debug-inventory").succeeded(),
        run("fact", "pyinfra_postgres.facts.Catalog", "--limit", "good").succeeded(),
        run("pyinfra_postgres.sql", "SELECT 1 / 0", "--limit", "good").failed(),
    )


def test_of_neon(
    project: Project,
    database: Database,
    role: PasswordRole,
    nowhere: Callable[..., None],
    fake_neon: FakeNeon,
) -> None:
    shop = fake_neon.project("shop")
    credentials: dict[str, Any] = {"databases": {"app": database}, "role": role.name}
    fake_neon.branch(shop, "main", password=role.password, **credentials)
    fake_neon.branch(shop, "wrong", password=f"{MARK}wrong", **credentials)
    project.deploy('pg.sql("SELECT pg_sleep(1)")\npg.sql("SELECT 1 / 0")\n')

    def run(*arguments: str) -> Run:
        return project.run(*arguments, *LOUD, env=fake_neon.environment)

    copies: list[Database] = []
    fake_neon.on_create = lambda copy: copies.append(copy.databases["app"])
    rehearsal = project.start(
        *("rehearse", "@neon/shop/main", "deploy.py", "-vvv", "--diff"),
        env=fake_neon.environment,
        module="pyinfra_postgres.cli.main",
    )
    titles = titles_while_it_sleeps(lambda: copies[0] if copies else None)
    rehearsal.send_signal(signal.SIGTERM)
    wrong = run("@neon/shop/wrong", "deploy.py", "-y").failed()
    assert "password authentication failed" in wrong.output
    nowhere(
        *(finished(rehearsal).failed(), wrong, Run(0, "\n".join(titles), "")),
        run("@neon/shop", "debug-inventory").succeeded(),
        run("@neon/shop/main", "deploy.py", "-y").failed(),
        run("@neon/nope", "deploy.py", "-y").failed(),
    )
