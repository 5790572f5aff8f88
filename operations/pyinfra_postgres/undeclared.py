"""What a database holds that belongs to what is declared, and that nobody declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from .catalog import Catalog, Declared
from .errors import DeclarationError
from .exact import WORDS
from .kind import Key, Object
from .names import Name
from .objects.grants import undeclared_privileges
from .objects.partitions import Partition
from .plan import Operation, Undeclared
from .session import Item

_Known: TypeAlias = dict[Key, Sequence[Declared]]


class Leftover(NamedTuple):
    """What nobody declares, and the declaration that takes it away."""

    what: Undeclared
    removal: Object
    present: bool
    """Whether that declaration is of something present."""
    goes: bool
    """Whether it is to go."""
    early: bool = False
    """Whether it goes before others of its kind."""


def leftovers(
    catalog: Catalog,
    declarations: Iterable[Object],
    waiting: Iterable[Object],
    exact: frozenset[str],
) -> list[Leftover]:
    """What belongs to the declared objects and schemas and no operation of the run declares.

    The catalog knows what has had its turn; `waiting` is what the rest of the run declares.
    """
    whole: dict[Key, frozenset[str]] = {}
    for one in (single for many in declarations for single in many.expand(catalog)):
        if one.is_whole:
            own = one.exact if one.holds else frozenset()
            whole[one.key()] = whole.get(one.key(), exact) | own
    found = _found(catalog, whole, _known(catalog, waiting))
    kinds = list(WORDS)
    return sorted(found, key=lambda one: (kinds.index(one.what.kind), one.what.name))


def _known(catalog: Catalog, waiting: Iterable[Object]) -> _Known:
    known: _Known = dict(catalog.declared)
    for one in waiting:
        # What is wrong with it is told when it has its turn.
        with suppress(DeclarationError):
            for single in one.expand(catalog):
                known[single.key()] = [*known.get(single.key(), ()), Declared("", single)]
    return known


def _found(catalog: Catalog, whole: dict[Key, frozenset[str]], known: _Known) -> Iterator[Leftover]:
    holders: dict[object, tuple[str, frozenset[str]]] = {}
    for key, exact in whole.items():
        if stored := catalog.objects.get(key):
            holders.update((each, (stored.title, exact)) for each in stored.provides())
            yield from _within(stored, exact, catalog, known)
    periods = _periods(known)
    for key, one in catalog.objects.items():
        holder = None if key in known else holders.get(one.belongs_to())
        if holder and not _goes_with_another(one, catalog, periods):
            title, exact = holder
            name = one.title.partition(" ")[2]
            what = Undeclared(title, one.kind, name, _shortened(one.brief()))
            yield Leftover(what, one, False, WORDS[one.kind] in exact)


def _within(
    one: Object, exact: frozenset[str], catalog: Catalog, known: _Known
) -> Iterator[Leftover]:
    for part in one.undeclared(known[one.key()]):
        what = Undeclared(one.title, part.kind, part.name, part.definition)
        yield Leftover(what, part.removal, True, WORDS[part.kind] in exact, part.early)
    for excess, removal in undeclared_privileges(one, catalog, known):
        name = excess.title.partition(" ")[2]
        what = Undeclared(one.title, excess.kind, name, _shortened(excess.brief()))
        yield Leftover(what, removal, True, WORDS[excess.kind] in exact)


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
    return is_partition or (isinstance(name, Name) and name in catalog.extension_owned)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


_FIRST = (
    *("indexes", "statistics", "triggers", "policies", "grants", "views"),
    *("constraints", "columns", "labels", "tables", "partitions", "functions"),
)
"""What goes before what, where nothing is known to use the other."""


def removals(found: Iterable[Leftover]) -> list[Item]:
    """What takes away what is to go, a declaration for each."""
    going = sorted((one for one in found if one.goes), key=_place)
    return [Item(Operation(f"exact: {one.what.title}"), one.removal, one.present) for one in going]


def _place(one: Leftover) -> tuple[int, bool]:
    word = WORDS[one.what.kind]
    return _FIRST.index(word) if word in _FIRST else len(_FIRST), not one.early
