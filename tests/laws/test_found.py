"""Pairs of databases that the laws have found, small: each way has to be possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Databases
from harness.process import run

DATA: dict[str, Any] = {"postgres_today": "2025-01-15", "postgres_allow": "a,b,z,a.ref"}

ID = pg.Column("id", "bigint", nullable=False)
REF = pg.Column("ref", "bigint")


def key_of_a_table_that_stays() -> None:
    pg.table("a", [ID, REF], constraints=[pg.Unique("id", name="kept")])
    for name in ("b", "z"):
        references = pg.ForeignKey("ref", references="a(id)", name=f"{name}_a")
        pg.table(name, [REF], constraints=[references])


def without_the_key() -> None:
    pg.table("a", [REF])
    pg.table("z", [REF])


def primary_key() -> None:
    pg.table("a", [ID, REF], constraints=[pg.PrimaryKey("id", name="key")])


def no_key() -> None:
    pg.table("a", [ID, REF])


def key_of_a_column() -> None:
    pg.table("a", [ID, REF], constraints=[pg.PrimaryKey("ref", name="key")])


def without_that_column() -> None:
    pg.table("a", [ID], constraints=[pg.PrimaryKey("id", name="key")])


def own_key_without_a_key() -> None:
    pg.table("b", [ID], constraints=[pg.PrimaryKey("id", name="key_b")])
    own = pg.ForeignKey("ref", references="b(id)", name="a_own")
    pg.table("a", [ID, REF], constraints=[own])


def own_key() -> None:
    own = pg.ForeignKey("ref", references="a(id)", name="a_own")
    pg.table("a", [ID, REF], constraints=[pg.PrimaryKey("id", name="key"), own])


def other_key_and_what_needs_it() -> None:
    pg.table("a", [ID, REF], constraints=[pg.Unique("id", name="key")])
    pg.table("a", constraints=[pg.ForeignKey("ref", references="a(id)", name="own")])


def default_privileges() -> None:
    pg.default_privileges("SELECT", on="TABLES", to='"law writer"', in_schema="public")


def partitions() -> None:
    pg.table("a", [pg.Column("at", "date", nullable=False)], partition_by="RANGE (at)")
    pg.partitions("a", every="month", start="2025-01", ahead=0)
    pg.default_privileges(
        "SELECT", on="TABLES", to='"law writer"', in_schema="public", present=False
    )


def view_with_rights_of_a_column() -> None:
    pg.table("a", [ID])
    pg.view("v", "SELECT id FROM a")
    pg.grant("SELECT (id)", on="v", to='"law writer"')


def what_needs_columns() -> None:
    computed = pg.Column("z", "bigint", generated="b + 1")
    pg.table(
        "a",
        [REF, pg.Column("b", "bigint"), computed, pg.Column("id", "bigint")],
        constraints=[pg.PrimaryKey("id", name="key")],
    )
    pg.view("v", "SELECT b, id FROM a GROUP BY id")
    pg.function("f", returns="bigint", body="RETURN (SELECT max(b) FROM v)")
    pg.function("g", returns="bigint", body="RETURN f()")


def numbers() -> None:
    identity = pg.Column("id", "bigint", identity="BY DEFAULT")
    pg.table("a", [identity, REF, pg.Column("b", "bigint", generated="ref + 1")])


def texts() -> None:
    pg.table("a", [pg.Column("id", "varchar(30)", nullable=False), REF, pg.Column("b", "text")])


@pytest.mark.parametrize(
    ("one", "other", "rows"),
    [
        pytest.param(
            key_of_a_table_that_stays, without_the_key, "", id="a key goes after keys on it"
        ),
        pytest.param(
            primary_key,
            other_key_and_what_needs_it,
            "INSERT INTO a VALUES (1, 1)",
            id="a foreign key waits for the key that another operation changes",
        ),
        pytest.param(
            no_key,
            primary_key,
            "INSERT INTO a VALUES (1, 1); CREATE UNIQUE INDEX key ON a (id)",
            id="an index of an interrupted run becomes the key's",
        ),
        pytest.param(
            own_key_without_a_key,
            own_key,
            "INSERT INTO b VALUES (1); INSERT INTO a VALUES (1, 1)",
            id="a key comes before a foreign key of its table",
        ),
        pytest.param(
            key_of_a_column,
            without_that_column,
            "INSERT INTO a VALUES (1, 1)",
            id="a key that another replaces has gone with its column",
        ),
        pytest.param(
            default_privileges, partitions, "", id="partitions keep no privileges by default"
        ),
        pytest.param(
            without_the_key,
            view_with_rights_of_a_column,
            "",
            id="columns of views have rights of their own",
        ),
        pytest.param(
            what_needs_columns, without_the_key, "", id="columns go after what needs them"
        ),
        pytest.param(
            numbers,
            texts,
            "INSERT INTO a DEFAULT VALUES",
            id="what a column of another type can't be ends before",
        ),
    ],
)
def test_the_way_is_found(
    databases: Databases, one: Callable[[], None], other: Callable[[], None], rows: str
) -> None:
    def declared(what: Callable[[], None]) -> Callable[[], None]:
        def declare() -> None:
            with pg.transaction(exact=True):
                pg.schema("public")
                what()

        return declare

    fresh, changed = databases(), databases()
    run(fresh, declared(other), **DATA).succeeded()
    run(changed, declared(one), **DATA).succeeded()
    changed.psql(rows)
    run(changed, declared(other), **DATA).succeeded()
    assert changed.differences(fresh) == []
    assert run(changed, declared(other), **DATA).succeeded().plan.changes == []
