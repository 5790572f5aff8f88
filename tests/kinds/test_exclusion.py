from __future__ import annotations

from harness import one_version
from kinds.conftest import Deploy

CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid = 't'::regclass ORDER BY conname"""
TABLE = "CREATE TABLE t (a integer, span int4range, name text, flag boolean);"


def test_exclusion_constraints_of_every_form(deploy: Deploy) -> None:
    deploy.database.psql(f"{TABLE} INSERT INTO t VALUES (1, '[1,2)', 'a'), (2, '[2,3)', 'b')")
    deploy.apply(
        """
        pg.table("t", constraints=[
            pg.Exclude(("span", "&&")),
            pg.Exclude(("lower(name)", "="), using="btree", name="names", where="flag is not true"),
            pg.Exclude(("a", "="), ('name COLLATE "C" DESC', "="), using="BTREE", name="later",
                       initially_deferred=True),
            pg.Exclude(("int4range(a, a, '[]')", "OPERATOR(pg_catalog.&&)"), name="ranges"),
        ])
        """,
        "--data",
        "postgres_allow=t",
    )
    assert deploy.database.rows(CONSTRAINTS) == [
        ("later", 'EXCLUDE USING btree (a WITH =, name COLLATE "C" DESC WITH =) '
                  "DEFERRABLE INITIALLY DEFERRED"),
        ("names", "EXCLUDE USING btree (lower(name) WITH =) WHERE ((flag IS NOT TRUE))"),
        ("ranges", "EXCLUDE USING gist (int4range(a, a, '[]'::text) WITH &&)"),
        ("t_span_excl", "EXCLUDE USING gist (span WITH &&)"),
    ]  # fmt: skip
    assert "23P01" in deploy.database.error("INSERT INTO t VALUES (5, '[1,9)', 'c')")


@one_version
def test_an_exclusion_constraint_of_the_same_name_is_replaced(deploy: Deploy) -> None:
    deploy.database.psql(f"{TABLE} ALTER TABLE t ADD CONSTRAINT x EXCLUDE (a WITH =)")
    deploy.apply("pg.table('t', constraints=[pg.Exclude(('name', '='), using='hash', name='x')])")
    assert deploy.database.rows(CONSTRAINTS) == [("x", "EXCLUDE USING hash (name WITH =)")]
    # What is not declared stays.
    deploy.apply("pg.table('t', constraints=[pg.Exclude(('span', '&&'))])")
    assert len(deploy.database.rows(CONSTRAINTS)) == 2


@one_version
def test_an_operator_of_another_schema(deploy: Deploy) -> None:
    deploy.database.psql(
        f"{TABLE} CREATE SCHEMA lab;"
        "CREATE FUNCTION lab.same(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE "
        "AS 'SELECT $1 = $2';"
        "CREATE OPERATOR lab.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = lab.same,"
        " COMMUTATOR = OPERATOR(lab.===));"
        "CREATE OPERATOR CLASS lab.same_ops FOR TYPE integer USING hash AS OPERATOR 1 lab.===,"
        " FUNCTION 1 hashint4(integer)"
    )
    deploy.apply(
        """
        pg.table("t", constraints=[
            pg.Exclude(("a lab.same_ops", "OPERATOR(lab.===)"), using="hash", name="x")])
        pg.index("i", "t", ["a lab.same_ops"], method="hash")
        """
    )
    assert "lab.same_ops" in deploy.database.psql("SELECT pg_get_indexdef('i'::regclass)")
    assert "lab.===" in deploy.database.rows(CONSTRAINTS)[0][1]


@one_version
def test_what_is_no_exclusion_is_refused(deploy: Deploy) -> None:
    deploy.database.psql(f"{TABLE} INSERT INTO t (a) VALUES (1), (1)")
    before = deploy.database.dump()
    for text, message in {
        "pg.Exclude('span')": "is (column, operator)",
        "pg.Exclude(('span', 'and'))": "is no operator",
        "pg.Exclude(('a', '='), using='btree')": "2 rows, which exclude each other",
    }.items():
        declared = f"pg.table('t', constraints=[{text}])"
        output = deploy.run(declared, "--data", "postgres_allow=t").failed().output
        assert message in output
    assert deploy.database.dump() == before
