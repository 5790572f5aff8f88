"""The constraints of tables as the catalog has them.

https://www.postgresql.org/docs/current/catalog-pg-constraint.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...syntax.names import Exact, Name, listed
from ...syntax.parse import closing, items, sliced, tokens
from ..indexes.elements import with_defaults
from ..kind import Row
from .clauses import Referenced
from .constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique
from .details import Fittings
from .validation import is_passing, unmarked

# Of each key column its operator class, whether that is the default, its collation, and the class's
# schema.
KEY_CLASSES = """json_agg(json_build_array(o.opcname, o.opcdefault, l.collname,
                   (SELECT s.nspname FROM pg_namespace s WHERE s.oid = o.opcnamespace))
                   ORDER BY k.place)"""

# Of an index, whether it is the replica identity of its table, or a part of it that of a partition.
IDENTIFIES = """CASE {0}.relkind WHEN 'I' THEN EXISTS (SELECT FROM pg_partition_tree({0}.oid) w
                   JOIN pg_index y ON y.indexrelid = w.relid WHERE y.indisreplident)
                 ELSE i.indisreplident END"""
TABLESPACE = "(SELECT s.spcname FROM pg_tablespace s WHERE s.oid = {}.reltablespace)"

QUERIES = {
    # Those of PostgreSQL 18 that are not validated, or not named after their column.
    "not_nulls": """
        SELECT json_build_array(c.conrelid::regclass, c.conkey[1], c.conname, c.convalidated)
          FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
          JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.conkey[1]
         WHERE c.contype = 'n' AND (NOT c.convalidated
           OR c.conname <> format('%s_%s_not_null', r.relname, a.attname))""",
    "constraints": f"""
        SELECT json_build_array(c.conrelid::regclass, c.conname, c.contype, c.convalidated,
                 c.conkey, c.confrelid::regclass, c.confkey, c.confdeltype, c.confupdtype,
                 c.confmatchtype, c.condeferrable, c.condeferred, c.connoinherit,
                 CASE c.contype WHEN 'c' THEN pg_get_expr(c.conbin, c.conrelid)
                                WHEN 'x' THEN pg_get_constraintdef(c.oid) END,
                 i.indnkeyatts, i.indkey::int2[],
                 i.indnullsnotdistinct,
                 CASE c.contype WHEN 'x' THEN (SELECT {KEY_CLASSES}
                   FROM pg_index x, unnest(x.indclass::oid[], x.indcollation::oid[])
                     WITH ORDINALITY AS k(class, used, place)
                   JOIN pg_opclass o ON o.oid = k.class
                   LEFT JOIN pg_collation l ON l.oid = k.used
                  WHERE x.indexrelid = c.conindid) END,
                 c.coninhcount > 0, CASE c.contype WHEN 'f' THEN f.relname END, d.description,
                 i.indisvalid, c.confdelsetcols,
                 CASE WHEN NOT c.convalidated THEN to_jsonb(c) -> 'conenforced' END,
                 -- Only one with a range of time has operators of its own, or a GiST index.
                 CASE WHEN c.contype IN ('p', 'u') THEN c.conexclop IS NOT NULL
                      ELSE c.contype = 'f' AND f.relam = 783 END,
                 CASE WHEN i.indisreplident OR i.indisclustered OR f.relkind = 'I'
                        OR f.reltablespace <> 0 OR f.reloptions IS NOT NULL
                      THEN json_build_array({IDENTIFIES.format("f")}, i.indisclustered,
                        f.reloptions, {TABLESPACE.format("f")}) END)
          FROM pg_namespace n JOIN pg_constraint c ON c.connamespace = n.oid
          LEFT JOIN pg_index i ON i.indexrelid = c.conindid AND c.contype IN ('p', 'u', 'x')
          LEFT JOIN pg_class f ON f.oid = c.conindid
          LEFT JOIN pg_description d
            ON d.objoid = c.oid AND d.classoid = 'pg_constraint'::regclass
         WHERE {USER_SCHEMA} AND c.conrelid <> 0 AND c.contype IN ('p', 'u', 'f', 'c', 'x')
           -- A key to a partitioned table has a shadow for each partition.
           AND NOT (c.contype = 'f' AND c.conparentid <> 0 AND c.conrelid =
             (SELECT o.conrelid FROM pg_constraint o WHERE o.oid = c.conparentid))""",
}

_FOREIGN_ACTIONS = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}


def stored(row: Row, catalog: Snapshot) -> Constraint:
    """The constraint of a row of the query."""
    (
        printed, name, kind, validated, key, foreign, foreign_key, on_delete, on_update, match,
        deferrable, deferred, no_inherit, stored, key_count, index_columns, nulls, classes,
        inherited, index, remark, index_valid, set_numbers, enforced, period,
        fittings,
    ) = row  # fmt: skip
    names = catalog.columns.get(printed, {})
    columns = [names[number] for number in key or () if number in names]
    common: dict[str, Any] = {"name": Exact(name)}
    if kind in "puf":
        common |= {"deferrable": deferrable, "initially_deferred": deferred}
    if kind in "pu":
        common["include"] = [names[number] for number in (index_columns or ())[key_count or 0 :]]
    if kind in "pux":
        catalog.key_indexes.add(Name(catalog.relations[printed].schema, name))
    found: Constraint
    if kind == "p":
        found = PrimaryKey(*columns, **common)
    elif kind == "u":
        found = Unique(*columns, nulls_not_distinct=bool(nulls), **common)
    elif kind == "x":
        found = _stored_exclude(stored, classes).evolved(**common)
    elif kind == "c":
        found = Check(Exact(stored), no_inherit=no_inherit, **common)
    else:
        foreign_names = catalog.columns[foreign]
        foreign_columns = tuple(foreign_names[number] for number in foreign_key)
        action, set_columns = _FOREIGN_ACTIONS[on_delete], [names[one] for one in set_numbers or ()]
        found = ForeignKey(
            *columns,
            references=Referenced(catalog.relations[foreign], foreign_columns),
            on_delete=f"{action} ({listed(set_columns)})" if set_columns else action,
            on_update=_FOREIGN_ACTIONS[on_update],
            match_full=match == "f",
            **common,
        )
    passing = is_passing(remark)
    remark, owed = (None, False) if passing else unmarked(remark)
    known: dict[str, Any] = {
        "inherited": inherited, "index": index, "remark": remark, "period": period, "owed": owed,
        "passing": passing,
    }  # fmt: skip
    catalog.owing |= owed
    known = {name: value for name, value in known.items() if value}
    if enforced is False:
        known["enforced"] = False
    if kind in "pux" and fittings:
        identity, clustered, parameters, tablespace = fittings
        place = Exact(tablespace) if tablespace else None
        known["fittings"] = Fittings(tuple(parameters or ()), place, identity, clustered)
    # A key of a partitioned table lacks an index as long as one of its partitions does.
    if not validated or (index_valid is False and kind != "x"):
        found = found.evolved(validated=False)
    return found.known(**known) if known else found


def _stored_exclude(definition: str, names: Iterable[tuple[str, bool, str | None, str]]) -> Exclude:
    """The exclusion constraint that pg_get_constraintdef() prints.

    `names` has what `with_defaults` takes for each element.
    """
    found = tokens(definition)
    words = [token.text for token in found]
    # EXCLUDE USING method (element WITH operator, ...) ... [WHERE (...)] [DEFERRABLE ...]
    opening = words.index("(")
    end = closing(found, opening)
    elements = []
    for item in items(found, opening):
        place = max(place for place, token in enumerate(item) if token.text == "with")
        elements.append((sliced(definition, item[:place]), sliced(definition, item[place + 1 :])))
    rest = words[end + 1 :]
    where = None
    if "where" in rest:
        opening = end + 1 + rest.index("where") + 1
        last = closing(found, opening)
        where = Exact(definition[found[opening].end : found[last].start].strip())
        rest = words[last + 1 :]
    parsed = Exclude(*elements, using=words[2], where=where)
    return parsed.evolved(
        elements=[
            (with_defaults(one, given), operator)
            for (one, operator), given in zip(parsed.elements, names, strict=True)
        ],
        deferrable="deferrable" in rest,
        initially_deferred="deferred" in rest,
    )
