"""The constraints that a table has in the end, of those that are declared and are there.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Same
from ...errors import DeclarationError
from ...syntax.names import Exact, Name
from ..indexes.elements import Element, key_elements
from ..tables.columns import TableColumn
from ..tables.known_columns import check_columns
from ..tables.table_definition import TableDefinition
from . import foreign_keys, keys, partition_keys
from .constraint_names import free_name, own_names
from .constraints import (
    Build,
    Check,
    Constraint,
    Exclude,
    ForeignKey,
    PrimaryKey,
    Unique,
)


def pointed(table: TableDefinition, one: Constraint, catalog: Forecast) -> Constraint:
    """A foreign key with the columns that it means where it names only a table."""
    if not isinstance(one, ForeignKey) or one.foreign_columns:
        return one
    target = table if one.table == table.name else catalog.table(one.table)
    for key in getattr(target, "constraints", ()):
        if isinstance(key, PrimaryKey):
            return one.evolved(foreign_columns=key.columns)
    return one


def check(
    table: TableDefinition,
    new: Sequence[Constraint],
    there: Iterable[Constraint],
    columns: Sequence[TableColumn],
    catalog: Forecast,
) -> None:
    """Raise DeclarationError where what is new of a table names columns or keys that nothing has.

    `there` are the constraints that it has already.
    """
    own = [column.name for column in columns]
    elements: list[Element] = []
    named: list[str | None] = []
    texts = [column.generated for column in columns]
    if table.partition_by and not isinstance(table.partition_by, Exact):
        elements += key_elements(table.partition_by)[1]
    for one in new:
        partition_keys.check_constraint(table.name, one, catalog, table.partition_by)
        named += getattr(one, "columns", ())
        if isinstance(one, Check):
            texts.append(one.expression)
        elif isinstance(one, Exclude):
            texts.append(one.where)
            elements += [element for element, _ in one.elements]
        elif isinstance(one, ForeignKey):
            if table.partition_by or catalog.relation_kinds.get(table.name) == "p":
                foreign_keys.check_validated(table.name, one, catalog)
            inside = one.table == table.name
            check_columns(one.table, catalog, one.foreign_columns, own=own if inside else None)
            foreign_keys.check_target(one, [*new, *there] if inside else None, catalog)
    named += [element.column for element in elements]
    texts += [element.expression for element in elements]
    check_columns(table.name, catalog, named, texts, own=own)


def aligned(
    declared: TableDefinition,
    current: TableDefinition,
    columns: Sequence[TableColumn],
    same: Same,
    catalog: Forecast,
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
        # A key that partitions lack is made anew with theirs: there is nothing to validate.
        if equal and (equal.validated or not equal.is_key):
            free.remove(equal)
            found.append(_read(equal, whole_key))
        else:
            new.append(whole_key)
    check(declared, new, current.constraints, columns, catalog)
    whole = evolve(declared, columns=columns, constraints=()) if new else declared
    added: list[Constraint] = []
    for one in new:
        renamed = _under_another_name(declared, one, free, same, catalog)
        other = renamed or next(
            (
                other
                for other in free
                if (one.name and other.name == one.name)
                or (_replaces(whole, one, other) and not _claimed(declared, other, same, catalog))
            ),
            None,
        )
        if other:
            free.remove(other)
            build = Build(instead=other, renames=bool(renamed))
            written = _read(renamed, one) if renamed else one
            one = written.evolved(name=one.name or other.name, build=build)
            one = one.known(remark=other.details.remark)
            if (one.is_key and other.is_key) or _same_method(one, other):
                one = one.known(fittings=other.details.fittings)
        added.append(one)
    taken = {one.name for one in (*found, *free, *added)} | not_null_names(columns)
    for one in added:
        planned = _planned(whole, one, taken, same, catalog)
        taken.add(planned.name)
        found.append(planned)
    places = {one.name: place for place, one in enumerate(current.constraints)}
    found.sort(key=lambda one: places.get(one.name, len(places)))
    if new:
        found = [waiting(declared.name, one, [*found, *free], catalog) for one in found]
    return found, free


def _read(stored: Constraint, declared: Constraint) -> Constraint:
    """A stored constraint that is declared, valid if it was, or is to be."""
    if stored.validated or not (declared.validated or stored.details.owed):
        return stored
    return stored.evolved(validated=True)


def of_new_table(
    table: TableDefinition, constraints: Sequence[Constraint], catalog: Forecast
) -> Iterator[Constraint]:
    """The constraints of a table that is created: with it, they are valid, as there are no rows."""
    not_nulls = not_null_names(table.columns)
    taken = {one.name for one in constraints} | not_nulls
    for one in constraints:
        found = waiting(table.name, one, constraints, catalog)
        if not found.validated and not found.build.later:
            found = found.evolved(validated=True)
        if isinstance(found, Check) and not found.name and not_nulls:
            # PostgreSQL would choose one without a look at those.
            found = found.evolved(name=free_name(table, found, taken))
            taken.add(found.name)
        yield found


def not_null_names(columns: Iterable[TableColumn] | None) -> set[str | None]:
    """The names that NOT NULL constraints of columns are to have."""
    return {column.not_null for column in columns or () if column.not_null}


def waiting(
    table: Name, one: Constraint, constraints: Iterable[Constraint], catalog: Forecast
) -> Constraint:
    """A constraint of a table, a foreign key after the transaction where its target is."""
    if isinstance(one, ForeignKey) and foreign_keys.waits(one, table, constraints, catalog):
        return one.evolved(build=evolve(one.build, later=True))
    return one


def _same_method(one: Constraint, other: Constraint) -> bool:
    """Whether two are exclusion constraints with one kind of index."""
    both = isinstance(one, Exclude) and isinstance(other, Exclude)
    return both and getattr(one, "using", "") == getattr(other, "using", "")


def _under_another_name(
    table: TableDefinition,
    one: Constraint,
    free: Iterable[Constraint],
    same: Same,
    catalog: Forecast,
) -> Constraint | None:
    """The same constraint under another name that nothing declares."""
    if one.name is None or any(other.name == one.name for other in free):
        return None
    others = [
        other
        for other in free
        if not other.details.inherited
        and not catalog.is_declared(("constraint", *table.name, other.name or ""))
        and not _claimed(table, other, same, catalog)
    ]
    return same.first(others, partial(one.equals, same=same, table=table.name))


def _planned(
    table: TableDefinition,
    one: Constraint,
    taken: set[str | None],
    same: Same,
    catalog: Forecast,
) -> Constraint:
    """A new constraint, with how it comes to be."""
    match one:
        case _ if one.has_index and one.name and _is_in_the_way(table, one, catalog):
            raise DeclarationError(
                f"{Name(table.name.schema, one.name)} is in the way of {one.written()}: give one "
                "of them another name, or remove that before"
            )
        case _ if one.build.renames:
            return one
        case PrimaryKey() | Unique():
            filled = table.name in catalog.filled
            return keys.planned(table.name, one, filled, taken, same, catalog)
        case ForeignKey() if table.name in catalog.filled:
            named = one.evolved(name=one.name or free_name(table, one, taken))
            leaves = foreign_keys.leaves(table.name, named, catalog)
            return named.evolved(build=evolve(one.build, leaves=leaves))
    return one


def _is_in_the_way(table: TableDefinition, one: Constraint, catalog: Forecast) -> bool:
    """Whether something else has the name that the index of a constraint is to have."""
    old = one.build.instead
    takes_over = isinstance(one, PrimaryKey | Unique) and not one.build.renames
    same_name = bool(old and old.has_index and old.name == one.name)
    full = Name(table.name.schema, one.name or "")
    return not takes_over and not same_name and catalog.has_relation(full)


def _absent(table: TableDefinition, other: Constraint, same: Same, catalog: Forecast) -> bool:
    """Whether a stored constraint is declared not to be there."""
    return any(
        one.name == other.name
        if one.name
        else pointed(table, one, catalog).equals(other, same, table.name)
        for one in table.absent
        if isinstance(one, Constraint)
    )


def _replaces(table: TableDefinition, one: Constraint, other: Constraint) -> bool:
    """Whether a constraint stands for a stored one.

    That is an unnamed one for one that has its default name. A table has one primary key,
    whatever it is called.
    """
    if type(one) is not type(other) or isinstance(one, Exclude):
        return False
    if isinstance(one, PrimaryKey):
        return True
    # Names that are cut may be equal for other columns.
    same_columns = getattr(one, "columns", ()) == getattr(other, "columns", ())
    return not one.name and same_columns and other.name in own_names(table, one)


def _claimed(table: TableDefinition, other: Constraint, same: Same, catalog: Forecast) -> bool:
    """Whether an earlier operation of the run declares a stored constraint."""
    return any(
        one.name in {None, other.name}
        and pointed(table, one, catalog).equals(other, same, table.name)
        for known in catalog.declared.get(table.key(), ())
        for one in getattr(known.declaration, "constraints", ())
    )
