"""Partitioned tables that have lived: who refers to partitions, and what of them is their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.objects.partitions.partitions import partition_of
from pyinfra_postgres.running import render
from pyinfra_postgres.syntax.names import Name

REFERRED = """
    CREATE TABLE ev (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2026-09-01') TO ('2026-10-01');
    CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM ('2026-10-01') TO ('2026-12-01')
      PARTITION BY RANGE (at);
    CREATE TABLE ev_21 PARTITION OF ev_2 FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');
    CREATE TABLE child (a integer, d date, FOREIGN KEY (a, d) REFERENCES ev);
"""
ROWS = """
    INSERT INTO ev VALUES (1, '2026-09-02'), (2, '2026-10-02');
    INSERT INTO child VALUES (1, '2026-09-02'), (2, '2026-10-02'), (NULL, '2026-10-02');
"""
EV = [pg.Column("id", "integer"), pg.Column("at", "date")]


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of equality that no other run has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def in_a_block(*operations: Callable[[], object], **block: Any) -> Callable[[], None]:
    def deploy() -> None:
        with pg.transaction(**block):
            for one in operations:
                one()

    return deploy


def settles(database: Database, deploy: Callable[[], object], **data: Any) -> None:
    """A dry run changes nothing, the run succeeds, and the next has nothing to do."""
    dump = database.dump()
    run(database, deploy, dry=True, **data).succeeded()
    assert database.dump() == dump
    run(database, deploy, **data).succeeded()
    assert run(database, deploy, **data).succeeded().plan.changes == []


def refuses(database: Database, deploy: Callable[[], object], reason: str, **data: Any) -> None:
    """The run is refused before it changes anything."""
    dump = database.dump()
    assert reason in run(database, deploy, **data).refused().messages
    assert database.dump() == dump


def ev_exactly() -> None:
    pg.table("ev", EV, constraints=[pg.PrimaryKey("id", "at")], partition_by="RANGE (at)")


@pytest.mark.parametrize("partition", ["ev_1", "ev_2", "ev_21"])
def test_a_partition_goes_though_its_parent_is_referred_to(
    partition: str, database: Database
) -> None:
    database.psql(REFERRED)
    of = "ev_2" if partition == "ev_21" else "ev"
    settles(database, in_a_block(lambda: pg.partition(partition, of, present=False)))
    assert database.psql(f"SELECT to_regclass('{partition}')") == ""
    assert database.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") != "0"


def test_exact_takes_partitions_of_a_table_that_is_referred_to(database: Database) -> None:
    database.psql(REFERRED)
    settles(database, in_a_block(ev_exactly, exact=["partitions"]))
    assert (
        database.psql(
            "SELECT count(*) FROM pg_inherits i JOIN pg_class ON oid = inhrelid"
            " WHERE relkind IN ('r', 'p')"
        )
        == "0"
    )


@one_version
@pytest.mark.parametrize("partition", ["ev_1", "ev_2", "ev_21"])
@pytest.mark.parametrize("stays", [True, False])
def test_rows_that_refer_to_a_partition_are_counted_before_it_goes(
    stays: bool, partition: str, database: Database
) -> None:
    database.psql(REFERRED + ROWS)
    of = "ev_2" if partition == "ev_21" else "ev"
    how: dict[str, Any] = {"attached": False} if stays else {"present": False}
    deploy = in_a_block(lambda: pg.partition(partition, of, **how))
    refuses(database, deploy, "1 row of public.child", postgres_allow=partition)
    database.psql("DELETE FROM child")
    settles(database, deploy, postgres_allow=partition)


@one_version
@pytest.mark.parametrize(
    ("used", "user"),
    [
        ("CREATE VIEW v AS SELECT * FROM ev_21", "view public.v"),
        (
            "CREATE TABLE f (a integer, d date, FOREIGN KEY (a, d) REFERENCES ev_21)",
            "table public.f",
        ),
    ],
)
@pytest.mark.parametrize("gone", ["ev_21", "ev_2", "ev"])
def test_what_uses_a_partition_is_named(
    gone: str, used: str, user: str, database: Database
) -> None:
    database.psql(f"{REFERRED} DROP TABLE child; {used}")

    def deploy() -> None:
        if gone == "ev":
            pg.table("ev", present=False)
        else:
            pg.partition(gone, "ev_2" if gone == "ev_21" else "ev", present=False)

    refuses(database, deploy, user)


@one_version
def test_a_table_from_which_another_inherits_does_not_go(database: Database) -> None:
    database.psql("CREATE TABLE above (a integer); CREATE TABLE heir () INHERITS (above)")
    refuses(
        database,
        lambda: pg.table("above", present=False),
        "it is used by table public.heir, which inherits from it",
    )
    both = in_a_block(
        lambda: pg.table("heir", present=False), lambda: pg.table("above", present=False)
    )
    settles(database, both)


@one_version
def test_a_partition_that_is_declared_does_not_go_with_its_table(database: Database) -> None:
    database.psql(REFERRED)
    deploy = in_a_block(
        lambda: pg.table("child", present=False),
        lambda: pg.partition("ev_1", "ev"),
        lambda: pg.table("ev", present=False),
    )
    refuses(database, deploy, "its partition public.ev_1, which is declared")


@one_version
def test_tables_that_refer_to_one_another_are_told_to_go(database: Database) -> None:
    database.psql(
        "CREATE TABLE a (id integer PRIMARY KEY, b integer); "
        "CREATE TABLE b (id integer PRIMARY KEY REFERENCES a); "
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"
    )
    deploy = in_a_block(lambda: pg.schema("public"), exact=True)
    plan = run(database, deploy, dry=True).succeeded().plan
    assert render.summary(plan) == "0 to create, 0 to change, 2 to remove"
    settles(database, deploy)


def test_the_default_partition_of_each_table_is_found_without_a_search() -> None:
    catalog = Forecast()
    table, other = Name("public", "t"), Name("public", "u")
    for number in range(50):
        catalog.put(
            partition_of(Name("public", f"t_{number}"), table, f"FOR VALUES IN ({number})", None)
        )
    assert catalog.default_of(table) is None
    rest = partition_of(Name("public", "rest"), table, "DEFAULT", None)
    catalog.put(rest)
    assert (catalog.default_of(table), catalog.default_of(other)) == (rest.name, None)
    catalog.remove(rest)
    assert catalog.default_of(table) is None


UNIQUE = """
    CREATE TABLE p (r integer, id integer, n integer, k text) PARTITION BY LIST (r);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (n);
    CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES FROM (1) TO (10);
    CREATE TABLE q (id integer) PARTITION BY RANGE (abs(id));
    CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM (0) TO (100);
"""
FILLED = "INSERT INTO p VALUES (1, 1, 1), (2, 2, 2); INSERT INTO q VALUES (1);"


def p_with(*constraints: pg.PrimaryKey | pg.Unique | pg.Exclude) -> None:
    columns = [pg.Column(name, "integer") for name in ("r", "id", "n")]
    pg.table("p", columns, constraints=constraints)


@one_version
@pytest.mark.parametrize("rows", ["", FILLED], ids=["empty", "filled"])
@pytest.mark.parametrize(
    ("deploy", "reason"),
    [
        (lambda: p_with(pg.Unique("id")), "UNIQUE (id) lacks r, by which public.p is partitioned"),
        (lambda: p_with(pg.PrimaryKey("id", "r")), "lacks n, by which public.p_2 is partitioned"),
        (lambda: p_with(pg.Exclude(("id", "="), using="btree")), "lacks r"),
        (lambda: pg.index("i", "p", ["id", "n"], unique=True), "it lacks r"),
        (lambda: pg.index("i", "p_2", ["r"], unique=True), "it lacks n"),
        (
            lambda: pg.table("q", [pg.Column("id", "integer")], constraints=[pg.Unique("id")]),
            "public.q is partitioned by an expression",
        ),
    ],
)
def test_what_is_unique_has_the_columns_of_the_partition_key(
    deploy: Callable[[], object], reason: str, rows: str, database: Database
) -> None:
    database.psql(UNIQUE + rows)
    refuses(database, in_a_block(deploy), reason)


@one_version
def test_a_key_with_every_partition_key_below_it_is_built(database: Database) -> None:
    database.psql(UNIQUE + FILLED)
    settles(database, in_a_block(lambda: p_with(pg.PrimaryKey("id", "n", "r"))))


@one_version
@pytest.mark.parametrize(
    "unique", ["ALTER TABLE p ADD UNIQUE (r, n)", "CREATE UNIQUE INDEX i ON p (r, n)"]
)
def test_a_new_partition_is_partitioned_by_what_is_unique_above_it(
    unique: str, database: Database
) -> None:
    database.psql(f"{UNIQUE} {unique}")

    def deploy(key: str) -> None:
        pg.partition("p_3", "p", "FOR VALUES IN (3)", partition_by=f"LIST ({key})")

    refuses(database, lambda: deploy("id"), "lacks id, by which")
    settles(database, lambda: deploy("n"))


KEYED = """
    CREATE TABLE p (r integer NOT NULL, id integer NOT NULL) PARTITION BY LIST (r);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (r);
    CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES IN (2);
"""
KEYED_ROWS = "INSERT INTO p VALUES (1, 1), (2, 2);"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


def r_and_id(*constraints: pg.PrimaryKey | pg.Unique) -> None:
    columns = [pg.Column(name, "integer", nullable=False) for name in ("r", "id")]
    pg.table("p", columns, constraints=constraints)


@pytest.mark.parametrize("rows", ["", KEYED_ROWS], ids=["empty", "filled"])
@pytest.mark.parametrize(
    "part",
    ["", "ALTER TABLE p_1 {}", "ALTER TABLE p_2 {}"],
)
@pytest.mark.parametrize("kind", ["PRIMARY KEY", "UNIQUE"])
def test_a_key_of_a_partitioned_table_alone_is_completed(
    kind: str, part: str, rows: str, database: Database
) -> None:
    key = f"ADD CONSTRAINT k{{}} {kind} (id, r)"
    database.psql(KEYED + rows + f"ALTER TABLE ONLY p {key.format('')}")
    if part:
        database.psql(part.format(key.format(2)))
    declared = pg.PrimaryKey if kind == "PRIMARY KEY" else pg.Unique
    settles(database, in_a_block(lambda: r_and_id(declared("id", "r", name="k"))))
    assert database.psql(INVALID) == "0"


@one_version
@pytest.mark.parametrize("rows", ["", KEYED_ROWS], ids=["empty", "filled"])
def test_keys_of_two_levels_alone_are_completed_from_below(rows: str, database: Database) -> None:
    key = "ADD CONSTRAINT k{} PRIMARY KEY (id, r)"
    database.psql(f"{KEYED}{rows} ALTER TABLE ONLY p_2 {key.format(2)};")
    database.psql(f"ALTER TABLE ONLY p {key.format('')}")

    def whole() -> None:
        r_and_id(pg.PrimaryKey("id", "r"))

    def part() -> None:
        pg.table("p_2", constraints=[pg.PrimaryKey("id", "r")])

    refuses(database, in_a_block(whole), "public.p_2 has k2, which its own partitions lack")
    settles(database, in_a_block(part, whole))
    assert database.psql(INVALID) == "0"


@pytest.mark.parametrize("rows", ["", KEYED_ROWS], ids=["empty", "filled"])
@pytest.mark.parametrize("unique", [True, False])
def test_an_index_of_a_partitioned_table_alone_is_completed(
    unique: bool, rows: str, database: Database
) -> None:
    word = "UNIQUE" if unique else ""
    database.psql(f"{KEYED}{rows} CREATE {word} INDEX i ON ONLY p (id, r)")
    settles(database, in_a_block(lambda: pg.index("i", "p", ["id", "r"], unique=unique)))
    assert database.psql(INVALID) == "0"
    assert database.psql("SELECT count(*) FROM pg_index WHERE indrelid = 'p_21'::regclass") == "1"


@pytest.mark.parametrize("part", ["p_1", "p_2", "p_21"])
def test_a_key_that_a_partition_has_serves_its_parent(part: str, database: Database) -> None:
    database.psql(f"{KEYED}{KEYED_ROWS} ALTER TABLE {part} ADD PRIMARY KEY (id, r)")
    settles(database, in_a_block(lambda: r_and_id(pg.PrimaryKey("id", "r"))))
    counted = "SELECT count(*) FROM pg_index WHERE indrelid = '{}'::regclass"
    for one in ("p", "p_1", "p_2", "p_21"):
        assert database.psql(counted.format(one)) == "1"


INDEXED = """
    CREATE TABLE log (at date, v integer) PARTITION BY RANGE (at);
    CREATE INDEX log_i ON log (at);
    CREATE INDEX log_low ON log (abs(v));
    CREATE TABLE log_25 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
"""


def log_26() -> None:
    pg.partition("log_26", "log", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")


def log_26_indexes() -> None:
    pg.index("log_26_at_idx", "log_26", ["at"])
    pg.index("log_26_abs_idx", "log_26", ["abs(v)"], comment="mine")


@pytest.mark.parametrize("made", ["new", "attached"])
def test_indexes_of_a_new_partition_are_declared_under_their_automatic_names(
    made: str, database: Database
) -> None:
    database.psql(INDEXED)
    if made == "attached":
        database.psql("CREATE TABLE log_26 (at date, v integer)")
    settles(database, in_a_block(log_26, log_26_indexes))
    counted = "SELECT count(*) FROM pg_index WHERE indrelid = 'log_26'::regclass"
    assert database.psql(counted) == "2"


@one_version
@pytest.mark.parametrize("first", ["index", "partition"])
def test_automatic_names_in_a_new_table_are_known(first: str, database: Database) -> None:
    def table() -> None:
        columns = [pg.Column("at", "date"), pg.Column("v", "integer")]
        pg.table("log", columns, partition_by="RANGE (at)")

    def index() -> None:
        pg.index("log_i", "log", ["at"])

    order = [index, log_26] if first == "index" else [log_26, index]
    own = lambda: pg.index("log_26_at_idx", "log_26", ["at"])  # noqa: E731
    settles(database, in_a_block(table, *order, own))
    counted = "SELECT count(*) FROM pg_index WHERE indrelid = 'log_26'::regclass"
    assert database.psql(counted) == "1"


@pytest.mark.parametrize("rows", ["", "INSERT INTO log VALUES ('2025-02-02', 1);"])
def test_a_declared_part_of_an_index_changes_with_it(rows: str, database: Database) -> None:
    database.psql(INDEXED + rows)

    def whole(method: str) -> None:
        pg.index("log_i", "log", ["at"], method=method)

    def part(method: str) -> None:
        pg.index("log_25_at_idx", "log_25", ["at"], method=method)

    settles(database, in_a_block(lambda: whole("hash"), lambda: part("hash")))
    parent = (
        "SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = 'log_25_at_idx'::regclass"
    )
    assert database.psql(parent) == "log_i"
    reason = "it is a part of the index public.log_i"
    refuses(database, in_a_block(lambda: part("btree"), lambda: whole("btree")), reason)
    settles(database, in_a_block(lambda: whole("btree"), lambda: part("btree")))


DECLARED_APART = """
    CREATE TABLE p (r integer NOT NULL, id integer NOT NULL, CHECK (id > 0)) PARTITION BY LIST (r);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (r);
    CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES IN (2);
    ALTER TABLE p ADD PRIMARY KEY (r, id);
    CREATE INDEX p_id ON p (id);
    INSERT INTO p VALUES (1, 1), (2, 2);
"""
APART = [pg.Column("r", "integer", nullable=False), pg.Column("id", "integer", nullable=False)]
KINDS = "SELECT relname, relkind FROM pg_class WHERE relname ~ '^p(_[0-9]+)?$' ORDER BY 1"


@pytest.mark.parametrize("more", ["", "CREATE TABLE rest PARTITION OF p DEFAULT;"])
def test_exact_detaches_the_partition_that_is_declared_as_a_table(
    more: str, database: Database
) -> None:
    database.psql(DECLARED_APART + more)

    def deploy() -> None:
        pg.schema("public")
        pg.table("p", APART, partition_by="LIST (r)")
        pg.table("p_1", APART)
        pg.table("p_21", APART)

    allowed = "p_2, rest"
    settles(database, in_a_block(deploy, exact=True), postgres_allow=allowed)
    assert database.rows(KINDS) == [("p", "p"), ("p_1", "r"), ("p_21", "r")]
    assert database.psql("SELECT r FROM p_1 UNION ALL SELECT r FROM p_21") == "1\n2"
    # What they had of their parent and nobody declares has gone at once.
    assert database.psql("SELECT count(*) FROM pg_index WHERE indrelid = 'p_1'::regclass") == "0"


def test_exact_detaches_it_from_a_table_that_goes(database: Database) -> None:
    database.psql(DECLARED_APART)

    def deploy() -> None:
        pg.schema("public")
        pg.table("p_1", APART)
        pg.table("p_21", APART)

    settles(database, in_a_block(deploy, exact=True), postgres_allow="p, p_2")
    assert database.rows(KINDS) == [("p_1", "r"), ("p_21", "r")]
    assert database.psql("SELECT r FROM p_1 UNION ALL SELECT r FROM p_21") == "1\n2"


@one_version
def test_a_partition_that_is_declared_as_one_stays_one(database: Database) -> None:
    database.psql(DECLARED_APART)

    def deploy() -> None:
        pg.table("p", APART, partition_by="LIST (r)", constraints=[pg.PrimaryKey("r", "id")])
        pg.partition("p_1", "p", "FOR VALUES IN (1)")
        pg.table("p_1", comment="the first")
        pg.partition("p_2", "p", "FOR VALUES IN (2)", partition_by="LIST (r)")
        pg.partition("p_21", "p_2", "FOR VALUES IN (2)")

    settles(database, in_a_block(deploy, exact=["partitions", "constraints"]))
    assert database.rows(KINDS) == [("p", "p"), ("p_1", "r"), ("p_2", "p"), ("p_21", "r")]


@one_version
@pytest.mark.parametrize("what", ["p", "p_2"])
def test_a_partition_key_that_nobody_declares_is_told(what: str, database: Database) -> None:
    database.psql(DECLARED_APART)

    def deploy() -> None:
        if what == "p":
            pg.table("p", APART)
        else:
            pg.partition("p_2", "p", "FOR VALUES IN (2)")

    plan = run(database, in_a_block(deploy)).succeeded().plan
    told = [one.title for one in plan.undeclared if one.kind == "partition_by"]
    assert (plan.changes, told) == ([], [f"partition_by public.{what}"])
    reason = "it is partitioned by LIST (r), which can't go: declare partition_by"
    refuses(database, in_a_block(deploy, exact=["partitions"]), reason)


OWN = """
    CREATE TABLE t (a integer PRIMARY KEY);
    CREATE TABLE p (r integer, id integer, n integer NOT NULL DEFAULT 1) PARTITION BY LIST (r);
    CREATE TABLE p_1 PARTITION OF p (
      PRIMARY KEY (id), CHECK (id > 0), UNIQUE (n), r REFERENCES t, n DEFAULT 3) FOR VALUES IN (1);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
    INSERT INTO t VALUES (1); INSERT INTO p VALUES (1, 1, 1), (2, 2, 2);
"""
OWN_PARTS = [
    *(f"column public.p_1.{name}" for name in ("id", "n")),
    *(f"constraint public.p_1.p_1_{name}" for name in ("id_check", "n_key", "pkey", "r_fkey")),
]


def test_what_a_partition_has_of_its_own_is_told_and_goes(database: Database) -> None:
    database.psql(OWN)

    def deploy() -> None:
        columns = [
            pg.Column("r", "integer"),
            pg.Column("id", "integer"),
            pg.Column("n", "integer", nullable=False, default="1"),
        ]
        pg.table("p", columns, partition_by="LIST (r)")
        pg.partition("p_1", "p", "FOR VALUES IN (1)")
        pg.partition("p_2", "p", "FOR VALUES IN (2)")

    plan = run(database, in_a_block(deploy)).succeeded().plan
    assert ([one.title for one in plan.undeclared], plan.changes) == (OWN_PARTS, [])
    settles(database, in_a_block(deploy, exact=True))
    found = database.psql(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'p_1'::regclass AND contype <> 'n'"
    )
    assert found == "0"
    assert database.psql("INSERT INTO p VALUES (1) RETURNING n").split()[0] == "1"


@one_version
def test_what_is_declared_of_a_partition_itself_is_not_told(database: Database) -> None:
    database.psql(OWN)

    def deploy() -> None:
        pg.partition("p_1", "p", "FOR VALUES IN (1)")
        own = [pg.PrimaryKey("id"), pg.Check("id > 0"), pg.Unique("n")]
        own += [pg.ForeignKey("r", references="t (a)")]
        pg.table("p_1", constraints=own)

    assert run(database, in_a_block(deploy)).succeeded().plan.undeclared == []


@one_version
def test_a_new_partition_has_nothing_of_its_own(database: Database) -> None:
    database.psql(DECLARED_APART)
    deploy = in_a_block(lambda: pg.partition("p_3", "p", "FOR VALUES IN (3)"), exact=True)
    assert run(database, deploy).succeeded().plan.undeclared == []
    assert run(database, deploy).succeeded().plan.changes == []


TO_ATTACH = """
    CREATE TABLE p (id integer, k integer) PARTITION BY {};
    CREATE TABLE p_1 (id integer, k integer);
    INSERT INTO p_1 SELECT n, n FROM generate_series(1, 10) n;
"""


@pytest.mark.parametrize(
    ("key", "values", "rows"),
    [
        ("LIST (k)", "FOR VALUES IN (1, 2)", 8),
        ("LIST (abs(k))", "FOR VALUES IN (1, NULL)", 9),
        ("RANGE (k)", "FOR VALUES FROM (1) TO (5)", 6),
        ("RANGE (k, id)", "FOR VALUES FROM (1, MINVALUE) TO (5, 5)", 6),
        ("HASH (k)", "FOR VALUES WITH (MODULUS 1, REMAINDER 0)", 0),
        ("HASH (id, k)", "FOR VALUES WITH (MODULUS 2, REMAINDER 0)", None),
        ("LIST (k)", "FOR VALUES IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", 0),
        ("RANGE (k, id)", "FOR VALUES FROM (1, 1) TO (11, 0)", 0),
    ],
)
def test_rows_outside_the_bound_are_counted_before_a_table_is_attached(
    key: str, values: str, rows: int | None, database: Database
) -> None:
    database.psql(TO_ATTACH.format(key))

    def deploy() -> None:
        pg.partition("p_1", "p", values)

    if rows == 0:
        settles(database, in_a_block(deploy), postgres_allow="p_1")
        return
    reason = f"does not hold for {rows or ''}"
    refuses(database, in_a_block(deploy), reason, postgres_allow="p_1")
    if rows is None:
        database.psql(
            "DELETE FROM p_1 WHERE NOT satisfies_hash_partition('p'::regclass, 2, 0, id, k)"
        )
        settles(database, in_a_block(deploy), postgres_allow="p_1")


@one_version
@pytest.mark.parametrize(
    ("others", "values", "rows"),
    [
        ("CREATE TABLE o PARTITION OF p FOR VALUES IN (1);", "DEFAULT", 1),
        ("CREATE TABLE o PARTITION OF p FOR VALUES IN (11);", "DEFAULT", 0),
        ("ALTER TABLE p ADD CHECK (id < 100);", "FOR VALUES IN (1)", 9),
    ],
)
def test_the_other_partitions_bound_a_default_partition(
    others: str, values: str, rows: int, database: Database
) -> None:
    database.psql(TO_ATTACH.format("LIST (k)") + others)
    deploy = in_a_block(lambda: pg.partition("p_1", "p", values))
    if rows:
        refuses(database, deploy, f"does not hold for {rows} row", postgres_allow="p_1")
    else:
        settles(database, deploy, postgres_allow="p_1")


@one_version
def test_rows_obey_the_bounds_of_all_tables_above(database: Database) -> None:
    database.psql(
        "CREATE TABLE top (id integer, k integer) PARTITION BY LIST (id); "
        "CREATE TABLE p PARTITION OF top FOR VALUES IN (1) PARTITION BY LIST (k); "
        "CREATE TABLE p_1 (id integer, k integer); INSERT INTO p_1 VALUES (2, 1)"
    )
    deploy = in_a_block(lambda: pg.partition("p_1", "p", "FOR VALUES IN (1)"))
    refuses(database, deploy, "does not hold for 1 row")


@one_version
@pytest.mark.parametrize(
    ("key", "there", "values", "reason"),
    [
        ("LIST (k)", "FOR VALUES IN (1, 2)", "FOR VALUES IN (2, 3)", 'overlap partition "o"'),
        ("LIST (k)", "FOR VALUES IN (1)", "FOR VALUES IN ('x')", "invalid input syntax"),
        ("LIST (k)", "FOR VALUES IN (1)", "FOR VALUES FROM (1) TO (2)", "for a list partition"),
        ("LIST (k)", "DEFAULT", "DEFAULT", "conflicts with existing default partition"),
        ("RANGE (k)", "FOR VALUES FROM (1) TO (9)", "FOR VALUES FROM (5) TO (20)", "overlap"),
        ("RANGE (k)", "FOR VALUES FROM (1) TO (9)", "FOR VALUES FROM (20) TO (15)", "empty range"),
        (
            "HASH (k)",
            "FOR VALUES WITH (MODULUS 4, REMAINDER 0)",
            "FOR VALUES WITH (MODULUS 3, REMAINDER 1)",
            "modulus must be a factor",
        ),
    ],
)
def test_a_bound_that_does_not_fit_beside_the_others_is_refused(
    key: str, there: str, values: str, reason: str, database: Database
) -> None:
    database.psql(
        f"CREATE TABLE p (id integer, k integer) PARTITION BY {key}; "
        f"CREATE TABLE o PARTITION OF p {there}"
    )
    refuses(database, in_a_block(lambda: pg.partition("new", "p", values)), reason)


@one_version
def test_a_period_that_another_partition_has_part_of_is_refused(database: Database) -> None:
    database.psql(
        "CREATE TABLE t (at date) PARTITION BY RANGE (at); CREATE TABLE old PARTITION OF t "
        "FOR VALUES FROM (MINVALUE) TO ('2026-06-01')"
    )

    def deploy(start: str) -> None:
        pg.partitions("t", every="month", start=start, ahead=0)

    data = {"postgres_today": "2026-08-02"}
    refuses(database, lambda: deploy("2026-05"), 'overlap partition "old"', **data)
    settles(database, lambda: deploy("2026-06"), **data)


AROUND_AN_INDEX = """
    CREATE TABLE p (r integer NOT NULL, id integer NOT NULL) PARTITION BY LIST (r);
    CREATE TABLE p_1 PARTITION OF p {key} FOR VALUES IN (1);
    CREATE UNIQUE INDEX p_u ON p (r, id);
    {more}
"""
KEY_OF_P_1 = "(PRIMARY KEY (r, id))"
TO_P_1 = "CREATE TABLE c (r int, id int, FOREIGN KEY (r, id) REFERENCES p_1 (r, id));"
TO_P = "CREATE TABLE c (r int, id int, FOREIGN KEY (r, id) REFERENCES p (r, id));"


def absent() -> None:
    pg.index("p_u", "p", present=False)


def another() -> None:
    pg.index("p_u", "p", ["id"])


@one_version
@pytest.mark.parametrize("rows", ["", "INSERT INTO p VALUES (1, 1);"], ids=["empty", "filled"])
@pytest.mark.parametrize(
    ("key", "more", "deploy", "reason"),
    [
        (KEY_OF_P_1, "", absent, "p_1_pkey, a part of it as long as public.p_1 is attached"),
        (KEY_OF_P_1, "", another, "p_1_pkey, a part of it as long as public.p_1 is attached"),
        ("", TO_P_1, absent, "it is used by c_r_id_fkey of public.c"),
        ("", TO_P_1, another, "it is used by c_r_id_fkey of public.c"),
        ("", TO_P, absent, "it is used by c_r_id_fkey of public.c"),
        ("", "", lambda: r_and_id(pg.PrimaryKey("r", "id", name="p_u")), "p_u is in the way of"),
    ],
)
def test_what_stands_on_an_index_of_partitions_is_named(
    key: str,
    more: str,
    deploy: Callable[[], object],
    reason: str,
    rows: str,
    database: Database,
) -> None:
    database.psql(AROUND_AN_INDEX.format(key=key, more=more) + rows)
    refuses(database, in_a_block(deploy), reason)


@one_version
@pytest.mark.parametrize("rows", ["", "INSERT INTO p VALUES (1, 1);"], ids=["empty", "filled"])
@pytest.mark.parametrize("foreign_key", [TO_P, TO_P_1])
def test_exact_takes_the_foreign_key_before_its_index(
    foreign_key: str, rows: str, database: Database
) -> None:
    database.psql(AROUND_AN_INDEX.format(key="", more=foreign_key) + rows)

    def deploy() -> None:
        r_and_id()
        pg.partition("p_1", "p", "FOR VALUES IN (1)")
        pg.table("c", [pg.Column("r", "integer"), pg.Column("id", "integer")])

    columns = [pg.Column(name, "integer", nullable=False) for name in ("r", "id")]
    whole = lambda: pg.table("p", columns, partition_by="LIST (r)")  # noqa: E731
    settles(database, in_a_block(whole, deploy, exact=True))
    assert database.psql("SELECT count(*) FROM pg_index WHERE indrelid = 'p'::regclass") == "0"


@one_version
@pytest.mark.parametrize(
    "user",
    [
        "CREATE FUNCTION s.f() RETURNS SETOF s.v LANGUAGE sql AS 'SELECT * FROM s.v'",
        "CREATE FUNCTION s.f() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM s.v)",
        "CREATE POLICY f ON s.t USING (id IN (SELECT id FROM s.v))",
    ],
)
def test_exact_takes_what_uses_a_view_before_it(user: str, database: Database) -> None:
    database.psql(
        "CREATE SCHEMA s; CREATE TABLE s.t (id integer); CREATE VIEW s.w AS SELECT id FROM s.t; "
        f"CREATE VIEW s.v AS SELECT id FROM s.w; {user}"
    )

    def deploy() -> None:
        pg.schema("s")
        pg.table("s.t", [pg.Column("id", "integer")])

    settles(database, in_a_block(deploy, exact=True))
    assert (
        database.psql("SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace") == "t"
    )
