"""What the pure layers say about names and types, and what PostgreSQL says."""

from __future__ import annotations

import random

from harness import Database
from pyinfra_postgres.syntax.names import Exact, literal, quoted
from pyinfra_postgres.syntax.naming import chosen_name, joined
from pyinfra_postgres.syntax.parse import bare_type, type_name, type_node

LETTERS = "abcXYZ_09 .\"'$é名🎈"

SPELLINGS = """
    int; int4; integer; bigint; int8; smallint; int2; pg_catalog.int4; bool; boolean; text; TEXT
    varchar; varchar(10); character varying; character varying(3); char; char(3); character(7)
    bpchar; "char"; name; national character varying(5); nchar(4); bytea; uuid; json; jsonb; xml
    numeric; numeric(10); numeric(10,2); numeric(5,0); numeric(3,-2); decimal; decimal(6,3); dec(4)
    float; float(1); float(24); float(25); float4; float8; real; double precision; money
    timestamp; timestamp(3); timestamptz; timestamptz(0); timestamp with time zone
    timestamp(6) with time zone; timestamp without time zone; time; time(2); timetz; timetz(1)
    time with time zone; time(3) with time zone; date; interval; interval(3); interval year
    interval month; interval day; interval hour; interval minute; interval second
    interval second(2)
    interval year to month; interval day to hour; interval day to minute; interval day to second
    interval day to second(3); interval hour to minute; interval hour to second
    interval minute to second; bit; bit(8); bit varying; bit varying(5); varbit; varbit(3)
    inet; cidr; macaddr; macaddr8; point; line; lseg; box; path; polygon; circle; tsvector; tsquery
    int4range; int8range; numrange; tsrange; tstzrange; daterange; int4multirange; tstzmultirange
    oid; regclass; regtype; regproc; regprocedure; regrole; regnamespace; regconfig; pg_lsn; xid
    xid8
    int[]; integer[][]; text[3]; int array; int array[4]; varchar(5)[]; timestamptz(2)[]
    numeric(4,1)[]; bit(3)[]; char[]; "char"[]; interval day to second(1)[]; oidvector; jsonpath
    mood; public.mood; mood[]; PUBLIC.MOOD; "Odd Type"; "Odd Type"[]; lab."select"; lab.hue[]
    percent; percent[]; spot; "t"; public.t; lab."da.ta"; lab."q""q"[]
"""
TYPES = """
    CREATE SCHEMA lab; CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE "Odd Type" AS ENUM ('ok');
    CREATE TYPE lab."select" AS (a integer); CREATE TYPE lab.hue AS ENUM ('red');
    CREATE DOMAIN percent AS integer; CREATE TYPE spot AS (x integer); CREATE TABLE t ();
    CREATE TYPE lab."da.ta" AS ENUM ('ok'); CREATE TYPE lab."q""q" AS ENUM ('ok');
"""


def spellings() -> list[str]:
    return [one.strip() for line in SPELLINGS.split("\n") for one in line.split(";") if one.strip()]


def test_types_are_written_as_format_type_writes_them(database: Database) -> None:
    columns = ", ".join(f"c{number} {text}" for number, text in enumerate(spellings()))
    database.psql(f"{TYPES} CREATE TABLE every_type ({columns})")
    stored = database.rows(
        "SET search_path = pg_catalog; SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'public.every_type'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert len(spellings()) > 130
    assert [(text, type_name(text)) for text in spellings()] == [
        (text, one) for text, (one,) in zip(spellings(), stored, strict=True)
    ]
    # What format_type() has written is read as the same type again.
    assert [type_name(str(one)) for (one,) in stored] == [one for (one,) in stored]


def test_types_of_arguments_are_written_without_modifiers(database: Database) -> None:
    made = "".join(
        f"CREATE FUNCTION f{number}({text}) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';"
        for number, text in enumerate(spellings())
    )
    database.psql(TYPES + made)
    rows = database.rows(
        "SET search_path = pg_catalog; SELECT substr(proname, 2), "
        "pg_get_function_identity_arguments(oid) FROM pg_proc WHERE proname ~ '^f[0-9]+$'"
    )
    stored = {int(row[0]): row[1] for row in rows}
    for number, text in enumerate(spellings()):
        assert bare_type(type_node(text)) == stored[number], text


def test_names_are_shortened_as_postgresql_shortens_them(database: Database) -> None:
    draw = random.Random(7)
    sql, expected = "", {}
    for number in range(60):
        table, one, two = (
            joined("".join(draw.choices(LETTERS, k=draw.randint(1, 40))), str(number), "n")
            for _ in range(3)
        )
        table, one, two = (f"{number}{kind}{name}"[:25] for kind, name in
                           zip("tab", (table, one, two), strict=True))  # fmt: skip
        table += draw.choice(["", "é" * 15, "x" * 30])
        one += draw.choice(["", "名" * 8, "y" * 30])
        schema = f"s{number}"
        names = [quoted(one), quoted(two)]
        path = f"{schema}.{quoted(table)}"
        sql += (
            f"CREATE SCHEMA {schema}; CREATE TABLE {path} ({names[0]} integer, {names[1]} integer,"
            f" UNIQUE ({', '.join(names)}));"
            f"ALTER TABLE {path} ADD CHECK ({names[0]} > 0), ADD CHECK ({names[0]} > 1),"
            f" ADD CHECK ({names[0]} > {names[1]}),"
            f" ADD FOREIGN KEY ({', '.join(names)}) REFERENCES {path} ({', '.join(names)});"
        )
        taken: set[str | None] = set()
        for columns, label in [
            (one, "check"), (one, "check"), (None, "check"), (f"{one}_{two}", "fkey"),
        ]:  # fmt: skip
            taken.add(chosen_name(table, columns, label, taken))
        expected[schema] = taken
    database.psql(sql)
    for schema, names_of in expected.items():
        found = database.rows(
            "SELECT conname FROM pg_constraint WHERE contype IN ('c', 'f') "
            f"AND connamespace = '{schema}'::regnamespace"
        )
        assert {Exact(row[0]) for row in found} == names_of


def test_names_and_literals_reach_the_server_as_they_are(database: Database) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(LETTERS + "\\\n\t", k=draw.randint(1, 12))) for _ in range(80)]
    columns = ", ".join(f"{literal(text)} AS {quoted(text)}" for text in dict.fromkeys(texts))
    with database.connect() as connection:
        cursor = connection.execute(f"SELECT {columns}".encode())
        assert cursor.description
        names = [column.name for column in cursor.description]
        assert names == list(dict.fromkeys(texts))
        assert list(cursor.fetchone() or ()) == names


def test_every_keyword_is_quoted_where_it_must_be(database: Database) -> None:
    words = [row[0] for row in database.rows("SELECT word FROM pg_get_keywords()")]
    sql = "".join(
        f"CREATE TABLE t{number} ({quoted(word)} integer); SELECT {quoted(word)} FROM t{number};"
        f"CREATE FUNCTION {quoted(word)}(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';"
        for number, word in enumerate(words)
    )
    database.psql(sql)
    assert len(words) > 400
