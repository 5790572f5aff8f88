"""Domains as the catalog has them.

https://www.postgresql.org/docs/current/catalog-pg-type.html
"""

from __future__ import annotations

from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...syntax.names import Exact, Name
from ..constraints.constraints import Check
from ..kind import (
    Row,
)
from .domains import Domain

QUERIES = {
    "domains": f"""
        SELECT json_build_array(n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod),
                 t.typnotnull, pg_get_expr(t.typdefaultbin, 0), t.typowner::regrole, d.description,
                 (SELECT json_agg(json_build_array(k.conname, pg_get_expr(k.conbin, 0),
                                                   k.convalidated) ORDER BY k.conname)
                    FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
          FROM pg_namespace n JOIN pg_type t ON t.typnamespace = n.oid
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_type'::regclass
         WHERE {USER_SCHEMA} AND t.typtype = 'd' AND NOT EXISTS (SELECT FROM pg_depend e
           WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for schema, name, type_, not_null, default, role, remark, checks in sections["domains"] or ():
        domain = Domain(
            Name(schema, name),
            Exact(type_),
            checks=[
                Check(Exact(text)).evolved(name=Exact(check), validated=validated)
                for check, text, validated in checks or ()
            ],
            default=None if default is None else Exact(default),
            nullable=not not_null,
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[domain.key()] = domain
