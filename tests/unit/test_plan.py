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
