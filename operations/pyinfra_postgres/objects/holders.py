"""The columns that hold values of a type."""

from __future__ import annotations

from typing import NamedTuple

from ..comparison.asking import Ask
from ..syntax.names import Name, literal, quoted


class Holder(NamedTuple):
    """A column that has values of a type."""

    relation: Name
    column: str
    within: bool
    """Whether they are within values of another type, other than a domain over it."""
    first: bool
    """Whether the column is not that of a partition, or inherited."""

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{quoted(self.column)} of {self.relation}"


def columns_of_type(name: Name, ask: Ask) -> list[Holder]:
    """The columns of tables and materialized views in which there are values of a type.

    They may be within others: arrays, composites, ranges, and domains over those.
    """
    found = ask.renamed(_HOLDERS.format(literal(str(name))))
    return [Holder(Name(schema, relation), *rest) for schema, relation, *rest in found]


_HOLDERS = """
    WITH RECURSIVE holder(id, is_other) AS (
        SELECT to_regtype({})::oid, false
      UNION SELECT t.oid, h.is_other OR t.typtype <> 'd'
        FROM holder h JOIN pg_type t ON t.typbasetype = h.id OR t.typelem = h.id
          OR t.oid IN (SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                        WHERE a.atttypid = h.id AND a.attnum > 0 AND NOT a.attisdropped)
          OR t.oid IN (SELECT unnest(ARRAY[r.rngtypid, r.rngmultitypid]) FROM pg_range r
                        WHERE r.rngsubtype = h.id))
    SELECT DISTINCT jsonb_build_array(n.nspname, c.relname, a.attname, h.is_other,
             a.attinhcount = 0)
      FROM holder h JOIN pg_attribute a ON a.atttypid = h.id
      JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm')
     ORDER BY 1"""
