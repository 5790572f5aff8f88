"""How the constraints of a table that exists become what is declared.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterator

from ...catalog.catalog import Forecast
from ...errors import DeclarationError
from ...plan.order import column_of, keys_of, rows_of
from ...plan.plan import Hazard, Lock, Stage, Statement
from ...syntax.names import literal, quoted
from ...syntax.paths import SearchPath
from ..indexes import index_builds
from ..tables.dropped_columns import uses
from ..tables.facts import TableFacts
from ..tables.table_definition import TableDefinition
from . import foreign_keys, keys
from .constraint_names import free_name
from .constraints import (
    Check,
    Constraint,
    Exclude,
    ForeignKey,
    PrimaryKey,
    ReferringKey,
    Unique,
)
from .table_constraints import not_null_names
from .validation import validated


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
        if one.details.fittings.replica_identity and one not in moved:
            raise index_builds.identity(one.name or "", declared.name)
        # A foreign key has triggers on the other table.
        locks = [Lock(declared.name)]
        if isinstance(one, ForeignKey) and one.table != declared.name:
            locks.append(Lock(one.table, spares_heirs=True))
        # Like its columns a key goes when no foreign key of other tables needs it any more.
        goes = one.is_key and one.name not in stay and uses(one, columns)
        frees = {column_of(declared.name, name) for name in columns}
        frees |= {keys_of(one.table)} if isinstance(one, ForeignKey) else set()
        yield Statement(
            drop,
            locks=tuple(locks),
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


def added(
    current: TableDefinition, declared: TableDefinition, facts: TableFacts
) -> Iterator[Statement]:
    """Add what is not there, and validate what is."""
    replaced = {one.name: old for one, old in replacing(current, declared)}
    gone = {old.name for old in replaced.values()}
    kept = {one for one in current.constraints if one.name not in gone}
    kept |= {
        old.evolved(name=one.name) for one, old in replacing(current, declared) if one.build.renames
    }
    taken = {one.name for one in (*kept, *declared.constraints)} | not_null_names(declared.columns)
    # A foreign key to the table itself comes after the key on which it stands, and goes before it.
    # One without a name comes after those whose names it must not take.
    for one in sorted(
        declared.constraints, key=lambda one: (isinstance(one, ForeignKey), one.name is None)
    ):
        if one.validated and one.evolved(validated=False) in kept:
            if isinstance(one, ForeignKey) and one.details.owed:
                yield foreign_keys.settled(ReferringKey(declared.name, one, in_steps=True))
                continue
            if isinstance(one, ForeignKey):
                yield foreign_keys.validation(declared.name, one.name, one.table, facts.filled)
                continue
            yield validated(declared.name, one.name, facts.filled)
        elif one not in kept:
            yield from _constrained(one, replaced.get(one.name), declared, facts, taken)


def same_rule(one: Constraint, other: Constraint) -> bool:
    """Whether two constraints are the same, validated or not."""
    return one.name == other.name and one.says_as(other)


def _constrained(
    one: Constraint,
    old: Constraint | None,
    declared: TableDefinition,
    facts: TableFacts,
    taken: set[str | None],
) -> Iterator[Statement]:
    name = declared.name
    if isinstance(one, PrimaryKey | Unique):
        yield from keys.added(name, one, old, facts.filled, bool(declared.partition_by))
        return
    if facts.filled and not isinstance(one, Exclude):
        one = one if one.name else one.evolved(name=free_name(declared, one, taken))
        taken.add(one.name)
    later = facts.filled and not _needs_its_rows_at_once(one, declared, facts)
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
            scan = (Hazard.LOCKS_OUT,) if facts.filled else ()
            path = SearchPath.of(*one.fragments)
            add = f"ALTER TABLE {name} ADD {one.written()}"
            yield Statement(add, path=path, hazards=scan, locks=name)
            if isinstance(one, Exclude) and one.details.fittings.clustered:
                yield Statement(
                    index_builds.clustered(name, one.name or "", one.using, one.where), locks=name
                )
    if one.details.remark:
        target = f"CONSTRAINT {quoted(one.name or '')} ON {name}"
        stage = Stage.AFTER if one.build.later or one.build.leaves else Stage.MAIN
        comment = f"COMMENT ON {target} IS {literal(one.details.remark)}"
        needs = frozenset({rows_of(name)} if isinstance(one, Check) else ())
        yield Statement(comment, stage=stage, needs=needs)


def _needs_its_rows_at_once(one: Constraint, declared: TableDefinition, facts: TableFacts) -> bool:
    """Whether it is about values that nobody knows before the transaction makes them.

    Then the transaction has to end where they are against it.
    """
    return any(
        column.name in one.used and column.name in facts.rewriting and column.default is not None
        for column in declared.columns or ()
    )
