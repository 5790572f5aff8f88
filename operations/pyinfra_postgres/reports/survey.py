"""What a report shows of any database: its foreign keys, and who may do what with which relation.

Names and definitions alone, no rows and no defaults. Asked beside all checks, so it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..catalog.snapshot import USER_SCHEMA
from .facts import Access, ForeignKey

_MOST = 1000
"""How many foreign keys, and how many privileges, a report shows."""

_FOREIGN_KEYS = f"""
    SELECT json_build_array(conrelid::regclass::text, conname, pg_get_constraintdef(k.oid, true),
                            convalidated)
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
     WHERE contype = 'f' AND conparentid = 0 AND {USER_SCHEMA}
     ORDER BY conrelid::regclass::text, conname LIMIT {_MOST}"""

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
    return tuple(ForeignKey(*row) for row in ask(_FOREIGN_KEYS))


def access(ask: Ask) -> tuple[Access, ...]:
    """Who may do what with which relation, owners among them."""
    return tuple(Access(*row) for row in ask(_ACCESS))
