"""A remembered verdict is believed where nobody but the user and that server can have made it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, Databases, one_version
from harness.process import Outcome, run
from pyinfra_postgres.comparison import notes, verdicts
from pyinfra_postgres.comparison.verdicts import Verdicts

_COMPARES = re.compile(r"pyinfra_postgres_deparse\(")
TABLE = """
    CREATE TABLE t (id int);
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY few ON t USING (id IN (1, 2))
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where verdicts are kept in this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.forget()
    return tmp_path / "pyinfra-postgres" / "verdicts"


def few() -> None:
    pg.policy("few", "t", using="id IN (1, 2)")


def asks(database: Database, **data: Any) -> tuple[bool, Outcome]:
    """Whether a run, which finds all as declared, asks the server to compare."""
    verdicts.forget()
    with database.watch() as seen:
        outcome = run(database, few, **data).succeeded()
    assert not outcome.plan.changes
    return any(map(_COMPARES.search, seen.statements)), outcome


def _of_others(path: Path) -> None:
    path.chmod(0o644)


def _in_a_shared_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def _a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _in_a_linked_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


def _with_another_name(path: Path) -> None:
    path.with_name("another").hardlink_to(path)


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


@one_version
def test_a_run_says_that_it_goes_on_without_them(database: Database, file: Path) -> None:
    database.psql(TABLE)
    assert asks(database)[0]
    assert not asks(database)[0]
    file.chmod(0o666)
    before = file.read_bytes()
    asked, outcome = asks(database)
    assert asked
    assert outcome.messages.count("verdicts is open to others: not used") == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "tampered",
    [
        _of_others,
        _in_a_shared_directory,
        _a_link,
        _in_a_linked_directory,
        _with_another_name,
        _a_pipe,
        _a_directory,
    ],
)
def test_what_others_may_have_written_is_not_used(
    file: Path, tampered: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    Verdicts().keep([["a"]])
    verdicts.forget()
    assert Verdicts().holds(["a"])
    tampered(file)
    before = file.stat().st_size
    verdicts.forget()
    assert not Verdicts().holds(["a"])
    Verdicts().keep([["b"]])
    assert caplog.text.count("not used, the server is asked again") == 1
    assert file.stat().st_size == before


def test_a_file_of_another_user_is_not_used(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Verdicts().keep([["a"]])
    user = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    verdicts.forget()
    assert not Verdicts().holds(["a"])
    assert "pyinfra-postgres belongs to another user" in caplog.text


def test_a_database_is_believed_about_itself_only(
    database: Database, new_database: Databases
) -> None:
    other = new_database()
    for one in (database, other):
        one.psql(TABLE)
        assert asks(one)[0]
        assert not asks(one)[0]


@one_version
def test_another_database_of_the_same_name_is_asked_again(database: Database) -> None:
    database.psql(TABLE)
    assert asks(database)[0]
    assert not asks(database)[0]
    others = database.server.dsn("postgres")
    database.psql(f"ALTER DATABASE {database.name} RENAME TO was_{database.name}", dsn=others)
    database.psql(f"CREATE DATABASE {database.name}", dsn=others)
    try:
        database.psql(TABLE)
        assert asks(database)[0]
    finally:
        database.psql(f"DROP DATABASE was_{database.name}", dsn=others)


@one_version
def test_a_role_that_may_not_ask_which_server_it_is(database: Database) -> None:
    database.psql(TABLE)
    database.psql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    database.psql(f"CREATE ROLE plain_{database.name} LOGIN")
    database.psql(f"ALTER TABLE t OWNER TO plain_{database.name}")
    plain = f"plain_{database.name}"
    assert asks(database, postgres_user=plain)[0]
    assert not asks(database, postgres_user=plain)[0]
    assert asks(database)[0]


@one_version
def test_host_data_switches_it_off(database: Database, file: Path) -> None:
    database.psql(TABLE)
    assert asks(database, postgres_remember=False)[0]
    assert not file.parent.exists()
    assert asks(database)[0]
    assert asks(database, postgres_remember=False)[0]
    refused = run(database, few, postgres_remember="no").refused()
    assert "postgres_remember is True or False, not 'no'" in refused.messages


def test_files_are_made_for_their_user_alone(file: Path) -> None:
    before = os.umask(0)
    try:
        Verdicts().keep([["a"]])
    finally:
        os.umask(before)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_questions_do_not_run_into_one_another() -> None:
    Verdicts().keep([["ab", "c"]])
    assert Verdicts().holds(["ab", "c"])
    assert not Verdicts().holds(["a", "bc"])
    assert not Verdicts().holds(["ab", "c", ""])
    assert not Verdicts(lambda: "another server").holds(["ab", "c"])


@pytest.mark.parametrize("content", [b"", b"0" * 63, b"\xff\x00\n" * 9, b"f" * 64, b"\n\n"])
def test_foreign_content_is_passed_over(file: Path, content: bytes) -> None:
    file.parent.mkdir(0o700)
    file.touch(0o600)
    file.write_bytes(content)
    Verdicts().keep([["a"]])
    verdicts.forget()
    assert Verdicts().holds(["a"])
    assert not Verdicts().holds(["b"])


def test_runs_at_the_same_time_lose_nothing(file: Path) -> None:
    writes = (
        "import sys; from pyinfra_postgres.comparison.verdicts import Verdicts\n"
        "for n in range(100): Verdicts().keep([[sys.argv[1], str(n)]])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", writes, one]) for one in "ab"]
    assert [one.wait() for one in writers] == [0, 0]
    assert len(file.read_text().split()) == 200
    assert all(Verdicts().holds([one, str(n)]) for one in "ab" for n in range(100))


def test_of_many_notes_the_newest_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST", 1000)
    names = [f"{number:064x}" for number in range(30)]
    for name in names:
        notes.keep(name, '["a"]')
    notes.keep("f" * 64, f'["{"x" * 300}"]')
    verdicts.forget()
    found = [name for name in names if notes.kept(name)]
    assert found
    assert found == names[-len(found) :]
    assert notes.kept("f" * 64) is None
    assert file.with_name("notes").stat().st_size < 1000


@pytest.mark.parametrize("home", ["relative", "/nonexistent", "/dev/null"])
def test_without_a_place_of_its_own_nothing_is_remembered(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", home)
    if home == "/nonexistent":
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Verdicts().keep([["a"]])
    assert Verdicts().holds(["a"])  # in this process
    verdicts.forget()
    assert Verdicts().holds(["a"]) is (home == "/nonexistent")
    assert not (tmp_path / "relative").exists()
