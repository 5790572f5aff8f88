"""Whatever happens to a run, a database is before, after or at a known step, and can go on.

A few cases are drawn from all of them, the same each time; what was red once is among them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DATA, Field
from .faults import FAULTS
from .matrix import Case, cases, drawn, try_case
from .points import points

_DRAWN = 22
_ONCE_RED = (
    ("SIGINT", "connect: on its way"),
    ("SIGINT", "snapshot: on its way"),
    ("stopped, and others write", "before COMMIT"),
)


@pytest.mark.parametrize("number", range(_DRAWN))
def test_a_fault_leaves_what_the_next_run_completes(
    field: Field, tmp_path: Path, number: int
) -> None:
    quick = [fault for fault in FAULTS if not fault.is_slow]
    case = drawn(cases(points(field.reference.plan), quick), _DRAWN)[number]
    try_case(case, field(), tmp_path, field.reference, DATA)


@pytest.mark.parametrize(("fault", "point"), _ONCE_RED, ids="-".join)
def test_what_was_red_once(field: Field, tmp_path: Path, fault: str, point: str) -> None:
    (case,) = _named(field, fault, point)
    try_case(case, field(), tmp_path, field.reference, DATA)


def _named(field: Field, fault: str, point: str) -> list[Case]:
    return [
        one
        for one in cases(points(field.reference.plan))
        if (one.fault.name, one.point.name) == (fault, point)
    ]
