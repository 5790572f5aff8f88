"""That what is made anew is what it was.

An object is created again from the text that the server has printed of it. What a name in that text
means is looked up again then, and a function or an operator that fits better may have come since,
or be in a schema that was not searched when it was printed. So before the transaction ends the
server prints the object once more.
https://www.postgresql.org/docs/current/functions-info.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from ..plan.plan import Statement
from ..syntax.names import literal
from .asking import Ask


@frozen
class Definition:
    """How the server prints an object, and what it calls."""

    title: str
    address: str
    """Its type, names and arguments, as JSON: what finds it again under another number."""
    text: str
    calls: str
    """The functions and operators of its own that it calls, as JSON; an extension's are left out.
    """


# Of a row `o` with a class and a number. An object is printed under the path of the session.
_TEXT = """
    CASE o.classid
      WHEN 'pg_class'::regclass THEN (
        SELECT CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid)
                    ELSE pg_get_indexdef(c.oid) END FROM pg_class c WHERE c.oid = o.objid)
      WHEN 'pg_constraint'::regclass THEN pg_get_constraintdef(o.objid)
      WHEN 'pg_rewrite'::regclass THEN pg_get_ruledef(o.objid)
      WHEN 'pg_trigger'::regclass THEN pg_get_triggerdef(o.objid)
      WHEN 'pg_statistic_ext'::regclass THEN pg_get_statisticsobjdef(o.objid)
      WHEN 'pg_proc'::regclass THEN pg_get_functiondef(o.objid)
      WHEN 'pg_attrdef'::regclass THEN (
        SELECT pg_get_expr(e.adbin, e.adrelid) FROM pg_attrdef e WHERE e.oid = o.objid)
      WHEN 'pg_policy'::regclass THEN (
        SELECT concat_ws(E'\\n', format('%s %s', p.polcmd, p.polpermissive),
                 p.polroles::regrole[]::text,
                 'USING ' || pg_get_expr(p.polqual, p.polrelid),
                 'WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid))
          FROM pg_policy p WHERE p.oid = o.objid)
      WHEN 'pg_type'::regclass THEN (
        SELECT concat_ws(E'\\n', format_type(t.typbasetype, t.typtypmod),
                 'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0),
                 (SELECT string_agg(format('%s %s', k.conname, pg_get_constraintdef(k.oid)), E'\\n'
                           ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid))
          FROM pg_type t WHERE t.oid = o.objid)
    END"""
# PostgreSQL's own are not in pg_depend.
_CALLED = """
    (SELECT coalesce(json_agg(DISTINCT pg_describe_object(d.refclassid, d.refobjid, 0)), '[]')
       FROM pg_depend d
      WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'
          AND (e.classid, e.objid) = (d.refclassid, d.refobjid))
        AND {})"""
# A view depends by its rule, a domain by its checks.
_CALLS = _CALLED.format("""
           ((d.classid, d.objid) = (o.classid, o.objid)
          OR (d.classid = 'pg_rewrite'::regclass AND o.classid = 'pg_class'::regclass AND d.objid
              IN (SELECT r.oid FROM pg_rewrite r WHERE r.ev_class = o.objid))
          OR (d.classid = 'pg_constraint'::regclass AND o.classid = 'pg_type'::regclass AND d.objid
              IN (SELECT k.oid FROM pg_constraint k WHERE k.contypid = o.objid)))""")


def called_by(table: str) -> str:
    """An SQL expression for what a table's checks, indexes and expressions call, as JSON."""
    return _CALLED.format(f"""(d.classid, d.objid) IN (
        SELECT 'pg_constraint'::regclass::oid, k.oid FROM pg_constraint k
         WHERE k.conrelid = '{table}'::regclass
         UNION SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i
         WHERE i.indrelid = '{table}'::regclass
         UNION SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a
         WHERE a.adrelid = '{table}'::regclass)""")


def definitions(ids: Mapping[str, str], ask: Ask) -> dict[str, Definition]:
    """The definitions of objects, whose titles are given, by an id of class, number and column."""
    if not ids:
        return {}
    numbers = (id_.split("/")[:2] for id_ in ids)
    rows = ", ".join(
        f"({literal(id_)}, {class_}::oid, {number}::oid)"
        for id_, (class_, number) in zip(ids, numbers, strict=True)
    )
    found = ask.renamed(
        f"SELECT json_build_array(o.id, json_build_array(a.type, a.object_names, a.object_args)"
        f"::text, {_TEXT}, {_CALLS}::text) FROM (VALUES {rows}) AS o(id, classid, objid) "
        "CROSS JOIN LATERAL pg_identify_object_as_address(o.classid, o.objid, 0) AS a"
    )
    return {
        id_: Definition(ids[id_], address, text, calls)
        for id_, address, text, calls in found
        if text is not None
    }


def compared(those: Iterable[Definition], *, adapted: bool = False) -> Iterator[Statement]:
    """The statement that fails where objects are no longer what they were; none for no objects.

    What is `adapted` to columns of another type may be printed with other casts, and calls nothing
    that it has not called. What has gone meanwhile is no matter.
    """
    known = sorted(those, key=lambda one: (one.title, one.address))
    if not known:
        return
    rows = ",\n".join(
        f"({', '.join(map(literal, (one.title, one.address, one.text, one.calls)))})"
        for one in known
    )
    body = _COMPARE.replace("ADAPTED", str(adapted).lower()).replace("ROWS", rows)
    names = ", ".join(one.title for one in known)
    yield Statement(f"DO {literal(body)}", summary=f"-- as they were before: {names}")


def function(text: str) -> Statement:
    """The statement that creates a function as it was, without reading its body once more.

    Where the body is a string, its names are looked up when it is called, under another path.
    """
    body = (
        "DECLARE checks text := current_setting('check_function_bodies');\n"
        "BEGIN\n"
        "  SET LOCAL check_function_bodies = off;\n"
        f"  EXECUTE {literal(text)};\n"
        "  PERFORM set_config('check_function_bodies', checks, true);\n"
        "END"
    )
    return Statement(f"DO {literal(body)}", summary=text)


_COMPARE = f"""
DECLARE
  was record; o record; now record; called text; gone text; come text;
BEGIN
  FOR was IN SELECT * FROM (VALUES ROWS) AS known(title, address, text, calls) LOOP
    BEGIN
      o := pg_get_object_address(was.address::json ->> 0,
        ARRAY(SELECT json_array_elements_text(was.address::json -> 1)),
        ARRAY(SELECT json_array_elements_text(was.address::json -> 2)));
    EXCEPTION WHEN undefined_object OR undefined_table OR undefined_column OR undefined_function
      OR invalid_schema_name THEN
      CONTINUE;
    END;
    SELECT {_TEXT} AS text, {_CALLS} AS calls INTO now;
    SELECT string_agg(name, ', ') INTO called FROM (SELECT json_array_elements_text(now.calls)
      EXCEPT SELECT json_array_elements_text(was.calls::json)) AS more(name);
    IF called IS NOT NULL THEN
      RAISE EXCEPTION USING MESSAGE =
        format('made anew, %s would call %s, which it did not before', was.title, called);
    ELSIF NOT ADAPTED AND now.text IS DISTINCT FROM was.text THEN
      SELECT string_agg(line, ' ') INTO gone FROM (SELECT unnest(string_to_array(was.text, E'\\n'))
        EXCEPT ALL SELECT unnest(string_to_array(now.text, E'\\n'))) AS lines(line);
      SELECT string_agg(line, ' ') INTO come FROM (SELECT unnest(string_to_array(now.text, E'\\n'))
        EXCEPT ALL SELECT unnest(string_to_array(was.text, E'\\n'))) AS lines(line);
      RAISE EXCEPTION USING MESSAGE =
        format('made anew, %s would no longer be what it was: %s became %s', was.title, gone, come);
    END IF;
  END LOOP;
END"""
