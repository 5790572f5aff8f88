"""The words of `exact=`: what goes where no operation declares it.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from .given import refused, several

Exactness: TypeAlias = bool | str | Iterable[str]

WORDS = {
    "table": "tables",
    "partition": "partitions",
    "partition_by": "partitions",
    "view": "views",
    "materialized_view": "views",
    "column": "columns",
    "constraint": "constraints",
    "index": "indexes",
    "statistics": "statistics",
    "trigger": "triggers",
    "policy": "policies",
    "function": "functions",
    "procedure": "functions",
    "enum": "types",
    "domain": "types",
    "label": "labels",
    "sequence": "sequences",
    "grant": "grants",
}
"""The word for each kind that can belong to something."""
EVERYTHING = tuple(dict.fromkeys(WORDS.values()))


def chosen(exact: Exactness, words: Iterable[str] = EVERYTHING) -> frozenset[str]:
    """The words that `exact=` stands for: all with True. Raises DeclarationError."""
    known = frozenset(words)
    if isinstance(exact, bool):
        return known if exact else frozenset()
    found = several("exact", exact)
    for one in found:
        if not isinstance(one, str) or one not in known:
            raise refused("exact", f"True or some of {', '.join(sorted(known))}", one)
    return frozenset(found)
