"""Tables and their columns as the catalog has them.

https://www.postgresql.org/docs/current/catalog-pg-attribute.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...syntax.acl import Acl
from ...syntax.names import Exact, Name
from ..constraints import stored_constraints
from ..constraints.constraints import Constraint
from ..indexes.elements import Element, key_elements, with_defaults
from ..kind import Row
from .columns import TableColumn
from .details import TableDetails
from .tables import Table

QUERIES = {
    **stored_constraints.QUERIES,
    "partition_keys": f"""
        SELECT json_build_array(p.partrelid::regclass, (SELECT {stored_constraints.KEY_CLASSES}
                   FROM unnest(p.partclass::oid[], p.partcollation::oid[])
                     WITH ORDINALITY AS k(class, used, place)
                   JOIN pg_opclass o ON o.oid = k.class
                   LEFT JOIN pg_collation l ON l.oid = k.used))
          FROM pg_partitioned_table p""",
    "inheritance": f"""
        SELECT json_build_array(i.inhrelid::regclass, i.inhparent::regclass)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_inherits i ON i.inhrelid = c.oid
         WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p')""",
    "relations": f"""
        SELECT json_build_array(c.oid::regclass, n.nspname, c.relname, c.relkind,
                 c.relowner::regrole, c.relacl::text, c.relrowsecurity,
                 c.relforcerowsecurity, c.relispartition,
                 CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END,
                 CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) > 0 END,
                 i.inhparent::regclass,
                 CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
                 d.description, i.inhdetachpending,
                 CASE c.relkind WHEN 'p' THEN {stored_constraints.TABLESPACE.format("c")} END)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
          LEFT JOIN pg_description d
            ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
         WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')""",
    "columns": f"""
        SELECT json_build_array(a.attrelid::regclass, json_agg(json_build_array(a.attnum, a.attname,
                 format_type(a.atttypid, a.atttypmod), pg_get_expr(ad.adbin, ad.adrelid),
                 a.attnotnull, a.attidentity, a.attgenerated,
                 CASE WHEN a.attcollation <> t.typcollation
                      THEN json_build_array(cn.nspname, co.collname) END,
                 a.attacl::text, d.description, a.attstorage, t.typstorage,
                 CASE WHEN a.attcompression <> '' OR a.attstattarget > -1 OR a.attinhcount > 0
                      THEN json_build_array(a.attcompression, coalesce(a.attstattarget, -1),
                        a.attinhcount > 0, a.attislocal OR a.attinhcount > 1) END)
                 ORDER BY a.attnum))
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_attribute a ON a.attrelid = c.oid
          JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
          LEFT JOIN pg_collation co ON co.oid = a.attcollation AND a.attcollation <> t.typcollation
          LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
          LEFT JOIN pg_description d ON d.objoid = a.attrelid
            AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
         WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
           AND NOT a.attisdropped GROUP BY a.attrelid""",
}

_Rule = tuple[Exact, bool]
"""The name of a NOT NULL, and whether it is valid."""

_STORAGES = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN"}
_COMPRESSIONS = {"": "default", "p": "pglz", "l": "lz4"}
_IDENTITY = {"a": "ALWAYS", "d": "BY DEFAULT", "": None}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for printed, schema, name, kind, owner_id, acl, *_ in sections["relations"] or ():
        catalog.relations[printed] = relation = Name(schema, name)
        catalog.printed[relation] = printed
        catalog.relation_kinds[relation] = kind
        target, owner_name = "SEQUENCE" if kind == "S" else "TABLE", catalog.roles[owner_id]
        catalog.acls[target, *relation] = Acl.read(target, owner_name, acl, catalog.version)
    not_nulls: dict[tuple[str, int], _Rule] = {
        (printed, number): (Exact(name), is_valid)
        for printed, number, name, is_valid in sections["not_nulls"] or ()
    }
    columns = dict(_columns_of(sections["columns"] or (), not_nulls, catalog))
    constraints: dict[str, list[Constraint]] = {}
    for row in sections["constraints"] or ():
        constraints.setdefault(row[0], []).append(stored_constraints.stored(row, catalog))
    filled = _filled(sections)
    partitions = {row[0] for row in sections["relations"] or () if row[8]}
    for printed, parent in sections["inheritance"] or ():
        if printed not in partitions:
            catalog.heirs.setdefault(parent, []).append(printed)
    key_classes: dict[str, Any] = dict(map(tuple, sections["partition_keys"] or ()))
    for row in sections["relations"] or ():
        printed, _, _, kind, owner_id, _, secured, forced, _, key, _, _, _, remark, _, place = row
        relation, owner_name = catalog.relations[printed], catalog.roles[owner_id]
        if printed in filled:
            catalog.filled.add(relation)
        if kind in "rp":
            catalog.objects["table", *relation] = Table(
                relation,
                columns.get(printed, ()),
                constraints=constraints.get(printed, ()),
                partition_by=Exact(key) if key else None,
                row_security=secured,
                force_row_security=forced,
                owner=owner_name,
                comment=remark,
            )
            if key or place:
                elements = _stored_key(key, key_classes[printed]) if key else ()
                catalog.details["table", *relation] = TableDetails(elements, place)


def _filled(sections: dict[str, list[Row]]) -> set[str]:
    """The relations that take up space, and those above them, whose rows these are too."""
    above: dict[str, list[str]] = {}
    for printed, parent in sections["inheritance"] or ():
        above.setdefault(printed, []).append(parent)
    filled: set[str] = set()
    waiting = [row[0] for row in sections["relations"] or () if row[10]]
    while waiting:
        printed = waiting.pop()
        if printed not in filled:
            filled.add(printed)
            waiting += above.get(printed, ())
    return filled


def _stored_key(
    key: str, names: Iterable[tuple[str, bool, str | None, str]]
) -> tuple[Element, ...]:
    return tuple(map(with_defaults, key_elements(key)[1], names))


def _columns_of(
    rows: Iterable[Row], not_nulls: dict[tuple[str, int], _Rule], catalog: Snapshot
) -> Iterator[tuple[str, list[TableColumn]]]:
    """The columns of each relation. Many are like one in another table: they are the same."""
    made: dict[str, TableColumn] = {}
    for printed, given in rows:
        numbered = catalog.columns[printed] = {}
        found = []
        for number, *row in given:
            not_null = not_nulls.get((printed, number))
            like = str(row) if not_null is None else f"{row} {not_null}"
            if like not in made:
                made[like] = _column(row, not_null)
            column = made[like]
            numbered[number] = column.name
            found.append(column)
            if acl := row[7]:
                relation = catalog.relations[printed]
                owner_name = catalog.acls["TABLE", *relation].owner
                key = ("COLUMN", *relation, column.name)
                catalog.acls[key] = Acl.read("COLUMN", owner_name, acl, catalog.version)
        yield printed, found


def _column(row: Row, not_null: _Rule | None) -> TableColumn:
    called, is_valid = not_null or (None, True)
    name, type_, stored, not_null, identity, generated, collation, _, remark = row[:9]
    storage, usual_storage, others = row[9:]
    compression, statistics, inherited, is_kept = others or ("", -1, False, True)
    return TableColumn(
        Exact(name),
        Exact(type_),
        default=Exact(stored) if stored is not None and not generated else None,
        nullable=not not_null,
        not_null=called,
        unvalidated=not is_valid,
        identity=_IDENTITY[identity],
        generated=Exact(stored) if generated else None,
        virtual=generated == "v",
        collation=Name(*collation) if collation else None,
        storage=_STORAGES[storage],
        usual_storage=_STORAGES[usual_storage],
        compression=_COMPRESSIONS[compression],
        statistics=statistics,
        inherited=inherited,
        is_kept=is_kept,
        comment=remark,
    )
