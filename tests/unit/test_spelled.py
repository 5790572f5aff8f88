"""Declarations are told apart in plans and releases by each part, and by nothing that is hidden."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import Any

from pyinfra.api import HiddenValue

from pyinfra_postgres.plan.plan import Action
from pyinfra_postgres.plan.sealed import digest
from pyinfra_postgres.planning.declared import spelled

DIFFERENT: list[Any] = [
    *(None, True, 1, 1.5, "1", "1.5", Decimal("1.5"), "True", b"1"),
    *([], [None], [[]], [1, "1"], ["1", 1], {"a": 1}, {"a": "1"}, {1, 2}),
    Action.CREATE,
]


def test_no_value_is_spelled_as_another() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert digest(spelled(one)) != digest(spelled(other)), (one, other)


def test_the_order_of_a_set_tells_nothing() -> None:
    assert spelled({"a", "b", "c"}) == spelled({"c", "b", "a"})


def test_texts_are_shown_as_they_are_to_be_in_all_parts() -> None:
    given = {"to stage": ["stage", ("stage",), {"stage"}], "port": 5}
    shown = spelled(given, lambda text: text.replace("stage", "{app}"))
    assert shown == [["to {app}", ["{app}", ["{app}"], ["{app}"]]], ["port", 5]]


def test_what_is_hidden_is_spelled_alike() -> None:
    assert spelled(HiddenValue("one")) == spelled(HiddenValue("other"))
