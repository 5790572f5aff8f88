"""What of tables depends on others: columns, their defaults, statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from ...catalog.catalog import Forecast
from ...plan.plan import Lock, Mode, Statement
from ...syntax.names import Name, quoted
from ...syntax.parse import closed, column_names, tree
from ...syntax.paths import SearchPath
from ..dependent import Dependent, DependentPart, has_printed
from ..dependents_query import OF_TABLE, RELATION, TABLE, owned, remark

_COLUMN = f"""
    SELECT json_build_array(node.id, 'column', node.title, node.needs,
             json_build_array(CASE c.relkind WHEN 'c' THEN 'composite' ELSE 'table' END,
               n.nspname, c.relname), {RELATION}, NULL, NULL, NULL,
             CASE WHEN c.relkind = 'f' THEN 'of a foreign table'
                  WHEN EXISTS (SELECT FROM pg_depend k WHERE k.classid = node.classid
                    AND k.refclassid = node.classid AND (k.objid, k.objsubid, k.refobjid,
                    k.refobjsubid, k.deptype) = (c.oid, node.subid, c.oid, 0, 'i'))
                  THEN 'in the partition key'
                  WHEN c.reloftype <> 0 THEN 'of a table of a composite type'
                  WHEN u.attrelid IS NOT NULL THEN format('its row type is that of %s',
                    pg_describe_object('pg_class'::regclass, u.attrelid, u.attnum)) END,
             json_build_array(n.nspname, c.relname), a.attname, json_build_array(c.relkind,
               format_type(a.atttypid, a.atttypmod), format('%s/%s/0', 'pg_type'::regclass::oid,
               a.atttypid), a.attinhcount = 0))
      FROM node {OF_TABLE.format("node.objid")}
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = node.subid AND NOT a.attisdropped
      LEFT JOIN LATERAL (
        SELECT v.attrelid, v.attnum FROM pg_attribute v
          JOIN pg_class s ON s.oid = v.attrelid AND s.relkind IN ('r', 'p', 'm', 'f')
         WHERE NOT v.attisdropped AND v.atttypid IN (SELECT t.oid FROM pg_type t
                 WHERE t.oid = c.reltype OR t.typelem = c.reltype AND c.reltype <> 0) LIMIT 1
      ) u ON true
     WHERE node.classid = 'pg_class'::regclass AND node.subid > 0
       AND c.relkind IN ('r', 'p', 'f', 'c')"""

_DEFAULT = f"""
    SELECT json_build_array(node.id,
             CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END,
             CASE a.attgenerated WHEN '' THEN node.title
               ELSE replace(node.title, 'default value for', 'generated') END,
             node.needs, json_build_array('table', n.nspname, c.relname), {RELATION},
             CASE WHEN a.attgenerated = '' AND c.oid NOT IN (SELECT objid FROM gone)
               THEN json_build_array(format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT',
                 {TABLE}, a.attname)) END,
             CASE a.attgenerated WHEN '' THEN json_build_array(format(
               'ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', {TABLE}, a.attname,
               pg_get_expr(e.adbin, e.adrelid))) END, NULL,
             CASE WHEN a.attgenerated <> '' THEN 'generated' END,
             json_build_array(n.nspname, c.relname), a.attname)
      FROM node JOIN pg_attrdef e ON e.oid = node.objid {OF_TABLE.format("e.adrelid")}
      JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
     WHERE node.classid = 'pg_attrdef'::regclass"""

_STATISTICS_NAME = "format('STATISTICS %I.%I', m.nspname, s.stxname)"

_STATISTICS = f"""
    SELECT json_build_array(node.id, 'statistics', node.title, node.needs,
             json_build_array('statistics', m.nspname, s.stxname), {RELATION},
             CASE WHEN c.oid NOT IN (SELECT objid FROM gone) THEN json_build_array(
               format('DROP STATISTICS %I.%I', m.nspname, s.stxname)) END,
             json_build_array(pg_get_statisticsobjdef(s.oid)),
             json_build_array(
               (SELECT format('ALTER STATISTICS %I.%I SET STATISTICS %s', m.nspname, s.stxname,
                  t.target) FROM (SELECT to_jsonb(s) ->> 'stxstattarget') AS t(target)
                 WHERE t.target <> '-1'),
               {owned(_STATISTICS_NAME, "s.stxowner")},
               {remark(_STATISTICS_NAME, "pg_statistic_ext", "s.oid")}),
             NULL, json_build_array(n.nspname, c.relname))
      FROM node JOIN pg_statistic_ext s ON s.oid = node.objid {OF_TABLE.format("s.stxrelid")}
      JOIN pg_namespace m ON m.oid = s.stxnamespace
     WHERE node.classid = 'pg_statistic_ext'::regclass"""


class ColumnDetails(NamedTuple):
    """What else is known of a column."""

    relkind: str
    """The letter of its relation."""
    type: str
    type_id: str
    """The id of its type, as a dependent."""
    is_first: bool
    """Whether it is not that of a partition, or inherited."""


class DependentColumn(Dependent):
    """A column of a table or composite type."""

    kind = "column"
    section = _COLUMN
    details_type = ColumnDetails
    details: ColumnDetails

    def is_kept(self, stored: Any) -> bool:
        there: Any = getattr(stored, "columns", None) or getattr(stored, "attributes", ())
        return any((each.name, each.type) == (self.part, self.details.type) for each in there)

    def planned(self, catalog: Forecast) -> Sequence[Statement] | None:
        return None if self.stored(catalog) is None else []


class DependentDefault(DependentPart):
    """A default of a column."""

    kind = "default"
    section = _DEFAULT
    follows_columns = True
    is_of_one_table = True

    @property
    def alone(self) -> str:
        return self.create[0].shown if self.create else ""

    def is_kept(self, stored: Any) -> bool:
        return has_printed(getattr(stored, "columns", None), self.part)

    def planned_by(self, stored: Any) -> Sequence[Statement] | None:
        for column in stored.columns:
            if column.name == self.part and column.default is not None:
                alter = f"ALTER TABLE ONLY {stored.name} ALTER COLUMN {quoted(column.name)}"
                text = f"{alter} SET DEFAULT ({closed(column.default)})"
                return [Statement(text, path=SearchPath.of(column.default), locks=stored.name)]
        return []


class DependentGenerated(DependentPart):
    """The expression of a generated column."""

    kind = "generated"
    section = _DEFAULT
    is_printed = True

    def is_kept(self, stored: Any) -> bool:
        return has_printed(getattr(stored, "columns", None), self.part)

    def stops(self, table: Name, columns: AbstractSet[str], catalog: Forecast) -> bool:
        known = getattr(self.stored(catalog), "columns", None) or ()
        texts = [each.generated for each in known if each.name == self.part]
        names = (name for text in texts if text for name in column_names(tree(text)))
        return not columns.isdisjoint(names)

    def follows(self, columns: Mapping[str, str], known: AbstractSet[str]) -> bool:
        # PostgreSQL computes a column anew, and no other one.
        return {columns.get(id_) for id_ in self.needs} == {self.part}

    def is_checked(self, catalog: Forecast) -> bool:
        return True


class DependentStatistics(DependentPart):
    """Extended statistics."""

    kind = "statistics"
    section = _STATISTICS
    follows_columns = True

    @classmethod
    def dropping(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        return tuple(Lock(one, Mode.SHARE_UPDATE_EXCLUSIVE, only=True) for one in tables[:1])

    @classmethod
    def restoring(cls, text: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
        return () if text.startswith("COMMENT ON") else super().restoring(text, tables)

    def alone_by(self, text: str) -> str:
        return ""
