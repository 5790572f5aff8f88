from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy

SEQUENCE = """
    SELECT data_type, increment_by, min_value, max_value, start_value, cache_size, cycle,
           sequenceowner, obj_description('s'::regclass, 'pg_class')
      FROM pg_sequences WHERE sequencename = 's'"""
PLAIN = ("bigint", "1", "1", str(2**63 - 1), "1", "1", "f", "postgres", "")


def test_a_sequence_is_created_altered_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}; CREATE TABLE t (id integer)")
    deploy.apply("pg.sequence('s')")
    assert database.rows(SEQUENCE) == [PLAIN]
    assert database.psql("SELECT nextval('s')") == "1"
    deploy.apply(
        f"""
        pg.sequence("s", type="int", increment=5, minimum=0, maximum=1000, start=10, cache=3,
                    cycle=True, comment="it's")
        pg.sequence("s", owner="{owner}")
        """
    )
    expected = ("integer", "5", "0", "1000", "10", "3", "t", owner, "it's")
    assert database.rows(SEQUENCE) == [expected]
    assert database.psql("SELECT last_value FROM s") == "1"
    deploy.apply("pg.sequence('s', cycle=False, increment=2, comment='')")
    assert database.rows(SEQUENCE) == [
        ("integer", "2", "0", "1000", "10", "3", "f", owner, "")
    ]  # fmt: skip
    output = deploy.run("pg.sequence('s', present=False)").failed().output
    assert "DROP SEQUENCE public.s would lose 1 value" in output
    deploy.apply("pg.sequence('s', present=False)", "--data", "postgres_allow=s")
    assert database.rows("SELECT * FROM pg_sequences") == []


def test_a_type_brings_its_own_bounds(deploy: Deploy) -> None:
    database = deploy.database
    for type_, bits in (("smallint", 15), ("bigint", 63), ("int4", 31)):
        deploy.apply(f"pg.sequence('s', type={type_!r})")
        assert database.rows(SEQUENCE)[0][2:4] == ("1", str(2**bits - 1))
    deploy.apply("pg.sequence('down', type='smallint', increment=-1)")
    deploy.apply("pg.sequence('down', type='bigint', increment=-1)")
    bounds = "SELECT min_value, max_value FROM pg_sequences WHERE sequencename = 'down'"
    assert database.rows(bounds) == [(str(-(2**63)), "-1")]


@one_version
def test_the_column_that_owns_a_sequence(deploy: Deploy) -> None:
    database = deploy.database
    owns = "SELECT pg_get_serial_sequence('t', 'Id'), pg_get_serial_sequence('t', 'b')"
    database.psql('CREATE TABLE t ("Id" bigint, b bigint)')
    deploy.apply("pg.sequence('s', owned_by='t.\"Id\"')")
    assert database.psql(owns) == "public.s|"
    deploy.apply("pg.sequence('s', owned_by='public.t.b')")
    assert database.psql(owns) == "|public.s"
    deploy.apply("pg.sequence('s')")
    assert database.psql(owns) == "|public.s"
    deploy.apply("pg.sequence('s', owned_by='none')")
    assert database.psql(owns) == "|"
    deploy.apply("pg.sequence('s', present=False)")
    # Those of identity columns are no sequences of their own.
    database.psql("CREATE TABLE i (id integer GENERATED ALWAYS AS IDENTITY)")
    deploy.apply("pg.table('i', [pg.Column('id', 'integer', identity='ALWAYS')])")


@one_version
def test_what_is_no_sequence_is_refused(deploy: Deploy) -> None:
    for text, message in {
        "pg.sequence('s', type='text')": "a sequence is smallint",
        "pg.sequence('s', owned_by='id')": "owned_by is a column",
        "pg.sequence('s', minimum=5, maximum=1)": "MINVALUE",
        "pg.sequence('s', owned_by='missing.id')": "missing",
    }.items():
        assert message in deploy.run(text).failed().output
    assert deploy.database.rows("SELECT * FROM pg_sequences") == []


@one_version
def test_a_sequence_comes_before_the_default_that_needs_it(deploy: Deploy) -> None:
    deploy.apply(
        """
        with pg.transaction():
            pg.sequence("s", start=7)
            pg.table("t", [pg.Column("id", "bigint", default="nextval('s')"),
                           pg.Column("a", "integer")])
            pg.sequence("s", owned_by="t.id")
        """
    )
    deploy.database.psql("INSERT INTO t (a) VALUES (1)")
    assert deploy.database.psql("SELECT id FROM t") == "7"
    deploy.unchanged()


@one_version
def test_a_sequence_goes_when_no_default_uses_it(deploy: Deploy) -> None:
    deploy.database.psql("CREATE SEQUENCE s; CREATE TABLE t (a bigint DEFAULT nextval('s'))")
    refused = deploy.run("pg.sequence('s', present=False)").failed()
    assert "it is used by default value for column a of table public.t" in refused.output
    deploy.apply(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("a", "bigint")])
            pg.sequence("s", present=False)
        """
    )
