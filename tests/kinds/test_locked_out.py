"""What reads rows while nobody else can read or write needs permission, or a way without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

LISTS = """
    CREATE TABLE l (r text) PARTITION BY LIST (r); CREATE TABLE l_rest PARTITION OF l DEFAULT;
    INSERT INTO l VALUES ('x');
"""
DAYS = """
    CREATE TABLE l (at date) PARTITION BY RANGE (at); CREATE TABLE l_default PARTITION OF l DEFAULT;
    INSERT INTO l VALUES ('2026-01-05');
"""
NUMBERS = "CREATE TABLE t (id integer {}, name varchar(20)); INSERT INTO t VALUES (1, 'x');"


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of equality that no other run has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def identity() -> None:
    pg.table("t", [pg.Column("id", "integer", identity="ALWAYS")])


CASES: dict[str, tuple[str, Callable[[], object], str, str]] = {
    "rows that move out of the default partition": (
        DAYS,
        lambda: pg.partitions("l", every="month", start="2026-01", ahead=0, default=True),
        "would block reads and writes while it reads all rows of public.l_default",
        "l_default",
    ),
    "an identity where nulls are allowed": (
        NUMBERS.format(""),
        identity,
        "a run before this one can declare it NOT NULL alone",
        "t",
    ),
    "an identity without an index": (
        NUMBERS.format("NOT NULL"),
        identity,
        "a primary key or unique constraint that begins with it spares that",
        "t",
    ),
    "a materialized view on a column of another type": (
        NUMBERS.format("") + "CREATE MATERIALIZED VIEW m AS SELECT name FROM t",
        lambda: pg.table("t", [pg.Column("name", "varchar(40)")]),
        "it fills materialized view public.m again meanwhile",
        "t",
    ),
}


@pytest.mark.parametrize(("before", "declared", "reason", "name"), CASES.values(), ids=CASES.keys())
@one_version
def test_it_needs_permission_by_name(
    before: str, declared: Callable[[], object], reason: str, name: str, database: Database
) -> None:
    database.psql(before)
    dump = database.dump()
    data = {"postgres_today": "2026-01-10"}
    assert reason in run(database, declared, **data).refused().messages  # type: ignore[arg-type]
    assert database.dump() == dump
    allowed = data | {"postgres_allow": name}
    run(database, declared, **allowed).succeeded()  # type: ignore[arg-type]
    assert run(database, declared, **allowed).succeeded().plan.changes == []  # type: ignore[arg-type]


@one_version
@pytest.mark.parametrize(
    ("before", "declared"),
    [
        (NUMBERS.format("PRIMARY KEY"), identity),
        (NUMBERS.format("").partition("INSERT")[0], identity),
        (LISTS + "TRUNCATE l", lambda: pg.partition("l_a", "l", "FOR VALUES IN ('a')")),
        (NUMBERS.format(""), lambda: pg.table("t", [pg.Column("name", "varchar(40)")])),
    ],
    ids=["by a key", "an empty table", "an empty default partition", "no materialized view"],
)
def test_it_needs_none_where_nothing_is_read(
    before: str, declared: Callable[[], object], database: Database
) -> None:
    database.psql(before)
    run(database, declared).succeeded()
    assert run(database, declared).succeeded().plan.changes == []


def test_indexes_of_a_materialized_view_are_built_concurrently(database: Database) -> None:
    database.psql(
        "CREATE TABLE t AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT a FROM t;"
        "CREATE INDEX i ON m (a)"
    )

    def declared() -> None:
        with pg.transaction():
            pg.index("i", "m", ["a DESC"])
            pg.index("j", "m", ["a"], unique=True)

    with database.watch() as seen:
        run(database, declared).succeeded()
    built = [one for one in seen.statements if "INDEX" in one and "CONCURRENTLY" not in one]
    assert not [one for one in built if "CREATE" in one or "DROP" in one]
    assert database.psql("SELECT indexdef FROM pg_indexes WHERE tablename = 'm' ORDER BY 1") == (
        "CREATE INDEX i ON public.m USING btree (a DESC)\n"
        "CREATE UNIQUE INDEX j ON public.m USING btree (a)"
    )
    assert run(database, declared).succeeded().plan.changes == []
