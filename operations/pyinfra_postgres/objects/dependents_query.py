"""The query that finds what depends on an object, and how the server would create it again.

Each row is [id, kind, title, the ids that it needs, its key in the catalog, the relations that it
locks, what drops it, what creates it, what gives it all else that it has, why that can't be,
further facts]. What the server changes by itself, like the indexes of a key, has no row.
"""

from __future__ import annotations

_RELATION = "json_build_array(json_build_array(n.nspname, c.relname))"
_TABLE = "format('%I.%I', n.nspname, c.relname)"
_OF_TABLE = "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace"


def _remark(what: str, class_: str, oid: str, sub: str = "0") -> str:
    """The statement that comments on an object as it is commented now."""
    return (
        f"(SELECT format('COMMENT ON %s IS %L', {what}, d.description) FROM pg_description d "
        f"WHERE d.classoid = '{class_}'::regclass AND d.objoid = {oid} AND d.objsubid = {sub})"
    )


def _remark_of_part(what: str, class_: str, oid: str, wholes: str) -> str:
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


def _part_remark(word: str, name: str, class_: str, oid: str) -> str:
    """The same for a part of a table."""
    return _remark(f"format('{word} %I ON %s', {name}, {_TABLE})", class_, oid)


def _owned(what: str, owner: str) -> str:
    """The statement that gives an object to its owner, where the role would not be."""
    return (
        f"(SELECT format('ALTER %s OWNER TO %I', {what}, o.rolname) FROM pg_roles o "
        f"WHERE o.oid = {owner} AND o.rolname <> current_user)"
    )


def _depending(what: str, class_: str, oid: str) -> str:
    """The statements that have an object go with the extensions with which it goes now."""
    return (
        f"(SELECT json_agg(format('ALTER %s DEPENDS ON EXTENSION %I', {what}, e.extname)) "
        "FROM pg_depend l JOIN pg_extension e ON e.oid = l.refobjid "
        f"WHERE l.classid = '{class_}'::regclass AND l.objid = {oid} AND l.deptype = 'x' "
        "AND l.refclassid = 'pg_extension'::regclass)"
    )


def _of_index(index: str, oid: str) -> str:
    """All that an index has but for its definition, and what its table says of it.

    `index` is its name with the schema; its row of pg_index is `x`, that of its table `c`.
    """
    wholes = f"SELECT relid FROM pg_partition_ancestors({oid})"
    return f"""json_build_array(
               (SELECT format('ALTER INDEX %s SET TABLESPACE %I', {index}, s.spcname)
                  FROM pg_class q JOIN pg_tablespace s ON s.oid = q.reltablespace
                 WHERE q.oid = {oid}),
               (SELECT json_agg(format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', {index},
                         a.attnum, a.attstattarget) ORDER BY a.attnum)
                  FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attstattarget > -1),
               (SELECT json_build_array(
                         CASE WHEN x.indisclustered THEN format('ALTER TABLE %s CLUSTER ON %I',
                           {_TABLE}, q.relname) END,
                         CASE WHEN x.indisreplident THEN format(
                           'ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', {_TABLE},
                           q.relname) END)
                  FROM pg_class q WHERE q.oid = {oid}),
               {_depending(f"format('INDEX %s', {index})", "pg_class", oid)},
               {_remark_of_part(f"format('INDEX %s', {index})", "pg_class", oid, wholes)})"""


# Edges from what depends to what it depends on. A view stands for its rule, and a key or an
# exclusion constraint for its index.
_WALK = """
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

_DOMAIN = "format('DOMAIN %I.%I', n.nspname, t.typname)"
_DOMAIN_CONSTRAINT = "format('CONSTRAINT %I ON DOMAIN %I.%I', k.conname, n.nspname, t.typname)"
_STATISTICS_NAME = "format('STATISTICS %I.%I', m.nspname, s.stxname)"
# A type's own: a composite type's relation, a range type's constructors and casts.
_PART = """EXISTS (SELECT FROM pg_depend i WHERE i.classid = node.classid AND i.objid = node.objid
               AND i.refclassid = 'pg_type'::regclass AND i.deptype = 'i')"""

_COLUMN = f"""
    SELECT json_build_array(node.id, 'column', node.title, node.needs,
             json_build_array(CASE c.relkind WHEN 'c' THEN 'composite' ELSE 'table' END,
               n.nspname, c.relname), {_RELATION}, NULL, NULL, NULL,
             CASE WHEN c.relkind = 'f' THEN 'of a foreign table'
                  WHEN EXISTS (SELECT FROM pg_depend k WHERE k.classid = node.classid
                    AND k.refclassid = node.classid AND (k.objid, k.objsubid, k.refobjid,
                    k.refobjsubid, k.deptype) = (c.oid, node.subid, c.oid, 0, 'i'))
                  THEN 'in the partition key'
                  WHEN c.reloftype <> 0 THEN 'of a table of a composite type'
                  WHEN u.attrelid IS NOT NULL THEN format('its row type is that of %s',
                    pg_describe_object('pg_class'::regclass, u.attrelid, u.attnum)) END,
             json_build_array(n.nspname, c.relname, c.relkind, a.attname,
               format_type(a.atttypid, a.atttypmod), format('%s/%s/0', 'pg_type'::regclass::oid,
               a.atttypid), a.attinhcount = 0))
      FROM node {_OF_TABLE.format("node.objid")}
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = node.subid AND NOT a.attisdropped
      LEFT JOIN LATERAL (
        SELECT v.attrelid, v.attnum FROM pg_attribute v
          JOIN pg_class s ON s.oid = v.attrelid AND s.relkind IN ('r', 'p', 'm', 'f')
         WHERE NOT v.attisdropped AND v.atttypid IN (SELECT t.oid FROM pg_type t
                 WHERE t.oid = c.reltype OR t.typelem = c.reltype AND c.reltype <> 0) LIMIT 1
      ) u ON true
     WHERE node.classid = 'pg_class'::regclass AND node.subid > 0
       AND c.relkind IN ('r', 'p', 'f', 'c')"""

_IS_DOMAIN_DEFAULT = """t.typtype = 'd' AND NOT EXISTS (
        SELECT FROM json_array_elements_text(node.needs) AS u(id)
         WHERE u.id NOT LIKE 'pg_proc'::regclass::oid || '/%')"""

_TYPE = f"""
    SELECT json_build_array(node.id, CASE t.typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum'
               WHEN 'b' THEN 'array' WHEN 'c' THEN 'row' WHEN 'm' THEN 'part' ELSE 'type' END,
             node.title, node.needs, json_build_array(CASE t.typtype WHEN 'd' THEN 'domain'
               WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range_type'
               ELSE 'type' END, n.nspname, t.typname), NULL, NULL,
             CASE t.typtype WHEN 'd' THEN json_build_array(
               format('CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, t.typname,
                 format_type(t.typbasetype, t.typtypmod),
                 (SELECT format(' COLLATE %I.%I', m.nspname, l.collname) FROM pg_collation l
                    JOIN pg_namespace m ON m.oid = l.collnamespace JOIN pg_type b
                      ON b.oid = t.typbasetype
                   WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation),
                 ' DEFAULT (' || pg_get_expr(t.typdefaultbin, 0) || ')',
                 CASE WHEN t.typnotnull THEN coalesce((SELECT format(' CONSTRAINT %I', k.conname)
                   FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'n'), '')
                   || ' NOT NULL' END)) END,
             CASE t.typtype WHEN 'd' THEN json_build_array(
               {_owned(_DOMAIN, "t.typowner")},
               {_remark(_DOMAIN, "pg_type", "t.oid")},
               (SELECT json_agg(json_build_array(CASE k.contype WHEN 'c' THEN
                       format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname,
                         k.conname, pg_get_constraintdef(k.oid)) END,
                     {_remark(_DOMAIN_CONSTRAINT, "pg_constraint", "k.oid")})
                   ORDER BY k.conname)
                  FROM pg_constraint k WHERE k.contypid = t.oid)) END,
             CASE WHEN t.typtype NOT IN ('d', 'e', 'c', 'm') AND NOT (t.typtype = 'b' AND
               t.typsubscript = 'array_subscript_handler'::regproc) THEN 'not made anew' END,
             json_build_array(n.nspname, t.typname, t.typtype = 'b' OR b.typsubscript =
               'array_subscript_handler'::regproc, format('%s/%s/0', 'pg_type'::regclass::oid,
               t.typbasetype)))
      FROM node JOIN pg_type t ON t.oid = node.objid JOIN pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_type b ON b.oid = t.typbasetype
     WHERE node.classid = 'pg_type'::regclass AND NOT ({_IS_DOMAIN_DEFAULT})"""

_DOMAIN_DEFAULT = f"""
    SELECT json_build_array(node.id, 'domain_default', 'default value of ' || node.title,
             node.needs, json_build_array('domain', n.nspname, t.typname), NULL,
             json_build_array(format('ALTER %s DROP DEFAULT', {_DOMAIN})),
             json_build_array(format('ALTER %s SET DEFAULT %s', {_DOMAIN},
               pg_get_expr(t.typdefaultbin, 0))),
             NULL, NULL, json_build_array(n.nspname, t.typname,
               format_type(t.typbasetype, t.typtypmod)))
      FROM node JOIN pg_type t ON t.oid = node.objid JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE node.classid = 'pg_type'::regclass AND ({_IS_DOMAIN_DEFAULT})"""

_DEFAULT = f"""
    SELECT json_build_array(node.id,
             CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END,
             CASE a.attgenerated WHEN '' THEN node.title
               ELSE replace(node.title, 'default value for', 'generated') END,
             node.needs, json_build_array('table', n.nspname, c.relname), {_RELATION},
             CASE WHEN a.attgenerated = '' AND c.oid NOT IN (SELECT objid FROM gone)
               THEN json_build_array(format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT',
                 {_TABLE}, a.attname)) END,
             CASE a.attgenerated WHEN '' THEN json_build_array(format(
               'ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', {_TABLE}, a.attname,
               pg_get_expr(e.adbin, e.adrelid))) END, NULL,
             CASE WHEN a.attgenerated <> '' THEN 'generated' END,
             json_build_array(n.nspname, c.relname, a.attname))
      FROM node JOIN pg_attrdef e ON e.oid = node.objid {_OF_TABLE.format("e.adrelid")}
      JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
     WHERE node.classid = 'pg_attrdef'::regclass"""

# On a constraint, and on those that partitions and heirs have from it.
_INHERITED_REMARKS = """(
    WITH RECURSIVE tree(oid) AS (
        SELECT k.conrelid
      UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
    SELECT json_agg(format('COMMENT ON CONSTRAINT %I ON %s IS %L', o.conname, o.conrelid::regclass,
             d.description) ORDER BY o.oid)
      FROM tree JOIN pg_constraint o ON o.conrelid = tree.oid AND o.conname = k.conname
      JOIN pg_description d ON d.classoid = 'pg_constraint'::regclass AND d.objoid = o.oid)"""

_CONSTRAINT = f"""
    SELECT json_build_array(node.id, CASE k.contype WHEN 'c' THEN 'check'
               WHEN 'f' THEN 'foreign_key' ELSE 'exclusion' END, node.title,
             -- Of an inherited one its own definitions come before it: they are merged.
             (SELECT json_agg(x) FROM (SELECT json_array_elements_text(node.needs) UNION ALL
               SELECT format('%s/%s/0', node.classid, o.oid) FROM pg_inherits i
                 JOIN pg_constraint o ON o.conrelid = i.inhrelid AND o.conname = k.conname
                  AND o.conislocal WHERE i.inhparent = k.conrelid AND k.contype = 'c') AS y(x)),
             json_build_array('table', n.nspname, c.relname),
             CASE WHEN f.oid IS NULL THEN {_RELATION} ELSE json_build_array(
               json_build_array(n.nspname, c.relname),
               json_build_array(fn.nspname, f.relname)) END,
             CASE WHEN k.conislocal AND k.conparentid = 0 THEN json_build_array(format(
               'ALTER TABLE %s DROP CONSTRAINT %I', {_TABLE}, k.conname)) END,
             CASE WHEN k.conislocal AND k.conparentid = 0 THEN json_build_array(format(
               'ALTER TABLE %s ADD CONSTRAINT %I %s', {_TABLE}, k.conname,
               pg_get_constraintdef(k.oid))) END,
             json_build_array(
               CASE WHEN k.conislocal AND k.conparentid = 0 THEN {_INHERITED_REMARKS} END,
               CASE k.contype WHEN 'x' THEN
                 {_of_index("format('%I.%I', n.nspname, k.conname)", "x.indexrelid")} END),
             NULL, json_build_array(n.nspname, c.relname, k.conname))
      FROM node JOIN pg_constraint k ON k.oid = node.objid {_OF_TABLE.format("k.conrelid")}
      LEFT JOIN pg_class f ON f.oid = k.confrelid
      LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
      LEFT JOIN pg_index x ON x.indexrelid = k.conindid
     WHERE node.classid = 'pg_constraint'::regclass AND k.contype IN ('c', 'f', 'x')"""

_KEY_NAME = f"format('CONSTRAINT %I ON %s', k.conname, {_TABLE})"
_INDEX = f"""
    SELECT json_build_array(node.id, 'index', node.title,
             (SELECT json_agg(x) FROM (SELECT json_array_elements_text(node.needs) UNION ALL
               SELECT format('%s/%s/0', node.classid, h.inhparent)
                WHERE h.inhparent IS NOT NULL) AS y(x)),
             json_build_array('index', n.nspname, i.relname), {_RELATION},
             CASE WHEN h.inhparent IS NULL AND c.relkind <> 'm' THEN
               json_build_array(format('DROP INDEX %I.%I', n.nspname, i.relname)) END,
             json_build_array(pg_get_indexdef(i.oid),
               CASE WHEN h.inhparent IS NOT NULL THEN format(
                 'ALTER INDEX %s ATTACH PARTITION %I.%I', h.inhparent::regclass, n.nspname,
                 i.relname) END),
             {_of_index("format('%I.%I', n.nspname, i.relname)", "i.oid")},
             NULL, json_build_array(n.nspname, c.relname, i.relname, h.inhparent::regclass::text,
               i.relkind = 'I'))
      FROM node JOIN pg_class i ON i.oid = node.objid AND i.relkind IN ('i', 'I')
      JOIN pg_index x ON x.indexrelid = i.oid {_OF_TABLE.format("x.indrelid")}
      LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
     WHERE node.classid = 'pg_class'::regclass
       -- Another one of columns alone the server builds anew by itself, with all that it has.
       AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL OR c.oid IN (SELECT objid FROM gone)
            OR i.relkind = 'I' OR h.inhparent IS NOT NULL)"""

# The keys of partitioned tables, which the server builds anew without all that the parts have.
_KEY = f"""
    SELECT json_build_array(node.id, 'key', node.title,
             (SELECT json_agg(x) FROM (SELECT json_array_elements_text(node.needs) UNION ALL
               SELECT format('%s/%s/0', node.classid, k.conparentid)
                WHERE k.conparentid <> 0) AS y(x)),
             json_build_array('table', n.nspname, c.relname), {_RELATION}, NULL, NULL,
             json_build_array({_of_index("format('%I.%I', n.nspname, i.relname)", "i.oid")},
               {_remark_of_part(_KEY_NAME, "pg_constraint", "k.oid", "k.conparentid")}),
             NULL, json_build_array(n.nspname, c.relname, i.relname, h.inhparent::regclass::text,
               i.relkind = 'I'))
      FROM node JOIN pg_constraint k ON k.oid = node.objid AND k.contype IN ('p', 'u')
      JOIN pg_class i ON i.oid = k.conindid JOIN pg_index x ON x.indexrelid = i.oid
      {_OF_TABLE.format("k.conrelid")}
      LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
     WHERE node.classid = 'pg_constraint'::regclass AND (c.relkind = 'p' OR k.conparentid <> 0)"""

_POLICY = f"""
    SELECT json_build_array(node.id, 'policy', node.title, node.needs,
             json_build_array('policy', n.nspname, c.relname, p.polname), {_RELATION},
             json_build_array(format('DROP POLICY %I ON %s', p.polname, {_TABLE})),
             json_build_array(format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname,
               {_TABLE}, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                 WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               (SELECT string_agg(coalesce(quote_ident(o.rolname), 'PUBLIC'), ', ')
                  FROM unnest(p.polroles) AS u(oid) LEFT JOIN pg_roles o USING (oid)),
               ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
               ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')),
             json_build_array({_part_remark("POLICY", "p.polname", "pg_policy", "p.oid")}),
             NULL, json_build_array(n.nspname, c.relname, p.polname))
      FROM node JOIN pg_policy p ON p.oid = node.objid {_OF_TABLE.format("p.polrelid")}
     WHERE node.classid = 'pg_policy'::regclass"""

# The states and comments of a trigger and of those that partitions have from it, the whole first.
_OF_TRIGGER = """(
    WITH RECURSIVE part(oid, above, depth) AS (
        SELECT g.oid, 'O'::"char", 0
      UNION ALL SELECT q.oid, p.tgenabled, part.depth + 1
        FROM part JOIN pg_trigger p ON p.oid = part.oid JOIN pg_trigger q ON q.tgparentid = p.oid)
    SELECT json_agg(json_build_array(
             CASE WHEN q.tgenabled <> part.above THEN format('ALTER TABLE %s %s TRIGGER %I',
               q.tgrelid::regclass, CASE q.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'O' THEN 'ENABLE'
                 WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, q.tgname) END,
             (SELECT json_agg(format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I', q.tgname,
                       q.tgrelid::regclass, e.extname))
                FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid
               WHERE x.classid = 'pg_trigger'::regclass AND x.objid = q.oid AND x.deptype = 'x'
                 AND x.refclassid = 'pg_extension'::regclass),
             (SELECT format('COMMENT ON TRIGGER %I ON %s IS %L', q.tgname, q.tgrelid::regclass,
                       d.description) FROM pg_description d
               WHERE d.classoid = 'pg_trigger'::regclass AND d.objoid = q.oid))
             ORDER BY part.depth, q.tgrelid::regclass::text)
      FROM part JOIN pg_trigger q ON q.oid = part.oid)"""

_TRIGGER = f"""
    SELECT json_build_array(node.id, 'trigger', node.title, node.needs,
             json_build_array('trigger', n.nspname, c.relname, g.tgname), {_RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP TRIGGER %I ON %s', g.tgname, {_TABLE})) END,
             json_build_array(pg_get_triggerdef(g.oid)), {_OF_TRIGGER},
             NULL, json_build_array(n.nspname, c.relname, g.tgname))
      FROM node JOIN pg_trigger g ON g.oid = node.objid {_OF_TABLE.format("g.tgrelid")}
     WHERE node.classid = 'pg_trigger'::regclass AND NOT g.tgisinternal AND g.tgparentid = 0"""

_STATISTICS = f"""
    SELECT json_build_array(node.id, 'statistics', node.title, node.needs,
             json_build_array('statistics', m.nspname, s.stxname), {_RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP STATISTICS %I.%I', m.nspname, s.stxname)) END,
             json_build_array(pg_get_statisticsobjdef(s.oid)),
             json_build_array(
               (SELECT format('ALTER STATISTICS %I.%I SET STATISTICS %s', m.nspname, s.stxname,
                  t.target) FROM (SELECT to_jsonb(s) ->> 'stxstattarget') AS t(target)
                 WHERE t.target <> '-1'),
               {_owned(_STATISTICS_NAME, "s.stxowner")},
               {_remark(_STATISTICS_NAME, "pg_statistic_ext", "s.oid")}),
             NULL, json_build_array(n.nspname, c.relname))
      FROM node JOIN pg_statistic_ext s ON s.oid = node.objid {_OF_TABLE.format("s.stxrelid")}
      JOIN pg_namespace m ON m.oid = s.stxnamespace
     WHERE node.classid = 'pg_statistic_ext'::regclass"""

_WORD = "CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END"
_KIND = "CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized_view' END"
_VIEW_COLUMNS = f"""(
    SELECT json_agg(json_build_array(
             CASE WHEN a.attstattarget > -1 THEN format(
               'ALTER %s %s ALTER COLUMN %I SET STATISTICS %s', {_WORD}, {_TABLE}, a.attname,
               a.attstattarget) END,
             CASE WHEN c.relkind = 'm' AND a.attstorage <> t.typstorage THEN format(
               'ALTER %s %s ALTER COLUMN %I SET STORAGE %s', {_WORD}, {_TABLE}, a.attname,
               CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                 WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END,
             CASE WHEN a.attcompression <> '' THEN format(
               'ALTER %s %s ALTER COLUMN %I SET COMPRESSION %s', {_WORD}, {_TABLE}, a.attname,
               CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END) END,
             CASE WHEN a.attoptions IS NOT NULL THEN format(
               'ALTER %s %s ALTER COLUMN %I SET (%s)', {_WORD}, {_TABLE}, a.attname,
               array_to_string(a.attoptions, ', ')) END,
             (SELECT format('COMMENT ON COLUMN %s.%I IS %L', {_TABLE}, a.attname, d.description)
                FROM pg_description d WHERE d.classoid = 'pg_class'::regclass
                 AND d.objoid = c.oid AND d.objsubid = a.attnum)) ORDER BY a.attnum)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

_VIEW = f"""
    SELECT json_build_array(node.id, {_KIND}, node.title, node.needs,
             json_build_array({_KIND}, n.nspname, c.relname), {_RELATION},
             json_build_array(format('DROP %s %s', {_WORD}, {_TABLE})),
             json_build_array(format(E'CREATE %s %s%s%s%s AS\\n%s%s', {_WORD}, {_TABLE},
                 (SELECT format(' USING %I', am.amname) FROM pg_am am WHERE am.oid = c.relam
                     AND am.amname <> current_setting('default_table_access_method')),
                 ' WITH (' || (SELECT string_agg(o.prefix || format('%I=%L', o.name, o.value), ', ')
                    FROM (SELECT '', * FROM pg_options_to_table(c.reloptions) UNION ALL
                      SELECT 'toast.', u.* FROM pg_class t, pg_options_to_table(t.reloptions) u
                       WHERE t.oid = c.reltoastrelid) o(prefix, name, value)) || ')',
                 (SELECT format(' TABLESPACE %I', t.spcname) FROM pg_tablespace t
                   WHERE t.oid = c.reltablespace),
                 rtrim(pg_get_viewdef(c.oid), ';'),
                 CASE c.relkind WHEN 'm' THEN E'\\nWITH NO DATA' END)),
             json_build_array({_VIEW_COLUMNS},
               CASE WHEN c.relreplident IN ('f', 'n') AND c.relkind = 'm' THEN format(
                 'ALTER TABLE %s REPLICA IDENTITY %s', {_TABLE},
                 CASE c.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END) END,
               {_owned("format('%s %s', " + _WORD + ", " + _TABLE + ")", "c.relowner")},
               -- As its owner, with the rows that this one sees: the query may call what it owns.
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN 'SET LOCAL row_security = on' END,
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN format('REFRESH MATERIALIZED VIEW %s', {_TABLE}) END,
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN 'SET LOCAL row_security = off' END,
               {_depending("format('%s %s', " + _WORD + ", " + _TABLE + ")", "pg_class", "c.oid")},
               {_remark("format('%s %s', " + _WORD + ", " + _TABLE + ")", "pg_class", "c.oid")}),
             NULL, json_build_array(n.nspname, c.relname))
      FROM node {_OF_TABLE.format("node.objid")}
     WHERE node.classid = 'pg_class'::regclass AND c.relkind IN ('v', 'm')"""

_ROUTINE = "format('%s %s', w.word, w.signature)"
_FUNCTION = f"""
    SELECT json_build_array(node.id, CASE WHEN {_PART} THEN 'part' WHEN p.prokind = 'p'
               THEN 'procedure' ELSE 'function' END,
             node.title, node.needs, json_build_array(CASE p.prokind WHEN 'p' THEN 'procedure'
               ELSE 'function' END, n.nspname, p.proname, coalesce(i.types, '')), NULL,
             json_build_array(format('DROP %s %s', w.word, w.signature)),
             CASE WHEN p.prokind IN ('f', 'p') THEN json_build_array(pg_get_functiondef(p.oid)) END,
             json_build_array({_owned(_ROUTINE, "p.proowner")},
               {_depending(_ROUTINE, "pg_proc", "p.oid")}, {_remark(_ROUTINE, "pg_proc", "p.oid")}),
             CASE WHEN p.prokind NOT IN ('f', 'p') THEN 'not made anew' END,
             json_build_array(n.nspname, p.proname))
      FROM node JOIN pg_proc p ON p.oid = node.objid
      JOIN pg_namespace n ON n.oid = p.pronamespace
      CROSS JOIN LATERAL (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY place)
                            FROM unnest(p.proargtypes) WITH ORDINALITY u(t, place)) i(types)
      CROSS JOIN LATERAL (SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                            format('%I.%I(%s)', n.nspname, p.proname, i.types)) w(word, signature)
     WHERE node.classid = 'pg_proc'::regclass"""

# The checks of a domain, which does not go itself.
_DOMAIN_CHECK = f"""
    SELECT json_build_array(node.id, 'domain_check', node.title, node.needs,
             json_build_array('domain', n.nspname, t.typname), NULL,
             json_build_array(format('ALTER DOMAIN %I.%I DROP CONSTRAINT %I', n.nspname, t.typname,
               k.conname)),
             json_build_array(format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname,
               t.typname, k.conname, pg_get_constraintdef(k.oid))),
             json_build_array({_remark(_DOMAIN_CONSTRAINT, "pg_constraint", "k.oid")}),
             NULL, json_build_array(n.nspname, t.typname, k.conname,
               format_type(t.typbasetype, t.typtypmod)))
      FROM node JOIN pg_constraint k ON k.oid = node.objid AND k.contype = 'c'
      JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE node.classid = 'pg_constraint'::regclass AND NOT EXISTS (SELECT
             FROM node d, json_array_elements_text(d.needs) AS u(id)
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
              AND u.id NOT LIKE 'pg_proc'::regclass::oid || '/%')"""

_RULE = f"""
    SELECT json_build_array(node.id, 'rule', node.title, node.needs,
             json_build_array('rule', n.nspname, c.relname, r.rulename), {_RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP RULE %I ON %s', r.rulename, {_TABLE})) END,
             json_build_array(rtrim(pg_get_ruledef(r.oid), ';')),
             json_build_array(
               CASE WHEN r.ev_enabled <> 'O' THEN format('ALTER TABLE %s %s RULE %I', {_TABLE},
                 CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                   ELSE 'ENABLE REPLICA' END, r.rulename) END,
               {_part_remark("RULE", "r.rulename", "pg_rewrite", "r.oid")}),
             NULL, json_build_array(n.nspname, c.relname, r.rulename))
      FROM node JOIN pg_rewrite r ON r.oid = node.objid {_OF_TABLE.format("r.ev_class")}
     WHERE node.classid = 'pg_rewrite'::regclass"""

_PUBLICATION = f"""
    SELECT json_build_array(node.id, 'publication', node.title, node.needs,
             json_build_array('publication', b.pubname), NULL, NULL, NULL, NULL, 'not made anew',
             json_build_array(n.nspname, c.relname))
      FROM node JOIN pg_publication_rel p ON p.oid = node.objid {_OF_TABLE.format("p.prrelid")}
      JOIN pg_publication b ON b.oid = p.prpubid
     WHERE node.classid = 'pg_publication_rel'::regclass"""

# Whatever else stands in the way.
_OTHER = f"""
    SELECT json_build_array(node.id, CASE WHEN {_PART} THEN 'part' ELSE 'other' END, node.title,
             node.needs, NULL, NULL, NULL, NULL, NULL,
             CASE WHEN NOT {_PART} THEN 'not made anew' END, NULL)
      FROM node LEFT JOIN pg_class c ON node.classid = 'pg_class'::regclass AND c.oid = node.objid
     WHERE c.relkind IN ('r', 'p', 'f', 'c') AND node.subid = 0
        OR node.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_attrdef'::regclass,
             'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass,
             'pg_statistic_ext'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass,
             'pg_rewrite'::regclass)"""
_MEMBER = """
    SELECT json_build_array(node.id || '/member', 'other', node.title, node.needs, NULL, NULL, NULL,
             NULL, NULL, 'of the extension ' || e.extname, NULL)
      FROM node JOIN pg_depend d ON d.classid = node.classid AND d.objid = node.objid
       AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
      JOIN pg_extension e ON e.oid = d.refobjid"""

QUERY = _WALK + "\nUNION ALL\n".join(
    (
        *(
            _COLUMN,
            _TYPE,
            _DOMAIN_DEFAULT,
            _DEFAULT,
            _CONSTRAINT,
            _KEY,
            _INDEX,
            _POLICY,
            _TRIGGER,
            _STATISTICS,
        ),
        *(_VIEW, _FUNCTION, _DOMAIN_CHECK, _RULE, _PUBLICATION, _OTHER, _MEMBER),
    )
)
