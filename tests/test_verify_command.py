"""`pyinfra-postgres verify`: each object that a deploy declares is a check."""

from __future__ import annotations

import json
import signal
from typing import Any

from harness import Database, Project, Run, finished, one_version, start_pyinfra, until
from harness.html import Page
from harness.servers import Databases

DEPLOY = """
    from pyinfra.operations import server

    server.shell("touch was_run")
    with pg.transaction():
        pg.schema("shop")
        pg.enum("shop.state", ["new", "paid"])
        pg.table("shop.orders", [
            pg.Column("id", "bigint", primary_key=True),
            pg.Column("state", "shop.state", default="'new'"),
        ])
        pg.index("orders_state", "shop.orders", ["state"])
        pg.view("shop.paid", "SELECT id FROM shop.orders WHERE state = 'paid'")
    pg.grant("USAGE", on="SCHEMA shop", to="PUBLIC")
    pg.check("No order is lost", "SELECT count(*) FROM shop.orders WHERE id < 0", [(0,)])
    pg.check("The server is up", "SELECT 1", [(1,)])
"""


def verify(project: Project, *arguments: str) -> Run:
    """Run the command in a project."""
    module = "pyinfra_postgres.cli.main"
    return finished(
        start_pyinfra(project.path, "verify", "inventory.py", *arguments, module=module), 120
    )


def report(project: Project) -> dict[str, dict[str, dict[str, Any]]]:
    """The checks of each host by their titles; the pages are sound."""
    folder = project.path / "reports" / "inventory"
    for page in folder.glob("*.html"):
        Page.read(page)
    written = json.loads((folder / "report.json").read_text())
    return {
        host["name"]: {one["title"]: one for one in host["checks"]} for host in written["hosts"]
    }


@one_version
def test_each_object_is_a_check_and_nothing_runs(
    project: Project, new_database: Databases, unreachable_dsn: str
) -> None:
    empty, behind, done = new_database(), new_database(), new_database()
    gone = {"postgres_dsn": unreachable_dsn, "postgres_connect_attempts": 1}
    project.inventory({"empty": empty.dsn, "behind": behind.dsn, "done": done.dsn, "gone": gone})
    project.deploy(DEPLOY.replace('server.shell("touch was_run")', "pass"))
    project.run("inventory.py", "deploy.py", "-y", "--limit", "@postgres/behind").succeeded()
    project.run("inventory.py", "deploy.py", "-y", "--limit", "@postgres/done").succeeded()
    behind.psql(
        """DROP INDEX shop.orders_state; REVOKE USAGE ON SCHEMA shop FROM PUBLIC;
           ALTER TABLE shop.orders ALTER COLUMN state SET DEFAULT 'paid';
           CREATE TABLE shop.extra (); INSERT INTO shop.orders VALUES (-1)"""
    )
    project.deploy(DEPLOY)
    before = [one.dump() for one in (empty, behind, done)]
    output = verify(project, "deploy.py").failed().output
    assert [one.dump() for one in (empty, behind, done)] == before
    assert not (project.path / "was_run").exists()
    found = report(project)
    statuses = {
        host: {title: one["status"] for title, one in checks.items()}
        for host, checks in found.items()
    }
    assert set(statuses["@postgres/done"].values()) == {"PASS"}
    assert statuses["@postgres/empty"] == {
        "schema shop": "FAIL",
        "enum shop.state": "BLOCKED",
        "table shop.orders": "BLOCKED",
        "index shop.orders_state": "BLOCKED",
        "view shop.paid": "BLOCKED",
        "grant on SCHEMA shop to PUBLIC": "BLOCKED",
        "No order is lost": "BLOCKED",
        "The server is up": "PASS",
    }
    roots = {tuple(one["roots"]) for one in found["@postgres/empty"].values()}
    assert roots == {(), ("schema shop",)}
    failed = {title for title, one in statuses["@postgres/behind"].items() if one == "FAIL"}
    assert failed == {
        "table shop.orders",
        "index shop.orders_state",
        "grant on SCHEMA shop to PUBLIC",
        "No order is lost",
    }
    assert "'paid'" not in json.dumps(found["@postgres/behind"]["table shop.orders"])
    assert "@postgres/gone" in found
    assert "[@postgres/done] APPROVED: 8 of 8 checks pass" in " ".join(output.split())
    assert verify(project, "deploy.py", "--limit", "@postgres/done").succeeded()


@one_version
def test_what_can_not_be_planned_is_not_verified(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (n text); INSERT INTO t VALUES ('canary-value')")
    project.inventory({"db": database.dsn})
    project.deploy("""
        with pg.transaction():
            pg.table("t", [pg.Column("n", "integer", using="n::integer")])
            pg.view("v", "SELECT 1 AS one FROM nowhere")
    """)
    verify(project, "deploy.py").failed()
    checks = report(project)["@postgres/db"]
    assert checks["table public.t"]["status"] == "FAIL"
    assert checks["view public.v"]["status"] == "BLOCKED"
    assert checks["view public.v"]["roots"] == ["table public.nowhere, which nothing declares"]
    folder = project.path / "reports"
    assert not [one for one in folder.rglob("*.*") if "canary-value" in one.read_text()]


@one_version
def test_where_no_host_matches_nothing_is_approved(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    project.deploy(DEPLOY)
    assert verify(project, "deploy.py", "--limit", "nowhere").failed().code == 1


def test_mistakes_are_one_message(project: Project) -> None:
    said = verify(project, "nowhere.py").failed().output
    assert "'nowhere.py' does not exist" in said


@one_version
def test_a_signal_ends_the_run_too(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    project.deploy('pg.check("It takes long", "SELECT pg_sleep(60)", [])\n')

    def is_asked() -> bool:
        return any(
            "pg_sleep" in query for _, state, query in database.sessions() if state == "active"
        )

    process = start_pyinfra(
        *(project.path, "verify", "inventory.py", "deploy.py"), module="pyinfra_postgres.cli.main"
    )
    until(is_asked)
    process.send_signal(signal.SIGTERM)
    run = finished(process)
    assert run.code == 128 + signal.SIGTERM
    assert "Traceback" not in run.output
    until(lambda: database.sessions() == [], 10)
