"""The two ratios of README.md: a run that changes nothing, and a first apply.

python benchmarks/run.py [--runs N]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from demo.server import environment  # noqa: E402
from harness.servers import NEWEST, Database, Databases, LogEntry, TestServer  # noqa: E402

EMPTY = """\
from pyinfra import host
from pyinfra.api import operation


@operation()
def empty():
    host.noop("nothing")
    yield from ()


for number in range({count}):
    empty(name=f"empty {{number}}")
"""


def timed(database: Database, deploy: Path) -> dict[str, Any]:
    """Run a deploy on one database from the checkout; seconds, operations, changed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        inventory = directory / "inventory.py"
        inventory.write_text(f"bench = [('@postgres/bench', {{'postgres_dsn': {database.dsn!r}}})]")
        result = directory / "result.json"
        done = subprocess.run(
            [sys.executable, ROOT / "benchmarks" / "timed.py", result, inventory, deploy, "-y"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        return dict(json.loads(result.read_text()))


def alternating(
    runs: int, left: Callable[[], float], right: Callable[[], float]
) -> list[tuple[float, float]]:
    """Time both sides in turn, changing which goes first."""
    pairs = []
    for number in range(runs):
        if number % 2:
            second, first = right(), left()
        else:
            first, second = left(), right()
        pairs.append((first, second))
        print(".", end="", flush=True)
    print()
    return pairs


def report(title: str, pairs: list[tuple[float, float]], goal: float) -> None:
    """Print the median ratio, its spread, and the medians of both sides."""
    ratios = sorted(left / right for left, right in pairs)
    left, right = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
    print(
        f"{title}: {statistics.median(ratios):.2f} (goal {goal}; {ratios[0]:.2f} to "
        f"{ratios[-1]:.2f} in {len(ratios)} runs; {left:.0f} ms against {right:.0f} ms)"
    )


def no_op(server: TestServer, runs: int) -> None:
    """A run that finds nothing to do, against pyinfra's own cost for as many operations."""
    databases = Databases(server)
    database = databases()
    timed(database, ROOT / "deploy.py")
    second = timed(database, ROOT / "deploy.py")
    if second["changed"]:
        raise SystemExit(f"A second run changed {second['changed']} operations.")
    with tempfile.TemporaryDirectory() as directory:
        floor = Path(directory) / "floor.py"
        floor.write_text(EMPTY.format(count=second["operations"]))
        print(f"no-op run of {second['operations']} operations ", end="")
        pairs = alternating(
            runs,
            lambda: float(timed(database, ROOT / "deploy.py")["seconds"]),
            lambda: float(timed(database, floor)["seconds"]),
        )
    report("no-op run / empty operations", pairs, 1.5)
    databases.remove()


def first_apply(server: TestServer, runs: int) -> None:
    """The transaction of a first apply, against psql's for the same statements."""
    script = _script(_applied(server))

    def with_psql() -> float:
        databases = Databases(server)
        database = databases()
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            before = len(server.log_entries())
            done = subprocess.run(
                [
                    *(server.binaries / "psql", "-X1q", "-v", "ON_ERROR_STOP=1"),
                    *("-d", database.dsn, "-f", file.name),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr)
        entries = server.log_entries()[before:]
        databases.remove()
        return _seconds(_transaction(entries, database))

    print(f"first apply of {len(script)} bytes of SQL ", end="")
    pairs = alternating(runs, lambda: _seconds(_applied(server)), with_psql)
    report("first apply / psql -1 -f", pairs, 2)


def _applied(server: TestServer) -> list[LogEntry]:
    """What the server logged of the transaction of a first apply."""
    databases = Databases(server)
    database = databases()
    before = len(server.log_entries())
    timed(database, ROOT / "deploy.py")
    entries = server.log_entries()[before:]
    databases.remove()
    return _transaction(entries, database)


def _transaction(entries: list[LogEntry], database: Database) -> list[LogEntry]:
    """The longest transaction, from the message with its BEGIN to the end of its COMMIT."""
    found: list[LogEntry] = []
    for pid in {entry.pid for entry in entries if entry.database == database.name}:
        current: list[LogEntry] | None = None
        committed = False
        for entry in (entry for entry in entries if entry.pid == pid):
            statement = entry.statement or ""
            if re.match(r"\s*(BEGIN|START TRANSACTION)\b", statement, re.IGNORECASE):
                current, committed = [], False
            if current is None:
                continue
            current.append(entry)
            committed = committed or bool(re.search(r"(?i)\bCOMMIT\s*;?\s*$", statement))
            if committed and entry.message.startswith("duration: "):
                found = max(found, current, key=_size)
                current = None
    if not found:
        raise SystemExit("The server's log shows no transaction that was committed.")
    return found


def _size(entries: list[LogEntry]) -> int:
    return sum(len(entry.statement or "") for entry in entries)


def _seconds(entries: list[LogEntry]) -> float:
    return max((entries[-1].time - entries[0].time).total_seconds(), 0.001)


def _script(entries: list[LogEntry]) -> str:
    """The statements of a transaction without its BEGIN and COMMIT."""
    statements = [entry.statement.rstrip("; \n") for entry in entries if entry.statement]
    text = ";\n".join(statements) + ";\n"
    text = re.sub(r"(?i)\A\s*(BEGIN|START TRANSACTION)[^;]*;", "", text)
    return re.sub(r"(?i)\bCOMMIT\s*;\s*\Z", "", text)


def main() -> None:
    """Run both benchmarks."""
    parser = argparse.ArgumentParser(description="How long runs take, as ratios")
    parser.add_argument("--runs", type=int, default=11, help="alternating runs (default 11)")
    arguments = parser.parse_args()
    with TestServer(NEWEST, log_duration="on") as server:
        no_op(server, arguments.runs)
        first_apply(server, arguments.runs)


if __name__ == "__main__":
    main()
