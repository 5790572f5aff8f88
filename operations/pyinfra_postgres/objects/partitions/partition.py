"""A partition with any bound: CREATE TABLE ... PARTITION OF, ATTACH PARTITION, DETACH PARTITION.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...comparison.asking import Ask, Same
from ...comparison.stored import operator
from ...errors import DeclarationError
from ...plan.plan import Hazard, Lock, Mode, Objection, Stage, Statement, together
from ...syntax.names import Exact, Name, literal, parse_name, quoted
from ...syntax.naming import chosen_name
from ...syntax.parse import Reference, closed
from ...syntax.paths import SearchPath
from ..constraints import keys, partition_keys
from ..constraints.constraints import Check, ForeignKey, PrimaryKey, Unique
from ..constraints.validation import in_passing, validated
from ..indexes import index_builds
from ..indexes.elements import partitioning
from ..indexes.index_state import IndexBuild
from ..indexes.indexes import StoredIndex
from ..kind import Object, either
from ..tables.columns import TableColumn
from ..tables.details import TableDetails
from ..tables.table_definition import row_security
from ..tables.tables import Table
from . import partition_copies, partition_references
from .partition_bounds import Bound
from .partition_facts import Attaching, PartitionFacts
from .partition_references import referring_tables
from .partitions import Partition, partition_of, removed, users


def _values(text: str | None) -> str | None:
    if text is not None and not isinstance(text, Exact):
        Bound.parse(text)
        return closed(text)
    return text


_USUAL = PartitionFacts()


@frozen
class AnyPartition(Object):
    """A partition with any bound, or the table that was one or is to be one."""

    kind: ClassVar[str] = "partition"
    acl: ClassVar[str] = "TABLE"
    at_once: ClassVar[bool] = False
    """Whether it is detached in the transaction, so that what follows finds a table."""

    name: Name = field(converter=parse_name)
    of: Name = field(converter=parse_name)
    values: str | None = field(default=None, converter=_values)
    partition_by: str | None = field(default=None, converter=partitioning, kw_only=True)
    attached: bool = field(default=True, kw_only=True)
    row_security: bool | None = field(default=None, kw_only=True)

    @property
    def lets_go(self) -> bool:
        return not self.attached

    def key(self) -> Key:
        return (self.kind, *self.name)

    def lines(self) -> Iterator[str]:
        yield f"of {self.of} {self.values}" if self.attached else f"not of {self.of}"
        if self.partition_by:
            yield f"partition by {self.partition_by}"
        if self.row_security:
            yield "row security"

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.of)

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def belongs_to(self) -> Reference:
        return Reference("table", self.of)

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        table = catalog.table(self.name)
        if not isinstance(table, Table):
            return None
        stored = catalog.objects.get(self.key())
        current = evolve(
            self,
            attached=isinstance(stored, Partition),
            partition_by=table.partition_by,
            row_security=table.row_security,
        )
        if not isinstance(stored, Partition):
            return current
        bound = stored.bound
        if self.values is not None and self.of == stored.parent and self._is(bound, catalog, ask):
            bound = self.values
        return evolve(current, of=stored.parent, values=Exact(bound))

    def _is(self, stored: str, catalog: Forecast, ask: Ask) -> bool:
        """Whether a stored bound is the declared one."""
        parent = catalog.table(self.of)
        types = {column.name: column.type for column in getattr(parent, "columns", None) or ()}
        key = [types.get(one or "") for one in _key_columns(self.of, catalog)]
        return Bound.parse(self.values or "").equals(Bound.parse(stored), key, ask)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        key = Table(self.name, partition_by=self.partition_by)
        table = catalog.objects[("table", *self.name)]
        assert isinstance(table, Table)
        return evolve(
            self,
            values=either(self.values, current.values if current.attached else None),
            partition_by=key.aligned_key(table, same, catalog),
            row_security=either(self.row_security, current.row_security),
        )

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if not self.attached:
            return None
        if self.values is None:
            raise DeclarationError("it does not exist: declare its values")
        if self.partition_by:
            partition_keys.check_partition(self.of, self.partition_by, catalog)
        return self

    def facts(
        self,
        current: AnyPartition | None,
        target: AnyPartition | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> PartitionFacts:
        stored = catalog.partition(self.name)
        rest = catalog.default_of(self.of)
        found = PartitionFacts(
            filled=self.name in catalog.filled,
            rest=rest,
            rest_filled=rest in catalog.filled,
            detaching=bool(stored and stored.detaching),
            referring=referring_tables(stored.parent, catalog) if stored else (),
        )
        if target is None or not target.attached or (current and current.attached):
            return found
        if ask and target.values is not None:
            where = target.name, target.of, target.values
            found = evolve(found, bound_rule=partition_copies.condition(*where, catalog, ask))
        return evolve(found, attaching=target._attaching(same, catalog)) if current else found

    def _attaching(self, same: Same, catalog: Forecast) -> Attaching:
        """What has to be done before a table becomes a partition. Raises DeclarationError."""
        table, parent = catalog.table(self.name), catalog.table(self.of)
        if not isinstance(parent, Table):
            return Attaching()
        if self.values is None:
            raise DeclarationError("it is no partition: declare its values")
        _check_columns(table, parent)
        indexes, own = [], []
        taken = catalog.names_in(self.name.schema)
        for one in sorted(catalog.of(StoredIndex), key=lambda one: one.key()):
            if one.table == self.of:
                part = evolve(one, table=self.name, comment=None, parent=None)
                build = IndexBuild.of(part, catalog)
                there = index_builds.found(build, catalog, same)
                if there is None or not there.valid:
                    name = there.name if there else index_builds.default_name(part, taken)
                    taken.add(name)
                    part = evolve(part, name=name, parent=one.full)
                    indexes.append(evolve(build, index=part, there=there))
        for key in parent.constraints:
            if isinstance(key, PrimaryKey | Unique):
                own += [(key, one) for one in keys.of_leaf(self.name, key, same, catalog)]
        mine = {one.name: one for one in table.constraints}
        for one in parent.constraints:
            other = mine.get(one.name) if isinstance(one, Check) and not one.no_inherit else None
            if other and not one.equals(other, same, self.name):
                raise DeclarationError(
                    f"the table can't become a partition of {parent.name}: its constraint "
                    f"{quoted(one.name or '')} is {other.definition()}, and its parent's "
                    f"{one.definition()}. Rename or change it first"
                )
        checks = [
            (one, one.name in mine)
            for one in parent.constraints
            if isinstance(one, Check) and not one.no_inherit
            if one.name not in mine or (one.validated and not mine[one.name].validated)
        ]
        names = {one.name for one in table.constraints}
        return Attaching(
            checks=tuple(checks),
            sees=_seen(table, parent),
            condition=self._condition(parent, catalog),
            left=next((one.name for one in table.constraints if one.details.passing), None),
            bound_check=chosen_name(self.name.name, None, "bound_check", names),
            indexes=tuple(indexes),
            keys=tuple(own),
        )

    def _condition(self, parent: Object | None, catalog: Forecast) -> str | None:
        """What holds for every row of it."""
        columns = _key_columns(self.of, catalog)
        types = {one.name: one.type for one in getattr(parent, "columns", None) or ()}
        type_ = types.get(columns[0] or "") if columns else None
        bound = Bound.parse(self.values or "")
        return bound.condition(columns, lambda symbol: operator(symbol, type_, catalog))

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return users(self.name, self.of, catalog, ask) if self.attached else []

    def objections(
        self, current: Self | None, facts: PartitionFacts, catalog: Forecast
    ) -> Iterator[Objection]:
        if current and current.attached and not self.attached and facts.filled:
            yield from partition_references.objections(self.name, current.of, catalog)
        new = self.attached and not (current and current.attached)
        if not new or self.values is None:
            return
        if current and facts.bound_rule and facts.filled:
            outside = f"({facts.bound_rule}) IS NOT TRUE"
            yield Objection(
                f"SELECT pg_catalog.count(*) FROM {self.name} WHERE {outside}",
                f"its bound {self.values}",
                remedy="correct them, or let a run before this one move them elsewhere",
            )
        if not facts.rest_filled:
            return
        parent, rule = catalog.table(self.of), facts.bound_rule
        condition = Exact(rule) if rule else self._condition(parent, catalog)
        if condition is not None:
            yield Objection(
                f"SELECT pg_catalog.count(*) FROM {facts.rest} WHERE (\n{condition}\n)",
                f"the bound that this leaves to the default partition {facts.rest}",
                ", which wait in it",
                f"let a run before this one move them with pg.sql into a table {self.name}, which "
                f"is then attached, or detach {facts.rest}",
                SearchPath.of(condition if rule else self.values),
            )

    def store(self, catalog: Forecast, current: Self | None, facts: PartitionFacts | None) -> None:
        if not self.attached:
            catalog.objects.pop(self.key(), None)
            _freed(self.name, catalog)
            return
        stored = partition_of(self.name, self.of, self.values or "", self.row_security)
        stored.store(catalog, stored if current else None, None)
        for one in facts.attaching.indexes if facts else ():
            catalog.put(one.index)
        table = catalog.table(self.name)
        if isinstance(table, Table):
            catalog.put(evolve(table, partition_by=self.partition_by))

    def erase(self, catalog: Forecast) -> None:
        stored = catalog.objects.get(self.key())
        if stored is not None:
            stored.erase(catalog)

    @staticmethod
    def diff(
        current: AnyPartition | None, declared: AnyPartition | None, facts: PartitionFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, ATTACH, DETACH or DROP a partition."""
        if declared is None:
            assert current
            if current.attached:
                yield from removed(current.of, current.name, facts.referring)
            return
        if current is None:
            yield from _created(declared, facts)
        elif current.partition_by != declared.partition_by:
            raise DeclarationError(
                f"it is partitioned by {current.partition_by or 'nothing'} and is declared by "
                f"{declared.partition_by or 'nothing'}: PostgreSQL can't change that"
            )
        elif current.attached and not declared.attached:
            yield from _detached(current, declared, facts)
        elif declared.attached and not current.attached:
            yield from _attached(declared, facts)
        elif declared.attached and (current.of, current.values) != (declared.of, declared.values):
            raise DeclarationError(
                f"it is a partition of {current.of} {current.values}, and is declared as one of "
                f"{declared.of} {declared.values}: detach it first, with attached=False"
            )
        elif facts.detaching:
            raise DeclarationError(
                f"an interrupted run has begun to detach it from {current.of}: detach it, with "
                "attached=False, and attach it again"
            )
        yield from row_security(current, declared)


@frozen
class LeftPartition(AnyPartition):
    """A partition that becomes a table, and is declared as one in the same plan."""

    at_once: ClassVar[bool] = True


def _created(declared: AnyPartition, facts: PartitionFacts) -> Iterator[Statement]:
    key = f" PARTITION BY {closed(declared.partition_by)}" if declared.partition_by else ""
    hazards = (Hazard.SCANS, Hazard.BLOCKS_READS) if facts.rest_filled else ()
    yield Statement(
        f"CREATE TABLE {declared.name} PARTITION OF {declared.of} {declared.values}{key}",
        path=SearchPath.of(declared.values, declared.partition_by),
        hazards=hazards,
        reads=facts.rest if facts.rest_filled else None,
        locks=(Lock(declared.of, only=True), *_rest(declared, facts)),
    )


def _rest(declared: AnyPartition, facts: PartitionFacts) -> tuple[Lock, ...]:
    """The lock of the default partition: its bound is another then."""
    return (Lock(facts.rest),) if facts.rest and facts.rest != declared.name else ()


def _detached(
    current: AnyPartition, declared: AnyPartition, facts: PartitionFacts
) -> Iterator[Statement]:
    """With a default partition PostgreSQL can't do it concurrently."""
    detach = f"ALTER TABLE {current.of} DETACH PARTITION {current.name}"
    if facts.detaching:
        yield Statement(f"{detach} FINALIZE", stage=Stage.AFTER, locks=current.name)
    elif facts.rest or declared.at_once:
        locks = (Lock(current.of, only=True), Lock(current.name), *_rest(declared, facts))
        yield Statement(detach, locks=locks)
    else:
        # It waits for those who use the parent, then for those who use the partition by its name.
        yield Statement(
            f"{detach} CONCURRENTLY",
            stage=Stage.AFTER,
            locks=(Lock(current.of, Mode.SHARE_UPDATE_EXCLUSIVE, only=True), Lock(current.name)),
            again=_finished(current, detach),
        )


def _finished(current: AnyPartition, detach: str) -> str:
    """The statement that finishes to detach a partition, where that has begun."""
    partition = f"to_regclass({literal(str(current.name))})"
    pending = f"SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = {partition}"
    return f"""DO $finish$ BEGIN
  IF ({pending}) THEN {detach} FINALIZE;
  ELSIF NOT ({pending}) THEN
    RAISE lock_not_available USING MESSAGE = 'another session changes {current.of}';
  END IF;
END $finish$"""


def _attached(declared: AnyPartition, facts: PartitionFacts) -> Iterator[Statement]:
    """A table with rows gets what its parent has first, and a check that saves the scan."""
    child, lacks = f"ALTER TABLE {declared.name}", facts.attaching
    for one in (*lacks.indexes, *(index for _, index in lacks.keys)):
        yield from index_builds.built(one)
    for rule, there in lacks.checks:
        if not there:
            how = " NOT VALID" if facts.filled or not rule.validated else ""
            yield Statement(
                f"{child} ADD {rule.written()}{how}",
                path=SearchPath.of(*rule.fragments),
                locks=declared.name,
            )
        if rule.validated and (there or facts.filled):
            yield validated(declared.name, rule.name, facts.filled)
    texts = [
        f"{child} ADD {keys.using(key, one.index.name, one.index.name)}" for key, one in lacks.keys
    ]
    attach = f"ALTER TABLE {declared.of} ATTACH PARTITION {declared.name} {declared.values}"
    own = Lock(declared.of, Mode.SHARE_UPDATE_EXCLUSIVE, only=True)
    locks = (own, Lock(declared.name), *_rest(declared, facts))
    sees = lacks.sees
    scans = (Hazard.SCANS, Hazard.BLOCKS_READS) if facts.rest_filled else ()
    path = SearchPath.of(declared.values)
    if not facts.filled or lacks.condition is None:
        if facts.filled:
            scans = (*scans, Hazard.LOCKS_OUT)
        later = facts.filled and (lacks.indexes or lacks.keys or lacks.checks)
        stage = Stage.AFTER if later else Stage.MAIN
        for text in (*texts, attach):
            hazards = scans if text is attach else ()
            yield Statement(text, stage=stage, path=path, hazards=hazards, locks=locks, sees=sees)
        return
    if lacks.left is not None:
        yield Statement(f"{child} DROP CONSTRAINT {quoted(lacks.left)}", locks=declared.name)
    name = quoted(lacks.bound_check)
    yield from in_passing(declared.name, Check(lacks.condition, name=name), path)
    whole = together([*texts, attach, f"{child} DROP CONSTRAINT {name}"], locks, path)
    yield evolve(whole, hazards=scans, sees=sees)


def _freed(name: Name, catalog: Forecast) -> None:
    """Have a table that is a partition no more have what it had from its parent for itself."""
    table = catalog.table(name)
    if isinstance(table, Table):
        constraints = [one.known(inherited=False) for one in table.constraints]
        columns = [evolve(one, inherited=False, is_kept=True) for one in table.columns or ()]
        catalog.put(evolve(table, constraints=constraints, columns=columns))
    for one in catalog.on(name):
        if isinstance(one, StoredIndex) and one.parent:
            catalog.put(evolve(one, parent=None))


def _seen(table: Table, parent: Table) -> tuple[Name, ...]:
    """The tables that are read for the foreign keys that a new partition gets."""
    there = [one.evolved(name=None, validated=True) for one in table.constraints]
    keys = (one.evolved(name=None) for one in parent.constraints if isinstance(one, ForeignKey))
    targets = [key.table for key in keys if key not in there]
    return (table.name, *targets) if targets else ()


def _key_columns(parent: Name, catalog: Forecast) -> list[str | None]:
    """The columns of a partition key, None for an expression."""
    table = catalog.table(parent)
    details = catalog.details_of(table, TableDetails) if table else TableDetails()
    return [one.column for one in details.partition_key]


def _takes_nulls(column: TableColumn) -> bool:
    return column.nullable or column.unvalidated


def _check_columns(table: Table, parent: Table) -> None:
    """Raise DeclarationError where a table can't be a partition because of its columns."""
    mine = {one.name: one for one in table.columns or ()}
    theirs = {one.name: one for one in parent.columns or ()}
    wrong = [f"lacks {name}" for name in theirs.keys() - mine.keys()]
    wrong += [f"has {name}, which its parent lacks" for name in mine.keys() - theirs.keys()]
    for name in mine.keys() & theirs.keys():
        if mine[name].type != theirs[name].type:
            wrong.append(f"has {name} as {mine[name].type} and not {theirs[name].type}")
        elif _takes_nulls(mine[name]) and not _takes_nulls(theirs[name]):
            wrong.append(f"has nulls in {name} allowed")
    if wrong:
        raise DeclarationError(
            f"the table can't become a partition of {parent.name}: it {', '.join(sorted(wrong))}"
        )
