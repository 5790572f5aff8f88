"""Tables: CREATE TABLE, ALTER TABLE, DROP TABLE.

https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any, Self

from attrs import evolve

from ...catalog.catalog import Forecast
from ...catalog.needs import reference_to
from ...comparison.asking import Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.order import column_of
from ...plan.plan import Lock, Loss, Mode, Need, Objection, Stage, Statement
from ...syntax.names import listed, quoted
from ...syntax.parse import closed
from ...syntax.paths import SearchPath
from ..constraints import foreign_keys, keys, objections, table_constraints
from ..constraints.constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique
from ..dependents import grouping_by
from ..indexes import index_builds
from ..indexes.elements import condition_template
from ..indexes.indexes import Index
from ..kind import Copies, Object, comment, either, owner
from . import column_sequences, heirs, not_nulls, planned_rows, table_copies
from .column_changes import Names, changed, freed, regenerated, released
from .columns import Column, cast_template
from .dropped_columns import dropped, going, uses
from .heirs import inheriting
from .known_columns import check_columns
from .new_columns import added, rewriting
from .retyping import Retypes, analyzed, differing, retyped
from .sequences import IdentitySequence, Owner, next_value
from .sequences import Sequence as OwnedSequence
from .table_definition import _SWITCH, TableDefinition, row_security


class Table(TableDefinition):
    """A table with its columns and constraints, and how it changes."""

    __slots__ = ()

    def brings(self, current: Self) -> bool:
        types = {column.name: column.type for column in current.columns or ()}
        known = {one.columns for one in current.constraints if isinstance(one, PrimaryKey | Unique)}
        keys = (one for one in self.constraints if isinstance(one, PrimaryKey | Unique))
        # What stands on a column that changes its type is made anew with it.
        return any(types.get(column.name) != column.type for column in self.columns or ()) or any(
            key.columns not in known for key in keys
        )

    @property
    def reshapes(self) -> bool:
        return self.columns is not None or bool(self.constraints or self.absent)

    def divided(self, other: Object) -> tuple[Self, Object | None]:
        keys = tuple(self._keys_to(other))
        rest = tuple(one for one in self.constraints if one not in keys)
        bare = evolve(self, constraints=rest)
        if not keys or set(bare.requires()) & set(other.provides()):
            return self, None
        return bare, Table(self.name, constraints=keys)

    def freed(self, other: Object) -> Object | None:
        keys = [Constraint(name=one.name, present=False) for one in self._keys_to(other)]
        return Table(self.name, constraints=keys) if keys else None

    def _keys_to(self, other: Object) -> Iterator[Constraint]:
        for one in self.constraints:
            if isinstance(one, ForeignKey) and ("table", *one.table) == other.key():
                yield one

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if self.columns is None:
            if not self.claims:
                # What is not there has nothing that could be switched off.
                return None
            raise DeclarationError(
                "it does not exist: declare its columns, so that it can be created"
            )
        not_nulls.check(self, (), catalog)
        whole = [table_constraints.pointed(self, one, catalog) for one in self.constraints]
        new = tuple(table_constraints.of_new_table(self, whole, catalog))
        table_constraints.check(self, new, (), self.columns, catalog)
        columns = [
            evolve(one, unvalidated=False) if one.unvalidated else one for one in self.columns
        ]
        return evolve(self, columns=columns, constraints=new)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        declared = {column.name: column for column in self.columns or ()}
        there = current.columns or ()
        not_nulls.check(self, there, catalog)
        absent = {one.name for one in self.absent if isinstance(one, Column)}
        columns = [
            declared[column.name].aligned(column, same, self.name)
            if column.name in declared
            else column
            for column in there
            if column.name not in absent
        ]
        known = {column.name for column in there}
        dropped = absent & known
        made = {column.name for column in there if column.serial}
        columns, new = self._with_sequences(columns, made, catalog)
        columns += [column for name, column in declared.items() if name not in known]
        constraints, others = table_constraints.aligned(self, current, columns, same, catalog)
        others = [one for one in others if not uses(one, dropped)]
        changes: dict[str, Any] = {
            "columns": tuple(columns),
            "constraints": (*constraints, *others),
            "partition_by": self.aligned_key(current, same),
            "row_security": either(self.row_security, current.row_security),
            "force_row_security": either(self.force_row_security, current.force_row_security),
            "owner": either(self.owner, current.owner),
            "comment": either(self.comment, current.comment),
        }
        serial = {name for name, column in declared.items() if column.serial}
        types = {column.default: column.type for column in columns if column.name in serial}
        sequences = [*new, *column_sequences.widened(self.name, types, same, catalog)]
        names = {one.name for one in constraints}
        owed = [
            one
            for one in foreign_keys.owed(self.name, catalog)
            if one.table != self.name or one.key.name not in names
        ]
        if (
            not others
            and not owed
            and not sequences
            and all(getattr(current, name) == one for name, one in changes.items())
        ):
            return current
        return evolve(
            self,
            kept=frozenset(one.name for one in others),
            gone=going(self.name, dropped, catalog) if dropped else (),
            absent=(),
            partition_key=current.partition_key,
            tablespace=current.tablespace,
            filled=current.filled,
            version=catalog.version,
            owed=tuple(owed),
            sequences=tuple(sequences),
            **changes,
        )

    def _with_sequences(
        self, columns: Iterable[Column], made: Container[str], catalog: Forecast
    ) -> tuple[list[Column], list[column_sequences.New]]:
        """Columns that are there, with the sequences that the serial ones of them lack.

        `made` are those that the plan has made serial.
        """
        found: list[Column] = []
        new: list[column_sequences.New] = []
        for column in columns:
            if column.serial and column.name not in made:
                one = column_sequences.made(Owner(self.name, column.name), column.type, catalog)
                new.append((None, one))
                column = evolve(column, serial=False, default=next_value(one.name))
            found.append(column)
        return found, new

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return heirs.users(self.name, catalog, ask)

    def with_server_facts(self, current: Self, catalog: Forecast, ask: Ask) -> Self:
        keys = (one for one in current.constraints if isinstance(one, PrimaryKey))
        gone = next((one for one in keys if table_constraints.ends(one, current, self)), None)
        if gone and (users := grouping_by(self.name, catalog, ask)):
            raise DeclarationError(
                f"its primary key {quoted(gone.name or '')} can't go: {', '.join(users)} groups by "
                "it. Before that drop it, or have it group by every column that it shows"
            )
        table_constraints.check_referred(current, self, catalog)
        nullable = freed(current.columns or (), self.columns or ())
        heirs.check_nulls(self.name, nullable, catalog)
        index_builds.check_nulls(self.name, nullable, self.constraints, catalog)
        for part in heirs.below(self.name, catalog) if nullable else ():
            one = catalog.table(part)
            index_builds.check_nulls(part, nullable, one.constraints, catalog)
        there = {column.name: column for column in current.columns or ()}
        new = [column for column in self.columns or () if column.name not in there]
        for column in self.columns or ():
            if column.identity and column.name in there and there[column.name].default:
                column_sequences.check_free(Owner(self.name, column.name), catalog, ask)
        pairs = differing(current.columns or (), self.columns or ())
        computed = regenerated(current.columns or (), self.columns or ())
        if not new and not pairs and not computed:
            return self
        check_columns(self.name, catalog, [], [one.using for _, one in pairs], own=there)
        ending = {
            one.name
            for one in current.constraints
            if one.name and table_constraints.ends(one, current, self)
        }
        return evolve(
            self,
            retypes=evolve(
                Retypes.of(self.name, pairs, ending, catalog, ask),
                analyzed=analyzed(self.name, [*(one.name for _, one in pairs), *computed], catalog),
            ),
            rewriting=rewriting(self.name, new, catalog, ask),
        )

    def readings(self, current: Self | None) -> Iterator[Reading]:
        # A new table is tried as a whole.
        if current is None:
            return
        for column in self.columns or ():
            yield Reading(cast_template(column.type), column.default, self.name)
        before, after = (
            [(column.name, column.type) for column in one.columns or ()] for one in (current, self)
        )
        for one in self.constraints if before == after else ():
            if isinstance(one, Check):
                yield Reading(condition_template(self.name), one.expression, self.name)

    def copied(self, current: Self, catalog: Forecast) -> Copies | None:
        if table_copies.reads_rows(self) or table_copies.reads_rows(current):
            return None
        known = table_copies.targets(current, self, catalog=catalog)
        stand_ins = tuple(
            Table(name, columns, constraints=[table_copies.key_of(columns)])
            for name, columns in known.values()
        )
        return Copies(stand_ins, current._copy(known), self._copy(known, current))

    def _copy(self, known: table_copies.Targets, before: Self | None = None) -> Self:
        return type(self)(
            table_copies.name_of(self.name),
            table_copies.columns(self, before),
            constraints=tuple(table_copies.constraints(self, known, before)),
            partition_by=self.partition_by,
            retypes=self.retypes.alone(),
            version=self.version,
        )

    def objections(self, current: Self | None, catalog: Forecast) -> Iterator[Objection]:
        return objections.to_table(current, self, catalog) if current else iter(())

    def store(self, catalog: Forecast, current: Self | None) -> None:
        for one in self.gone:
            one.erase(catalog)
        if current and current.columns:
            stay = {column.name for column in self.columns or ()}
            dropped = {column.name for column in current.columns} - stay
            if dropped:
                catalog.dropped.setdefault(self.name, set()).update(dropped)
        for index in (index for key in self.constraints for index in keys.built_first(key)):
            if index.built:  # What an interrupted run has left becomes the key's.
                catalog.remove(index.built)
        if current and current.filled:
            given = dict(planned_rows.values(current, self, catalog))
            for name in (self.name, *inheriting(self.name, catalog)) if given else ():
                catalog.values.setdefault(name, {}).update(given)
        catalog.put(self)
        if current:
            heirs.follow(self.name, current.columns or (), self.columns or (), catalog)
        self._sequences_followed(current, catalog)
        self._owner_followed(catalog)
        foreign_keys.settle(self.owed, catalog)

    def _sequences_followed(self, current: Self | None, catalog: Forecast) -> None:
        there = {column.name: column for column in (current and current.columns) or ()}
        for column in self.columns or ():
            before = there.get(column.name)
            if (column.serial or column.identity) and not (
                before and (before.serial or before.identity)
            ):
                column_sequences.put_own(self.name, column, self.owner, catalog)
            elif before and before.identity and not column.identity:
                for one in column_sequences.owned(Owner(self.name, column.name), catalog):
                    catalog.remove(one)
        for _, sequence in self.sequences:
            catalog.put(sequence)

    def _owner_followed(self, catalog: Forecast) -> None:
        """Have the sequences of its columns be its owner's too."""
        for one in catalog.on(self.name) if self.owner else ():
            if isinstance(one, OwnedSequence) and one.owner != self.owner and not one.waits:
                catalog.put(evolve(one, owner=self.owner))
            elif isinstance(one, IdentitySequence):
                key = (one.acl, *one.name)
                catalog.acls[key] = catalog.acls[key].owned_by(self.owner or "")

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        yield from super().needs(current, target, catalog)
        before, after = (
            {key.table for key in (one.constraints if one else ()) if isinstance(key, ForeignKey)}
            for one in (current, target)
        )
        for table in sorted(after - before - {self.name}):
            yield from reference_to(table, catalog)

    @staticmethod
    def diff(current: Table | None, declared: Table | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a table. Columns and constraints that are not declared stay."""
        if declared is None:
            assert current
            # The tables that it refers to lose the triggers of its foreign keys.
            keys = [one.table for one in current.constraints if isinstance(one, ForeignKey)]
            taken = tuple(map(Lock, dict.fromkeys([current.name, *keys])))
            losses = (Loss(current.kind, current.name),)
            yield Statement(f"DROP TABLE {current.name}", locks=taken, losses=losses)
            return
        name, target = declared.name, f"TABLE {declared.name}"
        if current is None:
            yield from _created(declared)
            for column in declared.columns or ():
                yield from column.beside(name, None)
        else:
            yield from _altered(current, declared)
        for what in _SWITCH:
            yield from row_security(current, declared, what)
        yield from owner(target, current, declared, name)
        yield from comment(target, current, declared, name)


def _created(declared: Table) -> Iterator[Statement]:
    later = [one for one in declared.constraints if one.build.later]
    apart = list(_merged(declared.constraints))
    elements = [column.definition() for column in declared.columns or ()]
    elements += [one.written() for one in declared.constraints if one not in [*apart, *later]]
    body = ",\n".join(f"    {element}" for element in elements)
    inner = f"\n{body}\n" if body else ""
    key = declared.partition_by or ""
    partitioned = f" PARTITION BY {closed(key)}" if key else ""
    inside = [one for one in declared.constraints if one not in later]
    keys = {one.table for one in inside if isinstance(one, ForeignKey)}
    yield Statement(
        f"CREATE TABLE {declared.name} ({inner}){partitioned}",
        path=SearchPath.of(
            declared.partition_by,
            *(text for column in declared.columns or () for text in column.fragments),
            *(text for one in inside for text in one.fragments),
        ),
        locks=tuple(Lock(one, Mode.SHARE_ROW_EXCLUSIVE) for one in sorted(keys - {declared.name})),
    )
    for one in apart:
        sql = f"ALTER TABLE {declared.name} ADD {one.written()}"
        yield Statement(sql, path=SearchPath.of(*one.fragments))
    for one in later:
        if isinstance(one, ForeignKey):
            yield from foreign_keys.added(declared.name, one, filled=False)


def _merged(constraints: Iterable[Constraint]) -> Iterator[Constraint]:
    """Those that CREATE TABLE would leave out, because another one needs the same index."""
    seen = set()
    for one in sorted(constraints, key=lambda one: not isinstance(one, PrimaryKey)):
        if isinstance(one, PrimaryKey | Unique | Exclude):
            index = one.definition().removeprefix("PRIMARY KEY").removeprefix("UNIQUE")
            if index in seen:
                yield one
            seen.add(index)


def _altered(current: Table, declared: Table) -> Iterator[Statement]:
    name = declared.name
    if current.partition_by != declared.partition_by:
        raise DeclarationError(
            f"it is partitioned by {current.partition_by or 'nothing'} and is declared by "
            f"{declared.partition_by}: PostgreSQL can't change that"
        )
    heirs.check(current.columns or (), declared.columns or ())
    there = {column.name: column for column in current.columns or ()}
    every = (*current.constraints, *declared.constraints)
    names = Names.of(declared.version, every, [*there.values(), *(declared.columns or ())])
    leaving = table_constraints.leaving(current, declared)
    keys = [one for one in current.constraints if isinstance(one, PrimaryKey | Unique)]
    firsts = {one.columns[0] for one in keys if one in declared.constraints}
    late: list[Statement] = []
    yield from table_constraints.dropped(current, declared)
    yield from column_sequences.remembered(declared.sequences, there)
    for column in declared.columns or ():
        if column.name in there:
            yield from released(name, there[column.name], column)
    _check_virtual(current, declared)
    pairs = differing(current.columns or (), declared.columns or ())
    yield from retyped(name, pairs, declared.retypes, current.filled)
    yield from column_sequences.created(declared.sequences)
    for column in declared.columns or ():
        if column.name in there:
            before, ordered = there[column.name], column.name in firsts
            for one in changed(name, before, column, current.filled, names, ordered):
                if column.name in leaving and one.sql.endswith("DROP NOT NULL"):
                    late.append(evolve(one, stage=Stage.AFTER))
                else:
                    yield one
        else:
            yield from added(name, column, column.name in declared.rewriting, names)
    yield from column_sequences.resumed(
        declared.sequences, lambda column: current.filled and column not in firsts
    )
    yield from table_constraints.added(current, declared)
    yield from late
    yield from _without_columns(current, declared)
    yield from map(foreign_keys.settled, declared.owed)
    computed = regenerated(current.columns or (), declared.columns or ())
    is_changed = current.filled and (pairs or computed)
    for table, columns in declared.retypes.analyzed if is_changed else ():
        locks = Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE)
        yield Statement(f"ANALYZE {table} ({listed(columns)})", stage=Stage.AFTER, locks=locks)


def _without_columns(current: Table, declared: Table) -> Iterator[Statement]:
    stay = {column.name for column in declared.columns or ()}
    for gone in declared.gone:
        if isinstance(gone, Index) and gone.replica_identity:
            raise index_builds.identity(gone.name, declared.name)
    # What is computed from others goes before them.
    leaving = [column for column in current.columns or () if column.name not in stay]
    names = frozenset(column_of(declared.name, column.name) for column in leaving)
    for column in sorted(leaving, key=lambda column: column.generated is None):
        drop = dropped(declared.name, column, declared.gone)
        yield evolve(drop, frees=names - drop.takes if column.generated else frozenset())


def _check_virtual(current: Table, declared: Table) -> None:
    """Raise DeclarationError where PostgreSQL can't change what is computed when it is read."""
    virtual = {column.name for column in declared.columns or () if column.virtual}
    changes = virtual.intersection(regenerated(current.columns or (), declared.columns or ()))
    names = {one.name for one in declared.constraints}
    checks = [
        quoted(one.name or "")
        for one in current.constraints
        if isinstance(one, Check) and one.name in names
    ]
    if changes and checks:
        raise DeclarationError(
            f"column {listed(sorted(changes))} is computed when it is read, which PostgreSQL does "
            f"not change in a table with checks ({', '.join(checks)}): drop the column, and the "
            "next run adds it"
        )
