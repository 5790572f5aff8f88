"""The report's pages as a browser shows them: axe, light, dark, print, and a narrow screen.

`pytest tests/browser`, which needs Debian's package `chromium` and `demo/install.py test browser`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SHEETS = 4
"""As many sheets of paper a manager reads."""
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "print": {"color_scheme": "dark"},
    "360 px": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}
_OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true })"
_WIDTH = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextmanager
def opened(browser: Any, path: Path, look: str) -> Iterator[tuple[Any, list[str]]]:
    """A page, and what it complains of or asks for."""
    context = browser.new_context(**LOOKS[look])
    try:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda one: said.append(f"console: {one.text}"))
        page.on("pageerror", lambda one: said.append(f"error: {one}"))
        page.on("request", lambda one: said.append(f"request: {one.url}"))
        if look == "print":
            page.emulate_media(media="print")
        page.goto(path.as_uri())
        said.remove(f"request: {path.as_uri()}")
        yield page, said
    finally:
        context.close()


def faults(browser: Any, path: Path, look: str) -> Iterator[str]:
    """What is wrong with a page, closed as it comes and with all that it has."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, path, look) as (page, said):
        for state in ("closed", "open"):
            if over := page.evaluate(_WIDTH):
                yield f"{state}: {over} px wider than the screen"
            found = [*said]
            for one in Axe().run(page).response["violations"]:
                where = [each["target"][0] for each in one["nodes"]]
                yield f"{state}: {one['impact']} {one['id']} at {where[:3]} of {len(where)}"
            said[:] = found
            page.evaluate(_OPEN)
        yield from said


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_fault(browser: Any, pages: list[Path], look: str) -> None:
    found = {path.name: [*faults(browser, path, look)] for path in pages}
    assert {name: said for name, said in found.items() if said} == {}


def test_a_manager_prints_few_sheets(browser: Any, pages: list[Path]) -> None:
    sheets = {}
    for path in (one for one in pages if one.name == "index.html"):
        with opened(browser, path, "print") as (page, _):
            pdf = page.pdf(format="A4")
        sheets[path.parent.name] = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    assert {name: count for name, count in sheets.items() if not 0 < count <= SHEETS} == {}
