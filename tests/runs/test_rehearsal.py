"""Rehearsals: a dry run that has the server run the transaction, measures it and rolls it back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, PasswordRole, Platform, Project, one_version
from harness.process import Outcome, run
from pyinfra_postgres.plan.plan import Hazard, Lock, Mode, Statement
from pyinfra_postgres.planning import planner
from pyinfra_postgres.syntax.names import Name

pytestmark = one_version
LOCK_KEY = "1886220904, 1"
SETUP = """
    CREATE TABLE t (id integer, note text);
    INSERT INTO t SELECT n, 'x' FROM generate_series(1, 1000) n;
"""


def deploy() -> None:
    with pg.transaction():
        pg.table("t", [pg.Column("id", "bigint"), pg.Column("extra", "integer")])
        pg.table("u", [pg.Column("id", "bigint", primary_key=True)])
        pg.index("t_note", "t", ["note"])
        pg.sql("SELECT 1; UPDATE t SET note = 'y'; SELECT 2")


def extra() -> None:
    pg.table("t", [pg.Column("extra", "integer")])


def rehearsed(
    database: Database, deploy: Callable[[], object], names: Any = True, **data: Any
) -> Outcome:
    data = {"postgres_rehearse": True, **data}
    with database.untouched():
        return run(database, deploy, dry=True, override={"rehearse": names}, **data)


@pytest.mark.parametrize("psql", [False, True])
def test_each_statement_is_measured_and_rolled_back(database: Database, psql: bool) -> None:
    database.psql(SETUP)
    data: dict[str, Any] = {"psql": psql, "postgres_allow": "t"}
    said = rehearsed(database, deploy, "t", **data).succeeded().messages
    type_, column, table, script = re.findall(r"^ +[\d.]+ ms +\d+ k?B  .*", said, re.MULTILINE)
    assert "ACCESS EXCLUSIVE on public.t, writes public.t anew" in type_
    assert re.search("ADD COLUMN extra integer$", column), "its lock is held already"
    assert "CREATE TABLE public.u" in table
    assert re.search("SELECT 1; UPDATE t SET note = 'y'; SELECT 2$", script)
    assert re.search(r"not rehearsed  CREATE INDEX CONCURRENTLY .*   after the trans", said)
    assert re.search(
        r"rehearsed: 4 statements in \d+ ms, \d+ kB of WAL, 1 relation written anew, "
        "2 not rehearsed, as planned",
        said,
    )
    assert database.sessions() == []
    run(database, deploy, **data).succeeded()


def test_the_platform_is_rehearsed_as_a_whole(platform: Platform, database: Database) -> None:
    options = ("--dry", "--data", "rehearse=true")
    with database.untouched():
        ran = platform("deploy", database, *options, postgres_rehearse=True).succeeded()
    assert re.search(
        r"rehearsed: \d{3,} statements in \d+ ms, \d+ kB of WAL, as planned", ran.stdout
    )
    assert " ms  " not in ran.stdout, "the table is for --diff"
    platform("deploy", database).succeeded()
    again = platform("deploy", database, *options, postgres_rehearse=True).succeeded()
    assert "rehearsed" not in again.output


@pytest.mark.parametrize(
    ("data", "override", "said"),
    [
        (
            {},
            {},
            "set postgres_rehearse = True in the data of hosts that may have one at any time, or",
        ),
        ({"postgres_rehearse": False}, {}, "set postgres_rehearse = True in the data"),
        ({"postgres_rehearse": "other"}, {}, "set postgres_rehearse = True in the data"),
        ({}, {"postgres_rehearse": True}, "on the command line hosts are allowed by name"),
    ],
)
def test_where_nobody_allows_it_nothing_is_rehearsed(
    database: Database, data: dict[str, Any], override: dict[str, Any], said: str
) -> None:
    database.psql(SETUP)
    with database.watch() as seen:
        options = {"rehearse": True, **override}
        found = run(database, extra, dry=True, override=options, **data).refused().messages
    assert f"{said}" in found
    assert f"--data 'postgres_rehearse=@postgres/{database.name}'" in found
    assert not any("BEGIN READ WRITE" in one and "SAVEPOINT" in one for one in seen.statements)
    allowed = {"rehearse": True, "postgres_rehearse": f"@postgres/{database.name}"}
    assert "as planned" in run(database, extra, dry=True, override=allowed).succeeded().messages


def test_a_host_that_requires_a_release_is_rehearsed_by_name_only(
    project: Project, database: Database
) -> None:
    database.psql(SETUP)
    project.inventory({"live": database.dsn}, postgres_rehearse=True, postgres_requires="staging")
    project.deploy('pg.table("t", [pg.Column("extra", "integer")])\n')
    options = ["inventory.py", "deploy.py", "--dry", "--data", "rehearse=true"]
    options += ["--data", "postgres_unproven=staging"]
    output = project.run(*options).failed().output
    assert "a host with postgres_requires is allowed by name only" in output
    named = project.run(*options, "--data", "postgres_rehearse=@postgres/live").succeeded()
    assert "rehearsed: 1 statement in" in named.stdout


def test_nothing_is_rehearsed_by_a_run_that_applies(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn}, postgres_rehearse=True)
    project.deploy('pg.schema("s")\n')
    with database.untouched():
        output = (
            project.run("inventory.py", "deploy.py", "-y", "--data", "rehearse=true")
            .failed()
            .output
        )
        assert "run with --dry, without -y" in output
        output = (
            project.run("inventory.py", "deploy.py", "--dry", "--data", "rehearse=7")
            .failed()
            .output
        )
        assert "rehearse is true, or names" in output


def test_what_goes_through_all_rows_is_rehearsed_where_it_is_named(database: Database) -> None:
    database.psql(SETUP)
    said = rehearsed(database, deploy, postgres_allow="t").refused().messages
    assert (
        "not rehearsed: it would go through all rows while others wait, in ALTER TABLE public.t "
        "ALTER COLUMN id TYPE bigint USING id::bigint; to allow it, run with "
        "--data 'rehearse=public.t'"
    ) in said
    rehearsed(database, deploy, "other,public.t", postgres_allow="t").succeeded()


def test_a_column_that_only_seems_empty_is_read_under_a_lock_and_that_is_said(
    database: Database,
) -> None:
    database.psql(f"{SETUP} UPDATE t SET note = NULL")
    gone = lambda: pg.table("t", [pg.Column("note", present=False)])  # noqa: E731
    said = rehearsed(database, gone).refused().messages
    assert "scans the table, blocks reads and writes" in said
    assert "to allow it, run with --data 'rehearse=public.t'" in said
    assert "as planned" in rehearsed(database, gone, "t").succeeded().messages


def test_who_holds_a_lock_is_told(database: Database) -> None:
    database.psql(SETUP)
    with database.holding("SELECT FROM t") as holder:
        pid = holder.info.backend_pid
        found = rehearsed(database, extra, postgres_lock_timeout=100).refused()
    assert re.search(
        rf"not rehearsed: no lock: pid {pid} \(postgres, idle in transaction\) "
        "holds t: SELECT FROM t",
        found.messages,
    )
    assert database.sessions() == []


def test_another_deploy_is_waited_for(database: Database) -> None:
    database.psql(SETUP)
    with database.holding(f"SELECT pg_advisory_lock({LOCK_KEY})"):
        found = rehearsed(database, extra, postgres_deploy_lock_timeout=0.3).refused()
    assert "another deploy of this database holds the lock: observer" in found.messages
    assert "rehearse when it has ended" in found.messages


def test_it_may_take_so_long_and_no_longer(database: Database) -> None:
    def slow() -> None:
        with pg.transaction():
            pg.sql("SELECT pg_sleep(0.3)")
            pg.table("t", [pg.Column("extra", "integer")])
            pg.sql("SELECT pg_sleep(30)")

    database.psql(SETUP)
    found = rehearsed(database, slow, postgres_rehearse_timeout=0.6).refused().messages
    assert "SELECT pg_sleep(30). It may take 0.6 s (postgres_rehearse_timeout)" in found


def test_what_the_server_refuses_is_told_with_its_statement(database: Database) -> None:
    def wrong() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("extra", "integer")])
            pg.sql("SELECT 1 / 0")

    database.psql(SETUP)
    found = rehearsed(database, wrong).refused().messages
    assert "division by zero (SQLSTATE 22012)" in found
    assert "Statement: SELECT 1 / 0" in found


def retyped() -> None:
    pg.table("t", [pg.Column("id", "bigint")])


WRONG: dict[str, tuple[Callable[[], None], Callable[[Statement], Statement], str]] = {
    "a weaker lock": (
        extra,
        lambda one: evolve(one, locks=tuple(evolve(each, mode=Mode.SHARE) for each in one.locks)),
        "it takes ACCESS EXCLUSIVE on public.t, and the plan says SHARE",
    ),
    "no lock": (
        extra,
        lambda one: evolve(one, locks=()),
        "it takes ACCESS EXCLUSIVE on public.t, and the plan says nothing",
    ),
    "one more lock": (
        extra,
        lambda one: evolve(one, locks=(*one.locks, Lock(Name("public", "other")))),
        "the plan says ACCESS EXCLUSIVE on public.other, and nothing takes more than ROW EXCL",
    ),
    "no rewrite": (
        retyped,
        lambda one: evolve(one, hazards=()),
        "it writes public.t anew, which the plan does not say",
    ),
    "a rewrite": (
        extra,
        lambda one: evolve(one, hazards=(Hazard.REWRITES,)),
        "the plan says that it writes a table or index anew, and it does not",
    ),
    "a scan": (
        extra,
        lambda one: evolve(one, hazards=(Hazard.SCANS,)),
        "the plan says that it reads all rows, and it does not",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_plan_says_otherwise_fails_the_host(
    database: Database, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, change, said = WRONG[wrong]
    fitting = planner._fitting
    monkeypatch.setattr(planner, "_fitting", lambda *given: change(fitting(*given)))
    database.psql(f"{SETUP} CREATE TABLE other (id integer)")
    found = rehearsed(database, declared, "t", postgres_allow="t").refused().messages
    assert f"table public.t: {said}" in found
    assert "otherwise than planned" in found


def test_what_is_committed_first_is_not_rehearsed_nor_what_needs_it(database: Database) -> None:
    def labelled() -> None:
        with pg.transaction():
            pg.enum("state", ["new", "sent"])
            pg.view("sent", "SELECT id FROM t WHERE state = 'sent'")
            pg.table("t", [pg.Column("extra", "integer")])

    database.psql(
        "CREATE TYPE state AS ENUM ('new'); CREATE TABLE t (id integer, state state DEFAULT 'new')"
    )
    said = rehearsed(database, labelled).succeeded().messages
    assert re.search("not rehearsed  ALTER TYPE public.state ADD VALUE .* before the trans", said)
    assert re.search("not rehearsed  CREATE OR REPLACE VIEW public.sent .* needs what is com", said)
    assert "rehearsed: 1 statement in" in said


def test_a_later_transaction_is_rehearsed_behind_the_earlier(database: Database) -> None:
    def both(more: bool = False) -> None:
        with pg.transaction():
            pg.table("a", [pg.Column("id", "integer", primary_key=True)])
            pg.table("t", [pg.Column("extra", "integer")])
            if more:
                pg.index("t_note", "t", ["note"])
        with pg.transaction():
            pg.table("a", [pg.Column("extra", "integer")])
            pg.table("t", [pg.Column("extra", "integer"), pg.Column("again", "integer")])

    database.psql(SETUP)
    said = rehearsed(database, both).succeeded().messages
    assert said.count("as planned") == 2
    said = rehearsed(database, lambda: both(more=True)).succeeded().messages
    assert said.count("as planned") == 1
    assert "nothing rehearsed: an earlier transaction of the deploy has to be in place" in said
    assert "CREATE INDEX CONCURRENTLY t_note" in said


def test_it_needs_no_superuser_and_tells_what_a_role_may_not_know(
    database: Database, password_role: PasswordRole
) -> None:
    role = password_role.name
    database.psql(f"{SETUP} ALTER TABLE t OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}")
    data = {"postgres_dsn": password_role.dsn(database)}
    assert " of WAL, as planned" in rehearsed(database, extra, **data).succeeded().messages
    database.psql("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC")
    said = rehearsed(database, extra, **data).succeeded().messages
    assert re.search(r"\d ms +\?  ALTER TABLE public.t ADD COLUMN extra integer", said)
    assert re.search(r"rehearsed: 1 statement in \d+ ms, as planned", said)


def test_nobody_elses_function_is_called_to_measure(database: Database) -> None:
    """`public` is searched for what a user wrote, and a better fit there would be taken."""
    body = "LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$called$$; END'"
    database.psql(
        f"""{SETUP} CREATE ROLE rehearsal_other;
        CREATE FUNCTION json_build_array(numeric, numeric) RETURNS json {body};
        CREATE FUNCTION json_build_array(numeric, integer) RETURNS json {body};
        CREATE FUNCTION json_build_array(text, json, json, json) RETURNS json {body};
        CREATE FUNCTION unnest(regtype[]) RETURNS SETOF oid {body};
        ALTER FUNCTION json_build_array(numeric, numeric) OWNER TO rehearsal_other;
        """
    )
    with_default = lambda: pg.table("t", [pg.Column("extra", "integer", default="1 + 1")])  # noqa: E731
    assert "as planned" in rehearsed(database, with_default).succeeded().messages


def test_a_value_that_is_hidden_is_not_shown(database: Database) -> None:
    def secret() -> None:
        with pg.transaction():
            pg.sql(HiddenValue("UPDATE t SET note = 's3cret-word'"))  # type: ignore[arg-type]
            pg.table("t", [pg.Column("extra", "integer")])

    database.psql(SETUP)
    said = rehearsed(database, secret).succeeded().messages
    assert "s3cret" not in said
    assert "*MASKED*" in said


def test_figures_are_kept_beside_the_plans(project: Project, database: Database) -> None:
    database.psql(SETUP)
    project.inventory({"one": database.dsn}, postgres_rehearse=True)
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("extra", "integer")])
            pg.index("t_note", "t", ["note"])
        """
    )
    dry = ("inventory.py", "deploy.py", "--dry", "--data", "plan=plans")
    project.run(*dry, "--data", "rehearse=true").succeeded()
    (said,) = json.loads((project.path / "plans" / "rehearsal.json").read_text())["rehearsals"]
    (plan,) = (project.path / "plans").glob("[0-9a-f]*[0-9a-f].json")
    (transaction,) = json.loads(plan.read_text())["transactions"]
    assert (said["host"], said["plan"]) == ("@postgres/one", transaction["id"])
    (one,) = said["statements"]
    assert one["locks"] == [{"relation": ["public", "t"], "mode": "ACCESS EXCLUSIVE"}]
    assert one["wal_bytes"] > 0 < one["milliseconds"]
    assert [each["object"] for each in said["not_rehearsed"]] == ["index public.t_note"]
    project.run("inventory.py", "deploy.py", "-y", "--data", "apply=plans").succeeded()
    project.run(*dry).succeeded()
    assert not (project.path / "plans" / "rehearsal.json").exists()
