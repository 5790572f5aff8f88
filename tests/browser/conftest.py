"""Chromium, without a window and without a network, and what it opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from browser.reports import (
    Reports,
    brownfield_report,
    fleet_report,
    hostile_report,
    platform_report,
)
from harness import NEWEST, Databases, running_servers
from pyinfra_postgres.reports import folder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the README's pictures be taken anew."""
    parser.addoption("--docs", action="store_true", help="write docs/pictures/*.png anew")


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
def reports(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """The reports that the browser opens; where there is none, nothing is made for it."""
    assert browser.is_connected()
    fleet, hostile = (tmp_path_factory.mktemp(name) for name in ("fleet", "hostile"))
    folder.update(fleet, fleet_report())
    folder.update(hostile, hostile_report())
    with running_servers() as servers:
        databases = Databases(servers(NEWEST))
        platform = platform_report(databases, tmp_path_factory.mktemp("platform"))
        brownfield = brownfield_report(databases, tmp_path_factory.mktemp("brownfield"))
    return Reports(platform, brownfield, fleet, hostile)
