"""What becomes of the constraints of a table that exists.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from attrs import evolve

from ...catalog.catalog import Forecast
from ...comparison.asking import Same
from ...errors import DeclarationError
from ...plan.order import column_of, keys_of, rows_of
from ...plan.plan import Hazard, Lock, Stage, Statement
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.naming import chosen_name, joined
from ...syntax.parse import column_names, tree
from ...syntax.paths import SearchPath
from ..indexes import index_builds
from ..indexes.elements import Element, key_elements
from ..tables.columns import Column
from ..tables.dropped_columns import uses
from ..tables.known_columns import check_columns
from ..tables.table_definition import TableDefinition
from . import foreign_keys, keys, partition_keys
from .constraints import (
    Build,
    Check,
    Constraint,
    Exclude,
    ForeignKey,
    PrimaryKey,
    ReferringKey,
    Unique,
)
from .validation import validated


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
    columns: Sequence[Column],
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
    columns: Sequence[Column],
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
            one = written.evolved(name=one.name or other.name, remark=other.remark, build=build)
            if (one.is_key and other.is_key) or _same_method(one, other):
                one = one.evolved(fittings=other.fittings)
        added.append(one)
    taken = {one.name for one in (*found, *free, *added)} | _not_nulls(columns)
    for one in added:
        planned = _planned(whole, current, one, taken, same, catalog)
        taken.add(planned.name)
        found.append(planned)
    places = {one.name: place for place, one in enumerate(current.constraints)}
    found.sort(key=lambda one: places.get(one.name, len(places)))
    if new:
        found = [waiting(declared.name, one, [*found, *free], catalog) for one in found]
    return found, free


def _read(stored: Constraint, declared: Constraint) -> Constraint:
    """A stored constraint that is declared, valid if it was, or is to be."""
    if stored.validated or not (declared.validated or stored.owed):
        return stored
    return stored.evolved(validated=True)


def of_new_table(
    table: TableDefinition, constraints: Sequence[Constraint], catalog: Forecast
) -> Iterator[Constraint]:
    """The constraints of a table that is created: with it, they are valid, as there are no rows."""
    not_nulls = _not_nulls(table.columns)
    taken = {one.name for one in constraints} | not_nulls
    for one in constraints:
        found = waiting(table.name, one, constraints, catalog)
        if not found.validated and not found.build.later:
            found = found.evolved(validated=True)
        if isinstance(found, Check) and not found.name and not_nulls:
            # PostgreSQL would choose one without a look at those.
            found = found.evolved(name=_free_name(table, found, taken))
            taken.add(found.name)
        yield found


def _not_nulls(columns: Iterable[Column] | None) -> set[str | None]:
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
        if not other.inherited
        and not catalog.is_declared(("constraint", *table.name, other.name or ""))
        and not _claimed(table, other, same, catalog)
    ]
    return same.first(others, partial(one.equals, same=same, table=table.name))


def _planned(
    table: TableDefinition,
    current: TableDefinition,
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
            return keys.planned(table.name, one, current.filled, taken, same, catalog)
        case ForeignKey() if current.filled:
            named = one.evolved(name=one.name or _free_name(table, one, taken))
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
    return not one.name and same_columns and other.name in _own_names(table, one)


def _claimed(table: TableDefinition, other: Constraint, same: Same, catalog: Forecast) -> bool:
    """Whether an earlier operation of the run declares a stored constraint."""
    return any(
        one.name in {None, other.name}
        and pointed(table, one, catalog).equals(other, same, table.name)
        for known in catalog.declared.get(table.key(), ())
        for one in getattr(known.declaration, "constraints", ())
    )


def dropped(current: TableDefinition, declared: TableDefinition) -> Iterator[Statement]:
    """Rename what is the same, and drop what is to go or to make place in the transaction."""
    change = f"ALTER TABLE {declared.name}"
    pairs = replacing(current, declared)
    stay = {one.name for one in declared.constraints} | {old.name for _, old in pairs}
    gone = [one for one in current.constraints if one.name and one.name not in stay]
    moved = [old for one, old in pairs if one.is_key]
    for one, old in pairs:
        if one.build.renames:
            names = f"{quoted(old.name or '')} TO {quoted(one.name or '')}"
            yield Statement(f"{change} RENAME CONSTRAINT {names}", locks=declared.name)
        elif isinstance(one, ForeignKey) or not (one.build.later or one.build.dependents):
            gone.append(old)
    columns = {column.name for column in current.columns or ()}
    columns -= {column.name for column in declared.columns or ()}
    for one in sorted(gone, key=lambda one: (not isinstance(one, ForeignKey), one.name or "")):
        drop = f"{change} DROP CONSTRAINT {quoted(one.name or '')}"
        if one.fittings.replica_identity and one not in moved:
            raise index_builds.identity(one.name or "", declared.name)
        # A foreign key has triggers on the other table.
        tables = {declared.name, one.table if isinstance(one, ForeignKey) else declared.name}
        # Like its columns a key goes when no foreign key of other tables needs it any more.
        goes = one.is_key and one.name not in stay and uses(one, columns)
        frees = {column_of(declared.name, name) for name in columns}
        frees |= {keys_of(one.table)} if isinstance(one, ForeignKey) else set()
        yield Statement(
            drop,
            locks=tuple(map(Lock, sorted(tables))),
            takes=frozenset({keys_of(declared.name)} if goes else ()),
            frees=frozenset(frees),
        )


def replacing(
    current: TableDefinition, declared: TableDefinition
) -> list[tuple[Constraint, Constraint]]:
    """The declared constraints that take the place of others, with those."""
    stored = {one.name: one for one in current.constraints}
    pairs = [
        (one, one.build.instead or stored.get(one.name))
        for one in declared.constraints
        # An earlier operation has had it come to be this way.
        if one.name not in stored or stored[one.name].build is not one.build
    ]
    return [
        (one, old)
        for one, old in pairs
        if old and one.name and (one.build.instead or not same_rule(one, old))
    ]


def replaced(current: TableDefinition, declared: TableDefinition) -> set[str]:
    """The names of the constraints whose place others take."""
    return {
        old.name for one, old in replacing(current, declared) if old.name and not one.build.renames
    }


def ends(one: Constraint, current: TableDefinition, declared: TableDefinition) -> bool:
    """Whether a stored constraint goes, with another one in its place or without."""
    stay = {each.name for each in declared.constraints}
    stay |= {old.name for _, old in replacing(current, declared)}
    return one.name in replaced(current, declared) or one.name not in stay


def check_referred(current: TableDefinition, declared: TableDefinition, catalog: Forecast) -> None:
    """Raise DeclarationError where a key goes on which a foreign key stands that stays.

    One that goes with its columns goes when all else of the plan has.
    """
    going = {column.name for column in current.columns or ()}
    going -= {column.name for column in declared.columns or ()}
    replaced_ = replaced(current, declared)
    own = {one.name for one in declared.constraints}
    for one in current.constraints:
        if not isinstance(one, PrimaryKey | Unique) or one.name in own | replaced_:
            continue
        if not ends(one, current, declared) or uses(one, going):
            continue
        users = [
            f"{each.name} of {each.table}"
            for each in foreign_keys.dependents(declared.name, one.name, one.columns, catalog)
            if each.table != declared.name or each.key.name in own
        ]
        if users:
            raise DeclarationError(
                f"its {quoted(one.name or '')} can't go: the foreign key {', '.join(users)} stands "
                "on it: remove that before"
            )


def leaving(current: TableDefinition, declared: TableDefinition) -> set[str]:
    """The columns of a primary key whose place another one takes after the transaction."""
    return {
        column
        for one, old in replacing(current, declared)
        if one.build.later and isinstance(old, PrimaryKey)
        for column in old.columns
    }


def added(current: TableDefinition, declared: TableDefinition) -> Iterator[Statement]:
    """Add what is not there, and validate what is."""
    replaced = {one.name: old for one, old in replacing(current, declared)}
    gone = {old.name for old in replaced.values()}
    kept = {one for one in current.constraints if one.name not in gone}
    kept |= {
        old.evolved(name=one.name) for one, old in replacing(current, declared) if one.build.renames
    }
    taken = {one.name for one in (*kept, *declared.constraints)} | _not_nulls(declared.columns)
    # A foreign key to the table itself comes after the key on which it stands, and goes before it.
    # One without a name comes after those whose names it must not take.
    for one in sorted(
        declared.constraints, key=lambda one: (isinstance(one, ForeignKey), one.name is None)
    ):
        if one.validated and one.evolved(validated=False) in kept:
            if isinstance(one, ForeignKey) and one.owed:
                yield foreign_keys.settled(ReferringKey(declared.name, one, in_steps=True))
                continue
            if isinstance(one, ForeignKey):
                yield foreign_keys.validation(declared.name, one.name, one.table, current.filled)
                continue
            yield validated(declared.name, one.name, current.filled)
        elif one not in kept:
            yield from _constrained(one, replaced.get(one.name), current, declared, taken)


def same_rule(one: Constraint, other: Constraint) -> bool:
    """Whether two constraints are the same, validated or not."""
    return one.name == other.name and one.says_as(other)


def _constrained(
    one: Constraint,
    old: Constraint | None,
    current: TableDefinition,
    declared: TableDefinition,
    taken: set[str | None],
) -> Iterator[Statement]:
    name = declared.name
    if isinstance(one, PrimaryKey | Unique):
        yield from keys.added(name, one, old, current.filled, bool(current.partition_by))
        return
    if current.filled and not isinstance(one, Exclude):
        one = one if one.name else one.evolved(name=_free_name(declared, one, taken))
        taken.add(one.name)
    later = current.filled and not _needs_its_rows_at_once(one, declared)
    match one:
        case ForeignKey():
            yield from foreign_keys.added(name, one, later)
        case Check() if later or not one.validated:
            add = f"ALTER TABLE {name} ADD {one.written()} NOT VALID"
            path, needs = SearchPath.of(*one.fragments), frozenset({rows_of(name)})
            yield Statement(add, path=path, locks=name, needs=needs)
            if one.validated:
                yield validated(name, one.name)
        case _:
            scan = (Hazard.LOCKS_OUT,) if current.filled else ()
            path = SearchPath.of(*one.fragments)
            add = f"ALTER TABLE {name} ADD {one.written()}"
            yield Statement(add, path=path, hazards=scan, locks=name)
            if isinstance(one, Exclude) and one.fittings.clustered:
                yield Statement(
                    index_builds.clustered(name, one.name or "", one.using, one.where), locks=name
                )
    if one.remark:
        target = f"CONSTRAINT {quoted(one.name or '')} ON {name}"
        stage = Stage.AFTER if one.build.later or one.build.leaves else Stage.MAIN
        needs = frozenset({rows_of(name)} if isinstance(one, Check) else ())
        yield Statement(f"COMMENT ON {target} IS {literal(one.remark)}", stage=stage, needs=needs)


def _needs_its_rows_at_once(one: Constraint, declared: TableDefinition) -> bool:
    """Whether it is about values that nobody knows before the transaction makes them.

    Then the transaction has to end where they are against it.
    """
    return any(
        column.name in one.used and column.name in declared.rewriting and column.default is not None
        for column in declared.columns or ()
    )


def _free_name(table: TableDefinition, one: Constraint, taken: set[str | None]) -> Exact:
    """PostgreSQL's own name for a constraint that a later statement has to name."""
    columns, label = _named_after(table, one)
    return chosen_name(table.name.name, "_".join(columns) or None, label, taken)


def _own_names(table: TableDefinition, one: Constraint) -> Iterator[str | None]:
    """PostgreSQL's names for a constraint, which it keeps when the table or a column is renamed."""
    columns, label = _named_after(table, one)
    former: dict[str, str | None] = {one.name: one.renamed_from for one in table.columns or ()}
    for name in filter(None, (table.name, table.renamed_from)):
        for parts in (columns, [former.get(column) or column for column in columns]):
            yield joined(name.name, "_".join(parts) or None, label)


def _named_after(table: TableDefinition, one: Constraint) -> tuple[list[str], str]:
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


def check_column(one: Check, table: TableDefinition) -> str | None:
    """The column of a check constraint that names exactly one."""
    names = {column.name for column in table.columns or ()}
    used = {name for name in column_names(tree(one.expression)) if name in names}
    return used.pop() if len(used) == 1 else None
