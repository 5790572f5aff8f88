"""What of indexes depends on others; a key is its index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...plan.plan import Lock, Mode, Statement
from ...syntax.names import Name
from ...syntax.naming import naming
from ..dependent import Dependent, DependentPart
from ..dependents_query import OF_TABLE, RELATION, TABLE, depending, remark_of_part


def of_index(index: str, oid: str) -> str:
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
                           {TABLE}, q.relname) END,
                         CASE WHEN x.indisreplident THEN format(
                           'ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', {TABLE},
                           q.relname) END)
                  FROM pg_class q WHERE q.oid = {oid}),
               {depending(f"format('INDEX %s', {index})", "pg_class", oid)},
               {remark_of_part(f"format('INDEX %s', {index})", "pg_class", oid, wholes)})"""


_KEY_NAME = f"format('CONSTRAINT %I ON %s', k.conname, {TABLE})"

_INDEX = f"""
    SELECT json_build_array(node.id, 'index', node.title,
             (SELECT json_agg(x) FROM (SELECT json_array_elements_text(node.needs) UNION ALL
               SELECT format('%s/%s/0', node.classid, h.inhparent)
                WHERE h.inhparent IS NOT NULL) AS y(x)),
             json_build_array('index', n.nspname, i.relname), {RELATION},
             CASE WHEN h.inhparent IS NULL AND c.relkind <> 'm' THEN
               json_build_array(format('DROP INDEX %I.%I', n.nspname, i.relname)) END,
             json_build_array(pg_get_indexdef(i.oid),
               CASE WHEN h.inhparent IS NOT NULL THEN format(
                 'ALTER INDEX %s ATTACH PARTITION %I.%I', h.inhparent::regclass, n.nspname,
                 i.relname) END),
             {of_index("format('%I.%I', n.nspname, i.relname)", "i.oid")},
             NULL, json_build_array(n.nspname, c.relname), i.relname,
             json_build_array(h.inhparent::regclass::text, i.relkind = 'I'))
      FROM node JOIN pg_class i ON i.oid = node.objid AND i.relkind IN ('i', 'I')
      JOIN pg_index x ON x.indexrelid = i.oid {OF_TABLE.format("x.indrelid")}
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
             json_build_array('table', n.nspname, c.relname), {RELATION}, NULL, NULL,
             json_build_array({of_index("format('%I.%I', n.nspname, i.relname)", "i.oid")},
               {remark_of_part(_KEY_NAME, "pg_constraint", "k.oid", "k.conparentid")}),
             NULL, json_build_array(n.nspname, c.relname), i.relname,
             json_build_array(h.inhparent::regclass::text, i.relkind = 'I'))
      FROM node JOIN pg_constraint k ON k.oid = node.objid AND k.contype IN ('p', 'u')
      JOIN pg_class i ON i.oid = k.conindid JOIN pg_index x ON x.indexrelid = i.oid
      {OF_TABLE.format("k.conrelid")}
      LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
     WHERE node.classid = 'pg_constraint'::regclass AND (c.relkind = 'p' OR k.conparentid <> 0)"""


class IndexDetails(NamedTuple):
    """What else is known of an index."""

    above: str | None
    """The index that it is a partition's part of."""
    has_parts: bool
    """Whether it is that of a partitioned table."""


class _Indexed(DependentPart):
    details_type = IndexDetails
    details: IndexDetails
    follows_columns = True

    @property
    def is_of_parts(self) -> bool:
        """Whether it is that of a partitioned table that is no partition's."""
        return self.details.has_parts and not self.details.above


class DependentKey(_Indexed):
    """A primary or unique key of a partitioned table, or of a partition."""

    kind = "key"
    section = _KEY
    is_inner = True


class DependentIndex(_Indexed):
    """An index."""

    kind = "index"
    section = _INDEX
    reads_rows = True
    spares_heirs = True

    @classmethod
    def creating(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        # Its partitions' follow one by one.
        return tuple(Lock(one, Mode.SHARE, only=True) for one in tables)

    @classmethod
    def created(cls, text: str, tables: Sequence[Name]) -> Statement:
        # To attach a part locks no table.
        return super().created(text, () if text.startswith("ALTER INDEX") else tables)

    def texts(self, stored: Any) -> Sequence[str | None]:
        found: Sequence[str | None] = stored.fragments
        return found


def built_in_parts(those: Iterable[Dependent]) -> list[str]:
    """The titles of indexes and keys of partitioned tables that are no partitions' themselves."""
    return [one.title for one in those if isinstance(one, _Indexed) and one.is_of_parts]


def named_again(those: Iterable[Dependent]) -> Iterator[Statement]:
    """The statement that gives indexes of partitions their names, where PostgreSQL built them anew.

    It builds those of a partitioned table by their whole, and chooses their names itself.
    """
    known = [
        (one.details.above, one.whole, Name(one.whole.schema, one.part))
        for one in those
        if isinstance(one, _Indexed) and one.details.above
    ]
    if known:
        names = ", ".join(str(name) for _, _, name in known)
        yield Statement(naming(known), summary=f"-- as they are named: {names}")
