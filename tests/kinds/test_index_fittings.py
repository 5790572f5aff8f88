"""What an index has beside its definition: replica identity, CLUSTER, parameters, tablespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

TABLE = """
    CREATE TABLE t (a integer NOT NULL, b integer NOT NULL, c integer, r int4range);
    CREATE PUBLICATION p FOR TABLE t;
"""
ROWS = "INSERT INTO t VALUES (1, 1, 1, '[1,2)');"
KEY = "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a); ALTER TABLE t REPLICA IDENTITY USING INDEX k;"
FITTINGS = """
    SELECT c.relname, i.indisreplident, i.indisclustered, c.reloptions::text,
           (SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1"""


@pytest.fixture
def tablespace(database: Database) -> Iterator[str]:
    """A tablespace in the server's own directory."""
    name = f"space_{database.name}"
    with database.connect(autocommit=True) as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute(f"CREATE TABLESPACE {name} LOCATION ''")
        yield name
    with database.connect(autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute(f"DROP TABLESPACE {name}")


KEYS: dict[str, Callable[[], object]] = {
    "unique": lambda: pg.table("t", constraints=[pg.Unique("a", include=["b"], name="k")]),
    "primary key": lambda: pg.table("t", constraints=[pg.PrimaryKey("a", "b", name="k")]),
    "other columns": lambda: pg.table("t", constraints=[pg.Unique("b", name="k")]),
}


@pytest.mark.parametrize("declared", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("rows", ["", ROWS], ids=["empty", "filled"])
def test_a_key_in_the_place_of_another_has_its_fittings(
    rows: str, declared: Callable[[], object], database: Database, tablespace: str
) -> None:
    database.psql(
        TABLE + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a) WITH (fillfactor = 50)"
        f" USING INDEX TABLESPACE {tablespace}; ALTER TABLE t REPLICA IDENTITY USING INDEX k;"
        "ALTER TABLE t CLUSTER ON k;" + rows
    )
    run(database, declared).succeeded()
    assert database.rows(FITTINGS) == [("k", "t", "t", "{fillfactor=50}", tablespace)]
    database.psql("INSERT INTO t VALUES (2, 2); UPDATE t SET c = 2")
    assert run(database, declared).succeeded().plan.changes == []


@one_version
def test_an_exclusion_constraint_in_the_place_of_another_has_its_fittings(
    database: Database, tablespace: str
) -> None:
    database.psql(
        TABLE + "ALTER TABLE t ADD CONSTRAINT k EXCLUDE USING gist (r WITH &&)"
        f" WITH (fillfactor = 50) USING INDEX TABLESPACE {tablespace};"
        "ALTER TABLE t CLUSTER ON k"
    )
    exclude = pg.Exclude(("r", "&&"), initially_deferred=True, name="k")
    run(database, lambda: pg.table("t", constraints=[exclude])).succeeded()
    assert database.rows(FITTINGS) == [("k", "f", "t", "{fillfactor=50}", tablespace)]


@pytest.mark.parametrize("rows", ["", ROWS], ids=["empty", "filled"])
def test_an_index_in_the_place_of_another_is_in_its_tablespace(
    rows: str, database: Database, tablespace: str
) -> None:
    database.psql(TABLE + rows + f"CREATE INDEX i ON t (a) TABLESPACE {tablespace}")
    run(database, lambda: pg.index("i", "t", ["b"], where="a > 0")).succeeded()
    assert database.rows(FITTINGS) == [("i", "f", "f", "", tablespace)]


@one_version
@pytest.mark.parametrize(
    ("what", "declared"),
    [
        (
            "ALTER TABLE w ADD CONSTRAINT i UNIQUE (a)",
            lambda: pg.table("w", constraints=[pg.Unique("a", "b", name="i")]),
        ),
        ("CREATE INDEX i ON w (a)", lambda: pg.index("i", "w", ["b"])),
    ],
    ids=["key", "index"],
)
def test_the_parts_of_an_index_stay_in_their_tablespaces(
    what: str, declared: Callable[[], object], database: Database, tablespace: str
) -> None:
    database.psql(
        "CREATE TABLE w (a integer, b integer) PARTITION BY RANGE (a);"
        "CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);"
        f"INSERT INTO w VALUES (1, 1); {what};"
        f"DO $$ BEGIN EXECUTE (SELECT format('ALTER INDEX %s SET TABLESPACE {tablespace}',"
        " indexrelid::regclass) FROM pg_index WHERE indrelid = 'w1'::regclass); END $$"
    )
    run(database, declared).succeeded()
    assert [row[4] for row in database.rows(FITTINGS)] == ["", tablespace]


@one_version
@pytest.mark.parametrize(
    ("before", "declared"),
    [
        (KEY, lambda: pg.table("t", constraints=[pg.Constraint(name="k", present=False)])),
        (KEY, lambda: pg.table("t", constraints=[pg.Check("a > 0", name="k")])),
        (KEY, lambda: pg.table("t", constraints=[pg.Unique("c", name="k")])),
        (KEY, lambda: pg.table("t", constraints=[pg.Unique("a", deferrable=True, name="k")])),
        (KEY, lambda: pg.table("t", [pg.Column("a", present=False)])),
        (
            "CREATE UNIQUE INDEX k ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX k",
            lambda: pg.index("k", "t", present=False),
        ),
        (
            "CREATE UNIQUE INDEX k ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX k",
            lambda: pg.table("t", [pg.Column("a", present=False)]),
        ),
        (
            """CREATE TABLE w (a integer NOT NULL) PARTITION BY RANGE (a);
               CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);
               CREATE UNIQUE INDEX k ON w (a);
               ALTER TABLE w1 REPLICA IDENTITY USING INDEX w1_a_idx""",
            lambda: pg.index("k", "w", present=False),
        ),
        (
            """CREATE TABLE w (a integer NOT NULL, b integer) PARTITION BY RANGE (a);
               CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);
               ALTER TABLE w ADD CONSTRAINT k UNIQUE (a); INSERT INTO w VALUES (1);
               ALTER TABLE w1 REPLICA IDENTITY USING INDEX w1_a_key""",
            lambda: pg.table("w", constraints=[pg.Unique("a", include=["b"], name="k")]),
        ),
    ],
    ids=[
        "goes",
        "becomes a check",
        "of a nullable column",
        "deferrable",
        "goes with its column",
        "an index goes",
        "an index goes with its column",
        "an index of partitions goes",
        "a key of partitions",
    ],
)
def test_a_replica_identity_does_not_go_without_another(
    before: str, declared: Callable[[], object], database: Database
) -> None:
    database.psql(TABLE + ROWS + before)
    dump = database.dump()
    said = run(database, declared, postgres_allow="t.a").refused().messages
    assert "k is the replica identity of public." in said
    assert database.dump() == dump


@one_version
def test_what_nobody_declares_does_not_go_where_it_is_the_replica_identity(
    database: Database,
) -> None:
    database.psql(
        TABLE
        + ROWS
        + "CREATE UNIQUE INDEX k ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX k"
    )

    def declared() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("a", "integer", nullable=False)], exact=["indexes"])

    assert "k is the replica identity of public.t" in run(database, declared).refused().messages
    database.psql("UPDATE t SET b = 2")


@one_version
def test_a_materialized_view_that_is_made_anew_has_what_it_had(
    database: Database, tablespace: str
) -> None:
    database.psql(
        TABLE + ROWS + "CREATE MATERIALIZED VIEW m AS SELECT a, b, c FROM t;"
        f"CREATE INDEX i ON m (a) TABLESPACE {tablespace} WHERE a > 0;"
        "CREATE INDEX j ON m (b); ALTER MATERIALIZED VIEW m CLUSTER ON j;"
        "ALTER MATERIALIZED VIEW m ALTER COLUMN b SET STATISTICS 700;"
        "ALTER MATERIALIZED VIEW m ALTER COLUMN c SET STATISTICS 600"
    )
    run(database, lambda: pg.materialized_view("m", "SELECT a, b FROM t WHERE a > 0")).succeeded()
    assert database.rows(FITTINGS) == [("i", "f", "f", "", tablespace), ("j", "f", "t", "", "")]
    targets = (
        "SELECT attname, attstattarget FROM pg_attribute WHERE attrelid = 'm'::regclass"
        " AND attnum > 0"
    )
    assert database.rows(targets) == [("a", ""), ("b", "700")]


@one_version
def test_a_partition_into_which_rows_move_is_where_its_parent_has_them(
    database: Database, tablespace: str
) -> None:
    database.psql(
        f"CREATE TABLE l (at date, n integer) PARTITION BY RANGE (at) TABLESPACE {tablespace};"
        "COMMENT ON COLUMN l.at IS 'when'; CREATE STATISTICS st ON at, n FROM l;"
        "CREATE TABLE l_default PARTITION OF l DEFAULT; INSERT INTO l VALUES ('2026-02-02', 1)"
    )

    def declared() -> None:
        pg.partitions("l", every="month", start="2026-02", ahead=1, default=True)

    data: dict[str, Any] = {"postgres_today": "2026-02-02", "postgres_allow": "l_default"}
    run(database, declared, **data).succeeded()
    assert database.rows(
        "SELECT relname, (SELECT spcname FROM pg_tablespace t WHERE t.oid = reltablespace),"
        " col_description(oid, 1) FROM pg_class WHERE relkind = 'r' AND relname ~ '^l_2' ORDER BY 1"
    ) == [("l_2026_02", tablespace, ""), ("l_2026_03", tablespace, "")]
    assert database.psql("SELECT stxname FROM pg_statistic_ext") == "st"
