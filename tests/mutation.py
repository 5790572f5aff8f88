"""Turns conditions of the package one by one, and says which of them no test notices.

python tests/mutation.py [--count N] [--seed N] [--seconds N] [--at TEXT] [FOLDER ...]

FOLDERs are of the package: planning, objects and comparison unless others are named. The first run
records which lines each test executes, which takes as long as those tests; later ones record what
tests are new, or all of them where the package has changed. Each mutant is run in a copy of the
checkout, by the tests that execute its line: the fastest of each file first, and as many as take
`--seconds` together. `--at` draws only mutants whose place, planning/planner.py:120, or whose new
line contains the text. Those that mean the same as the original are in mutation.toml, with the why.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.mutants import Mutant, mutants  # noqa: E402
from harness.reached import RECORD, TESTS, Reached, recorded  # noqa: E402

PACKAGE = Path("operations", "pyinfra_postgres")
# What runs in this process; one server, for most of what differs between versions is in queries.
RECORDED = ("tests/unit", "tests/kinds", "-k", "not pg16")


class Checkout:
    """A copy of the checkout, in which tests run on one mutant after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)  # as root, servers run under another account
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)

    def pytest(
        self, *arguments: str, env: dict[str, str], output: IO[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start pytest in the copy."""
        path = os.pathsep.join([f"{self.root}/tests", f"{self.root}/operations"])
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", "-q", "-p", "harness.reached", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": path, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def has_types(self) -> bool:
        """Whether mypy finds nothing wrong in the copy."""
        mypy = (sys.executable, "-m", "mypy", "--strict", str(PACKAGE))
        return not subprocess.run(mypy, cwd=self.root, capture_output=True, check=False).returncode

    def notices(self, mutant: Mutant, tests: Sequence[Reached]) -> str:
        """Which of the tests fails on a mutant, or how else it is noticed; empty if it is not."""
        chosen, output = self.root / "tests.json", self.root / "output.txt"
        chosen.write_text(json.dumps([one.test for one in tests]))
        files = sorted({one.test.partition("::")[0] for one in tests})
        file = self.root / PACKAGE / mutant.path
        file.write_text(mutant.new)
        with output.open("w") as opened:
            process = self.pytest("-x", *files, env={TESTS: str(chosen)}, output=opened)
            try:
                if not process.wait(60 + 5 * sum(one.seconds for one in tests)):
                    return "" if self.has_types() else "mypy"
            except subprocess.TimeoutExpired:
                return "it does not end"
            finally:
                _end(process)
                shutil.copy2(ROOT / PACKAGE / mutant.path, file)
        if process.returncode < 0:
            raise SystemExit(f"something else has ended the tests of {mutant}: it proves nothing")
        failed = re.search("\n(?:FAILED|ERROR) (tests/.*?)(?: - .*)?\n", output.read_text())
        return failed[1] if failed else f"pytest ends with {process.returncode}"


def _end(process: subprocess.Popen[str]) -> None:
    """End a run that still goes on; it stops its servers unless it hangs even then."""
    for signal_ in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(signal_)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                continue


def reaching(mutant: Mutant, tests: Iterable[Reached], seconds: float) -> list[Reached]:
    """The tests that execute a mutant's line, the fastest of each file first."""
    own = set(mutant.lines)
    found = [one for one in tests if not own.isdisjoint(one.lines.get(mutant.path, ()))]
    places: dict[str, Iterator[int]] = {}
    order = {}
    for one in sorted(found, key=attrgetter("seconds")):
        order[one.test] = next(places.setdefault(one.test.partition("::")[0], count()))
    chosen: list[Reached] = []
    for one in sorted(found, key=lambda one: (order[one.test], one.seconds)):
        seconds -= one.seconds
        if chosen and seconds < 0:
            break
        chosen.append(one)
    return chosen


def drawn(folders: Iterable[str], at: str, number: int, seed: int) -> list[Mutant]:
    """As many mutants of these folders, drawn at random."""
    files = [file for one in folders for file in sorted((ROOT / PACKAGE / one).rglob("*.py"))]
    found = [
        one
        for file in files
        for one in mutants(str(file.relative_to(ROOT / PACKAGE)), file.read_text())
        if at in str(one) or at in one.changed[1]
    ]
    return random.Random(seed).sample(found, min(number, len(found)))


def equivalents() -> set[tuple[str, str]]:
    """The mutants that mean the same, each by its file and its line as it then reads."""
    text = (ROOT / "tests" / "mutation.toml").read_text()
    return {(one["file"], one["line"]) for one in tomllib.loads(text)["same"]}


def record_of_package() -> Path:
    """Where the record for the package as it is now is kept."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        digest.update(file.read_bytes())
    return ROOT / ".pytest_cache" / f"reached-{digest.hexdigest()[:12]}.jsonl"


def main() -> int:
    """Print what becomes of each mutant; 1 where one survives."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", default=["planning", "objects", "comparison"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--at", default="")
    given = parser.parse_args()
    path = record_of_package()
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        checkout = Checkout(Path(directory))
        checkout.pytest(*RECORDED, env={RECORD: str(path)}).wait()
        tests, same = recorded(path), equivalents()
        ends: dict[str, int] = dict.fromkeys(("noticed", "not reached", "survived", "the same"), 0)
        for mutant in drawn(given.folders, given.at, given.count, given.seed):
            chosen = reaching(mutant, tests, given.seconds)
            if (mutant.path, mutant.changed[1]) in same:
                end, by = "the same", ""
            elif not chosen:
                end, by = "not reached", ""
            else:
                by = checkout.notices(mutant, chosen)
                end = "noticed" if by else "survived"
            ends[end] += 1
            print(f"{sum(ends.values()):4} {mutant} {end} {by or len(chosen)}", flush=True)
            if end in ("survived", "not reached"):
                print(f"{mutant.diff}\n", flush=True)
    print(", ".join(f"{number} {end}" for end, number in ends.items()))
    return int(bool(ends["survived"]))


if __name__ == "__main__":
    sys.exit(main())
