from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import one_version
from kinds.conftest import Deploy
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.plan.plan import Operation
from pyinfra_postgres.planning.order import in_turn
from pyinfra_postgres.planning.session import Item

DECLARATIONS = """
role = "{role}"
everything = [
    pg.Grant("SELECT", on="app.job", to="PUBLIC"),
    pg.Policy("own", "app.job", roles=[role], using="app.owned(id)"),
    pg.Trigger("touch", "app.job", when="BEFORE UPDATE", function="app.touch()"),
    pg.Index("recent", "app.job", ["at DESC"], where="state <> 'done'"),
    pg.Partitions("app.log", every="year", start="2024", default=True),
    pg.Table("app.log", [pg.Column("at", "date"), pg.Column("job", "integer",
             references="app.job(id)")], partition_by="RANGE (at)"),
    pg.Table("app.job", [
        pg.Column("id", "integer", primary_key=True, default="app.next_id()"),
        pg.Column("state", "app.state", default="'new'::app.state"),
        pg.Column("at", "timestamptz"),
    ], row_security=True, owner=role),
    pg.Function("app.touch", returns="trigger", language="plpgsql", body="BEGIN RETURN NEW; END"),
    pg.Function("app.owned", arguments="integer", returns="boolean", body="SELECT $1 > 0"),
    pg.Procedure("app.sweep", arguments="app.state", body="DELETE FROM app.job WHERE state = $1"),
    pg.Function("app.next_id", returns="integer", body="SELECT 1"),
    pg.Enum("app.state", ["new", "done"]),
    pg.Schema("app", owner=role),
    pg.Role(role),
]
"""
TODAY = ("--data", "postgres_today=2025-01-01")


def test_declarations_of_every_kind_come_in_any_order(deploy: Deploy) -> None:
    database = deploy.database
    text = DECLARATIONS.format(role=f"r_{secrets.token_hex(3)}")
    empty = database.dump()
    deploy.apply(text + "pg.objects(everything)\n", *TODAY)
    dump = database.dump()
    for part in (
        "CREATE POLICY own", "CREATE TRIGGER touch", "CREATE INDEX recent", "GRANT SELECT ON TABLE",
        "app.log_2026", "CREATE PROCEDURE app.sweep", "CREATE TYPE app.state",
        "REFERENCES app.job(id)",
    ):  # fmt: skip
        assert part in dump
    # The same declarations one by one find nothing to do either.
    operations = text + "for one in reversed(everything):\n    pg.objects([one])\n"
    deploy.project.deploy(operations)
    deploy.unchanged()
    deploy.apply(text + "pg.objects(everything, present=False)\n", *TODAY)
    assert database.dump() == empty


A, B = pg.Table("a", [pg.Column("n", "integer")]), pg.Table("b", [pg.Column("n", "integer")])
B_TO_A = pg.Table("b", [pg.Column("n", "integer", references="a(n)")])
ON_A, ON_B = pg.Script("UPDATE a SET n = 1"), pg.Script("UPDATE b SET n = 1")
IN_A = pg.Rows("a", [{"n": 1}], key="n")
ANY = pg.Script("DROP SCHEMA IF EXISTS old")


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ([A, B_TO_A, ON_B, ON_A], [A, B_TO_A, ON_B, ON_A]),
        ([ON_B, ON_A, B_TO_A, A], [A, B_TO_A, ON_B, ON_A]),
        ([ON_A, A, B], [A, ON_A, B]),
        ([ANY, B, IN_A, ON_B, A], [ANY, B, A, IN_A, ON_B]),
        ([A, IN_A, ANY, B_TO_A, ON_A], [A, IN_A, ANY, B_TO_A, ON_A]),
    ],
)
def test_only_what_is_needed_earlier_moves(given: list[Object], order: list[Object]) -> None:
    items = [Item(Operation("an operation"), one, present=True) for one in given]
    assert [one.declaration for one in in_turn(items, Forecast()).items] == order


@one_version
def test_what_needs_one_another_in_a_circle_is_told(deploy: Deploy) -> None:
    run = deploy.run(
        """
        pg.objects([
            pg.Table("t", [pg.Column("a", "integer", default="f()")]),
            pg.Function("f", returns="integer", body="SELECT count(*)::integer FROM t"),
        ])
        """
    ).failed()
    assert "need one another in a circle" in run.output
    assert deploy.database.psql("SELECT to_regclass('t')") == ""
