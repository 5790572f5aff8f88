"""Chromium, without a window and without a network, and reports for it to open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from harness import NEWEST, Databases, Platform, Project, running_servers
from pyinfra_postgres.reports import folder
from pyinfra_postgres.reports.facts import Check, HostFacts, Report
from pyinfra_postgres.reports.statuses import Status

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "</script><b>|`\n\u202e\x1b[2J{{ 7 * 7 }}&lt;\"'<!--]]>" + "w" * 120


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser, whose every context is as good as new."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: demo/install.py test browser"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        # As root there is no sandbox, and what is opened here are our own pages.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pages of some reports: of databases in several states, of a fleet, of hostile names."""
    platform = platform_report(tmp_path_factory.mktemp("platform"))
    fleet = tmp_path_factory.mktemp("fleet")
    folder.update(fleet, fleet_report())
    hostile = tmp_path_factory.mktemp("hostile")
    folder.update(hostile, hostile_report())
    kept = {fleet / "index.html", fleet / "db-1.html", fleet / "db-2.html"}
    found = [*platform.glob("*.html"), *hostile.glob("*.html"), *kept]
    return sorted(found)


def platform_report(path: Path) -> Path:
    """The folder of a report about the platform: not there yet, damaged, complete."""
    with running_servers() as servers:
        databases = Databases(servers(NEWEST))
        platform = Platform(Project(path))
        names = ("empty", "damaged", "complete")
        empty, damaged, complete = (databases(name) for name in names)
        platform("deploy", [damaged, complete], postgres_today=None).succeeded()
        damaged.psql(
            "DROP TABLE sync_progress CASCADE; DROP INDEX idx_sync_schedule_due;"
            "ALTER TABLE organization ADD COLUMN extra text"
        )
        platform("verify", [empty, damaged, complete], postgres_today=None).failed()
    return path / "reports" / "inventory"


def fleet_report() -> Report:
    """A report about a hundred databases, a third of which pass."""
    checks = tuple(
        Check(f"{number} Task", f"table public.t{number}", Status.PASS) for number in range(1, 9)
    )
    failed = (evolve(checks[0], status=Status.FAIL, reason="it is missing"), *checks[1:])
    hosts = tuple(
        HostFacts(f"db-{number}", (), "2026-01-02T03:04:05Z", failed if number % 3 else checks)
        for number in range(100)
    )
    return Report("Shop", "fleet", hosts)


def hostile_report() -> Report:
    """A report in which all that can have a name has a hostile one."""
    checks = tuple(
        Check(
            HOSTILE,
            f"{HOSTILE}{status.value}",
            status,
            HOSTILE,
            expected=(HOSTILE,),
            query=HOSTILE,
            place=HOSTILE,
        )
        for status in Status
    )
    return Report(HOSTILE, HOSTILE, (HostFacts(HOSTILE, (HOSTILE,), HOSTILE, checks, checks),))
