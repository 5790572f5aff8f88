"""The report's pages as a browser shows them: axe, light, dark, print, and a narrow screen.

`pytest tests/browser`, which needs Debian's package `chromium` and `demo/install.py test browser`;
with `--docs` it takes the README's pictures anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from browser.reports import Reports

SHEETS = 4
"""As many sheets of paper a manager reads."""
_CONTRAST = {"runOnly": ["color-contrast"]}


@frozen
class Look:
    """How a page is opened, and what axe looks at then: all that it knows, or what differs."""

    context: dict[str, Any]
    rules: dict[str, Any] | None = None
    media: str = "screen"


LOOKS = {
    "light": Look({"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}),
    "dark": Look({"color_scheme": "dark"}, _CONTRAST),
    "print": Look({"color_scheme": "dark"}, _CONTRAST, media="print"),
    "360 px": Look(
        {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
        {"runOnly": ["scrollable-region-focusable", "target-size", "meta-viewport"]},
    ),
}
_OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true })"
_WIDTH = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextmanager
def opened(browser: Any, path: Path, look: str) -> Iterator[tuple[Any, list[str]]]:
    """A page, and what it complains of or asks for."""
    context = browser.new_context(**LOOKS[look].context)
    try:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda one: said.append(f"console: {one.text}"))
        page.on("pageerror", lambda one: said.append(f"error: {one}"))
        page.on("request", lambda one: said.append(f"request: {one.url}"))
        page.emulate_media(media=LOOKS[look].media)
        page.goto(path.as_uri())
        said.remove(f"request: {path.as_uri()}")
        yield page, said
    finally:
        context.close()


def faults(browser: Any, path: Path, look: str) -> Iterator[str]:
    """What is wrong with a page, as it comes and with all that it folds away."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, path, look) as (page, said):
        for state in ("as it comes", "folded open"):
            if over := page.evaluate(_WIDTH):
                yield f"{state}: {over} px wider than the screen"
            page.evaluate(_OPEN)
        yield from said
        for one in Axe().run(page, options=LOOKS[look].rules).response["violations"]:
            where = [each["target"][0] for each in one["nodes"]]
            yield f"{one['impact']} {one['id']} at {where[:3]} of {len(where)}"


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_fault(browser: Any, reports: Reports, look: str) -> None:
    found = {path: [*faults(browser, path, look)] for path in reports.pages()}
    assert {path.name: said for path, said in found.items() if said} == {}


FAULTY = f"""<!doctype html><html><head><title>Faulty</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'"></head>
<body><img src="missing.png"><details><pre>{"w" * 5000}</pre></details></body></html>"""


def test_faults_are_found(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "faulty.html"
    page.write_text(FAULTY)
    found = "\n".join(faults(browser, page, "light"))
    for said in ("image-alt", "html-has-lang", "console: ", "folded open: "):
        assert said in found


def test_a_manager_prints_few_sheets(browser: Any, reports: Reports) -> None:
    sheets = {}
    for path in reports.indexes():
        with opened(browser, path, "print") as (page, _):
            pdf = page.pdf(format="A4")
        sheets[path.parent.name] = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    assert {name: count for name, count in sheets.items() if not 0 < count <= SHEETS} == {}


DOCS = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST = 200_000
"""How many bytes a picture in the repository has at most."""


def test_the_pictures_of_the_readme(
    browser: Any, reports: Reports, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    folder = DOCS if pytestconfig.getoption("--docs") else tmp_path
    folder.mkdir(exist_ok=True)
    shots = {
        "causes.png": (reports.platform / "damaged.html", "section:has(#cone)"),
        "tables.png": (reports.brownfield / "erp.html", "details:has-text('Schema core') svg"),
    }
    for name, (path, what) in shots.items():
        with opened(browser, path, "light") as (page, _):
            page.evaluate(_OPEN)
            page.locator(what).first.screenshot(path=folder / name)
        assert 0 < (folder / name).stat().st_size < LARGEST
        assert (DOCS / name).exists()
