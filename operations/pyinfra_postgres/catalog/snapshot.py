"""What a database holds, read in one round trip.

The query is one script that works through psycopg and through `psql`: positional JSON arrays, every
name printed in full, deparsed under pinned settings. Nothing is told by an oid, and rows are in the
order of their texts: of equal databases the server says the same, but for the database's name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import MutableMapping
from datetime import date
from types import MappingProxyType, ModuleType
from typing import Any, Self

from attrs import define, evolve, field, fields, frozen

from ..errors import CatalogChangedError, DeclarationError, HostError
from ..syntax.acl import Acl
from ..syntax.names import Exact, Name, literal
from ..syntax.paths import SearchPath
from ..transport import answer
from . import rights, trust_query
from .entry import Key
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
    "SET LOCAL check_function_bodies = on",
    "SET LOCAL default_tablespace = ''",
    # An expected error would end the session.
    "SET LOCAL exit_on_error = off",
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
OWN_SCHEMA = "pyinfra_postgres"
"""The schema in which the collection keeps what it has done; it belongs to no catalog."""
USER_SCHEMA = f"n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{OWN_SCHEMA}')"
AS_WRITTEN = "SET LOCAL join_collapse_limit = 1"
"""The queries join in the order in which they are best joined: looking for it takes longer."""

# What decides how an expression's functions, operators and types resolve.
_RESOLVING = (
    """SELECT concat_ws(' ', pronamespace::regnamespace, quote_ident(proname),
                proargtypes::regtype[], prorettype::regtype) FROM pg_proc WHERE oid >= 16384""",
    """SELECT concat_ws(' ', oprnamespace::regnamespace, oprname, oprleft::regtype,
                oprright::regtype, oprresult::regtype) FROM pg_operator WHERE oid >= 16384""",
    """SELECT concat_ws(' ', castsource::regtype, casttarget::regtype, castcontext)
         FROM pg_cast WHERE oid >= 16384""",
    f"""SELECT concat_ws(' ', t.oid::regtype, typtype, typcategory, typispreferred,
                format_type(typbasetype, typtypmod))
         FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE t.oid >= 16384 AND typtype IN ('b', 'd', 'e', 'r') AND n.nspname <> '{OWN_SCHEMA}'""",
)
_ENVIRONMENT = "md5(concat_ws('|', {}))".format(
    ", ".join(
        f"""(SELECT string_agg(q.one, ',' ORDER BY q.one COLLATE "C") FROM ({query}) AS q(one))"""
        for query in _RESOLVING
    )
)

_OWN_SECTIONS = {
    "server": f"""
        SELECT json_build_array(current_setting('server_version_num')::int, current_user,
          pg_is_in_recovery(), {_ENVIRONMENT})""",
    "today": "SELECT json_build_array(CURRENT_DATE)",
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

# Names are printed as they are by now, rows are read as they were when the query began. It comes
# last, and tells what has got another name in between.
_RENAMED = f"""
    SELECT json_build_array(c.oid::regclass)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       AND c.oid::regclass::text <> format('%I.%I', n.nspname, c.relname)
    UNION ALL
    SELECT json_build_array(oid::regrole) FROM pg_roles
     WHERE oid::regrole::text <> quote_ident(rolname)"""

_CLOCK = "today"
"""The section that is in no fingerprint: what the clock says changes no catalog."""

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


@define
class Snapshot:
    """What the server has said of a database.

    The kinds fill it while it is read; once it is sealed nothing changes it.
    """

    fingerprint: Fingerprint = field(factory=Fingerprint)
    sections: dict[str, str] = field(factory=dict)
    """What tells one state of each section of the catalog from another."""
    version: int = 0
    """The server's, like 170002."""
    database: str = ""
    text: str = ""
    """A digest of all that the server has said, but for the database's name."""
    role: str = ""
    rights: Rights = field(factory=Rights)
    """What the role may do."""
    standby: bool = False
    today: date = date.min
    environment: str = ""
    """A digest of what decides how expressions resolve."""
    objects: dict[Key, Any] = field(factory=dict)
    details: dict[Key, Any] = field(factory=dict)
    """What is known of some of them beside what may be declared, a value of the kind's own."""
    roles: dict[str, Exact] = field(factory=dict)
    """The roles by how the server prints them."""
    relations: dict[str, Name] = field(factory=dict)
    """The relations by how the server prints them."""
    printed: dict[Name, str] = field(factory=dict)
    """How it does."""
    relation_kinds: dict[Name, str] = field(factory=dict)
    filled: set[Name] = field(factory=set)
    """The tables that take up space: those that may have rows."""
    types: set[Name] = field(factory=set)
    functions: set[Name] = field(factory=set)
    acls: dict[Key, Acl] = field(factory=dict)
    default_acls: dict[tuple[str, str, str], Acl] = field(factory=dict)
    """The default privileges of a role, in a schema or everywhere, by the letter of the kind."""
    extension_owned: set[Name] = field(factory=set)
    """The relations and types that came with an extension."""
    key_indexes: set[Name] = field(factory=set)
    """The indexes that constraints own."""
    columns: dict[str, dict[int, Exact]] = field(factory=dict)
    """Of each relation, its columns' names by number."""
    heirs: dict[str, list[str]] = field(factory=dict)
    """The tables that inherit from each, and are no partitions of it."""
    owing: bool = False
    """Whether foreign keys are owed their validation."""
    foreign: Foreign = field(factory=Foreign)
    """The code of other roles that may run as the role."""
    owners: set[str] = field(factory=set)
    """The other roles that may have some."""

    def sealed(self) -> Self:
        """The same, whose tables and sets can't be changed."""
        sealed = {one.name: _sealed(getattr(self, one.name)) for one in fields(Snapshot)}
        return evolve(self, **sealed)

    def called(self, database: str) -> Self:
        """The same of an equal database that has this name."""
        if database == self.database:
            return self
        acls = dict(self.acls)
        acls["DATABASE", database] = acls.pop(("DATABASE", self.database))
        return evolve(self, database=database, acls=_sealed(acls))


def _sealed(value: Any) -> Any:
    match value:
        case dict():
            return MappingProxyType({key: _sealed(one) for key, one in value.items()})
        case set():
            return frozenset(value)
        case list():
            return tuple(value)
    return value


# A sum of hashes, so that the order in which rows are read does not matter.
_HASH = "sum(hashtextextended(j::text, 0))::text"

_NOTHING = Unreadable()
CHANGED = "PG002"
"""The SQLSTATE of `unchanged` where the catalog is another one."""


def script(unreadable: Unreadable = _NOTHING) -> list[str]:
    """The statements that read the whole catalog as one row of JSON.

    It has the database's name, and the hash and rows of each section.
    """
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
    rows = """json_agg(j ORDER BY j::text COLLATE "C")"""
    sections = _sections(f"json_build_array({_HASH}, {rows})")
    parts = ",\n".join(f"'{name}', ({query})" for name, query in sections.items())
    return f"SELECT json_build_array(current_database(), json_build_object({parts}))"


def fingerprint_script(unreadable: Unreadable = _NOTHING) -> list[str]:
    """The statements that read the digest of the catalog's fingerprint as one row of JSON."""
    return _pinned(f"SELECT to_json({digest_query(unreadable)})")


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
    now = digest_query(fingerprint.unreadable)
    return _pinned(KEEP_FOREIGN, _unless_equal(now, f"'{fingerprint.digest}'"))


def keep_catalog(fingerprint: Fingerprint | None) -> list[str]:
    """The statements that have the session remember the digest of the catalog, and how to ask for
    it; they fail with `CHANGED` where it has another fingerprint than is given.
    """
    query = f"SELECT {digest_query(_NOTHING)}"
    given = f"'{fingerprint.digest}'" if fingerprint else _KEPT_DIGEST
    return _pinned(
        KEEP_FOREIGN,
        f"DO $keep$ BEGIN PERFORM set_config('pyinfra_postgres.query', {literal(query)}, false); "
        "END $keep$",
        _KEEP,
        _unless_equal(_KEPT_DIGEST, given),
    )


def keep_anew() -> list[str]:
    """The statements that have it remember the digest of the catalog as it is by now, and tell it
    as one row of JSON.
    """
    return _pinned(_KEEP, f"SELECT to_json({_KEPT_DIGEST})")


def same_catalog() -> list[str]:
    """The statements that fail with `CHANGED` within a transaction, under the pins, where the
    catalog is another one than the session remembers.
    """
    same = (
        f"DO $same$ DECLARE now text; BEGIN {_ASK}; IF now <> {_KEPT_DIGEST} THEN {_RAISE}; "
        "END IF; END $same$"
    )
    return [AS_WRITTEN, same, "SET LOCAL join_collapse_limit = DEFAULT"]


_KEPT_DIGEST = "current_setting('pyinfra_postgres.catalog')"
_ASK = "EXECUTE current_setting('pyinfra_postgres.query') INTO now"
_KEEP = (
    f"DO $keep$ DECLARE now text; BEGIN {_ASK}; "
    "PERFORM set_config('pyinfra_postgres.catalog', now, false); END $keep$"
)
_RAISE = f"RAISE EXCEPTION USING ERRCODE = '{CHANGED}', MESSAGE = 'the catalog has changed'"


def _unless_equal(now: str, before: str) -> str:
    return f"DO $unchanged$ BEGIN IF {now} <> {before} THEN {_RAISE}; END IF; END $unchanged$"


def digest_query(unreadable: Unreadable) -> str:
    """A query for the digest of the catalog's fingerprint, under the pins."""
    sections = _sections(_HASH)
    parts = ", ".join(f"'{name}', ({query})" for name, query in sections.items() if name != _CLOCK)
    return f"({unreadable.masks}SELECT md5(concat_ws(' ', {parts})))"


def _digest_of(sections: dict[str, list[Any]]) -> str:
    """What `digest_query` gives, from what `script` has read."""
    hashes = ((name, section[0]) for name, section in sections.items() if name != _CLOCK)
    text = " ".join(part for pair in hashes for part in pair if part is not None)
    return digest(text)


def digest(text: str) -> str:
    """What tells one text from another."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sections(selected: str) -> dict[str, str]:
    """A query for each section of the catalog, of which all select the same."""
    sections = dict(_OWN_SECTIONS)
    for kind in _KINDS:
        sections.update(kind.QUERIES)
    sections["renamed"] = _RENAMED
    # OFFSET 0 has each row computed once, though it is selected twice.
    return {
        name: f"SELECT {selected} FROM ({query} OFFSET 0) AS q(j)"
        for name, query in sections.items()
    }


def _pinned(*statements: str) -> list[str]:
    # The size of a table and the definition of a view need their locks, if only for a moment.
    head = ["SET LOCAL lock_timeout = '1s'", AS_WRITTEN]
    return ["BEGIN READ ONLY", *PINS, *head, *statements, "COMMIT"]


@define(eq=False)
class Text:
    """What `script` has printed of a catalog, but for its database's name; read when asked for."""

    text: str
    """All of it, until it has been read."""
    digest: str
    """What tells it from others."""
    unreadable: Unreadable = _NOTHING
    _found: Snapshot | None = field(default=None, init=False)

    def snapshot(self, database: str) -> Snapshot:
        """What is in it, of the database with this name. Raises HostError, CatalogChangedError."""
        if self._found is None:
            self._found, self.text = self._read(database), ""
        return self._found.called(database)

    def _read(self, database: str) -> Snapshot:
        try:
            (sections,) = answer.read(f"[{self.text}")
            found = _read(sections, self.unreadable, database)
        except (DeclarationError, CatalogChangedError):
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _no_catalog(error) from None
        return found if self.unreadable else evolve(found, text=self.digest)


@frozen
class Said:
    """What a server has said of a database."""

    database: str
    catalog: Text
    """Equal databases have the same."""

    @classmethod
    def read(
        cls,
        row: str,
        unreadable: Unreadable = _NOTHING,
        known: MutableMapping[str, Text] | None = None,
    ) -> Self:
        """What `script` printed; `known` are the texts of other databases. Raises HostError."""
        named = _NAMED.match(row)
        if named is None:
            raise _no_catalog(TypeError(f"{type(answer.read(row)).__name__} in its place"))
        text = row[named.end() :]
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        found = None if unreadable or known is None else known.get(digest)
        if found is None:
            found = Text(text, digest, unreadable)
            if known is not None and not unreadable:
                known[digest] = found
        return cls(answer.read(named[1]), found)

    def snapshot(self) -> Snapshot:
        """What is in it. Raises HostError, CatalogChangedError."""
        return self.catalog.snapshot(self.database)


def read(text: str) -> Snapshot:
    """The snapshot from what `script` printed. Raises HostError, CatalogChangedError."""
    return Said.read(text).snapshot()


def _no_catalog(error: Exception) -> HostError:
    reason = f"{type(error).__name__}: {error}"
    return HostError(f"the server answered with something else than a catalog: {reason}")


# Where the text of a catalog begins: with the name of its database.
_NAMED = re.compile(r'\[("(?:[^"\\]|\\.)*"),')


def _read(hashed: Any, unreadable: Unreadable, database: str) -> Snapshot:
    sections = {name: section[1] for name, section in hashed.items()}
    if sections["renamed"]:
        raise CatalogChangedError("the catalog changed while it was read")
    (version, role, standby, environment) = sections["server"][0]
    ((today,),) = sections[_CLOCK]
    snapshot = Snapshot(
        fingerprint=Fingerprint(_digest_of(hashed), unreadable),
        sections={name: section[0] or "" for name, section in hashed.items() if name != _CLOCK},
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
        snapshot.functions.update(Name(schema, name) for name in names)
    for kind in _KINDS:
        kind.read(sections, snapshot)
    return snapshot.sealed()
