"""What a run has found to be as declared the next one plans again where it may be otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, Databases, one_version
from harness.process import run
from pyinfra_postgres import hidden
from pyinfra_postgres.comparison import verdicts
from pyinfra_postgres.planning import digests
from pyinfra_postgres.planning.session import Session
from runs.test_following import ID, TABLE, follows, plans, prepared, table

pytestmark = one_version

Deploy = Callable[[], object]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.forget()
    return tmp_path / "pyinfra-postgres" / "verdicts"


@pytest.fixture
def database(database: Database) -> Database:
    database.psql(TABLE)
    return database


def planned(deploy: Deploy, *databases: Database, **data: Any) -> list[Session]:
    """What another process knows of hosts then."""
    verdicts.forget()
    return prepared(deploy, *databases, data=data)


def spared(deploy: Deploy, database: Database, **data: Any) -> bool:
    """Whether a run plans nothing; what it says is what one says that has nothing to go by."""
    (one,) = planned(deploy, database, **data)
    (alone,) = planned(deploy, database, **data, postgres_remember=False)
    assert plans(one) == plans(alone)
    return follows(one)


def known(deploy: Deploy, *databases: Database) -> None:
    """Have a plan be remembered: in the first run the server may have to compare."""
    for _ in range(2):
        planned(deploy, *databases)
    verdicts.forget()


def test_the_next_run_plans_nothing(database: Database) -> None:
    assert not spared(table, database)
    assert not spared(table, database)
    with database.watch() as seen:
        assert spared(table, database)
    assert not [one for one in seen.statements if "deparse" in one][1:]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ADD UNIQUE (code)",
        "ALTER TABLE t ALTER code SET NOT NULL",
        "COMMENT ON TABLE t IS 'x'",
        "DROP TABLE t",
        "CREATE TABLE elsewhere (id integer)",
        "CREATE FUNCTION lower(integer) RETURNS text LANGUAGE sql AS 'SELECT ''x'''",
        "CREATE SCHEMA other",
    ],
)
def test_it_plans_what_the_catalog_may_make_another_plan(database: Database, sql: str) -> None:
    known(table, database)
    assert spared(table, database)
    database.psql(sql)
    assert not spared(table, database)


def commented(text: str | None = None) -> Deploy:
    def deploy() -> None:
        table()
        with pg.transaction():
            pg.table("t", comment=text)

    return deploy


def exactly() -> None:
    with pg.transaction(exact=True):
        pg.table("t", [ID, pg.Column("code", "text")], constraints=[pg.Check("code IN ('a', 'b')")])


def apart() -> None:
    for _ in range(2):
        table()


@pytest.mark.parametrize("deploy", [commented(""), commented("of codes"), exactly, apart])
def test_it_plans_what_is_declared_otherwise(database: Database, deploy: Deploy) -> None:
    known(table, database)
    assert not spared(deploy, database)
    assert spared(table, database)


@pytest.mark.parametrize(
    "data",
    [{"postgres_allow": "t"}, {"postgres_trust": "someone"}, {"postgres_today": "2030-01-01"}],
)
def test_it_plans_for_other_host_data(database: Database, data: dict[str, Any]) -> None:
    known(table, database)
    assert not spared(table, database, **data)


def test_another_package_may_plan_otherwise(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(table, database)
    monkeypatch.setattr(digests, "of_package", lambda: "another")
    assert not spared(table, database)
    monkeypatch.undo()


def test_an_equal_database_is_another_one(database: Database, new_database: Databases) -> None:
    other = new_database()
    other.psql(TABLE)
    known(table, database)
    assert not spared(table, other)
    known(table, database, other)
    first, second = planned(table, database, other)
    assert follows(first)
    assert follows(second)


def test_a_file_that_others_may_have_written_counts_for_nothing(
    database: Database, file: Path
) -> None:
    known(table, database)
    assert spared(table, database)
    file.chmod(0o644)
    assert not spared(table, database)


def test_a_damaged_file_counts_for_what_is_left_of_it(database: Database, file: Path) -> None:
    known(table, database)
    whole = file.read_bytes()
    for damaged in (b"", whole[:-20], whole.replace(b"\n", b""), bytes(reversed(whole))):
        file.write_bytes(damaged)
        assert not spared(table, database)
        file.write_bytes(whole)
        assert spared(table, database)


def test_what_comes_after_something_new_is_planned_with_what_comes_before(
    database: Database,
) -> None:
    def deploy() -> None:
        table()
        with pg.transaction():
            pg.index("t_code", "t", ["code"], present=bool(host.data.get("more")))

    known(deploy, database)
    assert spared(deploy, database)
    assert not spared(deploy, database, more=True)
    (session,) = planned(deploy, database, more=True)
    _, (changes, *_) = plans(session)
    assert changes


def rows() -> None:
    with pg.transaction():
        pg.rows("t", [{"id": 1, "code": "a"}], key="id")


def conditional() -> None:
    with pg.transaction():
        pg.sql("ANALYZE t", unless="SELECT EXISTS (SELECT FROM t WHERE code = 'a')")


@pytest.mark.parametrize("deploy", [rows, conditional])
def test_what_the_server_was_asked_it_is_asked_again(database: Database, deploy: Deploy) -> None:
    database.psql("INSERT INTO t VALUES (1, 'a')")
    known(deploy, database)
    assert spared(deploy, database)
    database.psql("DELETE FROM t")
    assert not spared(deploy, database)
    (session,) = planned(deploy, database)
    ((changes, *_),) = plans(session)
    assert changes
    database.psql("INSERT INTO t VALUES (1, 'a')")
    assert spared(deploy, database)


@pytest.mark.parametrize(
    "other",
    [
        '[[[["SELECT 1"], 1]], []]',
        '[[[["CREATE TABLE planted ()"], 1]], []]',
        "[[], []]",
        "[[[[], 7]], []]",
        "[1]",
        '["x"]',
    ],
)
def test_no_note_is_believed_that_no_verdict_stands_for(
    database: Database, file: Path, other: str
) -> None:
    database.psql("INSERT INTO t VALUES (1, 'a')")
    known(rows, database)
    noted = file.with_name("notes")
    (line,) = noted.read_text().splitlines()
    assert spared(rows, database)
    noted.write_text(f"{line.partition(' ')[0]} {other}\n")
    assert not spared(rows, database)
    assert "planted" not in database.dump()


@pytest.mark.parametrize("content", [b"", b"0" * 64 + b" [\n", b"\xff\x00\n", b"x" * 9000])
def test_damaged_notes_are_passed_over(database: Database, file: Path, content: bytes) -> None:
    database.psql("INSERT INTO t VALUES (1, 'a')")
    known(rows, database)
    noted = file.with_name("notes")
    assert noted.stat().st_mode & 0o777 == 0o600
    whole = noted.read_bytes()
    noted.write_bytes(content)
    assert not spared(rows, database)
    noted.write_bytes(content + b"\n" + whole)
    assert spared(rows, database)


def test_what_is_hidden_is_not_noted(database: Database, file: Path) -> None:
    database.psql("INSERT INTO t VALUES (1, 'a')")

    def deploy() -> None:
        with pg.transaction():
            pg.rows("t", [{"id": 1, "code": HiddenValue("a")}], key="id")

    known(deploy, database)
    assert not spared(deploy, database)
    assert not file.with_name("notes").exists()


def test_what_changes_something_is_planned_every_time(database: Database) -> None:
    deploy = commented("of codes")
    known(deploy, database)
    assert not spared(deploy, database)


def test_what_is_undeclared_is_told_every_time(database: Database) -> None:
    database.psql("CREATE INDEX nobodys ON t (id)")
    known(table, database)
    assert spared(table, database)
    (session,) = planned(table, database)
    ((_, _, undeclared, *_),) = plans(session)
    assert [title for _, title, _ in undeclared] == ["index public.nobodys"]


def test_nothing_is_remembered_of_what_is_hidden(database: Database, file: Path) -> None:
    database.psql("COMMENT ON TABLE t IS 'nobody knows'")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", comment="nobody knows")

    try:
        known(deploy, database)
        assert spared(deploy, database)
        hidden.taken(HiddenValue("nobody knows"))
        file.unlink()
        known(deploy, database)
        assert not spared(deploy, database)
    finally:
        hidden.forget()


def test_what_a_condition_leaves_out_is_not_what_was_planned(database: Database) -> None:
    holds = [True]

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [ID])
            pg.schema("s", _if=lambda: holds[0])

    def created() -> bool:
        verdicts.forget()
        run(database, deploy).succeeded()
        return bool(database.rows("SELECT nspname FROM pg_namespace WHERE nspname = 's'"))

    holds[0] = False
    assert not created()
    assert not created()
    holds[0] = True
    assert created()
