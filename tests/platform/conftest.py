"""The platform on servers of its own, where its role outlives the single test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness import LABELS, Database, Databases, Platform, Project, TestServer


@pytest.fixture(scope="session", params=LABELS, ids=lambda label: f"pg{label}")
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """A running server, each version in turn; stopped and removed at the end."""
    with TestServer(request.param) as running:
        yield running


@pytest.fixture(scope="session")
def deployed(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database with the platform, for tests that only read it."""
    database = Databases(server)("deployed")
    Platform(Project(tmp_path_factory.mktemp("deployed")))("deploy", database).succeeded()
    return database


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
