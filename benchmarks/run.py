"""The ratios of README.md: runs that change nothing, first applies, fleets, and pyinfra's start.

python benchmarks/run.py [--runs N] [NAME ...]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / name) for name in (".", "tests")]

from benchmarks.compared import ROOT, alternating, report, run, timed  # noqa: E402
from benchmarks.fleet import fleet  # noqa: E402
from benchmarks.reports import reports  # noqa: E402
from benchmarks.rollout import rollout  # noqa: E402
from benchmarks.start import start  # noqa: E402
from harness.servers import NEWEST, Database, Databases, LogEntry, TestServer  # noqa: E402
from pyinfra_postgres.catalog.snapshot import SAME_FOREIGN  # noqa: E402

PLATFORM = ROOT / "deploy.py"
MANY = ROOT / "benchmarks" / "many.py"
# One row each, so that every table takes up space; constraints are all the row has to satisfy.
FILL = """
    SET session_replication_role = replica;
    DO $fill$ DECLARE one regclass; BEGIN
      FOR one IN SELECT attrelid FROM pg_attribute WHERE attname = 'tenant_id' AND attrelid IN
          (SELECT oid FROM pg_class WHERE relkind = 'r') LOOP
        EXECUTE format('INSERT INTO %s (tenant_id, code, name) '
                       'VALUES (gen_random_uuid(), ''A'', ''a'')', one);
      END LOOP;
    END $fill$"""

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


def no_op(server: TestServer, runs: int) -> None:
    """A run that finds nothing to do, against pyinfra's own cost for as many operations."""
    databases = Databases(server)
    database = databases()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        def platform() -> float:
            found = timed([database], PLATFORM, cache=directory)
            floor.write_text(EMPTY.format(count=found["operations"]))
            return float(found["seconds"])

        floor = directory / "floor.py"
        # Applied, compared, and found to need nothing, which is remembered.
        platform(), platform(), platform()
        print("no-op run ", end="")
        pairs = alternating(runs, platform, lambda: float(timed([database], floor)["seconds"]))
    report("no-op run / empty operations", pairs, 1.5)
    databases.remove()


def first_apply(server: TestServer, runs: int) -> None:
    """The transaction of a first apply, against psql's for the same statements."""
    script = _script(_applied(server, PLATFORM))

    def with_psql() -> float:
        databases = Databases(server)
        database = databases()
        before = len(server.log_entries())
        _psql(server, database, script)
        entries = server.log_entries()[before:]
        databases.remove()
        return _seconds(_transaction(entries, database))

    print(f"first apply of {len(script)} bytes of SQL ", end="")
    pairs = alternating(runs, lambda: _seconds(_applied(server, PLATFORM)), with_psql)
    report("first apply / psql -1 -f", pairs, 2)


def many_tables(server: TestServer, runs: int) -> None:
    """1,000 tables: a first apply against psql, and runs without changes against pg_dump."""
    script = _script(_applied(server, MANY))
    databases = Databases(server)

    def applied() -> float:
        return float(timed([databases()], MANY)["seconds"])

    def with_psql() -> float:
        database = databases()
        tried = _elapsed(lambda: _psql(server, database, f"{script}\nROLLBACK;\n"))
        return tried + _elapsed(lambda: _psql(server, database, script))

    print(f"first apply of {len(script)} bytes of SQL ", end="")
    pairs = alternating(runs, applied, with_psql)
    report("many tables: first apply / psql -1 -f, tried and run", pairs, 1.3)
    databases.remove()

    database = databases()
    _psql(server, database, script)
    _psql(server, database, FILL)
    dump = str(server.binaries / "pg_dump")

    def with_pg_dump() -> float:
        return _elapsed(lambda: run(dump, "--schema-only", "--file=/dev/null", database.dsn))

    memory = 0
    with tempfile.TemporaryDirectory() as cache:

        def unchanged(kept: Path | None) -> float:
            nonlocal memory
            found = timed([database], MANY, cache=kept)
            if found["changed"]:
                raise SystemExit("A second run changed something.")
            memory = max(memory, found["memory"])
            return float(found["seconds"])

        # The first compares, and the second finds that nothing is left to ask.
        unchanged(Path(cache)), unchanged(Path(cache))
        for title, kept, goal in (("", Path(cache), 1.29), (", nothing remembered", None, 10)):
            print(f"no-op run{title} ", end="")
            pairs = alternating(runs, partial(unchanged, kept), with_pg_dump)
            report(f"many tables: no-op run{title} / pg_dump -s", pairs, goal)
    print(f"many tables: peak memory {memory} MB (goal 400)")
    databases.remove()


def _elapsed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _psql(server: TestServer, database: Database, script: str) -> None:
    """Run a script in one transaction."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        psql = str(server.binaries / "psql")
        run(psql, "-X1q", "-v", "ON_ERROR_STOP=1", "-d", database.dsn, "-f", file.name)


def _applied(server: TestServer, deploy: Path) -> list[LogEntry]:
    """What the server logged of the transaction of a first apply."""
    databases = Databases(server)
    database = databases()
    before = len(server.log_entries())
    timed([database], deploy)
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
    """The statements of a transaction without its BEGIN and COMMIT, as anybody can run them."""
    statements = [entry.statement.rstrip("; \n") for entry in entries if entry.statement]
    text = ";\n".join(statements) + ";\n"
    # What it asks is what the collection's own session has kept.
    text = text.replace(f"{SAME_FOREIGN};\n", "")
    text = re.sub(r"(?i)\A\s*(BEGIN|START TRANSACTION)[^;]*;", "", text)
    return re.sub(r"(?i)\bCOMMIT\s*;\s*\Z", "", text)


BENCHMARKS: dict[str, Callable[[TestServer, int], None]] = {
    "no-op": no_op,
    "first-apply": first_apply,
    "many-tables": many_tables,
    "fleet": fleet,
    "reports": reports,
    "rollout": rollout,
    "start": start,
}


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description="How long runs take, as ratios")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=int, default=11, help="alternating runs (default 11)")
    arguments = parser.parse_args()
    with TestServer(NEWEST, log_duration="on", max_connections="1100") as server:
        for name in arguments.names or BENCHMARKS:
            BENCHMARKS[name](server, arguments.runs)


if __name__ == "__main__":
    main()
