"""What a database holds that belongs to what is declared, and that nobody declares.

Nothing here changes a server, and nothing is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

from .catalog import Catalog, Declared
from .errors import DeclarationError
from .kind import Key, Object
from .names import Name
from .objects.grants import undeclared_privileges
from .objects.partitions import Partition
from .plan import Undeclared

_Known: TypeAlias = dict[Key, Sequence[Declared]]

_ORDER = (
    *("grant", "policy", "trigger", "view", "materialized_view", "index", "statistics"),
    *("constraint", "column", "partition", "table", "function", "procedure", "label"),
    *("enum", "domain", "sequence"),
)
"""The kinds that can belong to something; what depends on others comes first."""


def undeclared(
    catalog: Catalog, declarations: Iterable[Object], waiting: Iterable[Object]
) -> list[Undeclared]:
    """What belongs to the declared objects and schemas and no operation of the run declares.

    The catalog knows what has had its turn; `waiting` is what the rest of the run declares.
    """
    found = _found(catalog, declarations, waiting)
    return sorted(found, key=lambda one: (_ORDER.index(one.kind), one.name))


def _found(
    catalog: Catalog, declarations: Iterable[Object], waiting: Iterable[Object]
) -> Iterator[Undeclared]:
    known = _known(catalog, waiting)
    holders: dict[object, str] = {}
    for key in dict.fromkeys(one.key() for one in declarations if one.is_whole):
        if stored := catalog.objects.get(key):
            holders.update((reference, stored.title) for reference in stored.provides())
            yield from _within(stored, catalog, known)
    periods = _periods(known)
    for key, one in catalog.objects.items():
        within = holders.get(one.belongs_to())
        if within and key not in known and not _goes_with_another(one, catalog, periods):
            name = one.title.partition(" ")[2]
            yield Undeclared(within, one.kind, name, _shortened(one.lines()))


def _known(catalog: Catalog, waiting: Iterable[Object]) -> _Known:
    known: _Known = dict(catalog.declared)
    for one in waiting:
        # What is wrong with it is told when it has its turn.
        with suppress(DeclarationError):
            for single in one.expand(catalog):
                known[single.key()] = [*known.get(single.key(), ()), Declared("", single)]
    return known


def _within(one: Object, catalog: Catalog, known: _Known) -> Iterator[Undeclared]:
    for part in one.undeclared(known[one.key()]):
        yield Undeclared(one.title, part.kind, part.name, part.definition)
    for excess, _ in undeclared_privileges(one, catalog, known):
        name = excess.title.partition(" ")[2]
        yield Undeclared(one.title, excess.kind, name, _shortened(excess.lines()))


def _periods(known: _Known) -> set[tuple[Name, str]]:
    """The tables whose partitions follow the calendar, with the period."""
    return {
        (one.parent, one.every)
        for entries in known.values()
        for _, one, _ in entries
        if isinstance(one, Partition) and one.every
    }


def _goes_with_another(one: Object, catalog: Catalog, periods: set[tuple[Name, str]]) -> bool:
    """Whether it came with an extension, or is a partition that other days have made."""
    if isinstance(one, Partition):
        return any(one.parent == parent and one.is_one(every) for parent, every in periods)
    name = getattr(one, "name", None)
    is_partition = one.kind == "table" and ("partition", *one.key()[1:]) in catalog.objects
    return is_partition or (name in catalog.extension_owned and isinstance(name, Name))


def _shortened(lines: Iterable[str]) -> str:
    text = " ".join(", ".join(lines).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
