"""A foreign key that moves with the key on which it stands, and that its own table changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

BEFORE = """
    CREATE TABLE parent (a integer, b integer, CONSTRAINT pk PRIMARY KEY (a));
    INSERT INTO parent VALUES (1, 1);
    CREATE TABLE child (a integer, CONSTRAINT fk FOREIGN KEY (a) REFERENCES parent (a));
    INSERT INTO child VALUES (1);
"""
KEYS = "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f'"
ALLOWED = "child,child.a"


def parent() -> None:
    pg.table(
        "parent",
        [pg.Column("a", "integer"), pg.Column("b", "integer")],
        constraints=[pg.PrimaryKey("a", include=["b"], name="pk")],
    )


def child(*constraints: pg.Constraint) -> None:
    pg.table("child", [pg.Column("a", "integer")], constraints=constraints)


def same_key(**changed: str) -> pg.ForeignKey:
    given = {"name": "fk", "references": "parent(a)"} | changed
    return pg.ForeignKey("a", **given)  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[], object]] = {
    "nobody declares it": child,
    "it goes": lambda: child(pg.Constraint(name="fk", present=False)),
    "its table goes": lambda: pg.table("child", present=False),
    "its column goes": lambda: pg.table(
        "child", [pg.Column("a", present=False), pg.Column("c", "integer")]
    ),
    "it is another": lambda: child(same_key(on_delete="CASCADE")),
    "it gets another name": lambda: child(same_key(name="other", renamed_from="fk")),
    "its table gets another name": lambda: pg.table(
        "kid", [pg.Column("a", "integer")], constraints=[same_key()], renamed_from="child"
    ),
}


AT_ONCE = ("its table goes", "it gets another name", "its table gets another name")


@pytest.mark.parametrize("case", AT_ONCE)
@one_version
def test_what_is_out_of_the_way_before_is_changed_at_once(database: Database, case: str) -> None:
    database.psql(BEFORE)

    def at_once() -> None:
        with pg.transaction(exact=["constraints"]):
            parent()
            CHANGES[case]()

    run(database, at_once, postgres_allow=ALLOWED).succeeded()
    assert "INCLUDE (b)" in database.dump()
    assert all(validated == "t" for _, validated in database.rows(KEYS))
    assert not run(database, at_once).succeeded().plan.changes


@pytest.mark.parametrize(
    "change",
    [pytest.param(one, id=case) for case, one in CHANGES.items() if case not in AT_ONCE],
)
@one_version
def test_it_is_changed_in_a_block_before(database: Database, change: Callable[[], object]) -> None:
    database.psql(BEFORE)
    dump = database.dump()

    def at_once() -> None:
        with pg.transaction(exact=["constraints"]):
            parent()
            change()

    def in_two_blocks() -> None:
        with pg.transaction(exact=["constraints"]):
            change()
        with pg.transaction():
            parent()

    said = run(database, at_once, dry=True, postgres_allow=ALLOWED).refused().messages
    assert "table public.parent: the foreign key fk of public.child is put back after" in said
    assert "let a block before this one do that" in said
    assert database.dump() == dump
    run(database, in_two_blocks, postgres_allow=ALLOWED).succeeded()
    assert "INCLUDE (b)" in database.dump()
    assert all(validated == "t" for _, validated in database.rows(KEYS))


@one_version
def test_one_that_is_declared_as_it_is_stays(database: Database) -> None:
    database.psql(BEFORE)

    def deploy() -> None:
        with pg.transaction(exact=["constraints"]):
            parent()
            child(same_key())

    run(database, deploy).succeeded()
    assert database.rows(KEYS) == [("fk", "t")]
    assert run(database, deploy).succeeded().plan.changes == []


GROUPED = """
    CREATE TABLE t (id integer, b integer, n text, CONSTRAINT t_pkey PRIMARY KEY (id));
    INSERT INTO t VALUES (1, 1, 'x');
    CREATE VIEW v AS SELECT id, n, count(*) FROM t GROUP BY id;
"""


def with_key(*keys: pg.Constraint) -> Callable[[], object]:
    return lambda: pg.table("t", constraints=keys)


@pytest.mark.parametrize(
    "declared",
    [
        with_key(pg.PrimaryKey("id", include=["b"], name="t_pkey")),
        with_key(pg.PrimaryKey("id", "b", name="other")),
        with_key(pg.Constraint(name="t_pkey", present=False)),
        lambda: pg.table("t", [pg.Column("id", present=False)]),
    ],
    ids=["another in its place", "another name and columns", "none", "its column goes"],
)
@one_version
def test_a_key_by_which_a_view_groups_does_not_go(
    declared: Callable[[], object], database: Database
) -> None:
    database.psql(GROUPED)
    dump = database.dump()
    said = run(database, declared, postgres_allow="t.id").refused().messages
    assert "its primary key t_pkey can't go: view public.v groups by it" in said
    assert database.dump() == dump


@one_version
def test_a_key_goes_where_the_view_no_longer_groups_by_it(database: Database) -> None:
    database.psql(GROUPED)

    def declared() -> None:
        with pg.transaction():
            pg.view("v", "SELECT id, n, count(*) FROM t GROUP BY id, n")
            pg.table("t", constraints=[pg.PrimaryKey("id", include=["b"], name="t_pkey")])

    run(database, with_key(pg.PrimaryKey("id", name="key", renamed_from="t_pkey"))).succeeded()
    run(database, with_key(pg.PrimaryKey("id", name="t_pkey", renamed_from="key"))).succeeded()
    run(database, declared).succeeded()
    assert run(database, declared).succeeded().plan.changes == []
