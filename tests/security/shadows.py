"""Functions and operators that hide PostgreSQL's own, made from its own catalog.

A call is caught by an overload that fits: in a schema that is searched before `pg_catalog` by the
same signature, in any other by one that fits better, such as one of `text` beside PostgreSQL's own
of "any". Both are made here, for every function and operator that a name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness import Database

from .conftest import Trap

# What stands for "any" and the polymorphic types, one after the other.
_CONCRETE = ("text", "name", "integer", "bigint", "oid", "boolean", "json", "jsonb", "text[]")
# Most of what takes VARIADIC "any" is called with a few texts, numbers or JSON values.
_VARIADIC = (
    *("text", "text, text", "text, text, text", "text, name", "name, name", "json, json"),
    *("text, integer", "integer, text", "text, integer, text", "text, text, integer, text, text"),
    *(
        "name, name, text",
        "integer, name, name",
        "text, boolean, text[]",
        "integer, boolean, text[]",
    ),
)

_SHADOW = """
DO $make$
DECLARE
  one record;
BEGIN
  FOR one IN {signatures} LOOP
    BEGIN
      EXECUTE one.command;
    EXCEPTION WHEN OTHERS THEN NULL;  -- a signature twice, or one that nobody can have
    END;
  END LOOP;
END
$make$
"""
_FUNCTIONS = """
  WITH own AS (
    SELECT DISTINCT p.proname, p.prokind, p.proretset,
           format_type(p.prorettype, NULL) AS result,
           p.provariadic = '"any"'::regtype AS takes_any,
           (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n)
              FROM unnest(p.proargtypes) WITH ORDINALITY AS a(t, n)) AS types
      FROM pg_proc p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (ARRAY[{names}])
       AND p.prokind IN ('f', 'a')
  ), concrete AS (
    SELECT proname, prokind, proretset, replaced.types,
           CASE WHEN result ~ 'any|internal|record|cstring' THEN 'text' ELSE result END AS result
      FROM own, LATERAL (
        SELECT regexp_replace(coalesce(types, ''),
                 '"any"|any(compatible)?(element|nonarray|array|enum)', t, 'g') AS types
          FROM unnest(ARRAY[{concrete}]) AS t WHERE NOT takes_any
         UNION SELECT t FROM unnest(ARRAY[{variadic}]) AS t WHERE takes_any) AS replaced
  )
  SELECT DISTINCT CASE prokind
    WHEN 'a' THEN format('CREATE AGGREGATE {schema}.%I(%s) '
                         '(sfunc = {schema}.trap_state, stype = text)',
                         proname, coalesce(nullif(types, ''), '*'))
    ELSE format('CREATE FUNCTION {schema}.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS %L',
                proname, types, CASE WHEN proretset THEN 'SETOF ' ELSE '' END, result,
                CASE WHEN proretset OR result = 'void' THEN {nothing} ELSE {body} END)
    END AS command FROM concrete"""
_STATES = ("", *(f", {one}" for one in (*_CONCRETE, "numeric", "text, text")))
"""What an aggregate's state function has beside the state."""
_OPERATORS = """
  WITH pairs AS (
    SELECT oprname, oprleft::regtype::text AS l, oprright::regtype::text AS r,
           oprresult::regtype::text AS result
      FROM pg_operator
     WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b'
       AND oprname = ANY (ARRAY[{names}])
       AND (oprleft::regtype::text = ANY (ARRAY[{types}])
            OR oprleft::regtype::text IN ('"char"', 'regclass', 'regtype'))
    UNION
    SELECT o, l, r, CASE o WHEN '||' THEN 'text' ELSE 'boolean' END
      FROM unnest(ARRAY[{names}]) AS o, unnest(ARRAY[{types}]) AS l, unnest(ARRAY[{types}]) AS r
     WHERE o IN ('=', '<>', '||')
  ), numbered AS (SELECT *, row_number() OVER () AS n FROM pairs)
  SELECT format('CREATE FUNCTION {schema}.trap_operator_%s(%s, %s) RETURNS %s '
                'LANGUAGE plpgsql AS %L', n, l, r, result, {body}) AS command FROM numbered
  UNION ALL  -- each after its function
  SELECT format('CREATE OPERATOR {schema}.%s (FUNCTION = {schema}.trap_operator_%s, '
                'LEFTARG = %s, RIGHTARG = %s)', oprname, n, l, r) FROM numbered"""


def _strings(texts: Iterable[str]) -> str:
    return ", ".join(f"'{text}'" for text in sorted(texts))


def shadow(trap: Trap, schema: str, owner: str, functions: set[str], operators: set[str]) -> int:
    """Hide PostgreSQL's functions and operators of these names in a schema; how many that makes."""
    body, nothing = trap.body(), trap.body("RETURN")
    common = {"schema": schema, "concrete": _strings(_CONCRETE), "variadic": _strings(_VARIADIC)}
    quoted = {"body": _quoted(body), "nothing": _quoted(nothing)}
    calls = _FUNCTIONS.format(names=_strings(functions), **common, **quoted)
    signs = _OPERATORS.format(
        names=_strings(operators), types=_strings(_CONCRETE), **common, **quoted
    )
    for more in _STATES:
        trap.function(f"{schema}.trap_state(text{more})", "text", owner=owner)
    for signatures in (calls, signs):
        # The first of them would catch the making of the others.
        made = _SHADOW.format(signatures=signatures)
        trap.as_role(owner, f"SET search_path = pg_catalog;\n{made}")
    return count(trap.database, schema)


def _quoted(body: str) -> str:
    """The text of a dollar-quoted body, as a string of its own."""
    return f"$body${body.removeprefix('$trap$').removesuffix('$trap$')}$body$"


def count(database: Database, schema: str) -> int:
    """How many functions and operators are in a schema."""
    return int(
        database.psql(
            "SET search_path = pg_catalog;"
            "SELECT sum(n) FROM ("
            f"SELECT count(*) AS n FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace "
            "UNION ALL "
            f"SELECT count(*) FROM pg_operator WHERE oprnamespace = '{schema}'::regnamespace) AS c"
        )
    )
