"""What a database holds that belongs to what is declared, and that nobody declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Listed
from itertools import chain
from typing import NamedTuple, TypeAlias

from attrs import evolve

from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import Key
from ..objects.access.object_privileges import undeclared_privileges
from ..objects.constraints.constraints import Constraint, ForeignKey
from ..objects.kind import Object
from ..objects.partitions.partition import LeftPartition
from ..objects.partitions.partitions import Partition
from ..objects.sequence_users import is_named
from ..objects.tables import column_sequences
from ..objects.tables.columns import TableColumn
from ..objects.tables.heirs import below
from ..objects.tables.sequences import Sequence
from ..objects.tables.tables import Table
from ..objects.words import WORDS
from ..plan.plan import Operation, Undeclared
from ..syntax.names import Name, quoted
from .drafts import everything
from .session import Item, Session

_Known: TypeAlias = dict[Key, Listed[Declared]]


class Leftover(NamedTuple):
    """What nobody declares, and the declaration that takes it away."""

    what: Undeclared
    word: str
    """The word of `exact=` for it."""
    removal: Object
    present: bool
    """Whether that declaration is of something present."""
    goes: bool
    """Whether it is to go."""
    early: bool = False
    """Whether it goes before others of its kind."""
    obstacle: str = ""
    """Why it can't go."""


def leftovers(
    catalog: Forecast,
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
            own = one.exact if isinstance(one.exact, frozenset) else frozenset()
            whole[one.key()] = whole.get(one.key(), exact) | own
    found = _found(catalog, whole, everything(catalog, waiting))
    return sorted(found, key=lambda one: (WORDS.index(one.word), one.what.name))


def of_run(session: Session) -> list[Undeclared]:
    """What the blocks of a deploy leave as it is, once all of the deploy has been read.

    While it was read, a block did not know what a later one declares.
    """
    drafts = {block: one for (block, phase), one in session.drafts.items() if not phase}
    if len(drafts) == 1:
        return [one for draft in drafts.values() for one in draft.plan.undeclared]
    found = [
        one.what
        for block, draft in drafts.items()
        if draft.plan.undeclared
        for one in leftovers(
            session.catalog(),
            [item.declaration for item in draft.items if item.present],
            session.declarations,
            block.exact,
        )
        if not one.goes
    ]
    return list(dict.fromkeys(found))


def detached(
    found: Iterable[Leftover], catalog: Forecast, waiting: Iterable[Object]
) -> list[Leftover]:
    """The partitions that the run declares as tables of their own, and that would go with others.

    They are detached: what is declared stays.
    """
    known = everything(catalog, waiting)
    going = [Name(*one.removal.key()[1:3]) for one in found if one.goes and not one.present]
    parts = [part for name in going for part in (name, *below(name, catalog))]
    stay = []
    for part in dict.fromkeys(parts):
        stored = catalog.partition(part)
        if stored is not None and ("table", *part) in known:
            what = Undeclared(f"table {stored.parent}", stored.kind, str(part), stored.brief())
            removal = LeftPartition(part, stored.parent, attached=False)
            stay.append(Leftover(what, stored.word, removal, True, True))
    return stay


def _found(
    catalog: Forecast, whole: dict[Key, frozenset[str]], known: _Known
) -> Iterator[Leftover]:
    holders: dict[object, tuple[str, frozenset[str]]] = {}
    for key, exact in whole.items():
        if stored := catalog.objects.get(key):
            holders.update((each, (stored.title, exact)) for each in stored.provides())
            yield from _within(stored, exact, catalog, known)
    periods, serials = _periods(known), _serials(known, catalog)
    for key, one in catalog.objects.items():
        holder = None if key in known or one.is_part(catalog) else holders.get(one.belongs_to())
        if holder and not _goes_with_another(one, catalog, periods, serials):
            title, exact = holder
            name = one.title.partition(" ")[2]
            what = Undeclared(title, one.kind, name, _shortened(one.brief()))
            yield Leftover(what, one.word, one, False, one.word in exact)


def _within(
    one: Object, exact: frozenset[str], catalog: Forecast, known: _Known
) -> Iterator[Leftover]:
    for part in one.undeclared(known[one.key()]):
        what = Undeclared(one.title, part.kind, part.name, part.definition)
        yield Leftover(what, part.word, part.removal, True, part.word in exact, part.early)
    if isinstance(one, Partition):
        yield from _of_partition(one, exact, catalog, known)
    table = catalog.table(one.name) if isinstance(one, Table | Partition) else None
    key = table.partition_by if table else None
    if key and not any(
        getattr(each.declaration, "partition_by", None) for each in known[one.key()]
    ):
        what = Undeclared(one.title, "partition_by", str(Name(*one.key()[1:])), key)
        obstacle = f"it is partitioned by {key}, which can't go: declare partition_by"
        yield Leftover(what, "partitions", one, True, "partitions" in exact, obstacle=obstacle)
    own = [each for each in column_sequences.of(one, catalog) if each.key() not in known]
    for sequence in column_sequences.unused(one, catalog):
        if sequence in own:
            what = Undeclared(one.title, sequence.kind, str(sequence.name), sequence.brief())
            yield Leftover(what, sequence.word, sequence, False, sequence.word in exact)
    every = (undeclared_privileges(each, catalog, known) for each in (one, *own))
    for excess, removal in chain.from_iterable(every):
        name = excess.title.partition(" ")[2]
        what = Undeclared(one.title, excess.kind, name, _shortened(excess.brief()))
        yield Leftover(what, excess.word, removal, True, excess.word in exact)


def _of_partition(
    one: Partition, exact: frozenset[str], catalog: Forecast, known: _Known
) -> Iterator[Leftover]:
    """The constraints, defaults and NOT NULLs of a partition that its parent does not have."""
    table, parent = (catalog.table(name) for name in (one.name, one.parent))
    if not isinstance(table, Table) or not isinstance(parent, Table) or table.key() in known:
        return
    for each in table.constraints:
        if not each.details.inherited and each.name:
            name = f"{one.name}.{quoted(each.name)}"
            what = Undeclared(one.title, "constraint", name, each.definition())
            removal: Object = Table(
                one.name, constraints=[Constraint(name=each.name, present=False)]
            )
            early = isinstance(each, ForeignKey)
            yield Leftover(what, "constraints", removal, True, "constraints" in exact, early)
    above = {column.name: column for column in parent.columns or ()}
    for column in table.columns or ():
        usual = above.get(column.name)
        if usual and not usual.identity and _differs(column, usual):
            name = f"{one.name}.{quoted(column.name)}"
            what = Undeclared(one.title, "column", name, column.definition())
            removal = Table(one.name, [evolve(usual, inherited=column.inherited)])
            yield Leftover(what, "columns", removal, True, "columns" in exact)


def _differs(column: TableColumn, usual: TableColumn) -> bool:
    """Whether a partition's column has a default or a NOT NULL that its parent's has not."""
    return column.default != usual.default or (usual.nullable and not column.nullable)


def _periods(known: _Known) -> set[tuple[Name, str]]:
    """The tables whose partitions follow the calendar, with the period."""
    return {
        (one.parent, one.every)
        for entries in known.values()
        for _, one, _ in entries
        if isinstance(one, Partition) and one.every
    }


def _serials(known: _Known, catalog: Forecast) -> list[str]:
    """The defaults of the columns that are declared as serial."""
    found = []
    for entries in known.values():
        for _, one, _ in entries:
            serial = [each.name for each in _columns(one) if each.serial]
            stored = catalog.objects.get(one.key()) if serial else None
            found += [each.default for each in _columns(stored) if each.name in serial]
    return [default for default in found if default]


def _columns(one: Object | None) -> tuple[TableColumn, ...]:
    return (one.columns or ()) if isinstance(one, Table) else ()


def _goes_with_another(
    one: Object, catalog: Forecast, periods: set[tuple[Name, str]], serials: Listed[str]
) -> bool:
    """Whether it came with an extension, is a serial column's default, or is a partition that
    other days have made.
    """
    if isinstance(one, Partition):
        return any(one.parent == parent and one.is_one(every) for parent, every in periods)
    name = getattr(one, "name", None)
    if isinstance(one, Sequence):
        return any(is_named(one.name, default) for default in serials)
    is_partition = isinstance(one, Table) and catalog.partition(one.name) is not None
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
    return _FIRST.index(one.word) if one.word in _FIRST else len(_FIRST), not one.early
