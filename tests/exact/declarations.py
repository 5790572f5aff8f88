"""Declarations that PostgreSQL rewrites when it stores them, and pairs that only look alike.

`§` stands for a number that makes the names in a declaration its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SETUP = """
CREATE SCHEMA lab;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE TYPE lab.hue AS ENUM ('red', 'blue');
CREATE TYPE spot AS (x integer, y integer);
CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE SEQUENCE lab.tickets;
CREATE COLLATION lab.plain (provider = libc, locale = 'C');
CREATE TYPE own;
CREATE FUNCTION own_in(cstring, oid, integer) RETURNS own
  LANGUAGE internal IMMUTABLE STRICT AS 'varcharin';
CREATE FUNCTION own_out(own) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
CREATE TYPE own (INPUT = own_in, OUTPUT = own_out, TYPMOD_IN = varchartypmodin,
  TYPMOD_OUT = varchartypmodout, LIKE = varchar);
CREATE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION lab.twice(a integer, b text DEFAULT 'x') RETURNS integer
  LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
CREATE FUNCTION same_number(integer, integer) RETURNS boolean
  LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = same_number);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE tenants (id integer PRIMARY KEY, login text, "Name" text);
CREATE TABLE t (
  id bigint PRIMARY KEY, tenant integer, code varchar(20), free varchar, name text, mood mood,
  hue lab.hue, price numeric(10,2), share percent, tags text[], nums integer[], doc jsonb,
  at timestamptz, day date, local timestamp, during tstzrange, span int4range, ip inet, uid uuid,
  flag boolean, fixed char(4), ratio double precision, small smallint, wait interval, raw bytea,
  c_name text COLLATE "C", spot spot, "Odd Name" text, "select" integer, bits bit(8));
CREATE FUNCTION total(t) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT ($1).price';
CREATE TABLE lines (id integer PRIMARY KEY, t_id bigint, name text, amount integer);
CREATE TABLE source (tenant integer, small smallint, code varchar(20), name text, flag boolean,
  price numeric(10,2), doc jsonb, at timestamptz, mood mood, spot spot);
"""

DEFAULTS = [
    ("timestamptz", "date_trunc('day', now())"),
    ("timestamptz", "'epoch'"),
    ("timestamptz", "now() at time zone 'utc' at time zone 'utc'"),
    ("timestamp", "localtimestamp(0)"),
    ("time", "current_time::time"),
    ("time with time zone", "'12:00+02'"),
    ("date", "current_date - interval '1' month"),
    ("interval", "interval '1' year"),
    ("interval", "make_interval(days => 3)"),
    ("text", "upper('a')::varchar(3)"),
    ("text", "format('%s-%s', 'a', 1)"),
    ("text", "(array['a','b'])[1]"),
    ("text", "'x' collate \"C\""),
    ("text", "current_schema"),
    ("text", "md5(random()::text)"),
    ("text", "case when 1 = 1 then 'a' end"),
    ("text", "'a' || U&'\\0061'"),
    ("varchar(3)", "'abcdef'::varchar(3)"),
    ("name", "current_user"),
    ("char", "'a'"),
    ("integer", "greatest(1, 2)"),
    ("integer", "lab.twice(b := 'z', a := 1)"),
    ("integer", "2147483647"),
    ("integer", "-2147483648"),
    ("bigint", "9223372036854775807"),
    ("bigint", "1::bigint << 3"),
    ("bigint", "nextval('lab.tickets') * 10"),
    ("smallint", "'3'::smallint"),
    ("numeric(6,2)", "3.14159"),
    ("numeric", "'NaN'"),
    ("numeric", ".5"),
    ("float8", "'-infinity'"),
    ("float8", "pi() * 2"),
    ("float8", "1e-10"),
    ("boolean", "'a' in ('a', 'b')"),
    ("boolean", "not false"),
    ("integer[]", "array[1, 2] || 3"),
    ("text[]", "'{\"a b\",c}'"),
    ("text[]", "string_to_array('a,b', ',')"),
    ("mood[]", "array['ok']::mood[]"),
    ("mood", "'ok'::text::mood"),
    ("jsonb", '\'{"b": 1, "a": 2}\''),
    ("jsonb", "to_jsonb(array[1, 2])"),
    ("json", "'{}'::json"),
    ("oid", "'pg_class'::regclass"),
    ("regtype", "'int4'::regtype"),
    ("point", "point(1, 2)"),
    ("int4multirange", "'{[1,3), [5,7)}'"),
    ("cidr", "'10.0.0.0/8'"),
    ("macaddr", "'08:00:2b:01:02:03'"),
    ("bytea", "decode('00', 'hex')"),
    ("bit(8)", "X'0F'"),
    ("spot", "row(1, 2)"),
    ("spot", "'(1,2)'"),
    ("percent", "7"),
    ("percent", "'7'::percent"),
    ("own(7)", "'abc'"),
]

CHECKS = [
    "code in ('a')",
    "code in ('a', 'b', null)",
    "code = any ('{a,b}')",
    "tenant in (1, 2.5)",
    "tenant <> all (array[1, 2])",
    "name like any (array['a%', 'b%'])",
    "not (name = 'a')",
    "flag is unknown",
    "flag is not false",
    "tenant between symmetric 5 and 1",
    "name like 'a!%' escape '!'",
    "name similar to '[a-z]+' escape '!'",
    "(tenant, small) in ((1, 2), (3, 4))",
    "(tenant, small) is distinct from (1, 2)",
    "at::date > '2020-01-01'",
    "at between '2020-01-01' and '2030-01-01 12:00+02'",
    "(at, at) overlaps (at, interval '1 day')",
    "at + interval '1 day' > timestamptz 'epoch'",
    "timezone('utc', at) > 'epoch'",
    "at at time zone 'Europe/Berlin' > local",
    "day + 1 > '2020-01-01'",
    "day - date '2020-01-01' > 3",
    "extract(epoch from wait) < 10",
    "wait = interval '1-2'",
    "wait = '1 mon 2 days'",
    "left(name, 1) = 'a'",
    "trim(leading 'x' from name) <> ''",
    "overlay(name placing 'x' from 1 for 2) <> ''",
    "position('a' in name) = strpos(name, 'a')",
    "name ^@ 'a'",
    "name || 1 <> ''",
    "concat(name, 1) <> ''",
    "length(name)::bigint > 0",
    "name is normalized",
    "name collate lab.plain < 'b'",
    'code collate "C" < \'b\' collate "C"',
    "fixed <> 'x  '",
    "fixed::varchar = 'a'",
    "free in ('a', 'b') and code not in ('c')",
    "doc @? '$.a'",
    "doc->'a'->>0 = '1'",
    "doc['a'] is not null",
    "tags[1:2] = '{a,b}'",
    "tags || 'x'::text <> '{}'",
    "array[tenant, small] @> array[1]",
    "array_position(nums, 1) = 1",
    "spot = row(1, 2)::spot",
    "(spot).x + (spot).y > 0",
    "mood > 'sad'",
    "mood between 'sad' and 'ok'",
    "hue = any (array['red', 'blue']::lab.hue[])",
    "num_nulls(variadic array[name, code]) < 2",
    "ratio = 'NaN'",
    "price = 1e2",
    "price = 1.10",
    "price between 0 and 9.99",
    "small = 1::int2",
    "tenant = - (1)",
    "@ tenant > 1",
    "|/ ratio > 1",
    "tenant === 1",
    "tenant operator(public.===) 2",
    "nullif(tenant, 0) > 1",
    "least(tenant, 2) > 0",
    "lab.twice(tenant) > 0",
    "lab.twice(b => 'y', a => tenant) > 0",
    "total(t) > 0",
    "t.price > 0",
    "public.t.price > 0",
    "(t).price > 0",
    "t.* is not null",
    "ip between '10.0.0.1' and '10.0.0.9'",
    "uid::text <> ''",
    "bits = B'01010101'",
    "during @> now() or during is null",
    "upper(span) - lower(span) < 5",
    "share + 1 < 50",
    "case when flag then case mood when 'ok' then price end end > 0",
    "tenant > 0 and (tenant < 9 or (tenant > 20 and not flag))",
    "tenant > 0 or tenant < 9 and flag",
    "name is null and code is null or flag is null",
    "(name is not null)::int + (code is not null)::int = 1",
    "substring(name similar '%#\"a#\"%' escape '#') is null",
    "regexp_replace(name, '[^a-z]', '', 'g') = name",
    'tenant > 0 -- it\'s "quoted"',
    "/* ; */ tenant > 0",
    "name <> ';' and name <> E'\\'' and name <> $q$'$q$",
]

# By the first major version that has them.
NEWER_CHECKS = {
    16: ["name is json array", "0x1F > tenant", "1_000 > tenant"],
    17: ["json_exists(doc, '$.a')", "json_value(doc, '$.a' returning integer) > 0"],
    18: ["casefold(name) = name"],
}

GENERATED = [
    ("text", "coalesce(name, '') || '/' || coalesce(code, '')"),
    ("text", "case when flag then 'a' else code end"),
    ("integer", "(doc->>'n')::integer + tenant"),
    ("integer", "(spot).x"),
    ("numeric(12,4)", "price / 3"),
    ("bigint", "tenant"),
    ("varchar(2)", "code"),
    ("boolean", "mood in ('ok')"),
    ("timestamp", "at at time zone 'utc'"),
    ("text[]", "array[name, code]"),
    ("jsonb", "jsonb_set(doc, '{a,b}', '1')"),
]

INDEXES: list[tuple[list[str], dict[str, Any]]] = [
    (["lower(name) varchar_pattern_ops DESC NULLS LAST"], {}),
    (['lower(name) COLLATE "C" text_pattern_ops'], {}),
    (["name COLLATE lab.plain"], {}),
    (['c_name COLLATE "default"'], {}),
    (["(tenant + small)", "code DESC"], {}),
    (["(tenant)"], {}),
    (["coalesce(name, code)"], {}),
    (["greatest(tenant, small)"], {}),
    (["(name || ' ' || code) text_pattern_ops"], {}),
    (["total(t)"], {}),
    (["md5(name)"], {"unique": True, "where": "name is not null"}),
    (["(doc->'a'->>'b')", "((doc->>'n')::numeric)"], {}),
    (["(doc['a'])"], {"method": "gin"}),
    (["doc jsonb_path_ops"], {"method": "gin", "parameters": {"fastupdate": False}}),
    (["tags array_ops"], {"method": "gin", "parameters": {"gin_pending_list_limit": 256}}),
    (["span", "during"], {"method": "gist", "parameters": {"fillfactor": "90"}}),
    (["ip inet_ops"], {"method": "gist"}),
    (["name"], {"method": "spgist"}),
    (["at timestamptz_minmax_multi_ops"], {"method": "brin"}),
    (["at timestamptz_minmax_multi_ops(values_per_range=16)"], {"method": "brin"}),
    (["to_tsvector('simple', name) tsvector_ops (\"siglen\" = '64')"], {"method": "gist"}),
    (["at"], {"method": "brin", "parameters": {"pages_per_range": 32, "autosummarize": True}}),
    (["tenant"], {"parameters": {"fillfactor": 70, "deduplicate_items": "off"}}),
    (["tenant"], {"where": "mood in ('ok', 'glad') and not flag", "include": ["name"]}),
    (["tenant"], {"where": "code = any ('{a,b}')"}),
    (["tenant"], {"where": "(at at time zone 'utc')::date > '2020-01-01'"}),
    (["tenant"], {"where": "tenant === 1"}),
    (["date_trunc('month', local)"], {}),
    (["(at AT TIME ZONE 'utc')"], {}),
    (["(lower(name) || 'x') DESC", "id"], {"unique": True}),
    (["(name is null)", "(flag is true)"], {}),
    (["(row(tenant, small) = row(1, 2))"], {}),
    (["hashtext(name)"], {"method": "hash"}),
]

POLICIES: list[dict[str, Any]] = [
    {"using": "tenant = any (string_to_array(current_setting('app.t', true), ',')::int[])"},
    {"using": "tenant in (select id from tenants union select amount from lines)"},
    {"using": "tenant in (values (1), (2))"},
    {"using": "exists (select from lines l where l.t_id = t.id and l.name = t.name)"},
    {"using": "exists (select 1 from lines join tenants using (id) where lines.t_id = t.id)"},
    {"using": "(select count(*) filter (where amount > 1) from lines where t_id = t.id) > 0"},
    {"using": "tenant = (select max(x.id) from (select id from tenants order by 1 limit 3) x)"},
    {"using": "tenant in (select row_number() over (order by login) from tenants)"},
    {"using": "exists (select from t other where other.id = t.id and other.flag)"},
    {"using": "name = (select l.name from tenants, lateral (select name from lines) l limit 1)"},
    {"using": "(with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) "
              "select max(n) from r) = tenant"},
    {"using": "(tenant, name) in (select id, login from tenants)"},
    {"using": "tenant not in (select id from tenants)"},
    {"using": "current_user = 'a' or current_role = name or pg_has_role('pg_monitor', 'usage')"},
    {"using": "array(select id from tenants) @> array[tenant]"},
    {"command": "INSERT", "check": "price < (select sum(amount) from lines where t_id = t.id)"},
    {"command": "UPDATE", "using": "flag", "check": "flag is not true or tenant in (1, 2)"},
    {"command": "DELETE", "using": "now() - at > interval '1 day'", "permissive": False},
]  # fmt: skip

TRIGGERS: list[dict[str, Any]] = [
    {"when": "BEFORE UPDATE", "condition": "old is distinct from new"},
    {"when": "BEFORE UPDATE", "condition": "(old.name, old.code) is distinct from (new.name, "
                                           "new.code)"},
    {"when": "BEFORE UPDATE", "condition": "new.mood in ('ok', 'glad') or old.price > 1.5"},
    {"when": "AFTER UPDATE OF name, tenant", "condition": "new.code like 'a%' and not new.flag"},
    {"when": "BEFORE INSERT", "condition": "new.doc ? 'a' and (new.spot).x > 0"},
    {"when": "AFTER INSERT", "condition": "coalesce(new.name, '') <> '' -- why"},
    {"when": "AFTER INSERT OR DELETE", "constraint": True},
    {"when": "AFTER INSERT", "constraint": True, "initially_deferred": True,
     "condition": "new.code in ('a', 'b')"},
    {"when": "AFTER UPDATE", "constraint": True, "deferrable": True, "referenced": "tenants"},
]  # fmt: skip

FUNCTIONS: list[dict[str, str]] = [
    {"arguments": "a int", "returns": "int", "body": "return a + 1"},
    {"arguments": "a int", "returns": "int", "body": "RETURN (SELECT f§.a * 2)"},
    {"arguments": "a int", "returns": "int", "body": "-- why\nreturn a + 1 -- so"},
    {"arguments": "a int", "returns": "int", "body": "begin atomic select a; select a + 1; end"},
    {"arguments": "a text, b text default 'x'", "returns": "bool", "body": "return $1 in (b,'z')"},
    {"arguments": "m mood default 'ok', h lab.hue = 'red'", "returns": "bool",
     "body": "return m = 'ok' and h <> 'blue'"},
    {"arguments": "a text default null, b timestamptz default now() - interval '1 day'",
     "returns": "setof lines",
     "body": "begin atomic select * from lines where name = a or now() > b; end"},
    {"arguments": "a integer", "returns": "void",
     "body": "begin atomic insert into lines (id) values (a) on conflict (id) do update set "
             "amount = excluded.amount; delete from lines where id < a; end"},
    {"arguments": "out a integer, out b text",
     "body": "begin atomic select count(*)::int, string_agg(login, ',' order by id) from tenants; "
             "end"},
    {"arguments": "a integer", "returns": "table (x integer, y text)",
     "body": "begin atomic select id, login from tenants where id = a; end"},
    {"arguments": "variadic a integer[] default '{}'", "returns": "integer",
     "body": "return coalesce(a[1], 0)"},
    {"arguments": "p spot default row(1,2)", "returns": "integer", "body": "return p.x + (p).y"},
    {"arguments": "a integer default lab.twice(b => 'q', a => 2)", "returns": "integer",
     "body": "select a"},
    {"arguments": "a integer", "body": "begin atomic insert into lines (id) values (a); end",
     "kind": "procedure"},
    {"arguments": "a integer, inout b text default 'x'", "kind": "procedure",
     "body": "begin atomic update lines set name = b where id = a returning name; end"},
    {"arguments": "a text[] default array['x','y']", "kind": "procedure", "body": "select 1"},
]  # fmt: skip

VIEWS = [
    "select * from lines",
    "select l.*, t.name as t_name from lines l left join t on t.id = l.t_id",
    "select id, code from t where code in ('a', 'b') or mood = 'ok'",
    "select distinct on (tenant) tenant, id from t order by tenant, id desc",
    "select tenant, count(*), sum(price) filter (where flag) from t group by 1 having count(*) > 1",
    "select tenant, small, count(*) from t group by grouping sets ((tenant), (small), ())",
    "select id, lag(price) over w, rank() over (w rows 2 preceding) from t "
    "window w as (partition by tenant order by at)",
    "with x as materialized (select 1 as a), y(b) as (select 2) select * from x, y",
    "with recursive r(n) as (values (1) union all select n + 1 from r where n < 5) select n from r",
    "select id from t union all select id from lines except select 1 order by 1 limit 5 offset 2",
    "values (1, 'a'), (2, 'b')",
    "table lines",
    "select * from generate_series(1, 3) with ordinality as g(v, i)",
    "select a, b from unnest(array[1, 2], array['x', 'y']) as u(a, b)",
    "select x.* from jsonb_to_recordset('[]') as x(a int, b text)",
    "select (spot).*, (spot).x + 1 as z from t",
    "select t from t",
    "select total(t), t.total as again from t",
    "select id, (select name from lines where t_id = t.id limit 1) as first from t",
    "select * from t natural join lines",
    "select id, name from t full join lines using (id, name)",
    "select * from (lines join tenants on lines.id = tenants.id) as j(a, b, c, d, e, f, g)",
    "select l.id from t cross join lateral (select id from lines where t_id = t.id) l",
    "select id from t tablesample bernoulli (10)",
    "select id from t for update of t skip locked",
    "select case mood when 'ok' then 1 end, nullif(code, ''), coalesce(name, code) from t",
    "select at::date, at at time zone 'utc', extract(year from at), interval '1 day' from t",
    "select name collate \"C\" as c, 'x' as lit, null as nothing, true as yes from t",
    "select tags[1], tags[1:2] as a, array(select id from lines), doc->'a'->>'b', doc['k'] from t",
    "select \"Odd Name\", \"select\" from t as \"T\" order by \"Odd Name\" nulls first",
    "select string_agg(distinct name, ',' order by name), percentile_cont(0.5) within group "
    "(order by ratio) from t",
    "select lab.twice(b => 'q', a => tenant), slug(code), tenant === 1 as is_one from t",
    "select tenant in (1, 2) a, tenant between 1 and 2 b, name like 'a%' c, name ~* 'x' d from t",
    "select -- why\n id /* that */ from t -- end",
    "select xmin as x, ctid as c, tableoid::regclass as t from lines",
    "select * from pg_class where relname = 'x'",
    "select current_user, current_date, now(), localtimestamp, current_setting('a.b', true)",
    "select id from t where exists (select from lines where t_id = t.id) and id not in (select 1)",
    "select price::int as i, cast(price as text), price::numeric(4,1) n, 'ok'::mood::text from t",
]  # fmt: skip

# Type of the column, partition key, and what pg.partitions() takes.
PARTITIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("date", "range (k)", {"every": "month", "start": "2025-11", "default": True}),
    ("timestamptz", 'RANGE ("k")', {"every": "year", "start": "2025"}),
    ("timestamp(3)", "range(k timestamp_ops)", {}),
    ("text", 'list (k collate "C")', {}),
    ("text", "hash (k)", {}),
    ("text", "range (lower(k), (upper(k) || 'x'))", {}),
    ("text", "list ((k || 'x'))", {}),
    ("text", "range (k text_pattern_ops)", {}),
    ("mood", "list (k)", {}),
    ("timestamptz", "range (date_trunc('day', k at time zone 'utc'))", {}),
    ("timestamptz", "range (((k at time zone 'utc')::date))", {}),
    ("integer", "list ((k in (1, 2)))", {}),
]

DOMAINS: list[dict[str, Any]] = [
    {"type": "varchar(20)", "default": "'x'", "checks": ["value in ('x', 'y')", "VALUE <> ''"]},
    {"type": "text", "checks": "value ~ '^[a-z]+$' and length(VALUE) < 10", "nullable": False},
    {"type": "mood", "default": "'ok'", "checks": "value <> 'sad'"},
    {"type": "numeric(10,2)", "default": "0", "checks": "value between 0 and 1e3"},
    {"type": "timestamptz", "default": "now()", "checks": "value > '2000-01-01'"},
    {"type": "text[]", "default": "'{}'", "checks": "cardinality(value) < 5"},
    {"type": "jsonb", "checks": "value ? 'a' or jsonb_typeof(value) = 'null'"},
    {"type": "spot", "checks": "(value).x > 0"},
    {"type": "percent", "checks": "value % 2 = 0"},
    {"type": "int4", "default": "lab.twice(3)", "checks": "value = any ('{2,6}')"},
    {"type": "own(7)", "default": "'a'"},
    {"type": 'own("07")'},
    {"type": "varchar(4)", "default": "null"},
    {"type": "text", "default": "null::text"},
]

EXCLUSIONS: list[tuple[list[tuple[str, str]], dict[str, Any]]] = [
    ([("span", "&&")], {}),
    ([("during", "&&"), ("int4range(tenant, tenant, '[]')", "=")], {"initially_deferred": True}),
    ([("tenant", "=")], {"using": "btree", "where": "mood in ('ok', 'glad')"}),
    ([("lower(name)", "=")], {"using": "btree", "deferrable": True}),
    ([('name COLLATE "C"', "=")], {"using": "hash"}),
    ([("(tenant + 1)", "=")], {"using": "HASH", "where": "not flag and code like 'a%'"}),
    ([("int8range(id, id, '[]') range_ops", "OPERATOR(pg_catalog.&&)")], {"where": "tenant = -1"}),
    ([("(row(tenant, small) = row(1, 2))", "=")], {"using": "btree"}),
]

STATISTICS: list[tuple[list[str], dict[str, Any]]] = [
    (["tenant", "code"], {}),
    (["code", "tenant"], {"kinds": ["mcv", "dependencies"]}),
    (["lower(name)", "tenant"], {}),
    (["(tenant % 10)", "(code || 'x')", "flag"], {"kinds": "ndistinct"}),
    (["date_trunc('day', local)"], {}),
    (["(mood in ('ok', 'glad'))", "(price > 1.5)"], {}),
]

TYPES = [
    "int", "int4", "int8", "int2", "serial", "bigserial", "decimal(10)", "dec", "decimal(6, 2)",
    "float", "float(10)", "float(30)", "real", "double precision[]", "character varying(10)",
    "national character varying(5)", "nchar(3)", "char", "bpchar", '"char"', "character(4)[]",
    "timestamp(3) with time zone", "timestamp without time zone", "time", "timetz(2)",
    "interval day to second(3)", "interval(2)", "interval year to month", "bit varying", "bit",
    "bit(3)[]", "varbit(3)", "int[]", "integer array", "integer array[3]", "int[3]", "text[][]",
    "mood[]", "public.mood", "lab.hue", "pg_catalog.int8", "numeric(5, -2)", "name", "own",
    "own(7)", "own('7')", 'own("07")', "public.own(7)[]", "spot[]", "percent", "oid", "money",
    '"pg_catalog"."text"', '"timestamptz"', "int4multirange",
]  # fmt: skip


def equal(version: int) -> Iterator[str]:
    """All of them as declarations that a server of a major version understands."""
    for type_, text in DEFAULTS:
        yield f"pg.table('d§', [pg.Column('x', {type_!r}, default={text!r})])"
    newer = [text for since, texts in NEWER_CHECKS.items() if version >= since for text in texts]
    for text in [*CHECKS, *newer]:
        yield f"pg.table('t', constraints=[pg.Check({text!r}, name='k§')])"
    for type_, text in GENERATED:
        yield f"pg.table('source', [pg.Column('g§', {type_!r}, generated={text!r})])"
        # They may not use types of the user's own.
        if version >= 18 and "spot" not in text and "mood" not in text:
            virtual = f"pg.Column('g§', {type_!r}, generated={text!r}, virtual=True)"
            yield f"pg.table('source', [{virtual}])"
    for elements, rest in INDEXES:
        yield f"pg.index('i§', 't', {elements!r}, **{rest!r})"
    for rest in POLICIES:
        yield f"pg.policy('p§', 't', **{rest!r})"
    for rest in TRIGGERS:
        yield f"pg.trigger('g§', 't', function='touched()', **{rest!r})"
    for function in FUNCTIONS:
        yield f"pg.function('f§', **{function!r})"
    for query in VIEWS:
        yield f"pg.view('v§', {query!r})"
        if "for update" not in query:
            yield f"pg.materialized_view('m§', {query!r})"
    for type_, key, rest in PARTITIONS:
        key_column = f"[pg.Column('k', {type_!r})]"
        yield f"pg.table('r§', {key_column}, partition_by={key!r})"
        if rest:
            parent = f"parent_{rest['every']}"
            yield f"pg.table({parent!r}, {key_column}, partition_by={key!r})"
            yield f"pg.partitions({parent!r}, **{rest!r})"
    for rest in DOMAINS:
        yield f"pg.domain('o§', **{rest!r})"
    for pairs, rest in EXCLUSIONS:
        one = f"pg.Exclude(*{pairs!r}, name='x§', **{rest!r})"
        yield f"pg.table('t', constraints=[{one}])"
    for columns_, rest in STATISTICS:
        yield f"pg.statistics('s§', 't', {columns_!r}, **{rest!r})"
    for type_ in TYPES:
        yield f"pg.table('y§', [pg.Column('x', {type_!r})])"


# (a declaration, another one of the same name): they look alike, and are not the same. The
# first is there when the second is declared.
DIFFERENT = [
    *(
        (f"pg.table('d§', [pg.Column('x', {type_!r}, default={one!r})])",
         f"pg.table('d§', [pg.Column('x', {type_!r}, default={other!r})])")
        for type_, one, other in [
            ("text", "'a'", "'a' || ''"),
            ("text", "lower('A')", "upper('A')"),
            ("integer", "1", "1 + 0"),
            ("timestamptz", "now()", "statement_timestamp()"),
            ("timestamptz", "'2020-01-01 00:00+00'", "'2020-01-01 00:00+01'"),
            ("interval", "'1 day'", "'24 hours'"),
            ("jsonb", "'{\"a\": 1}'", "'{\"a\": \"1\"}'"),
            ("text[]", "array['a', 'b']", "array['b', 'a']"),
            ("mood", "'ok'", "'ok'::text::mood"),
            ("spot", "row(1, 2)", "row(2, 1)"),
            ("own(7)", "'a'", "'b'"),
        ]
    ),
    *(
        (f"pg.table('t', constraints=[pg.Check({one!r}, name='k§')])",
         f"pg.table('t', constraints=[pg.Check({other!r}, name='k§')])")
        for one, other in [
            ("tenant between 1 and 5", "tenant between symmetric 1 and 5"),
            ("tenant in (1, 2)", "tenant not in (1, 2)"),
            ("tenant = any (nums)", "tenant = all (nums)"),
            ("tenant === 1", "tenant = 1"),
            ("name like 'a%'", "name like 'a%' escape '!'"),
            ("name similar to 'a'", "name ~ 'a'"),
            ("name is not null or flag", "(name is null) is false and flag"),
            ("price > 1.10", "price > 1.1"),
            ("price > 1", "price > 1.0"),
            ("fixed = 'ab'", "fixed = 'ab '::text"),
            ("at > '2020-01-01'", "at::date > '2020-01-01'"),
            ("code = 'a' or code = 'b'", "code in ('a', 'b')"),
            ("total(t) > 0", "price > 0"),
            ("doc->'a' is null", "doc->>'a' is null"),
            ("hue = 'red'", "hue >= 'red'"),
            ("coalesce(name, code) = ''", "coalesce(code, name) = ''"),
            ("flag = true", "flag is true"),
        ]
    ),
    *(
        (f"pg.index('i§', 't', {one!r}, **{rest!r})", f"pg.index('i§', 't', {other!r}, **{more!r})")
        for one, rest, other, more in [
            (["name"], {}, ["name varchar_pattern_ops"], {}),
            (["name"], {}, ["name COLLATE lab.plain"], {}),
            (["lower(name)"], {}, ["lower(name) DESC"], {}),
            (["tenant", "small"], {}, ["(tenant + small)"], {}),
            (["tenant"], {"include": ["small"]}, ["tenant", "small"], {}),
            (["tenant"], {"where": "flag"}, ["tenant"], {"where": "flag is not false"}),
            (["tenant"], {"unique": True},
             ["tenant"], {"unique": True, "nulls_not_distinct": True}),
            (["doc"], {"method": "gin"}, ["doc jsonb_path_ops"], {"method": "gin"}),
            (["to_tsvector('simple', name) tsvector_ops(siglen=64)"], {"method": "gist"},
             ["to_tsvector('simple', name) tsvector_ops(siglen=65)"], {"method": "gist"}),
            (["to_tsvector('simple', name) tsvector_ops(siglen=64)"], {"method": "gist"},
             ["to_tsvector('simple', name)"], {"method": "gist"}),
            (["tenant"], {"parameters": {"fillfactor": 70}},
             ["tenant"], {"parameters": {"fillfactor": 71}}),
            (["tenant"], {"parameters": {"fillfactor": 70}}, ["tenant"], {"parameters": {}}),
            (["tags"], {"method": "gin", "parameters": {"fastupdate": False}},
             ["tags"], {"method": "gin", "parameters": {"fastupdate": "on"}}),
        ]
    ),
    *(
        (f"pg.policy('p§', 't', **{one!r})", f"pg.policy('p§', 't', **{other!r})")
        for one, other in [
            ({"using": "tenant in (select id from tenants)"},
             {"using": "tenant in (select id from tenants limit 1)"}),
            ({"using": "exists (select from lines l where l.t_id = t.id)"},
             {"using": "exists (select from lines l where l.id = t.id)"}),
            ({"using": "name = current_user"}, {"using": "name = current_setting('role')"}),
            ({"using": "flag", "check": "flag"}, {"using": "flag", "check": "not flag"}),
            ({"using": "flag"}, {"using": "flag", "permissive": False}),
        ]
    ),
    *(
        (f"pg.trigger('g§', 't', function='touched()', **{one!r})",
         f"pg.trigger('g§', 't', function='touched()', **{other!r})")
        for one, other in [
            ({"when": "BEFORE UPDATE", "condition": "old.* is distinct from new.*"},
             {"when": "BEFORE UPDATE", "condition": "old.* <> new.*"}),
            ({"when": "AFTER INSERT"}, {"when": "AFTER INSERT", "constraint": True}),
            ({"when": "AFTER INSERT", "constraint": True},
             {"when": "AFTER INSERT", "constraint": True, "deferrable": True}),
            ({"when": "AFTER UPDATE", "constraint": True, "condition": "new.flag"},
             {"when": "AFTER UPDATE", "constraint": True, "condition": "not new.flag"}),
        ]
    ),
    *(
        (f"pg.function('f§', **{one!r})", f"pg.function('f§', **{other!r})")
        for one, other in [
            ({"arguments": "a int", "returns": "int", "body": "return a + 1"},
             {"arguments": "a int", "returns": "int", "body": "return a + 2"}),
            ({"arguments": "a int", "returns": "int", "body": "return a + 1"},
             {"arguments": "a int", "returns": "int", "body": "select a + 1"}),
            ({"arguments": "a int", "returns": "int", "body": "select a + 1"},
             {"arguments": "a int", "returns": "int", "body": "select a +  1"}),
            ({"arguments": "a int default 1", "returns": "int", "body": "return a"},
             {"arguments": "a int default 1 + 0", "returns": "int", "body": "return a"}),
            ({"returns": "bigint", "body": "begin atomic select count(*) from t; end"},
             {"returns": "bigint", "body": "begin atomic select count(id) from t; end"}),
            ({"arguments": "a int", "kind": "procedure",
              "body": "begin atomic delete from lines where id = a; end"},
             {"arguments": "a int", "kind": "procedure",
              "body": "begin atomic delete from lines where id > a; end"}),
            ({"kind": "procedure", "body": "select 1"}, {"kind": "procedure", "body": "select 2"}),
        ]
    ),
    *(
        (f"pg.{kind}('v§', {one!r})", f"pg.{kind}('v§', {other!r})")
        for kind in ("view", "materialized_view")
        for one, other in [
            ("select id from t where flag", "select id from t where flag is true"),
            ("select id from t", "select distinct id from t"),
            ("select id from t order by id", "select id from t order by id desc"),
            ("select id from t union select 1", "select id from t union all select 1"),
            ("select id from t limit 1", "select id from t limit 2"),
            ("select count(*) from t", "select count(id) from t"),
            ("select id from t", "select t_id as id from lines"),
            ("select t.id from t join lines l on l.t_id = t.id",
             "select t.id from t left join lines l on l.t_id = t.id"),
            ("with x as (select id from t) select id from x",
             "with x as materialized (select id from t) select id from x"),
            ("select rank() over (order by id) from t",
             "select rank() over (order by id desc) from t"),
            ("select 'a' as x", "select 'b' as x"),
        ]
    ),
    *(
        (f"pg.domain('o§', **{one!r})", f"pg.domain('o§', **{other!r})")
        for one, other in [
            ({"type": "text", "default": "'a'"}, {"type": "text", "default": "'b'"}),
            ({"type": "text", "default": "'a'"}, {"type": "text"}),
            ({"type": "text"}, {"type": "text", "checks": "value <> ''"}),
            ({"type": "text"}, {"type": "text", "nullable": False}),
            ({"type": "integer", "checks": "value > 1"}, {"type": "int", "checks": "value > 2"}),
        ]
    ),
    *(
        (f"pg.table('t', constraints=[pg.Exclude(*{one!r}, name='x§', **{rest!r})])",
         f"pg.table('t', constraints=[pg.Exclude(*{other!r}, name='x§', **{more!r})])")
        for one, rest, other, more in [
            ([("span", "&&")], {}, [("span", "=")], {}),
            ([("span", "&&")], {}, [("span", "&&")], {"where": "flag"}),
            ([("lower(name)", "=")], {"using": "btree"},
             [("upper(name)", "=")], {"using": "btree"}),
            ([("tenant", "=")], {"using": "btree"}, [("tenant", "=")], {"using": "hash"}),
            ([("name", "=")], {"using": "btree"}, [('name COLLATE "C"', "=")], {"using": "btree"}),
            ([("small", "=")], {"using": "btree"},
             [("small", "=")], {"using": "btree", "initially_deferred": True}),
        ]
    ),
    *(
        (f"pg.statistics('s§', 't', {one!r})", f"pg.statistics('s§', 't', {other!r}, **{more!r})")
        for one, other, more in [
            (["lower(name)"], ["upper(name)"], {}),
            (["tenant", "code"], ["tenant", "name"], {}),
            (["tenant", "code"], ["tenant", "code"], {"kinds": "mcv"}),
            (["(tenant % 10)", "code"], ["(tenant % 11)", "code"], {}),
        ]
    ),
    *(
        (f"pg.table('y§', [pg.Column('x', {one!r})])",
         f"pg.table('y§', [pg.Column('x', {other!r})])")
        for one, other in [
            ("integer", "bigint"),
            ("varchar(5)", "varchar(6)"),
            ("numeric(5,2)", "numeric(6,2)"),
            ("timestamptz", "timestamptz(3)"),
            ("own(7)", 'own("08")'),
            ("own(7)", "own"),
            ("char(3)", "bpchar"),
        ]
    ),
]  # fmt: skip

# The same, where PostgreSQL can't turn the one into the other.
UNCHANGEABLE = [
    *(
        (f"pg.table('r§', [pg.Column('k', 'text')], partition_by={one!r})",
         f"pg.table('r§', [pg.Column('k', 'text')], partition_by={other!r})")
        for one, other in [
            ("list (k)", "range (k)"),
            ("list (lower(k))", "list (upper(k))"),
            ("range (k)", "range (k text_pattern_ops)"),
            ("range (k)", 'range (k collate "C")'),
            ("range (k)", "range (k, lower(k))"),
        ]
    ),
    ("pg.domain('o§', 'varchar(5)')", "pg.domain('o§', 'varchar(6)')"),
    ("pg.domain('o§', 'own(7)')", "pg.domain('o§', 'own(8)')"),
    *(
        (f"pg.table('source', [pg.Column('g§', {type_!r}, generated={one!r})])",
         f"pg.table('source', [pg.Column('g§', {type_!r}, generated={other!r})])")
        for type_, one, other in [
            ("integer", "tenant + 1", "tenant + 2"),
            ("text", "lower(name)", "lower(code)"),
            ("boolean", "mood = 'ok'", "mood in ('ok', 'sad')"),
        ]
    ),
]  # fmt: skip

# PostgreSQL stores both in the same way, but for a mark that says how a cast was written; it
# prints them alike, so that a copy made by pg_dump has the mark of the first.
ALIKE = [("code::text = 'a'", "code = 'a'"), ("mood = 'ok'::mood", "mood = 'ok'")]
