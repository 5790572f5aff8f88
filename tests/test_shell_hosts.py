"""Hosts with a shell run the same plans through psql: here pyinfra's own machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap

from harness import Database, Databases, Project, finished, one_version, until
from pyinfra_postgres.transport import psql

DEPLOY = """
    with pg.transaction():
        pg.schema("shop", comment="It's the \\"shop\\"")
        pg.enum("shop.state", ["new", "done"])
        pg.table(
            "shop.job",
            [pg.Column("id", "int", primary_key=True), pg.Column("state", "shop.state")],
            constraints=[pg.Check("id in (1, 2, 3)")],
        )
"""


def run(project: Project, database: Database, *arguments: str) -> str:
    """Run pyinfra on @local with the server's psql in the path."""
    binaries = database.server.binaries
    path = {"PATH": f"{binaries}:/usr/bin:/bin"}
    return project.run("inventory.py", *arguments, env=path).output


def test_a_plan_through_psql(project: Project, database: Database) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(DEPLOY)

    assert "3 to create" in run(project, database, "deploy.py", "--dry", "--diff")
    assert database.psql("SELECT to_regnamespace('shop')") == ""
    assert "3 created" in run(project, database, "deploy.py", "-y")
    assert database.psql("SELECT enum_range(NULL::shop.state)") == "{new,done}"
    dump = database.dump()
    assert "created" not in run(project, database, "deploy.py", "-y")
    assert database.dump() == dump


def test_a_failure_names_its_statement_and_leaves_nothing(
    project: Project, database: Database
) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    broken = DEPLOY.replace("id in (1, 2, 3)", "id in (1, 2, 'x')")
    project.deploy(broken)
    tried = run(project, database, "deploy.py", "-y")
    assert "table shop.job: PostgreSQL refuses it: " in tried
    assert "SQLSTATE 22P02" in tried

    # SQL of the user's own ends the trial.
    project.deploy(broken.replace("pg.schema(", 'pg.sql("SELECT 1"); pg.schema('))
    output = run(project, database, "deploy.py", "-y")

    assert "table shop.job failed" in output
    assert "SQLSTATE 22P02" in output
    assert "Traceback" not in output
    assert database.psql("SELECT to_regnamespace('shop')") == ""


def test_the_catalog_as_a_fact(project: Project, database: Database) -> None:
    database.psql('CREATE SCHEMA "It\'s"; CREATE TABLE "It\'s".t (a int)')
    project.inventory({"@local": {"postgres_dsn": database.dsn}})

    result = project.run(
        "inventory.py",
        *("fact", "pyinfra_postgres.facts.Catalog", "--json"),
        env={"PATH": f"{database.server.binaries}:/usr/bin:/bin"},
    ).succeeded()

    (fact,) = json.loads(result.stdout).values()
    assert "a integer" in fact["@local"]["table"]['"It\'s".t']


def test_psql_is_missing(project: Project) -> None:
    project.inventory({"@local": {}})
    project.deploy('pg.schema("shop")')

    only_a_shell = project.path / "bin"
    only_a_shell.mkdir()
    (only_a_shell / "sh").symlink_to("/bin/sh")

    result = project.run(env={"PATH": str(only_a_shell)}).failed()

    assert "schema shop: could not reach the database: " in result.output
    assert "psql: not found. It is not installed, or not in the PATH" in result.output


HOSTILE = r"""\! touch pwned
\q
\gexec
\if false
:USER :'USER' :"USER" :{?USER} $p0$ $p0 $$ `id` \\ ; -- /* '
pyinfra-postgres 0123456789abcdef statement 1
PYINFRA_POSTGRES"""

DECLARED = r"""
    comments = "".join(f"-- {line}\n" for line in hostile.splitlines())
    with pg.transaction():
        pg.schema("s", comment=hostile)
        pg.enum("s.label", [":USER", "\\q", "$p0$"])
        pg.table(
            "s.t",
            [pg.Column("a", "text", default=r"E'\\q\n' || ':USER'"), pg.Column("b", "int[]")],
            constraints=[pg.Check("b[1:2] <> b[:1] and a <> ':USER'", name="c")],
        )
        pg.function(
            "s.f",
            returns="int",
            language="plpgsql",
            body=f"BEGIN\n{comments}PERFORM $x$\n{hostile}\n$x$; RETURN 1; END",
        )
        pg.function("s.g", returns="int", body="BEGIN ATOMIC SELECT 1; SELECT 2; END")
        pg.rows("s.t", [{"a": hostile}, {"a": "\\."}], key="a")
        pg.sql("INSERT INTO s.t (a) VALUES (E'\\\\q\\n'), ($p0$\n\\q\n$p0$)")
"""


def test_nothing_in_a_declaration_means_anything_to_psql(
    project: Project, new_database: Databases
) -> None:
    shell, direct = new_database(), new_database()
    project.inventory({"@local": {"postgres_dsn": shell.dsn}, "direct": direct.dsn})
    project.deploy(f"hostile = {HOSTILE!r}\n{textwrap.dedent(DECLARED)}")

    path = {"PATH": f"{shell.server.binaries}:/usr/bin:/bin"}
    project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()

    rows = "SELECT md5(a) FROM s.t ORDER BY 1"
    assert shell.dump() == direct.dump()
    assert shell.psql(rows) == direct.psql(rows)
    assert len(shell.psql(rows).splitlines()) == 4
    assert not (project.path / "pwned").exists()


@one_version
def test_a_script_that_did_not_arrive_whole_does_nothing(database: Database) -> None:
    script = psql.script(
        ["CREATE TABLE public.t ()", "DROP TABLE IF EXISTS public.t", "CREATE TABLE public.u ()"]
    )
    database.psql("CREATE TABLE before ()")
    dump = database.dump()
    binary = str(database.server.binaries / "psql")
    program = [binary, "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", database.dsn]
    for end in {*range(0, len(script) - 1, 7), *range(len(script) - 20, len(script) - 1)}:
        subprocess.run(program, input=script[:end], text=True, check=False, capture_output=True)
    assert database.dump() == dump
    subprocess.run(program, input=script, text=True, check=True, capture_output=True)
    assert "CREATE TABLE public.u" in database.dump()


@one_version
def test_what_an_operation_installs_is_planned_for_after_it(
    project: Project, database: Database
) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    programs = project.path / "bin"
    programs.mkdir()
    for name in ("sh", "ln"):
        (programs / name).symlink_to(shutil.which(name) or name)
    path = {"PATH": str(programs)}
    project.deploy(
        f"""
        from pyinfra.operations import server

        server.shell("ln -s {database.server.binaries}/psql {programs}/psql", name="install")
        with pg.transaction():
            pg.schema("s")
            pg.table("s.t", [pg.Column("a", "int")])
        """
    )

    dry = project.run("inventory.py", "deploy.py", "--dry", "--diff", env=path).succeeded().output
    assert "planned once the operations before it have run, for now" in dry
    assert dry.count("It is not installed") == 1
    assert "2 created" in project.run(env=path).succeeded().output
    assert database.psql("SELECT to_regclass('s.t')") == "s.t"


@one_version
def test_a_hidden_value_that_fails_is_not_shown(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (id int PRIMARY KEY, token text UNIQUE)")
    database.psql("INSERT INTO t VALUES (1, 'M4RKED')")
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(
        """
        from pyinfra.api import HiddenValue

        pg.rows("t", [dict(id=2, token=HiddenValue("M4RKED"))], key="id")
        """
    )
    output = run(project, database, "deploy.py", "-y", "-vvv", "--debug", "--diff")
    assert "rows public.t failed: duplicate key value" in output
    assert "M4RKED" not in output


@one_version
def test_a_session_that_the_server_ends_is_replaced(project: Project, database: Database) -> None:
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "int")])
            pg.sql("SELECT pg_advisory_xact_lock(42)")
        """
    )
    waiting = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with database.watch() as seen:
        with database.holding("SELECT pg_advisory_xact_lock(42)"):
            process = project.start(env={"PATH": f"{database.server.binaries}:/usr/bin:/bin"})
            until(lambda: database.psql(f"SELECT 1 {waiting}"), 60)
            database.psql(f"SELECT pg_terminate_backend(pid) {waiting}")
        output = finished(process).succeeded().output
    assert "the connection was lost: terminating connection due to administrator" in output
    assert "the transaction was not committed: running it again" in output
    assert seen.statements.count("SELECT pg_advisory_xact_lock(42)") == 2
    assert "CREATE TABLE public.t" in database.dump()
