"""Host data that means nothing, or more than it says, is refused before anything is sent."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from pyinfra.api.exceptions import ConnectError

import pyinfra_postgres as pg
from harness import Database, Project, one_version, process
from pyinfra_postgres.transport.connector import KNOWN_DATA, check_host_data
from pyinfra_postgres.transport.host_data import READERS

HOST_DATA: dict[str, tuple[Any, ...]] = {
    "postgres_lock_timeout": (-5, 0, 1e308, "1e308", True, 0.5, math.nan, 2**31, [5], b"5", "5 s"),
    "postgres_lock_attempts": (0, -1, True, 1.5, 10**400, "٣"),
    "postgres_deploy_lock_timeout": (-1, math.inf, False, Decimal("NaN"), 10**10, {}),
    "postgres_answer_timeout": (0, 0.5, -1, math.inf, True, 10**9, "soon"),
    "postgres_snapshot_timeout": (-1, math.nan, False, 10**9, [900]),
    "postgres_connect_attempts": (0, "0", 10**6, 2.0),
    "postgres_connect_delay": (-0.1, "nan", 10**9),
    "postgres_port": (0, 70000, "5432;", True, 54.32, "5432,", [5432]),
    "postgres_today": ("0000-00-00", 5, "tomorrow", True, "2025-02-30"),
    "postgres_allow": (False, True, {"t": False}, {"t": True}, 0, 1, [1], [["t"]], b"t"),
    "postgres_trust": (False, True, {"r": False}, 0, 1, [1], [["r"]], b"r"),
    "postgres_phase": (False, True, {"r": False}, 0, 1, [1], [["r"]], b"r"),
    "postgres_rehearse": ({"r": False}, 0, 1, [1], [["r"]], b"r"),
    "postgres_rehearse_timeout": (0, -1, 90000, "x", True),
    "postgres_remember": (0, 1, "no", "False", [], {}),
    "postgres_history": (0, 1, "yes", [], {}),
    "postgres_environment": ("", "../staging", "a/b", ".hidden", 5, True, ["staging"]),
    "postgres_requires": ("", "../staging", "a b", "staging\n", 5, False, {}),
    "postgres_pgrls": ("", True, 1, ["pgrls"]),
    "postgres_squawk": ("", True, 1, ["squawk"]),
    "postgres_unproven": ("", "/", True, 1, ["staging"]),
    "postgres_varies": (False, True, {"app": 1}, 0, [1], b"app"),
    "postgres_dsn": (5, b"x", ["x"], "host=a\x00b", {}, False, "host=\udc80"),
    "postgres_host": (5, True, "a\x00b"),
    "postgres_user": (5, ["x"]),
    "postgres_password": (5, False, b"x"),
    "postgres_database": (5, {"x": 1}),
}


def test_all_host_data_is_checked() -> None:
    assert set(HOST_DATA) == set(READERS) == set(KNOWN_DATA)


@pytest.mark.parametrize("name", HOST_DATA)
def test_host_data_of_another_kind_is_refused(name: str) -> None:
    for value in HOST_DATA[name]:
        with pytest.raises(ConnectError, match=name) as caught:
            check_host_data({name: value})
        assert len(str(caught.value)) < 300
    check_host_data({name: None})


@one_version
def test_what_host_data_permits_is_named(database: Database) -> None:
    database.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    found = process.run(
        database, lambda: pg.table("t", present=False), postgres_allow={"t": False}
    ).refused()
    assert "postgres_allow must be names" in found.messages
    assert database.psql("SELECT count(*) FROM t") == "1"


@one_version
@pytest.mark.parametrize("shell", [False, True], ids=["psycopg", "psql"])
def test_host_data_is_checked_before_anything_is_sent(
    project: Project, database: Database, shell: bool
) -> None:
    data = {"postgres_lock_timeout": -5}
    host = {"postgres_dsn": database.dsn, **data}
    if shell:
        (project.path / "inventory.py").write_text(f"hosts = [('@local', {host!r})]\n")
    else:
        project.inventory({"one": host})
    project.deploy('pg.schema("s")\n')
    with database.watch() as seen:
        run = project.run("inventory.py", "deploy.py", "--dry").failed()
    assert "postgres_lock_timeout must be a number from 1 to" in run.output
    assert "Traceback" not in run.output
    assert seen.statements == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("aply", "apply"),
        ("plans", "plan"),
        ("detailed_exit_code", "detailed_exitcode"),
        ("postgre_phase", "postgres_phase"),
        ("postgresallow", "postgres_allow"),
    ],
)
@pytest.mark.parametrize("psql", [False, True], ids=["psycopg", "psql"])
@one_version
def test_a_word_of_the_command_line_that_is_nearly_ours_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch, given: str, meant: str, psql: bool
) -> None:
    monkeypatch.setenv("PATH", f"{database.server.binaries}:/usr/bin:/bin")

    def deploy() -> None:
        pg.schema("s")

    with database.untouched():
        said = process.run(database, deploy, psql=psql, override={given: "x"}).refused().messages
    assert f"--data {given}: did you mean {meant}?" in said


@pytest.mark.parametrize("own", [{"aply": "a word of ours"}, {}], ids=["in the inventory", "far"])
@one_version
def test_a_word_of_ones_own_is_left_alone(database: Database, own: dict[str, Any]) -> None:
    def deploy() -> None:
        pg.schema("s")

    word = next(iter(own), "tenant")
    run = process.run(database, deploy, override={word: "x"}, **own)
    run.succeeded()
