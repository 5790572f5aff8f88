from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version, process
from kinds.conftest import Deploy
from kinds.test_any_identifier import NAMES
from laws.sample import Sample

SAMPLE = Sample(
    pg.Composite,
    {"name": "c", "attributes": [pg.Attribute("a", "text")]},
    "CompositeTypeStmt AlterTableStmt AlterOwnerStmt CommentStmt",
)
ATTRIBUTES = """
    SELECT attname, format_type(atttypid, atttypmod), attcollation::regcollation,
           col_description(attrelid, attnum)
      FROM pg_attribute WHERE attrelid = 'addr'::regclass AND NOT attisdropped ORDER BY attnum"""


def test_a_type_is_created_changed_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    empty = database.dump()
    database.psql(f"CREATE ROLE {owner}")
    deploy.apply(
        """
        with pg.transaction():
            pg.composite("addr", [pg.Attribute("street", "VARCHAR(20)", collation="C"),
                                  pg.Attribute("no", "int", comment="it's"),
                                  pg.Attribute("at", "timestamptz[]")], comment="where")
            pg.table("t", [pg.Column("id", "int"), pg.Column("far", "addr[]")])
        """
    )
    assert database.rows(ATTRIBUTES) == [
        ("street", "character varying(20)", '"C"', ""),
        ("no", "integer", "-", "it's"),
        ("at", "timestamp with time zone[]", "-", ""),
    ]
    assert database.psql("SELECT obj_description('addr'::regtype, 'pg_type')") == "where"
    deploy.apply("pg.table('t', present=False)")
    deploy.apply(
        f"""
        with pg.transaction():
            pg.composite("addr", [pg.Attribute("street", "text", comment="s"),
                                  pg.Attribute("no", "bigint", comment=""),
                                  pg.Attribute("at", present=False),
                                  pg.Attribute("zip", "text", collation="default")],
                         owner="{owner}", comment="")
            pg.grant("USAGE", on="TYPE addr", to="pg_monitor")
        """
    )
    assert database.rows(ATTRIBUTES) == [
        ("street", "text", '"C"', "s"),
        ("no", "bigint", "-", ""),
        ("zip", "text", '"default"', ""),
    ]
    about = "SELECT typowner::regrole, obj_description(oid, 'pg_type'), typacl FROM pg_type"
    assert database.rows(f"{about} WHERE typname = 'addr'") == [
        (owner, "", f"{{=U/{owner},{owner}=U/{owner},pg_monitor=U/{owner}}}")
    ]
    deploy.apply("pg.composite('addr', owner='postgres', comment='beside')")
    deploy.apply("pg.composite('addr', present=False)")
    database.psql(f"DROP ROLE {owner}")
    assert database.dump() == empty


def test_names_change_with_all_that_uses_them(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE old AS (street text, no int); CREATE SCHEMA s; CREATE TABLE t (home old "
        "CONSTRAINT k CHECK ((home).street <> ''));"
        "CREATE VIEW v AS SELECT (home).street FROM t; INSERT INTO t VALUES (('a', 1))"
    )
    text = """
        with pg.transaction():
            pg.schema("s")
            pg.composite("s.addr", [pg.Attribute("road", "text", renamed_from="street"),
                                    pg.Attribute("no", "integer"), pg.Attribute("zip", "text")],
                         renamed_from="public.old")
            pg.table("t", [pg.Column("home", "s.addr")],
                     constraints=[pg.Check("(home).road <> ''", name="k")])
            pg.view("v", "SELECT (home).road AS street FROM t")
    """
    before = database.psql("SELECT oid FROM pg_constraint WHERE conname = 'k'")
    with database.watch() as seen:
        deploy.apply(text)
    changed = [one for one in seen.statements if "ALTER T" in one and "ROLLBACK" not in one]
    assert "ALTER TYPE s.old RENAME TO addr" in changed[0]
    assert not [one for one in changed if "CONSTRAINT" in one]
    assert database.psql("SELECT oid FROM pg_constraint WHERE conname = 'k'") == before
    assert database.psql("SELECT ((home).road, (home).zip) FROM t") == "(a,)"


@one_version
def test_what_values_would_lose_is_counted_and_needs_permission(database: Database) -> None:
    database.psql(
        "CREATE TYPE addr AS (street text, no int, zip text);"
        "CREATE TABLE t (home addr); CREATE TABLE u () INHERITS (t);"
        "INSERT INTO t VALUES (('a', NULL, NULL)), (('b', 1, NULL))"
    )

    def without(name: str) -> process.Outcome:
        return process.run(
            database, lambda: pg.composite("addr", pg.Attribute(name, present=False))
        )

    said = without("street").refused().messages
    assert (
        "would lose 2 values; to allow it, run with --data 'postgres_allow=public.t.home'" in said
    )
    without("zip").succeeded()
    process.run(
        database,
        lambda: pg.composite("addr", pg.Attribute("no", present=False)),
        postgres_allow="public.t.home",
    ).succeeded()
    assert database.psql("SELECT home FROM t ORDER BY 1") == "(a)\n(b)"
    database.psql("CREATE TABLE w (homes addr[])")
    said = without("street").refused().messages
    assert "would lose street of what is within its values" in said
    # What is declared goes by itself where nothing is lost.
    database.psql("DROP TABLE t, u, w; ALTER TYPE addr ADD ATTRIBUTE town text")

    def exact() -> None:
        with pg.transaction(exact=["attributes"]):
            pg.composite("addr", [pg.Attribute("street", "text")])

    process.run(database, exact).succeeded()
    assert database.rows(ATTRIBUTES) == [("street", "text", '"default"', "")]


@one_version
@pytest.mark.parametrize(
    ("setup", "attributes", "message"),
    [
        ("CREATE TABLE t (home addr)", [pg.Attribute("no", "text")],
         "can't change the type of no, because there are values in home of public.t"),
        ("CREATE TABLE t (homes addr[])", [pg.Attribute("no", "text")],
         "there are values in homes of public.t"),
        ("CREATE DOMAIN d AS addr; CREATE TYPE o AS (d d); CREATE TABLE t (o o)",
         [pg.Attribute("no", "text")], "there are values in o of public.t"),
        ("CREATE VIEW v AS SELECT (ROW('a', 1)::addr).no", [pg.Attribute("no", "text")],
         "its no is used by view public.v"),
        ("CREATE VIEW v AS SELECT (ROW('a', 1)::addr).no", [pg.Attribute("no", present=False)],
         "its no is used by view public.v"),
        ("CREATE TABLE t OF addr", [pg.Attribute("zip", "text")], "public.t is made OF it"),
        ("CREATE TABLE t OF addr", [pg.Attribute("zip", "text", renamed_from="no")],
         "public.t is made OF it"),
        ("", [pg.Attribute("no", "int"), pg.Attribute("street", "text")],
         "its attributes are street, no and are declared as no, street"),
        ("", [pg.Attribute("zip", "int"), pg.Attribute("street", "text")],
         "declared as zip, street: PostgreSQL keeps their order"),
        ("", [pg.Attribute("zip", "shop.zip")], "type shop.zip"),
        ("", [pg.Attribute("self", "addr")], "PostgreSQL refuses it: composite type public.addr"),
        ("", [pg.Attribute("any", "anyelement")], "PostgreSQL refuses it"),
        ("", [pg.Attribute("no", "bigint", collation="C")], "PostgreSQL refuses it: collations"),
    ],
)  # fmt: skip
def test_what_postgresql_can_not_change_is_refused_with_who_uses_it(
    database: Database, setup: str, attributes: list[pg.Attribute], message: str
) -> None:
    database.psql(f"CREATE TYPE addr AS (street text, no int); {setup}")
    before = database.dump()
    outcome = process.run(database, lambda: pg.composite("addr", attributes))
    assert message in outcome.refused().messages
    assert database.dump() == before


@one_version
def test_a_type_has_no_name_of_a_relation(database: Database) -> None:
    database.psql("CREATE TYPE addr AS (a int); CREATE TABLE t (a int); CREATE INDEX i ON t (a)")
    before = database.dump()
    for name, former in ("i", "addr"), ("t", "addr"), ("i", None):

        def deploy(name: str = name, former: str | None = former) -> None:
            pg.composite(name, [pg.Attribute("a", "int")], renamed_from=former)

        assert "has its name" in process.run(database, deploy).refused().messages
        assert database.dump() == before


@one_version
def test_a_type_goes_when_nothing_uses_it(database: Database) -> None:
    database.psql(
        "CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE part AS (m mood);"
        "CREATE TYPE whole AS (p part[]); CREATE TABLE t (w whole)"
    )

    def remove(*types: str) -> process.Outcome:
        def deploy() -> None:
            with pg.transaction():
                for name in types:
                    pg.composite(name, present=False)
                if len(types) > 1:
                    pg.enum("mood", present=False)

        return process.run(database, deploy)

    assert "is used by column p of composite type public.whole" in remove("part").refused().messages
    assert "is used by column w of table public.t" in remove("whole").refused().messages
    database.psql("DROP TABLE t")
    remove("whole", "part").succeeded()
    assert database.psql("SELECT to_regtype('mood')") == ""


@one_version
def test_a_schema_takes_away_what_nobody_declares(database: Database) -> None:
    database.psql(
        "CREATE SCHEMA s; CREATE TYPE s.a AS (x int); CREATE TYPE s.b AS (a s.a);"
        "CREATE TABLE s.t (b s.b)"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("s", exact=True)

    process.run(database, deploy).succeeded()
    assert (
        database.psql("SELECT count(*) FROM pg_type WHERE typnamespace = 's'::regnamespace") == "0"
    )


@one_version
def test_types_and_attributes_have_any_name(deploy: Deploy) -> None:
    text = (
        f"NAMES = {NAMES!r}"
        + """
def q(name):
    return '"' + name.replace('"', '""') + '"'
pg.objects([
    pg.Composite(q(name), [pg.Attribute(q(name), "text", comment=name), pg.Attribute("b", "int")],
                 comment=name)
    for name in NAMES
])
"""
    )
    deploy.apply(text)
    another = """pg.Attribute(q(name[:20] + "'b"), "int", renamed_from="b")"""
    deploy.apply(text.replace('pg.Attribute("b", "int")', another))
    names = deploy.database.psql("SELECT count(*) FROM pg_attribute WHERE attname LIKE '%''b'")
    assert names == str(len(NAMES))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([pg.Column("a", "text")], "an attribute is pg.Attribute"),
        (["a text"], "an attribute is pg.Attribute"),
        ([pg.Attribute("a", "int"), pg.Attribute("A", "int")], "the attribute a is declared twice"),
    ],
)  # fmt: skip
def test_wrong_attributes_are_refused(attributes: list[pg.Attribute], message: str) -> None:
    with pytest.raises(Exception, match=message):
        pg.Composite("c", attributes)
    with pytest.raises(Exception, match="attribute a needs a type"):
        pg.Attribute("a")
