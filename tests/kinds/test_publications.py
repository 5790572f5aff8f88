from __future__ import annotations

import secrets
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version, process
from kinds.conftest import Deploy
from kinds.test_any_identifier import NAMES
from laws.sample import Sample
from pyinfra_postgres.errors import DeclarationError

SAMPLE = Sample(
    pg.Publication,
    {"name": "p", "tables": ["t (a) WHERE (a > 0)"]},
    "CreatePublicationStmt AlterPublicationStmt AlterOwnerStmt CommentStmt",
)
TABLES = """
    SELECT schemaname, tablename, attnames, rowfilter FROM pg_publication_tables
     WHERE pubname = 'fed' ORDER BY 1, 2"""
OPTIONS = """
    SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, pubowner::regrole,
           obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = 'fed'"""


def test_a_publication_is_created_changed_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {owner} SUPERUSER; CREATE SCHEMA s; CREATE TABLE s.x (i int);"
        "CREATE TABLE job (id int PRIMARY KEY, state text, note text); CREATE TABLE log (at date)"
    )
    dump = database.dump()
    deploy.apply(
        "pg.publication('fed', ['job (state, ID) WHERE (state IN (\\'a\\', \\'b\\'))', 'log'],"
        " publish=['INSERT', 'delete'], comment='it\\'s')"
    )
    assert [row[:3] for row in database.rows(TABLES)] == [
        ("public", "job", "{id,state}"), ("public", "log", "{at}"),
    ]  # fmt: skip
    assert "ANY (ARRAY['a'::text, 'b'::text])" in database.rows(TABLES)[0][3]
    assert database.rows(OPTIONS) == [("t", "f", "t", "f", "f", "postgres", "it's")]
    # Each table that differs goes and comes; the others are not touched.
    with database.watch() as seen:
        deploy.apply(
            "pg.publication('fed', ['job (id) WHERE (id > 1)', 's.x', 'log'], "
            f"publish='update', publish_via_partition_root=True, owner='{owner}', comment='')"
        )
    (changed,) = [one for one in seen.statements if "ALTER PUBLICATION" in one]
    assert "public.job" in changed
    assert "public.log" not in changed
    assert [row[1:] for row in database.rows(TABLES)] == [
        ("job", "{id}", "(id > 1)"), ("log", "{at}", ""), ("x", "{i}", ""),
    ]  # fmt: skip
    assert database.rows(OPTIONS) == [("f", "t", "f", "f", "t", owner, "")]
    deploy.apply("pg.publication('fed', ['job'], schemas='s')")
    assert [row[1] for row in database.rows(TABLES)] == ["job", "x"]
    deploy.apply("pg.publication('fed', 'log (at)')")
    deploy.apply("pg.publication('fed', owner='postgres', comment='beside')")
    assert database.rows(OPTIONS) == [("f", "t", "f", "f", "t", "postgres", "beside")]
    deploy.apply("pg.publication('fed', present=False)")
    deploy.apply("pg.publication('all', all_tables=True)")
    deploy.apply("pg.publication('every', all_tables=True, renamed_from='all')")
    deploy.apply("pg.publication('every', present=False)")
    assert database.dump() == dump
    database.psql(f"DROP ROLE {owner}")


def test_generated_columns(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED)")
    text = "pg.publication('fed', 't', publish_generated_columns='stored')"
    if int(database.psql("SHOW server_version_num")) < 180000:
        assert "needs PostgreSQL 18" in deploy.run(text).failed().output
        return
    deploy.apply(text)
    assert database.rows(TABLES)[0][2] == "{a,b}"
    deploy.apply(text.replace("stored", "none"))
    assert database.rows(TABLES)[0][2] == "{a}"


@one_version
def test_what_it_publishes_follows_renames_and_goes_with_tables(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE SCHEMA s; CREATE TABLE s.job (id int PRIMARY KEY, note text); CREATE TABLE log ();"
        "CREATE TABLE part (a int); CREATE TABLE heir () INHERITS (part);"
        "CREATE PUBLICATION fed FOR TABLE s.job (id, note) WHERE (note <> ''), log, part, heir;"
        "CREATE PUBLICATION whole FOR TABLES IN SCHEMA s"
    )
    text = """
        with pg.transaction():
            pg.schema("shop", renamed_from="s")
            pg.table("shop.work", [pg.Column("id", "int", primary_key=True),
                                   pg.Column("text", "text", renamed_from="note")],
                     renamed_from="shop.job")
            pg.table("log", present=False)
            pg.publication("fed", ["shop.work (id, text) WHERE (text <> '')", "part"])
            pg.publication("whole", schemas="shop")
    """
    with database.watch() as seen:
        deploy.apply(text)
    assert not [one for one in seen.statements if "ALTER PUBLICATION" in one]
    tables = "SELECT prrelid::regclass FROM pg_publication_rel ORDER BY prrelid::regclass::text"
    assert database.psql(tables) == "heir\npart\nshop.work"
    deploy.apply("pg.publication('fed', 'ONLY part')")
    assert database.psql(tables) == "part"


@one_version
def test_tables_and_options_change_together(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t (a int, b int) PARTITION BY LIST (a);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)"
    )
    whole = "pg.publication('fed', 't (a) WHERE (a > 0)', publish_via_partition_root=True)"
    parts = "pg.publication('fed', 't1 (b) WHERE (b > 0)', publish_via_partition_root=False)"
    deploy.apply(whole)
    deploy.apply(parts)
    assert database.rows(TABLES) == [("public", "t1", "{b}", "(b > 0)")]
    deploy.apply(whole)
    # What a block has published holds the types of its columns.
    said = deploy.run(
        f"""
        with pg.transaction():
            {parts}
            pg.table("t", [pg.Column("b", "bigint")])
        """
    ).failed()
    assert "publication fed use it: declare this one before that" in said.output
    assert database.rows(TABLES) == [("public", "t", "{a}", "(a > 0)")]


@one_version
def test_a_column_goes_when_it_is_published_no_longer(database: Database) -> None:
    database.psql(
        "CREATE TABLE job (id int PRIMARY KEY, note text);"
        "CREATE PUBLICATION fed FOR TABLE job (id, note) WHERE (note <> '')"
    )

    def without(*tables: str, comment: str = "") -> process.Outcome:
        def deploy() -> None:
            with pg.transaction():
                pg.publication("fed", list(tables), comment=comment)
                pg.table("job", [pg.Column("note", present=False)])

        return process.run(database, deploy)

    used = "its note is used by publication of table public.job in publication fed"
    before = database.dump()
    assert used in without("job (id, note) WHERE (note <> '')").refused().messages
    said = without("job (id, note) WHERE (note <> '')", comment="other").refused().messages
    assert used in said
    assert database.dump() == before
    without("job (id)").succeeded()
    assert database.rows(TABLES) == [("public", "job", "{id}", "")]


@one_version
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tables": "missing"}, "table public.missing"),
        ({"tables": "t (b)"}, "there is no column b in public.t"),
        ({"tables": "t WHERE (b > 1)"}, "there is no column b in public.t"),
        ({"tables": "t WHERE (a > now())"}, "PostgreSQL refuses it"),
        ({"publication": "one", "tables": "t WHERE (a > now())"}, "PostgreSQL refuses it"),
        ({"tables": ["t", "u"]}, "PostgreSQL refuses it: cannot add relation \"u\""),
        ({"schemas": "missing"}, "schema missing"),
        ({"owner": "postgres"}, "declare what it publishes"),
        ({"publication": "fed", "tables": "t"}, "all tables and is declared to publish some"),
        ({"publication": "fed", "publish": "insert"}, "declare its tables too, or leave out"),
    ],
)  # fmt: skip
def test_what_can_not_be_published_is_refused(
    database: Database, given: dict[str, Any], message: str
) -> None:
    database.psql(
        "CREATE TABLE t (a date); CREATE UNLOGGED TABLE u ();"
        "CREATE PUBLICATION fed FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE t"
    )
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            pg.publication(**{"publication": "p"} | given)

    assert message in process.run(database, deploy).refused().messages
    assert database.dump() == before


@one_version
def test_what_the_role_lacks_is_told(database: Database) -> None:
    role = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role} LOGIN; CREATE TABLE t (); CREATE SCHEMA s")
    dsn = database.dsn.replace("postgres@", f"{role}@", 1)

    def refused(*tables: str, **given: Any) -> str:
        def deploy() -> None:
            pg.publication("p", list(tables), **given)

        return process.run(database, deploy, postgres_dsn=dsn).refused().messages

    said = refused("t")
    assert f"needs CREATE on database {database.name}" in said
    assert "needs the rights of postgres, who owns public.t" in said
    assert "needs a superuser's rights to publish tables to come" in refused(all_tables=True)
    assert "needs a superuser's rights to publish tables to come" in refused(schemas="public")
    database.psql(
        f"GRANT CREATE ON DATABASE {database.name} TO {role}; ALTER TABLE t OWNER TO {role}"
    )
    process.run(database, lambda: pg.publication("p", "t"), postgres_dsn=dsn).succeeded()


@one_version
def test_publications_have_any_name(deploy: Deploy) -> None:
    deploy.apply(
        f"NAMES = {NAMES!r}"
        + """
def q(name):
    return '"' + name.replace('"', '""') + '"'
with pg.transaction():
    for name in NAMES:
        pg.schema(q(name))
        pg.table(f"{q(name)}.{q(name)}", [pg.Column(q(name), "int"), pg.Column("b", "int")])
        pg.publication(q(name), f"{q(name)}.{q(name)} ({q(name)}) WHERE ({q(name)} > 1)",
                       comment=name)
"""
    )
    published = "SELECT count(*) FROM pg_publication_tables WHERE pubname = tablename"
    assert deploy.database.psql(published) == str(len(NAMES))


@pytest.mark.parametrize(
    ("tables", "schemas", "message"),
    [
        ("t, u", (), "is more than a table"),
        ("t, TABLES IN SCHEMA s", (), "is more than a table"),
        ("t WITH (publish = '')", (), "is more than one published table"),
        ("t; DROP TABLE victim", (), "published table"),
        ("t WHERE a > 1", (), "is no published table"),
        (["t", "public.t (a)"], (), "public.t is declared twice"),
        ("t (a)", "s", "leave schemas= out, or the columns"),
        (5, (), "one or a list of them"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(tables: str, schemas: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pg.Publication("p", tables, schemas=schemas)


@pytest.mark.parametrize(
    "text",
    ['t ("where") WHERE ("where" > 1)', "t WHERE ( a > 1 -- one\n)", "ONLY t (a, b) WHERE (a > 1)"],
)
def test_a_filter_is_found_where_it_begins(text: str) -> None:
    (one,) = pg.Publication("p", text).tables
    assert one.where is not None
    assert one.where.endswith(("1", "-- one"))


@pytest.mark.parametrize("others", [{"tables": "t"}, {"schemas": "s"}])
def test_all_tables_are_published_without_naming_any(others: dict[str, str]) -> None:
    with pytest.raises(DeclarationError, match="all tables are published: name no others"):
        pg.Publication("p", all_tables=True, **others)  # type: ignore[arg-type]
