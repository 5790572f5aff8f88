"""Advice about any database, from its catalog: what works today and may hurt tomorrow.

It changes no verdict unless a verification asks for that. Rows are counted of small default
partitions alone, and none are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from attrs import evolve, field, frozen

from ..catalog.snapshot import USER_SCHEMA
from ..errors import DeclarationError
from ..syntax import given
from . import partition_advice
from .facts import Finding

_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {} AND e.deptype = 'e')"

# By rule a query: the object, what is to be said of it, and the statement that mends it.
RULES = {
    "foreign-key-without-index": f"""
        SELECT format('foreign key %s on %s', quote_ident(k.conname), k.conrelid::regclass),
               'no index begins with its columns: a row that goes from ' || k.confrelid::regclass
                 || ' has all of the table read',
               format('CREATE INDEX %sON %s (%s)',
                      (SELECT CASE relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END
                         FROM pg_class WHERE oid = k.conrelid), k.conrelid::regclass,
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
          SELECT i.*, c.relam, c.relname, c.relkind, n.nspname, k.oid AS key,
                 EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f'
                            AND f.conindid = indexrelid) AS is_referenced,
                 (SELECT array_agg(pg_get_indexdef(indexrelid, place, false) || ' '
                                   || indoption[place - 1] || ' ' || indclass[place - 1]
                                   || ' ' || indcollation[place - 1] ORDER BY place)
                    FROM generate_series(1, indnkeyatts) AS place) AS parts
            FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_constraint k ON k.conindid = indexrelid AND k.contype IN ('p', 'u', 'x')
           WHERE indisvalid AND NOT c.relispartition AND {USER_SCHEMA})
        SELECT format('index %I.%I', one.nspname, one.relname),
               format('index %s covers it', other.indexrelid::regclass),
               CASE WHEN one.key IS NULL THEN format('DROP INDEX %s%I.%I',
                      CASE one.relkind WHEN 'i' THEN 'CONCURRENTLY ' END, one.nspname, one.relname)
                    ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', one.indrelid::regclass,
                      one.relname) END
          FROM keys AS one JOIN keys AS other
            ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid
           AND other.relam = one.relam
           AND other.parts[:cardinality(one.parts)] = one.parts
           AND pg_get_expr(other.indpred, other.indrelid)
               IS NOT DISTINCT FROM pg_get_expr(one.indpred, one.indrelid)
         WHERE one.indnatts = one.indnkeyatts AND NOT one.indisexclusion AND NOT one.indisprimary
           AND NOT one.indisreplident AND NOT one.indisclustered
           AND CASE WHEN one.indisunique
                    -- What is as unique in the same columns; of two constraints the first one.
                    THEN other.indisunique AND NOT one.is_referenced
                     AND cardinality(other.parts) = cardinality(one.parts)
                     AND other.indnullsnotdistinct = one.indnullsnotdistinct
                     AND other.indimmediate
                     AND ((other.key IS NOT NULL AND one.key IS NULL) OR other.indisprimary
                       OR ((other.key IS NULL) = (one.key IS NULL)
                         AND other.indexrelid < one.indexrelid))
                    ELSE cardinality(other.parts) > cardinality(one.parts) OR other.indisunique
                      OR other.indexrelid < one.indexrelid END""",
    "invalid-index": f"""
        SELECT format('index %I.%I', n.nspname, c.relname),
               'it is INVALID: queries do not use it, and writes pay for it',
               format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
          FROM pg_index JOIN pg_class c ON c.oid = indexrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT indisvalid AND c.relkind = 'i' AND {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                            WHERE p.index_relid = indexrelid)""",
    "constraint-not-validated": f"""
        SELECT format('constraint %s on %s', quote_ident(k.conname), k.conrelid::regclass),
               'it is NOT VALID: rows that were there before need not satisfy it',
               format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::regclass, k.conname)
          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE NOT convalidated AND conrelid <> 0 AND conparentid = 0 AND {USER_SCHEMA}
        UNION ALL
        SELECT format('constraint %s on domain %s', quote_ident(k.conname), k.contypid::regtype),
               'it is NOT VALID: rows that were there before need not satisfy it',
               format('ALTER DOMAIN %s VALIDATE CONSTRAINT %I', k.contypid::regtype, k.conname)
          FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
         WHERE NOT convalidated AND contypid <> 0 AND {USER_SCHEMA}""",
    "sequence-near-its-end": f"""
        SELECT format('sequence %I.%I', schemaname, sequencename),
               format('%s%% of its values are used%s', round(100.0 * last_value / least(max_value,
                      most)), ', or of those that column ' || place || ' takes'),
               CASE WHEN data_type <> 'bigint'::regtype AND most = {2**63 - 1}
                    THEN format('ALTER SEQUENCE %I.%I AS bigint', schemaname, sequencename) END
          FROM pg_sequences
          LEFT JOIN LATERAL (
               SELECT format('%s.%I', attrelid::regclass, attname) AS place, atttypid
                 FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
                WHERE classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
                  AND refclassid = 'pg_class'::regclass
                  AND objid = to_regclass(format('%I.%I', schemaname, sequencename))) o ON true
          JOIN LATERAL (SELECT CASE atttypid WHEN 'int2'::regtype THEN {2**15 - 1}
               WHEN 'int4'::regtype THEN {2**31 - 1} ELSE {2**63 - 1} END::numeric AS most) m
            ON true
         WHERE NOT cycle AND increment_by > 0 AND last_value > 0.75 * least(max_value, most)""",
    "disabled-trigger": f"""
        SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass),
               'it is disabled',
               format('ALTER TABLE %s ENABLE TRIGGER %I', t.tgrelid::regclass, t.tgname)
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_trigger p ON p.oid = t.tgparentid
         WHERE t.tgenabled = 'D' AND NOT t.tgisinternal AND {USER_SCHEMA}
           AND p.tgenabled IS DISTINCT FROM 'D'""",
    "definer-without-search-path": f"""
        SELECT format('function %s', p.oid::regprocedure),
               'it runs with its owner''s rights, and its caller decides what names in it mean',
               format('ALTER ROUTINE %s SET search_path = pg_catalog, pg_temp',
                      p.oid::regprocedure)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE prosecdef AND {USER_SCHEMA} AND {_EXTENSION.format("p.oid")}
           AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting
                            WHERE setting LIKE 'search_path=%')""",
    "definer-with-open-search-path": f"""
        SELECT format('function %s', p.oid::regprocedure),
               'it runs with its owner''s rights, and its search path '
                 || CASE WHEN NOT ends_well THEN 'does not end with pg_temp: temporary objects of'
                      ' whoever calls it come first'
                    ELSE format('has a schema in which others may create: %s', open) END,
               CASE WHEN open IS NULL THEN format('ALTER ROUTINE %s SET search_path = %s, pg_temp',
                      p.oid::regprocedure, coalesce(nullif(others, ''), 'pg_catalog')) END
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
          JOIN LATERAL (SELECT substr(setting, 13) AS path
                          FROM unnest(proconfig) AS setting WHERE setting LIKE 'search_path=%') s
            ON true
          JOIN LATERAL (SELECT path ~ '(^|[ ,])"?pg_temp"?$' AS ends_well,
                 trim(regexp_replace(regexp_replace(path, '"?pg_temp"?', ''),
                        '^""$|, *(,|$)', '\\1'), ', ') AS others,
                 (SELECT string_agg(o.nspname, ', ' ORDER BY o.nspname) FROM pg_namespace o
                   WHERE o.nspname = ANY (string_to_array(replace(path, '"', ''), ', '))
                     AND o.nspname NOT IN ('pg_catalog', 'pg_temp') AND EXISTS (
                         SELECT FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
                           LEFT JOIN pg_roles r ON r.oid = a.grantee
                          WHERE privilege_type = 'CREATE' AND a.grantee <> proowner
                            AND NOT coalesce(rolsuper, false)
                            AND coalesce(rolname, '') <> 'pg_database_owner')) AS open) e ON true
         WHERE prosecdef AND {USER_SCHEMA} AND {_EXTENSION.format("p.oid")}
           AND (NOT ends_well OR open IS NOT NULL)""",
    "grant-without-schema-usage": f"""
        SELECT DISTINCT format('role %I', r.rolname),
               format('what it is granted in schema %I can''t be used: it lacks USAGE', n.nspname),
               format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.rolname)
          FROM (SELECT relnamespace, (aclexplode(relacl)).grantee FROM pg_class
                 WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                UNION SELECT relnamespace, (aclexplode(attacl)).grantee
                  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE NOT attisdropped
                UNION SELECT pronamespace, (aclexplode(proacl)).grantee FROM pg_proc
                UNION SELECT typnamespace, (aclexplode(typacl)).grantee FROM pg_type)
               AS granted (namespace, grantee)
          JOIN pg_namespace n ON n.oid = namespace JOIN pg_roles r ON r.oid = grantee
         WHERE {USER_SCHEMA} AND NOT has_schema_privilege(r.oid, n.oid, 'USAGE')""",
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
    # PostgreSQL has a minor release at least on the second Thursday of February, May, August and
    # November, and keeps a major one for five years. https://www.postgresql.org/support/versioning/
    "server-behind": """
        WITH majors (major, since, until) AS (VALUES
               (15, date '2022-10-13', date '2027-11-11'),
               (16, date '2023-09-14', date '2028-11-09'),
               (17, date '2024-09-26', date '2029-11-08'),
               (18, date '2025-09-25', date '2030-11-14')),
        running AS (
          SELECT majors.*, current_setting('server_version_num')::int % 10000 AS minor,
                 (SELECT count(*) FROM generate_series(0, 80) AS quarter,
                         LATERAL (SELECT (date '2022-11-01' + quarter * interval '3 months')::date
                                    AS first) AS of_quarter
                   WHERE first + (11 - extract(isodow FROM first)::int) % 7 + 7
                         BETWEEN since AND current_date - 7) AS released
            FROM majors WHERE major = current_setting('server_version_num')::int / 10000)
        SELECT 'server', format('PostgreSQL %s is no longer kept, since %s', major, until), ''
          FROM running WHERE until <= current_date
        UNION ALL
        SELECT 'server', format('it is PostgreSQL %s.%s, and %s.%s at least is released', major,
                 minor, major, released), ''
          FROM running WHERE until > current_date AND minor < released""",
}


OF_PARTITIONS = (
    "partitions-run-out",
    "partition-gap",
    "no-default-partition",
    "rows-in-default-partition",
    "index-without-partition",
)
"""The rules about partitioned tables."""
OF_JUDGES = re.compile(r"(pgrls|squawk)( [A-Za-z0-9-]+)?")
"""The rules of other programs: which one, and its own name for it."""
_GRAVE = frozenset(
    {
        *("definer-without-search-path", "definer-with-open-search-path", "partitions-run-out"),
        *("policies-without-row-security", "invalid-index", "index-without-partition"),
        "sequence-near-its-end",
    }
)
"""The rules whose findings harm, or will soon."""
_SLIGHT = frozenset({"no-default-partition", "redundant-index", "extension-behind"})
SEVERITIES = ("error", "warning", "note")

IN_VAIN = "accepted-in-vain"
"""The rule of what is accepted and not there."""


def severity(rule: str) -> str:
    """How grave what a rule finds is."""
    return "error" if rule in _GRAVE else "note" if rule in _SLIGHT else "warning"


def known_rule(what: str, rule: str) -> str:
    """A rule, as somebody has named it. Raises DeclarationError where there is none."""
    if isinstance(rule, str) and OF_JUDGES.fullmatch(rule):
        return rule
    return given.word(what, rule, (*RULES, *OF_PARTITIONS))


def _rule(_: object, __: object, rule: str) -> None:
    if rule in {"pgrls", "squawk"}:
        raise DeclarationError(
            f"what is accepted is of one rule, like {rule!r} and its name for it"
        )
    known_rule("rule", rule)


@frozen
class Accepted:
    """A finding that is to stay, with the reason: of one rule, about one object.

    + rule: the rule that has it; of others like ``pgrls SEC002`` or ``squawk prefer-text-field``
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


def findings(ask: Callable[[str], Sequence[Any]], today: date) -> Iterator[Finding]:
    """What is to be said of a database, from its catalog."""
    for rule, query in RULES.items():
        rows = ask(
            "SELECT json_build_array(what, said, coalesce(mend, '')) "
            f"FROM ({query}) f (what, said, mend)"
        )
        for what, said, mend in sorted(rows):
            yield Finding(rule, what, said, mend, severity=severity(rule))
    for rule, what, said, mend in partition_advice.said(ask, today):
        yield Finding(rule, what, said, mend, severity=severity(rule))


def weighed(
    found: Iterable[Finding],
    accepted: Sequence[Accepted],
    today: date,
    is_asked: Callable[[Accepted], bool] = lambda _: True,
) -> list[Finding]:
    """Findings with why some of them stay, and what is accepted in vain; the gravest first.

    What nobody was asked about is not accepted in vain.
    """
    left = {(one.rule, one.what): one for one in accepted}
    every = []
    for one in found:
        by = left.pop((one.rule, one.what), None)
        if by and by.until and date.fromisoformat(by.until) < today:
            every.append(evolve(one, said=f"{one.said}; it was accepted until {by.until}"))
        else:
            every.append(evolve(one, accepted=by.reason) if by else one)
    for by in left.values():
        if is_asked(by):
            said = f"{by.rule} is accepted for it, and is not found"
            every.append(Finding(IN_VAIN, by.what, said, severity="note"))
    return sorted(every, key=lambda one: (SEVERITIES.index(one.severity), one.what, one.rule))
