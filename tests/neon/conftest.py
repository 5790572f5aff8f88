"""A Neon API on loopback, and what asks it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from harness import TOKEN, FakeNeon, FakeProject
from pyinfra_postgres.neon import branches as connector
from pyinfra_postgres.neon.api import Neon


@pytest.fixture
def fake() -> Iterator[FakeNeon]:
    """The API, with no projects yet, and no databases behind its branches."""
    fake = FakeNeon()
    yield fake
    fake.close()


@pytest.fixture
def shop(fake: FakeNeon) -> FakeProject:
    """A project with branches on two pages."""
    return fake.project("shop", "main", "staging", "preview/7")


@pytest.fixture
def retries() -> list[str]:
    """What the client of this test told of its retries."""
    return []


@pytest.fixture
def neon(fake: FakeNeon, retries: list[str]) -> Iterator[Neon]:
    """A client that waits for next to nothing."""
    address = fake.environment["NEON_API_HOST"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=address, headers=headers, trust_env=False) as client:
        yield Neon(client, say=retries.append, delay=0.001)


@pytest.fixture
def environment(fake: FakeNeon, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process's environment leads to the API."""
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    Neon.from_environment.cache_clear()
    connector.targets.cache_clear()
    return monkeypatch
