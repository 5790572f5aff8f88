"""A pytest plugin: records which lines of the package each test executes, or runs chosen tests.

`MUTATION_RECORD` names a file of JSON lines, a test each; those that it has are not run again.
`MUTATION_TESTS` names a JSON list of the tests to run, in this order.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import pytest

RECORD = "MUTATION_RECORD"
TESTS = "MUTATION_TESTS"
_PACKAGE = Path(__file__).resolve().parent.parent.parent / "operations" / "pyinfra_postgres"


@dataclass(frozen=True)
class Reached:
    """A test that passed: how long it took, and the lines that it executed, by file."""

    test: str
    seconds: float
    lines: dict[str, list[int]]


def recorded(path: Path) -> list[Reached]:
    """The tests of a record."""
    text = path.read_text() if path.exists() else ""
    return [Reached(**json.loads(line)) for line in text.splitlines()]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that are to run."""
    if path := os.environ.get(RECORD):
        known = {one.test for one in recorded(Path(path))}
        items[:] = [item for item in items if item.nodeid not in known]
    if path := os.environ.get(TESTS):
        found = {item.nodeid: item for item in items}
        items[:] = [found[test] for test in json.loads(Path(path).read_text()) if test in found]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Record a test, unless it fails."""
    if not (path := os.environ.get(RECORD)):
        return (yield)
    # Operations run in greenlets.
    seen = coverage.Coverage(
        data_file=None, config_file=False, include=[f"{_PACKAGE}/*"], concurrency=["gevent"]
    )
    seen.set_option("run:disable_warnings", ["no-data-collected"])
    began = time.monotonic()
    with seen.collect():
        result = yield
    seconds = round(time.monotonic() - began, 2)
    data = seen.get_data()
    lines = {
        str(Path(file).relative_to(_PACKAGE)): sorted(data.lines(file) or ())
        for file in data.measured_files()
    }
    with Path(path).open("a") as record:
        print(json.dumps(asdict(Reached(item.nodeid, seconds, lines))), file=record)
    return result
