"""Indexes: CREATE INDEX, ALTER INDEX, DROP INDEX.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, ClassVar, Self

from attrs import evolve, field, fields, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from .. import given
from ..arguments import Arguments
from ..catalog import Catalog
from ..converge import converge, declared
from ..entry import Key
from ..errors import DeclarationError
from ..kind import Ask, Object, Reading, Same, comment, either
from ..names import (
    Exact,
    Name,
    identifier,
    identifiers,
    listed,
    literal,
    optional_identifier,
    parse_name,
    quoted,
)
from ..parse import (
    Reference,
    closed,
    declared_references,
    named,
    optional_expression,
)
from ..plan import Objection, Stage, Statement
from ..snapshot import Snapshot
from . import foreign_keys, index_builds, partition_keys
from .elements import Element, aligned_element, condition_template, expression_template
from .foreign_keys import Dependent
from .index_builds import Swap
from .known_columns import check_columns
from .objections import repeated
from .planned_rows import PlannedRows


def _elements(columns: str | Iterable[str | Element]) -> tuple[Element, ...]:
    return tuple(map(Element.parse, given.several("columns", columns)))


def _parameters(parameters: Mapping[str, object] | None) -> dict[str, str] | None:
    if parameters is None:
        return None
    pairs = sorted(given.pairs("parameters", parameters).items())
    return {
        identifier(name.lower()): given.setting(f"the parameter {name}", value)
        for name, value in pairs
    }


_SWITCHES = {"deduplicate_items", "fastupdate", "autosummarize"}
_ON, _OFF = {"on", "true", "yes", "t", "y"}, {"off", "false", "no", "f", "n"}


def _normal(name: str, value: str) -> object:
    """A storage parameter's value as PostgreSQL understands the text that it keeps."""
    word = value.strip().lower()
    if name in _SWITCHES:
        return True if word in _ON | {"1"} else False if word in _OFF | {"0"} else word
    try:
        return float(word)
    except ValueError:
        return word


@frozen
class Index(Object):
    """An index of a table that no constraint owns."""

    kind: ClassVar[str] = "index"
    is_beside_its_table: ClassVar[bool] = True
    word: ClassVar[str] = "indexes"
    essence: ClassVar[str] = "columns"

    name: Exact = field(converter=identifier)
    table: Name = field(converter=parse_name)
    columns: tuple[Element, ...] = field(default=(), converter=_elements)
    where: str | None = field(default=None, converter=optional_expression, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    method: str = field(default="btree", converter=identifier, kw_only=True)
    include: tuple[Exact, ...] = field(default=(), converter=identifiers, kw_only=True)
    nulls_not_distinct: bool = field(default=False, kw_only=True)
    parameters: dict[str, str] | None = field(default=None, converter=_parameters, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    valid: bool = field(default=True, kw_only=True)
    builder: int | None = field(default=None, eq=False, kw_only=True)
    """The process id of the session that is building it right now."""
    deploying: bool = field(default=False, eq=False, kw_only=True)
    """Whether that session holds the deploy lock."""
    parent: Name | None = field(default=None, eq=False, kw_only=True)
    """The partitioned table's index that it is a part of."""
    tablespace: Exact | None = field(default=None, eq=False, kw_only=True)
    """Where it lies, if not where its database does. None is declared."""
    replica_identity: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is its table's, or a part of it a partition's."""
    clustered: bool = field(default=False, eq=False, kw_only=True)
    targets: dict[int, int] = field(factory=dict, eq=False, kw_only=True)
    """How much ANALYZE gathers of its expressions, by their places, where that is set."""
    filled: bool = field(default=False, eq=False, kw_only=True)
    """Whether its table may have rows."""
    partitioned: bool = field(default=False, eq=False, kw_only=True)
    """Whether its table is partitioned: PostgreSQL alters no parameters of such an index."""
    online: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is built without blocking writers."""
    built: Index | None = field(default=None, eq=False, kw_only=True)
    """What is there of it already."""
    parts: tuple[Index, ...] = field(default=(), eq=False, kw_only=True)
    """What is built in its table's partitions."""
    automatic: tuple[Index, ...] = field(default=(), eq=False, kw_only=True)
    """What of it PostgreSQL itself has in its table's partitions."""
    becomes: Exact | None = field(default=None, eq=False, kw_only=True)
    """The name of the part of an index whose place it takes."""
    swap: Swap | None = field(default=None, eq=False, kw_only=True)
    """How it takes the name of the stored index, which differs."""
    left: tuple[Index, ...] = field(default=(), eq=False, kw_only=True)
    """What is to be dropped, because it has taken the name of these."""
    owed: tuple[Dependent, ...] = field(default=(), eq=False, kw_only=True)
    """The foreign keys to its table that an interrupted run has not validated again."""
    later: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is there, or as it is declared, only after the transaction."""

    @property
    def full(self) -> Name:
        """Its name with the schema, which is its table's."""
        return Name(self.table.schema, self.name)

    @property
    def address(self) -> str:
        return f"INDEX {self.full}"

    def key(self) -> Key:
        # An index is in its table's schema.
        return (self.kind, self.table.schema, self.name)

    def belongs_to(self) -> Reference | None:
        # A part of a partitioned table's index goes with that one.
        return None if self.parent else super().belongs_to()

    def takes(self) -> Iterator[Reference]:
        yield Reference("index", self.full)

    def lines(self) -> Iterator[str]:
        yield self._definition()
        if not self.valid:
            yield "INVALID"
        if self.comment:
            yield f"comment {self.comment!r}"

    def _definition(self) -> str:
        parts = [self.method, f"({', '.join(map(str, self.columns))})"]
        if self.unique:
            parts.insert(0, "unique")
        if self.include:
            parts.append(f"INCLUDE ({listed(self.include)})")
        if self.nulls_not_distinct:
            parts.append("NULLS NOT DISTINCT")
        if self.parameters:
            parts.append(f"WITH ({', '.join(_settings(self.parameters))})")
        if self.where is not None:
            parts.append(f"WHERE ({self.where})")
        return " ".join(parts)

    def created(self, concurrently: bool) -> str:
        """The CREATE INDEX statement."""
        unique = "UNIQUE " if self.unique else ""
        how = "CONCURRENTLY " if concurrently else ""
        # The partitions follow one by one.
        only = "ONLY " if self.online and self.partitioned else ""
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        where = f" WHERE ({closed(self.where)})" if self.where is not None else ""
        elements = ", ".join(map(str, self.columns))
        parameters = f" WITH ({', '.join(_settings(self.parameters))})" if self.parameters else ""
        place = f" TABLESPACE {quoted(self.tablespace)}" if self.tablespace else ""
        return (
            f"CREATE {unique}INDEX {how}{quoted(self.name)} ON {only}{self.table} "
            f"USING {quoted(self.method)} ({elements}){include}{nulls}{parameters}{place}{where}"
        )

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in its definition."""
        return (self.where, *(text for one in self.columns for text in one.fragments))

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from declared_references(self.where, *(one.expression for one in self.columns))

    def find(self, catalog: Catalog, ask: Ask) -> Self | None:
        current = super().find(catalog, ask)
        return current.placed(catalog) if current else None

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        if current.table != self.table:
            raise DeclarationError(f"an index of this name is on {current.table}")
        written = self.written_as(current, same)
        owed = foreign_keys.owed(self.table, catalog)
        if written is current and not owed and not index_builds.left(current, catalog):
            return current
        found = written.placed(catalog)
        if rebuilt(evolve(current, name=self.name), found):
            swap = index_builds.swap(current, found, catalog, same)
            new = evolve(found, name=swap.successor, built=swap.there)
            parts = new.parted(catalog, same).parts
            found = evolve(
                found if found.online else found.parted(catalog, same),
                swap=swap,
                parts=index_builds.placed(parts, current, catalog),
            )
        elif not current.valid:
            found = evolve(found, built=evolve(current, valid=True)).parted(catalog, same)
        changed = found.swap is not None or not current.valid
        return evolve(
            found,
            later=current.later or (found.online and changed),
            left=index_builds.left(found, catalog),
            owed=owed,
        )

    def used_by(self, catalog: Catalog, ask: Ask) -> list[str]:
        return index_builds.users(self, catalog, ask) if self.unique else []

    def informed(self, current: Self, catalog: Catalog, ask: Ask) -> Self:
        if self.swap and current.unique and current.partitioned:
            # The foreign keys on the whole of it are moved.
            moved = {str(one) for one in self.swap.dependents}
            found = [one for one in index_builds.users(current, catalog, ask) if one not in moved]
            if found:
                raise DeclarationError(
                    f"it is used by {', '.join(found)}: remove or change that before"
                )
        return self

    def check_columns(self, catalog: Catalog) -> None:
        named = [*(one.column for one in self.columns), *self.include]
        texts = [*(one.expression for one in self.columns), self.where]
        check_columns(self.table, catalog, named, texts)
        if self.unique:
            partition_keys.check(self.table, "it", [one.column for one in self.columns], catalog)

    def readings(self, current: Self | None) -> Iterator[Reading]:
        for one in self.columns:
            yield Reading(expression_template(self.table), one.expression, self.table)
        yield Reading(condition_template(self.table), self.where, self.table)

    def objections(self, current: Self | None, catalog: Catalog) -> Iterator[Objection]:
        new = current is None or rebuilt(evolve(current, name=self.name), self)
        if self.unique and new and self.table in catalog.filled:
            elements = [
                Exact(quoted(one.column)) if one.column else one.expression or ""
                for one in self.columns
            ]
            said = f"the unique index {quoted(self.name)}"
            rows = PlannedRows.of(self.table, catalog)
            if rows.knows(named(*elements, self.where)):
                yield repeated(rows, elements, self.where, self.nulls_not_distinct, said)

    def parted(self, catalog: Catalog, same: Same) -> Self:
        """Itself, with what is built in its table's partitions."""
        if not self.partitioned:
            return self
        if self.online or self.built:
            return evolve(self, parts=index_builds.parts(self, catalog, same))
        freed = [one.name for one in index_builds.below(self.full, catalog)]
        return evolve(self, automatic=index_builds.parts(self, catalog, same, freed))

    def written_as(self, current: Self, same: Same) -> Self:
        """Itself, with what equals the stored index written as it is there."""
        # All of it is compared, so that every expression is in one batch.
        elements = self.columns
        if len(elements) == len(current.columns):
            elements = tuple(
                aligned_element(one, other, same, self.table)
                for one, other in zip(elements, current.columns, strict=True)
            )
        where = self.where
        if same(condition_template(self.table), self.where, current.where, self.table):
            where = current.where
        changes: dict[str, Any] = {
            "columns": elements,
            "where": where,
            "parameters": self._aligned_parameters(current),
            "tablespace": current.tablespace,
            "comment": either(self.comment, current.comment),
        }
        aligned = (changes.get(name, getattr(self, name)) for name in _COMPARED)
        if all(map(eq, aligned, _compared(current))):
            return current
        return evolve(self, **changes)

    def equals(self, current: Self, same: Same) -> bool:
        """Whether a stored index is the same but for its name, and for whether it is valid."""
        return not rebuilt(
            evolve(current, name=self.name, valid=True), self.written_as(current, same)
        )

    def placed(self, catalog: Catalog) -> Self:
        """Itself, with what its table decides of how it is built."""
        there = placing(self.table, catalog)
        if all(getattr(self, name) == value for name, value in there.items()):
            return self
        return evolve(self, **there)

    def twin(self, catalog: Catalog, same: Same) -> Self | None:
        if not self.columns or self.table in catalog.created:
            return None
        others = [
            one
            for one in catalog.on(self.table)
            if isinstance(one, type(self)) and one.valid and not one.parent
        ]
        free = [one for one in others if not catalog.is_declared(one.key())]
        return same.first(free, lambda one: self.equals(one, same))

    def _aligned_parameters(self, current: Index) -> dict[str, str] | None:
        there = current.parameters or {}
        if self.parameters is None:
            return current.parameters
        return {
            name: there[name]
            if name in there and _normal(name, value) == _normal(name, there[name])
            else value
            for name, value in self.parameters.items()
        }

    def completed(self, catalog: Catalog, same: Same) -> Self:
        if not self.columns:
            raise DeclarationError("it does not exist: declare its columns")
        found = self.placed(catalog)
        return evolve(found, later=found.online).parted(catalog, same)

    def made_anew(self, stored: Sequence[Statement]) -> Iterator[Statement]:
        found = []
        for one in stored:
            place = re.search(r" ALTER COLUMN (\d+) SET STATISTICS ", one.sql)
            number = int(place[1]) - 1 if place else 0
            if not place or any(each.expression for each in self.columns[number : number + 1]):
                found.append(one)
        return super().made_anew(found)

    def store(self, catalog: Catalog, current: Self | None) -> None:
        renamed = current if current and current.key() != self.key() else None
        before = index_builds.below(current.full, catalog) if current and self.swap else ()
        for gone in (*self.left, *before, renamed, self.swap.there if self.swap else None):
            if gone is not None:
                catalog.remove(gone)
        parts = {one.full: self._named(one) for one in (*self.parts, *self.automatic)}
        wholes = {one: now.full for one, now in parts.items()}
        if self.swap:
            wholes[Name(self.table.schema, self.swap.successor)] = self.full
        for one in parts.values():
            catalog.put(evolve(one, parent=one.parent and wholes.get(one.parent, one.parent)))
        catalog.put(self)
        foreign_keys.settle(self.owed, catalog)

    def _named(self, part: Index) -> Index:
        """A part as it is called once it has taken the place of another."""
        if not self.swap or (part in self.parts and not part.becomes):
            return part
        names = (one.name for one in self.swap.parts if one.table == part.table)
        return evolve(part, name=next(names, part.name))

    def erase(self, catalog: Catalog) -> None:
        parts = [one for one in catalog.of(type(self)) if one.parent == self.full]
        for one in parts:
            one.erase(catalog)
        catalog.remove(self)

    @staticmethod
    def diff(current: Index | None, declared: Index | None) -> Iterator[Statement]:
        """CREATE, ALTER, replace or DROP an index; on a table with rows concurrently."""
        if declared is None:
            assert current
            if current.parent:
                raise DeclarationError(f"it is a part of the index {current.parent}: drop that")
            if current.replica_identity:
                raise index_builds.identity(current.name, current.table)
            concurrently = current.online and not current.partitioned
            yield index_builds.dropped(current, concurrently)
            return
        if current and current.name != declared.name:
            yield Statement(f"ALTER INDEX {current.full} RENAME TO {quoted(declared.name)}")
            current = evolve(current, name=declared.name)
        if current is None:
            yield from index_builds.built(declared)
            for one in comment(f"INDEX {declared.full}", None, declared):
                concurrent = declared.online and not declared.partitioned
                yield evolve(one, stage=Stage.AFTER if concurrent else Stage.MAIN)
        elif rebuilt(current, declared):
            if current.parent:
                raise DeclarationError(
                    f"it is a part of the index {current.parent}, and is what that is: declare "
                    "that one otherwise, before"
                )
            yield from index_builds.replaced(current, declared)
        else:
            yield from _set(current, declared)
            yield from comment(f"INDEX {declared.full}", current, declared)
            yield from index_builds.built(declared) if not current.valid else ()
        for old in declared.left:
            yield index_builds.dropped(old, concurrently=True)
        yield from map(foreign_keys.settled, declared.owed)


_COMPARED = tuple(one.name for one in fields(Index) if one.eq)
_compared = attrgetter(*_COMPARED)


def placing(table: Name, catalog: Snapshot) -> dict[str, Any]:
    """What a table decides of how its indexes are built."""
    kind = catalog.relation_kinds.get(table)
    filled = table in catalog.filled
    online = filled and (kind in {"r", "m"} or (kind == "p" and _of_tables(table, catalog)))
    return {"filled": filled, "partitioned": kind == "p", "online": online}


def rebuilt(current: Index, declared: Index) -> bool:
    """Whether it differs in what can't be altered."""
    kept = evolve(current, comment=declared.comment)
    if declared.partitioned:
        # Its partitions' parts may be missing yet.
        kept = evolve(kept, valid=True)
    else:
        kept = evolve(kept, parameters=declared.parameters)
    return kept != declared


def _set(current: Index, declared: Index) -> Iterator[Statement]:
    """Storage parameters are for what is written from now on; REINDEX applies them to the rest."""
    before, after = current.parameters or {}, declared.parameters or {}
    alter = f"ALTER INDEX {declared.full}"
    gone = [quoted(name) for name in before if name not in after]
    new = {name: value for name, value in after.items() if before.get(name) != value}
    if gone:
        yield Statement(f"{alter} RESET ({', '.join(gone)})")
    if new:
        yield Statement(f"{alter} SET ({', '.join(_settings(new))})")


def _of_tables(table: Name, catalog: Snapshot) -> bool:
    """Whether all partitions are ordinary tables, at all levels."""
    for key, one in catalog.objects.items():
        if key[0] == "partition" and getattr(one, "parent", None) == table:
            name = Name(*key[1:])
            kind = catalog.relation_kinds.get(name)
            if kind != "r" and not (kind == "p" and _of_tables(name, catalog)):
                return False
    return True


def _settings(parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        yield f"{quoted(name)} = {literal(value)}"


def index(
    index: str,
    table: str,
    columns: str | Iterable[str] = (),
    *,
    where: str | None = None,
    unique: bool = False,
    method: str = "btree",
    include: str | Iterable[str] = (),
    nulls_not_distinct: bool = False,
    parameters: Mapping[str, object] | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an index.

    + index: its name; it is in its table's schema
    + table: the table
    + columns: columns or expressions as in SQL, like `updated_at DESC` or `lower(email)`
    + where: the predicate of a partial index
    + unique: whether it is unique
    + method: the access method
    + include: further columns that it carries
    + nulls_not_distinct: whether a unique index treats nulls as equal
    + parameters: its storage parameters, like {"fillfactor": 70}; what is not given is left as it
      is, {} is PostgreSQL's defaults
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    On a table with rows it is built concurrently after the transaction; one that an interrupted
    build left invalid is dropped and built again.

    **Example:**

    .. code:: python

        pg.index(
            "idx_sync_progress_active",
            "sync_progress",
            ["org_id", "updated_at DESC"],
            where="completed_at IS NULL",
        )
    """
    declaration = Index(
        index,
        table,
        columns,
        where=where,
        unique=unique,
        method=method,
        include=include,
        nulls_not_distinct=nulls_not_distinct,
        parameters=parameters,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
