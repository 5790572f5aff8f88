"""PgBouncer as Debian has it, in front of a test server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.server import UNPRIVILEGED, environment
from harness.cli import until
from harness.servers import OBSERVER, Database, TestServer

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(
    _PROGRAM is None, reason="no pgbouncer here: install Debian's package pgbouncer"
)
needs_neon = pytest.mark.skipif(
    _PROGRAM is None or shutil.which("openssl") is None,
    reason="no pgbouncer or no openssl here: install Debian's packages of these names",
)
PORT = 6432


class Pooler:
    """A running PgBouncer that listens on a Unix socket in a directory of its own."""

    def __init__(self, server: TestServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.log = directory / "log"

    def dsn(self, database: Database) -> str:
        """The URI of a database through the pooler, as superuser."""
        return f"postgresql://postgres@/{database.name}?host={self.directory}&port={PORT}"

    def logins(self) -> int:
        """How many clients it has had."""
        return self.log.read_text().count("login attempt")

    @contextlib.contextmanager
    def session(self, database: Database) -> Iterator[psycopg.Connection[Any]]:
        """Another client of the pooler, which prepares nothing."""
        with psycopg.connect(
            self.dsn(database), autocommit=True, application_name=OBSERVER, prepare_threshold=None
        ) as connection:
            yield connection

    def ask(self, database: Database, query: str) -> str:
        """One value, asked by another client."""
        with self.session(database) as connection:
            row = connection.execute(query).fetchone()
            assert row
            return str(row[0])


@contextlib.contextmanager
def pooler(
    server: TestServer, pool_mode: str, users: Mapping[str, str] | None = None, **settings: object
) -> Iterator[Pooler]:
    """Run PgBouncer in front of a server; users are those that may log in, with their hashes."""
    assert _PROGRAM
    with tempfile.TemporaryDirectory(prefix="pgt-") as name:
        directory = Path(name)
        all_settings = {
            "unix_socket_dir": directory,
            "listen_port": PORT,
            "auth_type": "trust",
            "auth_file": directory / "users",
            "logfile": directory / "log",
            "pool_mode": pool_mode,
            "ignore_startup_parameters": "extra_float_digits",
            **settings,
        }
        listed = "".join(f"{key} = {value}\n" for key, value in all_settings.items())
        database = f"* = host={server.socket.parent} port=5432"
        (directory / "ini").write_text(f"[databases]\n{database}\n[pgbouncer]\n{listed}")
        known = users or {"postgres": ""}
        lines = "".join(f'"{user}" "{hashed}"\n' for user, hashed in known.items())
        (directory / "users").write_text(lines)
        account = UNPRIVILEGED if os.geteuid() == 0 else None
        if account:
            for path in (directory, directory / "ini", directory / "users"):
                shutil.chown(path, account)
        process = subprocess.Popen(
            [_PROGRAM, "-q", str(directory / "ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            user=account,
        )
        try:
            until(lambda: _listens(directory / f".s.PGSQL.{PORT}"))
            directory.chmod(0o755)
            yield Pooler(server, directory)
        finally:
            process.terminate()
            process.wait()


def _listens(path: Path) -> bool:
    """Whether somebody listens there: the socket comes first."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
