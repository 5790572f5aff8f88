"""The tests of exact comparison run on every version that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import EVERY_LABEL, Database, Databases, Project, TestServer
from kinds.conftest import Deploy


@pytest.fixture(scope="session", params=EVERY_LABEL, ids=lambda label: f"pg{label}")
def server(request: pytest.FixtureRequest, servers: Callable[[str], TestServer]) -> TestServer:
    """A running server, each version in turn."""
    return servers(request.param)


@pytest.fixture
def deploy(project: Project, database: Database, tmp_path: Path) -> Deploy:
    """A deploy against an empty database."""
    return Deploy(project, database, tmp_path / "cache")


@pytest.fixture
def copy(new_database: Databases) -> Database:
    """A second empty database on the same server."""
    return new_database()
