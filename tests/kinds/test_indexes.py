from __future__ import annotations

from harness import one_version
from kinds.conftest import Deploy, outcomes

DEFINITION = "SELECT pg_get_indexdef('{}'::regclass), obj_description('{}'::regclass, 'pg_class')"

# What the index has on (a, b) at first, and what it is declared to have.
CHANGES = {
    "other columns": ("(a)", "['a', 'b']", "btree (a, b)"),
    "another order": ("(a, b)", "['b', 'a']", "btree (b, a)"),
    "descending": ("(a)", "['a DESC']", "btree (a DESC)"),
    "nulls first": ("(a)", "['a NULLS FIRST']", "btree (a NULLS FIRST)"),
    "ascending again": ("(a DESC NULLS LAST)", "['a']", "btree (a)"),
    "a predicate": ("(a)", "['a'], where='a > 0'", "btree (a) WHERE (a > 0)"),
    "another predicate": ("(a) WHERE a > 1", "['a'], where='a > 0'", "btree (a) WHERE (a > 0)"),
    "no predicate": ("(a) WHERE a > 1", "['a']", "btree (a)"),
    "an expression": ("(a)", "['(a + b)']", "btree (((a + b)))"),
    "more columns carried": ("(a)", "['a'], include=['b']", "btree (a) INCLUDE (b)"),
    "fewer columns carried": ("(a) INCLUDE (b)", "['a']", "btree (a)"),
    "another method": ("(a)", "['a'], method='hash'", "hash (a)"),
    "an operator class": ("(c)", "['c text_pattern_ops']", "btree (c text_pattern_ops)"),
    "a collation": ("(c)", "['c COLLATE \"C\"']", 'btree (c COLLATE "C")'),
}


def test_an_index_is_replaced_where_it_differs(deploy: Deploy) -> None:
    database = deploy.database
    declared = ""
    for number, (before, after, _) in enumerate(CHANGES.values()):
        database.psql(
            f"CREATE TABLE t{number} (a integer, b integer, c text);"
            f"CREATE INDEX i{number} ON t{number} {before};"
            f"COMMENT ON INDEX i{number} IS 'kept'"
        )
        if number % 2:
            database.psql(f"INSERT INTO t{number} VALUES (1, 2, 'x')")
        declared += f"    pg.index('i{number}', 't{number}', {after}, name='{number}')\n"
    run = deploy.apply("with pg.transaction():\n" + declared)
    for number, (name, (_, _, expected)) in enumerate(CHANGES.items()):
        expected = f"CREATE INDEX i{number} ON public.t{number} USING {expected}"
        assert outcomes(run)[str(number)] == "Success", name
        found = database.rows(DEFINITION.format(f"i{number}", f"i{number}"))
        assert found == [(expected, "kept")], name


@one_version
def test_unique_and_nulls_and_the_comment_go_on_and_off(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (a integer); INSERT INTO t VALUES (1)")
    deploy.apply(
        "pg.index('i', 't', 'a', unique=True, nulls_not_distinct=True, comment='it\\'s')\n"
        "pg.index('j', 't', ['a'])\n"
    )
    definition = "CREATE UNIQUE INDEX i ON public.t USING btree (a) NULLS NOT DISTINCT"
    assert database.rows(DEFINITION.format("i", "i")) == [(definition, "it's")]
    deploy.apply("pg.index('i', 't', 'a', comment='')")
    assert database.rows(DEFINITION.format("i", "i")) == [
        ("CREATE INDEX i ON public.t USING btree (a)", "")
    ]
    deploy.apply("pg.index('i', 't', present=False)")
    assert database.psql("SELECT to_regclass('i'), to_regclass('j')") == "|j"
    assert database.psql("SELECT a FROM t") == "1"


def test_an_index_is_built_concurrently_only_where_there_are_rows(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE filled AS SELECT 1 AS a; CREATE TABLE empty (a integer)")
    with database.watch() as seen:
        deploy.run(
            """
            with pg.transaction():
                pg.table("new", [pg.Column("a", "integer")])
                for name in ("filled", "empty", "new"):
                    pg.index(f"{name}_a", name, ["a"])
            """
        ).succeeded()
    built = [one for one in seen.statements if "CONCURRENTLY" in one]
    assert built == ["CREATE INDEX CONCURRENTLY filled_a ON public.filled USING btree (a)"]
    deploy.unchanged()


def test_an_index_that_a_failed_build_left_invalid_is_built_again(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (a integer); INSERT INTO t VALUES (1), (1)")
    database.error("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass") == "f"
    refused = deploy.run("pg.index('i', 't', ['a'], unique=True)").failed()
    assert "does not hold for 2 rows" in refused.output
    database.psql("DELETE FROM t WHERE ctid = '(0,1)'")
    deploy.apply("pg.index('i', 't', ['a'], unique=True)")
    assert database.psql("SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass") == "t"


@one_version
def test_indexes_of_one_name_in_two_schemas(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE SCHEMA s; CREATE TABLE s.t (a integer, b integer);"
        "CREATE TABLE t (a integer, b integer); CREATE INDEX i ON t (a)"
    )
    deploy.apply("pg.index('i', 's.t', ['b'])")
    assert "(b)" in database.psql("SELECT pg_get_indexdef('s.i'::regclass)")
    assert "(a)" in database.psql("SELECT pg_get_indexdef('public.i'::regclass)")


def test_an_index_of_a_partitioned_table_reaches_its_partitions(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t (a integer) PARTITION BY LIST (a);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1)"
    )
    deploy.apply("pg.index('i', 't', ['a'])")
    assert (
        database.psql(
            "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid IN "
            "('t'::regclass, 't1'::regclass)"
        )
        == "2"
    )
