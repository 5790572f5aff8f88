"""The query that finds what depends on an object, and how the server would create it again.

Each kind of dependent has its section, whose rows `Row` names. What the server changes by itself,
like the indexes of a key, has no row.
"""

from __future__ import annotations

RELATION = "json_build_array(json_build_array(n.nspname, c.relname))"

TABLE = "format('%I.%I', n.nspname, c.relname)"

OF_TABLE = "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace"


def remark(what: str, class_: str, oid: str, sub: str = "0") -> str:
    """The statement that comments on an object as it is commented now."""
    return (
        f"(SELECT format('COMMENT ON %s IS %L', {what}, d.description) FROM pg_description d "
        f"WHERE d.classoid = '{class_}'::regclass AND d.objoid = {oid} AND d.objsubid = {sub})"
    )


def remark_of_part(what: str, class_: str, oid: str, wholes: str) -> str:
    """The same for what may be a part of a whole, whose comment PostgreSQL may give to its parts.

    `wholes` are the numbers of what it is a part of, at all levels.
    """
    return (
        f"(SELECT format('COMMENT ON %s IS %L', {what}, (SELECT d.description "
        f"FROM pg_description d WHERE d.classoid = '{class_}'::regclass AND d.objoid = {oid} "
        f"AND d.objsubid = 0)) WHERE EXISTS (SELECT FROM pg_description d "
        f"WHERE d.classoid = '{class_}'::regclass AND (d.objoid = {oid} OR d.objoid IN ({wholes})) "
        "AND d.objsubid = 0))"
    )


def part_remark(word: str, name: str, class_: str, oid: str) -> str:
    """The same for a part of a table."""
    return remark(f"format('{word} %I ON %s', {name}, {TABLE})", class_, oid)


def owned(what: str, owner: str) -> str:
    """The statement that gives an object to its owner, where the role would not be."""
    return (
        f"(SELECT format('ALTER %s OWNER TO %I', {what}, o.rolname) FROM pg_roles o "
        f"WHERE o.oid = {owner} AND o.rolname <> current_user)"
    )


def depending(what: str, class_: str, oid: str) -> str:
    """The statements that have an object go with the extensions with which it goes now."""
    return (
        f"(SELECT json_agg(format('ALTER %s DEPENDS ON EXTENSION %I', {what}, e.extname)) "
        "FROM pg_depend l JOIN pg_extension e ON e.oid = l.refobjid "
        f"WHERE l.classid = '{class_}'::regclass AND l.objid = {oid} AND l.deptype = 'x' "
        "AND l.refclassid = 'pg_extension'::regclass)"
    )


# Edges from what depends to what it depends on. A view stands for its rule, and a key or an
# exclusion constraint for its index.
WALK = """
WITH RECURSIVE walk(classid, objid, subid, refclass, refobj, refsub) AS (
    SELECT r.classid::oid, r.objid, r.subid::int, 0::oid, 0::oid, 0
      FROM (ROOTS) r(classid, objid, subid)
  UNION
    SELECT CASE WHEN r.rulename = '_RETURN' THEN 'pg_class'::regclass::oid
                WHEN k.oid IS NOT NULL THEN 'pg_constraint'::regclass::oid ELSE d.classid END,
           CASE WHEN r.rulename = '_RETURN' THEN r.ev_class ELSE coalesce(k.oid, d.objid) END,
           CASE WHEN c.relkind IN ('v', 'm') THEN 0 ELSE d.objsubid END,
           w.classid, w.objid, w.subid
      FROM walk w
      LEFT JOIN pg_class x ON w.classid = 'pg_class'::regclass AND x.oid = w.objid
      JOIN pg_depend d ON d.refclassid = w.classid AND d.refobjid = w.objid
       AND (w.subid = 0 OR d.refobjsubid = w.subid) AND d.deptype IN ('n', 'a', 'i')
      LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_constraint k ON d.classid = 'pg_class'::regclass AND c.relkind IN ('i', 'I')
       AND k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
     WHERE w.classid = 'pg_proc'::regclass
        -- A domain whose default calls a function stays.
        OR (w.classid = 'pg_type'::regclass AND w.refclass <> 'pg_proc'::regclass)
        OR x.relkind IN ('v', 'm') OR (x.relkind = 'S' AND w.refclass = 0)
        OR (x.relkind IN ('r', 'p', 'f', 'c') AND w.subid > 0)
),
node AS (
    SELECT classid, objid, subid, format('%s/%s/%s', classid, objid, subid) AS id,
           pg_describe_object(classid, objid, subid) AS title,
           json_agg(DISTINCT format('%s/%s/%s', refclass, refobj, refsub)) AS needs
      FROM walk GROUP BY classid, objid, subid
),
gone AS (SELECT objid FROM node WHERE classid = 'pg_class'::regclass AND subid = 0)
"""

# A type's own: a composite type's relation, a range type's constructors and casts.
PART = """EXISTS (SELECT FROM pg_depend i WHERE i.classid = node.classid AND i.objid = node.objid
               AND i.refclassid = 'pg_type'::regclass AND i.deptype = 'i')"""

# Whatever else stands in the way.
OTHER = f"""
    SELECT json_build_array(node.id, CASE WHEN {PART} THEN 'part' ELSE 'other' END, node.title,
             node.needs, NULL, NULL, NULL, NULL, NULL,
             CASE WHEN NOT {PART} THEN 'not made anew' END)
      FROM node LEFT JOIN pg_class c ON node.classid = 'pg_class'::regclass AND c.oid = node.objid
     WHERE c.relkind IN ('r', 'p', 'f', 'c') AND node.subid = 0
        OR node.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_attrdef'::regclass,
             'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass,
             'pg_statistic_ext'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass,
             'pg_rewrite'::regclass)
UNION ALL

    SELECT json_build_array(node.id || '/member', 'other', node.title, node.needs, NULL, NULL, NULL,
             NULL, NULL, 'of the extension ' || e.extname)
      FROM node JOIN pg_depend d ON d.classid = node.classid AND d.objid = node.objid
       AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
      JOIN pg_extension e ON e.oid = d.refobjid"""
