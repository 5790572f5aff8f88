"""`--data detailed_exitcode=true`: a dry run of pyinfra's that ends with what it has found."""

from __future__ import annotations

import pytest

from harness import Database, Project, one_version

DETAILED = ("--dry", "--data", "detailed_exitcode=true")
TABLE = 'pg.table("t", [pg.Column("id", "integer")])\n'


@pytest.fixture
def host(project: Project, database: Database) -> Database:
    """A database with the table that the deploy declares."""
    database.psql("CREATE TABLE t (id integer)")
    project.inventory({"one": database.dsn})
    project.deploy(TABLE)
    return database


@one_version
def test_it_says_whether_anything_would_change(project: Project, host: Database) -> None:
    assert project.run("inventory.py", "deploy.py", *DETAILED).succeeded().code == 0
    host.psql("ALTER TABLE t ADD more text, ALTER id TYPE bigint")
    project.deploy(TABLE.replace("integer", "smallint"))
    run = project.run("inventory.py", "deploy.py", *DETAILED, "--json")
    assert run.code == 2
    assert '"failed_hosts"' not in run.stdout  # pyinfra's own output is what it was
    assert project.run("inventory.py", "deploy.py", "--dry").succeeded().code == 0
    project.deploy(TABLE.replace("integer", "bigint"))
    run = project.run("inventory.py", "deploy.py", "-y", "--data", "detailed_exitcode=true")
    assert run.succeeded().code == 0


@one_version
@pytest.mark.parametrize(
    ("deploy", "arguments", "message"),
    [
        (f"{TABLE}raise RuntimeError('later')", (), "RuntimeError: later"),
        (f"{TABLE}pg.enum('x.t', [''])", (), "Operation error"),
        ('pg.index("i", "u", ["a"])', (), "needs table public.u, which does not exist"),
        (TABLE, ("--limit", "nowhere"), "detailed_exitcode: no host was looked at"),
        (TABLE, ("-y",), "detailed_exitcode: -y skips looking for changes"),
    ],
    ids=["an exception", "a wrong declaration", "a refusal", "no host", "no look"],
)
@pytest.mark.usefixtures("host")
def test_what_fails_is_neither(
    project: Project, deploy: str, arguments: tuple[str, ...], message: str
) -> None:
    """Though there is a difference before it."""
    project.deploy(f'pg.table("new", [pg.Column("id", "integer")])\n{deploy}')
    run = project.run("inventory.py", "deploy.py", *DETAILED, *arguments)
    assert run.code == 1
    assert message in run.output


def test_an_unreachable_host_is_neither(project: Project, unreachable_dsn: str) -> None:
    project.inventory({"gone": {"postgres_dsn": unreachable_dsn, "postgres_connect_attempts": 1}})
    project.deploy(TABLE)
    assert project.run("inventory.py", "deploy.py", *DETAILED).failed().code == 1


@one_version
def test_hosts_with_a_shell_alone_can_not_say_it(project: Project, host: Database) -> None:
    path = {"PATH": f"{host.server.binaries}:/usr/bin:/bin"}
    project.inventory({"@local": host.dsn})
    run = project.run("inventory.py", "deploy.py", *DETAILED, env=path).failed()
    assert run.code == 1
    assert "use pyinfra-postgres drift" in run.output
    project.inventory({"@local": host.dsn, "beside": host.dsn})
    assert project.run("inventory.py", "deploy.py", *DETAILED, env=path).succeeded().code == 0
    host.psql("DROP TABLE t")
    run = project.run("inventory.py", "deploy.py", *DETAILED, env=path)
    assert run.code == 2
