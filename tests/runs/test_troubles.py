"""What goes wrong in real runs is told with its cause and the way out."""

from __future__ import annotations

from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, PasswordRole, one_version
from harness.process import Outcome, run
from pyinfra_postgres.transport.troubles import CONNECTING, RUNNING

pytestmark = one_version

ADVICE = {one.name: one.advice for one in (*CONNECTING, *RUNNING)}
QUICKLY: dict[str, Any] = {
    "postgres_connect_attempts": 1,
    "postgres_lock_attempts": 1,
    "postgres_lock_timeout": 200,
}


def told(database: Database, *scripts: str, dsn: str = "") -> Outcome:
    """How a run of scripts fails: one that a trial would not find."""

    def deploy() -> None:
        with pg.transaction():
            for script in scripts:
                pg.sql(script)

    data = {"postgres_dsn": dsn or database.dsn, **QUICKLY}
    return run(database, deploy, **data).refused()


@pytest.mark.parametrize(
    ("trouble", "scripts"),
    [
        ("A table that is missing", ["DO $$ BEGIN EXECUTE 'TABLE organization'; END $$"]),
        ("A schema that is missing", ["CREATE TABLE auth.users_extended (id int)"]),
        ("A type or a role that is missing", ["CREATE TABLE t (kind sync_entity_type)"]),
        ("A type or a role that is missing", ["ALTER ROLE nobody_knows_me LOGIN"]),
        (
            "A function that is missing",
            ["DO $$ BEGIN EXECUTE 'SELECT none_of_that_name(1)'; END $$"],
        ),
        ("A deadlock", ["DO 'BEGIN RAISE deadlock_detected; END'"]),
        (
            "A statement that was cancelled",
            ["SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)"],
        ),
        ("A session that was ended", ["SELECT pg_terminate_backend(pg_backend_pid())"]),
        ("An extension without its files", ["CREATE EXTENSION nothing_of_that_name"]),
        (
            "A library that is not loaded",
            [
                """DO $$ BEGIN RAISE object_not_in_prerequisite_state USING MESSAGE =
                   'pg_cron must be loaded via shared_preload_libraries'; END $$"""
            ],
        ),
        (
            "A database that takes no writes",
            ["SET LOCAL transaction_read_only = on; CREATE TABLE t (id int)"],
        ),
        (
            "What something else uses",
            ["CREATE TABLE t (id int); CREATE VIEW v AS TABLE t", "DROP TABLE t"],
        ),
        ("What is there already", ["CREATE TABLE t (id int)", "CREATE TABLE t (id int)"]),
        (
            "Rows that stand against it",
            ["CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (1)"],
        ),
        # What can't be had without harm to the machine.
        ("A full disk", ["DO 'BEGIN RAISE disk_full; END'"]),
        ("Too little memory", ["DO 'BEGIN RAISE out_of_memory; END'"]),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_statement_that_fails(database: Database, trouble: str, scripts: list[str]) -> None:
    assert ADVICE[trouble] in told(database, *scripts).messages


def test_a_right_that_the_role_lacks(database: Database, password_role: PasswordRole) -> None:
    database.psql("CREATE TABLE t (id int)")
    said = told(database, "DELETE FROM t", dsn=password_role.dsn(database)).messages
    assert "permission denied for table t" in said
    assert ADVICE["A right that the role lacks"] in said


def test_locks_of_others(database: Database) -> None:
    database.psql("CREATE TABLE t (id int)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("id", "int"), pg.Column("more", "int")])

    with database.holding("LOCK TABLE t IN SHARE MODE"):
        said = run(database, deploy, **QUICKLY).refused().messages
    assert "no lock after 1 tries, nothing was changed: pid " in said
    assert ADVICE["Locks of others"] in said


def test_what_a_dry_run_finds_is_told_likewise(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.view("v", "SELECT 1 AS one WHERE lower(ARRAY[1]) = ''")

    said = run(database, deploy, dry=True).refused().messages
    assert ADVICE["A function that is missing"] in said


@pytest.mark.parametrize(
    ("trouble", "dsn"),
    [
        ("A name that is none", "postgresql://postgres@nothing.invalid/postgres"),
        ("A role that is none, or another account's", "{dsn} user=nobody_knows_me"),
        ("A database that is none", "{dsn} dbname=nothing_of_that_name"),
        ("No server", "{dsn} host=/nowhere"),
    ],
    ids=lambda one: one if "dsn" not in one and "://" not in one else "",
)
def test_a_connection_that_fails(database: Database, trouble: str, dsn: str) -> None:
    directory = database.server.socket.parent
    given = f"host={directory} user=postgres dbname={database.name}"
    said = told(database, "SELECT 1", dsn=dsn.format(dsn=given)).messages
    assert "Could not connect: " in said
    assert ADVICE[trouble] in said


def test_a_server_that_does_not_answer(database: Database, silent_dsn: str) -> None:
    said = told(database, "SELECT 1", dsn=f"{silent_dsn}?connect_timeout=2").messages
    assert ADVICE["No answer"] in said


@pytest.mark.parametrize(
    ("trouble", "password"), [("A wrong password", "wrong"), ("No password", "")]
)
def test_a_password(
    database: Database, password_role: PasswordRole, trouble: str, password: str
) -> None:
    said = told(database, "SELECT 1", dsn=password_role.dsn(database, password)).messages
    assert ADVICE[trouble] in said
    assert password_role.password not in said


@pytest.mark.parametrize(
    ("trouble", "change"),
    [
        ("A role that may not connect", "ALTER ROLE {role} NOLOGIN"),
        (
            "A role that may not connect",
            'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC',
        ),
        ("Too many sessions", 'ALTER DATABASE "{database}" CONNECTION LIMIT 0'),
    ],
)
def test_a_role_that_is_kept_out(
    database: Database, password_role: PasswordRole, trouble: str, change: str
) -> None:
    database.psql(change.format(role=password_role.name, database=database.name))
    said = told(database, "SELECT 1", dsn=password_role.dsn(database)).messages
    assert ADVICE[trouble] in said
