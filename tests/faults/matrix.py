"""Faults at points: which there are, and what becomes of each."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Database, finished

from .faults import FAULTS, Fault
from .ground import Ground, ground
from .law import Law, Reference
from .points import Point
from .scene import DEPLOY


@dataclass(frozen=True)
class Case:
    """A fault at a point."""

    point: Point
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault} | {self.point}"


def cases(points: Iterable[Point], faults: Iterable[Fault] = FAULTS) -> list[Case]:
    """Every fault at every point at which it can happen."""
    return [Case(point, fault) for point in points for fault in faults if fault.applies(point)]


def drawn(every: Sequence[Case], count: int, seed: int = 1) -> list[Case]:
    """Some of them, the same each time: each fault and each stage as often as it can be."""
    rest = list(every)
    random.Random(seed).shuffle(rest)
    seen: dict[str, int] = {}
    found: list[Case] = []
    while rest and len(found) < count:
        best = min(
            rest,
            key=lambda one: (seen.get(one.fault.name, 0), seen.get(one.point.stage, 0)),
        )
        rest.remove(best)
        found.append(best)
        for name in (best.fault.name, best.point.stage):
            seen[name] = seen.get(name, 0) + 1
    return found


def struck(here: Ground, case: Case, module: str = "pyinfra") -> None:
    """Start a run, and have the fault happen to it where the point is."""
    here.wire.stop = case.point.stop
    here.wire.prepare = lambda: case.point.prepare(here)
    here.run_begins(module)
    process = case.point.reach(here)
    case.fault.strike(here, process)


def try_case(
    case: Case,
    database: Database,
    path: Path,
    reference: Reference,
    data: dict[str, Any],
    module: str = "pyinfra",
) -> None:
    """One case from its beginning to its end. Raises AssertionError where the law is broken."""
    law = Law(reference, is_foreign=case.fault.is_foreign, is_shared=case.fault.is_shared)
    with ground(database, path, DEPLOY, **{**data, **dict(case.fault.data)}) as here:
        case.fault.before(here)
        struck(here, case, module)
        runs = [finished(each) for each in here.started]
        here.settle()
        for run in runs:
            law.between(here, run)
            if case.fault.survives:
                run.succeeded()
        law.after(here)
