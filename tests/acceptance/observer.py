"""Asks a database, or the machine that it runs on, without the collection's catalog.

Each question is a transaction of its own that is rolled back: one that only reads, unless a test
says that it writes. It waits neither long for an answer nor for anybody's locks.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg
import testinfra
from psycopg import conninfo

from pyinfra_postgres.transport.endpoint import endpoint
from pyinfra_postgres.transport.target import divided, dsn

from .inventory import Host

_LIMITS = (
    "SET LOCAL statement_timeout = '10s'",
    "SET LOCAL lock_timeout = '2s'",
    "SET LOCAL search_path = pg_catalog, pg_temp",
    "SET LOCAL TimeZone = 'UTC'",
)
_APPLICATION = "acceptance tests"
_SQLSTATE = re.compile(r"ERROR:  ([0-9A-Z]{5})")

Rows = list[tuple[str, ...]]


class RefusedError(Exception):
    """A statement that the server refuses, by its SQLSTATE."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate


class Session(Protocol):
    """Runs the statements of one transaction."""

    def run(self, statements: Sequence[str]) -> Rows:
        """The rows of the last statement but one, as text. Raises RefusedError."""


class Database:
    """The database of a host."""

    def __init__(self, session: Session, *, writes: bool = False) -> None:
        self._session = session
        self._begin = "BEGIN" if writes else "BEGIN READ ONLY"

    def rows(self, query: str, *before: str) -> Rows:
        """The rows of a query, behind other statements: text, with null as nothing."""
        return self._session.run([self._begin, *_LIMITS, *before, query, "ROLLBACK"])

    def value(self, query: str, *before: str) -> str:
        """The one value of a query."""
        ((value,),) = self.rows(query, *before)
        return value

    def column(self, query: str, *before: str) -> list[str]:
        """The values of a query of one column."""
        return [value for (value,) in self.rows(query, *before)]

    def refusal(self, statement: str, *before: str) -> str:
        """The SQLSTATE with which a statement is refused."""
        try:
            self.rows(statement, *before)
        except RefusedError as error:
            return error.sqlstate
        return "accepted"


class Direct:
    """A session through psycopg, with a host that is only a database."""

    def __init__(self, host: Host) -> None:
        changes: dict[str, Any] = {"application_name": _APPLICATION, "connect_timeout": 15}
        self._connection = psycopg.connect(
            host.dsn, autocommit=True, **{**changes, **endpoint(host.dsn).changes}
        )

    def run(self, statements: Sequence[str]) -> Rows:
        """As Session has it."""
        *others, last, end = statements
        try:
            for statement in others:
                self._connection.execute(statement)
            return self._rows(last)
        except psycopg.Error as error:
            if self._connection.closed:
                raise
            raise RefusedError(error.sqlstate or "", str(error)) from None
        finally:
            if not self._connection.closed:
                self._connection.execute(end)

    def _rows(self, statement: str) -> Rows:
        result = self._connection.execute(statement).pgresult
        assert result
        columns = range(result.nfields)
        return [
            tuple((result.get_value(row, column) or b"").decode() for column in columns)
            for row in range(result.ntuples)
        ]

    def close(self) -> None:
        """End it."""
        self._connection.close()


class Shell:
    """A psql on a machine, run by the account that the inventory names."""

    def __init__(self, machine: Any, host: Host) -> None:
        self._machine = machine
        public, secret = divided(dsn(host.data))
        if secret:
            raise ValueError(
                f"{host.name}: a password would stand in the argument list of psql there. Write it "
                "into the password file of the account that runs psql, for these tests"
            )
        self._target = conninfo.make_conninfo("", **public, application_name=_APPLICATION)

    def run(self, statements: Sequence[str]) -> Rows:
        """As Session has it."""
        *others, last, end = statements
        # Only the answer to the question is printed.
        commands = [*others, "\\o", last, end]
        done = self._machine.run(
            "LC_ALL=C psql --no-psqlrc --no-password --quiet --tuples-only --csv"
            " --set=ON_ERROR_STOP=1 --set=VERBOSITY=verbose --output=/dev/null --dbname=%s"
            + " --command=%s"
            * len(commands),
            self._target,
            *commands,
        )
        if found := _SQLSTATE.search(done.stderr):
            raise RefusedError(found[1], done.stderr.strip())
        assert done.rc == 0, done.stderr
        # An empty line is a row of nothing.
        return [tuple(row) or ("",) for row in csv.reader(io.StringIO(done.stdout))]


def machine(host: Host, directory: Path) -> Any:
    """The machine of a host, as testinfra has it, in the account that the inventory names.

    All that is asked over SSH shares one connection, whose socket is in the directory.
    """
    data = host.data
    account = {"sudo": bool(data.get("_sudo")), "sudo_user": data.get("_sudo_user")}
    if host.connector == "@local":
        return testinfra.get_host("local://", **account)
    # OpenSSH's own client: the configuration, keys and known hosts of whoever runs this.
    options = {
        "BatchMode": "yes",
        "HostName": data.get("ssh_hostname"),
        "UserKnownHostsFile": data.get("ssh_known_hosts_file"),
        # As pyinfra has it.
        "StrictHostKeyChecking": data.get("ssh_strict_host_key_checking", "accept-new"),
    }
    given = [f"-o {name}={value}" for name, value in options.items() if value is not None]
    name = host.name.removeprefix("@ssh/")
    user, port = data.get("ssh_user"), data.get("ssh_port")
    return testinfra.get_host(
        f"ssh://{f'{user}@' if user else ''}{name}{f':{port}' if port else ''}",
        ssh_config=data.get("ssh_config_file"),
        ssh_identity_file=data.get("ssh_key"),
        ssh_extra_args=" ".join(given),
        controlpath=str(directory / "%%C"),
        controlpersist=10,
        **account,
    )
