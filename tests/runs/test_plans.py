"""Plans are kept, reviewed, and run as they were reviewed, or not at all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyinfra import host
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from demo.server import environment
from harness import Database, Databases, Project, finished, one_version, until
from harness.process import Deploy, Outcome, run
from pyinfra_postgres.catalog.snapshot import fingerprint_script
from pyinfra_postgres.cli.main import main
from pyinfra_postgres.objects.access.passwords import Password
from pyinfra_postgres.planning.planner import Planner
from pyinfra_postgres.running.rollout import Rollout
from pyinfra_postgres.transport.options import APPLY

ID = pg.Column("id", "integer", primary_key=True)
HOSTILE = "it's :USER \\q $$ \n; -- /* \u202e`|<b>@x"


def shop() -> None:
    """All stages, twice a transaction, operations outside of one, and what psql might mistake."""
    with pg.transaction():
        pg.enum("state", ["new", "paid", "done"])
        pg.table(
            "item",
            [ID, pg.Column("n", "int[]"), pg.Column("s", "state", default="'paid'")],
            constraints=[pg.Check("n[1:2] <> n[:id] OR id::text <> ':USER'", name="c")],
            comment=HOSTILE,
        )
        pg.index("item_s", "item", ["s"])
        pg.function("f", returns="int", body="BEGIN ATOMIC SELECT 1; SELECT 2; END")
        pg.sql(f"INSERT INTO log VALUES ({pg_literal(HOSTILE)}) -- that's all")
    pg.view("items", "SELECT id FROM item")
    with pg.transaction():
        pg.view("more", "SELECT id FROM items")
        pg.sql("INSERT INTO log SELECT 'more' FROM more")


def pg_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


BEFORE = """
    CREATE TABLE log (line text);
    CREATE TYPE state AS ENUM ('new', 'done');
    CREATE TABLE item (id int PRIMARY KEY, n int[], s state);
    INSERT INTO item VALUES (1, '{1,2}', 'new')"""


@pytest.fixture
def there(database: Database) -> Database:
    database.psql(BEFORE)
    return database


def keep(database: Database, deploy: Deploy, path: Path, **given: Any) -> Outcome:
    return run(database, deploy, dry=True, override={"plan": str(path)}, **given)


def apply(database: Database, deploy: Deploy, path: Path, **given: Any) -> Outcome:
    return run(database, deploy, override={"apply": str(path)}, **given)


def result(database: Database) -> tuple[str, str]:
    return database.dump(), database.psql("SELECT * FROM log; SELECT * FROM item")


@pytest.fixture
def unplanned(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From where on nothing may be planned."""

    def planned(*_: object) -> None:
        raise AssertionError("this was planned")

    return lambda: monkeypatch.setattr(Planner, "add", planned)


def test_a_plan_runs_as_it_is_by_pyinfra_and_by_hand_as_without_one(
    there: Database, new_database: Databases, tmp_path: Path, unplanned: Callable[[], None]
) -> None:
    plainly, by_hand = new_database(), new_database()
    for one in (plainly, by_hand):
        one.psql(BEFORE)
    run(plainly, shop).succeeded()
    before = there.dump()
    for one, path in ((there, "applied"), (by_hand, "by_hand")):
        keep(one, shop, tmp_path / path).succeeded()
    assert there.dump() == before
    (script,) = (tmp_path / "by_hand").glob("*.sql")
    by_hand.psql(script.read_text())
    unplanned()
    messages = apply(there, shop, tmp_path / "applied").succeeded().messages
    assert "after the transaction: CREATE INDEX CONCURRENTLY item_s" in messages
    assert result(there) == result(by_hand) == result(plainly)
    # It was for what was there before.
    assert "the catalog has changed since" in apply(there, shop, tmp_path / "applied").messages
    assert "the catalog has changed" in by_hand.error(script.read_text())
    assert result(there) == result(by_hand) == result(plainly)


@one_version
def test_a_plan_runs_as_it_is_through_a_shell(
    there: Database,
    new_database: Databases,
    tmp_path: Path,
    unplanned: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plainly = new_database()
    plainly.psql(BEFORE)
    run(plainly, shop).succeeded()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{there.server.binaries}{os.pathsep}{path}")
    keep(there, shop, tmp_path, psql=True).succeeded()
    unplanned()
    apply(there, shop, tmp_path, psql=True).succeeded()
    assert result(there) == result(plainly)


def table(*columns: str) -> Deploy:
    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [ID, *(pg.Column(one, "text") for one in columns)])

    return deploy


def lines(edit: Callable[[str], str], suffix: str) -> Callable[[Database, Path], None]:
    def edited(_: Database, path: Path) -> None:
        (file,) = path.glob(f"*.{suffix}")
        file.write_text(edit(file.read_text()))

    return edited


def psql(sql: str) -> Callable[[Database, Path], None]:
    def changed(database: Database, _: Path) -> None:
        database.psql(sql)

    return changed


DIFFERING: dict[str, tuple[Callable[[Database, Path], None], str]] = {
    "the catalog": (psql("CREATE TABLE u ()"), "the catalog has changed since"),
    "a role": (
        psql("CREATE ROLE somebody"),
        r"the catalog has changed since, in its rights, roles\.",
    ),
    "the document": (lines(lambda text: text.replace("text", "xml", 1), "json"), "been edited"),
    "the SQL": (lines(lambda text: text.replace("text", "xml", 1), "sql"), "has been edited"),
    "the format": (
        lines(lambda text: text.replace('"format_version": "1.', '"format_version": "2.'), "json"),
        r"its format is 2\.1, and 1\.1 is known here",
    ),
    "no plan": (lines(lambda _: "{}", "json"), "it is no plan of pyinfra-postgres"),
}


@one_version
@pytest.mark.parametrize("what", DIFFERING)
def test_what_a_plan_is_not_for_is_refused(database: Database, tmp_path: Path, what: str) -> None:
    keep(database, table("a"), tmp_path).succeeded()
    differ, message = DIFFERING[what]
    differ(database, tmp_path)
    before = database.dump()
    assert re.search(message, apply(database, table("a"), tmp_path).refused().messages)
    assert database.dump() == before


DECLARED: dict[str, tuple[Deploy, str]] = {
    "otherwise": (table("a", "b"), "table public.t is declared otherwise"),
    "no longer": (lambda: None, ""),
    "once more": (lambda: (table("a")(), table("a")()), "the plan ends before this transaction"),
}


@one_version
@pytest.mark.parametrize("what", DECLARED)
def test_other_declarations_are_refused(database: Database, tmp_path: Path, what: str) -> None:
    keep(database, table("a"), tmp_path).succeeded()
    before = database.dump()
    deploy, message = DECLARED[what]
    outcome = apply(database, deploy, tmp_path)
    assert message in outcome.messages
    assert database.dump() == before


@one_version
def test_a_phase_that_waits_in_a_plan_is_not_run_by_asking_for_it(
    database: Database, tmp_path: Path
) -> None:
    def deploy() -> None:
        with pg.transaction():
            table("a")()
            with pg.transaction(phase="contract"):
                pg.schema("old", present=False)

    database.psql("CREATE SCHEMA old")
    keep(database, deploy, tmp_path).succeeded()
    before = database.dump()
    outcome = apply(database, deploy, tmp_path, postgres_phase="contract").refused()
    assert "postgres_phase has contract, which waits in it" in outcome.messages
    assert database.dump() == before
    apply(database, deploy, tmp_path).succeeded()


@one_version
def test_all_that_differs_is_said_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(database, table("a"), tmp_path).succeeded()
    database.psql("CREATE TABLE u ()")
    monkeypatch.setattr("pyinfra_postgres.running.reviewed.VERSION", "9.9")
    outcome = apply(database, table("a"), tmp_path, postgres_lock_timeout=77).refused()
    for said in (
        "pyinfra-postgres is 9.9, and was ",
        "the catalog has changed since",
        "postgres_lock_timeout is 77",
    ):
        assert said in outcome.messages


@one_version
def test_a_plan_is_as_good_on_the_next_day(database: Database, tmp_path: Path) -> None:
    def deploy() -> None:
        pg.table("e", [pg.Column("at", "date")], partition_by="RANGE (at)")
        pg.partitions("e", every="month", start="2026-01", ahead=1)

    keep(database, deploy, tmp_path, postgres_today="2026-01-31").succeeded()
    apply(database, deploy, tmp_path, postgres_today="2026-02-01").succeeded()
    assert database.psql("SELECT count(*) FROM pg_inherits") == "2"
    assert "CURRENT_DATE" not in " ".join(fingerprint_script())


@one_version
@pytest.mark.parametrize("holds", [True, False])
def test_what_if_leaves_out_is_left_out(database: Database, tmp_path: Path, holds: bool) -> None:
    database.psql("CREATE TABLE log (line text)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [ID])
            pg.sql("INSERT INTO log VALUES ('inside')", _if=lambda: holds)
        pg.sql("INSERT INTO log VALUES ('alone')", _if=lambda: holds)
        pg.sql("INSERT INTO log VALUES ('always')")

    keep(database, deploy, tmp_path).succeeded()
    (file,) = tmp_path.glob("*.json")
    declared = [
        one["is_conditional"]
        for each in json.loads(file.read_text())["transactions"]
        for one in each["declared"]
    ]
    assert declared == [False, True, True, False]
    assert show("show", tmp_path).output.count("only where its _if holds: sql INSERT") == 2
    assert file.with_suffix(".sql").read_text().count("-- Only where the deploy's _if holds") == 2
    apply(database, deploy, tmp_path).succeeded()
    found = database.psql("SELECT line FROM log").split("\n")
    assert found == (["inside", "alone", "always"] if holds else ["always"])
    assert "CREATE TABLE public.t" in database.dump()


@one_version
def test_what_needs_something_that_if_leaves_out_is_refused(
    database: Database, tmp_path: Path
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [ID], _if=lambda: False)
            pg.view("v", "SELECT id FROM t")

    before = database.dump()
    keep(database, deploy, tmp_path).succeeded()
    messages = apply(database, deploy, tmp_path).refused().messages
    assert "_if leaves out what view public.v needs" in messages
    assert database.dump() == before


@one_version
@pytest.mark.parametrize("number", [1, 2])
def test_a_catalog_that_changes_before_a_transaction_has_the_lock_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def deploy() -> None:
        table("a")()
        pg.view("v", "SELECT id FROM t")

    send, calls = Rollout._send, count(1)

    def sent(self: Rollout, session: Any) -> Any:
        if next(calls) == number:
            database.psql("CREATE TABLE somebody_elses ()")
        return send(self, session)

    keep(database, deploy, tmp_path).succeeded()
    monkeypatch.setattr(Rollout, "_send", sent)
    messages = apply(database, deploy, tmp_path).refused().messages
    assert "the catalog has changed since the plan was made, and a reviewed plan is" in messages
    assert "Nothing was changed" in messages
    assert "planning anew" not in messages
    assert ("public.t (" in database.dump()) is (number == 2)
    assert "CREATE VIEW" not in database.dump()


@one_version
def test_a_catalog_that_changes_while_locks_are_waited_for_is_refused(
    project: Project, database: Database
) -> None:
    database.psql("CREATE TABLE t (id int PRIMARY KEY)")
    project.inventory({"one": database.dsn}, postgres_lock_timeout=20000)
    project.deploy(
        'with pg.transaction():\n    pg.table("t", [pg.Column("id", "int", primary_key=True),'
        ' pg.Column("a", "text")])\n'
    )
    project.run("inventory.py", "deploy.py", "--dry", "--data", "plan=plans").succeeded()
    with database.holding("LOCK TABLE t; CREATE TABLE u ()") as other:
        process = project.start("inventory.py", "deploy.py", "-y", "--data", "apply=plans")
        until(lambda: database.psql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        other.commit()
        output = finished(process).failed().output
    assert "the catalog has changed since the plan was made" in output
    assert "a text" not in database.dump()


@one_version
def test_a_transaction_without_a_lock_is_tried_again_behind_what_is_committed(
    project: Project, there: Database
) -> None:
    project.inventory({"one": there.dsn}, postgres_lock_timeout=100, postgres_lock_attempts=50)
    project.deploy(
        """
        with pg.transaction():
            pg.enum("state", ["new", "paid", "done"])
            pg.table("item", [pg.Column("s", "state", default="'paid'")])
        """
    )
    project.run("inventory.py", "deploy.py", "--dry", "--data", "plan=plans").succeeded()
    before = len(there.server.log_entries())
    with there.holding("SELECT FROM item"):
        process = project.start("inventory.py", "deploy.py", "-y", "--data", "apply=plans")
        late = re.compile("no lock within 100 ms|due to lock timeout")
        log = there.server.log_entries
        until(lambda: sum(bool(late.search(one.message)) for one in log()[before:]) > 1)
    output = finished(process).succeeded().output
    assert "planning anew" not in output
    assert "DEFAULT 'paid'::public.state" in there.dump()


@one_version
def test_hosts_with_the_same_plan_share_one(project: Project, new_database: Databases) -> None:
    one, two, other = new_database(), new_database(), new_database()
    other.psql("CREATE SCHEMA s")
    hosts = {"one": one.dsn, "two": two.dsn, "other": other.dsn}
    project.inventory(hosts)
    project.deploy('pg.schema("s")\nwith pg.transaction():\n    pg.table("s.t", [])\n')
    texts = []
    dry = ("inventory.py", "deploy.py", "--dry", "--data", "plan=plans")
    for seed in ("1", "2"):
        # Not a fork, which hashes as its parent does.
        done = subprocess.run(
            [sys.executable, "-m", "pyinfra", *dry],
            cwd=project.path,
            env={**environment(), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "2 plans for 3 hosts in plans" in done.stderr
        texts.append({one.name: one.read_text() for one in (project.path / "plans").iterdir()})
    assert texts[0] == texts[1]
    assert len(texts[0]) == 4
    project.run("inventory.py", "deploy.py", "-y", "--data", "apply=plans").succeeded()
    assert one.dump() == two.dump() == other.dump()
    assert "CREATE TABLE s.t" in one.dump()
    # By hand it runs on these only.
    (shared,) = (text for text in texts[0].values() if "--   @postgres/one: " in text)
    assert "this plan is for other databases" in other.error(shared)


@one_version
def test_a_database_under_two_names_is_refused(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    project.deploy('with pg.transaction():\n    pg.schema("s")\n')
    dry = ("inventory.py", "deploy.py", "--dry", "--data", "plan=plans")
    project.run(*dry).succeeded()
    project.inventory({"one": database.dsn, "two": database.dsn})
    for arguments in (dry, ("inventory.py", "deploy.py", "-y", "--data", "apply=plans")):
        output = project.run(*arguments).failed().output
        assert re.search("it is the same database as @postgres/|there is no plan for", output)
    assert "CREATE SCHEMA s" not in database.dump()


def wrong(path: Path) -> Iterator[tuple[dict[str, str], str]]:
    (path / "file").touch()
    (path / "empty").mkdir()
    yield {"apply": str(path / "empty")}, "there are no plans in "
    yield {"apply": str(path / "nowhere")}, "there are no plans in "
    yield {"apply": ""}, "apply is a directory: --data apply=DIR"
    yield {"plan": ""}, "plan is a directory: --data plan=DIR"
    yield {"plan": str(path / "file")}, "could not write plans: "
    yield {"plan": str(path / "a"), "apply": str(path / "b")}, "not both"


@one_version
def test_a_run_that_plans_nothing_keeps_no_plans(project: Project, database: Database) -> None:
    """With -y pyinfra looks for no changes, in a dry run too."""
    project.inventory({"one": database.dsn})
    project.deploy('pg.schema("s")')
    run = project.run("inventory.py", "deploy.py", "--dry", "-y", "--data", "plan=plans")
    assert "run with --dry, without -y (deploy.py line " in run.failed().output


@one_version
def test_wrong_directories_are_refused(database: Database, tmp_path: Path) -> None:
    for given, message in wrong(tmp_path):
        assert message in run(database, table("a"), dry=True, override=given).refused().messages
    kept = run(database, table("a"), override={"plan": str(tmp_path / "plans")}).refused()
    assert "writes plans and runs none: run with --dry" in kept.messages
    assert "CREATE TABLE" not in database.dump()


def secrets() -> None:
    data = host.data
    pg.role("r", login=True, password=data.role_password)
    pg.rows("t", [{"id": 1, "token": data.token}], key="id")


@one_version
def test_what_is_hidden_is_taken_from_host_data_and_is_in_no_plan(
    database: Database, tmp_path: Path
) -> None:
    database.psql("CREATE TABLE t (id int PRIMARY KEY, token text)")
    given = {"role_password": HiddenValue("s3cret-w0rd"), "token": HiddenValue("4711's \\ token")}
    keep(database, secrets, tmp_path, **given).succeeded()
    written = "".join(one.read_text() for one in tmp_path.iterdir())
    assert not re.search("s3cret|4711|SCRAM-SHA-256\\$", written)
    (script,) = tmp_path.glob("*.sql")
    assert "this plan has hidden values" in database.error(script.read_text())
    forgotten = apply(database, secrets, tmp_path, **{**given, "token": "4711"}).refused()
    assert "it needs the host data token, a HiddenValue that is text" in forgotten.messages
    # They may be others by now.
    given["role_password"] = HiddenValue("an0ther-w0rd")
    messages = apply(database, secrets, tmp_path, **given).succeeded().messages
    assert not re.search("s3cret|4711|an0ther", messages)
    assert database.psql("SELECT token FROM t") == "4711's \\ token"
    (stored,) = database.rows("SELECT rolpassword FROM pg_authid WHERE rolname = 'r'")
    assert Password("an0ther-w0rd").is_kept_as(stored[0])


@one_version
def test_what_is_hidden_and_in_no_host_data_can_not_be_applied(
    database: Database, tmp_path: Path
) -> None:
    def deploy() -> None:
        pg.role("r", login=True, password=HiddenValue("s3cret-w0rd"))

    keep(database, deploy, tmp_path).succeeded()
    messages = apply(database, deploy, tmp_path).refused().messages
    assert "it has hidden values that no host data has" in messages
    assert "s3cret" not in messages


def show(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)])


@one_version
def test_plans_are_shown_and_compared(there: Database, tmp_path: Path) -> None:
    for name, deploy in (("one", shop), ("same", shop), ("other", table("a"))):
        keep(there, deploy, tmp_path / name).succeeded()
    shown = show("show", tmp_path / "one")
    assert shown.exit_code == 0
    for said in (
        there.name,
        "transaction: 2 to create, 2 to change, 0 to remove, 1 to run",
        "before  ALTER TYPE public.state ADD VALUE ",
        "after  CREATE INDEX CONCURRENTLY item_s",
        "not in the transaction: waits for old transactions",
    ):
        assert said in shown.output
    assert "\u202e" not in shown.output
    assert (show("diff", tmp_path / "one", tmp_path / "same").exit_code) == 0
    compared = show("diff", tmp_path / "one", tmp_path / "other")
    assert compared.exit_code == 2
    assert "  +      CREATE TABLE public.t (" in compared.output
    assert show("show", tmp_path).exit_code == 1
    assert show("diff", tmp_path / "nowhere", tmp_path / "one").exit_code == 1


@one_version
def test_a_comment_for_a_pull_request_has_nothing_of_others_markup(
    there: Database, tmp_path: Path
) -> None:
    keep(there, shop, tmp_path).succeeded()
    comment = show("show", tmp_path, "--markdown").output
    table, stakes, sql = re.split(r"\n\n(?=Hazards|<details>)", comment)
    assert table.startswith("| plan | hosts | to create | to change | to remove | to run |\n")
    assert "| 4 | 2 | 0 | 2 |" in table
    assert "waits for old transactions" in stakes
    assert "<b>" not in table + stakes
    assert "```SQL" in sql
    assert sql.rstrip().endswith("</details>")
    assert APPLY not in comment


def test_a_comment_tells_what_waits_and_what_is_done_in_batches(
    database: Database, tmp_path: Path
) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.backfill("t", set={"email": "mail"}, where="email IS NULL", pause=0)
            with pg.transaction(phase="contract"):
                pg.table("t", [pg.Column("mail", present=False)])

    database.psql("CREATE TABLE t (mail text, email text); INSERT INTO t VALUES ('a'), ('b')")
    keep(database, deploy, tmp_path).succeeded()
    comment = show("show", tmp_path, "--markdown").output
    waits = comment.split("Waits for phase <code>contract</code>:")[1].split("<details>")[0]
    assert "| <code>table public&#46;t</code> | change | " in waits
    assert "loses " in waits
    told = r"^-- UPDATE public\.t SET email = .* 2 rows, \d+ at a time$"
    assert re.search(told, comment, re.MULTILINE)
    assert "DROP COLUMN" not in comment
    shown = show("show", tmp_path).output
    assert "waits for contract" in shown
    assert "DROP COLUMN mail" in shown
