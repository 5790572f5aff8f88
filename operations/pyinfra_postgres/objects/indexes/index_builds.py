"""How an index comes to be where there are rows and traffic.

It is built concurrently, of a partitioned table partition by partition, and one that differs is
swapped for the new one. Each statement leaves a state from which the next run goes on.
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from itertools import count

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Hazard, Lock, Mode, Stage, Statement, together
from ...syntax.names import Exact, Name, listed, literal, quoted
from ...syntax.naming import chosen_name, joined, naming
from ...syntax.paths import SearchPath
from ..constraints import foreign_keys
from ..constraints.constraints import Constraint, ReferringKey
from ..kind import comment
from .elements import aligned_element
from .index_state import IndexBuild, IndexFacts, IndexState, Swap

_ONLINE = (Hazard.NOT_TRANSACTIONAL,)
_CLUSTERABLE = frozenset({"btree", "gist"})


def built(build: IndexBuild) -> Iterator[Statement]:
    """Build an index, from wherever an interrupted run has stopped."""
    if build.there is None or not build.there.valid:
        yield from _created(build)
    for part in build.parts:
        there, index = part.there, part.index
        if there is None or not there.valid:
            yield from _created(part)
        if there is None or there.parent != index.parent:
            in_use = there is not None or part.is_concurrent
            yield attached(index.full, index.parent, in_use)


def attached(part: Name, whole: Name | None, in_use: bool) -> Statement:
    """Make a partition's index part of its table's index."""
    return Statement(
        f"ALTER INDEX {whole} ATTACH PARTITION {part}",
        stage=Stage.AFTER if in_use else Stage.MAIN,
        locks=part,
    )


def _created(build: IndexBuild) -> Iterator[Statement]:
    index, path = build.index, SearchPath.of(*build.index.fragments)
    if build.there:
        yield dropped(build.there, concurrently=build.is_concurrent)
    if build.is_concurrent:
        yield Statement(
            index.created(concurrently=True),
            stage=Stage.AFTER,
            path=path,
            hazards=_ONLINE,
            locks=Lock(index.table, Mode.SHARE_UPDATE_EXCLUSIVE, only=True),
        )
    else:
        scans = (Hazard.SCANS, Hazard.BLOCKS_WRITES) if build.filled and not build.online else ()
        # The partitions follow one by one.
        only = build.online and build.partitioned
        yield Statement(
            index.created(concurrently=False, only=only),
            path=path,
            hazards=scans,
            locks=Lock(index.table, Mode.SHARE, only=only, spares_heirs=True),
        )


def dropped(index: IndexState, concurrently: bool) -> Statement:
    """Drop an index, unless a session is building it right now, which that would kill.

    Another deploy has ended before this one gets its lock, and makes its plan anew.
    """
    summary = ""
    if index.deploying:
        summary = (
            f"{index.full} is being built by session {index.builder}, which is deploying: "
            "this run waits for it, and plans anew"
        )
    elif index.builder:
        raise DeclarationError(
            f"session {index.builder} is building {index.full} right now: run again when it has "
            f"ended. If nobody waits for it, SELECT pg_terminate_backend({index.builder}) ends it"
        )
    lock = Lock(index.table, spares_heirs=True)
    at_once = Statement(f"DROP INDEX {index.full}", locks=lock, summary=summary)
    if concurrently:
        return Statement(
            f"DROP INDEX CONCURRENTLY IF EXISTS {index.full}",
            stage=Stage.AFTER,
            hazards=_ONLINE,
            locks=Lock(index.table, Mode.SHARE_UPDATE_EXCLUSIVE, only=True),
            summary=summary,
            at_once=at_once,
        )
    return at_once


def replaced(current: IndexState, facts: IndexFacts) -> Iterator[Statement]:
    """Have another index under the same name; what is INVALID serves no query and just goes."""
    build, declared = facts.build, facts.build.index
    swap = facts.swap or Swap.of(declared)
    marks = [
        *marks_of(current, build, swap.identifies),
        *_targets(current, declared.full, swap.places),
        *_kept_by_parts(current, build, swap),
    ]
    dependents = swap.dependents
    if not build.online or not (current.valid or build.partitioned):
        drop = dropped(current, concurrently=build.online)
        if not dependents:
            yield drop
            yield from built(build)
            remark = comment(f"INDEX {declared.full}", None, declared)
            yield from (evolve(one, stage=drop.stage) for one in remark)
            yield from (Statement(one, stage=drop.stage, locks=declared.table) for one in marks)
            return
        texts = [f"DROP INDEX {current.full}", declared.created(concurrently=False), *marks]
        texts += [one.sql for one in comment(f"INDEX {declared.full}", None, declared)]
        yield from foreign_keys.around(declared.table, texts, dependents, Stage.MAIN)
        return
    new = evolve(declared, name=swap.successor)
    yield from built(evolve(build, index=new, there=swap.there))
    for one in comment(f"INDEX {new.full}", swap.there, new):
        yield evolve(one, stage=Stage.AFTER)
    rename = f"ALTER INDEX {new.full} RENAME TO {quoted(declared.name)}"
    if build.partitioned or dependents:
        # Nothing of a partitioned table is dropped concurrently, and a foreign key that comes
        # back would take the old index again.
        texts = [f"DROP INDEX {current.full}", rename, *marks]
        yield from foreign_keys.around(declared.table, texts, dependents, Stage.AFTER)
        return
    old = Name(declared.table.schema, swap.predecessor)
    texts = [
        f"ALTER INDEX {current.full} RENAME TO {quoted(old.name)}",
        rename,
        f"COMMENT ON INDEX {old} IS {literal(mark(declared))}",
        *marks,
    ]
    yield together(texts, (Lock(declared.table),) if current.replica_identity else ())
    yield dropped(evolve(current, name=swap.predecessor), concurrently=True)


def users(index: IndexState, catalog: Forecast, ask: Ask) -> list[str]:
    """The foreign keys on a unique index or a part of it, and the keys that are parts of it."""
    found = ask.renamed(
        f"""
        WITH RECURSIVE tree(oid) AS (
            SELECT to_regclass({literal(str(index.full))})::oid
          UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
        SELECT json_build_array(c.contype, n.nspname, r.relname, c.conname)
          FROM tree JOIN pg_constraint c ON c.conindid = tree.oid AND c.conparentid = 0
          JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
         ORDER BY n.nspname, r.relname, c.conname"""
    )
    titles = []
    for kind, schema, name, constraint in found:
        table = Name(schema, name)
        if kind != "f":
            titles.append(f"{quoted(constraint)}, a part of it as long as {table} is attached")
        elif _has(table, constraint, catalog):
            titles.append(f"{quoted(constraint)} of {table}")
    return titles


def _has(table: Name, constraint: str, catalog: Forecast) -> bool:
    there = catalog.constraints_of(table)
    return any(one.name == constraint for one in there)


def identity(index: str, table: Name, why: str = "") -> DeclarationError:
    """That a replica identity would go: on a published table UPDATE and DELETE would fail."""
    return DeclarationError(
        f"{quoted(index)} is the replica identity of {table}, or that of partitions{why}. "
        f"Give them another first: ALTER TABLE {table} REPLICA IDENTITY ..."
    )


def check_nulls(
    table: Name, freed: Set[str], constraints: Iterable[Constraint], catalog: Forecast
) -> None:
    """Raise DeclarationError where columns of a replica identity are to take nulls."""
    identities = [
        (one.name or "", set(getattr(one, "columns", ())))
        for one in constraints
        if one.details.fittings.replica_identity
    ]
    for one in catalog.on(table) if freed else ():
        if getattr(one, "replica_identity", False):
            columns = {element.column for element in getattr(one, "columns", ())}
            identities.append((getattr(one, "name", ""), columns))
    for name, columns in identities:
        if lost := sorted(freed & columns):
            why = f", and its {listed(lost)} is declared to take nulls"
            raise identity(name, table, why)


def marks_of(current: IndexState, build: IndexBuild, identifies: bool) -> Iterator[str]:
    """What a table has said of its index, said of the new one.

    `identifies` is whether that can be a replica identity.
    """
    table, declared = current.table, build.index
    if current.replica_identity:
        if build.partitioned:
            raise identity(current.name, table)
        if not identifies:
            why = (
                ", and as declared it can't be: that takes a unique index of NOT NULL columns "
                "without a predicate, checked at once"
            )
            raise identity(current.name, table, why)
        yield f"ALTER TABLE {table} REPLICA IDENTITY USING INDEX {quoted(declared.name)}"
    if current.clustered:
        yield clustered(table, declared.name, declared.method, declared.where)


def _targets(current: IndexState, name: Name, places: Mapping[int, int]) -> Iterator[str]:
    """What sets how much ANALYZE gathers of the expressions that the new index has as well."""
    for place, target in sorted(current.targets.items()):
        if place in places:
            yield f"ALTER INDEX {name} ALTER COLUMN {places[place]} SET STATISTICS {target}"


def _kept_by_parts(current: IndexState, build: IndexBuild, swap: Swap) -> Iterator[str]:
    """What gives the parts of the new index the names, comments and marks of the old ones."""
    declared = build.index
    # What somebody has made keeps the name that they gave it.
    theirs = {one.index.table for one in build.parts if not one.becomes}
    parts = [one for one in swap.parts if one.table not in theirs]
    names = [
        (str(declared.full if one.parent == current.full else one.parent), one.table, one.full)
        for one in parts
    ]
    if names:
        yield naming(names)
    for one in parts:
        if one.clustered:
            yield clustered(one.table, one.name, declared.method, declared.where)
        # What is set for the whole is set for its parts as well.
        targets = dict.fromkeys(current.targets, -1) | one.targets
        yield from _targets(evolve(one, targets=targets), one.full, swap.places)
        yield from (each.sql for each in comment(one.address, None, one))


def clustered(table: Name, index: str, method: str, where: str | None) -> str:
    """The statement that has a table clustered on an index, where it can be."""
    if where is not None or method not in _CLUSTERABLE:
        raise DeclarationError(
            f"{table} is clustered on it, and can't be on what is declared: first "
            f"ALTER TABLE {table} SET WITHOUT CLUSTER"
        )
    return f"ALTER TABLE {table} CLUSTER ON {quoted(index)}"


def mark(index: IndexState) -> str:
    """The comment on an index that has given its name to another."""
    return f"replaced by {index.full}, to be dropped"


def swapped(current: IndexState, facts: IndexFacts, catalog: Forecast, same: Same) -> IndexFacts:
    """What is known of a change where an index takes the name of a stored one that differs."""
    swap = _swap(current, facts.build, catalog, same)
    index = evolve(facts.build.index, name=swap.successor)
    new = evolve(facts, build=evolve(facts.build, index=index, there=swap.there))
    parts = _placed(parted(new, catalog, same).build.parts, current, catalog)
    if not facts.build.online:
        facts = parted(facts, catalog, same)
    return evolve(facts, build=evolve(facts.build, parts=parts), swap=swap)


def parted(facts: IndexFacts, catalog: Forecast, same: Same) -> IndexFacts:
    """The same, with what is built in the partitions of the index's table."""
    build = facts.build
    if not build.partitioned:
        return facts
    if build.online or build.there:
        return evolve(facts, build=evolve(build, parts=_parts(build, catalog, same)))
    freed = [one.name for one in below(build.index.full, catalog)]
    return evolve(facts, automatic=_parts(build, catalog, same, freed))


def make_room(
    current: IndexState | None, renamed: IndexState | None, facts: IndexFacts, catalog: Forecast
) -> None:
    """Have a catalog be without what makes room for an index, and with its parts."""
    build, swap = facts.build, facts.swap
    before = below(current.full, catalog) if current and swap else ()
    for gone in (*facts.left, *before, renamed, swap.there if swap else None):
        if gone is not None:
            catalog.remove(gone)
    parts = {}
    for one in (*build.parts, *facts.automatic):
        parts[one.index.full] = _named(one, facts)
    wholes = {one: now.full for one, now in parts.items()}
    if swap:
        wholes[Name(build.index.table.schema, swap.successor)] = build.index.full
    for part in parts.values():
        catalog.put(evolve(part, parent=part.parent and wholes.get(part.parent, part.parent)))


def _named(part: IndexBuild, facts: IndexFacts) -> IndexState:
    """A part as it is called once it has taken the place of another."""
    own = [one.index for one in facts.build.parts]
    if not facts.swap or (part.index in own and not part.becomes):
        return part.index
    names = (one.name for one in facts.swap.parts if one.table == part.index.table)
    return evolve(part.index, name=next(names, part.index.name))


def _swap(current: IndexState, build: IndexBuild, catalog: Forecast, same: Same) -> Swap:
    """How a declared index takes the name of a stored one that differs."""
    declared = build.index
    name, there = aside(
        declared, catalog, "new", lambda one: not one.valid or build.equals(one, same)
    )
    if there and build.partitioned and build.equals(there, same):
        there = evolve(there, valid=True)
    old, _ = aside(declared, catalog, "old", lambda _: False)
    columns = [one.column for one in declared.columns if one.column is not None]
    whole = declared.unique and declared.where is None and len(columns) == len(declared.columns)
    moved: tuple[ReferringKey, ...] = ()
    if current.unique:
        stored = [one.column or "" for one in current.columns]
        moved = foreign_keys.dependents(current.table, current.name, stored, catalog)
        foreign_keys.check(moved, columns if whole else ())
    identifies = whole and never_null(declared.table, columns, catalog)
    parts = tuple(below(current.full, catalog))
    places = dict(_places(current, declared, parts, same))
    return Swap(name, old, there, moved, identifies, parts, places)


def _places(
    current: IndexState,
    declared: IndexState,
    parts: Iterable[IndexState],
    same: Same,
) -> Iterator[tuple[int, int]]:
    for place in sorted({place for one in (current, *parts) for place in one.targets}):
        stored = current.columns[place - 1]
        for number, one in enumerate(declared.columns, 1):
            aligned = aligned_element(one, stored, same, declared.table)
            if one.expression and aligned.expression == stored.expression:
                yield place, number
                break


def never_null(table: Name, columns: Iterable[str], catalog: Forecast) -> bool:
    """Whether columns of a table are all NOT NULL."""
    there = catalog.columns_of(table)
    return set(columns) <= {one.name for one in there if not one.nullable}


def left(index: IndexState, catalog: Forecast) -> tuple[IndexState, ...]:
    """The indexes whose name this one has taken, where a run died before it dropped them."""
    found: list[IndexState] = []
    while True:
        _, one = aside(
            index, catalog, "old", lambda one: one not in found and one.comment == mark(index)
        )
        if one is None:
            return tuple(found)
        found.append(one)


def aside(
    index: IndexState, catalog: Forecast, label: str, ours: Callable[[IndexState], bool]
) -> tuple[Exact, IndexState | None]:
    """The first name for an index that is free, or has an index of the table that is ours."""
    schema = index.table.schema
    for number in count():
        name = Exact(joined(index.name, None, f"{label}{number or ''}"))
        there = catalog.objects.get((index.kind, schema, name))
        if there is None and not catalog.has_relation(Name(schema, name)):
            return name, None
        if isinstance(there, type(index)) and there.table == index.table and ours(there):
            return name, there
    raise AssertionError("unreachable")


def part(whole: IndexState, table: Name) -> IndexState:
    """What a partition has of an index of its table, still without a name of its own."""
    return evolve(
        whole,
        table=table,
        comment=None,
        valid=True,
        parent=whole.full,
        replica_identity=False,
        clustered=False,
    )


def _parts(
    build: IndexBuild, catalog: Forecast, same: Same, freed: Collection[str] = ()
) -> tuple[IndexBuild, ...]:
    """The partitions' parts of an index, each before the parts that it has in turn.

    `freed` are names that are free by then.
    """
    taken: dict[str, set[str | None]] = {}

    def under(whole: IndexState) -> Iterator[IndexBuild]:
        for table in catalog.partitions(whole.table):
            one = IndexBuild.of(part(whole, table), catalog)
            if one.partitioned:
                # Its parts may have rows, or come to have them.
                one = evolve(one, online=True)
            there = found(one, catalog, same)
            if there and one.partitioned:
                there = evolve(there, valid=True)
            names = taken.setdefault(table.schema, catalog.names_in(table.schema) - {*freed})
            usual = default_name(one.index, names - {there.name} if there else names)
            name = there.name if there else usual
            names.add(name)
            # What somebody has made keeps the name that they gave it.
            is_part = there is not None and there.parent is not None
            declared = catalog.is_declared((one.index.kind, table.schema, name))
            ours = is_part or (name == usual and not declared)
            index = evolve(one.index, name=name)
            yield evolve(one, index=index, there=there, becomes=name if ours else None)
            if one.partitioned:
                yield from under(index)

    return tuple(under(build.index))


def below(whole: Name, catalog: Forecast) -> list[IndexState]:
    """The parts of a partitioned table's index at all levels, each before its own."""
    children: dict[Name, list[IndexState]] = {}
    for one in catalog.of(IndexState):
        if one.parent:
            children.setdefault(one.parent, []).append(one)

    def under(parent: Name) -> Iterator[IndexState]:
        for one in sorted(children.get(parent, ()), key=lambda part: part.full):
            yield one
            yield from under(one.full)

    return list(under(whole))


def _placed(
    new: Iterable[IndexBuild], current: IndexState, catalog: Forecast
) -> tuple[IndexBuild, ...]:
    """The parts of an index, each in the tablespace of the part whose place it takes.

    Those that nobody else has made get its name too.
    """
    old = {one.table: one for one in below(current.full, catalog)}
    return tuple(_in_place_of(old.get(one.index.table), one) for one in new)


def _in_place_of(old: IndexState | None, new: IndexBuild) -> IndexBuild:
    index = evolve(new.index, tablespace=old.tablespace if old else None)
    return evolve(new, index=index, becomes=new.becomes and old.name if old else new.becomes)


def found(build: IndexBuild, catalog: Forecast, same: Same) -> IndexState | None:
    """The index of a table that is a part of its parent's, or can become it but for its name."""
    index = build.index
    others = (one for one in catalog.on(index.table) if isinstance(one, type(index)))
    free = [one for one in others if one.parent in {None, index.parent}]
    # Attached ones first, and an invalid one only where there is nothing else.
    free.sort(key=lambda one: (one.parent is None, not one.valid))
    return same.first(free, lambda one: build.equals(one, same))


def default_name(part: IndexState, taken: set[str | None]) -> Exact:
    """The name that PostgreSQL gives to it."""
    columns = "_".join([*(element.label for element in part.columns), *part.include])
    return chosen_name(part.table.name, columns, "idx", taken)
