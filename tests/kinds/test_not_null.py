"""NOT NULL with a name, or for new rows alone, as PostgreSQL 18 has both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Outcome, run
from kinds.conftest import Deploy
from pyinfra_postgres.errors import DeclarationError

RULES = """
    SELECT conrelid::regclass, (SELECT attname FROM pg_attribute
             WHERE attrelid = conrelid AND attnum = conkey[1]), conname, convalidated
      FROM pg_constraint WHERE contype = 'n' AND connamespace = 'public'::regnamespace
       AND conrelid <> 0 ORDER BY 1, 2"""
ROWS = "CREATE TABLE t (a integer, b integer NOT NULL); INSERT INTO t VALUES (1, 1);"


def table(*rules: pg.Constraint, name: str = "t", **options: Any) -> Callable[[], object]:
    """A table of two columns with rules, in a block."""

    def deploy() -> None:
        with pg.transaction(exact=options.pop("exact", False)):
            columns = [pg.Column("a", "integer"), pg.Column("b", "integer", nullable=False)]
            pg.table(name, columns, constraints=rules, **options)

    return deploy


def applied(database: Database, deploy: Callable[[], object]) -> list[str]:
    """Apply a deploy and see that a second run changes nothing; what the first one has sent."""
    plan = run(database, deploy).succeeded().plan
    assert run(database, deploy).succeeded().plan.changes == []
    return [one.sql for change in plan.changes for one in change.statements]


def refused(database: Database, deploy: Callable[[], object]) -> Outcome:
    """See that a dry run refuses a deploy, and that a real one changes nothing."""
    before = database.dump()
    outcome = run(database, deploy, dry=True).refused()
    run(database, deploy).refused()
    assert database.dump() == before
    return outcome


def test_a_name_is_kept_or_refused(deploy: Deploy) -> None:
    database = deploy.database
    text = """
        pg.table(
            "t",
            [
                pg.Column("a", "text"), pg.Column("n", "serial"), pg.Column("p", "integer"),
                pg.Column("i", "integer", identity="ALWAYS"), pg.Column("o", "integer"),
            ],
            constraints=[
                pg.PrimaryKey("p"), pg.NotNull("o"),
                *(pg.NotNull(one, name=f'"{one} is there"') for one in "anpi"),
            ],
        )
        """
    if database.server.version < 18:
        for before in ("", "CREATE TABLE t (a text)"):
            database.psql(before)
            said = deploy.run(text).failed().output
            assert "NOT NULL of column a can't have a name or validated=False" in said
            assert "declare the column with nullable=False instead" in said
        deploy.apply("pg.table('t', [pg.Column('a', 'text')], constraints=[pg.NotNull('a')])")
        strict = "SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = 1"
        assert database.psql(strict) == "t"
        return
    deploy.apply(text)
    assert database.rows(RULES) == [
        *(("t", one, f"{one} is there", "t") for one in "ain"),
        ("t", "o", "t_o_not_null", "t"),
        ("t", "p", "p is there", "t"),
    ]


@one_version
def test_another_name_alone_is_a_rename(database: Database) -> None:
    database.psql(ROWS)
    file = "SELECT relfilenode FROM pg_class WHERE oid = 't'::regclass"
    before = database.psql(file)
    for old, new in ("t_b_not_null", "x"), ("x", "y"), ("y", "t_b_not_null"):
        assert applied(database, table(pg.NotNull("b", name=new))) == [
            f"ALTER TABLE public.t RENAME CONSTRAINT {old} TO {new}"
        ]
        assert ("t", "b", new, "t") in database.rows(RULES)
    assert database.psql(file) == before


@one_version
@pytest.mark.parametrize("exact", [False, True])
def test_a_name_that_is_not_declared_stays(database: Database, exact: bool) -> None:
    database.psql(
        "CREATE TABLE t (a integer CONSTRAINT x NOT NULL, b integer CONSTRAINT y NOT NULL)"
    )
    assert applied(database, table(pg.NotNull("a"), exact=exact)) == []
    assert [name for *_, name, _ in database.rows(RULES)] == ["x", "y"]
    assert applied(database, table(exact=exact)) == [
        "ALTER TABLE public.t ALTER COLUMN a DROP NOT NULL"
    ]


@one_version
def test_rows_are_read_after_the_transaction(database: Database) -> None:
    database.psql(ROWS)
    assert applied(database, table(pg.NotNull("a", name="x"))) == [
        "ALTER TABLE public.t ADD CONSTRAINT x NOT NULL a NOT VALID",
        "ALTER TABLE public.t VALIDATE CONSTRAINT x",
    ]
    database.psql("TRUNCATE t; ALTER TABLE t ALTER a DROP NOT NULL")
    assert applied(database, table(pg.NotNull("a", name="x"))) == [
        "ALTER TABLE public.t ADD CONSTRAINT x NOT NULL a"
    ]
    database.psql("DROP TABLE t; CREATE TABLE t (b integer NOT NULL); INSERT INTO t VALUES (1)")
    column = pg.Column("a", "integer", default="1")

    def declared() -> None:
        pg.table("t", [column], constraints=[pg.NotNull("a", name="x")])

    assert applied(database, declared) == [
        "ALTER TABLE public.t ADD COLUMN a integer DEFAULT 1 CONSTRAINT x NOT NULL"
    ]


@one_version
def test_nulls_that_are_there_stay_until_they_are_to_be_read(database: Database) -> None:
    database.psql(ROWS + "INSERT INTO t VALUES (NULL, 1)")
    assert applied(database, table(pg.NotNull("a", validated=False))) == [
        "ALTER TABLE public.t ADD CONSTRAINT t_a_not_null NOT NULL a NOT VALID"
    ]
    assert "23502" in database.error("INSERT INTO t VALUES (NULL, 1)")
    assert applied(database, table(pg.NotNull("a", name="x", validated=False))) == [
        "ALTER TABLE public.t RENAME CONSTRAINT t_a_not_null TO x"
    ]
    said = refused(database, table(pg.NotNull("a", name="y"))).messages
    assert "NOT NULL of column a does not hold for 1 row" in said
    database.psql("DELETE FROM t WHERE a IS NULL")
    assert applied(database, table(pg.NotNull("a", name="y"))) == [
        "ALTER TABLE public.t RENAME CONSTRAINT x TO y",
        "ALTER TABLE public.t VALIDATE CONSTRAINT y",
    ]
    assert applied(database, table(pg.NotNull("a", validated=False))) == []
    assert database.rows(RULES) == [("t", "a", "y", "t"), ("t", "b", "t_b_not_null", "t")]


@one_version
def test_a_new_column_needs_a_value_in_new_rows_alone(database: Database) -> None:
    database.psql("CREATE TABLE t (b integer NOT NULL); INSERT INTO t VALUES (1)")
    assert applied(database, table(pg.NotNull("a", name="x", validated=False))) == [
        "ALTER TABLE public.t ADD COLUMN a integer",
        "ALTER TABLE public.t ADD CONSTRAINT x NOT NULL a NOT VALID",
    ]
    assert applied(database, table(pg.NotNull("a", validated=False), name="u")) == [
        "CREATE TABLE public.u (\n    a integer NOT NULL,\n    b integer NOT NULL\n)"
    ]


@one_version
def test_a_rename_of_table_or_column_leaves_the_name(database: Database) -> None:
    database.psql("CREATE TABLE old (c integer NOT NULL, d integer NOT NULL)")

    def declared(a: str, b: str) -> Callable[[], object]:
        columns = [
            pg.Column("a", "integer", renamed_from="c"),
            pg.Column("b", "integer", renamed_from="d"),
        ]
        rules = [pg.NotNull("a", name=a), pg.NotNull("b", name=b)]
        return lambda: pg.table("t", columns, constraints=rules, renamed_from="old")

    assert applied(database, declared("old_c_not_null", "t_b_not_null"))[-1:] == [
        "ALTER TABLE public.t RENAME CONSTRAINT old_d_not_null TO t_b_not_null"
    ]
    assert applied(database, declared("t_a_not_null", "t_b_not_null")) == [
        "ALTER TABLE public.t RENAME CONSTRAINT old_c_not_null TO t_a_not_null"
    ]


PARTITIONED = """
    CREATE TABLE t (a integer, b integer NOT NULL) PARTITION BY LIST (b);
    CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1) PARTITION BY LIST (b);
    CREATE TABLE t11 PARTITION OF t1 FOR VALUES IN (1);
    INSERT INTO t VALUES (1, 1);
"""


@one_version
def test_partitions_follow(database: Database) -> None:
    database.psql(PARTITIONED)
    rules = pg.NotNull("a", name="x"), pg.NotNull("b", name="y")
    assert len(applied(database, table(*rules))) == 3
    assert database.rows(RULES) == [
        (part, column, name, "t")
        for part in ("t", "t1", "t11")
        for column, name in (("a", "x"), ("b", "y"))
    ]
    # What a partition has of its parent may be declared of it too, as it is.
    assert applied(database, table(*rules, name="t11")) == []
    said = refused(database, table(rules[0], pg.NotNull("b", name="z"), name="t11")).messages
    assert "can't have another name than y: it comes from public.t1, and is named there" in said


@one_version
def test_a_name_that_not_all_partitions_have_stays(database: Database) -> None:
    database.psql(
        PARTITIONED + "CREATE TABLE t2 (a integer, b integer CONSTRAINT own NOT NULL);"
        "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2)"
    )
    assert applied(database, table(pg.NotNull("b", name="own"), name="t2")) == []
    said = refused(database, table(pg.NotNull("b", name="y"))).messages
    assert "in public.t2, which inherits it, it is own" in said
    assert applied(database, table(pg.NotNull("b", name="t_b_not_null"))) == []


@one_version
def test_names_of_one_table_differ(database: Database) -> None:
    check = "ALTER TABLE t ADD CONSTRAINT x CHECK (b > 0)"
    database.psql(f"{ROWS} {check}")
    for deploy in table(pg.NotNull("a", name="x")), table(pg.NotNull("b", name="x")):
        assert '"x" for relation "t" already exists' in refused(database, deploy).messages
    # What has the name may go; a NOT NULL goes as its column's.
    gone = pg.Constraint(name="x", present=False)
    applied(database, table(pg.NotNull("b", name="x"), gone))
    said = refused(database, table(gone)).messages
    assert "x is the NOT NULL of column b: declare that column nullable" in said
    # Chosen names keep clear of it, and one that is declared of PostgreSQL's.
    rules = pg.NotNull("a", name="t_b_not_null"), pg.NotNull("b", name="t_b_check")
    applied(database, table(*rules, pg.Check("b > 1"), pg.Check("b > 2"), name="u"))
    assert [name for *_, name, _ in database.rows(RULES)] == ["x", "t_b_not_null", "t_b_check"]


@one_version
def test_a_new_table_keeps_clear_of_chosen_names(database: Database) -> None:
    rules = pg.NotNull("a", name="t_b_not_null"), pg.NotNull("b", name="t_b_check")
    checks = [pg.Check(f"b > {number}") for number in range(3)]
    applied(database, table(*rules, *checks))
    names = (
        "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'c'"
    )
    assert database.psql(names + " AND conrelid = 't'::regclass") == (
        "t_b_check1 t_b_check2 t_b_check3"
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([pg.NotNull("c")], "NOT NULL c is for a column that is declared with it"),
        ([pg.NotNull("a"), pg.NotNull("a", name="x")], "has two NOT NULL of one column"),
        (
            [pg.NotNull("a", name="x"), pg.Check("a > 0", name="x")],
            "has two constraints of one name",
        ),
        (
            [pg.NotNull("a", validated=False), pg.PrimaryKey("a")],
            "NOT NULL a can't be with validated=False: no row of an identity, a serial or",
        ),
    ],
)
def test_what_can_not_be_is_refused(rules: list[pg.Constraint], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pg.Table("t", [pg.Column("a", "integer")], constraints=rules)
