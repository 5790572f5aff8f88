"""The catalog query for code that may run as the role that deploys and that others own.

https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from __future__ import annotations

# The kinds of objects that are code, or call it: what depends on one of these may call it too.
_CALLING = (
    *("pg_proc", "pg_operator", "pg_type", "pg_cast"),
    *("pg_opfamily", "pg_opclass", "pg_amop", "pg_amproc"),
)
# What belongs to a relation, a type or a family, and has PostgreSQL call something for it. The
# numbers: 0 where that happens whenever rows are read or checked, 1 where they are written, 2 where
# row level security filters them.
_HELD = """
    SELECT 'pg_attrdef'::regclass::oid AS class, d.oid, 'pg_class'::regclass::oid AS holder_class,
           d.adrelid AS holder, CASE WHEN a.attgenerated = '' THEN 1 ELSE 0 END AS level
      FROM pg_attrdef d JOIN pg_attribute a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum)
    UNION ALL
    SELECT 'pg_constraint'::regclass, oid, 'pg_class'::regclass, conrelid, 0
      FROM pg_constraint WHERE conrelid <> 0
    UNION ALL
    SELECT 'pg_constraint'::regclass, oid, 'pg_type'::regclass, contypid, 0
      FROM pg_constraint WHERE contypid <> 0
    UNION ALL
    SELECT 'pg_trigger'::regclass, oid, 'pg_class'::regclass, tgrelid, 1 FROM pg_trigger
    UNION ALL
    SELECT 'pg_policy'::regclass, oid, 'pg_class'::regclass, polrelid, 2 FROM pg_policy
    UNION ALL
    SELECT 'pg_rewrite'::regclass, oid, 'pg_class'::regclass, ev_class,
           CASE WHEN ev_type = '1' THEN 0 ELSE 1 END FROM pg_rewrite
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, 'pg_class'::regclass, stxrelid, 0
      FROM pg_statistic_ext
    UNION ALL
    SELECT 'pg_class'::regclass, indexrelid, 'pg_class'::regclass, indrelid, 0 FROM pg_index
    UNION ALL
    SELECT 'pg_amop'::regclass, oid, 'pg_opfamily'::regclass, amopfamily, 0 FROM pg_amop
    UNION ALL
    SELECT 'pg_amproc'::regclass, oid, 'pg_opfamily'::regclass, amprocfamily, 0 FROM pg_amproc
    UNION ALL
    SELECT 'pg_cast'::regclass, c.oid, 'pg_type'::regclass, t.oid, 0
      FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget) AND t.oid >= 16384"""


# A constant of such a type has its values read, and so checked, while the statement is parsed.
_READS_LITERALS = "(t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A')"


# What runs the text that it is given, or does what not everybody may: harmless in itself, but not
# where somebody else has written the expression that calls it.
_DEPUTIES = """
    SELECT p.oid, p.oid::regprocedure AS title FROM pg_proc p
     WHERE (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~
             '_to_xml|^(ts_stat|ts_rewrite|set_config|pg_cancel_backend|pg_terminate_backend)$')
        OR p.proname ~ '^dblink'
        OR (p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a
             WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE'))"""
# The expressions of a relation `c`, as the server has parsed them: they name what pg_depend leaves
# out, because it is PostgreSQL's own.
_EXPRESSIONS = """
    SELECT 'pg_attrdef'::regclass::oid, oid, adbin::text FROM pg_attrdef WHERE adrelid = c.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, oid, conbin::text FROM pg_constraint WHERE conrelid = c.oid
    UNION ALL
    SELECT 'pg_class'::regclass, indexrelid, concat(indexprs, indpred) FROM pg_index
     WHERE indrelid = c.oid
    UNION ALL
    SELECT 'pg_class'::regclass, partrelid, partexprs::text FROM pg_partitioned_table
     WHERE partrelid = c.oid
    UNION ALL
    SELECT 'pg_trigger'::regclass, oid, tgqual::text FROM pg_trigger WHERE tgrelid = c.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, oid, concat(polqual, polwithcheck) FROM pg_policy
     WHERE polrelid = c.oid
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, stxexprs::text FROM pg_statistic_ext
     WHERE stxrelid = c.oid
    UNION ALL
    SELECT 'pg_rewrite'::regclass, oid, concat(ev_qual, ev_action) FROM pg_rewrite
     WHERE ev_class = c.oid"""


def _classes(names: tuple[str, ...]) -> str:
    return f"ARRAY[{', '.join(f'{name!r}::regclass::oid' for name in names)}]"


_TRUSTED = """
      SELECT oid FROM pg_roles WHERE rolsuper OR rolname IN (current_user, session_user)"""
_CODE = """
      SELECT 'pg_proc'::regclass::oid, oid, proowner, 'function ' || oid::regprocedure FROM pg_proc
       WHERE proowner NOT IN (SELECT oid FROM trusted)
      UNION ALL
      SELECT 'pg_operator'::regclass, oid, oprowner, 'operator ' || oid::regoperator
        FROM pg_operator
       WHERE oprowner NOT IN (SELECT oid FROM trusted)
      UNION ALL
      SELECT 'pg_type'::regclass, oid, typowner, 'domain ' || format_type(oid, NULL) FROM pg_type
       WHERE typtype = 'd' AND typowner NOT IN (SELECT oid FROM trusted)"""
# The same, and whose relations may have expressions. Where there are none, nothing else is asked.
OWNERS = f"""
    WITH trusted AS MATERIALIZED ({_TRUSTED}),
    found (class, oid, owner, title) AS ({_CODE}
      UNION ALL
      SELECT DISTINCT 'pg_class'::regclass::oid, 0::oid, relowner, '' FROM pg_class
       WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relowner NOT IN (SELECT oid FROM trusted))
    SELECT json_build_array(class::int8, oid::int8, title, pg_get_userbyid(owner)) FROM found"""
# Of all code that neither superusers nor the role itself own: what calls it, however far away. A
# row is a trust.Reach; the level is the lowest by which it is reached.
QUERY = f"""
    WITH RECURSIVE
    trusted AS MATERIALIZED ({_TRUSTED}),
    deputies AS MATERIALIZED ({_DEPUTIES}),
    code (class, oid, owner, title) AS MATERIALIZED ({_CODE}
      UNION ALL
      SELECT e.class, e.oid, c.relowner, 'a call of function ' || (SELECT title FROM deputies d
               WHERE e.tree ~ format(':(funcid|opfuncid|aggfnoid|winfnoid) %s ', d.oid) LIMIT 1)
        FROM pg_class c, LATERAL ({_EXPRESSIONS} OFFSET 0) AS e (class, oid, tree)
       WHERE c.relowner NOT IN (SELECT oid FROM trusted)
         AND e.tree ~ (SELECT format(':(funcid|opfuncid|aggfnoid|winfnoid) (%s) ',
                         string_agg(oid::text, '|')) FROM deputies)),
    held AS NOT MATERIALIZED ({_HELD}),
    -- typed: of a relation, whether the type of one of its columns is code.
    reach (class, oid, level, typed, code_class, code) AS (
      SELECT class, oid, 0, false, class, oid FROM code
      UNION
      SELECT n.class, n.oid, greatest(r.level, n.level), n.typed, r.code_class, r.code
        FROM reach r, LATERAL (
          SELECT d.classid, d.objid, 0, r.class = 'pg_type'::regclass FROM pg_depend d
           WHERE r.class = ANY ({_classes(_CALLING)})
             AND d.refclassid = r.class AND d.refobjid = r.oid
          UNION ALL
          -- A view, the body of a function or a policy that reads the relation.
          SELECT d.classid, d.objid, 0, false FROM pg_depend d
           WHERE r.class = 'pg_class'::regclass AND d.refclassid = r.class AND d.refobjid = r.oid
             AND d.classid = ANY ({_classes(("pg_rewrite", "pg_proc", "pg_policy"))})
          UNION ALL
          SELECT h.holder_class, h.holder, h.level, false FROM held h
           WHERE h.class = r.class AND h.oid = r.oid
          UNION ALL
          SELECT r.class, i.inhparent, 0, false FROM pg_inherits i
           WHERE r.class = 'pg_class'::regclass AND i.inhrelid = r.oid
          UNION ALL
          SELECT r.class, i.inhrelid, 0, false FROM pg_inherits i
           WHERE r.class = 'pg_class'::regclass AND i.inhparent = r.oid
          UNION ALL
          -- What happens to the rows of a foreign key when those change that they reference.
          SELECT r.class, c.confrelid, 1, false FROM pg_constraint c
           WHERE r.class = 'pg_class'::regclass AND c.contype = 'f' AND c.conrelid = r.oid
             AND r.level < 2 AND (c.confdeltype::text || c.confupdtype::text) ~ '[cnd]'
          UNION ALL
          -- A whole row may be written as one text, of which the types read their values.
          SELECT 'pg_type'::regclass, c.reltype, 0, false FROM pg_class c
           WHERE r.class = 'pg_class'::regclass AND r.typed AND c.oid = r.oid AND c.reltype <> 0
        ) AS n (class, oid, level, typed))
    SELECT json_build_array(n.kind, s.nspname, n.name, r.level, n.as_owner, n.literals,
             code.title, o.rolname, r.oid::int8, (r.class, r.oid) = (r.code_class, r.code),
             CASE n.kind WHEN 'caller' THEN pg_describe_object(r.class, r.oid, 0) ELSE '' END)
      FROM (SELECT class, oid, code_class, code, min(level) AS level
              FROM reach GROUP BY class, oid, code_class, code) AS r
      JOIN code ON code.class = r.code_class AND code.oid = r.code
      JOIN pg_roles o ON o.oid = code.owner,
      LATERAL (
        SELECT CASE WHEN p.pronargs - p.pronargdefaults <= 1 AND t.typtype IN ('c', 'p')
                    -- row.name may call what takes a row, or anything.
                    THEN 'attribute' ELSE 'function' END, p.pronamespace, p.proname, false, false
          FROM pg_proc p LEFT JOIN pg_type t ON t.oid = p.proargtypes[0]
         WHERE r.class = 'pg_proc'::regclass AND p.oid = r.oid
        UNION ALL
        SELECT 'operator', oprnamespace, oprname, false, false FROM pg_operator
         WHERE r.class = 'pg_operator'::regclass AND oid = r.oid
        UNION ALL
        SELECT 'type', typnamespace, typname, false, {_READS_LITERALS} FROM pg_type t
         WHERE r.class = 'pg_type'::regclass AND oid = r.oid
        UNION ALL
        SELECT 'relation', relnamespace, relname, relowner NOT IN (SELECT oid FROM trusted),
               EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                        WHERE a.attrelid = c.oid AND {_READS_LITERALS} AND t.oid IN (
                          SELECT oid FROM reach WHERE class = 'pg_type'::regclass))
          FROM pg_class c
         WHERE r.class = 'pg_class'::regclass AND oid = r.oid
           AND relkind IN ('r', 'p', 'v', 'm', 'f')
        UNION ALL
        SELECT 'caller', c.relnamespace, c.relname, false, false FROM held h JOIN pg_class c
            ON h.holder_class = 'pg_class'::regclass AND c.oid = h.holder
         WHERE h.class = r.class AND h.oid = r.oid
        UNION ALL
        -- What PostgreSQL calls for every command.
        SELECT 'event', 11::oid, evtname, false, false FROM pg_event_trigger
         WHERE r.class = 'pg_event_trigger'::regclass AND oid = r.oid AND evtenabled <> 'D'
        OFFSET 0
      ) AS n (kind, schema, name, as_owner, literals)
      JOIN pg_namespace s ON s.oid = n.schema"""
