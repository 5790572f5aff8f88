"""Tables: CREATE TABLE, ALTER TABLE, DROP TABLE.

https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import Any, Self

from attrs import evolve

from ...catalog.catalog import Forecast
from ...catalog.needs import reference_to
from ...comparison.asking import Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Loss, Need, Objection, Statement
from ...syntax.names import Exact, Name, quoted
from ..constraints import constraint_changes, foreign_keys, keys, objections, table_constraints
from ..constraints.constraints import (
    Check,
    Constraint,
    ForeignKey,
    PrimaryKey,
    ReferringKey,
    Unique,
)
from ..dependents import grouping_by
from ..indexes import index_builds
from ..indexes.elements import condition_template
from ..kind import Copies, Object, comment, either, owner
from ..sequence_users import is_named
from . import column_sequences, heirs, not_nulls, planned_rows, table_copies
from .column_changes import freed, regenerated
from .columns import TableColumn, cast_template, draws
from .dropped_columns import going, uses
from .facts import TableFacts
from .heirs import inheriting
from .known_columns import check_columns
from .new_columns import rewriting
from .retyping import Retypes, analyzed, differing
from .sequences import IdentitySequence, Owner, next_value
from .sequences import Sequence as OwnedSequence
from .table_changes import altered, created
from .table_definition import _SWITCH, TableDefinition, row_security

_USUAL = TableFacts()


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
        absent = {one.name for one in self.absent if isinstance(one, TableColumn)}
        columns = [
            declared[column.name].aligned(column, same, self.name)
            if column.name in declared
            else column
            for column in there
            if column.name not in absent
        ]
        known = {column.name: column for column in there}
        dropped = absent & known.keys()
        columns = [self._served(column, known, catalog) for column in columns]
        columns += [column for name, column in declared.items() if name not in known]
        constraints, others = table_constraints.aligned(self, current, columns, same, catalog)
        others = [one for one in others if not uses(one, dropped)]
        changes: dict[str, Any] = {
            "columns": tuple(columns),
            "constraints": (*constraints, *others),
            "partition_by": self.aligned_key(current, same, catalog),
            "row_security": either(self.row_security, current.row_security),
            "force_row_security": either(self.force_row_security, current.force_row_security),
            "owner": either(self.owner, current.owner),
            "comment": either(self.comment, current.comment),
        }
        if (
            not others
            and all(getattr(current, name) == one for name, one in changes.items())
            and not any(_owed(self.name, constraints, catalog))
            and not any(self._sequences(current, columns, same, catalog))
        ):
            return current
        return evolve(self, absent=(), **changes)

    def _served(
        self, column: TableColumn, there: Mapping[Exact, TableColumn], catalog: Forecast
    ) -> TableColumn:
        """A column that is there, with the sequence that it lacks where it is to be serial."""
        if not column.serial or there[column.name].serial:
            return column
        one = column_sequences.made(Owner(self.name, column.name), column.type, catalog)
        return evolve(column, serial=False, default=next_value(one.name))

    def _sequences(
        self, current: Table, columns: Iterable[TableColumn], same: Same, catalog: Forecast
    ) -> Iterator[column_sequences.New]:
        """The sequences that serial ones of the columns lack, or that end before these do."""
        names = {column.name for column in self.columns or () if column.serial}
        serial = [column for column in columns if column.name in names] if names else []
        there = {column.name: column for column in current.columns or ()} if serial else {}
        for column in serial:
            before = there.get(column.name)
            if before and not before.serial and not draws(before):
                own = Owner(self.name, column.name)
                yield None, column_sequences.made(own, column.type, catalog)
        types = {column.default: column.type for column in serial}
        yield from column_sequences.widened(self.name, types, same, catalog)

    def drawing(self, sequences: Collection[Name]) -> Self:
        """Itself, with columns as serial that draw from these sequences."""
        columns = [
            evolve(column, serial=True, default=None)
            if any(is_named(one, column.default) for one in sequences)
            else column
            for column in self.columns or ()
        ]
        return evolve(self, columns=columns)

    def restored(self, current: Self, catalog: Forecast) -> Self:
        there = {column.name: column for column in current.columns or ()}
        columns = [
            self._served(column, there, catalog) if column.name in there else column
            for column in self.columns or ()
        ]
        return evolve(self, columns=columns)

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return heirs.users(self.name, catalog, ask)

    def facts(
        self,
        current: Table | None,
        target: Table | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> TableFacts | None:
        if current is None or target is None:
            return None
        stay = {column.name for column in target.columns or ()}
        dropped = {column.name for column in current.columns or ()} - stay
        facts = TableFacts(
            catalog.version,
            self.name in catalog.filled,
            going(self.name, dropped, catalog) if dropped else (),
            tuple(_owed(self.name, target.constraints, catalog)),
            tuple(self._sequences(current, target.columns or (), same, catalog)),
        )
        return target._asked(facts, current, catalog, ask) if ask else facts

    def _asked(self, facts: TableFacts, current: Table, catalog: Forecast, ask: Ask) -> TableFacts:
        """What is known of its change, with what the server tells. Raises DeclarationError."""
        keys = (one for one in current.constraints if isinstance(one, PrimaryKey))
        gone = next((one for one in keys if constraint_changes.ends(one, current, self)), None)
        if gone and (users := grouping_by(self.name, catalog, ask)):
            raise DeclarationError(
                f"its primary key {quoted(gone.name or '')} can't go: {', '.join(users)} groups by "
                "it. Before that drop it, or have it group by every column that it shows"
            )
        constraint_changes.check_referred(current, self, catalog)
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
            return facts
        check_columns(self.name, catalog, [], [one.using for _, one in pairs], own=there)
        ending = {
            one.name
            for one in current.constraints
            if one.name and constraint_changes.ends(one, current, self)
        }
        return evolve(
            facts,
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

    def copied(self, current: Self, facts: TableFacts, catalog: Forecast) -> Copies | None:
        if table_copies.reads_rows(self) or table_copies.reads_rows(current):
            return None
        known = table_copies.targets(current, self, catalog=catalog)
        stand_ins = tuple(
            Table(name, columns, constraints=[table_copies.key_of(columns)])
            for name, columns in known.values()
        )
        served = {getattr(one, "owned_by", None) for _, one in facts.sequences}
        before, after = current._copy(known, ()), self._copy(known, served, current)
        known_of_copy = TableFacts(facts.version, retypes=facts.retypes.alone())
        return Copies(stand_ins, before, after, known_of_copy)

    def _copy(
        self, known: table_copies.Targets, served: Collection[object], before: Self | None = None
    ) -> Self:
        return type(self)(
            table_copies.name_of(self.name),
            table_copies.columns(self, served, before),
            constraints=tuple(table_copies.constraints(self, known, before)),
            partition_by=self.partition_by,
        )

    def plain(self) -> Self:
        return type(self)(
            self.name,
            [TableColumn(one.name, one.type, nullable=one.nullable) for one in self.columns or ()],
            constraints=[one for one in self.constraints if not any(one.fragments)],
        )

    def objections(
        self, current: Self | None, facts: Any, catalog: Forecast
    ) -> Iterator[Objection]:
        return objections.to_table(current, self, facts, catalog) if current else iter(())

    def store(self, catalog: Forecast, current: Self | None, facts: TableFacts | None) -> None:
        for one in facts.gone if facts else ():
            one.erase(catalog)
        if current and current.columns:
            stay = {column.name for column in self.columns or ()}
            dropped = {column.name for column in current.columns} - stay
            if dropped:
                catalog.dropped.setdefault(self.name, set()).update(dropped)
        for index in (index for key in self.constraints for index in keys.built_first(key)):
            if index.there:  # What an interrupted run has left becomes the key's.
                catalog.remove(index.there)
        if current and facts and facts.filled:
            given = dict(planned_rows.values(current, self, facts, catalog))
            for name in (self.name, *inheriting(self.name, catalog)) if given else ():
                catalog.values.setdefault(name, {}).update(given)
        # The owner that such a one has is declared, and the table may come to have it too.
        waiting = [one.name for one in catalog.on(self.name) if _waits(one, catalog)]
        catalog.put(self)
        if current:
            heirs.follow(self.name, current.columns or (), self.columns or (), catalog)
        self._sequences_followed(current, catalog)
        for _, sequence in facts.sequences if facts else ():
            catalog.put(sequence)
        self._owner_followed(waiting, catalog)
        foreign_keys.settle(facts.owed if facts else (), catalog)

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

    def _owner_followed(self, waiting: Container[Name], catalog: Forecast) -> None:
        """Have the sequences of its columns be its owner's too."""
        for one in catalog.on(self.name) if self.owner else ():
            if isinstance(one, OwnedSequence) and one.name not in waiting:
                if one.owner != self.owner:
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
    def diff(
        current: Table | None, declared: Table | None, facts: TableFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a table. Columns and constraints that are not declared stay."""
        if declared is None:
            assert current
            # The tables that it refers to lose the triggers of its foreign keys.
            keys = [one.table for one in current.constraints if isinstance(one, ForeignKey)]
            referred = dict.fromkeys(one for one in keys if one != current.name)
            taken = (Lock(current.name), *(Lock(one, spares_heirs=True) for one in referred))
            losses = (Loss(current.kind, current.name),)
            yield Statement(f"DROP TABLE {current.name}", locks=taken, losses=losses)
            return
        name, target = declared.name, f"TABLE {declared.name}"
        if current is None:
            yield from created(declared)
            for column in declared.columns or ():
                yield from column.beside(name, None)
        else:
            yield from altered(current, declared, facts)
        for what in _SWITCH:
            yield from row_security(current, declared, what)
        yield from owner(target, current, declared, name)
        yield from comment(target, current, declared, name)


def _owed(
    table: Name, constraints: Iterable[Constraint], catalog: Forecast
) -> Iterator[ReferringKey]:
    """The foreign keys to a table that are owed their validation, but for its own valid ones."""
    for one in foreign_keys.owed(table, catalog):
        valid = {each.name for each in constraints if each.validated}
        if one.table != table or one.key.name not in valid:
            yield one


def _waits(one: object, catalog: Forecast) -> bool:
    return isinstance(one, OwnedSequence) and one.waits(catalog)
