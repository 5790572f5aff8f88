"""Fixtures of the live tests. A test that takes `database` runs once per PostgreSQL version."""

from __future__ import annotations

import gc
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import (
    LABELS,
    Database,
    Databases,
    FakeNeon,
    PasswordRole,
    Platform,
    Project,
    TestServer,
    running_servers,
)

ROOT = Path(__file__).resolve().parent.parent
ACCEPTANCE = ROOT / "tests" / "acceptance"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests wait for locks, and for time to pass."""
    return (os.cpu_count() or 1) + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The acceptance tests are about hosts: they run where `--inventory` names some."""
    return True if collection_path == ACCEPTANCE and not config.getoption("inventory", "") else None


def pytest_collection_finish() -> None:
    """What is there now stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], TestServer]]:
    """Call it for the server of a version."""
    with running_servers() as servers:
        yield servers


@pytest.fixture(scope="session", params=LABELS, ids=lambda label: f"pg{label}")
def server(request: pytest.FixtureRequest, servers: Callable[[str], TestServer]) -> TestServer:
    """A running server, each version in turn."""
    return servers(request.param)


@pytest.fixture
def new_database(server: TestServer) -> Iterator[Databases]:
    """Call it for one more empty database on the server, whose log begins here."""
    server.empty_log()
    databases = Databases(server)
    yield databases
    databases.remove()


@pytest.fixture
def database(new_database: Databases) -> Database:
    """An empty database; roles that the test creates go away with it."""
    return new_database()


@pytest.fixture
def password_role(database: Database) -> PasswordRole:
    """A role whose password the server checks (scram-sha-256)."""
    role = PasswordRole(f"pw_{secrets.token_hex(3)}", f"s3cret:{secrets.token_hex(8)}/@")
    database.psql(
        f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}' IN ROLE password_users"
    )
    return role


@pytest.fixture
def silent_dsn() -> Iterator[str]:
    """The DSN of something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@pytest.fixture
def unreachable_dsn(tmp_path: Path) -> str:
    """The DSN of a server that is not there."""
    return f"postgresql://postgres@/postgres?host={tmp_path}/nowhere"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty directory to write an inventory and a deploy into, and to run pyinfra in."""
    project = Project(tmp_path)
    yield project
    project.end()


@pytest.fixture
def fake_neon(new_database: Databases) -> Iterator[FakeNeon]:
    """A server that answers like Neon's API, with no projects yet."""
    fake = FakeNeon(new_database)
    yield fake
    fake.close()


@pytest.fixture
def platform(project: Project) -> Platform:
    """Runs this checkout's deploy, rollback and verification in that directory."""
    return Platform(project)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout, where `deploy.py` and its companions are."""
    return ROOT
