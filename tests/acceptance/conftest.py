"""The acceptance tests of the sync platform, on the hosts of an inventory.

pytest tests/acceptance --inventory inventories/staging.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from .inventory import Host, InventoryError, hosts
from .observer import Database, Direct, Session, Shell, machine

_HOSTS = pytest.StashKey[list[Host]]()
_NOTHING = "no test has run: all were skipped or left out, so nothing is known of any host"
_tested: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which hosts are tested, and whether they are written to."""
    group = parser.getgroup("acceptance tests")
    group.addoption("--inventory", help="the hosts to test: an inventory of pyinfra's")
    group.addoption(
        "--limit", action="append", default=[], help="groups, or patterns for the names of hosts"
    )
    group.addoption(
        "--writes",
        action="store_true",
        help="run the tests that write, too; what they write is rolled back. Never on production",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the inventory. Before anything connects, refuse to write to production."""
    config.addinivalue_line("markers", "writes: it writes to the database, and rolls that back")
    inventory = config.getoption("inventory")
    if inventory is None:
        raise pytest.UsageError("tests/acceptance: say on which hosts by --inventory FILE")
    try:
        found = hosts(inventory, config.getoption("limit"))
    except InventoryError as error:
        raise pytest.UsageError(str(error)) from None
    production = ", ".join(host.name for host in found if host.is_production)
    if config.getoption("writes") and production:
        raise pytest.UsageError(
            f"--writes: nothing is written to production, and that is {production}. "
            "Leave out --writes, or name other hosts by --limit"
        )
    config.stash[_HOSTS] = found
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"  # what is expected stands in the assertion


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on each host, or on each that is a machine."""
    found = metafunc.config.stash[_HOSTS]
    if "on_machine" in metafunc.fixturenames:
        found = [host for host in found if host.is_machine]
    cases: list[Any] = [pytest.param(host, id=host.name) for host in found]
    if not cases:
        reason = "no host of the inventory is a machine: they are only databases"
        cases = [pytest.param(None, id="no machine", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize("tested", cases)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what writes, unless it is asked for."""
    if config.getoption("writes"):
        return
    left_out = [item for item in items if item.get_closest_marker("writes")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("writes")]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what was tested; where workers test, in the process that has started them."""
    if (report.when == "call" and not report.skipped) or report.failed:
        _tested.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which nothing was tested is no proof."""
    runs = not session.config.option.collectonly
    if runs and session.exitstatus == pytest.ExitCode.OK and not _tested:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say so."""
    if not _tested and not terminalreporter.config.option.collectonly:
        terminalreporter.write_line(f"FAILED: {_NOTHING}", red=True)


@pytest.fixture(scope="session")
def machines() -> Iterator[Callable[[Host], Any]]:
    """Call it for the machine of a host."""
    known: dict[str, Any] = {}

    def found(host: Host) -> Any:
        if host.name not in known:
            known[host.name] = machine(host, Path(directory))
        return known[host.name]

    # The path of a socket is short by law.
    with TemporaryDirectory(prefix="acc-") as directory:
        yield found


@pytest.fixture(scope="session")
def sessions(machines: Callable[[Host], Any]) -> Iterator[Callable[[Host], Session]]:
    """Call it for what runs statements on a host's database."""
    known: dict[str, Session | None] = {}

    def session(host: Host) -> Session:
        if host.name not in known:
            known[host.name], why = None, ""
            try:
                known[host.name] = (
                    Shell(machines(host), host)
                    if host.is_machine
                    else opened.enter_context(closing(Direct(host)))
                )
            except (psycopg.Error, ValueError) as error:
                why = "; ".join(line.strip() for line in str(error).splitlines())
            if why:
                pytest.fail(f"{host.name} can't be asked: {why}", pytrace=False)
        # One failure says it, and no other test waits for the same.
        return known[host.name] or pytest.skip(f"{host.name} can't be asked")

    with ExitStack() as opened:
        yield session


@pytest.fixture
def session(tested: Host, sessions: Callable[[Host], Session]) -> Session:
    """What runs statements on a host's database."""
    return sessions(tested)


@pytest.fixture
def on_machine(tested: Host, machines: Callable[[Host], Any]) -> Any:
    """The machine of a host, as testinfra has it: only hosts that are machines are tested."""
    return machines(tested)


@pytest.fixture
def database(session: Session) -> Database:
    """A host's database, for what only reads."""
    return Database(session)


@pytest.fixture
def written_to(tested: Host, session: Session) -> Database:
    """A host's database, for what writes and is rolled back."""
    assert not tested.is_production, f"{tested.name} is production"
    return Database(session, writes=True)
