"""Functions and procedures as the catalog has them.

https://www.postgresql.org/docs/current/catalog-pg-proc.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...syntax.acl import Acl
from ...syntax.names import (
    Exact,
    Name,
)
from ..kind import Row
from .functions import Function, FunctionDetails, Procedure, estimates
from .signatures import Argument, identity, parse_arguments

QUERIES = {
    "functions": f"""
        SELECT json_build_array(p.nspname, p.proname, pg_get_function_arguments(p.oid),
                 pg_get_function_result(p.oid), l.lanname, p.prosrc, p.provolatile, p.proparallel,
                 p.proisstrict, p.prosecdef, p.proleakproof, p.proconfig, p.proowner::regrole,
                 p.proacl::text, d.description, p.prokind, pg_get_function_sqlbody(p.oid),
                 p.procost, p.prorows,
                 CASE WHEN p.prosupport <> 0 THEN 'SUPPORT ' || p.prosupport::regproc END,
                 CASE WHEN p.protrftypes IS NOT NULL THEN
                   (SELECT 'TRANSFORM ' || string_agg('FOR TYPE ' || format_type(t, NULL), ', ')
                      FROM unnest(p.protrftypes) AS t) END)
          -- First the few functions of users, then what belongs to each.
          FROM (SELECT f.*, n.nspname FROM pg_namespace n JOIN pg_proc f
                  ON f.pronamespace = n.oid WHERE {USER_SCHEMA} OFFSET 0) p
          JOIN pg_language l ON l.oid = p.prolang
          LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass
         -- Neither those of extensions, nor the constructors of range types.
         WHERE p.prokind IN ('f', 'p') AND NOT EXISTS (SELECT FROM pg_depend e
           WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
             AND e.deptype IN ('e', 'i'))"""
}


_STORED_VOLATILITY = {"v": "VOLATILE", "s": "STABLE", "i": "IMMUTABLE"}


_STORED_PARALLEL = {"u": "UNSAFE", "r": "RESTRICTED", "s": "SAFE"}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for row in sections["functions"] or ():
        (
            schema, name, arguments, returns, language, body, volatility, parallel, strict,
            definer, leakproof, stored, owner_id, acl, remark, kind, sql_body, cost, rows, *kept,
        ) = row  # fmt: skip
        common: dict[str, Any] = {
            "language": language,
            "body": Exact(sql_body) if sql_body else body,
            "security_definer": definer,
            "settings": _stored_settings(stored),
            "owner": catalog.roles[owner_id],
            "comment": remark,
        }
        found: Function
        if kind == "p":
            found = Procedure(Name(schema, name), _stored_arguments(arguments), **common)
        else:
            found = Function(
                Name(schema, name),
                _stored_arguments(arguments),
                returns=Exact(returns),
                volatility=_STORED_VOLATILITY[volatility],
                parallel=_STORED_PARALLEL[parallel],
                strict=strict,
                leakproof=leakproof,
                **estimates(cost, rows or None, language),
                **common,
            )
        catalog.objects[found.key()] = found
        if any(kept):
            catalog.details[found.key()] = FunctionDetails(tuple(filter(None, kept)))
        catalog.acls[found.acl, schema, name, identity(found.arguments)] = Acl.read(
            found.acl, catalog.roles[owner_id], acl, catalog.version
        )


def _stored_settings(texts: Iterable[str] | None) -> dict[str, str]:
    pairs = (one.partition("=") for one in texts or ())
    return {name: Exact(value) for name, _, value in pairs}


def _stored_arguments(text: str) -> tuple[Argument, ...]:
    return tuple(
        one._replace(default=None if one.default is None else Exact(one.default))
        for one in parse_arguments(text)
    )
