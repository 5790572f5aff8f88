"""Partitioned tables that have lived: who refers to partitions, and what of them is their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres import render
from pyinfra_postgres.catalog import Catalog
from pyinfra_postgres.names import Name
from pyinfra_postgres.objects.partitions import partition_of

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
    catalog = Catalog()
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
