from __future__ import annotations

import pytest

from pyinfra_postgres.objects.kind import difference, either
from pyinfra_postgres.objects.types.enums import Enum
from pyinfra_postgres.plan.plan import (
    Action,
    Change,
    Gap,
    Hazard,
    Lock,
    Loss,
    Operation,
    Plan,
    Refusal,
    Stage,
    Statement,
)
from pyinfra_postgres.running.render import plan_lines
from pyinfra_postgres.syntax.names import Name
from pyinfra_postgres.syntax.parse import Reference


def change(*statements: Statement) -> Change:
    return Change(Operation("an operation"), "a thing", Action.CHANGE, (), statements)


def stages(plan: Plan) -> dict[str, Stage]:
    return {statement.sql: stage for _, statement, stage in plan.staged()}


def test_statements_run_in_the_stage_that_they_name() -> None:
    plan = Plan([change(Statement("a"), Statement("b", stage=Stage.AFTER)), change(Statement("c"))])
    assert stages(plan) == {"a": Stage.MAIN, "b": Stage.AFTER, "c": Stage.MAIN}
    assert [statement.sql for _, statement in plan.of(Stage.MAIN)] == ["a", "c"]


def test_what_prepares_goes_first() -> None:
    rename, anew = Statement("rename", prepares=True), Statement("anew", first=True)
    first, second, third = Statement("1"), Statement("2"), Statement("3", prepares=True)
    plan = Plan([change(first), change(rename, second), change(anew), change(third)])
    found = [one.sql for _, one in plan.of(Stage.MAIN)]
    assert found == ["rename", "3", "anew", "1", "2"]


def test_what_publishes_a_literal_moves_before_only_where_it_is_used() -> None:
    add = Statement("ALTER TYPE t ADD VALUE 'x'", publishes="'x'")
    assert stages(Plan([change(add)]))[add.sql] is Stage.MAIN
    unrelated = Statement("CREATE TABLE t (a text DEFAULT 'y')")
    assert stages(Plan([change(add), change(unrelated)]))[add.sql] is Stage.MAIN
    user = Statement("CREATE TABLE t (a t DEFAULT 'x')")
    assert stages(Plan([change(add), change(user)])) == {
        add.sql: Stage.BEFORE,
        user.sql: Stage.MAIN,
    }


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("'{x}'", True),
        ("""'{"a,b",x}'""", True),
        ("""'(1,"x")'""", True),
        ("'[a,x)'", True),
        ("'{ax,xa}'", False),
        ("'{a}', x, '{b}'", False),
    ],
)
def test_what_publishes_a_literal_knows_it_within_others(text: str, used: bool) -> None:
    add = Statement("ALTER TYPE t ADD VALUE 'x'", publishes="'x'")
    use = Statement(f"SELECT {text}")
    assert (stages(Plan([change(add), change(use)]))[add.sql] is Stage.BEFORE) is used


def test_all_that_one_change_publishes_moves_together_and_in_order() -> None:
    one = Statement("ADD 'a'", publishes="'a'")
    two = Statement("ADD 'b' AFTER 'a'", publishes="'b'")
    user = Statement("SELECT 'b'")
    plan = Plan([change(one, two), change(user)])
    assert [statement.sql for _, statement in plan.of(Stage.BEFORE)] == [one.sql, two.sql]


def test_locks_are_taken_in_one_order_and_only_for_the_transaction() -> None:
    a, b, c = (Name("public", name) for name in "abc")
    plan = Plan(
        [
            change(Statement("1", locks=b), Statement("2", locks=a)),
            change(Statement("3", locks=b), Statement("4", locks=c, stage=Stage.AFTER)),
        ]
    )
    assert plan.locks() == [Lock(a), Lock(b)]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        (Reference("table", Name("public", "t")), 'pg.table("t", ...)'),
        (Reference("table", Name("auth", "t")), 'pg.table("auth.t", ...)'),
        (Reference("type", Name("auth", "t")), 'pg.enum("auth.t", [...])'),
        (Reference("role", Name("", "r")), 'pg.role("r", ...)'),
    ],
)
def test_a_gap_says_what_would_provide_it(reference: Reference, hint: str) -> None:
    plan = Plan(gaps=[Gap(Operation("an operation"), "table x", reference)])
    (problem,) = plan.problems()
    assert problem.startswith(f"table x needs {reference}, which does not exist: ")
    assert hint in problem
    assert not plan.sound


def test_a_refusal_is_a_problem() -> None:
    operation = Operation("an operation", "deploy.py line 3")
    plan = Plan(refusals=[Refusal(operation, "table x", "it would hurt")])
    assert list(plan.problems()) == ["table x: it would hurt (deploy.py line 3)"]
    assert not plan.sound
    assert Plan().sound


def test_a_difference_has_the_lines_of_one_side() -> None:
    one = Enum("t", ["a", "b"], comment="x")
    other = Enum("t", ["a", "c"], owner="me")
    assert list(difference(one, other)) == ["- b", "- comment 'x'", "+ c", "+ owner me"]
    assert list(difference(None, one)) == ["+ a", "+ b", "+ comment 'x'"]
    assert list(difference(one, None)) == ["- a", "- b", "- comment 'x'"]
    assert list(difference(one, one)) == []


def test_what_is_not_declared_is_left_as_it_is() -> None:
    assert either(None, "there") == "there"
    assert either("", "there") == ""
    assert either("new", None) == "new"


def test_what_a_statement_loses_is_shown_with_it() -> None:
    losses = tuple(Loss("table", Name("public", "t"), told=told) for told in ("2 rows", "data"))
    told = Statement("DROP", hazards=(Hazard.SCANS,), losses=losses)
    assert "loses 2 rows, loses data, scans the table" in "".join(plan_lines(Plan([change(told)])))


def test_labels_in_another_order_are_shown_in_both() -> None:
    assert list(difference(Enum("e", ["a", "b"]), Enum("e", ["b", "a"]))) == [
        "- in the order a, b",
        "+ in the order b, a",
    ]
    assert list(difference(Enum("e", ["a", "b"]), Enum("e", ["a", "x", "b"]))) == ["+ x"]
