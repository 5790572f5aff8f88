"""Declarations of one run that can't be true together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.catalog import Declared, Forecast
from ..comparison.compare import Comparison
from ..objects.kind import Object
from .session import Item


def denied(item: Item, one: Object, catalog: Forecast) -> Iterator[str]:
    """The operations whose declarations can't be true together with this one."""
    for operation, other, _ in catalog.declared.get(one.key(), ()):
        # One without a name may stand under that of what it has found.
        if other.key() != one.key():
            continue
        if item.present and one.contradicts(other):
            yield operation
        if not item.present and other.claims and one.withdrawn(other) != other:
            yield operation
    for operation, other, _ in catalog.absent.get(one.key(), ()) if item.present else ():
        if one.claims and other.withdrawn(one) != one:
            yield operation


def no_longer_true(
    current: Object | None,
    target: Object,
    known: Sequence[Declared],
    same: Comparison,
    catalog: Forecast,
) -> Iterator[str]:
    """The operations whose declarations of the same object held, and no longer do."""

    def holds(declaration: Object, one: Object) -> bool:
        return not tuple(declaration.diff(one, declaration.aligned(one, same, catalog)))

    for operation, other, _ in known[:-1]:
        if current and holds(other, current) and not holds(other, target):
            yield operation
