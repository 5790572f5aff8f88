"""Foreign keys that stand on a key or an index while that is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...plan.plan import Lock, Mode, Stage, Statement, together
from ...syntax.names import Name, listed, literal
from .constraints import Constraint, ForeignKey, ReferringKey
from .validation import marked, validated


def dependents(
    table: Name, index: str | None, columns: Iterable[str], catalog: Forecast
) -> tuple[ReferringKey, ...]:
    """The foreign keys that stand on an index of a table.

    Of one that the plan creates nobody knows the index yet: the columns tell.
    """
    wanted = sorted(columns)
    found = []
    for key, one in catalog.objects.items():
        for other in getattr(one, "constraints", ()) if key[0] == "table" else ():
            if getattr(other, "table", None) != table or other.details.inherited:
                continue
            if (
                other.details.index == index
                if other.details.index
                else sorted(other.foreign_columns) == wanted
            ):
                name = Name(*key[1:])
                in_steps = catalog.version >= 180000 or catalog.relation_kinds.get(name) == "r"
                found.append(ReferringKey(name, other, in_steps))
    return tuple(found)


def waits(
    key: ForeignKey, table: Name, constraints: Iterable[Constraint], catalog: Forecast
) -> bool:
    """Whether what a foreign key stands on is built only after the transaction.

    `constraints` are those that its own table is to have.
    """
    wanted = sorted(key.foreign_columns)
    target = catalog.table(key.table)
    others = constraints if key.table == table else getattr(target, "constraints", ())
    ready = [
        not one.build.later
        for one in others
        if one.is_key and sorted(getattr(one, "columns", ())) == wanted
    ]
    if not ready:
        for one in catalog.unique_indexes(key.table):
            if sorted(element.column or "" for element in one.columns) == wanted:
                ready.append(not one.later)
    return bool(ready) and not any(ready)


def check_target(
    key: ForeignKey, constraints: Iterable[Constraint] | None, catalog: Forecast
) -> None:
    """Raise DeclarationError where what a foreign key refers to is certainly not what it needs.

    `constraints` are those of its target where that is its own table.
    """
    if key.foreign_columns and len(key.foreign_columns) != len(key.columns):
        raise DeclarationError(
            f"{key.written()} has {len(key.columns)} of its own for "
            f"{len(key.foreign_columns)} columns of {key.table}: name as many"
        )
    target = catalog.table(key.table)
    stored: Iterable[Constraint] | None = getattr(target, "constraints", None)
    if constraints is None:
        constraints = stored
    # A partition gets keys with its parent, and SQL of the user's own may make some.
    if constraints is None or catalog.partition(key.table) or catalog.rows_change:
        return
    wanted = sorted(key.foreign_columns)
    known = [
        sorted(getattr(one, "columns", ()))
        for one in constraints
        if one.is_key and not getattr(one, "deferrable", False)
    ]
    for one in catalog.unique_indexes(key.table):
        if not one.where:
            known.append(sorted(element.column or "" for element in one.columns))
    if not wanted:
        raise DeclarationError(
            f"a foreign key to {key.table} needs its primary key, and it has none: declare that "
            "before, or name the columns"
        )
    if wanted not in known:
        raise DeclarationError(
            f"a foreign key to {key.table} ({listed(wanted)}) needs a primary key, a unique "
            "constraint or a unique index of exactly these columns: declare one before"
        )


def check_validated(table: Name, key: ForeignKey, catalog: Forecast) -> None:
    """Raise DeclarationError where a partitioned table can't have a key that is not valid."""
    if not key.validated and catalog.version < 180000:
        raise DeclarationError(
            f"{key.written()} can't be with validated=False: {table} is partitioned, and only "
            "PostgreSQL 18 and newer have foreign keys of partitioned tables that are NOT VALID; "
            "declare it on the partitions, or leave out validated"
        )


def leaves(
    table: Name, key: ForeignKey, catalog: Forecast
) -> tuple[tuple[Name, Constraint | None], ...]:
    """The partitions that get a foreign key first, each with what it has of it.

    Before PostgreSQL 18 a partitioned table can't have one that is NOT VALID. It takes those that
    its partitions have, without reading them again.
    """
    if catalog.version >= 180000 or catalog.relation_kinds.get(table) != "p":
        return ()
    found = []
    for leaf in catalog.leaves(table):
        stored = catalog.constraints_of(leaf)
        equal = (one for one in stored if one.evolved(name=key.name, validated=True) == key)
        found.append((leaf, next(equal, None)))
    return tuple(found)


def added(table: Name, key: ForeignKey, filled: bool) -> Iterator[Statement]:
    """Add a foreign key, on a table with rows so that nobody waits while they are read."""
    stage = Stage.AFTER if key.build.later else Stage.MAIN
    for leaf, there in key.build.leaves:
        if there is None:
            yield _added(leaf, key, stage, " NOT VALID")
        if there is None or not there.validated:
            yield validation(leaf, key.name if there is None else there.name, key.table)
    if key.build.leaves:
        # It takes those of its partitions, and their triggers from the other table.
        yield _added(table, key, Stage.AFTER, target_mode=Mode.ACCESS_EXCLUSIVE)
    elif filled or not key.validated:
        yield _added(table, key, stage, " NOT VALID")
        if key.validated:
            yield validation(table, key.name, key.table)
    else:
        yield _added(table, key, stage)


def validation(table: Name, name: str | None, target: Name, filled: bool = True) -> Statement:
    """PostgreSQL asks for the rows that are in one table and not in the other."""
    lock = Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE, spares_heirs=True)
    return evolve(validated(table, name, filled), locks=(lock,), sees=(table, target))


def _added(
    table: Name,
    key: ForeignKey,
    stage: Stage,
    how: str = "",
    target_mode: Mode = Mode.SHARE_ROW_EXCLUSIVE,
) -> Statement:
    locks = [Lock(table, Mode.SHARE_ROW_EXCLUSIVE)]
    if key.table != table:
        locks.append(Lock(key.table, target_mode, spares_heirs=True))
    return Statement(
        f"ALTER TABLE {table} ADD {key.written()}{how}",
        stage=stage,
        locks=tuple(locks),
        sees=() if how or key.build.leaves else (table, key.table),
    )


def around(
    table: Name, swap: Iterable[str], dependents: Iterable[ReferringKey], stage: Stage
) -> Iterator[Statement]:
    """Statements that take a key away and give another, with the foreign keys on it kept.

    They are not there for the length of one transaction that nobody sees, and come back without
    a scan: no row has changed meanwhile.
    """
    moved = tuple(dependents)
    texts = [f"ALTER TABLE {one.table} DROP CONSTRAINT {one.name}" for one in moved]
    texts += swap
    for one in moved:
        texts.append(f"ALTER TABLE {one.table} ADD {one.key.written()} NOT VALID")
        # Should the run end before that, the next one has to know.
        remark = marked(one.key.details.remark) if one.is_to_be_valid else one.key.details.remark
        if remark:
            texts.append(f"COMMENT ON CONSTRAINT {one.name} ON {one.table} IS {literal(remark)}")
    locks = tuple(Lock(name) for name in dict.fromkeys([table, *(one.table for one in moved)]))
    if stage is Stage.AFTER:
        known = tuple((one.table, one.key.name or "", one.key.definition()) for one in moved)
        yield evolve(together(texts, locks), puts_back=known)
    else:
        yield from (Statement(text, locks=locks) for text in texts)
    for one in moved:
        if one.is_to_be_valid:
            yield settled(one)


def settled(one: ReferringKey) -> Statement:
    """Validate a foreign key that was put back, and take its mark away."""
    read = validation(one.table, one.key.name, one.key.table)
    remark = literal(one.key.details.remark) if one.key.details.remark else "NULL"
    texts = [read.sql, f"COMMENT ON CONSTRAINT {one.name} ON {one.table} IS {remark}"]
    return evolve(together(texts, read.locks), hazards=read.hazards, sees=read.sees)


def owed(table: Name, catalog: Forecast) -> tuple[ReferringKey, ...]:
    """The foreign keys to a table that are owed their validation since a run died."""
    if not catalog.owing:
        return ()
    return tuple(
        ReferringKey(Name(*key[1:]), other, in_steps=True)
        for key, one in catalog.objects.items()
        for other in (getattr(one, "constraints", ()) if key[0] == "table" else ())
        if isinstance(other, ForeignKey) and other.table == table and not other.details.inherited
        if other.details.owed and not other.validated
    )


def settle(those: Iterable[ReferringKey], catalog: Forecast) -> None:
    """Have foreign keys validated in the catalog as it will be."""
    for one in those:
        table: Any = catalog.objects[("table", *one.table)]
        constraints = [
            each.evolved(validated=True) if each.name == one.key.name else each
            for each in table.constraints
        ]
        catalog.put(evolve(table, constraints=constraints))


def check(moved: Iterable[ReferringKey], columns: Iterable[str]) -> None:
    """Raise DeclarationError where foreign keys can't stand on what becomes of their key."""
    wanted = sorted(columns)
    lost = [str(one) for one in moved if sorted(one.key.foreign_columns) != wanted]
    if lost:
        raise DeclarationError(
            f"foreign keys stand on it, and can't stand on what is declared: {', '.join(lost)}. "
            "Drop them first"
        )
    blocking = [str(one) for one in moved if not one.in_steps]
    if blocking:
        raise DeclarationError(
            f"foreign keys of partitioned tables stand on it: {', '.join(blocking)}. Before "
            "PostgreSQL 18 they would block writers while all rows are read: drop them first"
        )
