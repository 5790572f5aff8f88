"""Natural spellings that PostgreSQL rewrites: what is equal stays, what differs is seen."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.conftest import Deploy, outcomes

SETUP = """
CREATE SCHEMA lab;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE TYPE lab.hue AS ENUM ('red', 'blue');
CREATE TYPE spot AS (x integer, y integer);
CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE SEQUENCE lab.tickets;
CREATE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION lab.twice(a integer, b text DEFAULT 'x') RETURNS integer
  LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
CREATE FUNCTION allowed(integer) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 > 0';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE tenants (id integer PRIMARY KEY, login text, "Name" text);
"""

# A table of its own for each case, so that none disturbs another.
COLUMNS = """
  id bigint, tenant integer, code varchar(20), free varchar, name text, mood mood, hue lab.hue,
  price numeric(10,2), share percent, tags text[], nums integer[], doc jsonb, at timestamptz,
  day date, local timestamp, during tstzrange, span int4range, ip inet, uid uuid, flag boolean,
  fixed char(4), ratio double precision, small smallint, wait interval, raw bytea, c_name text
  COLLATE "C", spot spot, "Odd Name" text, "select" integer, owner_name name
"""

DEFAULTS = [
    ("integer", "1+1"),
    ("integer", "- 5"),
    ("integer", "'7'"),
    ("integer", "lab.twice(2)"),
    ("integer", "lab.twice(b => 'y', a => 3)"),
    ("bigint", "nextval('lab.tickets')"),
    ("bigint", "nextval('lab.tickets'::regclass)"),
    ("smallint", "7::smallint"),
    ("numeric(10,2)", "0"),
    ("numeric(10,2)", "1.50"),
    ("numeric", "1e3"),
    ("real", "'1.5'"),
    ("boolean", "TRUE"),
    ("boolean", "'f'"),
    ("boolean", "1 = 1"),
    ("text", "'it''s'"),
    ("text", "E'tab\\t'"),
    ("text", "$$dollars$$"),
    ("text", "'a' || 'b' || current_user"),
    ("text", "NULL"),
    ("text", "(NULL)::varchar::text"),
    ("text", "slug('A')"),
    ("text", "public.slug('A')"),
    ("text", "current_setting('app.who', true)"),
    ("text", "CURRENT_USER"),
    ("text", "concat_ws('-', 'a', 'b')"),
    ("text", "substring('abcdef' from 2 for 3)"),
    ("text", "overlay('abc' placing 'x' from 2)"),
    ("text", "trim(both ' ' from ' a ')"),
    ("text", "CASE WHEN true THEN 'a' ELSE 'b' END"),
    ("text", "coalesce(current_setting('app.x', true), '')"),
    ("text", "'a' -- a remark"),
    ("varchar(20)", "'new'"),
    ("varchar(20)", "'new'::text"),
    ("varchar(20)", "NULL"),
    ("varchar", "'plain'::varchar"),
    ("char(4)", "'ab'"),
    ("name", "'ab'"),
    ('"char"', "'a'"),
    ("text[]", "'{}'"),
    ("text[]", "ARRAY[]::text[]"),
    ("text[]", "array['a','b']"),
    ("integer[]", "'{1,2}'"),
    ("jsonb", "'{}'"),
    ("jsonb", "'[]'::jsonb"),
    ("jsonb", "jsonb_build_object('a', 1)"),
    ("json", "'{\"a\": [1]}'"),
    ("uuid", "gen_random_uuid()"),
    ("timestamptz", "now()"),
    ("timestamptz", "CURRENT_TIMESTAMP"),
    ("timestamptz", "now() + interval '1 hour'"),
    ("timestamptz", "now() + '1 hour'::interval"),
    ("timestamptz", "'2025-01-01 00:00:00+00'"),
    ("timestamptz", "'infinity'"),
    ("timestamptz(3)", "now()"),
    ("timestamp", "now() AT TIME ZONE 'utc'"),
    ("timestamp", "timezone('utc'::text, now())"),
    ("date", "CURRENT_DATE + 7"),
    ("date", "'2025-11-01'"),
    ("time", "LOCALTIME"),
    ("interval", "'90 minutes'"),
    ("interval", "INTERVAL '1' DAY"),
    ("mood", "'ok'"),
    ("mood", "'ok'::mood"),
    ("lab.hue", "'red'"),
    ("lab.hue[]", "ARRAY['red']::lab.hue[]"),
    ("percent", "50"),
    ("spot", "ROW(1, 2)"),
    ("int4range", "'[1,5)'"),
    ("inet", "'10.0.0.1'"),
    ("bytea", "'\\xdead'"),
    ("bit(4)", "B'0101'"),
    ("bit varying(8)", "'101'"),
    ("regclass", "'tenants'::regclass"),
    ("money", "'1.00'"),
    ("tsvector", "to_tsvector('simple', 'a')"),
    ("point", "'(1,2)'"),
]

CHECKS = [
    "code IN ('a', 'b')",
    "code NOT IN ('a','b')",
    "free in ('a','b')",
    "free = any (array['a','b'])",
    "name <> ''",
    "name != ''",
    "mood = 'ok'",
    "mood in ('ok', 'glad')",
    "hue <> 'red'",
    "tenant IN (1,2,3)",
    "tenant BETWEEN 1 AND 9",
    "price NOT BETWEEN 0 AND 1.5",
    "price >= 0 AND price < 100 AND tenant > 0",
    "(price >= 0 OR tenant > 0) AND flag",
    "NOT flag",
    "flag IS NOT TRUE",
    "flag = true",
    "name IS NOT DISTINCT FROM code",
    "name LIKE 'a%'",
    "name NOT ILIKE '%b'",
    "name SIMILAR TO 'a+'",
    "name ~ '^[a-z]+$'",
    "name !~* 'x'",
    "length(trim(name)) > 0",
    "char_length(code) <= 20",
    "position('@' in name) > 1",
    "extract(year from at) >= 2000",
    "date_part('year', at) >= 2000",
    "at > '2020-01-01'",
    "day > DATE '2020-01-01'",
    "at AT TIME ZONE 'utc' > '2020-01-01'",
    "wait > '1 day'",
    "wait < interval '2' hour",
    "cardinality(tags) < 5",
    "tags @> '{a}'",
    "tags <@ array['a','b']",
    "'a' = ANY (tags)",
    "nums[1] > 0",
    "array_length(nums, 1) = 2",
    "doc ? 'k'",
    "doc->>'k' = 'v'",
    "doc #>> '{a,b}' IS NULL",
    "(doc->>'n')::int > 0",
    "jsonb_typeof(doc) = 'object'",
    "span @> 5",
    "NOT isempty(during)",
    "ip << '10.0.0.0/8'",
    "uid <> '00000000-0000-0000-0000-000000000000'",
    "fixed = 'ab'",
    "ratio > 1e-3",
    "ratio::numeric(10,2) > 0",
    "cast(price as integer) % 2 = 0",
    "small > 0",
    "price > 0::numeric",
    "share > 5",
    "slug(name) = name",
    "lab.twice(tenant) < 100",
    "lab.twice(b => 'z', a => tenant) < 100",
    "(spot).x > 0",
    "spot IS DISTINCT FROM ROW(1,2)::spot",
    "(tenant, small) = (1, 2)",
    "ROW(tenant, small) > ROW(1, 2)",
    "num_nonnulls(name, code) = 1",
    "(name IS NULL) <> (code IS NULL)",
    "coalesce(name, code, '') <> ''",
    "nullif(name, '') IS NOT NULL",
    "greatest(tenant, small, 1) < 10",
    "CASE WHEN flag THEN price = 0 ELSE price > 0 END",
    "CASE mood WHEN 'ok' THEN true ELSE false END",
    "name COLLATE \"C\" > 'a'",
    "c_name > 'a'",
    "\"Odd Name\" <> ''",
    '"select" > 0',
    "owner_name <> 'x'",
    "raw <> '\\x00'",
    "name = E'a\\nb'",
    "substring(name, 1, 3) = 'abc'",
    "tenant + 1 * 2 > - 3",
    "(tenant + 1) * 2 > 3",
    "2 ^ 3 > tenant",
    "tenant # 1 = 0",
    "tenant::text = '1'",
    "'2025-01-01'::date < day",
    "mood::text LIKE 'o%'",
    "true",
    "(((tenant > 0)))",
    "tenant > 0 /* a remark */",
    "tenant > 0 -- a remark",
    "tenant>0 and(flag)",
    "(name is null) = flag",
    "name || code <> 'ab'",
    "name IS NFC NORMALIZED",
]

GENERATED = [
    ("text", "lower(name) || code"),
    ("text", "name || ' ' || coalesce(code, '')"),
    ("integer", "tenant*2"),
    ("numeric", "price * 1.19"),
    ("boolean", "mood IN ('ok','glad')"),
    ("varchar(5)", "code"),
    ("text", "(doc->>'k')"),
    ("tsvector", "to_tsvector('simple', coalesce(name,''))"),
    ("date", "(at AT TIME ZONE 'utc')::date"),
    ("text", "slug(name)"),
]

INDEXES: list[tuple[list[str], dict[str, Any]]] = [
    (["tenant", "at DESC"], {}),
    (["at DESC NULLS LAST", "tenant ASC NULLS FIRST"], {}),
    (["lower(name)"], {}),
    (["lower(code)", "tenant"], {"unique": True}),
    (["(name || code)"], {}),
    (["(doc->>'k')"], {}),
    (["((doc->>'n')::int) DESC"], {}),
    (["coalesce(tenant, -1)"], {}),
    (["slug(name)"], {"where": "flag"}),
    (["tenant"], {"where": "mood IN ('ok','glad')"}),
    (["tenant"], {"where": "at IS NULL and code in ('a','b')"}),
    (["tenant"], {"where": "code = 'a' OR name <> 'b'"}),
    (["name text_pattern_ops"], {}),
    (["name text_ops"], {}),
    (["code varchar_pattern_ops"], {}),
    (["code varchar_ops"], {}),
    (['name COLLATE "C"'], {}),
    (['name COLLATE "C" text_pattern_ops DESC'], {}),
    (["c_name"], {}),
    (["lower(c_name)"], {}),
    (['lower(name) COLLATE "C"'], {}),
    (['(name COLLATE "C")'], {}),
    (["owner_name"], {}),
    (["(owner_name || 'x')"], {}),
    (["doc"], {"method": "gin"}),
    (["doc jsonb_path_ops"], {"method": "gin"}),
    (["tags"], {"method": "GIN"}),
    (["during"], {"method": "gist"}),
    (["span range_ops"], {"method": "gist"}),
    (["at"], {"method": "brin"}),
    (["tenant"], {"method": "hash"}),
    (["tenant", "code"], {"unique": True, "include": ["name", "price"]}),
    (["tenant"], {"unique": True, "nulls_not_distinct": True}),
    (['"Odd Name"', '"select" DESC'], {}),
    (["to_tsvector('simple', name)"], {"method": "gin"}),
    (["date_trunc('day', local)"], {}),
    (["cast(price as integer)"], {}),
    (["extract(year from local)"], {}),
    (["tenant"], {"where": "(at AT TIME ZONE 'utc') > '2020-01-01'"}),
    (["(tenant IS NULL)"], {}),
    (["(CASE WHEN flag THEN tenant END)"], {}),
]

POLICIES: list[dict[str, str]] = [
    {"using": "tenant = current_setting('app.tenant')::int"},
    {"using": "tenant = (SELECT current_setting('app.tenant', true)::int)"},
    {"using": "allowed(tenant)"},
    {"using": "tenant IN (SELECT id FROM tenants WHERE login = current_user)"},
    {"using": "EXISTS (SELECT 1 FROM tenants t WHERE t.id = tenant)"},
    {"using": "exists(select from public.tenants where tenants.login = session_user)"},
    {"using": "tenant = (select max(id) from tenants)"},
    {"using": "true"},
    {"using": "mood in ('ok','glad') or flag"},
    {"using": "pg_has_role(current_user, 'pg_monitor', 'member')"},
    {"command": "INSERT", "check": "price > 0 AND tenant in (select id from tenants)"},
    {"command": "UPDATE", "using": "flag", "check": "not flag"},
    {"command": "DELETE", "using": "at < now() - interval '1 day'"},
    {"command": "SELECT", "using": "tenant = any (array(select id from tenants))"},
    {"using": "(WITH w AS (SELECT id FROM tenants) SELECT count(*) FROM w) > 0"},
    {"using": 'name = (select "Name" from tenants where id = tenant limit 1)'},
    {"using": "(select count(*) from tenants group by login having count(*) > 1 limit 1) > 0"},
    {"using": "tenant IN (SELECT a.id FROM tenants a JOIN tenants b USING (id))"},
]

TRIGGERS: list[dict[str, Any]] = [
    {"when": "BEFORE INSERT OR UPDATE"},
    {"when": "before update or insert"},
    {"when": "AFTER DELETE OR UPDATE OR INSERT"},
    {"when": "AFTER UPDATE OF name, code"},
    {"when": 'AFTER UPDATE OF "Odd Name"'},
    {"when": "BEFORE TRUNCATE", "for_each": "STATEMENT"},
    {"when": "BEFORE UPDATE", "condition": "OLD.* IS DISTINCT FROM NEW.*"},
    {"when": "BEFORE UPDATE", "condition": "old.name is distinct from new.name"},
    {"when": "BEFORE UPDATE", "condition": "NEW.mood IN ('ok','glad') AND NOT OLD.flag"},
    {"when": "BEFORE INSERT", "condition": "new.code in ('a', 'b')"},
    {"when": "BEFORE INSERT", "condition": "pg_trigger_depth() = 0"},
    {"when": "BEFORE DELETE", "condition": "old.price > 5"},
    {"when": "BEFORE UPDATE", "condition": "(NEW.name IS NULL)"},
    {"when": "BEFORE UPDATE", "condition": 'NEW."Odd Name" <> OLD."Odd Name"'},
    {"when": "AFTER INSERT", "referencing": "NEW TABLE AS added", "for_each": "STATEMENT"},
    {
        "when": "AFTER UPDATE",
        "referencing": "NEW TABLE AS added OLD TABLE AS gone",
        "for_each": "statement",
    },
    {"when": "BEFORE UPDATE", "function": "suppress_redundant_updates_trigger()"},
    {"when": "BEFORE INSERT", "function": "touched('a', 1, 2.5)"},
    {"when": "BEFORE INSERT", "function": "public.touched('it''s')"},
]

ARGUMENTS = [
    "a integer DEFAULT 1+1",
    "a text = 'x'",
    "a text default 'x'::varchar, b integer default -1",
    "a mood DEFAULT 'ok', b lab.hue DEFAULT 'red'",
    "a timestamptz DEFAULT now(), b interval DEFAULT '1 hour'",
    "a text[] DEFAULT ARRAY['a','b'], VARIADIC b integer[] DEFAULT '{}'",
    "a jsonb DEFAULT '{}', b boolean DEFAULT true",
    "a varchar(10) DEFAULT 'x'",
    "a numeric(10,2) DEFAULT 0",
    "a uuid DEFAULT gen_random_uuid()",
    "a text DEFAULT coalesce(NULL, 'b, c'), b text DEFAULT ')'",
    "IN a integer, b integer DEFAULT lab.twice(2)",
    "tenants, integer DEFAULT 5",
    '"My Arg" integer, "select" text DEFAULT \'x\'',
    "a text DEFAULT NULL",
    "a int4range DEFAULT '[1,2)'",
]


def table(name: str, extra: str = "") -> str:
    return f"CREATE TABLE {name} ({COLUMNS}{extra});\n"


def equal_deploy() -> str:
    """Every spelling as a declaration of its own, with a name that says which it is."""
    lines = []
    for i, (type_, text) in enumerate(DEFAULTS):
        lines.append(f"pg.table('d{i}', [pg.Column('x', {type_!r}, default={text!r})])")
    for i, text in enumerate(CHECKS):
        lines.append(f"pg.table('c{i}', constraints=[pg.Check({text!r})])")
    for i, (type_, text) in enumerate(GENERATED):
        lines.append(f"pg.table('g{i}', [pg.Column('x', {type_!r}, generated={text!r})])")
    for i, (elements, rest) in enumerate(INDEXES):
        lines.append(f"pg.index('i{i}', 't', {elements!r}, **{rest!r})")
    for i, rest in enumerate(POLICIES):
        lines.append(f"pg.policy('p{i}', 't', **{rest!r})")
    for i, rest in enumerate(TRIGGERS):
        given = {"function": "touched()", **rest}
        lines.append(f"pg.trigger('t{i}', 't', **{given!r})")
    for i, text in enumerate(ARGUMENTS):
        lines.append(f"pg.function('f{i}', arguments={text!r}, returns='integer', body='SELECT 1')")
    return "with pg.transaction():\n" + "".join(f"    {line}\n" for line in lines)


def existing() -> str:
    """The tables that the declarations of `equal_deploy` are about."""
    tables = [table("t")]
    tables += [table(f"c{i}") for i in range(len(CHECKS))]
    tables += [table(f"g{i}") for i in range(len(GENERATED))]
    return SETUP + "".join(tables)


def test_what_a_deploy_made_from_natural_spellings_is_as_declared(deploy: Deploy) -> None:
    deploy.database.psql(existing())
    deploy.apply(equal_deploy())


def by_plain_sql() -> str:
    """The same objects as `equal_deploy` makes, made by the user's own SQL."""
    script = SETUP + table("t")
    for i, (type_, text) in enumerate(DEFAULTS):
        script += f"CREATE TABLE d{i} (x {type_} DEFAULT ({text}\n));\n"
    for i, text in enumerate(CHECKS):
        script += table(f"c{i}", f", CHECK ({text}\n)")
    for i, (type_, text) in enumerate(GENERATED):
        script += table(f"g{i}", f", x {type_} GENERATED ALWAYS AS ({text}) STORED")
    for i, (elements, rest) in enumerate(INDEXES):
        unique = "UNIQUE" if rest.get("unique") else ""
        include = f"INCLUDE ({', '.join(rest['include'])})" if "include" in rest else ""
        nulls = "NULLS NOT DISTINCT" if "nulls_not_distinct" in rest else ""
        where = f"WHERE {rest['where']}" if "where" in rest else ""
        script += (
            f"CREATE {unique} INDEX i{i} ON t USING {rest.get('method', 'btree')} "
            f"({', '.join(elements)}) {include} {nulls} {where};\n"
        )
    for i, rest in enumerate(POLICIES):
        using = f"USING ({rest['using']})" if "using" in rest else ""
        check = f"WITH CHECK ({rest['check']})" if "check" in rest else ""
        script += f"CREATE POLICY p{i} ON t FOR {rest.get('command', 'ALL')} {using} {check};\n"
    for i, rest in enumerate(TRIGGERS):
        referencing = f"REFERENCING {rest['referencing']}" if "referencing" in rest else ""
        condition = f"WHEN ({rest['condition']})" if "condition" in rest else ""
        script += (
            f"CREATE TRIGGER t{i} {rest['when']} ON t {referencing} "
            f"FOR EACH {rest.get('for_each', 'ROW')} {condition} "
            f"EXECUTE FUNCTION {rest.get('function', 'touched()')};\n"
        )
    for i, text in enumerate(ARGUMENTS):
        script += f"CREATE FUNCTION f{i}({text}) RETURNS integer LANGUAGE sql AS 'SELECT 1';\n"
    return script


def test_what_plain_sql_made_from_natural_spellings_is_as_declared(deploy: Deploy) -> None:
    deploy.database.psql(by_plain_sql())
    deploy.project.deploy(equal_deploy())
    deploy.unchanged()


# (kind, stored, declared): they look alike, and are not the same.
DIFFERENT: list[tuple[str, str, str]] = [
    ("check", "code IN ('a', 'b')", "code IN ('a', 'c')"),
    ("check", "code IN ('a', 'b')", "code IN ('b', 'a')"),
    ("check", "code = 'a'", "code::varchar(1) = 'a'"),
    ("check", "fixed = 'a'", "fixed::text = 'a'"),
    ("check", "name = 'a'", "name = 'A'"),
    ("check", "name = 'a b'", "name = 'a  b'"),
    ("check", "price::integer > 0", "price::bigint > 0"),
    ("check", "price > 0", "price >= 0"),
    ("check", "tenant + 1 * 2 > 0", "(tenant + 1) * 2 > 0"),
    ("check", "flag AND (name = '' OR code = '')", "(flag AND name = '') OR code = ''"),
    ("check", "flag", "flag IS TRUE"),
    ("check", "name LIKE 'a%'", "name ILIKE 'a%'"),
    ("check", "slug(name) = name", "lower(name) = name"),
    ("check", "at > '2020-01-01 00:00+00'", "at > '2020-01-01 00:00+01'"),
    ("check", "name > 'a'", "name COLLATE \"C\" > 'a'"),
    ("check", "mood = 'ok'", "mood::text = 'ok'"),
    ("check", "name IS DISTINCT FROM code", "name <> code"),
    ("check", "nums[1] > 0", "nums[2] > 0"),
    ("check", "tenant > 0", '"select" > 0'),
    ("check", "ratio > 0.1", "ratio > 0.10001"),
    ("check", "wait > '1 day'", "wait > '24:00:01'"),
    ("default integer", "1", "2"),
    ("default integer", "1", "'01'::integer + 0"),
    ("default text", "'a'", "'A'"),
    ("default text", "'a'", "E'a\\n'"),
    ("default text", "''", "NULL"),
    ("default text", "lower('A')", "slug('A')"),
    ("default text[]", "'{}'", "'{NULL}'"),
    ("default jsonb", "'{}'", "'[]'"),
    ("default timestamptz", "now()", "clock_timestamp()"),
    ("default timestamptz", "now()", "now()::date"),
    ("default timestamptz", "now() + '1 hour'", "now() + '1 day'"),
    ("default mood", "'ok'", "'sad'"),
    ("default varchar(20)", "'a'", "'b'"),
    ("default bigint", "nextval('lab.tickets')", "nextval('lab.tickets') + 1"),
    ("index", "(name)", "name text_pattern_ops"),
    ("index", "(name)", 'name COLLATE "C"'),
    ("index", "(name)", "name DESC"),
    ("index", "(name)", "name NULLS FIRST"),
    ("index", "(name)", "code"),
    ("index", "(lower(name))", "lower(code)"),
    ("index", "(lower(name))", "upper(name)"),
    ("index", "(lower(name))", 'lower(name) COLLATE "C"'),
    ("index", '(lower(name) COLLATE "C")', "lower(name)"),
    ("index", '(name COLLATE "C")', "name"),
    ("index", "(name text_pattern_ops)", "name"),
    ("index", "((doc->>'a'))", "(doc->>'b')"),
    ("predicate", "tenant > 0", "tenant > 1"),
    ("predicate", "mood = 'ok'", "mood <> 'ok'"),
    ("policy", "tenant = 1", "tenant = 2"),
    ("policy", "tenant IN (SELECT id FROM tenants)", "tenant IN (SELECT t.id FROM tenants t)"),
    ("policy", "name = current_user", "name = session_user"),
    ("trigger", "NEW.flag", "OLD.flag"),
    ("trigger", "NEW.name IS DISTINCT FROM OLD.name", "NEW.name <> OLD.name"),
    ("argument integer", "1", "2"),
    ("argument text", "'a'", "'a '"),
    ("argument mood", "'ok'", "'sad'"),
]


def _different(number: int, kind: str, stored: str, declared: str) -> tuple[str, str]:
    """The SQL that makes one, and the operation that declares another."""
    name = f"x{number}"
    what, _, type_ = kind.partition(" ")
    match what:
        case "check":
            return (
                table(name, f", CONSTRAINT k{number} CHECK ({stored})"),
                f"pg.table({name!r}, constraints=[pg.Check({declared!r}, name='k{number}')], ",
            )
        case "default":
            return (
                f"CREATE TABLE {name} (x {type_} DEFAULT {stored});\n",
                f"pg.table({name!r}, [pg.Column('x', {type_!r}, default={declared!r})], ",
            )
        case "index":
            return (
                table(name) + f"CREATE INDEX k{number} ON {name} {stored};\n",
                f"pg.index('k{number}', {name!r}, [{declared!r}], ",
            )
        case "predicate":
            return (
                table(name) + f"CREATE INDEX k{number} ON {name} (tenant) WHERE {stored};\n",
                f"pg.index('k{number}', {name!r}, ['tenant'], where={declared!r}, ",
            )
        case "policy":
            return (
                table(name) + f"CREATE POLICY p ON {name} USING ({stored});\n",
                f"pg.policy('p', {name!r}, using={declared!r}, ",
            )
        case "trigger":
            return (
                table(name) + f"CREATE TRIGGER g BEFORE UPDATE ON {name} FOR EACH ROW "
                f"WHEN ({stored}) EXECUTE FUNCTION touched();\n",
                f"pg.trigger('g', {name!r}, when='BEFORE UPDATE', function='touched()', "
                f"condition={declared!r}, ",
            )
        case "argument":
            return (
                f"CREATE FUNCTION {name}(a {type_} DEFAULT {stored}) RETURNS integer "
                "LANGUAGE sql AS 'SELECT 1';\n",
                f"pg.function({name!r}, arguments={f'a {type_} DEFAULT {declared}'!r}, "
                "returns='integer', body='SELECT 1', ",
            )
    pytest.fail(f"unknown kind {kind}")


def test_pairs_that_differ_are_told_apart_and_then_agree(deploy: Deploy) -> None:
    made, declared = "", ""
    for number, case in enumerate(DIFFERENT):
        sql, operation = _different(number, *case)
        made += sql
        declared += f"    {operation}name='pair {number}')\n"
    deploy.database.psql(SETUP + made)
    run = deploy.apply("with pg.transaction():\n" + declared)
    seen = outcomes(run)
    overlooked = [case for n, case in enumerate(DIFFERENT) if seen[f"pair {n}"] != "Success"]
    assert overlooked == []
