"""Changes of tables with rows, in steps: from wherever a run died, the next one completes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import pyinfra_postgres as pg
from harness import Database, Databases, one_version
from harness.process import run
from pyinfra_postgres.plan.plan import Stage

INDEXES = """
    SELECT c.relname::text, i.indisvalid, i.indisreplident, i.indisclustered,
           regexp_replace(pg_get_indexdef(i.indexrelid), '.* USING ', ''),
           obj_description(i.indexrelid, 'pg_class')
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_class t ON t.oid = i.indrelid
     WHERE t.relnamespace = 'public'::regnamespace ORDER BY 1"""
PARTS = """
    SELECT c.relname, i.indisvalid, coalesce(h.inhparent::regclass::text, '')
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
      JOIN pg_class t ON t.oid = i.indrelid
     WHERE t.relnamespace = 'public'::regnamespace ORDER BY 1"""
FOREIGN = """
    SELECT conname::text, convalidated, false, false,
           conrelid::regclass || ' by ' || conindid::regclass, obj_description(oid, 'pg_constraint')
      FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 1"""
BOTH = f"SELECT * FROM ({INDEXES}) AS i UNION ALL SELECT * FROM ({FOREIGN}) AS f ORDER BY 1"
ROWS = "CREATE TABLE t (a integer NOT NULL, b integer, c text);" + (
    "INSERT INTO t SELECT n, n, n FROM generate_series(1, 100) AS n;"
)
PARTITIONED = """
    CREATE TABLE t (a integer NOT NULL, b integer NOT NULL) PARTITION BY LIST (a);
    CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
    CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY LIST (b);
    CREATE TABLE t21 PARTITION OF t2 FOR VALUES IN (1);
    CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3);
    INSERT INTO t VALUES (1, 1), (2, 1);
"""


@dataclass(frozen=True)
class Case:
    """What is there, what is declared, and what then is there."""

    before: str
    deploy: Callable[[], object]
    question: str
    answer: list[tuple[str, ...]]


def block(*operations: Callable[[], object]) -> Callable[[], object]:
    """Operations in one transaction."""

    def deploy() -> None:
        with pg.transaction():
            for operation in operations:
                operation()

    return deploy


CASES = {
    "an index is swapped": Case(
        ROWS + "CREATE INDEX i ON t (b); COMMENT ON INDEX i IS 'mine'",
        lambda: pg.index("i", "t", ["b DESC"]),
        INDEXES,
        [("i", "t", "f", "f", "btree (b DESC)", "mine")],
    ),
    "an index that the table is clustered on": Case(
        ROWS + "CREATE INDEX i ON t (b); ALTER TABLE t CLUSTER ON i",
        lambda: pg.index("i", "t", ["b", "a"]),
        INDEXES,
        [("i", "t", "f", "t", "btree (b, a)", "")],
    ),
    "a unique index that is the replica identity, with a foreign key on it": Case(
        ROWS
        + """CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX i;
             CREATE TABLE child (a integer CONSTRAINT f REFERENCES t (a) ON DELETE CASCADE);
             INSERT INTO child VALUES (1); COMMENT ON CONSTRAINT f ON child IS 'kept'""",
        block(
            lambda: pg.index("i", "t", ["a"], unique=True, include=["b"]),
            lambda: pg.table(
                "child",
                constraints=[pg.ForeignKey("a", references="t(a)", on_delete="CASCADE", name="f")],
            ),
        ),
        BOTH,
        [
            ("f", "t", "f", "f", "child by i", "kept"),
            ("i", "t", "t", "f", "btree (a) INCLUDE (b)", ""),
        ],
    ),
    "an index of a partitioned table": Case(
        PARTITIONED + "CREATE INDEX mine ON t1 ((a + b))",
        lambda: pg.index("i", "t", ["(a+b)"]),
        PARTS,
        [
            ("i", "t", ""),
            ("mine", "t", "i"),
            ("t21_expr_idx", "t", "t2_expr_idx"),
            ("t2_expr_idx", "t", "i"),
            ("t3_expr_idx", "t", "i"),
        ],
    ),
    "an index of a partitioned table is swapped": Case(
        PARTITIONED + "CREATE INDEX i ON t (a)",
        lambda: pg.index("i", "t", ["b"]),
        PARTS,
        [
            ("i", "t", ""),
            # The parts have the names of those before.
            ("t1_a_idx", "t", "i"),
            ("t21_a_idx", "t", "t2_a_idx"),
            ("t2_a_idx", "t", "i"),
            ("t3_a_idx", "t", "i"),
        ],
    ),
}

CONSTRAINTS = """
    SELECT t.relname || '.' || c.conname, c.convalidated,
           pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint'), c.conparentid <> 0
      FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
     WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('p', 'u', 'f', 'c', 'x')
     ORDER BY t.relname, c.conname"""
NULLABLE = """
    SELECT attrelid::regclass::text, attname, attnotnull, (
               SELECT count(*) FROM pg_constraint
                WHERE conrelid = attrelid AND (contype = 'c' OR NOT convalidated))
      FROM pg_attribute WHERE attnum > 0 AND attrelid IN (
           SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
              AND relkind <> 'I') ORDER BY 1, 2"""
CASES |= {
    "a primary key with a foreign key on it gets another column to carry": Case(
        ROWS
        + """ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a); COMMENT ON CONSTRAINT k ON t IS 'key';
             CREATE TABLE child (a integer CONSTRAINT f REFERENCES t); INSERT INTO child VALUES (1)
          """,
        block(
            lambda: pg.table("t", constraints=[pg.PrimaryKey("a", include=["c"], name="k")]),
            lambda: pg.table("child", constraints=[pg.ForeignKey("a", references="t", name="f")]),
        ),
        CONSTRAINTS,
        [
            ("child.f", "t", "FOREIGN KEY (a) REFERENCES t(a)", "", "f"),
            ("t.k", "t", "PRIMARY KEY (a) INCLUDE (c)", "key", "f"),
        ],
    ),
    "a primary key with foreign keys on it that nobody declares": Case(
        ROWS
        + """ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a),
                 ADD CONSTRAINT own FOREIGN KEY (b) REFERENCES t;
             CREATE TABLE child (a integer CONSTRAINT f REFERENCES t); INSERT INTO child VALUES (1);
             CREATE TABLE other (a integer CONSTRAINT g REFERENCES t); INSERT INTO other VALUES (2);
             COMMENT ON CONSTRAINT g ON other IS 'kept';
             ALTER TABLE child ADD CONSTRAINT never FOREIGN KEY (a) REFERENCES t NOT VALID""",
        lambda: pg.table("t", constraints=[pg.PrimaryKey("a", include=["c"], name="k")]),
        CONSTRAINTS,
        [
            ("child.f", "t", "FOREIGN KEY (a) REFERENCES t(a)", "", "f"),
            ("child.never", "f", "FOREIGN KEY (a) REFERENCES t(a) NOT VALID", "", "f"),
            ("other.g", "t", "FOREIGN KEY (a) REFERENCES t(a)", "kept", "f"),
            ("t.k", "t", "PRIMARY KEY (a) INCLUDE (c)", "", "f"),
            ("t.own", "t", "FOREIGN KEY (b) REFERENCES t(a)", "", "f"),
        ],
    ),
    "a unique index with a foreign key on it that nobody declares": Case(
        ROWS
        + """CREATE UNIQUE INDEX i ON t (a);
             CREATE TABLE child (a integer CONSTRAINT f REFERENCES t (a));
             INSERT INTO child VALUES (1); COMMENT ON CONSTRAINT f ON child IS 'kept'""",
        lambda: pg.index("i", "t", ["a"], unique=True, include=["b"]),
        CONSTRAINTS,
        [("child.f", "t", "FOREIGN KEY (a) REFERENCES t(a)", "kept", "f")],
    ),
    "a primary key moves to another column, under another name": Case(
        ROWS + "ALTER TABLE t ALTER b SET NOT NULL, ADD CONSTRAINT k PRIMARY KEY (a)",
        lambda: pg.table(
            "t",
            [pg.Column("a", "integer"), pg.Column("b", "integer")],
            constraints=[pg.PrimaryKey("b", name="other")],
        ),
        CONSTRAINTS,
        [("t.other", "t", "PRIMARY KEY (b)", "", "f")],
    ),
    "foreign keys on what is built after the transaction": Case(
        ROWS,
        block(
            lambda: pg.index("i", "t", ["c"], unique=True),
            lambda: pg.table(
                "t", constraints=[pg.Unique("a"), pg.ForeignKey("b", references="t(a)")]
            ),
            lambda: pg.table("child", [pg.Column("c", "text", references="t(c)")]),
        ),
        CONSTRAINTS,
        [
            ("child.child_c_fkey", "t", "FOREIGN KEY (c) REFERENCES t(c)", "", "f"),
            ("t.t_a_key", "t", "UNIQUE (a)", "", "f"),
            ("t.t_b_fkey", "t", "FOREIGN KEY (b) REFERENCES t(a)", "", "f"),
        ],
    ),
    "a primary key of a partitioned table": Case(
        PARTITIONED + "CREATE UNIQUE INDEX mine ON t1 (a, b)",
        lambda: pg.table("t", constraints=[pg.PrimaryKey("a", "b")]),
        CONSTRAINTS,
        [
            ("t.t_pkey", "t", "PRIMARY KEY (a, b)", "", "f"),
            ("t1.mine", "t", "PRIMARY KEY (a, b)", "", "t"),
            ("t2.t2_pkey", "t", "PRIMARY KEY (a, b)", "", "t"),
            ("t21.t21_pkey", "t", "PRIMARY KEY (a, b)", "", "t"),
            ("t3.t3_pkey", "t", "PRIMARY KEY (a, b)", "", "t"),
        ],
    ),
    "a unique constraint of a partitioned table changes": Case(
        PARTITIONED + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a, b)",
        lambda: pg.table("t", constraints=[pg.Unique("b", "a", name="k")]),
        CONSTRAINTS,
        [
            ("t.k", "t", "UNIQUE (b, a)", "", "f"),
            ("t1.t1_b_a_key", "t", "UNIQUE (b, a)", "", "t"),
            ("t2.t2_b_a_key", "t", "UNIQUE (b, a)", "", "t"),
            ("t21.t21_b_a_key", "t", "UNIQUE (b, a)", "", "t"),
            ("t3.t3_b_a_key", "t", "UNIQUE (b, a)", "", "t"),
        ],
    ),
}
ATTACHED = """
    SELECT c.relname, c.relispartition, (SELECT count(*) FROM pg_constraint
             WHERE conrelid = c.oid AND contype = 'c'), (SELECT string_agg(coalesce(
             h.inhparent::regclass::text, 'own'), ',' ORDER BY 1) FROM pg_index i
             LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid WHERE i.indrelid = c.oid)
      FROM pg_class c WHERE c.relname = 'also'"""
CASES |= {
    "a table with rows becomes a partition": Case(
        PARTITIONED
        + """CREATE INDEX i ON t (b); ALTER TABLE t ADD PRIMARY KEY (a, b), ADD CHECK (b > 0);
             CREATE TABLE also (a integer NOT NULL, b integer NOT NULL);
             INSERT INTO also VALUES (4, 1); CREATE TABLE rest PARTITION OF t DEFAULT""",
        lambda: pg.partition("also", "t", "FOR VALUES IN (4, 2 + 3)"),
        ATTACHED,
        [("also", "t", "1", "i,t_pkey")],
    ),
    "a table with rows becomes a partition of a table that gets an index": Case(
        PARTITIONED
        + """CREATE TABLE also (a integer NOT NULL, b integer NOT NULL);
             INSERT INTO also VALUES (4, 1)""",
        block(
            lambda: pg.index("i", "t", ["b"]),
            lambda: pg.partition("also", "t", "FOR VALUES IN (4)"),
        ),
        ATTACHED,
        [("also", "t", "0", "i")],
    ),
    "a partition with rows becomes a table": Case(
        PARTITIONED.replace("t3", "also"),
        lambda: pg.partition("also", "t", attached=False),
        "SELECT relispartition FROM pg_class WHERE relname = 'also'",
        [("f",)],
    ),
}
PARTS_OF_T = ("t", "t1", "t2", "t21", "t3")
VERSIONED = {
    "a foreign key of a partitioned table": Case(
        PARTITIONED + "CREATE TABLE o (id integer PRIMARY KEY); INSERT INTO o VALUES (1), (2)",
        lambda: pg.table("t", constraints=[pg.ForeignKey("a", references="o", name="f")]),
        CONSTRAINTS.replace("c.contype IN", "c.contype = 'f' AND c.contype IN"),
        [
            (f"{name}.f", "t", "FOREIGN KEY (a) REFERENCES o(id)", "", "f" if name == "t" else "t")
            for name in PARTS_OF_T
        ],
    ),
    "no more nulls, in a table and in a partitioned one": Case(
        PARTITIONED.replace("b integer NOT NULL", "b integer")
        + "CREATE TABLE plain (a integer); INSERT INTO plain VALUES (1)",
        block(
            lambda: pg.table("plain", [pg.Column("a", "integer", nullable=False)]),
            lambda: pg.table("t", [pg.Column("b", "integer", nullable=False)]),
        ),
        NULLABLE,
        [
            ("plain", "a", "t", "0"),
            *((name, column, "t", "0") for name in PARTS_OF_T for column in "ab"),
        ],
    ),
}


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of equality that no other run has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@one_version
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_change_in_steps_is_completed_from_wherever_it_died(
    case: Case, database: Database, new_database: Databases
) -> None:
    completed(case, database, new_database)


@pytest.mark.parametrize("case", VERSIONED.values(), ids=VERSIONED)
def test_a_change_whose_steps_depend_on_the_version_is_completed(
    case: Case, database: Database, new_database: Databases
) -> None:
    completed(case, database, new_database)


def completed(case: Case, database: Database, new_database: Databases) -> None:
    """Run what is left after every possible end, and see that nothing is lost or done twice."""
    database.psql(case.before)
    rows = "SELECT * FROM t ORDER BY a"
    before = database.rows(rows)
    plan = run(database, case.deploy, dry=True).succeeded().plan
    main = [one.sql for _, one in plan.of(Stage.MAIN)]
    after = [one.sql for _, one in plan.of(Stage.AFTER)]
    assert after
    for count in range(len(after) + 1):
        copy = new_database(copy_of=database)
        copy.psql(";\n".join(["BEGIN", *main, "COMMIT"]))
        copy.psql(";\n".join(after[:count]))
        if count and "CONCURRENTLY" in after[count - 1] and "CREATE" in after[count - 1]:
            # As a build leaves it that is killed on its way.
            copy.psql(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT max(indexrelid) "
                "FROM pg_index)"
            )
        run(copy, case.deploy).succeeded()
        assert copy.rows(case.question) == case.answer, after[:count]
        assert run(copy, case.deploy).succeeded().plan.changes == [], after[:count]
        assert set(copy.rows(rows)) >= set(before)


def test_a_not_null_keeps_clear_of_those_of_renamed_columns(database: Database) -> None:
    database.psql("CREATE TABLE t (a integer NOT NULL)")
    database.psql("ALTER TABLE t RENAME a TO b; ALTER TABLE t ADD a integer")
    database.psql("INSERT INTO t VALUES (1, 2)")

    def deploy() -> None:
        pg.table(
            "t",
            [
                pg.Column("b", "integer", nullable=False),
                pg.Column("a", "integer", nullable=False),
            ],
        )

    run(database, deploy).succeeded()
    assert not run(database, deploy).succeeded().plan.changes
    assert (
        database.psql(
            "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = 't'::regclass AND attnotnull AND attnum > 0"
        )
        == "b a"
    )


@contextmanager
def writing(database: Database, statement: str) -> Iterator[list[str]]:
    """Send a statement again and again; the SQLSTATEs of what the server said."""
    said: list[str] = []
    ended = threading.Event()

    def write() -> None:
        with database.connect(autocommit=True) as session:
            while not ended.is_set():
                try:
                    session.execute(statement)
                    said.append("00000")
                except psycopg.Error as error:
                    said.append(error.sqlstate or "")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield said
    finally:
        ended.set()
        thread.join()


@one_version
def test_a_rule_holds_at_every_moment_of_a_swap(database: Database) -> None:
    database.psql(
        ROWS
        + """CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT k UNIQUE (b);
             CREATE TABLE child (b integer REFERENCES t (b)); INSERT INTO child VALUES (1)"""
    )
    declared = block(
        lambda: pg.index("i", "t", ["a"], unique=True, include=["c"]),
        lambda: pg.table("t", constraints=[pg.Unique("b", include=["c"], name="k")]),
    )
    with (
        writing(database, "INSERT INTO t VALUES (1, 0)") as by_index,
        writing(database, "INSERT INTO t VALUES (0, 1)") as by_key,
        writing(database, "INSERT INTO child VALUES (0)") as by_foreign_key,
    ):
        run(database, declared).succeeded()
    assert (set(by_index), set(by_key), set(by_foreign_key)) == ({"23505"}, {"23505"}, {"23503"})
    assert [row[::4] for row in database.rows(INDEXES)] == [
        ("i", "btree (a) INCLUDE (c)"),
        ("k", "btree (b) INCLUDE (c)"),
    ]


@one_version
@pytest.mark.parametrize(
    ("before", "declared", "reason"),
    [
        (
            "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a); CREATE TABLE child (a integer REFERENCES t"
            "(a))",
            lambda: pg.table("t", constraints=[pg.Unique("b", name="k")]),
            "foreign keys stand on it, and can't stand on what is declared: child_a_fkey of",
        ),
        (
            "CREATE INDEX k ON t (b)",
            lambda: pg.table("t", constraints=[pg.Unique("a", name="k")]),
            "public.k is in the way of CONSTRAINT k UNIQUE (a)",
        ),
        (
            "CREATE UNIQUE INDEX i ON t (a); CREATE TABLE child (a integer REFERENCES t (a))",
            lambda: pg.index("i", "t", ["b"], unique=True),
            "foreign keys stand on it, and can't stand on what is declared: child_a_fkey of",
        ),
        (
            "CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX i",
            lambda: pg.index("i", "t", ["a"]),
            "i is the replica identity of public.t",
        ),
        (
            "CREATE INDEX i ON t (a); ALTER TABLE t CLUSTER ON i",
            lambda: pg.index("i", "t", ["a"], where="b > 0"),
            "public.t is clustered on it",
        ),
    ],
)
def test_a_swap_that_would_lose_what_hangs_on_the_index_is_refused(
    before: str, declared: Callable[[], object], reason: str, database: Database
) -> None:
    database.psql(ROWS + before)
    dump = database.dump()
    assert reason in run(database, declared).refused().messages
    assert database.dump() == dump


@one_version
def test_a_valid_index_in_the_way_of_a_swap_is_left_alone(database: Database) -> None:
    database.psql(
        ROWS + "CREATE INDEX i ON t (b); CREATE INDEX i_new ON t (c); CREATE INDEX i_old ON t (a)"
    )
    run(database, lambda: pg.index("i", "t", ["b DESC"])).succeeded()
    assert [row[0::4] for row in database.rows(INDEXES)] == [
        ("i", "btree (b DESC)"),
        ("i_new", "btree (c)"),
        ("i_old", "btree (a)"),
    ]


@one_version
def test_an_equal_index_under_another_name_is_renamed(database: Database) -> None:
    database.psql(
        ROWS + "CREATE INDEX theirs ON t (lower(c)) WHERE c <> ''; CREATE INDEX other ON t (b)"
    )
    declared = block(
        lambda: pg.index("mine", "t", ["lower( c )"], where="c<>''"),
        lambda: pg.index("other", "t", ["b"]),
        lambda: pg.index("twin_of_other", "t", ["b"]),
    )
    plan = run(database, declared).succeeded().plan
    assert [one.sql for _, one in plan.of(Stage.MAIN)] == [
        "ALTER INDEX public.theirs RENAME TO mine"
    ]
    assert [row[0] for row in database.rows(INDEXES)] == ["mine", "other", "twin_of_other"]
    assert run(database, declared).succeeded().plan.changes == []


@one_version
def test_an_equal_constraint_under_another_name_is_renamed(database: Database) -> None:
    database.psql(
        ROWS
        + """ALTER TABLE t ADD CONSTRAINT theirs CHECK (a>0), ADD CONSTRAINT key PRIMARY KEY (a),
             ADD CONSTRAINT kept CHECK (b > 0)"""
    )
    declared = block(
        lambda: pg.table(
            "t",
            constraints=[
                pg.Check("a > 0", name="mine"),
                pg.PrimaryKey("a", name="t_key"),
                pg.Check("b > 0", name="kept"),
                pg.Check("b > 0", name="twin_of_kept"),
            ],
        ),
    )
    run(database, declared).succeeded()
    assert [row[0] for row in database.rows(CONSTRAINTS)] == [
        "t.kept", "t.mine", "t.t_key", "t.twin_of_kept",
    ]  # fmt: skip
    assert run(database, declared).succeeded().plan.changes == []


@one_version
def test_an_exclusion_constraint_on_rows_needs_permission(database: Database) -> None:
    database.psql(ROWS)

    def declared() -> None:
        pg.table("t", constraints=[pg.Exclude(("a", "="), using="btree", name="e")])

    refused = run(database, declared).refused()
    assert "would block reads and writes while it reads all rows" in refused.messages
    assert database.rows(CONSTRAINTS) == []
    run(database, declared, postgres_allow="t").succeeded()
    assert [row[0] for row in database.rows(CONSTRAINTS)] == ["t.e"]


@one_version
def test_an_index_of_a_table_with_rows_is_dropped_concurrently(database: Database) -> None:
    database.psql(ROWS + "CREATE INDEX i ON t (b)")
    plan = run(database, lambda: pg.index("i", "t", present=False)).succeeded().plan
    assert [one.sql for _, one in plan.of(Stage.AFTER)] == [
        "DROP INDEX CONCURRENTLY IF EXISTS public.i"
    ]
    assert database.rows(INDEXES) == []
