"""What the server knows to use what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple, TypeAlias

from ..catalog.snapshot import USER_SCHEMA

Identity: TypeAlias = tuple[str, ...]
"""What identifies an object that the server has: its key without the kind."""


class Use(NamedTuple):
    """That one object uses another."""

    user: Identity
    used: Identity
    part: Identity | None = None
    """The part of the user that does: a policy, a trigger or an index."""


# Each part stands for itself, and for the whole that it goes with. A function has its arguments.
# That a sequence goes with its column is no use of it, and a constraint trigger is no part that its
# table needs.
USES = f"""
    WITH part(classid, objid, whole, id) AS (
              SELECT 'pg_rewrite'::regclass, oid, 'pg_class'::regclass, ev_class FROM pg_rewrite
        UNION SELECT 'pg_attrdef'::regclass, oid, 'pg_class'::regclass, adrelid FROM pg_attrdef
        UNION SELECT 'pg_policy'::regclass, oid, 'pg_class'::regclass, polrelid FROM pg_policy
        UNION SELECT 'pg_trigger'::regclass, oid, 'pg_class'::regclass, tgrelid FROM pg_trigger
               WHERE NOT tgisinternal
        UNION SELECT 'pg_class'::regclass, indexrelid, 'pg_class'::regclass, indrelid FROM pg_index
        UNION SELECT 'pg_type'::regclass, oid, 'pg_class'::regclass, typrelid FROM pg_type
               WHERE typrelid <> 0
        UNION SELECT 'pg_type'::regclass, oid, 'pg_type'::regclass, typelem FROM pg_type
               WHERE typelem <> 0 AND typrelid = 0
        UNION SELECT 'pg_type'::regclass, rngmultitypid, 'pg_type'::regclass, rngtypid FROM pg_range
        UNION SELECT classid, objid, refclassid, refobjid FROM pg_depend
               WHERE (classid, refclassid, deptype)
                   = ('pg_proc'::regclass, 'pg_type'::regclass, 'i')
        UNION SELECT 'pg_constraint'::regclass, oid, CASE conrelid WHEN 0
                 THEN 'pg_type'::regclass ELSE 'pg_class'::regclass END,
                 CASE conrelid WHEN 0 THEN contypid ELSE conrelid END FROM pg_constraint
               WHERE contype <> 't'),
    named(classid, objid, id) AS (
              SELECT 'pg_class'::regclass, c.oid, json_build_array(n.nspname, c.relname)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_type'::regclass, t.oid, json_build_array(n.nspname, t.typname)
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_proc'::regclass, p.oid, json_build_array(n.nspname, p.proname,
                 (SELECT coalesce(string_agg(format_type(a, NULL), ', ' ORDER BY place), '')
                    FROM unnest(p.proargtypes) WITH ORDINALITY AS u(a, place)))
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_policy'::regclass, p.oid,
                 json_build_array(n.nspname, c.relname, p.polname)
                FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace
        UNION ALL SELECT 'pg_trigger'::regclass, t.oid,
                 json_build_array(n.nspname, c.relname, t.tgname)
                FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal
        UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid,
                 json_build_array(n.nspname, s.stxname)
                FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
        UNION ALL SELECT 'pg_namespace'::regclass, n.oid, json_build_array(n.nspname)
                FROM pg_namespace n WHERE {USER_SCHEMA}
        UNION ALL SELECT 'pg_extension'::regclass, e.oid, json_build_array(e.extname)
                FROM pg_extension e),
    standing(classid, objid, whole, id) AS (
              SELECT * FROM part UNION SELECT classid, objid, classid, objid FROM named)
    SELECT DISTINCT jsonb_build_array(a.id, b.id, v.id) FROM pg_depend d
      JOIN standing x ON (x.classid, x.objid) = (d.classid, d.objid)
      JOIN standing y ON (y.classid, y.objid) = (d.refclassid, d.refobjid)
      JOIN named a ON (a.classid, a.objid) = (x.whole, x.id)
      JOIN named b ON (b.classid, b.objid) = (y.whole, y.id)
      LEFT JOIN named v ON (v.classid, v.objid) = (d.classid, d.objid)
                       AND (v.classid, v.objid) <> (a.classid, a.objid)
      LEFT JOIN pg_class s ON d.classid = 'pg_class'::regclass AND s.oid = d.objid
     WHERE a.id::text <> b.id::text
       AND NOT (coalesce(s.relkind = 'S', false) AND d.deptype IN ('a', 'i'))"""


def read(rows: Iterable[list[list[str] | None]]) -> list[Use]:
    """What the query `USES` has found."""
    return [Use(*(tuple(one) if one else None for one in row)) for row in rows]  # type: ignore[arg-type]


def users_of(
    uses: Iterable[Use], gone: Set[Identity] = frozenset()
) -> dict[Identity, set[Identity]]:
    """What uses each object.

    A part that goes by itself, one of `gone`, has gone before the whole.
    """
    users: dict[Identity, set[Identity]] = {}
    for use in uses:
        if use.part not in gone:
            users.setdefault(use.used, set()).add(use.user)
    return users


def reaching(node: Identity, users: Mapping[Identity, Set[Identity]]) -> set[Identity]:
    """What uses an object, directly or through others."""
    found: set[Identity] = set()
    waiting = [node]
    while waiting:
        for one in users.get(waiting.pop(), ()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found - {node}
