"""Bad input: a clear error in a few lines, and nothing changes."""

from __future__ import annotations

import json
import re

import pytest

import pyinfra_postgres as pg
from harness import Database, PasswordRole, Project, Run, one_version, process

pytestmark = [one_version, pytest.mark.usefixtures("server")]


def plain(run: Run) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", run.output)


def messages(run: Run) -> list[str]:
    """What the run printed but for pyinfra's own progress."""
    progress = re.compile(
        r"\s*$|--> |\s+(Loading:|Operation\b|Grand total)|\s*\[\S+\] (Connected|Ready|Success)"
    )
    return [line for line in plain(run).splitlines() if not progress.match(line)]


# (declarations, what the message says)
BAD = {
    "unknown type": (
        'pg.table("t", [pg.Column("id", "inetger")])',
        "table public.t needs type public.inetger, which does not exist",
    ),
    "no type at all": ('pg.table("t", [pg.Column("id", "integer integer")])', "integer integer"),
    "injected type": (
        'pg.table("t", [pg.Column("id", "integer); DROP TABLE x; --")])',
        "DROP TABLE x",
    ),
    "bad default": ('pg.table("t", [pg.Column("id", "integer", default="1 +")])', "1 +"),
    "two expressions": (
        'pg.table("t", [pg.Column("id", "integer", default="1, 2")])',
        "default expression is of type record (SQLSTATE 42804)",
    ),
    "bad check": (
        'pg.table("t", [pg.Column("id", "integer")], constraints=[pg.Check("id >>> (", name="c")])',
        "id >>> (",
    ),
    "duplicate column": (
        'pg.table("t", [pg.Column("id", "integer"), pg.Column("id", "text")])',
        "column id is declared twice",
    ),
    "key of an unknown column": (
        'pg.table("t", [pg.Column("id", "integer")], constraints=[pg.PrimaryKey("di")])',
        "names the column di, which is not declared",
    ),
    "two primary keys": (
        'pg.table("t", [pg.Column("a", "integer", primary_key=True), '
        'pg.Column("b", "integer", primary_key=True)])',
        "table public.t has 2 primary keys",
    ),
    "bad name": ('pg.table("a.b.c.d", [])', "a.b.c.d"),
    "bad policy": (
        'pg.table("t", [pg.Column("id", "integer")]); '
        'pg.policy("p", "t", command="SELECT", using="id = = 1")',
        "id = = 1",
    ),
    "unknown column in a policy": (
        'pg.table("t", [pg.Column("id", "integer")]); '
        'pg.policy("p", "t", command="SELECT", using="missing = 1")',
        "there is no column missing in public.t",
    ),
    "broken function": (
        'pg.function("f", arguments="", returns="integer", language="sql", body="SELEC 1")',
        'function public.f(): syntax error at or near "SELEC"',
    ),
    "a function that the server refuses": (
        'pg.function("f", arguments="", returns="integer", language="sql", '
        'body="SELECT missing FROM pg_class")',
        'column "missing" does not exist (SQLSTATE 42703)',
    ),
    "a default of another type": (
        'pg.table("t", [pg.Column("id", "integer", default="true")])',
        "(SQLSTATE 42804)",
    ),
    "no SQL": ('pg.sql("SELEC 1")', "SELEC"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_declaration_is_named_and_nothing_changes(
    project: Project, pair: tuple[Database, Database], case: str
) -> None:
    declarations, message = BAD[case]
    project.deploy(f'with pg.transaction():\n    pg.schema("first")\n    {declarations}\n')
    run = project.run().failed()
    assert message in plain(run)
    for database in pair:
        assert "CREATE" not in database.dump()
        assert database.sessions() == []


@pytest.mark.parametrize(
    "case", ["unknown type", "no type at all", "bad default", "duplicate column"]
)
def test_a_dry_run_finds_it_too(
    project: Project, pair: tuple[Database, Database], case: str
) -> None:
    declarations, message = BAD[case]
    project.deploy(f"with pg.transaction():\n    {declarations}\n")
    run = project.run("inventory.py", "deploy.py", "--dry").failed()
    assert message in plain(run)
    assert len(messages(run)) < 12, run.output
    assert pair[0].sessions() == []


# Host data.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"postgres_dns": "x"}, "Unknown host data postgres_dns: did you mean postgres_dsn?"),
        ({"postgres_colour": "x"}, "Unknown host data postgres_colour: known: postgres_dsn, "),
        ({"postgres_lock_timeout": "soon"}, "postgres_lock_timeout must be a number, not 'soon'"),
        ({"postgres_lock_attempts": "many"}, "postgres_lock_attempts must be a number, not 'many'"),
        ({"postgres_deploy_lock_timeout": "long"}, "postgres_deploy_lock_timeout must be a number"),
        ({"postgres_today": 5}, "postgres_today must be a date like 2025-11-06, not 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_host_data_without_meaning_is_refused(
    project: Project, database: Database, data: dict[str, object], message: str
) -> None:
    project.inventory({"one": {"postgres_dsn": database.dsn, **data}})
    project.deploy('pg.schema("s")\n')
    run = project.run().failed()
    assert message in plain(run)
    assert len(messages(run)) < 8, run.output
    assert "CREATE" not in database.dump()


def test_of_a_host_that_failed_no_total_is_given(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.schema("s")

    said = process.run(database, deploy, dry=True, postgres_today="5").refused().messages
    assert "postgres_today must be a date" in said
    assert "no changes" not in said


# Connections.


def test_a_server_that_is_not_there(
    project: Project, database: Database, unreachable_dsn: str
) -> None:
    project.inventory({"one": database.dsn, "gone": unreachable_dsn})
    project.deploy('pg.schema("s")\n')
    run = project.run().failed()
    assert re.search(r"\[@postgres/gone\].*Could not connect: .*No such file", plain(run))
    assert "CREATE" not in database.dump()


def test_a_server_that_says_nothing(project: Project, silent_dsn: str) -> None:
    project.inventory({"silent": f"{silent_dsn}?connect_timeout=2"}, postgres_connect_attempts=1)
    project.deploy('pg.schema("s")\n')
    run = project.run(timeout=60).failed()
    assert re.search(r"\[@postgres/silent\].*Could not connect: .*timeout", plain(run))


def test_a_database_that_does_not_exist(project: Project, database: Database) -> None:
    project.inventory({"one": database.server.dsn("missing")})
    project.deploy('pg.schema("s")\n')
    assert 'database "missing" does not exist' in plain(project.run().failed())


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3cret@/x?colour=red",
        "host=/x pasword=s3cret",
        "s3cret",
        "postgresql://u:s3cret@[::1",
    ],
)
def test_a_dsn_that_is_none_is_not_repeated(project: Project, dsn: str) -> None:
    project.inventory({"one": dsn})
    project.deploy('pg.schema("s")\n')
    run = project.run("inventory.py", "deploy.py", "-y", "-vvv", "--debug").failed()
    assert "[@postgres/one] postgres_dsn is no connection string" in plain(run)
    assert "s3cret" not in run.output


def test_a_wrong_password_is_never_shown(
    project: Project, database: Database, password_role: PasswordRole
) -> None:
    wrong = "wr0ng:pass/word@"
    project.inventory({"one": password_role.dsn(database, wrong)})
    project.deploy('pg.schema("s")\n')
    run = project.run("inventory.py", "deploy.py", "-y", "-vvv", "--debug").failed()
    assert f'password authentication failed for user "{password_role.name}"' in plain(run)
    for secret in (wrong, "wr0ng", "pass%2Fword"):
        assert secret not in run.output


def test_a_role_that_may_not_gets_the_servers_own_reason(
    project: Project, database: Database, password_role: PasswordRole
) -> None:
    project.inventory({"one": password_role.dsn(database)})
    project.deploy('pg.sql("CREATE SCHEMA s")\n')  # of what is not declared nobody knows
    run = project.run().failed()
    assert f"permission denied for database {database.name} (SQLSTATE 42501)" in plain(run)
    assert "CREATE SCHEMA s" in plain(run)
    assert len(messages(run)) < 8, run.output


# A host that is only a database.


def test_shell_operations_are_refused_with_a_sentence(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        from pyinfra.operations import server

        server.shell(name="shell", commands=["echo hello"])
        """
    )
    run = project.run().failed()
    assert re.search(
        r"\[@postgres/one\].*@postgres/one is only a database, without a shell; use an SSH host",
        plain(run),
    )
    assert pair[0].sessions() == []


def test_files_are_refused_with_a_sentence(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        from pyinfra.operations import files

        files.put(name="put", src="inventory.py", dest="/tmp/x")
        """
    )
    run = project.run()  # the operation reads a fact, whose failure pyinfra itself shows at length
    assert run.code != 0
    assert "is only a database, without a shell" in plain(run)
    assert pair[0].sessions() == []


def test_a_host_without_a_name_is_refused(project: Project) -> None:
    project.deploy('pg.schema("s")\n')
    run = project.run("@postgres/", "deploy.py", "-y").failed()
    assert "A database host needs a name: write @postgres/NAME" in plain(run)


def test_the_catalog_fact_works_from_the_command_line(
    project: Project, pair: tuple[Database, Database]
) -> None:
    pair[0].psql('CREATE TABLE "Weird ""Name" (id integer); CREATE TYPE c AS ENUM (\'a\')')
    found = project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog", "--json")
    facts = json.loads(found.succeeded().stdout)["pyinfra_postgres.facts.Catalog"]
    one, two = (facts[f"@postgres/{name}"] for name in ("one", "two"))
    assert [one["database"], two["database"]] == [database.name for database in pair]
    assert {"id integer", "owner postgres"} <= {*one["table"]['public."Weird ""Name"']}
    assert one["enum"]["public.c"]
    assert "table" not in two
    project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog").succeeded()
