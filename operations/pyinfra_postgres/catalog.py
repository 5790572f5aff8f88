"""The catalog of a database, read in one round trip and kept.

The query is one script that works through psycopg and through `psql`: positional JSON arrays, every
name printed in full, deparsed under pinned settings. `Catalog` is also the catalog as it will be:
operations write into it what they are going to do, and the next operation looks there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from types import ModuleType
from typing import Any, NamedTuple, cast

from attrs import field, frozen, mutable

from . import answer, rights, trust_query
from .acl import DEFAULTS, Acl
from .errors import DeclarationError, HostError
from .kind import Key, Object
from .names import Exact, Name, literal
from .parse import Reference
from .paths import SearchPath
from .renames import Rename, followed, sql_of
from .rewrite import Column
from .rights import Rights
from .trust import Foreign
from .unreadable import Unreadable

PINS = (
    # Before anything is evaluated; it also has the server print every name with its schema.
    SearchPath.OWN.local,
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL quote_all_identifiers = off",
    "SET LOCAL client_min_messages = error",
    "SET LOCAL transform_null_equals = off",
    "SET LOCAL array_nulls = on",
    "SET LOCAL jit = off",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    # Before PostgreSQL 17 there is none.
    "DO $pin$ BEGIN IF current_setting('transaction_timeout', true) <> '0' "
    "THEN SET LOCAL transaction_timeout = 0; END IF; END $pin$",
)
USERS_PINS = (*PINS, SearchPath.USERS.local)
"""The same for the user's own SQL, in which unqualified names are in `public`."""
ALL_ROWS = "SET LOCAL row_security = off"
"""Has all that reads rows fail where row security would filter them: what is not seen is not gone.

The check of a foreign key is among that; only what PostgreSQL reads past its queries, as it builds
an index or checks a CHECK, sees all rows of itself."""
USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

# What decides how an expression's functions, operators and types resolve.
_ENVIRONMENT = """
    SELECT md5(concat_ws('|',
      (SELECT string_agg(concat_ws(' ', pronamespace, proname, proargtypes), ',' ORDER BY oid)
         FROM pg_proc WHERE oid >= 16384),
      (SELECT string_agg(concat_ws(' ', oprnamespace, oprname, oprleft, oprright), ',' ORDER BY oid)
         FROM pg_operator WHERE oid >= 16384),
      (SELECT string_agg(concat_ws(' ', castsource, casttarget), ',' ORDER BY oid)
         FROM pg_cast WHERE oid >= 16384),
      (SELECT string_agg(concat_ws(' ', oid, typnamespace, typname), ',' ORDER BY oid)
         FROM pg_type WHERE oid >= 16384 AND typtype IN ('b', 'd', 'e', 'r'))))"""

_OWN_SECTIONS = {
    "server": f"""
        SELECT json_build_array(current_setting('server_version_num')::int, current_database(),
          current_user, pg_is_in_recovery(), CURRENT_DATE, ({_ENVIRONMENT}))""",
    "rights": rights.QUERY,
    "closed": f"""
        SELECT json_build_array(n.nspname) FROM pg_namespace n
         WHERE {USER_SCHEMA} AND NOT has_schema_privilege(n.oid, 'USAGE')""",
    "foreign": trust_query.OWNERS,
    "function_names": f"""
        SELECT json_build_array(n.nspname, json_agg(DISTINCT p.proname))
          FROM pg_namespace n JOIN pg_proc p ON p.pronamespace = n.oid
         WHERE {USER_SCHEMA} GROUP BY n.nspname""",
}

SYSTEM = frozenset({"pg_catalog", "information_schema"})
_RELKINDS = {"view": "v", "materialized_view": "m", "sequence": "S"}
_RELATIONS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
_ROW_TYPES = frozenset("rpvmf")
"""The relations that have a type of their name."""
_NAMED_TARGETS = frozenset({"TABLE", "SEQUENCE", "TYPE", "COLUMN"})
_KINDS: list[ModuleType] = []


def register(*kinds: ModuleType) -> None:
    """Have the catalog read these kinds' QUERIES, with their `read`, in this order."""
    _KINDS.extend(kinds)


@frozen
class Fingerprint:
    """What tells one state of a catalog from another, as far as it could be read."""

    digest: str = ""
    unreadable: Unreadable = field(factory=Unreadable)
    """What it is without."""


class Declared(NamedTuple):
    """What one operation of the run declares of an object."""

    operation: str
    declaration: Object
    target: Object | None = None
    """The object as it is then; None where the operation has not had its turn."""


@mutable
class Catalog:
    """A database's objects by key, and what else a plan needs to know of it."""

    fingerprint: Fingerprint = field(factory=Fingerprint)
    version: int = 0
    database: str = ""
    role: str = ""
    rights: Rights = field(factory=Rights)
    """What the role may do."""
    standby: bool = False
    unread: set[str] = field(factory=set)
    """What is declared and the role may not read: it is left as it is."""
    today: date = date.min
    environment: str = ""
    objects: dict[Key, Object] = field(factory=dict)
    roles: dict[int, Exact] = field(factory=dict)
    relations: dict[int, Name] = field(factory=dict)
    relation_kinds: dict[Name, str] = field(factory=dict)
    filled: set[Name] = field(factory=set)
    """The tables that take up space: those that may have rows."""
    created: set[Name] = field(factory=set)
    """The relations and types that the plan creates: the server does not know them yet."""
    altered: set[Name] = field(factory=set)
    """The relations that the plan changes: the server knows them otherwise."""
    changed: set[Key] = field(factory=set)
    """What the plan changes: the server has it otherwise."""
    outdated: set[Key] = field(factory=set)
    """What of that it has changed before it renames something: a text may have a former name."""
    unavailable: set[str] = field(factory=set)
    """The extensions that were looked for, and of which the server has no files."""
    untrusted: set[str] = field(factory=set)
    """The extensions that were looked for, and that superusers alone create."""
    extended: set[str] = field(factory=set)
    """The schemas in which the plan creates extensions: what they hold is known only then."""
    types: set[Name] = field(factory=set)
    functions: set[Name] = field(factory=set)
    acls: dict[Key, Acl] = field(factory=dict)
    default_acls: dict[tuple[str, str, str], Acl] = field(factory=dict)
    """The default privileges of a role, in a schema or everywhere, by the letter of the kind."""
    declared: dict[Key, list[Declared]] = field(factory=dict)
    """What the run has declared of each object so far."""
    absent: dict[Key, list[Declared]] = field(factory=dict)
    """What has been declared not to be there."""
    dropped: dict[Name, set[str]] = field(factory=dict)
    """The columns that the plan drops, by table."""
    gone: dict[Key, str] = field(factory=dict)
    """What exact= takes away, with the operation that does."""
    extension_owned: set[Name] = field(factory=set)
    """The relations and types that came with an extension."""
    named: set[Key] = field(factory=set)
    """What the operations so far declare, and the one that is being planned."""
    key_indexes: set[Name] = field(factory=set)
    """The indexes that constraints own."""
    columns: dict[int, dict[int, Exact]] = field(factory=dict)
    """Of each relation, its columns' names by number."""
    oids: dict[Name, int] = field(factory=dict)
    """The relations that the server has, by name."""
    heirs: dict[int, list[int]] = field(factory=dict)
    """The tables that inherit from each, and are no partitions of it."""
    shapes: dict[Name, str] = field(factory=dict)
    """What `shape` has found."""
    _parts: dict[Name, dict[Key, Object]] | None = None
    """What is on each table, once somebody has asked."""
    promised: set[Reference] = field(factory=set)
    """What the run is to bring, and of which nothing else is known: by scripts, or by what is
    refused."""
    owing: bool = False
    """Whether foreign keys are owed their validation."""
    rows_change: bool = False
    """Whether the plan changes rows: what they are then is not known."""
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
    foreign: Foreign = field(factory=Foreign)
    """The code of other roles that may run as the role."""
    owners: set[str] = field(factory=set)
    """The other roles that may have some."""

    def at(self, today: date) -> Catalog:
        """The same catalog on another day."""
        self.today = today
        return self

    def of(self, kind: type[Any]) -> Iterator[Any]:
        """All objects of one class."""
        return (one for one in self.objects.values() if isinstance(one, kind))

    def on(self, table: Name) -> list[Object]:
        """What goes with a table: its indexes, triggers, policies, partitions, sequences."""
        if self._parts is None:
            self._parts = {}
            for one in self.objects.values():
                self._place(one)
        # What is gone, or has gone elsewhere, is still among them.
        found = self._parts.get(table, {})
        return [one for key, one in found.items() if self.objects.get(key) is one]

    def _place(self, one: Object) -> None:
        table = _table_of(one)
        if self._parts is not None and table is not None:
            self._parts.setdefault(table, {})[one.key()] = one

    def is_declared(self, key: Key) -> bool:
        """Whether the run declares an object, as far as is known."""
        return key in self.declared or key in self.named

    def partitions(self) -> dict[Name, list[Name]]:
        """The partitions of each table that has some."""
        found: dict[Name, list[Name]] = {}
        for key, one in self.objects.items():
            if key[0] == "partition":
                found.setdefault(one.parent, []).append(Name(*key[1:]))  # type: ignore[attr-defined]
        return {table: sorted(parts) for table, parts in found.items()}

    def leaves(self, table: Name) -> list[Name]:
        """The ordinary tables in which a partitioned table has its rows."""
        partitions = self.partitions()

        def below(whole: Name) -> Iterator[Name]:
            for one in partitions.get(whole, ()):
                if self.relation_kinds.get(one) == "r":
                    yield one
                yield from below(one)

        return list(below(table))

    def has_relation(self, name: Name) -> bool:
        """Whether a table, view, sequence or index has the name."""
        return (
            name in self.relation_kinds
            or name in self.key_indexes
            or ("index", *name) in self.objects
        )

    def holder(self, reference: Reference) -> str | None:
        """What has the name of a table, an index or a type that is to be created."""
        kind, name = reference
        letter = self.relation_kinds.get(name)
        if letter and (kind != "type" or letter in _ROW_TYPES):
            return _RELATIONS[letter]
        if kind != "type" and self.has_relation(name):
            return "index"
        return "type" if kind != "index" and name in self.types else None

    def hides(self, table: Name) -> bool:
        """Whether row level security hides rows of a table from the role, as it will be then."""
        one = self.objects.get(("table", *table))
        if self.rights.sees_all_rows or not getattr(one, "row_security", False):
            return False
        acl = self.acls.get(("TABLE", *table))
        is_owner = acl is not None and self.rights.has(acl.owner)
        return not is_owner or bool(getattr(one, "force_row_security", False))

    def names_in(self, schema: str) -> set[str | None]:
        """The names that the relations of a schema have."""
        indexes = {Name(*key[1:]) for key in self.objects if key[0] == "index"}
        names = self.relation_kinds.keys() | self.key_indexes | indexes
        return {name.name for name in names if name.schema == schema}

    def put(self, one: Object) -> None:
        """Write an object as it will be."""
        self.objects[one.key()] = one
        self._place(one)
        self.changed.add(one.key())
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
                        self.relation_kinds[reference.name] = _RELKINDS.get(one.kind, "r")
                        self.created.add(reference.name)
                    else:
                        self.altered.add(reference.name)

    def rename(self, rename: Rename) -> None:
        """Give something another name, and have everything follow."""
        self.renames.append(rename)
        for name in set(self.relation_kinds) - self.created:
            if (another := rename.name(name)) != name:
                self.stored[another] = self.stored.pop(name, name)
        objects: dict[Key, Object] = {}
        changed = set(self.changed)
        for key, one in self.objects.items():
            now = followed(one, rename)
            objects[now.key()] = now
            if now.key() != key and key in self.changed:
                changed.add(now.key())
            if now.key() != key and (one.acl, *key[1:]) in self.acls:
                self.acls[one.acl, *now.key()[1:]] = self.acls.pop((one.acl, *key[1:]))
        self.objects, self.changed, self.outdated = objects, changed, set(changed)
        self.dropped = {
            rename.name(table): {rename.column(table, one) for one in columns}
            for table, columns in self.dropped.items()
        }
        self._parts = None
        for key in [key for key in self.acls if key[0] in _NAMED_TARGETS]:
            kind, *parts = key
            relation = Name(parts[0], parts[1])
            columns = [rename.column(relation, one) for one in parts[2:]]
            self.acls[kind, *rename.name(relation), *columns] = self.acls.pop(key)
        for oid, numbered in self.columns.items():
            if table := self.relations.get(oid):
                for number, column in numbered.items():
                    numbered[number] = Exact(rename.column(table, column))
        self.rights.closed = set(map(rename.schema, self.rights.closed))
        self.foreign.renamed(rename.name)
        self.relations = {oid: rename.name(name) for oid, name in self.relations.items()}
        self.oids = {name: oid for oid, name in self.relations.items()}
        self.shapes.clear()
        kinds = self.relation_kinds.items()
        self.relation_kinds = {rename.name(name): kind for name, kind in kinds}
        self.filled, self.created, self.altered, self.types = (
            set(map(rename.name, names))
            for names in (self.filled, self.created, self.altered, self.types)
        )
        self.key_indexes = {
            Name(key[1], each.name)
            for key, one in objects.items()
            for each in (getattr(one, "constraints", ()) if key[0] == "table" else ())
            if each.has_index and each.name
        }
        for old, new in rename.things:
            if isinstance(old, Column) and old.relation not in self.created:
                self.stored.setdefault(old.relation, old.relation)
            elif isinstance(new, Reference) and new.kind == "function":
                self.functions.add(new.name)
            elif isinstance(new, Reference) and new.kind == "schema":
                self.functions = set(map(rename.name, self.functions))

    def holds(self, key: Key) -> bool:
        """Whether an object, or a part of one, is there."""
        kind, *name = key
        match kind:
            case "column" | "constraint" | "label":
                owners = (self.objects.get((one, *name[:2])) for one in ("table", "domain", "enum"))
                parts = (part for one in owners if one for part in one.names())
                return key in parts
            case _:
                return key in self.objects

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
            name: (stored, tuple(self.columns.get(self.oids.get(name, 0), {}).values()))
            for name, stored in names.items()
        }

    def new_acl(self, key: Key) -> Acl:
        """The privileges on an object that the role creates."""
        kind, *name = key
        everywhere = self.default_acls.get((self.role, "", DEFAULTS[kind]))
        usual = everywhere or Acl.read(kind, self.role, None, self.version)
        in_schema = self.default_acls.get((self.role, name[0], DEFAULTS[kind]))
        return usual.with_more(in_schema if kind != "SCHEMA" else None)

    def remove(self, one: Object) -> None:
        """Remove an object from the catalog as it will be."""
        self.objects.pop(one.key(), None)
        self.changed.add(one.key())
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
            found = self.objects.get(("table", *table))
            columns = getattr(found, "columns", None)
            known = (
                list(self.columns.get(self.oids.get(table, 0), {}).values())
                if columns is None
                else [(column.name, column.type) for column in columns]
            )
            self.shapes[table] = _digest(f"{table} {known}")
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


@frozen
class Taken:
    """The names that the relations of a schema have, looked up one by one."""

    schema: str
    catalog: Catalog

    def __contains__(self, name: object) -> bool:
        return self.catalog.has_relation(Name(self.schema, str(name)))


def _table_of(one: Object) -> Name | None:
    """The table that an object goes with."""
    found = getattr(one, "table", None) or getattr(getattr(one, "owned_by", None), "table", None)
    return cast(Name | None, found or getattr(one, "parent", None))


# A sum of hashes, so that the order in which rows are read does not matter.
_HASH = "sum(hashtextextended(j::text, 0))::text"

_NOTHING = Unreadable()
CHANGED = "PG002"
"""The SQLSTATE of `unchanged` where the catalog is another one."""


def script(unreadable: Unreadable = _NOTHING) -> list[str]:
    """The statements that read the whole catalog as one row of JSON: hash and rows by section."""
    return _pinned(unreadable.masks + _whole())


def read_ahead() -> list[str]:
    """The statements that read it and keep the row in the session, for `what_was_read`.

    The transaction is over then, and its locks are gone, however long nobody asks for the row.
    """
    return _pinned(f"DECLARE {_KEPT} CURSOR WITH HOLD FOR {_whole()}")


def what_was_read() -> list[str]:
    """The statements that give the row that `read_ahead` has kept."""
    return ["BEGIN READ ONLY", f"FETCH ALL FROM {_KEPT}", f"CLOSE {_KEPT}", "COMMIT"]


_KEPT = "pyinfra_postgres_catalog"


def _whole() -> str:
    sections = _sections(f"json_build_array({_HASH}, json_agg(j))")
    parts = ",\n".join(f"'{name}', ({query})" for name, query in sections.items())
    return f"SELECT json_build_object({parts})"


def fingerprint_script(unreadable: Unreadable) -> list[str]:
    """The statements that read the digest of the catalog's fingerprint as one row of JSON."""
    return _pinned(f"SELECT to_json({_digest_sql(unreadable)})")


def foreign_script() -> list[str]:
    """The statements that read the role, and a row for each thing that calls code of others."""
    return _pinned("SELECT to_json(current_user)", trust_query.QUERY)


_READ_FOREIGN = f"""DECLARE digest text; BEGIN
  IF EXISTS ({trust_query.OWNERS}) THEN
    SELECT {_HASH} INTO digest FROM ({trust_query.QUERY}) AS q(j);
  END IF;"""
_SAME_FOREIGN = f"""DO $foreign$ {_READ_FOREIGN}
  IF coalesce(digest, '') <> current_setting('pyinfra_postgres.foreign') THEN
    RAISE EXCEPTION USING ERRCODE = '{CHANGED}', MESSAGE = 'the code of other roles has changed';
  END IF;
END $foreign$"""
KEEP_FOREIGN = f"""DO $keep$ {_READ_FOREIGN}
  PERFORM set_config('pyinfra_postgres.foreign', coalesce(digest, ''), false),
          set_config('pyinfra_postgres.same', {literal(_SAME_FOREIGN)}, false);
END $keep$"""
"""Has the session remember what calls code of other roles, and how to ask whether it still does."""
SAME_FOREIGN = "DO $same$ BEGIN EXECUTE current_setting('pyinfra_postgres.same'); END $same$"
"""Fails with `CHANGED` where it does not. Short, as others see of a session how its text begins."""


def unchanged(fingerprint: Fingerprint) -> list[str]:
    """The statements that fail with `CHANGED` where the catalog has another fingerprint."""
    now = _digest_sql(fingerprint.unreadable)
    return _pinned(
        KEEP_FOREIGN,
        f"DO $unchanged$ BEGIN IF {now} <> '{fingerprint.digest}' THEN "
        f"RAISE EXCEPTION USING ERRCODE = '{CHANGED}', MESSAGE = 'the catalog has changed'; "
        "END IF; END $unchanged$",
    )


def _digest_sql(unreadable: Unreadable) -> str:
    sections = _sections(_HASH)
    parts = ", ".join(f"'{name}', ({query})" for name, query in sections.items())
    return f"({unreadable.masks}SELECT md5(concat_ws(' ', {parts})))"


def _digest_of(sections: dict[str, list[Any]]) -> str:
    """What `_digest_sql` gives, from what `script` has read."""
    hashes = ((name, section[0]) for name, section in sections.items())
    text = " ".join(part for pair in hashes for part in pair if part is not None)
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sections(selected: str) -> dict[str, str]:
    """A query for each section of the catalog, of which all select the same."""
    sections = dict(_OWN_SECTIONS)
    for kind in _KINDS:
        sections.update(kind.QUERIES)
    # OFFSET 0 has each row computed once, though it is selected twice.
    return {
        name: f"SELECT {selected} FROM ({query} OFFSET 0) AS q(j)"
        for name, query in sections.items()
    }


def _pinned(*statements: str) -> list[str]:
    # The size of a table and the definition of a view need their locks, if only for a moment.
    return ["BEGIN READ ONLY", *PINS, "SET LOCAL lock_timeout = '1s'", *statements, "COMMIT"]


def read(text: str, unreadable: Unreadable = _NOTHING) -> Catalog:
    """The catalog from what `script` printed. Raises HostError."""
    try:
        return _read(answer.read(text), unreadable)
    except DeclarationError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise HostError(
            f"the server answered with something else than a catalog: {reason}"
        ) from None


def _read(hashed: Any, unreadable: Unreadable) -> Catalog:
    sections = {name: section[1] for name, section in hashed.items()}
    (version, database, role, standby, today, environment) = sections["server"][0]
    catalog = Catalog(
        fingerprint=Fingerprint(_digest_of(hashed), unreadable),
        version=version,
        database=database,
        role=role,
        standby=standby,
        today=date.fromisoformat(today),
        environment=environment,
        rights=Rights.read(role, sections["rights"], sections["closed"] or []),
        owners={owner for *_, owner in sections["foreign"] or ()},
    )
    for schema, names in sections["function_names"] or ():
        catalog.functions.update(Name(schema, name) for name in names)
    for kind in _KINDS:
        kind.read(sections, catalog)
    return catalog
