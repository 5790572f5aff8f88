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

_PYINFRA = """
import runpy

runpy.run_module("pyinfra", run_name="__main__", alter_sys=True)
"""


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


def try_case(
    case: Case,
    database: Database,
    path: Path,
    reference: Reference,
    data: dict[str, Any],
    broken: str = "",
) -> None:
    """One case from its beginning to its end. Raises AssertionError where the law is broken.

    `broken` is what is done to the package first.
    """
    with ground(database, path, DEPLOY, **{**data, **dict(case.fault.data)}) as here:
        if broken:
            here.module = "broken"
            here.project.write("broken.py", broken + _PYINFRA)
        strike(here, case, reference).after(here)


def strike(here: Ground, case: Case, reference: Reference) -> Law:
    """Have a fault happen, and look at what it leaves. Returns what holds afterwards."""
    # What comes before the catalog is looked at is seen, so that what is declared comes about.
    is_foreign = case.fault.is_foreign and not case.point.is_before_check
    law = Law(reference, is_foreign=is_foreign, is_shared=case.fault.is_shared)
    case.fault.before(here)
    here.wire.stop = case.point.stop
    here.wire.prepare = lambda: case.point.prepare(here)
    here.run_begins()
    process = case.point.reach(here)
    case.fault.strike(here, process)
    runs = [finished(each) for each in here.started]
    here.settle()
    for run in runs:
        law.between(here, run)
        if case.fault.survives:
            run.succeeded()
    return law


def named(points: Iterable[Point], fault: str, point: str) -> Case:
    """The one case with these names."""
    (case,) = [one for one in cases(points) if (one.fault.name, one.point.name) == (fault, point)]
    return case


def try_two(
    first: Case,
    second: Case,
    database: Database,
    path: Path,
    reference: Reference,
    data: dict[str, Any],
) -> None:
    """A fault, and another one that happens to the run that would have completed it."""
    with ground(database, path / "first", DEPLOY, **data) as here:
        strike(here, first, reference)
    with ground(database, path / "second", DEPLOY, **data) as here:
        strike(here, second, reference).after(here)
