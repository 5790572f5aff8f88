"""What a report shows of any database: its tables and foreign keys, and who may do what with which.

Names and definitions alone, no rows and no defaults. Asked beside all checks, so it proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..catalog.snapshot import USER_SCHEMA
from .facts import Access, ForeignKey, Partition, Partitioned, Table

_MOST = 1000
"""How many foreign keys, and how many privileges, a report shows."""

_FOREIGN_KEYS = f"""
    SELECT json_build_array(
             conrelid::regclass::text, conname, pg_get_constraintdef(k.oid, true), convalidated,
             (SELECT json_agg(attname ORDER BY place)
                FROM unnest(conkey) WITH ORDINALITY AS u (number, place)
                JOIN pg_attribute ON attrelid = conrelid AND attnum = number),
             coalesce(pg_partition_root(conrelid), conrelid)::regclass::text,
             coalesce(pg_partition_root(confrelid), confrelid)::regclass::text,
             EXISTS (SELECT FROM pg_attribute
                      WHERE attrelid = conrelid AND attnum = ANY (conkey) AND NOT attnotnull),
             EXISTS (SELECT FROM pg_index
                      WHERE indrelid = conrelid AND indisunique AND indpred IS NULL
                        AND (string_to_array(indkey::text, ' ')::int2[])[1:indnkeyatts] <@ conkey))
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
     WHERE contype = 'f' AND conparentid = 0 AND {USER_SCHEMA}
     ORDER BY conrelid::regclass::text, conname LIMIT {_MOST}"""

_TABLES = f"""
    SELECT json_build_array(
             c.oid::regclass::text, nspname,
             (SELECT coalesce(json_agg(attname ORDER BY place), '[]')
                FROM pg_constraint k CROSS JOIN unnest(conkey) WITH ORDINALITY AS u (number, place)
                JOIN pg_attribute ON attrelid = conrelid AND attnum = number
               WHERE conrelid = c.oid AND contype = 'p'),
             (SELECT count(*) FROM pg_partition_tree(c.oid) WHERE isleaf AND relid <> c.oid))
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p') AND NOT relispartition AND {USER_SCHEMA}
       AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
     ORDER BY c.oid::regclass::text LIMIT {_MOST}"""

# Lists of values, unlike ranges of a time or a number, may be what rows hold.
_PARTITIONED = f"""
    SELECT json_build_array(
             c.oid::regclass::text, attname,
             (SELECT coalesce(json_agg(json_build_array(
                       inhrelid::regclass::text, pg_get_expr(relpartbound, inhrelid))
                       ORDER BY inhrelid::regclass::text), '[]')
                FROM pg_inherits JOIN pg_class one ON one.oid = inhrelid
               WHERE inhparent = c.oid AND relpartbound IS NOT NULL))
      FROM pg_partitioned_table JOIN pg_class c ON c.oid = partrelid
      JOIN pg_namespace n ON n.oid = relnamespace
      JOIN pg_attribute ON attrelid = c.oid AND attnum = partattrs[0]
     WHERE partstrat = 'r' AND partnatts = 1 AND {USER_SCHEMA}
       AND atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype,
                        'int2'::regtype, 'int4'::regtype, 'int8'::regtype)
     ORDER BY c.oid::regclass::text LIMIT {_MOST}"""

_RANGE = re.compile(r"FOR VALUES FROM \('?(.*?)'?\) TO \('?(.*?)'?\)")

# Of partitions the table that they are part of tells enough.
_ACCESS = f"""
    SELECT json_build_array(role, relation, string_agg(DISTINCT privilege, ', ' ORDER BY privilege),
                            security)
      FROM (SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC') AS role,
                   c.oid::regclass::text AS relation,
                   CASE grantee WHEN relowner THEN 'all, as owner' ELSE privilege_type || part END
                     AS privilege,
                   CASE WHEN relforcerowsecurity AND relrowsecurity THEN 'forced'
                        WHEN relrowsecurity THEN 'on' ELSE 'off' END AS security
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             CROSS JOIN LATERAL (
                   SELECT grantee, privilege_type, ''
                     FROM aclexplode(coalesce(relacl, acldefault('r', relowner)))
                   UNION ALL
                   SELECT (aclexplode(attacl)).grantee, (aclexplode(attacl)).privilege_type,
                          ' of columns'
                     FROM pg_attribute WHERE attrelid = c.oid AND NOT attisdropped)
                   AS granted (grantee, privilege_type, part)
             WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition AND {USER_SCHEMA})
           AS every
     GROUP BY role, relation, security ORDER BY role, relation LIMIT {_MOST}"""

Ask = Callable[[str], Sequence[Any]]


def foreign_keys(ask: Ask) -> tuple[ForeignKey, ...]:
    """The foreign keys of a database."""
    return tuple(
        ForeignKey(table, name, definition, is_valid, tuple(columns), *ends)
        for table, name, definition, is_valid, columns, *ends in ask(_FOREIGN_KEYS)
    )


def tables(ask: Ask) -> tuple[Table, ...]:
    """The tables of a database, each partitioned one as one."""
    return tuple(Table(name, schema, tuple(key), n) for name, schema, key, n in ask(_TABLES))


def partitioned(ask: Ask) -> tuple[Partitioned, ...]:
    """The tables that are partitioned by the ranges of a time or a number."""
    return tuple(_partitioned(*row) for row in ask(_PARTITIONED))


def _partitioned(name: str, column: str, bounds: Sequence[tuple[str, str]]) -> Partitioned:
    ranges = [(one, _RANGE.fullmatch(bound)) for one, bound in bounds]
    default = next((one for one, bound in bounds if bound == "DEFAULT"), "")
    held = tuple(Partition(one, *found.groups()) for one, found in ranges if found)
    return Partitioned(name, column, held, default)


def access(ask: Ask) -> tuple[Access, ...]:
    """Who may do what with which relation, owners among them."""
    return tuple(Access(*row) for row in ask(_ACCESS))
