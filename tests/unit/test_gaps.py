"""What is declared against what is there: roots, the fix in order, and no values in either."""

from __future__ import annotations

import pytest

from pyinfra_postgres.objects.server.schemas import Schema
from pyinfra_postgres.objects.types.enums import Enum
from pyinfra_postgres.plan.plan import Action, Change, Gap, Operation, Plan, Stage, Statement
from pyinfra_postgres.planning.session import Draft, Item
from pyinfra_postgres.reports import gaps
from pyinfra_postgres.reports.statuses import Status
from pyinfra_postgres.syntax.names import Name
from pyinfra_postgres.syntax.parse import Reference


def item(one: Schema | Enum, phase: str = "") -> Item:
    return Item(Operation(one.title, "deploy.py line 1", phase), one, True)


def change(item: Item, action: Action, *lines: str, stage: Stage = Stage.MAIN) -> Change:
    statement = Statement(f"{action.value} {item.declaration.title}", stage=stage)
    key = item.declaration.key()
    return Change(item.operation, item.declaration.title, action, lines, (statement,), key=key)


SHOP = item(Schema("shop"), "1 Ground")
STATE = item(Enum("shop.state", ["new"]))
MOOD = item(Enum("mood", ["calm"]))


def test_what_is_missing_below_is_the_root() -> None:
    changes = [change(SHOP, Action.CREATE), change(STATE, Action.CREATE)]
    found = gaps.declared([Draft(Plan(changes), [SHOP, STATE, MOOD])])
    shop, state, mood = found.checks
    assert (shop.status, shop.task, shop.place) == (Status.FAIL, "1 Ground", "deploy.py line 1")
    assert (state.status, state.roots, state.task) == (Status.BLOCKED, ("schema shop",), "enum")
    assert mood.status is Status.PASS
    assert found.missing[Reference("type", Name("shop", "state"))] == ("schema shop",)


def test_what_differs_blocks_nobody() -> None:
    changes = [change(SHOP, Action.CHANGE, "- owner a", "+ owner b")]
    shop, state = gaps.declared([Draft(Plan(changes), [SHOP, STATE])]).checks
    assert (shop.status, shop.expected, shop.got) == (Status.FAIL, ("owner b",), ("owner a",))
    assert state.status is Status.PASS


def test_what_nobody_declares_is_a_root() -> None:
    reference = Reference("schema", Name("", "shop"))
    plan = Plan(
        [change(STATE, Action.CREATE)], [Gap(STATE.operation, "enum shop.state", reference)]
    )
    (state,) = gaps.declared([Draft(plan, [STATE])]).checks
    assert state.status is Status.BLOCKED
    assert state.roots == ("schema shop, which nothing declares",)


def test_the_fix_is_in_the_order_in_which_it_runs() -> None:
    changes = [
        change(SHOP, Action.CREATE, stage=Stage.AFTER),
        change(STATE, Action.CREATE),
        change(MOOD, Action.CREATE, stage=Stage.BEFORE),
    ]
    fix = gaps.fix([Draft(Plan(changes), [SHOP, STATE, MOOD])])
    assert [(one.stage, one.title) for one in fix.steps] == [
        ("before", "enum public.mood"),
        ("main", "enum shop.state"),
        ("after", "schema shop"),
    ]
    other = gaps.fix([Draft(Plan(changes[:2]), [SHOP, STATE])])
    assert len({*fix.plans, *other.plans, *gaps.fix([Draft(Plan(changes), [])]).plans}) == 2


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("it can't be, and isn't", "it can't be, and isn't"),
        ("operation 'table t' declares it", "operation 'table t' declares it"),
        ("values like 'a''b' and 'c'", "values like '...' and '...'"),
        (
            'table t: column n: invalid input: "x" (SQLSTATE 22P02); change it (deploy.py line 1)',
            "table t: InvalidTextRepresentation (SQLSTATE 22P02); change it (deploy.py line 1)",
        ),
        (
            'table t: PostgreSQL refuses it: relation "u" does not exist (SQLSTATE 42P01)',
            'table t: PostgreSQL refuses it: relation "u" does not exist (SQLSTATE 42P01)',
        ),
    ],
)
def test_words_are_told_without_values(said: str, told: str) -> None:
    assert gaps.without_quotes(said) == told


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("INSERT INTO t VALUES ('a', E'b\\n', 3)", "INSERT INTO t VALUES ('...', '...', 3)"),
        ("SELECT $$body$$, $tag$other$tag$", "SELECT '...', '...'"),
        ('SELECT "a\'b" FROM t', 'SELECT "a\'b" FROM t'),
        ("it is 'open", "it is 'open"),
    ],
)
def test_sql_is_told_without_strings(sql: str, told: str) -> None:
    assert gaps.without_values(sql) == told
