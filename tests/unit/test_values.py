"""Values of rows and checks that PostgreSQL can't store are refused in a line."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

import pyinfra_postgres as pg
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.reports.questions import Question

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: Any = "deep"
for _ in range(3000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        "a\x00b", "\udc80", ["\udc80"], {"a": "\x00"}, {"\udc80": 1}, {"a": [{"b": "\udc80"}]},
        {"a": math.nan}, {"a": Decimal("NaN")}, {"a": object()}, {(1, 2): 3}, {"a": b"x"},
        CIRCLE, {"a": CIRCLE}, DEEP, object(), 1 + 2j, {1, 2}, len, [object()],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_of_a_row_is_one_that_can_be_stored(value: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        pg.Rows("t", [{"id": 1, "value": value}], key="id")
    assert "\n" not in str(caught.value.args[0])


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, 10**40, 1.5, math.nan, -math.inf, Decimal("1.50"), Decimal("NaN"), "text",
        b"bytes", date(2025, 1, 1), datetime(2025, 1, 1, tzinfo=UTC), time(1), timedelta(1),
        [1, [2]], [math.nan], [date(2025, 1, 1)], {"a": [1, {"b": None}]}, [{"a": 1}], [],
    ],
    ids=repr,
)  # fmt: skip
def test_what_can_be_stored_is_taken(value: Any) -> None:
    assert pg.Rows("t", [{"id": 1, "value": value}], key="id").rows


@pytest.mark.parametrize(
    "arguments",
    [
        {"check": ""}, {"check": None}, {"check": "a\x00"}, {"query": None}, {"query": b"SELECT 1"},
        {"query": "SELECT '\udc80'"}, {"rows": 5}, {"rows": "ab"}, {"rows": [5]},
        {"rows": ["ab"]}, {"rows": {"a": 1}}, {"rows": [{"a": 1}]}, {"rows": [(object(),)]},
        {"rows": [(DEEP,)]}, {"setup": 5}, {"setup": {"SET x = 1": 2}}, {"setup": [5]},
    ],
    ids=lambda given: f"{given!r:.30}" if "rows" not in given else None,
)  # fmt: skip
def test_an_argument_of_a_check_is_refused_in_a_line(arguments: dict[str, Any]) -> None:
    given = {"check": "it holds", "query": "SELECT 1", "rows": [(1,)], "setup": ()} | arguments
    with pytest.raises(DeclarationError) as caught:
        Question.declared(given["check"], given["query"], given["rows"], given["setup"])
    assert "\n" not in str(caught.value.args[0])


def test_numbers_that_are_none_are_compared_as_json_has_them() -> None:
    numbers = (math.nan, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"))
    found = Question.declared("they are", "SELECT 1", [numbers], "SET LOCAL a.b = 1")
    assert found.rows == [("NaN", "-Infinity", "NaN", "NaN", "Infinity")]
    assert found.setup == ("SET LOCAL a.b = 1",)
