"""The platform has no finding of advice that is not accepted with a reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
import sync_platform
from harness import Database, Databases, TestServer, one_version
from harness.process import run

JUDGES = Path(sys.prefix) / "judges" / "bin" / "pgrls"
# They are about the server that the tests start, and not about the platform.
OF_SERVERS = {"server-behind", "extension-behind"}

Advised = Callable[[Database], dict[str, Any]]


@pytest.fixture
def advised(tmp_path: Path) -> Advised:
    """Verifies a database as verify.py does, with all judges."""

    def verify() -> None:
        with pg.verification(
            report=str(tmp_path),
            deploy=sync_platform.everything,
            accepted=sync_platform.ACCEPTED,
        ):
            sync_platform.checks()

    def advised(database: Database) -> dict[str, Any]:
        print(run(database, verify, postgres_pgrls=str(JUDGES)).messages[-1500:])
        (path,) = tmp_path.glob("*/report.json")
        (host,) = json.loads(path.read_text())["hosts"]
        return dict(host)

    return advised


def left(host: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (one["rule"], one["what"], one["said"])
        for one in host["findings"]
        if not one["accepted"] and one["rule"] not in OF_SERVERS
    ]


@one_version
@pytest.mark.skipif(not JUDGES.exists(), reason="no pgrls: python demo/install.py test")
def test_the_finished_platform(
    server: TestServer, deployment: Callable[..., Database], advised: Advised
) -> None:
    host = advised(deployment(server, "current", None))
    assert host["unasked"] == []
    assert left(host) == []
    accepted = {(one["rule"], one["what"]) for one in host["findings"] if one["accepted"]}
    # Of the plan, which is empty, squawk was asked nothing.
    assert accepted == {
        (one.rule, one.what) for one in sync_platform.ACCEPTED if one.rule.split()[0] != "squawk"
    }


@one_version
def test_the_plan_for_an_empty_database(new_database: Databases, advised: Advised) -> None:
    host = advised(new_database())
    assert left(host) == []
    accepted = {(one["rule"], one["what"]) for one in host["findings"] if one["accepted"]}
    assert accepted == {
        (one.rule, one.what) for one in sync_platform.ACCEPTED if one.rule.split()[0] == "squawk"
    }
    assert all(one["place"] for one in host["findings"] if one["accepted"])
