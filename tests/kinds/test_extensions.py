from __future__ import annotations

from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import EVERY_LABEL, Database, one_version
from harness.process import run
from kinds.conftest import Deploy

FACTS = (
    "SELECT extname, extnamespace::regnamespace, obj_description(oid, 'pg_extension') "
    "FROM pg_extension WHERE extname = 'vector'"
)


def test_an_extension_and_what_needs_it_come_in_one_run(deploy: Deploy) -> None:
    database = deploy.database
    available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
    if database.psql(available) == "0":
        pytest.skip("this server has no pgvector: Debian's package is postgresql-VERSION-pgvector")
    deploy.apply(
        """
        with pg.transaction():
            pg.extension("vector", schema="public", comment="mine")
            pg.table("item", [pg.Column("embedding", "vector(3)"),
                              pg.Column("many", "public.vector[]")])
            pg.index("near", "item", ["embedding vector_cosine_ops"], method="hnsw")
            pg.function("zero", returns="vector", body="SELECT '[0,0,0]'::vector")
        """
    )
    assert database.rows(FACTS) == [("vector", "public", "mine")]
    assert "embedding public.vector(3)" in database.dump()
    assert "USING hnsw (embedding public.vector_cosine_ops)" in database.dump()
    assert database.psql("SELECT zero()") == "[0,0,0]"


@one_version
def test_the_order_in_objects_does_not_matter(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.objects([
            pg.Table("item", [pg.Column("v", "ext.vector(3)"), pg.Column("n", "integer")]),
            pg.Extension("vector", schema="ext"),
            pg.Schema("ext"),
        ])
        """
    )
    assert deploy.database.rows(FACTS)[0][:2] == ("vector", "ext")


@one_version
def test_an_extension_moves_and_goes(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE EXTENSION vector; CREATE SCHEMA ext; CREATE TABLE t (v vector)")
    version = database.psql("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    database.psql("INSERT INTO t VALUES ('[1,2]')")
    deploy.apply("pg.extension('vector')")
    deploy.apply(f"pg.extension('vector', schema='ext', version='{version}', comment='')")
    assert database.rows(FACTS) == [("vector", "ext", "")]
    assert database.psql("SELECT v FROM t") == "[1,2]"
    database.psql("DROP TABLE t")
    deploy.apply("pg.extension('vector', present=False)")
    assert database.rows(FACTS) == []


@one_version
def test_an_extension_that_anything_uses_stays(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE EXTENSION vector; CREATE TABLE t (v vector(3), many vector[]);"
        "CREATE INDEX i ON t USING hnsw (v vector_cosine_ops);"
        "CREATE VIEW w AS SELECT '[1]'::vector::text AS v; CREATE DOMAIN d AS vector;"
        "CREATE FUNCTION f(vector) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    before = database.dump()
    removal = "pg.extension('vector', present=False)"
    output = deploy.run(removal, "--data", "postgres_allow=t").failed().output
    users = (
        "column many of table public.t, column v of table public.t, "
        "function public.f(public.vector), index public.i, type public.d, view public.w"
    )
    assert f"it is used by {users}: remove or change that before" in output
    assert database.dump() == before
    deploy.apply(
        f"""
        with pg.transaction():
            pg.view("w", present=False)
            pg.table("t", present=False)
            pg.domain("d", present=False)
            pg.function("f", arguments="vector", present=False)
            {removal}
        """
    )
    assert database.rows(FACTS) == []


@one_version
def test_an_extension_that_the_server_does_not_have(deploy: Deploy) -> None:
    run = deploy.run("pg.extension('no_such_thing')").failed()
    assert "extension no_such_thing: this server does not have it" in run.output
    deploy.apply("pg.extension('no_such_thing', present=False)")


# Debian's server has extensions of several versions.
@pytest.mark.parametrize("server", [one for one in EVERY_LABEL if one == "15"], indirect=True)
@pytest.mark.parametrize(
    ("there", "declared", "reason"),
    [
        ("pg_trgm", {"version": "1.5"}, "no update of it from version 1.6 to 1.5"),
        ("pg_trgm", {"version": "9.9"}, "no update of it from version 1.6 to 9.9"),
        ("", {"version": "0.1"}, "this server has no version 0.1 of it: 1.3, 1.4, 1.5, 1.6"),
        ("xml2", {"schema": "z"}, "it stays in schema public"),
        (
            "pg_trgm",
            {"schema": "z"},
            'similarity(text, text) already exists in schema "z"',
        ),
        ("pg_trgm VERSION '1.3'", {"version": "1.5"}, ""),
        ("pg_trgm", {"schema": "y"}, ""),
    ],
)
def test_what_an_extension_can_not_become_is_refused(
    there: str, declared: dict[str, Any], reason: str, database: Database
) -> None:
    name = there.partition(" ")[0] or "pg_trgm"
    database.psql(
        f"CREATE SCHEMA y; CREATE SCHEMA z; {'CREATE EXTENSION' if there else '--'} {there};\n"
        "CREATE FUNCTION z.similarity(text, text) RETURNS real LANGUAGE sql AS 'SELECT 1::real'"
    )
    dump = database.dump()
    outcome = run(database, lambda: pg.extension(name, **declared))
    if reason:
        assert reason in outcome.refused().messages
        assert database.dump() == dump
    else:
        outcome.succeeded()
        assert run(database, lambda: pg.extension(name, **declared)).plan.changes == []


@one_version
def test_an_extension_that_has_its_schema_stays_there(database: Database) -> None:
    database.psql("CREATE SCHEMA z")
    refused = run(database, lambda: pg.extension("plpgsql", schema="z")).refused()
    assert "it stays in schema pg_catalog" in refused.messages
