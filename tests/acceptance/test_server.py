"""The server, and the machine that it runs on where the inventory leads to one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .inventory import Host
from .observer import Database, RefusedError

SETTING = "SELECT setting FROM pg_settings WHERE name = '{}'"


def asked(database: Database, query: str) -> list[str]:
    """The answer to what not every role may ask."""
    try:
        return database.column(query)
    except RefusedError as error:
        if error.sqlstate == "42501":
            pytest.skip(f"the role of the inventory may not ask that: {error}")
        raise


def test_the_version_is_one_that_is_supported(database: Database) -> None:
    assert int(database.value("SHOW server_version_num")) // 10000 in range(15, 19)


def test_it_takes_writes(database: Database) -> None:
    assert database.value("SELECT pg_is_in_recovery()") == "f"


def test_passwords_are_kept_as_scram(database: Database) -> None:
    assert database.value("SHOW password_encryption") == "scram-sha-256"


def test_the_service_is_running(on_machine: Any, tested: Host) -> None:
    if not on_machine.file("/run/systemd/system").is_directory:
        pytest.skip("the machine has no systemd")
    assert on_machine.service(tested.data.get("postgresql_service", "postgresql")).is_running


def test_the_service_starts_with_the_machine(on_machine: Any, tested: Host) -> None:
    if not on_machine.file("/run/systemd/system").is_directory:
        pytest.skip("the machine has no systemd")
    assert on_machine.service(tested.data.get("postgresql_service", "postgresql")).is_enabled


def test_the_server_is_of_the_version_that_is_installed(
    on_machine: Any, database: Database
) -> None:
    """One that was upgraded and not started again is not."""
    (directory,) = asked(database, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    installed = on_machine.check_output("%s --version", f"{directory}/postgres")
    running = database.value("SHOW server_version").split()[0]
    assert re.findall(r"\d+\.\d+", installed)[:1] == [running]


def test_the_server_listens_on_its_socket(on_machine: Any, database: Database) -> None:
    directories = asked(database, SETTING.format("unix_socket_directories"))
    port = database.value("SHOW port")
    socket = f"unix://{directories[0].split(',')[0].strip()}/.s.PGSQL.{port}"
    assert on_machine.socket(socket).is_listening


@pytest.mark.usefixtures("on_machine")
def test_whoever_comes_from_another_machine_has_tls(database: Database) -> None:
    near = {"", "localhost", "127.0.0.1", "::1"}
    far = set(re.split(r"\s*,\s*", database.value("SHOW listen_addresses"))) - near
    assert not far or database.value("SHOW ssl") == "on", f"it listens on {', '.join(far)}"


@pytest.mark.usefixtures("on_machine")
def test_pg_hba_has_no_line_that_is_wrong(database: Database) -> None:
    wrong = "SELECT line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL"
    assert asked(database, wrong) == []


@pytest.mark.usefixtures("on_machine")
@pytest.mark.parametrize(
    ("connections", "methods"),
    [
        pytest.param("type <> 'local'", "trust,password,ident,md5", id="from the network"),
        pytest.param("type = 'local'", "trust,password", id="on the socket"),
    ],
)
def test_pg_hba_believes_nobody(database: Database, connections: str, methods: str) -> None:
    weak = f"""SELECT concat_ws(' ', 'line', line_number, auth_method) FROM pg_hba_file_rules
               WHERE {connections} AND auth_method = ANY (string_to_array('{methods}', ','))"""
    assert asked(database, weak) == []


@pytest.mark.usefixtures("on_machine")
def test_no_password_is_kept_as_md5(database: Database) -> None:
    assert asked(database, "SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'md5%'") == []
