"""What comes from outside is one line, whatever it is, and has no key or password in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from harness import TOKEN, FakeNeon, one_version
from harness.neon_api import Fault
from pyinfra_postgres import hidden
from pyinfra_postgres.catalog.snapshot import read
from pyinfra_postgres.cli.main import main
from pyinfra_postgres.errors import HostError
from pyinfra_postgres.neon.api import Neon, NeonError, Project
from pyinfra_postgres.transport.answer import Answer

DEEP = '{"project":' * 100_000
HUGE = '{"projects": [{"id": "x", "name": ' + "9" * 5000 + "}]}"
ODD: tuple[Any, ...] = (None, True, 7, "\x1b[2J", [], [[]], {"id": {}})


@pytest.fixture
def neon(fake_neon: FakeNeon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Neon]:
    for name, value in fake_neon.environment.items():
        monkeypatch.setenv(name, value)
    Neon.from_environment.cache_clear()
    yield Neon.from_environment()
    Neon.from_environment.cache_clear()
    hidden.forget()


def every_request(neon: Neon) -> list[tuple[str, Any]]:
    """All that is asked of the API, each with what asks it."""
    project = Project("p", "p")
    return [
        ("/projects/p", lambda: neon.project("p")),
        ("/projects", lambda: list(neon.projects())),
        ("/projects/p/branches", lambda: neon.branches(project)),
        ("/projects/p/endpoints", lambda: neon.endpoints(project)),
        ("/projects/p/branches/b/databases", lambda: neon.databases("p", "b")),
        ("/projects/p/branches/b/roles", lambda: neon.roles("p", "b")),
        ("/projects/p/connection_uri", lambda: neon.connection_uri("p", "b", "e", "d", "r")),
    ]


def bodies() -> Iterator[str]:
    yield from (DEEP, HUGE, "[" * 100_000, "NaN", '{"project": NaN}', '{"a": 1, "a": 2}', "\xff")
    names = ("project", "projects", "branches", "endpoints", "databases", "roles", "uri")
    for odd in ODD:
        yield json.dumps(odd)
        yield json.dumps(dict.fromkeys(names, odd))
        yield json.dumps({name: [odd] for name in names})
        whole = {"id": odd, "name": odd, "branch_id": odd, "type": odd, "owner_name": odd}
        yield json.dumps(dict.fromkeys(names, whole))
        yield json.dumps({name: [whole] for name in names} | {"pagination": odd})


def refused(ask: Any) -> list[str]:
    try:
        ask()
    except NeonError as error:
        return [str(error)]
    return []


@one_version
def test_no_answer_is_a_traceback(fake_neon: FakeNeon, neon: Neon) -> None:
    told: list[str] = []
    for body in bodies():
        for path, ask in every_request(neon):
            fake_neon.faults = [Fault("GET", path, 200, body=body)]
            told += refused(ask)
    assert len(told) > 150
    assert all(one.isprintable() and len(one) < 700 for one in told)


@one_version
@pytest.mark.parametrize(
    "message",
    [
        f"Authorization: Bearer {TOKEN} is not right",
        f"\x1b[2J\r\n--> Success {TOKEN}\u202e",
        TOKEN * 50,
        "x" * 490 + TOKEN,
    ],
)
def test_the_key_is_in_no_message(
    fake_neon: FakeNeon, neon: Neon, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    del neon
    body = json.dumps({"message": message, "request_id": TOKEN})
    fake_neon.faults = [Fault("GET", "/projects/shop", 400, body=body)]
    result = CliRunner().invoke(main, ["rehearse", "@neon/shop", __file__])
    assert result.exit_code == 1
    assert "HTTP 400" in result.output
    assert TOKEN[:12] not in result.output + caplog.text
    assert all(line.isprintable() for line in result.output.splitlines())


@one_version
def test_a_key_in_an_address_is_in_no_message(neon: Neon, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise httpx2.UnsupportedProtocol(f"no https in {TOKEN}\n")

    monkeypatch.setattr(neon._client, "request", lost)
    with pytest.raises(NeonError) as caught:
        neon.project("p")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("row", ["", "{", "NaN", "[" * 100_000, "9" * 5000, "\ud800"])
def test_a_row_that_is_no_json_is_one_line(row: str) -> None:
    with pytest.raises(HostError, match="the server answered with"):
        Answer((row,)).values()


@pytest.mark.parametrize("row", ["null", "[]", "{}", '{"server": 7}', '{"server": ["x", [[]]]}'])
def test_a_catalog_that_is_none_is_one_line(row: str) -> None:
    with pytest.raises(HostError, match="something else than a catalog"):
        read(row)
