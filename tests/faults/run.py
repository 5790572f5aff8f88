"""Every fault at every point, for as long as one likes: how many there are, and which are red.

    python tests/faults/run.py                                 # all of them
    python tests/faults/run.py --minutes 20 --processes 3      # as many as that allows
    python tests/faults/run.py --only "connection reset"       # those with these words

Each process has a server of its own. The order is drawn by `--seed`.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from faults.conftest import DATA, playground  # noqa: E402
from faults.matrix import cases, try_case  # noqa: E402
from faults.points import points  # noqa: E402


@dataclass(frozen=True)
class Tried:
    """What became of a case."""

    fault: str
    stage: str
    point: str
    error: str


def work(number: int, of: int, minutes: float, only: str, seed: int) -> tuple[int, list[Tried]]:
    """How many cases there are, and what became of this process's share of them."""
    tried: list[Tried] = []
    with tempfile.TemporaryDirectory() as name, playground(Path(name) / "learn") as field:
        every = [one for one in cases(points(field.reference.plan)) if only in str(one)]
        random.Random(seed).shuffle(every)
        until = time.time() + 60 * minutes
        for place, case in enumerate(every):
            if place % of != number or time.time() > until:
                continue
            database, error = field(), ""
            try:
                try_case(case, database, Path(name) / str(place), field.reference, DATA)
            except Exception as found:
                error = f"{type(found).__name__}: {found}"
                print(f"red: {case}\n{error}\n", flush=True)
            field.databases.drop(database)
            tried.append(Tried(case.fault.name, case.point.stage, case.point.name, error))
    return len(every), tried


def main() -> int:
    """Carry out one command line; the exit code is 1 where a case is red."""
    parser = argparse.ArgumentParser(description="Every fault at every point of a run")
    parser.add_argument("--minutes", type=float, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", metavar="WORDS")
    parser.add_argument("--seed", type=int, default=1, help="which come first")
    given = parser.parse_args()
    began = time.time()
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        shares = [
            pool.submit(work, number, given.processes, given.minutes, given.only, given.seed)
            for number in range(given.processes)
        ]
        ended = [one.result() for one in shares]
    tried = [one for _, share in ended for one in share]
    for title, counted in (
        ("fault", Counter(one.fault for one in tried)),
        ("stage", Counter(one.stage for one in tried)),
    ):
        red = Counter(getattr(one, title) for one in tried if one.error)
        print(f"{title:<28}{'cases':>7}{'red':>7}")
        for name, count in counted.most_common():
            print(f"{name:<28}{count:>7}{red[name]:>7}")
    reds = [one for one in tried if one.error]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{len(tried)} of {ended[0][0]} cases at {len({one.point for one in tried})} points, "
        f"{len(reds)} red; {time.time() - began:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of a processor without the servers"
    )
    return int(bool(reds))


if __name__ == "__main__":
    sys.exit(main())
