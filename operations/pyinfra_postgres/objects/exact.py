"""The words of `exact=`: what goes where no operation declares it.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ..syntax.given import refused, several

Exactness: TypeAlias = bool | str | Iterable[str]


def chosen(exact: Exactness, words: Iterable[str]) -> frozenset[str]:
    """The words that `exact=` stands for: all with True. Raises DeclarationError."""
    known = frozenset(words)
    if isinstance(exact, bool):
        return known if exact else frozenset()
    found = several("exact", exact)
    for one in found:
        if not isinstance(one, str) or one not in known:
            raise refused("exact", f"True or some of {', '.join(sorted(known))}", one)
    return frozenset(found)
