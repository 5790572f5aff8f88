"""A role's password: only what a server keeps of it is sent, and nothing shows it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, TestServer, one_version
from harness.process import run
from pyinfra_postgres import hidden
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.access.passwords import Password

SECRET = "corréct horse"
OTHER = "batt\u00a0ery \\ 'staple'"


@pytest.fixture(autouse=True)
def nothing_hidden_before() -> None:
    hidden.forget()


@pytest.fixture
def app(database: Database) -> str:
    return f"app_{database.name}"


def stored(database: Database, role: str) -> str:
    return database.psql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'")


def test_it_is_set_once_and_only_when_it_is_another(database: Database, app: str) -> None:
    def role(text: str) -> None:
        pg.role(app, login=True, password=HiddenValue(text))

    with database.watch() as seen:
        for text in (SECRET, OTHER):
            planned = run(database, partial(role, text), dry=True).succeeded()
            done = run(database, partial(role, text)).succeeded()
            assert done.plan.changes
            assert "*MASKED*" in planned.messages
            assert "SCRAM" not in planned.messages + done.messages
            assert text not in planned.messages + done.messages
            kept = stored(database, app)
            again = run(database, partial(role, text)).succeeded()
            assert not again.plan.changes
            assert stored(database, app) == kept
    assert not [one for one in seen.statements if SECRET in one or "staple" in one]


def test_the_owner_of_the_password_logs_in_with_it(database: Database, app: str) -> None:
    run(database, lambda: pg.role(app, login=True, password=HiddenValue(SECRET))).succeeded()
    database.psql(f"GRANT password_users TO {app}")
    with psycopg.connect(database.dsn, user=app, password=SECRET) as session:
        assert session.execute("SELECT current_user").fetchone() == (app,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.dsn, user=app, password=f"{SECRET}.")


@one_version
def test_who_may_not_read_it_sets_it_on_creation_only(database: Database, app: str) -> None:
    deployer = f"deployer_{database.name}"
    database.psql(f"CREATE ROLE {deployer} LOGIN CREATEROLE")

    def role(text: str) -> None:
        pg.role(app, login=True, password=HiddenValue(text))

    run(database, lambda: role(SECRET), postgres_user=deployer).succeeded()
    kept = stored(database, app)
    assert Password(SECRET).is_kept_as(kept)
    again = run(database, lambda: role(OTHER), postgres_user=deployer).succeeded()
    assert f"the password of role {app} is left as it is, for it can't be read" in again.messages
    assert not again.plan.changes
    assert stored(database, app) == kept


@one_version
def test_the_log_of_a_server_that_refuses_it_and_the_message_have_nothing(
    database: Database,
) -> None:
    verifier = Password(SECRET).verifier()

    def role() -> None:
        with pg.transaction():
            pg.role("postgres", password=HiddenValue(verifier), superuser=False)

    failed = run(database, role).refused()
    assert "SCRAM" not in failed.messages
    assert "FeatureNotSupported in what is hidden (SQLSTATE 0A000)" in failed.messages


@pytest.fixture(scope="session")
def session(server: TestServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.dsn("postgres")) as connected:
        yield connected


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@one_version
@given(text=_TEXTS)
def test_it_is_what_libpq_makes_of_a_password(session: psycopg.Connection[Any], text: str) -> None:
    made = session.pgconn.encrypt_password(text.encode(), b"app", b"scram-sha-256").decode()
    assert Password(text).is_kept_as(made)
    assert Password(text).is_kept_as(Password(text).verifier())
    assert not Password(f"{text}!").is_kept_as(made)


_REFUSED = ("plain", 7, HiddenValue(""), HiddenValue("a\0b"), HiddenValue("\ud800"), HiddenValue(5))


@pytest.mark.parametrize("given", _REFUSED)
def test_what_is_no_hidden_password_is_refused(given: object) -> None:
    with pytest.raises(DeclarationError, match=r"HiddenValue|a password is text"):
        Password.read(given)


def test_an_old_hash_is_no_password() -> None:
    with pytest.raises(DeclarationError, match="MD5"):
        Password.read(HiddenValue(f"md5{'0' * 32}"))


@pytest.mark.parametrize(
    "kept",
    ["", "md5" + "0" * 32, "SCRAM-SHA-256$9999999999:AAAA$AAAA:AAAA", "SCRAM-SHA-256$1:A$A:A", "é"],
)
def test_what_a_server_may_say_of_it(kept: str) -> None:
    assert not Password(SECRET).is_kept_as(kept)
