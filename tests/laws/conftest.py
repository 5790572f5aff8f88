from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import NEWEST, Databases, TestServer

from . import living
from .schemas import SETUP


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with TestServer(NEWEST) as server:
        server.psql("-c", SETUP)
        yield Databases(server)


@pytest.fixture(scope="module")
def living_databases() -> Iterator[Databases]:
    with TestServer(NEWEST) as server:
        server.psql("-c", living.SETUP)
        yield Databases(server)
