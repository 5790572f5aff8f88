"""The indexes of tables as the catalog has them.

https://www.postgresql.org/docs/current/catalog-pg-index.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...catalog.locks import IS_DEPLOY_LOCK
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...syntax.names import Exact, Name
from ...syntax.parse import statement
from ..constraints.stored_constraints import IDENTIFIES, TABLESPACE
from ..kind import Row
from .elements import Element, class_schema_of, collation_of
from .indexes import StoredIndex

# PostgreSQL's own have fixed numbers; those of others are told by their names.
_CLASS = """CASE WHEN o.oid < 16384 THEN o.oid::text
     ELSE format('%s.%s.%I', o.opcmethod, o.opcnamespace::regnamespace, o.opcname) END"""
_COLLATION = "CASE WHEN co.oid < 16384 THEN co.oid::text ELSE co.oid::regcollation::text END"
_ALL = """CASE WHEN 16384 <= ANY (i.{0}::oid[])
                      THEN (SELECT json_agg({1} ORDER BY k.place)
                              FROM unnest(i.{0}::oid[]) WITH ORDINALITY AS k(oid, place)
                              LEFT JOIN {2} ON {3}.oid = k.oid)
                      ELSE to_json(string_to_array(i.{0}::text, ' ')) END"""
_CLASSES = _ALL.format("indclass", _CLASS, "pg_opclass o", "o")
_COLLATIONS = _ALL.format("indcollation", f"coalesce({_COLLATION}, '0')", "pg_collation co", "co")

QUERIES = {
    "operator_classes": f"""
        SELECT json_build_array({_CLASS}, o.opcname, o.opcdefault, n.nspname)
          FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace""",
    "index_collations": f"""
        SELECT json_build_array({_COLLATION}, co.collname) FROM pg_collation co
         WHERE co.oid IN (SELECT unnest(i.indcollation) FROM pg_index i
                            JOIN pg_class r ON r.oid = i.indrelid
                            JOIN pg_namespace n ON n.oid = r.relnamespace WHERE {USER_SCHEMA})""",
    "indexes": f"""
        SELECT json_build_array(i.indrelid::regclass, c.relname, am.amname, i.indisunique,
                 i.indisvalid, i.indnullsnotdistinct, i.indnkeyatts,
                 i.indkey::int2[], {_CLASSES}, {_COLLATIONS}, i.indoption::int2[],
                 CASE WHEN i.indexprs IS NOT NULL
                      THEN (SELECT json_agg(pg_get_indexdef(i.indexrelid, place, false)
                                            ORDER BY place)
                              FROM generate_series(1, i.indnkeyatts) AS place) END,
                 pg_get_expr(i.indpred, i.indrelid),
                 -- Only the whole definition tells whether a collation was asked for.
                 CASE WHEN o.attrelid IS NOT NULL
                        OR i.indcollation::text !~ '^((0|100)( |$))*$'
                      THEN pg_get_indexdef(i.indexrelid) END,
                 CASE WHEN NOT i.indisvalid
                      THEN (SELECT json_build_array(b.pid, EXISTS (SELECT FROM pg_locks l
                                     WHERE l.pid = b.pid AND {IS_DEPLOY_LOCK}))
                              FROM pg_stat_progress_create_index b
                             -- Of another role's session the lock on the table tells.
                             WHERE b.datname = current_database()
                               AND coalesce(b.index_relid = i.indexrelid, EXISTS (
                                     SELECT FROM pg_locks l
                                      WHERE l.pid = b.pid AND l.relation = i.indrelid
                                        AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted))
                             LIMIT 1) END,
                 c.reloptions, {TABLESPACE.format("c")}, d.description,
                 {IDENTIFIES.format("c")}, i.indisclustered,
                 CASE WHEN c.relispartition
                      THEN (SELECT json_build_array(w.nspname, o.relname) FROM pg_inherits h
                              JOIN pg_class o ON o.oid = h.inhparent
                              JOIN pg_namespace w ON w.oid = o.relnamespace
                             WHERE h.inhrelid = c.oid) END, x.options, x.targets)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am am ON am.oid = c.relam
          LEFT JOIN (SELECT DISTINCT attrelid FROM pg_attribute
                      WHERE attnum > 0 AND attcollation NOT IN (0, 100)) o
            ON o.attrelid = i.indrelid
          LEFT JOIN (SELECT attrelid,
                            json_object_agg(attnum, attoptions)
                              FILTER (WHERE attoptions IS NOT NULL) AS options,
                            json_object_agg(attnum, attstattarget)
                              FILTER (WHERE attstattarget > -1) AS targets
                       FROM pg_attribute WHERE attnum > 0
                         AND (attoptions IS NOT NULL OR attstattarget > -1) GROUP BY attrelid) x
            ON x.attrelid = i.indexrelid
          LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = 0
         WHERE {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid
                             AND o.contype IN ('p', 'u', 'x'))""",
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    classes = {number: tuple(names) for number, *names in sections["operator_classes"]}
    collations = {number: Exact(name) for number, name in sections["index_collations"] or ()}
    for row in sections["indexes"] or ():
        table, name, method, unique, valid, nulls, count, *parts = row[:-11]
        where, definition, builder, parameters, place, remark, identity, clustered = row[-11:-3]
        parent, class_options, targets = row[-3:]
        if table not in catalog.relations:
            continue
        keys, operator_classes, used, options, expressions = parts
        names = catalog.columns.get(table, {})
        asked = _collations(definition) if definition else [()] * count
        elements = [
            _stored(
                names.get(keys[place]),
                expressions[place] if keys[place] == 0 else None,
                asked[place],
                collations.get(used[place]),
                classes[operator_classes[place]],
                (options[place], (class_options or {}).get(str(place + 1), ())),
            )
            for place in range(count)
        ]
        index = StoredIndex(
            Exact(name),
            catalog.relations[table],
            elements,
            where=None if where is None else Exact(where),
            unique=unique,
            method=method,
            include=[names[key] for key in keys[count:]],
            nulls_not_distinct=bool(nulls),
            parameters=dict(one.split("=", 1) for one in parameters or ()),
            tablespace=Exact(place) if place else None,
            comment=remark,
            valid=valid,
            builder=builder[0] if builder else None,
            deploying=bool(builder and builder[1]),
            replica_identity=identity,
            clustered=clustered,
            targets={int(number): target for number, target in (targets or {}).items()},
            parent=Name(*parent) if parent else None,
        )
        catalog.objects[index.key()] = index


def _collations(definition: str) -> list[tuple[str, ...]]:
    """The collation of each element of a CREATE INDEX statement."""
    elements = statement(definition)["IndexStmt"]["indexParams"]
    return [collation_of(element["IndexElem"]) for element in elements]


def _stored(
    column: str | None,
    text: str | None,
    collation: tuple[str, ...],
    used_collation: str | None,
    operator_class: tuple[Any, ...],
    options: tuple[int, Iterable[str]],
) -> Element:
    name, is_default, schema = operator_class
    bits, class_options = options
    pairs = (one.partition("=") for one in class_options)
    return Element(
        column,
        text,
        collation,
        None if is_default else name,
        bool(bits & 1),
        bool(bits & 2),
        name if is_default else None,
        None if collation else used_collation,
        None if is_default else class_schema_of(schema),
        class_schema_of(schema) if is_default else None,
        tuple(sorted((name, value) for name, _, value in pairs)),
    )
