"""The names that PostgreSQL gives to what is not named.

Pure: no I/O, no pyinfra state. They are computed only where a later statement has to name what an
earlier one creates; otherwise the server chooses.
"""

from __future__ import annotations

from collections.abc import Container

from .names import MAX_BYTES, Exact


def joined(name1: str, name2: str | None, label: str) -> str:
    """`name1_name2_label` in at most 63 bytes; the longer name is shortened first."""
    sizes = [len(name1.encode()), len((name2 or "").encode())]
    room = MAX_BYTES - len(label.encode()) - 1 - (name2 is not None)
    while sum(sizes) > room:
        sizes[0 if sizes[0] > sizes[1] else 1] -= 1
    parts = [_clipped(name1, sizes[0])]
    if name2 is not None:
        parts.append(_clipped(name2, sizes[1]))
    return "_".join([*parts, label])


def chosen_name(name1: str, name2: str | None, label: str, taken: Container[str | None]) -> Exact:
    """The first of `label`, `label1`, `label2`, ... whose name is free."""
    found, number = joined(name1, name2, label), 0
    while found in taken:
        number += 1
        found = joined(name1, name2, f"{label}{number}")
    return Exact(found)


def _clipped(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")
