"""Whatever happens to a run, a database is before, after or at a known step, and can go on.

A few cases are drawn from all of them, the same each time; what was red once is among them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DATA, Field
from .faults import FAULTS
from .matrix import cases, drawn, named, try_case, try_two
from .points import points

_DRAWN = 14
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
    case = named(points(field.reference.plan), fault, point)
    try_case(case, field(), tmp_path, field.reference, DATA)


_BUILD = "CREATE INDEX CONCURRENTLY item_a ON shop.item USING btree"
_SWAP = "ALTER INDEX shop.item_b RENAME TO item_b_old; ALTER INDEX sh"
_DROP = "DROP INDEX CONCURRENTLY IF EXISTS shop.item_b_old"
# A fault, and what happens to the run that goes on from there.
_TWICE = (
    (("killed", "transaction: answered"), ("connection reset", f"{_BUILD}: half way")),
    (("killed", "between"), ("backend terminated", "history started: before COMMIT")),
    (("query cancelled", f"{_BUILD}: half way"), ("killed", f"{_BUILD}: half way")),
    (("killed", f"{_SWAP}: on its way"), ("query cancelled", f"{_DROP}: waits for writers")),
)


@pytest.mark.parametrize(("first", "second"), _TWICE)
def test_a_second_fault_while_a_run_recovers(
    field: Field, tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    known = points(field.reference.plan)
    pair = named(known, *first), named(known, *second)
    try_two(*pair, field(), tmp_path, field.reference, DATA)


# What is taken away from the package, and a case that is red then.
_BROKEN = {
    "the deploy lock": (
        "from pyinfra_postgres.running import steps\n"
        "steps.TAKE_LOCK = 'DO $lock$ BEGIN END $lock$ -- pg_try_advisory_lock('\n",
        ("second deploy", "between"),
        "SQLSTATE",
    ),
    "the check of the catalog": (
        "from pyinfra_postgres.running import steps\n"
        "checked = steps.snapshots.unchanged\n"
        "steps.snapshots.unchanged = lambda known: [\n"
        "    one for one in checked(known) if known.digest not in one\n"
        "]\n",
        ("foreign comment", "deploy lock: on its way"),
        "Something else",
    ),
    "what is INVALID": (
        "from pyinfra_postgres.objects.indexes import stored_indexes\n"
        "stored = stored_indexes.StoredIndex\n"
        "stored_indexes.StoredIndex = lambda *given, valid, **more: stored(*given, **more)\n",
        ("query cancelled", "CREATE INDEX CONCURRENTLY item_a ON shop.item USING btree: half way"),
        "INVALID shop.item_a",
    ),
}


@pytest.mark.parametrize("what", _BROKEN)
@pytest.mark.parametrize("is_broken", [False, True], ids=["with", "without"])
def test_the_law_is_red_without(field: Field, tmp_path: Path, what: str, is_broken: bool) -> None:
    broken, (fault, point), said = _BROKEN[what]
    case = named(points(field.reference.plan), fault, point)
    if not is_broken:
        try_case(case, field(), tmp_path, field.reference, DATA)
        return
    with pytest.raises(AssertionError, match=said):
        try_case(case, field(), tmp_path, field.reference, DATA, broken)
