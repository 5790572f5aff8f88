"""What becomes of the constraints of a table that exists.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from ..catalog import Catalog
from ..kind import Same
from ..names import Exact, Name, quoted
from ..naming import chosen_name, joined
from ..parse import column_names, tree
from ..plan import Hazard, Lock, Stage, Statement
from .columns import Column
from .constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique

if TYPE_CHECKING:
    from .tables import Table


def pointed(table: Table, one: Constraint, catalog: Catalog) -> Constraint:
    """A foreign key with the columns that it means where it names only a table."""
    if not isinstance(one, ForeignKey) or one.foreign_columns:
        return one
    target = table if one.table == table.name else catalog.objects.get(("table", *one.table))
    for key in getattr(target, "constraints", ()):
        if isinstance(key, PrimaryKey):
            return one.evolved(foreign_columns=key.columns)
    return one


def aligned(
    declared: Table, current: Table, columns: Sequence[Column], same: Same, catalog: Catalog
) -> tuple[list[Constraint], list[Constraint]]:
    """The constraints that a table has in the end, each written as the stored one it equals.

    Those that are declared, the stored ones first and in their order; and those that are only
    there.
    """
    free = [one for one in current.constraints if not _absent(declared, one, same, catalog)]
    found: list[Constraint] = []
    new: list[Constraint] = []
    # Named ones first, so that an unnamed one does not take their place.
    for one in sorted(declared.constraints, key=lambda one: one.name is None):
        whole_key = pointed(declared, one, catalog)
        named = [other for other in free if one.name in {None, other.name}]
        equal = same.first(named, partial(whole_key.equals, same=same, table=declared.name))
        if equal:
            free.remove(equal)
            found.append(equal if equal.validated else equal.evolved(validated=True))
        else:
            new.append(whole_key)
    renewed = {one.name for one in new if one.name}
    free = [other for other in free if other.name not in renewed]
    whole = evolve(declared, columns=columns, constraints=()) if new else declared
    for one in new:
        for other in free:
            if _replaces(whole, one, other) and not _claimed(declared, other, same, catalog):
                free.remove(other)
                one = one.evolved(name=other.name)
                break
        found.append(one)
    places = {one.name: place for place, one in enumerate(current.constraints)}
    found.sort(key=lambda one: places.get(one.name, len(places)))
    return found, free


def _absent(table: Table, other: Constraint, same: Same, catalog: Catalog) -> bool:
    """Whether a stored constraint is declared not to be there."""
    return any(
        one.name == other.name
        if one.name
        else pointed(table, one, catalog).equals(other, same, table.name)
        for one in table.absent
        if isinstance(one, Constraint)
    )


def _replaces(table: Table, one: Constraint, other: Constraint) -> bool:
    """Whether an unnamed constraint stands for a stored one, which has its default name.

    A table has one primary key, whatever it is called.
    """
    if one.name or type(one) is not type(other) or isinstance(one, Exclude):
        return False
    if isinstance(one, PrimaryKey):
        return True
    # Names that are cut may be equal for other columns.
    same_columns = getattr(one, "columns", ()) == getattr(other, "columns", ())
    return same_columns and other.name in _own_names(table, one)


def _claimed(table: Table, other: Constraint, same: Same, catalog: Catalog) -> bool:
    """Whether an earlier operation of the run declares a stored constraint."""
    return any(
        one.name in {None, other.name}
        and pointed(table, one, catalog).equals(other, same, table.name)
        for known in catalog.declared.get(table.key(), ())
        for one in getattr(known.declaration, "constraints", ())
    )


def dropped(current: Table, declared: Table) -> Iterator[Statement]:
    """Drop what is to go, and what another constraint of the same name replaces."""
    names = {one.name for one in declared.constraints}
    gone = replaced(current, declared)
    for one in sorted(current.constraints, key=lambda one: one.name or ""):
        if one.name and (one.name in gone or one.name not in names):
            drop = f"ALTER TABLE {declared.name} DROP CONSTRAINT {quoted(one.name)}"
            # A foreign key has triggers on the other table.
            tables = {declared.name, one.table if isinstance(one, ForeignKey) else declared.name}
            yield Statement(drop, locks=tuple(map(Lock, sorted(tables))))


def replaced(current: Table, declared: Table) -> set[str]:
    """The names whose constraints are declared otherwise than they are."""
    stored = {one.name: one for one in current.constraints}
    return {
        one.name
        for one in declared.constraints
        if one.name and one.name in stored and not same_rule(one, stored[one.name])
    }


def added(current: Table, declared: Table) -> Iterator[Statement]:
    """Add what is not there, and validate what is."""
    gone = replaced(current, declared)
    kept = {one for one in current.constraints if one.name not in gone}
    taken: set[str | None] = {one.name for one in (*kept, *declared.constraints)}
    for one in declared.constraints:
        if one.validated and one.evolved(validated=False) in kept:
            yield _validated(declared.name, one, current.filled)
        elif one not in kept:
            yield from _constrained(one, current, declared, taken, one.name in gone)


def same_rule(one: Constraint, other: Constraint) -> bool:
    """Whether two constraints are the same, validated or not."""
    return one.name == other.name and one.says_as(other)


def _constrained(
    one: Constraint,
    current: Table,
    declared: Table,
    taken: set[str | None],
    replaces: bool,
) -> Iterator[Statement]:
    name = declared.name
    # The table is never without the key that another one replaces.
    at_once = replaces and isinstance(one, PrimaryKey | Unique)
    if not current.filled or current.partition_by or isinstance(one, Exclude) or at_once:
        scan = (Hazard.SCANS, Hazard.BLOCKS_WRITES) if current.filled else ()
        yield Statement(f"ALTER TABLE {name} ADD {one.written()}", hazards=scan, locks=name)
        return
    named = one if one.name else one.evolved(name=_free_name(declared, one, taken))
    taken.add(named.name)
    if isinstance(named, PrimaryKey | Unique):
        yield from _indexed(name, named, declared.indexes)
    else:
        yield Statement(f"ALTER TABLE {name} ADD {named.written()} NOT VALID", locks=name)
        yield _validated(name, named, filled=True)


def _indexed(
    name: Name, one: PrimaryKey | Unique, indexes: Mapping[str, bool]
) -> Iterator[Statement]:
    """A key on a table with rows: its index is built first, and then made the key's.

    A run that died in between left the index, which is used if it is valid.
    """
    index = quoted(one.name or "")
    online = (Hazard.NOT_TRANSACTIONAL,)
    if indexes.get(one.name or "") is False:
        full = Name(name.schema, one.name or "")
        yield Statement(f"DROP INDEX CONCURRENTLY {full}", stage=Stage.AFTER, hazards=online)
    if not indexes.get(one.name or ""):
        columns = one.definition().split("(", 1)[1].partition(" DEFERRABLE")[0]
        nulls = isinstance(one, Unique) and one.nulls_not_distinct
        distinct = " NULLS NOT DISTINCT" if nulls else ""
        yield Statement(
            f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {name} ({columns}{distinct}",
            stage=Stage.AFTER,
            hazards=online,
        )
    kind = "PRIMARY KEY" if isinstance(one, PrimaryKey) else "UNIQUE"
    timing = one.definition().partition(" DEFERRABLE")
    yield Statement(
        f"ALTER TABLE {name} ADD CONSTRAINT {index} {kind} USING INDEX {index}"
        f"{timing[1]}{timing[2]}",
        stage=Stage.AFTER,
        locks=name,
    )


def _validated(name: Name, one: Constraint, filled: bool) -> Statement:
    return Statement(
        f"ALTER TABLE {name} VALIDATE CONSTRAINT {quoted(one.name or '')}",
        stage=Stage.AFTER if filled else Stage.MAIN,
        hazards=(Hazard.SCANS,) if filled else (),
    )


def _free_name(table: Table, one: Constraint, taken: set[str | None]) -> Exact:
    """PostgreSQL's own name for a constraint that a later statement has to name."""
    columns, label = _named_after(table, one)
    return chosen_name(table.name.name, "_".join(columns) or None, label, taken)


def _own_names(table: Table, one: Constraint) -> Iterator[str | None]:
    """PostgreSQL's names for a constraint, which it keeps when the table or a column is renamed."""
    columns, label = _named_after(table, one)
    former: dict[str, str | None] = {one.name: one.renamed_from for one in table.columns or ()}
    for name in filter(None, (table.name, table.renamed_from)):
        for parts in (columns, [former.get(column) or column for column in columns]):
            yield joined(name.name, "_".join(parts) or None, label)


def _named_after(table: Table, one: Constraint) -> tuple[list[str], str]:
    """The columns after which PostgreSQL names a constraint, and the end of the name."""
    match one:
        case PrimaryKey():
            return [], "pkey"
        case Unique():
            return [*one.columns, *one.include], "key"
        case ForeignKey():
            return [*one.columns], "fkey"
        case Check():
            column = check_column(one, table)
            return [column] if column else [], "check"
    raise AssertionError(one)


def check_column(one: Check, table: Table) -> str | None:
    """The column of a check constraint that names exactly one."""
    names = {column.name for column in table.columns or ()}
    used = {name for name in column_names(tree(one.expression)) if name in names}
    return used.pop() if len(used) == 1 else None
