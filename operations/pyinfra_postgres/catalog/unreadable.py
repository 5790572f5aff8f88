"""Relations that other sessions keep from being read, and the catalog without them.

Some functions that print definitions open the relations in them. Whoever may lock one of these
against readers, the owner of a view for one, would stop every deploy.
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import field, frozen

from ..syntax.names import Name, literal
from .entry import Entry

# What is locked, with what is defined by it: views, what has a key, a policy, a default, a sequence
# or rows of it, and functions.
QUERY = """
    WITH RECURSIVE locked(classid, objid, is_other, holder) AS (
        SELECT 'pg_class'::regclass::oid, l.relation, false, min(format('session %s (%s)', a.pid,
                 coalesce(nullif(a.application_name, ''), a.usename)))
          FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
           AND l.relation >= 16384 AND l.pid <> pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         GROUP BY l.relation
      UNION
        SELECT CASE WHEN o.relation IS NULL THEN d.classid ELSE 'pg_class'::regclass END,
               coalesce(o.relation, d.objid), true, k.holder
          FROM locked k
          JOIN pg_depend d ON d.refclassid = k.classid AND d.refobjid = k.objid
         CROSS JOIN LATERAL (SELECT CASE d.classid
             WHEN 'pg_class'::regclass THEN d.objid
             WHEN 'pg_rewrite'::regclass THEN
               (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid)
             WHEN 'pg_constraint'::regclass THEN
               (SELECT c.conrelid FROM pg_constraint c WHERE c.oid = d.objid)
             WHEN 'pg_policy'::regclass THEN
               (SELECT p.polrelid FROM pg_policy p WHERE p.oid = d.objid)
             WHEN 'pg_trigger'::regclass THEN
               (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = d.objid)
             WHEN 'pg_attrdef'::regclass THEN
               (SELECT e.adrelid FROM pg_attrdef e WHERE e.oid = d.objid)
             END) AS o(relation)
         WHERE o.relation IS NOT NULL OR d.classid = 'pg_proc'::regclass
    )
    SELECT json_build_array(k.classid = 'pg_proc'::regclass, k.objid::int8, n.nspname,
             coalesce(c.relname, p.proname), bool_and(k.is_other), min(k.holder))
      FROM locked k
      LEFT JOIN pg_class c ON k.classid = 'pg_class'::regclass AND c.oid = k.objid
      LEFT JOIN pg_proc p ON k.classid = 'pg_proc'::regclass AND p.oid = k.objid
      JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, p.pronamespace)
     GROUP BY k.classid, k.objid, n.nspname, c.relname, p.proname"""

# The column by which each system catalog says whose a row is.
_HOLDERS = {
    "pg_class": "oid",
    "pg_attribute": "attrelid",
    "pg_attrdef": "adrelid",
    "pg_constraint": "conrelid",
    "pg_policy": "polrelid",
    "pg_trigger": "tgrelid",
    "pg_index": "indrelid",
    "pg_inherits": "inhrelid",
    "pg_rewrite": "ev_class",
    "pg_statistic_ext": "stxrelid",
    "pg_partitioned_table": "partrelid",
}


@frozen
class Unreadable:
    """What is left out of a catalog."""

    relations: frozenset[int] = frozenset()
    functions: frozenset[int] = frozenset()
    holders: dict[Name, str] = field(factory=dict, eq=False)
    """Of each, which session locks it, or what it is defined by."""
    locked: frozenset[Name] = field(default=frozenset(), eq=False)
    """Those of them that are locked themselves."""

    @classmethod
    def read(cls, rows: Sequence[Any]) -> Unreadable:
        """From the rows of QUERY."""
        return cls(
            frozenset(oid for is_function, oid, *_ in rows if not is_function),
            frozenset(oid for is_function, oid, *_ in rows if is_function),
            {Name(schema, name): holder for _, _, schema, name, _, holder in rows},
            frozenset(Name(schema, name) for _, _, schema, name, other, _ in rows if not other),
        )

    def __bool__(self) -> bool:
        return bool(self.relations)

    @property
    def masks(self) -> str:
        """The beginning of a query that finds them in no system catalog; empty for none."""
        if not self:
            return ""
        parts = [_mask(catalog, column, self.relations) for catalog, column in _HOLDERS.items()]
        return f"WITH {', '.join([*parts, _mask('pg_proc', 'oid', self.functions)])} "

    def stands_against(self, one: Entry) -> Iterator[str]:
        """Why an object can't be compared."""
        if not self:
            return
        # What is declared beside an essence that is not does not name what that needs.
        references = (*(() if one.is_beside else one.requires()), *one.provides())
        holder = one.belongs_to()
        key = one.key()
        names = [one.name for one in (*references, *([holder] if holder else ()))]
        names += [Name(key[1], key[2])] if len(key) > 2 else []
        for name in dict.fromkeys(names):
            if name in self.holders:
                yield (
                    f"{name} can't be read: {self.holders[name]} has locked it, or what it is "
                    "defined by: run again when that has ended"
                )

    def __str__(self) -> str:
        names = sorted(self.locked)
        more = len(self.holders) - len(names[:_SHOWN])
        others = f", and {more} more, some of which they define" if more else ""
        return ", ".join(f"{name} ({self.holders[name]})" for name in names[:_SHOWN]) + others


_SHOWN = 5

_NAMES = {
    "schema": "SELECT nspname FROM pg_namespace",
    "relation": "SELECT relname FROM pg_class",
    "column": "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped",
    "type": "SELECT typname FROM pg_type",
    "function": "SELECT proname FROM pg_proc WHERE oid >= 16384",
    "constraint": "SELECT conname FROM pg_constraint",
    "policy": "SELECT polname FROM pg_policy",
    "trigger": "SELECT tgname FROM pg_trigger",
    "label": "SELECT enumlabel FROM pg_enum",
    "role": "SELECT rolname FROM pg_roles",
    "comment": "SELECT description FROM pg_description WHERE objoid >= 16384",
}
# The bytes themselves: one function that gives them checks them where the other does not.
NAMES = " UNION ALL ".join(
    f"SELECT json_build_array('{kind}', encode(CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN "
    "convert_to(q.name::text, 'SQL_ASCII') ELSE textsend(q.name::text) END, 'hex'))::text "
    f"FROM ({query}) AS q(name)"
    for kind, query in _NAMES.items()
)
"""The query for the names that a catalog has, each with its kind and its bytes."""


def undecodable(rows: Sequence[Any]) -> Iterator[str]:
    """What of the names, from the rows of NAMES, is no UTF-8; its other bytes are escaped."""
    for kind, digits in rows:
        name = bytes.fromhex(digits)
        try:
            name.decode()
        except UnicodeDecodeError:
            yield f"{kind} '{name.decode(errors='backslashreplace')}'"


def _mask(catalog: str, column: str, numbers: frozenset[int]) -> str:
    array = literal("{" + ",".join(map(str, sorted(numbers))) + "}")
    return (
        f"{catalog} AS NOT MATERIALIZED (SELECT * FROM pg_catalog.{catalog} "
        f"WHERE {column} <> ALL ({array}::oid[]))"
    )
