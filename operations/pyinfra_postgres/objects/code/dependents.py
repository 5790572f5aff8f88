"""What of code depends on others: views, rules, functions, procedures, triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from ...comparison.definitions import function
from ...plan.plan import Hazard, Lock, Mode, Statement
from ...syntax.names import Name, quoted
from ..dependent import Dependent, DependentPart
from ..dependents_query import (
    OF_TABLE,
    PART,
    RELATION,
    TABLE,
    depending,
    owned,
    part_remark,
    remark,
)

_WORD = "CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END"

_KIND = "CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized_view' END"

_VIEW_COLUMNS = f"""(
    SELECT json_agg(json_build_array(
             CASE WHEN a.attstattarget > -1 THEN format(
               'ALTER %s %s ALTER COLUMN %I SET STATISTICS %s', {_WORD}, {TABLE}, a.attname,
               a.attstattarget) END,
             CASE WHEN c.relkind = 'm' AND a.attstorage <> t.typstorage THEN format(
               'ALTER %s %s ALTER COLUMN %I SET STORAGE %s', {_WORD}, {TABLE}, a.attname,
               CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                 WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END,
             CASE WHEN a.attcompression <> '' THEN format(
               'ALTER %s %s ALTER COLUMN %I SET COMPRESSION %s', {_WORD}, {TABLE}, a.attname,
               CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END) END,
             CASE WHEN a.attoptions IS NOT NULL THEN format(
               'ALTER %s %s ALTER COLUMN %I SET (%s)', {_WORD}, {TABLE}, a.attname,
               array_to_string(a.attoptions, ', ')) END,
             (SELECT format('COMMENT ON COLUMN %s.%I IS %L', {TABLE}, a.attname, d.description)
                FROM pg_description d WHERE d.classoid = 'pg_class'::regclass
                 AND d.objoid = c.oid AND d.objsubid = a.attnum)) ORDER BY a.attnum)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

_VIEW = f"""
    SELECT json_build_array(node.id, {_KIND}, node.title, node.needs,
             json_build_array({_KIND}, n.nspname, c.relname), {RELATION},
             json_build_array(format('DROP %s %s', {_WORD}, {TABLE})),
             json_build_array(format(E'CREATE %s %s%s%s%s AS\\n%s%s', {_WORD}, {TABLE},
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
                 'ALTER TABLE %s REPLICA IDENTITY %s', {TABLE},
                 CASE c.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END) END,
               {owned("format('%s %s', " + _WORD + ", " + TABLE + ")", "c.relowner")},
               -- As its owner, with the rows that this one sees: the query may call what it owns.
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN 'SET LOCAL row_security = on' END,
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN format('REFRESH MATERIALIZED VIEW %s', {TABLE}) END,
               CASE WHEN c.relkind = 'm' AND c.relispopulated
                    THEN 'SET LOCAL row_security = off' END,
               {depending("format('%s %s', " + _WORD + ", " + TABLE + ")", "pg_class", "c.oid")},
               {remark("format('%s %s', " + _WORD + ", " + TABLE + ")", "pg_class", "c.oid")}),
             NULL, json_build_array(n.nspname, c.relname))
      FROM node {OF_TABLE.format("node.objid")}
     WHERE node.classid = 'pg_class'::regclass AND c.relkind IN ('v', 'm')"""

_RULE = f"""
    SELECT json_build_array(node.id, 'rule', node.title, node.needs,
             json_build_array('rule', n.nspname, c.relname, r.rulename), {RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP RULE %I ON %s', r.rulename, {TABLE})) END,
             json_build_array(rtrim(pg_get_ruledef(r.oid), ';')),
             json_build_array(
               CASE WHEN r.ev_enabled <> 'O' THEN format('ALTER TABLE %s %s RULE %I', {TABLE},
                 CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                   ELSE 'ENABLE REPLICA' END, r.rulename) END,
               {part_remark("RULE", "r.rulename", "pg_rewrite", "r.oid")}),
             NULL, json_build_array(n.nspname, c.relname), r.rulename)
      FROM node JOIN pg_rewrite r ON r.oid = node.objid {OF_TABLE.format("r.ev_class")}
     WHERE node.classid = 'pg_rewrite'::regclass"""

_ROUTINE = "format('%s %s', w.word, w.signature)"

_FUNCTION = f"""
    SELECT json_build_array(node.id, CASE WHEN {PART} THEN 'part' WHEN p.prokind = 'p'
               THEN 'procedure' ELSE 'function' END,
             node.title, node.needs, json_build_array(CASE p.prokind WHEN 'p' THEN 'procedure'
               ELSE 'function' END, n.nspname, p.proname, coalesce(i.types, '')), NULL,
             json_build_array(format('DROP %s %s', w.word, w.signature)),
             CASE WHEN p.prokind IN ('f', 'p') THEN json_build_array(pg_get_functiondef(p.oid)) END,
             json_build_array({owned(_ROUTINE, "p.proowner")},
               {depending(_ROUTINE, "pg_proc", "p.oid")}, {remark(_ROUTINE, "pg_proc", "p.oid")}),
             CASE WHEN p.prokind NOT IN ('f', 'p') THEN 'not made anew' END,
             json_build_array(n.nspname, p.proname))
      FROM node JOIN pg_proc p ON p.oid = node.objid
      JOIN pg_namespace n ON n.oid = p.pronamespace
      CROSS JOIN LATERAL (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY place)
                            FROM unnest(p.proargtypes) WITH ORDINALITY u(t, place)) i(types)
      CROSS JOIN LATERAL (SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                            format('%I.%I(%s)', n.nspname, p.proname, i.types)) w(word, signature)
     WHERE node.classid = 'pg_proc'::regclass"""

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
             json_build_array('trigger', n.nspname, c.relname, g.tgname), {RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP TRIGGER %I ON %s', g.tgname, {TABLE})) END,
             json_build_array(pg_get_triggerdef(g.oid)), {_OF_TRIGGER},
             NULL, json_build_array(n.nspname, c.relname), g.tgname)
      FROM node JOIN pg_trigger g ON g.oid = node.objid {OF_TABLE.format("g.tgrelid")}
     WHERE node.classid = 'pg_trigger'::regclass AND NOT g.tgisinternal AND g.tgparentid = 0"""


class DependentView(Dependent):
    """A view."""

    kind = "view"
    section = _VIEW
    acl = "TABLE"
    hazards = (Hazard.BLOCKS_READS,)
    is_relation = True
    is_declared_alone = True
    keeps_columns = True

    def alone_by(self, text: str) -> str:
        query = self.definition.text if self.definition else text
        return f"CREATE VIEW {self.whole} AS\n{query.rstrip().rstrip(';')}"

    def texts(self, stored: Any) -> Sequence[str | None]:
        return (stored.query,)


class DependentMaterializedView(DependentView):
    """A materialized view."""

    kind = "materialized_view"
    is_declared_alone = False


class DependentRule(DependentPart):
    """A rule."""

    kind = "rule"
    section = _RULE
    is_of_one_table = True


class DependentFunction(Dependent):
    """A function."""

    kind = "function"
    section = _FUNCTION
    acl = "FUNCTION"
    is_routine = True
    is_declared_alone = True
    keeps_columns = True

    @classmethod
    @override
    def created(cls, text: str, tables: Sequence[Name]) -> Statement:
        return function(text)

    def alone_by(self, text: str) -> str:
        if "\nBEGIN ATOMIC\n" not in text and "\nRETURN " not in text:
            return ""  # Of another one the body is read when it runs.
        return text.replace(f" {self.whole}(", f" pg_temp.{quoted(self.whole.name)}(", 1)

    def texts(self, stored: Any) -> Sequence[str | None]:
        return (stored.body,)


class DependentProcedure(DependentFunction):
    """A procedure."""

    kind = "procedure"
    acl = "PROCEDURE"


class DependentTrigger(DependentPart):
    """A trigger."""

    kind = "trigger"
    section = _TRIGGER
    keeps_columns = True
    spares_heirs = True

    @classmethod
    def creating(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        return tuple(Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True) for one in tables)

    @classmethod
    def restoring(cls, text: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
        if text.startswith("ALTER TABLE"):
            return cls.creating(tables[:1])
        return super().restoring(text, tables)

    def alone_by(self, text: str) -> str:
        return "" if text.startswith("CREATE CONSTRAINT TRIGGER") else text

    def texts(self, stored: Any) -> Sequence[str | None]:
        return (stored.condition,)
