"""Advice about any database, from its catalog alone: what works today and may hurt tomorrow.

It changes no verdict unless a verification asks for that. No rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any

from attrs import field, frozen

from ..catalog.snapshot import USER_SCHEMA
from ..errors import DeclarationError
from ..syntax import given
from .facts import Finding

_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {} AND e.deptype = 'e')"

# By rule a query: the object, what is to be said of it, and the statement that mends it.
RULES = {
    "foreign-key-without-index": f"""
        SELECT format('foreign key %s on %s', quote_ident(k.conname), k.conrelid::regclass),
               'no index begins with its columns: a row that goes from ' || k.confrelid::regclass
                 || ' has all of the table read',
               format('CREATE INDEX CONCURRENTLY ON %s (%s)', k.conrelid::regclass,
                      (SELECT string_agg(quote_ident(attname), ', ' ORDER BY place)
                         FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
                         JOIN pg_attribute ON attrelid = k.conrelid AND attnum = number))
          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE contype = 'f' AND conparentid = 0 AND {USER_SCHEMA}
           AND NOT EXISTS (
               SELECT FROM pg_index
                WHERE indrelid = conrelid AND indisvalid
                  AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = (
                       SELECT format('(%s IS NOT NULL)', quote_ident(attname)) FROM pg_attribute
                        WHERE attrelid = conrelid AND conkey = ARRAY[attnum]))
                  AND (string_to_array(indkey::text, ' ')::int2[])[1:cardinality(conkey)]
                      @> conkey)""",
    "redundant-index": f"""
        WITH keys AS (
          SELECT i.*, c.relam, c.relname, n.nspname,
                 (SELECT array_agg(pg_get_indexdef(indexrelid, place, false) || ' '
                                   || indoption[place - 1] || ' ' || indclass[place - 1]
                                   || ' ' || indcollation[place - 1] ORDER BY place)
                    FROM generate_series(1, indnkeyatts) AS place) AS parts
            FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE indisvalid AND NOT c.relispartition AND {USER_SCHEMA})
        SELECT format('index %I.%I', one.nspname, one.relname),
               format('index %s covers it', other.indexrelid::regclass),
               format('DROP INDEX CONCURRENTLY %I.%I', one.nspname, one.relname)
          FROM keys AS one JOIN keys AS other
            ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid
           AND other.relam = one.relam
           AND other.parts[:cardinality(one.parts)] = one.parts
           AND pg_get_expr(other.indpred, other.indrelid)
               IS NOT DISTINCT FROM pg_get_expr(one.indpred, one.indrelid)
         WHERE NOT one.indisunique AND one.indnatts = one.indnkeyatts
           AND NOT one.indisreplident AND NOT one.indisclustered
           AND (cardinality(other.parts) > cardinality(one.parts) OR other.indisunique
                OR other.indexrelid < one.indexrelid)""",
    "invalid-index": f"""
        SELECT format('index %I.%I', n.nspname, c.relname),
               'it is INVALID: queries do not use it, and writes pay for it',
               format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
          FROM pg_index JOIN pg_class c ON c.oid = indexrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT indisvalid AND {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                            WHERE p.index_relid = indexrelid)""",
    "constraint-not-validated": f"""
        SELECT format('constraint %s on %s', quote_ident(k.conname), k.conrelid::regclass),
               'it is NOT VALID: rows that were there before need not satisfy it',
               format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::regclass, k.conname)
          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE NOT convalidated AND conrelid <> 0 AND conparentid = 0 AND {USER_SCHEMA}""",
    "sequence-near-its-end": """
        SELECT format('sequence %I.%I', schemaname, sequencename),
               format('%s%% of its values are used', round(100.0 * last_value / max_value)),
               ''
          FROM pg_sequences
         WHERE NOT cycle AND increment_by > 0 AND last_value > 0.75 * max_value""",
    "disabled-trigger": f"""
        SELECT format('trigger %I on %s', tgname, tgrelid::regclass),
               'it is disabled',
               format('ALTER TABLE %s ENABLE TRIGGER %I', tgrelid::regclass, tgname)
          FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE tgenabled = 'D' AND NOT tgisinternal AND tgparentid = 0 AND {USER_SCHEMA}""",
    "definer-without-search-path": f"""
        SELECT format('function %s', p.oid::regprocedure),
               'it runs with its owner''s rights, and its caller decides what names in it mean',
               format('ALTER ROUTINE %s SET search_path = pg_catalog, pg_temp',
                      p.oid::regprocedure)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE prosecdef AND {USER_SCHEMA} AND {_EXTENSION.format("p.oid")}
           AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting
                            WHERE setting LIKE 'search_path=%')""",
    "grant-without-schema-usage": f"""
        SELECT DISTINCT format('role %I', r.rolname),
               format('what it is granted in schema %I can''t be used: it lacks USAGE', n.nspname),
               format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.rolname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
               aclexplode(relacl) AS granted JOIN pg_roles r ON r.oid = grantee
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND {USER_SCHEMA}
           AND NOT has_schema_privilege(r.oid, n.oid, 'USAGE')""",
    "policies-without-row-security": f"""
        SELECT format('table %s', c.oid::regclass),
               'it has policies, and row security is off',
               format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', c.oid::regclass)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT relrowsecurity AND {USER_SCHEMA}
           AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)""",
    "extension-behind": """
        SELECT format('extension %I', name),
               format('version %s is installed, the server brings %s', installed_version,
                      default_version),
               format('ALTER EXTENSION %I UPDATE', name)
          FROM pg_available_extensions WHERE installed_version <> default_version""",
}


IN_VAIN = "accepted-in-vain"
"""The rule of what is accepted and not there."""


def _rule(_: object, __: object, rule: str) -> None:
    given.word("rule", rule, RULES)


@frozen
class Accepted:
    """A finding that is to stay, with the reason: of one rule, about one object.

    + rule: the rule that has it
    + what: the object, as the report calls it
    + reason: why it stays
    + until: the last day of that, `YYYY-MM-DD`; left out, it has none
    """

    rule: str = field(validator=_rule)
    what: str
    reason: str
    until: str = ""

    def __attrs_post_init__(self) -> None:
        given.filled("what is accepted", self.what)
        given.filled("the reason of what is accepted", self.reason)
        try:
            date.fromisoformat(self.until or "2000-01-01")
        except (TypeError, ValueError):
            raise DeclarationError(f"until is a day, YYYY-MM-DD, not {self.until!r}") from None


def findings(
    ask: Callable[[str], Sequence[Any]], accepted: Sequence[Accepted], today: date
) -> Iterator[Finding]:
    """What is to be said of a database, with why some of it stays; what is accepted in vain."""
    left = {(one.rule, one.what): one for one in accepted}
    for rule, query in RULES.items():
        rows = ask(f"SELECT json_build_array(what, said, mend) FROM ({query}) f (what, said, mend)")
        for what, said, mend in sorted(rows):
            by = left.pop((rule, what), None)
            if by and by.until and date.fromisoformat(by.until) < today:
                said, by = f"{said}; it was accepted until {by.until}", None
            yield Finding(rule, what, said, mend, by.reason if by else "")
    for rule, what in left:
        yield Finding(IN_VAIN, what, f"{rule} is accepted for it, and is not found", "", "")
