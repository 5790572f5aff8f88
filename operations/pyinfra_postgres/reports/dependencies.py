"""What triggers, policies and functions need, and what needs functions.

An edge is known where the server keeps it (`pg_depend`), parsed where it stands in a body that the
server keeps as text, and unknown where a body puts its SQL together only when it runs. Bodies are
read and not shown. https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from attrs import Factory, define, field, frozen

from ..catalog.snapshot import USER_SCHEMA
from ..errors import DeclarationError
from ..hidden import within
from ..objects.code.settings import names_in
from ..plan.plan import Action
from ..planning.session import Draft
from ..syntax import plpgsql
from ..syntax.libpg_query import ParseError
from ..syntax.names import Name, literal
from ..syntax.parse import Reference, references, statement, statements
from .facts import Basis, Edge
from .survey import Ask

MOST = 5000
"""How many edges a report shows."""

_NAMED = f"""
    SELECT 'pg_class'::regclass AS classid, c.oid AS objid, false AS is_code,
           CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index'
                WHEN 'c' THEN 'type' ELSE 'table' END || ' ' || c.oid::regclass AS what
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, NOT EXISTS (SELECT FROM pg_depend e
             WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'),
           CASE prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
             || p.oid::regprocedure
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, true, format('trigger %I on %s', tgname,
             tgrelid::regclass)
      FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT tgisinternal AND tgparentid = 0 AND {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, true, format('policy %I on %s', polname,
             polrelid::regclass)
      FROM pg_policy p JOIN pg_class c ON c.oid = polrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, false, 'type ' || t.oid::regtype
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE typrelid = 0 AND typelem = 0 AND {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, false, format('constraint %I on %s', k.conname,
             CASE conrelid WHEN 0 THEN contypid::regtype::text ELSE conrelid::regclass::text END)
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, false, format('default of %s.%I', c.oid::regclass,
             attname)
      FROM pg_attrdef d JOIN pg_attribute a ON (attrelid, attnum) = (adrelid, adnum)
      JOIN pg_class c ON c.oid = adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid, false, 'view ' || ev_class::regclass
      FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE rulename = '_RETURN' AND {USER_SCHEMA}"""
_KNOWN = f"""
    WITH named AS MATERIALIZED ({_NAMED})
    SELECT json_build_array(source, target) FROM (
      SELECT a.what AS source, b.what AS target
        FROM pg_depend d
        JOIN named a ON (a.classid, a.objid) = (d.classid, d.objid)
        JOIN named b ON (b.classid, b.objid) = (d.refclassid, d.refobjid)
       WHERE (a.is_code OR b.is_code) AND d.deptype IN ('n', 'a')
      UNION
      SELECT a.what, 'role ' || refobjid::regrole
        FROM pg_shdepend s JOIN named a ON (a.classid, a.objid) = (s.classid, s.objid)
       WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND a.is_code AND s.deptype = 'r') AS edge
     WHERE source <> target ORDER BY source, target LIMIT {MOST}"""
_BODIES = f"""
    SELECT json_build_array(CASE prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END
             || p.oid::regprocedure, l.lanname, p.prosrc,
             CASE WHEN l.lanname = 'plpgsql' THEN pg_get_functiondef(p.oid) END,
             (SELECT setting FROM unnest(proconfig) AS setting WHERE setting LIKE 'search_path=%'),
             (SELECT json_agg(name) FROM pg_trigger, unnest(ARRAY[tgoldtable, tgnewtable]) AS name
               WHERE tgfoid = p.oid AND name IS NOT NULL))
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_language l ON l.oid = prolang
     WHERE {USER_SCHEMA} AND prosqlbody IS NULL AND prokind IN ('f', 'p', 'w')
       AND NOT EXISTS (SELECT FROM pg_depend e
             WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
     ORDER BY 1::text"""
_NAMES = f"""
    SELECT json_build_array('table', n.nspname, c.relname, CASE relkind WHEN 'v' THEN 'view '
             WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END
             || c.oid::regclass)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE relkind NOT IN ('i', 'I', 'c') AND {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array('function', n.nspname, p.proname, CASE prokind
             WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
             || p.oid::regprocedure)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array('type', n.nspname, t.typname, 'type ' || t.oid::regtype)
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE typelem = 0 AND {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array('schema', n.nspname, '', '') FROM pg_namespace n WHERE {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array('role', '', rolname, 'role ' || oid::regrole) FROM pg_roles"""
_OWN = frozenset({"pg_catalog", "information_schema", "pg_temp"})


@frozen
class _Code:
    """What has a body that the server keeps as text."""

    title: str
    language: str
    text: str
    """The body itself; of PL/pgSQL the statement that creates it."""
    path: tuple[str, ...] = ("public",)
    """What is searched for names without a schema."""
    ignore: tuple[str, ...] = ()
    """Names that are no tables."""


@define
class _Names:
    """What a database has, by kind, schema and name."""

    known: dict[tuple[str, str, str], list[str]] = Factory(dict)
    schemas: set[str] = Factory(set)
    built_in: set[str] = Factory(set)
    """Functions of PostgreSQL's own, as far as somebody has asked."""
    coming: dict[Reference, str] = field(factory=dict)
    """What a plan makes, with its titles."""

    def target(self, one: Reference, path: Sequence[str]) -> tuple[str, str] | None:
        """What a reference is to, and what is to be said of that; None for PostgreSQL's own."""
        schema, name = one.name
        if schema in _OWN or (not schema and name in self.built_in):
            return None
        # Without a schema a table is read as one of public.
        places = path if schema in {"", "public"} and one.kind != "role" else (schema,)
        for place in dict.fromkeys((*places, schema or "public")):
            found = self.known.get((one.kind, place, name))
            if found is None and one.kind == "type":
                found = self.known.get(("table", place, name))
            if found:
                several = f"one of {len(found)} of that name" if len(found) > 1 else ""
                return (str(one) if several else found[0]), several
        for place in places:
            coming = self.coming.get(Reference(one.kind, Name(place, name)))
            if coming:
                return coming, "not there yet: the deploy makes it"
        return str(one), "not there"


def edges(ask: Ask, drafts: Iterable[Draft] = ()) -> tuple[Edge, ...]:
    """The edges of what a database has, and of what deploys would create in it."""
    names = _Names()
    for kind, schema, name, what in ask(_NAMES):
        if kind == "schema":
            names.schemas.add(schema)
        else:
            names.known.setdefault((kind, schema, name), []).append(what)
    read = [(code, _read(code, names.schemas)) for code in map(_stored, ask(_BODIES))]
    for draft in drafts:
        read += _planned(draft, names)
    names.built_in = _built_in(ask, [ref for _, body in read for ref in body.references])
    found = {Edge(source, target, Basis.KNOWN) for source, target in ask(_KNOWN)}
    for code, body in read:
        found |= set(_resolved(code, body, names))
    return tuple(sorted(found, key=lambda one: (one.source, one.basis.value, one.target)))[:MOST]


def _stored(row: Sequence[Any]) -> _Code:
    title, language, source, definition, path, ignore = row
    found = names_in(path.partition("=")[2]) if path else ["public"]
    return _Code(title, language, definition or source, tuple(found), tuple(ignore or ()))


@define
class _Body:
    """What a body names, and what of it nobody knows."""

    references: list[Reference] = Factory(list)
    unknown: list[str] = Factory(list)


def _read(code: _Code, schemas: Iterable[str]) -> _Body:
    if code.language == "sql":
        with suppress(DeclarationError):
            trees = list(statements(code.text))
            return _Body([*references(trees), *plpgsql.targets(trees)])
        return _Body(unknown=["its body is no SQL that can be read"])
    if code.language != "plpgsql":
        return _Body(unknown=[f"its body is in {code.language}, which is not read"])
    try:
        body = plpgsql.body(code.text, schemas, code.ignore)
    except (ParseError, DeclarationError):
        return _Body(unknown=["its body can't be read without the database"])
    dynamic = [f"EXECUTE in line {line} of its body" for line in body.dynamic]
    return _Body(body.references, dynamic)


def _planned(draft: Draft, names: _Names) -> Iterator[tuple[_Code, _Body]]:
    """What code a deploy would create, with what it needs."""
    created = {one.title: one for one in draft.plan.changes if one.action is Action.CREATE}
    for item in draft.turn:
        one = item.declaration
        if one.title not in created or not item.present:
            continue
        names.coming |= dict.fromkeys(one.provides(), one.title)
        sql = next((each.sql for each in created[one.title].statements if not within(each.sql)), "")
        kind, *options = _kind(sql)
        if kind not in _CODE:
            continue
        settings = getattr(one, "settings", None) or {}
        path = names_in(settings["search_path"]) if "search_path" in settings else ["public"]
        language, text = options or ("", "")
        code = _Code(one.title, language, text, tuple(path))
        body = _read(code, names.schemas) if options else _Body()
        required = (each for each in one.requires() if each.kind != "schema")
        yield code, _Body([*required, *body.references], body.unknown)


_CODE = frozenset({"CreateTrigStmt", "CreatePolicyStmt", "CreateFunctionStmt"})


def _kind(sql: str) -> tuple[str, ...]:
    """What a statement is; of one with a body that is text the language, and what is read of it."""
    try:
        ((kind, node),) = statement(sql).items()
    except (DeclarationError, ValueError):
        return ("",)
    options = {one["DefElem"]["defname"]: one["DefElem"] for one in node.get("options", ())}
    if kind != "CreateFunctionStmt" or "language" not in options or "as" not in options:
        return (kind,)
    language = options["language"]["arg"]["String"]["sval"]
    (source, *_) = options["as"]["arg"]["List"]["items"]
    text = source["String"].get("sval", "")
    return kind, language, sql if language == "plpgsql" else text


def _resolved(code: _Code, body: _Body, names: _Names) -> Iterator[Edge]:
    for one in body.references:
        found = names.target(one, code.path)
        if found and found[0] != code.title:
            yield Edge(code.title, found[0], Basis.PARSED, found[1])
    for note in body.unknown:
        yield Edge(code.title, "", Basis.UNKNOWN, note)


def _built_in(ask: Ask, every: Iterable[Reference]) -> set[str]:
    """Which of the functions without a schema are PostgreSQL's own."""
    wanted = {one.name.name for one in every if one.kind == "function" and not one.name.schema}
    if not wanted:
        return set()
    listed = ", ".join(map(literal, sorted(wanted)))
    return set(
        ask(
            "SELECT DISTINCT to_json(proname)::text FROM pg_proc "
            f"WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ({listed})"
        )
    )
