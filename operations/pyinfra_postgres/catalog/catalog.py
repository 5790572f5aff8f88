"""The catalog as it will be: what a snapshot holds, and what the plan makes of it.

Operations write into it what they are going to do, and the next operation looks there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Self, TypeVar, cast

from attrs import define, field, fields, frozen

from ..plan.plan import Objection, Operation
from ..syntax.acl import DEFAULTS, Acl
from ..syntax.names import Exact, Name
from ..syntax.parse import Reference
from ..syntax.rewrite import ColumnOf
from .entry import DOMAIN, INDEX, PARTITION, RELATIONS, Entry, Key
from .renames import Rename, followed, followed_details, sql_of
from .rights import Rights
from .snapshot import Snapshot, digest
from .trust import Foreign

_T = TypeVar("_T")

SYSTEM = frozenset({"pg_catalog", "information_schema"})
_ROW_TYPES = frozenset("rpvmf")
"""The relations that have a type of their name."""
_NAMED_TARGETS = frozenset({"TABLE", "SEQUENCE", "TYPE", "COLUMN"})


class Declared(NamedTuple):
    """What one operation of the run declares of an object."""

    operation: Operation
    declaration: Any
    target: Any = None
    """The object as it is then; None where the operation has not had its turn."""


@define
class Forecast(Snapshot):
    """A database as it will be: a snapshot, with what the plan makes of it."""

    unread: set[str] = field(factory=set)
    """What is declared and the role may not read: it is left as it is."""
    created: set[Name] = field(factory=set)
    """The relations and types that the plan creates: the server does not know them yet."""
    altered: set[Name] = field(factory=set)
    """The relations that the plan changes: the server knows them otherwise."""
    changed: set[Key] = field(factory=set)
    """What the plan changes: the server has it otherwise."""
    means_other: bool = False
    """Whether that has something on which the meaning of expressions may stand."""
    outdated: set[Key] = field(factory=set)
    """What of that it has changed before it renames something: a text may have a former name."""
    unavailable: set[str] = field(factory=set)
    """The extensions that were looked for, and of which the server has no files."""
    untrusted: set[str] = field(factory=set)
    """The extensions that were looked for, and that superusers alone create."""
    extended: set[str] = field(factory=set)
    """The schemas in which the plan creates extensions: what they hold is known only then."""
    declared: dict[Key, list[Declared]] = field(factory=dict)
    """What the run has declared of each object so far."""
    absent: dict[Key, list[Declared]] = field(factory=dict)
    """What has been declared not to be there."""
    dropped: dict[Name, set[str]] = field(factory=dict)
    """The columns that the plan drops, by table."""
    values: dict[Name, dict[str, str | None]] = field(factory=dict)
    """What the plan gives all rows of a table in new or converted columns, None where nobody knows.
    """
    fills: dict[Name, dict[str, str]] = field(factory=dict)
    """What the plan fills into columns of a table then, by an expression over the row."""
    doubts: list[tuple[Operation, str, Objection]] = field(factory=list)
    """What rows may say against operations, with their titles, unless the plan brings more rows."""
    removed: dict[Key, Any] = field(factory=dict)
    """What the plan removes, as it was."""
    gone: dict[Key, str] = field(factory=dict)
    """What exact= takes away, with the operation that does."""
    named: set[Key] = field(factory=set)
    """What the operations so far declare, and the one that is being planned."""
    shapes: dict[Name, str] = field(factory=dict)
    """What `shape` has found."""
    _parts: dict[Name, dict[Key, Any]] | None = None
    """What is on each table, once somebody has asked."""
    _defaults: dict[Name, Any] = field(factory=dict)
    """The default partition of each table, as far as somebody has asked."""
    promised: set[Reference] = field(factory=set)
    """What the run is to bring, and of which nothing else is known: by scripts, or by what is
    refused."""
    rows_change: bool = False
    """Whether the plan changes rows: what they are then is not known."""
    glimpse_of: Snapshot | None = None
    """What it was copied from, where what a later run changes is only told: no rows are counted."""
    renames: list[Rename] = field(factory=list)
    """What the plan renames."""
    prepared: list[str] = field(factory=list)
    """The statements of the plan that make what a rename may need: a schema."""
    former: dict[Key, str] = field(factory=dict)
    """The names that operations of the run declare to be former ones, with the operation."""
    taken: dict[Key, str] = field(factory=dict)
    """What operations of the run have given their own name, as it is the same, with the operation.
    """
    stored: dict[Name, Name] = field(factory=dict)
    """The relations that have other names, or columns of other names, until the plan has run."""

    @classmethod
    def based_on(cls, snapshot: Snapshot) -> Self:
        """The catalog before there is anything in the plan."""
        found = {one.name: _copied(getattr(snapshot, one.name)) for one in fields(Snapshot)}
        return cls(**found)

    def glimpsed(self) -> Self:
        """A copy, on which nothing has been declared."""
        found = {
            one.name: _copied(getattr(self, one.name))
            for one in fields(type(self))
            if one.init and not one.name.startswith("_")
        }
        nothing: dict[str, Any] = dict.fromkeys(("declared", "absent", "gone", "former", "taken"))
        found |= {name: {} for name in nothing}
        return type(self)(**found | {"rows_change": True, "glimpse_of": self})

    def of(self, kind: type[Any]) -> Iterator[Any]:
        """All objects of one class."""
        return (one for one in self.objects.values() if isinstance(one, kind))

    def details_of(self, one: Entry, kind: type[_T]) -> _T:
        """What is known of an object beside what may be declared: nothing unusual, or `kind`."""
        found = self.details.get(one.key())
        return found if isinstance(found, kind) else kind()

    def on(self, table: Name) -> list[Any]:
        """What goes with a table: its indexes, triggers, policies, partitions, sequences."""
        if self._parts is None:
            self._parts = {}
            for one in self.objects.values():
                self._place(one)
        # What is gone, or has gone elsewhere, is still among them.
        found = self._parts.get(table, {})
        return [one for key, one in found.items() if self.objects.get(key) is one]

    def _place(self, one: Entry) -> None:
        table = _table_of(one)
        if self._parts is not None and table is not None:
            self._parts.setdefault(table, {})[one.key()] = one
            if getattr(one, "bound", None) == "DEFAULT":
                self._defaults[table] = one

    def table(self, name: Name) -> Any:
        """A table as it will be, None where there is none."""
        return self.objects.get(("table", *name))

    def partition(self, name: Name) -> Any:
        """A partition as it will be, None where there is none."""
        return self.objects.get((PARTITION, *name))

    def domain(self, name: Name) -> Any:
        """A domain as it will be, None where there is none."""
        return self.objects.get((DOMAIN, *name))

    def unique_indexes(self, table: Name) -> list[Any]:
        """The unique indexes that a table will have, and no constraint owns."""
        return [one for one in self.on(table) if one.kind == INDEX and one.unique]

    def columns_of(self, table: Name) -> tuple[Any, ...]:
        """The columns that a table will have."""
        return tuple(getattr(self.table(table), "columns", None) or ())

    def constraints_of(self, table: Name) -> tuple[Any, ...]:
        """The constraints that a table will have."""
        return tuple(getattr(self.table(table), "constraints", ()))

    def default_of(self, table: Name) -> Name | None:
        """The default partition of a table."""
        if self._parts is None:
            self.on(table)
        one = self._defaults.get(table)
        is_there = one is not None and self.objects.get(one.key()) is one
        return Name(*one.key()[1:]) if one is not None and is_there else None

    def is_declared(self, key: Key) -> bool:
        """Whether the run declares an object, as far as is known."""
        return key in self.declared or key in self.named

    def partitions(self, table: Name) -> list[Name]:
        """The partitions that a table will have, by name."""
        keys = (one.key() for one in self.on(table) if one.key()[0] == PARTITION)
        return sorted(Name(*key[1:]) for key in keys)

    def lineage(self, table: Name) -> Iterator[Name]:
        """A table and those that it is a partition of, from the bottom up."""
        name: Name | None = table
        while name is not None:
            yield name
            name = getattr(self.partition(name), "parent", None)

    def leaves(self, table: Name) -> Iterator[Name]:
        """The ordinary tables in which a partitioned table has its rows."""
        for one in self.partitions(table):
            if self.relation_kinds.get(one) == "r":
                yield one
            yield from self.leaves(one)

    def has_relation(self, name: Name) -> bool:
        """Whether a table, view, sequence or index has the name."""
        return (
            name in self.relation_kinds
            or name in self.key_indexes
            or (INDEX, *name) in self.objects
        )

    def holder(self, reference: Reference) -> str | None:
        """What has the name of a table, an index or a type that is to be created."""
        kind, name = reference
        letter = self.relation_kinds.get(name)
        if letter and (kind != "type" or letter in _ROW_TYPES):
            return RELATIONS[letter]
        if kind != "type" and self.has_relation(name):
            return INDEX
        return "type" if kind != INDEX and name in self.types else None

    def hides(self, table: Name) -> bool:
        """Whether row level security hides rows of a table from the role, as it will be then."""
        one = self.table(table)
        if self.rights.sees_all_rows or not getattr(one, "row_security", False):
            return False
        acl = self.acls.get(("TABLE", *table))
        is_owner = acl is not None and self.rights.has(acl.owner)
        return not is_owner or bool(getattr(one, "force_row_security", False))

    def names_in(self, schema: str) -> set[str | None]:
        """The names that the relations of a schema have."""
        indexes = {Name(*key[1:]) for key in self.objects if key[0] == INDEX}
        names = self.relation_kinds.keys() | self.key_indexes | indexes
        return {name.name for name in names if name.schema == schema}

    def put(self, one: Entry) -> None:
        """Write an object as it will be."""
        self.key_indexes -= _key_indexes(self.objects.get(one.key()))
        self.key_indexes |= _key_indexes(one)
        self.objects[one.key()] = one
        self._place(one)
        self.changed.add(one.key())
        self.means_other |= one.gives_meaning
        self.outdated.discard(one.key())
        if one.acl:
            owner: str | None = getattr(one, "owner", None)
            key = (one.acl, *one.key()[1:])
            acl = self.acls.get(key) or self.new_acl(key)
            self.acls[key] = acl.owned_by(owner or acl.owner)
            if owner and owner != acl.owner:
                for column in [each for each in self.acls if each[:3] == ("COLUMN", *key[1:])]:
                    self.acls[column] = self.acls[column].owned_by(owner)
        for reference in one.provides():
            match reference.kind:
                case "type":
                    if reference.name not in self.types:
                        self.types.add(reference.name)
                        self.created.add(reference.name)
                case "function":
                    self.functions.add(reference.name)
                case "table":
                    self.shapes.pop(reference.name, None)
                    if reference.name not in self.relation_kinds:
                        self.relation_kinds[reference.name] = one.relkind
                        self.created.add(reference.name)
                    else:
                        self.altered.add(reference.name)
                    if getattr(one, "partition_by", None):
                        self.relation_kinds[reference.name] = "p"

    def rename(self, rename: Rename) -> None:
        """Give something another name, and have everything follow."""
        self.renames.append(rename)
        for name in set(self.relation_kinds) - self.created:
            if (another := rename.name(name)) != name:
                self.stored[another] = self.stored.pop(name, name)
        self._rename_objects(rename)
        self._rename_relations(rename)
        self.rights.closed = set(map(rename.schema, self.rights.closed))
        self.foreign.renamed(rename.name)
        for old, new in rename.things:
            if isinstance(old, ColumnOf) and old.relation not in self.created:
                self.stored.setdefault(old.relation, old.relation)
            elif isinstance(new, Reference) and new.kind == "function":
                self.functions.add(new.name)
            elif isinstance(new, Reference) and new.kind == "schema":
                self.functions = set(map(rename.name, self.functions))

    def _rename_objects(self, rename: Rename) -> None:
        """Have the objects and their privileges follow a rename."""
        objects: dict[Key, Any] = {}
        details: dict[Key, Any] = {}
        changed = set(self.changed)
        for key, one in self.objects.items():
            now = followed(one, rename)
            objects[now.key()] = now
            if key in self.details:
                details[now.key()] = followed_details(self.details[key], one, rename)
            if now.key() != key and key in self.changed:
                changed.add(now.key())
            if now.key() != key and (one.acl, *key[1:]) in self.acls:
                self.acls[one.acl, *now.key()[1:]] = self.acls.pop((one.acl, *key[1:]))
        self.objects, self.details = objects, details
        self.changed, self.outdated = changed, set(changed)
        self.default_acls = {
            (role, rename.schema(schema), letter): acl
            for (role, schema, letter), acl in self.default_acls.items()
        }
        self.extended = set(map(rename.schema, self.extended))
        self.extension_owned = set(map(rename.name, self.extension_owned))
        self.dropped = {
            rename.name(table): {rename.column(table, one) for one in columns}
            for table, columns in self.dropped.items()
        }
        self.values = {
            rename.name(table): {rename.column(table, one): text for one, text in values.items()}
            for table, values in self.values.items()
        }
        self.fills = {
            rename.name(table): {rename.column(table, one): text for one, text in fills.items()}
            for table, fills in self.fills.items()
        }
        self._parts, self._defaults = None, {}
        self.key_indexes = set().union(*map(_key_indexes, objects.values()))
        for key in [key for key in self.acls if key[0] in _NAMED_TARGETS]:
            kind, *parts = key
            relation = Name(parts[0], parts[1])
            columns = [rename.column(relation, one) for one in parts[2:]]
            self.acls[kind, *rename.name(relation), *columns] = self.acls.pop(key)

    def _rename_relations(self, rename: Rename) -> None:
        """Have what is known of relations and types by name follow a rename."""
        for printed, numbered in self.columns.items():
            if table := self.relations.get(printed):
                for number, column in numbered.items():
                    numbered[number] = Exact(rename.column(table, column))
        self.relations = {printed: rename.name(name) for printed, name in self.relations.items()}
        self.printed = {name: printed for printed, name in self.relations.items()}
        self.shapes.clear()
        kinds = self.relation_kinds.items()
        self.relation_kinds = {rename.name(name): kind for name, kind in kinds}
        self.filled, self.created, self.altered, self.types = (
            set(map(rename.name, names))
            for names in (self.filled, self.created, self.altered, self.types)
        )

    def holds(self, key: Key, whole: Key = ()) -> bool:
        """Whether an object, or a part of a whole one, is there."""
        if not whole:
            return key in self.objects
        one = self.objects.get(whole)
        shown = key[0] == "column" and self._shows(*key[1:])
        return shown or (one is not None and key in one.names())

    def _shows(self, schema: str, view: str, column: str) -> bool:
        """Whether a view has a column."""
        name = Name(schema, view)
        known = self.columns.get(self.printed.get(name, ""), {})
        return self.relation_kinds.get(name) in {"v", "m"} and column in known.values()

    def renaming(self, *, unlocked: bool = False) -> list[str]:
        """The statements that give what the plan renames its new names, or only those that lock no
        relation: of types, labels, functions and schemas.
        """
        renames = [one for one in self.renames if one.is_unlocked or not unlocked]
        return [*self.prepared, *sql_of(renames)] if renames else []

    def server_names(self) -> dict[Name, tuple[Name, tuple[str, ...]]]:
        """Of each relation that the plan renames, its name behind the unlocked renames, and its
        columns.
        """
        names = dict(self.stored)
        for rename in (one for one in self.renames if one.is_unlocked):
            names = {name: rename.name(stored) for name, stored in names.items()}
        return {
            name: (stored, tuple(self.columns.get(self.printed.get(name, ""), {}).values()))
            for name, stored in names.items()
        }

    def new_acl(self, key: Key) -> Acl:
        """The privileges on an object that the role creates."""
        kind, *name = key
        everywhere = self.default_acls.get((self.role, "", DEFAULTS[kind]))
        usual = everywhere or Acl.read(kind, self.role, None, self.version)
        in_schema = self.default_acls.get((self.role, name[0], DEFAULTS[kind]))
        return usual.with_more(in_schema if kind != "SCHEMA" else None)

    def remove(self, one: Entry) -> None:
        """Remove an object from the catalog as it will be."""
        self.removed[one.key()] = one
        self.key_indexes -= _key_indexes(self.objects.get(one.key()))
        self.objects.pop(one.key(), None)
        self.details.pop(one.key(), None)
        self.changed.add(one.key())
        self.means_other |= one.gives_meaning
        self.acls.pop((one.acl, *one.key()[1:]), None)
        for reference in one.provides():
            match reference.kind:
                case "type":
                    self.types.discard(reference.name)
                case "function":
                    # Another one may have the same name, and other arguments.
                    others = (key[:3] for key in self.objects if key[0] == one.kind)
                    if one.key()[:3] not in others:
                        self.functions.discard(reference.name)
                case "table":
                    self.shapes.pop(reference.name, None)
                    self.relation_kinds.pop(reference.name, None)
                    self.filled.discard(reference.name)
                    self._remove_parts(reference.name)

    def _remove_parts(self, relation: Name) -> None:
        """What goes with a relation: its indexes, triggers, policies, and rights on columns."""
        for one in self.on(relation):
            one.erase(self)
        for key in [key for key in self.acls if key[0] == "COLUMN" and key[1:3] == relation]:
            del self.acls[key]

    def shape(self, table: Name) -> str:
        """A digest of a table's columns and types: what decides what an expression means."""
        if table not in self.shapes:
            found = self.table(table)
            columns = getattr(found, "columns", None)
            known = (
                list(self.columns.get(self.printed.get(table, ""), {}).values())
                if columns is None
                else [(column.name, column.type) for column in columns]
            )
            self.shapes[table] = digest(f"{table} {known}")
        return self.shapes[table]

    def has(self, reference: Reference) -> bool:
        """Whether what is referred to exists, or is declared earlier."""
        name = reference.name
        match reference.kind:
            case "type":
                return (
                    name in self.types
                    or name in self.relation_kinds
                    or name.schema in {*SYSTEM, *self.extended}
                )
            case "table":
                return name in self.relation_kinds or name.schema in SYSTEM
            case "function" if name.schema:
                return name in self.functions or name.schema in {*SYSTEM, *self.extended}
            case "function":
                return "public" in self.extended or Name("public", name.name) in self.functions
            case "schema":
                system = name.name.startswith("pg_") or name.name in SYSTEM
                return system or (reference.kind, name.name) in self.objects
            case kind:
                return (kind, name.name) in self.objects


def _copied(value: Any) -> Any:
    """A value of a snapshot, that can be changed."""
    match value:
        case Rights() | Foreign():
            return value.copy()
        case Mapping():
            return {key: _copied(one) for key, one in value.items()}
        case AbstractSet():
            return set(value)
        case tuple() if not hasattr(value, "_fields"):
            return list(value)
    return value


@frozen
class Taken:
    """The names that the relations of a schema have, looked up one by one."""

    schema: str
    catalog: Forecast

    def __contains__(self, name: object) -> bool:
        return self.catalog.has_relation(Name(self.schema, str(name)))


def _key_indexes(one: Entry | None) -> set[Name]:
    """The indexes that the constraints of a table own."""
    if one is None or one.kind != "table":
        return set()
    constraints = getattr(one, "constraints", ())
    return {Name(one.key()[1], each.name) for each in constraints if each.has_index and each.name}


def _table_of(one: Entry) -> Name | None:
    """The table that an object goes with."""
    found = getattr(one, "table", None) or getattr(getattr(one, "owned_by", None), "table", None)
    return cast(Name | None, found or getattr(one, "parent", None))
