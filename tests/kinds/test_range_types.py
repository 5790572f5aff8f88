from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version, process
from kinds.conftest import Deploy
from kinds.test_any_identifier import NAMES
from laws.sample import Sample

SAMPLE = Sample(
    pg.RangeType,
    {"name": "r", "subtype": "float8"},
    "CreateRangeStmt AlterTableStmt AlterOwnerStmt CommentStmt",
)
RANGES = """
    SELECT rngtypid::regtype, rngsubtype::regtype, rngmultitypid::regtype, opcname,
           rngcollation::regcollation, rngsubdiff::regproc, t.typowner::regrole,
           m.typowner::regrole, obj_description(t.oid, 'pg_type'), t.oid
      FROM pg_range JOIN pg_type t ON t.oid = rngtypid JOIN pg_type m ON m.oid = rngmultitypid
      JOIN pg_opclass o ON o.oid = rngsubopc WHERE t.oid > 16383"""


def test_a_type_is_created_changed_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    empty = database.dump()
    database.psql(f"CREATE ROLE {owner}")
    deploy.apply(
        """
        with pg.transaction():
            pg.range_type("span", "DOUBLE PRECISION", subtype_diff="float8mi", comment="it's")
            pg.table("t", [pg.Column("s", "span", default="span(1, 2)"),
                           pg.Column("m", "span_multirange")])
        """
    )
    first = ["span", "double precision", "span_multirange", "float8_ops", "-", "float8mi"]
    (made,) = database.rows(RANGES)
    assert list(made[:-1]) == [*first, "postgres", "postgres", "it's"]
    # What PostgreSQL has by default may be said.
    deploy.apply(
        f"pg.range_type('span', 'float8', subtype_opclass='float8_ops', owner='{owner}',"
        " subtype_diff='pg_catalog.float8mi', comment='')"
    )
    assert database.rows(RANGES) == [(*first, owner, owner, "", made[-1])]
    deploy.apply("pg.range_type('span', owner='postgres', comment='beside')")
    assert (
        "it is used by column s of table public.t"
        in deploy.run("pg.range_type('span', present=False)").failed().output
    )
    deploy.apply("pg.table('t', present=False)")
    # Nothing uses it now: it is made anew with its owner, comment and privileges.
    database.psql("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = int4);"
                  f"ALTER TYPE span OWNER TO {owner}; COMMENT ON TYPE span IS 'kept';"
                  "GRANT USAGE ON TYPE span TO pg_monitor")  # fmt: skip
    deploy.apply("pg.range_type('span', 'text', subtype_opclass='text_pattern_ops', collation='C')")
    deploy.apply("pg.range_type('span', 'date')")
    assert database.rows(RANGES)[0][3] == "date_ops"
    deploy.apply("pg.range_type('span', 'text', subtype_opclass='text_pattern_ops', collation='C')")
    (made,) = database.rows(RANGES)
    assert made[:6] == ("span", "text", "span_multirange", "text_pattern_ops", '"C"', "-")
    assert made[6] == owner
    assert made[8] == "kept"
    acl = database.psql("SELECT typacl FROM pg_type WHERE typname = 'span'")
    assert f"pg_monitor=U/{owner}" in acl
    deploy.apply("pg.range_type('span', present=False)")
    database.psql(f"DROP ROLE {owner}")
    assert database.dump() == empty


def test_names_change_with_what_makes_the_values(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE SCHEMA s; CREATE TYPE mood AS ENUM ('a', 'b');"
        "CREATE FUNCTION gap(float8, float8) RETURNS float8 IMMUTABLE LANGUAGE sql RETURN $1 - $2;"
        "CREATE TYPE old AS RANGE (subtype = float8, subtype_diff = gap);"
        "CREATE TYPE moods AS RANGE (subtype = mood);"
        "CREATE TABLE t (v old CONSTRAINT k CHECK (v <@ old(0, 9)), w old_multirange);"
        "INSERT INTO t VALUES ('[1,2]', '{[1,2]}')"
    )
    before = database.psql("SELECT oid FROM pg_constraint WHERE conname = 'k'")
    deploy.apply(
        """
        with pg.transaction():
            pg.schema("s")
            pg.enum("feeling", ["a", "b"], renamed_from="mood")
            pg.function("s.distance", arguments="float8, float8", returns="float8",
                        body="RETURN $1 - $2", volatility="IMMUTABLE", renamed_from="public.gap")
            pg.range_type("s.new", "float8", subtype_diff="s.distance", renamed_from="public.old",
                          multirange_type_name="s.many")
            pg.range_type("moods", "feeling")
            pg.table("t", [pg.Column("v", "s.new"), pg.Column("w", "s.many")],
                     constraints=[pg.Check("v <@ s.new(0, 9)", name="k")])
        """
    )
    assert database.psql("SELECT oid FROM pg_constraint WHERE conname = 'k'") == before
    assert database.psql("SELECT s.many(s.new(1, 2), s.new(1, 5, '[]')), s.many()") == "{[1,5]}|{}"
    assert database.psql("SELECT to_regproc('old'), to_regtype('old_multirange')") == "|"


@one_version
@pytest.mark.parametrize(
    ("setup", "changes", "message"),
    [
        ("CREATE TABLE t (r r)", {"subtype": "numeric"},
         "it is subtype double precision and is declared subtype numeric: PostgreSQL can't"),
        ("CREATE TABLE t (r r_multirange[])", {"subtype_diff": "float8mi"},
         "is declared subtype_diff float8mi: PostgreSQL can't change that, and to make it anew is "
         "out of the question, because it is used by column r of table public.t"),
        ("CREATE VIEW v AS SELECT r(1, 2)", {"subtype": "numeric"}, "view public.v"),
        ("", {"subtype": "json"}, "PostgreSQL refuses it: data type json has no default operator"),
        ("", {"subtype_diff": "int4mi"}, "PostgreSQL refuses it: function int4mi"),
        ("", {"canonical": "f"}, "a canonical function takes the type"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_anew_is_refused(
    database: Database, setup: str, changes: dict[str, str], message: str
) -> None:
    database.psql(f"CREATE TYPE r AS RANGE (subtype = float8); {setup}")
    before = database.dump()
    given = {"subtype": "float8"} | changes
    said = process.run(database, lambda: pg.range_type("r", **given)).refused().messages  # type: ignore[arg-type]
    assert message in said
    assert database.dump() == before


@one_version
def test_what_can_not_be_created_is_refused(database: Database) -> None:
    for deploy, message in {
        lambda: pg.range_type("r", owner="postgres"): "declare its subtype",
        lambda: pg.range_type("r", "int4", canonical="now"): "a canonical function takes the type",
        lambda: pg.range_type("r", "int4", subtype_diff="missing"): "function missing()",
        lambda: pg.range_type("r", "shop.missing"): "type shop.missing",
        lambda: pg.range_type("r", "json"): "no default operator class",
        lambda: pg.range_type("r", "varchar(5)"): "a type without modifiers",
    }.items():

        def block(deploy: process.Deploy = deploy) -> None:
            with pg.transaction():
                deploy()

        assert message in process.run(database, block).refused().messages


@one_version
def test_a_schema_takes_away_what_nobody_declares(database: Database) -> None:
    database.psql(
        "CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('a'); CREATE TYPE s.r AS RANGE (subtype = s.e);"
        "CREATE TABLE s.t (m s.r_multirange[]); CREATE FUNCTION s.f(s.r) RETURNS int LANGUAGE sql "
        "RETURN 1; CREATE VIEW s.v AS SELECT s.r('a', 'a')"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("s", exact=True)

    process.run(database, deploy).succeeded()
    assert (
        database.psql("SELECT count(*) FROM pg_type WHERE typnamespace = 's'::regnamespace") == "0"
    )


@one_version
def test_types_have_any_name(deploy: Deploy) -> None:
    deploy.apply(
        f"NAMES = {NAMES!r}"
        + """
def q(name):
    return '"' + name.replace('"', '""') + '"'
pg.objects([pg.RangeType(q(name), "int8", comment=name) for name in [*NAMES, "a range of"]])
"""
    )
    names = deploy.database.rows(
        "SELECT rngmultitypid::regtype FROM pg_range WHERE rngtypid > 16383"
    )
    assert ('"a multirange of"',) in names
    assert (f"{'x' * 52}_multirange",) in names
