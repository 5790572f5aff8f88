"""What of constraints depends on others, but for keys: those are their indexes."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ...catalog.catalog import Forecast
from ...plan.plan import Lock, Mode, Statement
from ...syntax.names import Name
from ...syntax.paths import SearchPath
from ..dependent import DependentPart, has_printed
from ..dependents_query import OF_TABLE, RELATION, TABLE
from ..indexes.dependents import of_index

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
             CASE WHEN f.oid IS NULL THEN {RELATION} ELSE json_build_array(
               json_build_array(n.nspname, c.relname),
               json_build_array(fn.nspname, f.relname)) END,
             CASE WHEN k.conislocal AND k.conparentid = 0 THEN json_build_array(format(
               'ALTER TABLE %s DROP CONSTRAINT %I', {TABLE}, k.conname)) END,
             CASE WHEN k.conislocal AND k.conparentid = 0 THEN json_build_array(format(
               'ALTER TABLE %s ADD CONSTRAINT %I %s', {TABLE}, k.conname,
               pg_get_constraintdef(k.oid))) END,
             json_build_array(
               CASE WHEN k.conislocal AND k.conparentid = 0 THEN {_INHERITED_REMARKS} END,
               CASE k.contype WHEN 'x' THEN
                 {of_index("format('%I.%I', n.nspname, k.conname)", "x.indexrelid")} END),
             NULL, json_build_array(n.nspname, c.relname), k.conname)
      FROM node JOIN pg_constraint k ON k.oid = node.objid {OF_TABLE.format("k.conrelid")}
      LEFT JOIN pg_class f ON f.oid = k.confrelid
      LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
      LEFT JOIN pg_index x ON x.indexrelid = k.conindid
     WHERE node.classid = 'pg_constraint'::regclass AND k.contype IN ('c', 'f', 'x')"""


class _Constraint(DependentPart):
    section = _CONSTRAINT
    follows_columns = True

    def is_there(self, stored: Any) -> bool:
        """Whether what the plan has of its table has a constraint of its name."""
        return any(one.name == self.part for one in getattr(stored, "constraints", ()))

    def is_missing(self, stored: Any) -> bool:
        # One without a name may be it.
        if stored is None or any(one.name is None for one in stored.constraints):
            return False
        return not self.is_there(stored)

    def planned_by(self, stored: Any) -> Sequence[Statement] | None:
        for one in stored.constraints:
            if one.name == self.part:
                text = f"ALTER TABLE {stored.name} ADD {one.written()}"
                return [Statement(text, path=SearchPath.of(*one.fragments), locks=stored.name)]
        return None


class DependentForeignKey(_Constraint):
    """A foreign key."""

    kind = "foreign_key"

    @classmethod
    def creating(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        own, *referred = tables
        spared = (Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True) for one in referred)
        return (Lock(own, Mode.SHARE_ROW_EXCLUSIVE), *spared)

    def refers(self, stored: Any, table: Name) -> bool:
        keys = getattr(stored, "constraints", ())
        return any((one.name, getattr(one, "table", None)) == (self.part, table) for one in keys)

    def alone_by(self, text: str) -> str:
        return ""

    def stops(self, table: Name, columns: AbstractSet[str], catalog: Forecast) -> bool:
        return self.is_there(self.stored(catalog))


class _OfRows(_Constraint):
    reads_rows = True

    def is_kept(self, stored: Any) -> bool:
        return has_printed(getattr(stored, "constraints", None), self.part)


class DependentCheck(_OfRows):
    """A check of a table."""

    kind = "check"


class DependentExclusion(_OfRows):
    """An exclusion constraint."""

    kind = "exclusion"
    spares_heirs = True
