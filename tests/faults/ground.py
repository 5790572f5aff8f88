"""What one run is tried on: a database of its own, the wire to it, and sessions of others."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from harness import Database, Project, Run, Started, TestServer, finished, relayed, until

from .scene import GATE, HERE, ROLE
from .wire import Wire, wire

_OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'pyinfra-postgres %'"
)
IS_WAITING = (
    f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
    f"AND (classid, objid) = {HERE} AND database = (SELECT oid FROM pg_database "
    "WHERE datname = current_database())"
)
"""The process that stands before the barrier or in `shop.held`."""
CONNECTED = f"SELECT pid {_OURS} ORDER BY backend_start LIMIT 1"
"""The process of a run, where it does nothing."""


@dataclass
class Ground:
    """One database, and who is there."""

    database: Database
    project: Project
    wire: Wire
    data: dict[str, Any] = field(default_factory=dict)
    """The host data of the run."""
    module: str = "pyinfra"
    """The program that runs the deploy."""
    started: list[Started] = field(default_factory=list)
    is_at_work: bool = False
    """Whether the server is in the middle of what the run has sent."""
    query: str = CONNECTED
    """Gives the process of the run where it is stopped."""
    _keeper: psycopg.Connection[Any] | None = None
    _others: list[psycopg.Connection[Any]] = field(default_factory=list)

    @property
    def server(self) -> TestServer:
        """The server that the wire leads to."""
        return self.wire.server

    @property
    def keeper(self) -> psycopg.Connection[Any]:
        """The session that keeps the gate shut."""
        if self._keeper is None or self._keeper.closed:
            self._keeper = self.database.connect(autocommit=True)
        return self._keeper

    def shut(self) -> None:
        """Have what waits at the gate wait."""
        self.keeper.execute(f"SELECT pg_advisory_lock{GATE}")

    def open(self) -> None:
        """Let it go on."""
        if self._keeper and not self._keeper.closed:
            with contextlib.suppress(psycopg.Error):
                self._keeper.execute(f"SELECT pg_advisory_unlock{GATE}")

    def hold(self, *statements: str) -> psycopg.Connection[Any]:
        """A transaction of somebody else's that has run this, and stays open."""
        session = self.database.connect()
        self._others.append(session)
        for one in statements:
            session.execute(one)
        return session

    def let_go(self) -> None:
        """End all of others' transactions, and open the gate."""
        self.open()
        for one in [self._keeper, *self._others]:
            if one:
                with contextlib.suppress(psycopg.Error):
                    one.rollback()
                one.close()
        self._keeper, self._others = None, []

    def ask(self, query: str) -> Any:
        """The first value that a query of the server's own catalogs gives; None for no row."""
        with self.database.connect(autocommit=True) as session:
            row = session.execute(query).fetchone()
            return row and row[0]

    def run_begins(self) -> Started:
        """Start a run that goes through the wire."""
        self._write("inventory.py", relayed(self.database, self.wire.directory))
        process = self._start("inventory.py")
        self.started.append(process)
        return process

    def second(self) -> Started:
        """Start another one, which does not."""
        self._write("second.py", self.database.dsn)
        process = self._start("second.py")
        self.started.append(process)
        return process

    def dry(self, *given: str) -> Run:
        """A dry run with data that the command line gives."""
        self._write("next.py", self.database.dsn)
        options = [each for one in given for each in ("--data", one)]
        return self.project.run("next.py", "deploy.py", "--dry", *options).succeeded()

    def next(self) -> Run:
        """What a run does that nothing disturbs."""
        self._write("next.py", self.database.dsn)
        return finished(self._start("next.py"))

    def _start(self, inventory: str) -> Started:
        return self.project.start(inventory, "deploy.py", "-y", module=self.module)

    def _write(self, name: str, dsn: str) -> None:
        dsn = dsn.replace("postgres@", f"{ROLE}@", 1)
        self.project.inventory({"one": dsn}, name=name, **self.data)

    def go_on(self) -> None:
        """Let the run go on, and whoever stands in its way be gone."""
        self.wire.release()
        self.let_go()

    def go_on_under(self, *statements: str) -> None:
        """Let it go on while somebody has run this, if that is possible."""
        session = self.database.connect()
        with contextlib.suppress(psycopg.Error):
            for one in statements:
                session.execute(one)
        self.go_on()
        self._others.append(session)

    def is_left(self) -> bool:
        """Whether a session of a run is there still."""
        return bool(self.ask(f"SELECT EXISTS (SELECT {_OURS})"))

    def settle(self) -> None:
        """Wait until no session of a run is left. What the network lost, somebody notices."""
        self.let_go()
        self.wire.end()
        until(lambda: not self.is_left(), 20)


@contextlib.contextmanager
def ground(database: Database, path: Path, deploy: str, **data: Any) -> Iterator[Ground]:
    """A ground with a deploy."""
    project = Project(path)
    project.deploy(deploy)
    with (
        tempfile.TemporaryDirectory(prefix="pgt-") as name,
        wire(database.server, Path(name)) as between,
    ):
        made = Ground(database, project, between, {"postgres_connect_delay": 0.01, **data})
        try:
            yield made
        finally:
            made.let_go()
            project.end()
