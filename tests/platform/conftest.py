"""The platform on servers of its own, where its role outlives the single test."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from harness import (
    LABELS,
    TODAY,
    Database,
    Databases,
    Platform,
    Project,
    TestServer,
    running_servers,
)


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], TestServer]]:
    """Call it for the server of a version."""
    with running_servers() as servers:
        yield servers


@pytest.fixture(scope="session", params=LABELS, ids=lambda label: f"pg{label}")
def server(request: pytest.FixtureRequest, servers: Callable[[str], TestServer]) -> TestServer:
    """A running server, each version in turn."""
    return servers(request.param)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Database]:
    """Call it for the database of a server that has the platform as of a day."""

    @functools.cache
    def deployment(server: TestServer, name: str, today: str | None) -> Database:
        database = Databases(server)(name)
        platform = Platform(Project(tmp_path_factory.mktemp(name)))
        platform("deploy", database, postgres_today=today).succeeded()
        return database

    return deployment


@pytest.fixture
def deployed(server: TestServer, deployment: Callable[..., Database]) -> Database:
    """A database with the platform, for tests that only read it."""
    return deployment(server, "deployed", TODAY)


@pytest.fixture
def copy(deployed: Database, new_database: Databases) -> Database:
    """A database with the platform, for the test alone."""
    return new_database(copy_of=deployed)


@pytest.fixture
def session(deployed: Database) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's transaction on the platform that is rolled back at the end."""
    with contextlib.closing(deployed.connect()) as connection:
        yield connection
        connection.rollback()
