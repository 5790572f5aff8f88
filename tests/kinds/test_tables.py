from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy

COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
           pg_get_expr(adbin, adrelid), c.collname, col_description(attrelid, attnum)
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
      JOIN pg_type t ON t.oid = atttypid
      LEFT JOIN pg_collation c ON c.oid = attcollation AND attcollation <> typcollation
     WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
TABLE = """
    SELECT relrowsecurity, relforcerowsecurity, relowner::regrole, obj_description(oid, 'pg_class')
      FROM pg_class WHERE oid = 't'::regclass"""
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid = 't'::regclass AND contype <> 'n' ORDER BY conname"""


def column(database: Database, name: str) -> tuple[str, ...]:
    (found,) = [row for row in database.rows(COLUMNS) if row[0] == name]
    return found[1:]


def test_a_table_is_created_with_all_that_columns_have(deploy: Deploy) -> None:
    database = deploy.database
    deploy.apply(
        """
        pg.table("t", [
            pg.Column("id", "bigint", identity="ALWAYS", primary_key=True),
            pg.Column("other", "int", identity="BY DEFAULT"),
            pg.Column("number", "serial", comment="it's"),
            pg.Column("email", "varchar(255)", nullable=False, unique=True),
            pg.Column("upper", "text", generated="upper(email)"),
            pg.Column("sorted", "text", collation="C"),
            pg.Column("plain", "text", collation="default"),
            pg.Column("parent", "bigint", references="t"),
            pg.Column("price", "numeric", default="0 -- free"),
        ], comment="all", row_security=True, force_row_security=True)
        """
    )
    assert database.rows(COLUMNS) == [
        ("id", "bigint", "t", "a", "", "", "", ""),
        ("other", "integer", "t", "d", "", "", "", ""),
        ("number", "integer", "t", "", "", "nextval('t_number_seq'::regclass)", "", "it's"),
        ("email", "character varying(255)", "t", "", "", "", "", ""),
        ("upper", "text", "f", "", "s", "upper((email)::text)", "", ""),
        ("sorted", "text", "f", "", "", "", "C", ""),
        ("plain", "text", "f", "", "", "", "", ""),
        ("parent", "bigint", "f", "", "", "", "", ""),
        ("price", "numeric", "f", "", "", "0", "", ""),
    ]
    assert database.rows(TABLE) == [("t", "t", "postgres", "all")]
    assert database.rows(CONSTRAINTS) == [
        ("t_email_key", "UNIQUE (email)"),
        ("t_parent_fkey", "FOREIGN KEY (parent) REFERENCES t(id)"),
        ("t_pkey", "PRIMARY KEY (id)"),
    ]
    deploy.apply("pg.table('t', present=False)")
    assert database.psql("SELECT to_regclass('t')") == ""


@one_version
def test_attributes_of_a_table_go_on_and_off(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}; CREATE TABLE t AS SELECT 1 AS id")
    on = f"row_security=True, force_row_security=True, owner={owner!r}, comment='one'"
    deploy.apply(f"pg.table('t', {on})")
    assert database.rows(TABLE) == [("t", "t", owner, "one")]
    deploy.apply("pg.table('t', [pg.Column('id', 'int')])")
    assert database.rows(TABLE) == [("t", "t", owner, "one")]
    off = "row_security=False, force_row_security=False, owner='postgres', comment=''"
    deploy.apply(f"pg.table('t', {off})")
    assert database.rows(TABLE) == [("f", "f", "postgres", "")]
    assert database.psql("SELECT id FROM t") == "1"


# name: (before, declared, after, the row's value before, after)
CHANGES = {
    "a default": ("text", "'text', default=\"'a'\"", "text|f|||'a'::text||", "'x'", "x"),
    "another default": ("text DEFAULT 'b'", "'text', default='lower(\\'A\\')'",
                        "text|f|||lower('A'::text)||", "'x'", "x"),
    "no default": ("text DEFAULT 'b'", "'text'", "text|f|||||", "'x'", "x"),
    "a null default": ("text DEFAULT 'b'", "'text', default='NULL'", "text|f|||||", "'x'", "x"),
    "not null": ("text", "'text', nullable=False", "text|t|||||", "'x'", "x"),
    "null again": ("text NOT NULL", "'text'", "text|f|||||", "'x'", "x"),
    "a wider text": ("varchar(5) DEFAULT 'a'", "'varchar(9)', default=\"'a'\"",
                     "character varying(9)|f|||'a'::character varying||", "'x'", "x"),
    "text of any length": ("varchar(5) DEFAULT 'a'", "'text', default=\"'a'\"",
                           "text|f|||'a'::text||", "'x'", "x"),
    "a bigger number": ("integer DEFAULT 1", "'bigint', default='1'", "bigint|f|||1||", "7", "7"),
    "a number from text": ("text DEFAULT '1'", "'integer', default='1'",
                           "integer|f|||1||", "'7'", "7"),
    "an enum from text": ("text DEFAULT 'ok'", "'mood', default=\"'ok'\"",
                          "mood|f|||'ok'::mood||", "'ok'", "ok"),
    "text from an enum": ("mood DEFAULT 'ok'", "'text', default=\"'ok'\"",
                          "text|f|||'ok'::text||", "'ok'", "ok"),
    "an enum from text, without default": ("text DEFAULT 'ok'", "'mood'",
                                           "mood|f|||||", "'ok'", "ok"),
    "a moment with its zone": ("timestamp DEFAULT now()", "'timestamptz', default='now()'",
                               "timestamp with time zone|f|||now()||", "'2025-01-01'",
                               "2025-01-01 00:00:00+00"),
    "an identity": ("integer NOT NULL", "'integer', identity='ALWAYS'",
                    "integer|t|a||||", "7", "7"),
    "an identity instead of null": ("integer", "'integer', identity='BY DEFAULT'",
                                    "integer|t|d||||", "7", "7"),
    "an identity instead of a default": ("integer DEFAULT 3", "'integer', identity='ALWAYS'",
                                         "integer|t|a||||", "7", "7"),
    "an identity instead of a sequence": ("serial", "'integer', identity='ALWAYS'",
                                          "integer|t|a||||", "7", "7"),
    "another identity": ("integer GENERATED ALWAYS AS IDENTITY",
                         "'integer', identity='BY DEFAULT'", "integer|t|d||||", "DEFAULT", "1"),
    "no identity": ("integer GENERATED BY DEFAULT AS IDENTITY", "'integer'",
                    "integer|f|||||", "7", "7"),
    "a default instead of an identity": ("integer GENERATED BY DEFAULT AS IDENTITY",
                                         "'integer', default='5'", "integer|f|||5||", "7", "7"),
    "serial, as it is": ("serial", "'serial'",
                         "integer|t|||nextval('t_c_seq'::regclass)||", "7", "7"),
    "a collation": ("text", "'text', collation='C'", "text|f||||C|", "'x'", "x"),
    "no collation": ('text COLLATE "C"', "'text', collation='default'", "text|f|||||", "'x'", "x"),
    "a collation of one's own, as it is": ("text COLLATE mine", "'text', collation='mine'",
                                           "text|f||||mine|", "'x'", "x"),
    "a collation, as it is": ('text COLLATE "C"', "'text'", "text|f||||C|", "'x'", "x"),
    "no more text, so no collation": ('text COLLATE "C"', "'integer'", "integer|f|||||",
                                      "'7'", "7"),
    "a comment": ("text", "'text', comment='it\\'s'", "text|f|||||it's", "'x'", "x"),
    "another type where it is generated": (
        "integer GENERATED ALWAYS AS (1 + 1) STORED", "'bigint', generated='1 + 1'",
        "bigint|f||s|(1 + 1)||", "DEFAULT", "2"),
}  # fmt: skip


def test_columns_change_in_place(deploy: Deploy) -> None:
    """One table for each case, each with a row that has to survive."""
    database = deploy.database
    database.psql("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    database.psql("CREATE COLLATION mine (provider = libc, locale = 'C')")
    operations = ""
    for number, (before, declared, _, value, _) in enumerate(CHANGES.values()):
        database.psql(f"CREATE TABLE t (c {before}, extra text); INSERT INTO t VALUES ({value})")
        # The names that PostgreSQL gives are those of a table called t.
        database.psql(f"CREATE SCHEMA s{number}; ALTER TABLE t SET SCHEMA s{number}")
        operations += f"    pg.table('s{number}.t', [pg.Column('c', {declared})])\n"
    text = f"with pg.transaction():\n{operations}"
    # A rewrite of a table with rows needs permission by name.
    dump = database.dump()
    assert "would rewrite the table" in deploy.run(text).failed().output
    assert database.dump() == dump
    allowed = ",".join(f"s{number}.t" for number in range(len(CHANGES)))
    deploy.apply(text, "--data", f"postgres_allow={allowed}")
    for number, (name, (_, _, after, _, value)) in enumerate(CHANGES.items()):
        path = f"SET search_path = s{number}, public; SET TimeZone = 'UTC'; "
        found = database.psql(path + COLUMNS).splitlines()
        assert [line.replace(f"s{number}.", "") for line in found] == [
            f"c|{after}",
            "extra|text|f|||||",
        ], name
        assert database.psql(path + "SELECT c FROM t") == value, name


def test_an_identity_goes_on_after_the_rows_that_are_there(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE a (id integer NOT NULL); INSERT INTO a VALUES (41);"
        "CREATE TABLE b (id serial); INSERT INTO b VALUES (41);"
        "CREATE TABLE c (id smallint NOT NULL);"
        "CREATE TABLE d (id serial); INSERT INTO d DEFAULT VALUES; INSERT INTO d DEFAULT VALUES;"
        "DELETE FROM d"
    )
    deploy.apply(
        """
        for name in "abcd":
            type_ = "smallint" if name == "c" else "integer"
            pg.table(name, [pg.Column("id", type_, identity="ALWAYS")])
        """,
        "postgres_allow=a,b,d",
    )
    for name, value in {"a": "42", "b": "42", "c": "1", "d": "3"}.items():
        assert database.psql(f"INSERT INTO {name} DEFAULT VALUES RETURNING id") == value


@pytest.mark.parametrize("before", ["integer", "bigint"])
def test_the_sequence_of_a_serial_column_reaches_as_far_as_the_column(
    deploy: Deploy, before: str
) -> None:
    database = deploy.database
    database.psql(
        f'CREATE TABLE "T" (id serial); ALTER TABLE "T" ALTER id TYPE {before};'
        """SELECT setval('"T_id_seq"', 2147483647)"""
    )
    deploy.apply("""pg.table('"T"', [pg.Column("id", "bigserial")])""")
    database.psql('INSERT INTO "T" DEFAULT VALUES')
    assert database.psql('SELECT id FROM "T"') == "2147483648"


def test_columns_are_added_and_undeclared_ones_stay(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (id integer, old text); INSERT INTO t VALUES (1, 'kept')")
    deploy.apply(
        """
        pg.table("t", [
            pg.Column("new", "text", default="'a'", nullable=False, comment="new"),
            pg.Column("id", "integer", primary_key=True),
            pg.Column("sum", "integer", generated="id + 1"),
            pg.Column("number", "bigserial"),
        ])
        """,
        "--data",
        "postgres_allow=t",
    )
    assert database.rows("SELECT * FROM t") == [("1", "kept", "a", "2", "1")]
    assert column(database, "new")[-1] == "new"


@pytest.mark.parametrize(
    ("before", "declared", "message"),
    [
        ("c integer", "[pg.Column('c', 'integer', generated='1')]", "the next run adds it"),
        ("c integer", "[pg.Column('c', 'serial')]", "NOT NULL of column c does not hold for 1 row"),
        (
            "c text DEFAULT ''",
            "[pg.Column('c', 'text', identity='ALWAYS')]",
            "smallint, integer, or",
        ),
        ("c date", "[pg.Column('c', 'date')], partition_by='RANGE (c)'", "can't change that"),
        ("c integer", "[pg.Column('c', 'integr')]", "type public.integr"),
        ("c integer", "[pg.Column('c', 'integer', default='1 +')]", "syntax error"),
        ("c integer", "[pg.Column('c', 'integer', default='nope()')]", "nope()"),
        ("c integer", "constraints=[pg.Check('d > 0')]", "no column d in public.t"),
        ("c integer", "[pg.Column('c', 'int'), pg.Column('c', 'int')]", "c is declared twice"),
        (
            "c integer",
            "[pg.Column('c', 'int', references='pair')]",
            "1 of its own for 2 columns of",
        ),
        ("c integer", "constraints=[pg.ForeignKey('c', references='pair(a, b)')]", "name as many"),
    ],
)
@one_version
def test_what_can_not_be_is_refused(
    deploy: Deploy, before: str, declared: str, message: str
) -> None:
    deploy.database.psql(
        f"CREATE TABLE t ({before}); CREATE TABLE pair (a integer, b integer, PRIMARY KEY (a, b));"
        "INSERT INTO t VALUES (DEFAULT)"
    )
    dump = deploy.database.dump()
    run = deploy.run(f"pg.table('t', {declared})", "--data", "postgres_allow=t").failed()
    assert message in run.output
    assert deploy.database.dump() == dump


@one_version
def test_a_table_with_rows_is_dropped_only_by_name(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t AS SELECT 1; CREATE TABLE empty (id integer)")
    deploy.apply("pg.table('empty', present=False)")
    run = deploy.run("pg.table('t', present=False)").failed()
    assert "would lose 1 row;" in run.output
    assert database.psql("SELECT count(*) FROM t") == "1"
    deploy.apply("pg.table('t', present=False)", "--data", "postgres_allow=public.t")
    assert database.psql("SELECT to_regclass('t'), to_regclass('empty')") == "|"


CONSTRAINT_CASES = {
    "PrimaryKey('a')": ("t_pkey", "PRIMARY KEY (a)"),
    "PrimaryKey('b', 'a', include=['c'], name='\"My Key\"')": (
        "My Key",
        "PRIMARY KEY (b, a) INCLUDE (c)",
    ),
    "PrimaryKey('a', deferrable=True)": ("t_pkey", "PRIMARY KEY (a) DEFERRABLE"),
    "Unique('a', 'b')": ("t_a_b_key", "UNIQUE (a, b)"),
    "Unique('a', nulls_not_distinct=True)": ("t_a_key", "UNIQUE NULLS NOT DISTINCT (a)"),
    "Unique('a', initially_deferred=True)": (
        "t_a_key",
        "UNIQUE (a) DEFERRABLE INITIALLY DEFERRED",
    ),
    "Unique('a', include=['b'])": ("t_a_b_key", "UNIQUE (a) INCLUDE (b)"),
    "Check('a > 0')": ("t_a_check", "CHECK ((a > 0))"),
    "Check('a > b')": ("t_check", "CHECK ((a > b))"),
    "Check('a > 0', no_inherit=True)": ("t_a_check", "CHECK ((a > 0)) NO INHERIT"),
    "ForeignKey('a', references='other')": (
        "t_a_fkey",
        "FOREIGN KEY (a) REFERENCES public.other(x)",
    ),
    "ForeignKey('a', 'b', references='other(y, x)', on_delete='cascade', on_update='SET NULL')": (
        "t_a_b_fkey",
        "FOREIGN KEY (a, b) REFERENCES public.other(y, x) ON UPDATE SET NULL ON DELETE CASCADE",
    ),
    "ForeignKey('a', 'b', references='other(y, x)', match_full=True, deferrable=True)": (
        "t_a_b_fkey",
        "FOREIGN KEY (a, b) REFERENCES public.other(y, x) MATCH FULL DEFERRABLE",
    ),
    "ForeignKey('a', references='other(x)', on_delete='SET DEFAULT', initially_deferred=True)": (
        "t_a_fkey",
        "FOREIGN KEY (a) REFERENCES public.other(x) ON DELETE SET DEFAULT "
        "DEFERRABLE INITIALLY DEFERRED",
    ),
    "ForeignKey('a', 'b', references='other(y, x)', on_delete='set null (B, \"a\")')": (
        "t_a_b_fkey",
        "FOREIGN KEY (a, b) REFERENCES public.other(y, x) ON DELETE SET NULL",
    ),
    "ForeignKey('a', 'b', references='other(y, x)', on_delete='SET DEFAULT (b)')": (
        "t_a_b_fkey",
        "FOREIGN KEY (a, b) REFERENCES public.other(y, x) ON DELETE SET DEFAULT (b)",
    ),
    "ForeignKey('c', references='public.other', on_delete='RESTRICT')": (
        "t_c_fkey",
        "FOREIGN KEY (c) REFERENCES public.other(x) ON DELETE RESTRICT",
    ),
}


@pytest.mark.parametrize("filled", [False, True], ids=["empty tables", "tables with rows"])
def test_constraints_are_added(deploy: Deploy, filled: bool) -> None:
    database = deploy.database
    database.psql("CREATE TABLE other (x integer PRIMARY KEY, y integer, UNIQUE (y, x))")
    database.psql("INSERT INTO other VALUES (2, 2), (1, 2), (3, 3)")
    operations = ""
    for number, text in enumerate(CONSTRAINT_CASES):
        database.psql(f"CREATE SCHEMA s{number}")
        database.psql(f"CREATE TABLE s{number}.t (a integer, b integer, c integer)")
        if filled:
            database.psql(f"INSERT INTO s{number}.t VALUES (2, 1, 3)")
        operations += f"    pg.table('s{number}.t', constraints=[pg.{text}])\n"
    deploy.apply(f"with pg.transaction():\n{operations}")
    for number, (text, expected) in enumerate(CONSTRAINT_CASES.items()):
        path = f"SET search_path = s{number}; "
        assert database.rows(path + CONSTRAINTS) == [expected], text


def test_a_constraint_changes_under_its_name(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE other (x integer PRIMARY KEY); INSERT INTO other VALUES (1);"
        "CREATE TABLE pairs (x integer, y integer, PRIMARY KEY (x, y));"
        "CREATE TABLE t (a integer CONSTRAINT k CHECK (a > 0),"
        " b integer CONSTRAINT f REFERENCES other ON DELETE CASCADE,"
        " c integer CONSTRAINT u UNIQUE, d integer CHECK (d > 0), e integer,"
        " CONSTRAINT g FOREIGN KEY (b, e) REFERENCES pairs ON DELETE SET NULL (e));"
        "INSERT INTO t VALUES (1, 1, 1, 1)"
    )
    deploy.apply(
        """
        pg.table("t", constraints=[
            pg.Check("a > -1", name="k"),
            pg.ForeignKey("b", references="other", name="f"),
            pg.ForeignKey("b", "e", references="pairs", name="g", on_delete="SET NULL"),
            pg.Unique("c", "d", name="u"),
        ])
        """
    )
    assert database.rows(CONSTRAINTS) == [
        ("f", "FOREIGN KEY (b) REFERENCES other(x)"),
        ("g", "FOREIGN KEY (b, e) REFERENCES pairs(x, y) ON DELETE SET NULL"),
        ("k", "CHECK ((a > '-1'::integer))"),
        ("t_d_check", "CHECK ((d > 0))"),
        ("u", "UNIQUE (c, d)"),
    ]
    assert database.psql("SELECT count(*) FROM t") == "1"


@one_version
def test_a_constraint_that_was_never_validated_is_validated(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t (a integer); INSERT INTO t VALUES (1);"
        "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID"
    )
    deploy.apply("pg.table('t', constraints=[pg.Check('a > 0')])")
    assert database.rows(CONSTRAINTS) == [("k", "CHECK ((a > 0))")]


@one_version
def test_a_constraint_holds_always_and_for_all_rows(database: Database) -> None:
    if database.server.version < 18:
        pytest.skip("from PostgreSQL 18 on they may not")
    database.psql(
        "CREATE TABLE other (id int PRIMARY KEY);"
        "CREATE TABLE t (id int4range, d daterange NOT NULL, n int CONSTRAINT c CHECK (n > 0)"
        " NOT ENFORCED, o int CONSTRAINT f REFERENCES other NOT ENFORCED,"
        " CONSTRAINT u UNIQUE (id, d WITHOUT OVERLAPS));"
        "INSERT INTO t VALUES ('[1,2)', '[2025-01-01,2025-02-01)', 1, NULL)"
    )

    def deploy() -> None:
        pg.table(
            "t",
            constraints=[
                pg.Check("n > 0", name="c"),
                pg.ForeignKey("o", references="other", name="f"),
                pg.Unique("id", "d", name="u"),
            ],
        )

    run(database, deploy).succeeded()
    assert database.rows(CONSTRAINTS) == [
        ("c", "CHECK ((n > 0))"),
        ("f", "FOREIGN KEY (o) REFERENCES other(id)"),
        ("u", "UNIQUE (id, d)"),
    ]
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_rows_that_break_a_new_constraint_are_told(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (a integer); INSERT INTO t VALUES (-1)")
    run = deploy.run("pg.table('t', constraints=[pg.Check('a > 0')])").failed()
    assert "CHECK (a > 0) does not hold for 1 row: correct that first" in run.output
    database.psql("UPDATE t SET a = 1")
    deploy.apply("pg.table('t', constraints=[pg.Check('a > 0')])")


def test_long_and_equal_names_are_postgresqls_own(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE other (x integer PRIMARY KEY); INSERT INTO other VALUES (1)")
    table, one, two = "t" * 40, "c" * 30 + "é", "d" * 50
    columns = f"{one} integer, {two} integer"
    for schema in ("ours", "theirs"):
        database.psql(
            f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table} ({columns});"
            f"INSERT INTO {schema}.{table} VALUES (1, 1)"
        )
    database.psql(
        f"ALTER TABLE theirs.{table} ADD CHECK ({one} > 0), ADD CHECK ({one} < 9),"
        f" ADD CHECK ({two} > {one} - 5), ADD FOREIGN KEY ({one}) REFERENCES other,"
        f" ADD FOREIGN KEY ({two}) REFERENCES other"
    )
    deploy.apply(
        f"""
        pg.table("ours.{table}", constraints=[
            pg.Check("{one} > 0"), pg.Check("{one} < 9"), pg.Check("{two} > {one} - 5"),
            pg.ForeignKey("{one}", references="other"), pg.ForeignKey("{two}", references="other"),
        ])
        """
    )
    names = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{}.{}'"
    names += "::regclass AND contype <> 'n' ORDER BY 1"
    ours, theirs = (database.rows(names.format(one, table)) for one in ("ours", "theirs"))
    assert ours == theirs
    assert len(ours) == 5


@one_version
def test_tables_that_reference_one_another(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.objects([
            pg.Table("a", [pg.Column("id", "integer", primary_key=True),
                           pg.Column("b", "integer", references="b")]),
            pg.Table("b", [pg.Column("id", "integer", primary_key=True),
                           pg.Column("a", "integer", references="a(id)"),
                           pg.Column("b", "integer", references="b")]),
        ])
        """
    )
    assert deploy.database.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "3"


@one_version
def test_how_a_columns_values_are_stored_is_declared_and_else_left_alone(deploy: Deploy) -> None:
    database = deploy.database
    facts = (
        "SELECT attname, attstorage, attcompression, coalesce(attstattarget, -1) FROM pg_attribute "
        "WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum"
    )
    database.psql("CREATE TABLE t (a text, b text); ALTER TABLE t ALTER b SET STORAGE MAIN")
    deploy.apply(
        'pg.table("t", [pg.Column("a", "text", storage="external", compression="pglz", '
        'statistics=500), pg.Column("b", "text"), pg.Column("c", "text", storage="PLAIN")])'
    )
    assert database.rows(facts) == [
        ("a", "e", "p", "500"),
        ("b", "m", "", "-1"),
        ("c", "p", "", "-1"),
    ]
    deploy.apply(
        'pg.table("t", [pg.Column("a", "text", storage="EXTENDED", compression="default", '
        "statistics=-1)])"
    )
    assert database.rows(facts)[0] == ("a", "x", "", "-1")


def test_a_generated_column_is_computed_otherwise_where_the_server_can(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t (id int, twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "INSERT INTO t VALUES (3)"
    )
    changed = (
        'pg.table("t", [pg.Column("id", "int"), pg.Column("twice", "int", generated="id * 4")])'
    )
    run = deploy.run(changed)
    assert run.code != 0
    if int(database.psql("SHOW server_version_num")) < 170000:
        assert "only PostgreSQL 17 and newer change that; drop the column" in run.output
    else:
        assert "would rewrite the table" in run.output
        deploy.apply(changed, "--data", "postgres_allow=t")
        assert database.psql("SELECT twice FROM t") == "12"
    twice = database.psql("SELECT twice FROM t")
    deploy.apply('pg.table("t", [pg.Column("id", "int"), pg.Column("twice", "int")])')
    assert database.psql("SELECT twice FROM t") == twice
    run = deploy.run(changed)
    assert "PostgreSQL can't change that; drop the column, and the next run adds it" in run.output


@one_version
def test_what_inherits_from_a_table_follows_its_columns(deploy: Deploy) -> None:
    deploy.database.psql(
        "CREATE TABLE p (a integer, gone integer, kept integer); "
        "CREATE TABLE c (b integer, kept integer) INHERITS (p); CREATE TABLE d () INHERITS (c); "
        "CREATE TABLE l (at date NOT NULL) PARTITION BY RANGE (at); "
        "CREATE TABLE l_1 PARTITION OF l FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
    )
    deploy.run(
        """
        with pg.transaction():
            pg.table("p", [pg.Column("gone", present=False), pg.Column("kept", present=False)])
            pg.table("p", [pg.Column("aa", "bigint", default="7", renamed_from="a"),
                           pg.Column("n", "text", nullable=False, comment="new")])
            for name in ("c", "d"):
                pg.table(name, [pg.Column("aa", "bigint", default="7"), pg.Column("b", "integer"),
                                pg.Column("kept", "integer"),
                                pg.Column("n", "text", nullable=False)])
            pg.table("l", [pg.Column("at", "date", nullable=False), pg.Column("n", "text")],
                     partition_by="RANGE (at)")
            pg.table("l_1", [pg.Column("at", "date", nullable=False), pg.Column("n", "text")])
        """
    ).succeeded()
    assert deploy.database.rows(
        "SELECT attrelid::regclass, string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute "
        "WHERE attrelid = ANY ('{p,c,d,l_1}'::regclass[]) AND attnum > 0 AND NOT attisdropped "
        "GROUP BY 1 ORDER BY 1"
    ) == [("p", "aa n"), ("c", "aa b kept n"), ("d", "aa b kept n"), ("l_1", "at n")]
    deploy.unchanged()


@one_version
def test_an_inherited_column_goes_and_changes_where_it_comes_from(deploy: Deploy) -> None:
    deploy.database.psql("CREATE TABLE p (a integer); CREATE TABLE c (b integer) INHERITS (p)")
    before = deploy.database.dump()
    deploy.apply(
        """
        with pg.transaction(exact=["columns"]):
            pg.table("c", [pg.Column("b", "integer")])
        """
    )
    assert deploy.database.dump() == before
    for columns, remedy in {
        "pg.Column('a', present=False)": "remove it there",
        "pg.Column('a', 'bigint')": "give it another type there",
    }.items():
        refused = deploy.run(f"pg.table('c', [{columns}])").failed()
        said = f"its column a comes from a table that it inherits from: {remedy}"
        assert said in refused.output
