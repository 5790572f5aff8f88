"""Questions: rows compared exactly, and what an answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.reports.questions import Outcome, Question, asked
from pyinfra_postgres.reports.statuses import Status
from pyinfra_postgres.transport.answer import Answer, Failure

MARK = "pyinfra-postgres answer "


def outcome(rows: Sequence[Sequence[Any]] | None, *answer: str, **more: Any) -> Outcome:
    """What becomes of a check when the server answers with these rows."""
    return Question.declared("title", "SELECT 1", rows, **more).outcome(Answer(answer))


def passes(rows: Sequence[Sequence[Any]], *answer: str) -> bool:
    return outcome(rows, *answer).status is Status.PASS


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ((1, "x", None, True), '[1, "x", null, true]'),
        ((Decimal("1.5"), 1.5, 1), "[1.50, 1.5, 1.0]"),
        ((0.1, Decimal("0.1")), "[0.1, 0.1]"),
        ((float("nan"), float("-inf")), '["NaN", "-Infinity"]'),
        (([1, [2]], {"a": (1,)}), '[[1, [2]], {"a": [1]}]'),
        ((date(2025, 1, 2), UUID(int=1)), f'["2025-01-02", "{UUID(int=1)}"]'),
        ((datetime(2025, 1, 2, 3, tzinfo=UTC),), '["2025-01-02T04:00:00+01:00"]'),
        ((b"\x00\xff",), '["\\\\x00ff"]'),
        ((), "[]"),
    ],
)
def test_equal_values_are_equal_however_they_are_written(expected: tuple[Any], got: str) -> None:
    assert passes([expected], MARK + got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ((1,), "[true]"),
        ((False,), "[0]"),
        ((1,), '["1"]'),
        ((None,), "[false]"),
        (("",), "[null]"),
        ((1,), "[1, 2]"),
        ((1, 2), "[1]"),
        (([1],), "[[true]]"),
        (({"a": 1},), '[{"a": 1, "b": 2}]'),
        ((date(2025, 1, 2),), '["2025-01-03"]'),
        ((date(2025, 1, 2),), "[20250102]"),
        ((Decimal("1.5"),), "[1.51]"),
    ],
)
def test_other_values_are_not(expected: tuple[Any], got: str) -> None:
    assert not passes([expected], MARK + got)


def test_order_and_number_of_rows_count() -> None:
    assert passes([(1,), (2,)], f"{MARK}[1]", f"{MARK}[2]")
    assert not passes([(1,), (2,)], f"{MARK}[2]", f"{MARK}[1]")
    assert not passes([(1,)])
    assert not passes([], f"{MARK}[1]")
    assert passes([])


def test_rows_of_the_setup_are_not_the_querys() -> None:
    assert passes([(1,)], "[9]", "anything", f"{MARK}[1]")


def test_a_difference_is_a_few_lines() -> None:
    wrong = outcome([(n, "x" * 500) for n in range(50)], f'{MARK}[0, "y"]')
    lines = wrong.lines()
    assert lines[0] == "- expected (50 rows), + got (1 row)"
    assert lines[-1] == "... and 43 more lines"
    assert len(lines) == 10
    assert max(map(len, lines)) <= 160
    assert outcome([(1, "x"), (2, True)], f'{MARK}[1, "x"]', f"{MARK}[2, false]").lines() == [
        "- expected (2 rows), + got (2 rows)",
        "-(2, true)",
        "+(2, false)",
    ]


def test_an_error_names_its_statement() -> None:
    check = Question.declared("x", "SELECT 1", [], ["SELECT 2", "SELECT 3"])
    script = check.script()
    for text, place in {
        "SELECT 3": "SQL error: no (SQLSTATE 42P01), in statement 2 of the setup: SELECT 3",
        script[-2]: "SQL error: no (SQLSTATE 42P01), in the query",
        "BEGIN READ WRITE": "SQL error: no (SQLSTATE 42P01)",
    }.items():
        failure = Failure("no", "42P01", script.index(text))
        assert check.outcome(Answer((), failure)).lines() == [place]


def test_a_script_ends_by_rolling_back() -> None:
    assert Question.declared("x", "SELECT 1", [], ["SELECT 2"]).script()[-1] == "ROLLBACK"


@pytest.mark.parametrize(
    ("query", "setup"),
    [
        ("SELECT 1; SELECT 2", ()),
        ("", ()),
        ("SELEC", ()),
        ("SET work_mem = '8MB'", ()),
        ("SELECT 1 INTO t", ()),
        ("COMMIT", ()),
        ("SELECT 1", ("SELECT 1; SELECT 2",)),
        ("SELECT 1", ("COMMIT",)),
        ("SELECT 1", ("SELEC",)),
    ],
)
def test_mistakes_are_told_before_anything_runs(query: str, setup: Sequence[str]) -> None:
    with pytest.raises(DeclarationError):
        Question.declared("x", query, [], setup)


def test_a_value_that_no_answer_can_have_is_a_mistake() -> None:
    with pytest.raises(DeclarationError, match="type object"):
        Question.declared("x", "SELECT 1", [(object(),)], ())


FAILURES = {
    "what is not there": (Failure("no such table", "42P01", 5), Status.FAIL, "no such table"),
    "what rows hold is not told": (Failure("x canary", "22P02", 5), Status.FAIL, "InvalidText"),
    "what a function says is not told": (Failure("x canary", "P0001", 5), Status.FAIL, "Raise"),
    "a lock that others hold": (Failure("timeout", "55P03", 5), Status.NOT_VERIFIED, "timeout"),
    "a lost connection": (Failure("gone", lost=True), Status.NOT_VERIFIED, "gone"),
    "no server": (Failure("no route", unreachable=True), Status.UNREACHABLE, "no route"),
    "no privilege": (Failure("denied", "42501", 5), Status.NOT_VERIFIED, "denied"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_is_known(name: str) -> None:
    failure, status, told = FAILURES[name]
    found = Question.declared("x", "SELECT 1", [(1,)]).outcome(Answer((), failure))
    assert found.status is status
    assert told in found.fact().reason
    assert "canary" not in found.fact().reason


def test_a_privilege_that_the_role_of_the_question_lacks_is_a_failure() -> None:
    question = Question.declared("x", "SELECT 1", [(1,)], ["SET LOCAL ROLE tenant", "SELECT 2"])
    for text, status in {
        "SELECT 2": Status.FAIL,
        "SET LOCAL ROLE tenant": Status.NOT_VERIFIED,
    }.items():
        failure = Failure("permission denied", "42501", question.script().index(text))
        assert question.outcome(Answer((), failure)).status is status


def test_rows_are_told_only_where_they_may_be() -> None:
    row = f'{MARK}["canary"]'
    assert "canary" not in repr(outcome([], row).fact())
    assert outcome([], row, is_disclosed=True).fact().got == ("('canary')",)
    assert outcome(None, row, is_disclosed=True).fact().note == "('canary')"
    assert "canary" not in repr(outcome(None, row).fact())


def test_what_a_deploy_says_takes_the_place_of_the_rows() -> None:
    found = outcome([(True,)], f"{MARK}[false]", otherwise="it is missing")
    assert found.lines() == ["it is missing"]
    assert found.fact().reason == "it is missing"


def question(title: str, **more: Any) -> Question:
    return Question.declared(title, "SELECT 1", [], task="1", **more)


def answering(answers: dict[str, Status]) -> Callable[[Question], Outcome]:
    return lambda one: Outcome(one, answers.get(one.title, Status.PASS))


def test_what_needs_something_missing_is_not_asked_and_names_the_root() -> None:
    questions = [
        question("root"),
        question("other root"),
        question("middle", needs=("root",)),
        question("leaf", needs=("middle", "other root")),
        question("free"),
    ]
    answers = answering({"root": Status.FAIL, "other root": Status.FAIL})
    found = {one.question.title: one for one in asked(questions, answers)}
    assert found["middle"].roots == ("root",)
    assert found["leaf"].roots == ("root", "other root")
    assert found["leaf"].status is Status.BLOCKED
    assert found["free"].status is Status.PASS


def test_what_needs_something_that_nobody_could_see_is_not_verified() -> None:
    questions = [question("unseen"), question("leaf", needs=("unseen",))]
    *_, leaf = asked(questions, answering({"unseen": Status.NOT_VERIFIED}))
    assert leaf.status is Status.NOT_VERIFIED
    assert "needs unseen" in leaf.reason


def test_a_question_that_does_not_arise_is_not_applicable() -> None:
    questions = [
        question("missing"),
        question("of it", applies_if=("missing",)),
        question("skipped", skip="nobody asks"),
        question("conditional", conditions=(lambda: False,)),
        question("needs what is skipped", needs=("skipped",)),
    ]
    found = list(asked(questions, answering({"missing": Status.FAIL})))
    assert [one.status for one in found[1:4]] == [Status.NOT_APPLICABLE] * 3
    assert found[4].status is Status.PASS


def test_nothing_is_asked_of_a_database_that_is_out_of_reach() -> None:
    seen: list[str] = []

    def ask(one: Question) -> Outcome:
        seen.append(one.title)
        return Outcome(one, Status.UNREACHABLE, reason="gone")

    found = list(asked([question("a"), question("b"), question("c")], ask))
    assert seen == ["a"]
    assert {one.status for one in found} == {Status.UNREACHABLE}
    assert {one.reason for one in found} == {"gone"}
