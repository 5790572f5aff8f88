"""What a database holds that belongs to what is declared, and that nobody declares.

Nothing here changes a server; it is asked only in which order things can go.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypeAlias

from .catalog import Catalog, Declared
from .entry import Key
from .errors import DeclarationError
from .kind import Ask, Object
from .names import Name, quoted
from .objects.constraints import Constraint, ForeignKey
from .objects.declarations import WORDS
from .objects.grants import undeclared_privileges
from .objects.partitions import Partition
from .objects.tables import Table
from .plan import Undeclared
from .snapshot import USER_SCHEMA

_Known: TypeAlias = dict[Key, Sequence[Declared]]
_Edge: TypeAlias = tuple[Key, Key]
"""What depends on what."""


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
            own = one.exact if isinstance(one.exact, frozenset) else frozenset()
            whole[one.key()] = whole.get(one.key(), exact) | own
    found = _found(catalog, whole, _known(catalog, waiting))
    return sorted(found, key=lambda one: (WORDS.index(one.word), one.what.name))


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
            yield Leftover(what, one.word, one, False, one.word in exact)


def _within(
    one: Object, exact: frozenset[str], catalog: Catalog, known: _Known
) -> Iterator[Leftover]:
    for part in one.undeclared(known[one.key()]):
        what = Undeclared(one.title, part.kind, part.name, part.definition)
        yield Leftover(what, part.word, part.removal, True, part.word in exact, part.early)
    for excess, removal in undeclared_privileges(one, catalog, known):
        name = excess.title.partition(" ")[2]
        what = Undeclared(one.title, excess.kind, name, _shortened(excess.brief()))
        yield Leftover(what, excess.word, removal, True, excess.word in exact)


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


# What depends on what, by schema and name, with the arguments of functions. A part stands for the
# whole that it goes with.
_DEPENDENCIES = f"""
    WITH part(classid, objid, whole, id) AS (
              SELECT 'pg_rewrite'::regclass, oid, 'pg_class'::regclass, ev_class FROM pg_rewrite
        UNION SELECT 'pg_attrdef'::regclass, oid, 'pg_class'::regclass, adrelid FROM pg_attrdef
        UNION SELECT 'pg_policy'::regclass, oid, 'pg_class'::regclass, polrelid FROM pg_policy
        UNION SELECT 'pg_trigger'::regclass, oid, 'pg_class'::regclass, tgrelid FROM pg_trigger
        UNION SELECT 'pg_class'::regclass, indexrelid, 'pg_class'::regclass, indrelid FROM pg_index
        UNION SELECT 'pg_type'::regclass, oid, 'pg_class'::regclass, typrelid FROM pg_type
               WHERE typrelid <> 0
        UNION SELECT 'pg_type'::regclass, oid, 'pg_type'::regclass, typelem FROM pg_type
               WHERE typelem <> 0 AND typrelid = 0
        UNION SELECT 'pg_type'::regclass, rngmultitypid, 'pg_type'::regclass, rngtypid FROM pg_range
        UNION SELECT classid, objid, refclassid, refobjid FROM pg_depend
               WHERE (classid, refclassid, deptype)
                   = ('pg_proc'::regclass, 'pg_type'::regclass, 'i')
        UNION SELECT 'pg_constraint'::regclass, oid, CASE conrelid WHEN 0
                 THEN 'pg_type'::regclass ELSE 'pg_class'::regclass END,
                 CASE conrelid WHEN 0 THEN contypid ELSE conrelid END FROM pg_constraint),
    named(classid, objid, id) AS (
              SELECT 'pg_class'::regclass, c.oid, json_build_array(n.nspname, c.relname)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_type'::regclass, t.oid, json_build_array(n.nspname, t.typname)
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_proc'::regclass, p.oid, json_build_array(n.nspname, p.proname,
                 (SELECT coalesce(string_agg(format_type(a, NULL), ', ' ORDER BY place), '')
                    FROM unnest(p.proargtypes) WITH ORDINALITY AS u(a, place)))
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA})
    SELECT DISTINCT jsonb_build_array(a.id, b.id) FROM pg_depend d
      LEFT JOIN part x ON (x.classid, x.objid) = (d.classid, d.objid)
      LEFT JOIN part y ON (y.classid, y.objid) = (d.refclassid, d.refobjid)
      JOIN named a ON (a.classid, a.objid) = (coalesce(x.whole, d.classid), coalesce(x.id, d.objid))
      JOIN named b ON (b.classid, b.objid) = (coalesce(y.whole, d.refclassid),
                                              coalesce(y.id, d.refobjid))"""

_STEPS = (
    ("indexes", "statistics", "triggers", "policies", "grants"),
    ("views",),
    ("constraints",),
    ("columns", "labels"),
    ("tables", "partitions", "functions"),
)
_VIEWS = 1


def in_order(found: Iterable[Leftover], ask: Ask) -> list[Leftover]:
    """The same so that what depends on others goes before them, as far as that is possible."""
    steps: list[list[Leftover]] = [[] for _ in (*_STEPS, "the rest")]
    every = sorted(found, key=lambda one: not one.early)
    steps[0] += _keys_to(every)
    for one in every:
        step = (number for number, words in enumerate(_STEPS) if one.word in words)
        steps[next(step, len(_STEPS))].append(one)
    if sum(map(len, steps[1:])) > 1:
        edges = [(tuple(one), tuple(other)) for one, other in ask.renamed(_DEPENDENCIES)]
        early = _reaching(every, edges)
        steps[_VIEWS] += early
        steps[1:] = [
            _sorted([one for one in step if number == _VIEWS or one not in early], edges)
            for number, step in enumerate(steps[1:], 1)
        ]
    return [one for step in steps for one in step]


def _keys_to(found: Sequence[Leftover]) -> Iterator[Leftover]:
    """The foreign keys of tables that go to tables of which only a part does."""
    parts = {one.removal.key()[1:] for one in found if one.present}
    for one in found:
        for key, _ in () if one.present else _foreign_keys(one, parts):
            yield key


def _reaching(found: Sequence[Leftover], edges: Sequence[_Edge]) -> list[Leftover]:
    """The functions that read tables of which a part goes, and that these don't use themselves."""
    tables = {one.removal.key()[1:] for one in found if one.present}
    reading = set(tables)
    while more := {one for one, other in edges if other in reading} - reading:
        reading |= more
    used = {other for one, other in edges if one in tables}
    return [
        one for one in found if one.word == "functions" and one.removal.key()[1:] in reading - used
    ]


def _sorted(found: Sequence[Leftover], edges: Sequence[_Edge]) -> list[Leftover]:
    names = {one.removal.key()[1:]: one for one in found if not one.present}
    among = [(one, other) for one, other in edges if one in names and other in names]
    parts = [one for one in found if one.present]
    try:
        order = _after(names, among)
    except CycleError:
        keys = [key for one in names.values() for key in _foreign_keys(one, names)]
        parts += [key for key, _ in keys]
        try:
            order = _after(names, set(among) - {pair for _, pair in keys})
        except CycleError:
            order = list(names)  # PostgreSQL will say what needs what.
    return [*parts, *(names[name] for name in order)]


def _after(names: Iterable[Key], edges: Iterable[tuple[Key, Key]]) -> list[Key]:
    """The names, each after what depends on it. Raises CycleError."""
    graph: dict[Key, set[Key]] = {name: set() for name in names}
    for one, other in edges:
        if one != other:
            graph[other].add(one)
    return list(TopologicalSorter(graph).static_order())


def _foreign_keys(
    one: Leftover, names: Container[Key]
) -> Iterator[tuple[Leftover, tuple[Key, Key]]]:
    """The foreign keys of a table to others that go too, and which those are."""
    table = one.removal
    if not isinstance(table, Table):
        return
    for key in table.constraints:
        if isinstance(key, ForeignKey) and key.table in names and key.table != table.name:
            absent = Constraint(name=key.name, present=False)
            what = Undeclared(table.title, "constraint", f"{table.name}.{quoted(key.name or '')}")
            removal = Table(table.name, constraints=[absent])
            found = Leftover(what, "constraints", removal, True, True)
            yield found, (table.name, key.table)
