"""Questions: a query, the rows that it has to return, and what its answer means.

A question is asked in a transaction that is always rolled back, and its rows are compared exactly.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from attrs import Factory, evolve, field, frozen
from pyinfra.api import HiddenValue

from ..catalog import snapshot as snapshots
from ..errors import DeclarationError, HiddenRowsError
from ..hidden import MASK, holds, shortened
from ..syntax import given
from ..syntax.parse import split_statements, sql_text, statement
from ..transport.answer import NO_PRIVILEGE, Answer, Failure, condition, read, withheld
from .facts import Check
from .rows import MARK, Rows, answer_query, counted, equal, expected_row, shown
from .statuses import Status

_HEAD = (
    "BEGIN READ WRITE",
    *(*snapshots.USERS_PINS, snapshots.ALL_ROWS),
    "SET LOCAL lock_timeout = '10s'",
)
_FILTERED = "SET LOCAL row_security = on"
_WITH_ROWS = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_UNDECIDED = frozenset({"55P03", "57014", "40001", "40P01", "53300", "53200"})
"""SQLSTATEs that come from others or from time, and say nothing of what was asked."""
_OF_NAMES = ("08", "0A", "25", "3D", "3F", "40", "42", "53", "55", "57")
"""The classes of SQLSTATEs whose messages speak of names and states, and quote no values."""
_SHOWN_LINES = 8
_LONGEST_LINE = 160


@frozen
class Question:
    """A query, the statements before it, and the rows that it has to return."""

    title: str
    query: str
    rows: Rows | None
    """None where it tells something, and any rows will do."""
    setup: tuple[str, ...]
    task: str = ""
    needs: tuple[str, ...] = ()
    """The titles of the checks without which it can't pass."""
    applies_if: tuple[str, ...] = ()
    """The titles of the checks without which the question does not arise."""
    skip: str = ""
    """Why the question does not arise; "" where it does."""
    otherwise: str = ""
    """What is to be told where other rows come."""
    is_disclosed: bool = False
    """Whether documents may show the rows that come."""
    conditions: tuple[Callable[[], bool], ...] = field(default=(), eq=False)
    is_hidden: bool = False
    """Whether anything of it is: then no rows are shown, for they may have it in them."""

    @classmethod
    def declared(
        cls,
        title: str,
        query: str,
        rows: Sequence[Sequence[Any]] | None,
        setup: Sequence[str] = (),
        **more: Any,
    ) -> Question:
        """The question. Raises DeclarationError where it could not run on any server."""
        given.filled("check", title)
        what = f"check {title!r}: "
        query = given.text(f"{what}the query", sql_text(query))
        tree = statement(query)
        if not set(tree) <= _WITH_ROWS or "intoClause" in tree.get("SelectStmt", {}):
            raise DeclarationError(f"check {title!r}: the query must return rows")
        before = [
            given.text(f"{what}a statement of the setup", sql_text(text))
            for text in given.several(f"{what}setup", setup, (str, HiddenValue))
        ]
        for text in before:
            if "TransactionStmt" in statement(text):
                raise DeclarationError(f"check {title!r}: the setup is in a transaction already")
        expected = () if rows is None else given.several(f"{what}rows", rows, ())
        values = [expected_row(what, row) for row in expected]
        is_hidden = any(isinstance(value, HiddenValue) for row in expected for value in row)
        return cls(
            title,
            split_statements(query)[0],
            None if rows is None else values,
            tuple(split_statements(text)[0] for text in before),
            is_hidden=is_hidden or holds((query, before)),
            **more,
        )

    def script(self) -> list[str]:
        """The transaction: its rows begin with a mark, those of the setup do not."""
        texts = [text for _, text in self._steps()]
        return [*_HEAD, *texts, answer_query(self.query), "ROLLBACK"]

    def _steps(self) -> Iterator[tuple[int, str]]:
        """The setup, each with its number: with row security off for the role that deploys, which
        is to see all rows, and on while another role's view of them is what is asked about.
        """
        for number, text in enumerate(self.setup, 1):
            if takes := _takes_role(text):
                yield number, _FILTERED
            yield number, text
            if takes is False:
                yield number, snapshots.ALL_ROWS

    def outcome(self, answer: Answer) -> Outcome:
        """What the server's answer means."""
        if answer.failure:
            return self._failed(answer.failure)
        got = [
            tuple(read(row.removeprefix(MARK), parse_float=Decimal))
            for row in answer.rows
            if row.startswith(MARK)
        ]
        if self.rows is None or equal(self.rows, got):
            return Outcome(self, Status.PASS, got)
        told = f"expected {counted(self.rows)}, got {counted(got)}"
        said = self.otherwise or (_OTHER if len(got) == len(self.rows) else told)
        return Outcome(self, Status.FAIL, got, said)

    def _failed(self, failure: Failure) -> Outcome:
        place, reached = self._place(failure)
        said = str(withheld(failure) if self.is_hidden else failure)
        told = str(failure if speaks_of_names(failure.sqlstate) else _unquoted(failure))
        if failure.hides_rows:
            said = (
                f"{HiddenRowsError(failure.message).args[0]}; a check of what row security "
                "shows has SET LOCAL ROLE in its setup"
            )
        # What the role that deploys may not do says nothing of what is asked.
        lacks = failure.sqlstate == NO_PRIVILEGE and not any(map(_takes_role, reached))
        status = Status.FAIL
        if failure.unreachable:
            status = Status.UNREACHABLE
        elif failure.lost or lacks or failure.sqlstate in _UNDECIDED:
            status = Status.NOT_VERIFIED
        reason = said if self.is_hidden or failure.hides_rows else told
        return Outcome(self, status, [], f"{reason}{place}", f"SQL error: {said}{place}")

    def _place(self, failure: Failure) -> tuple[str, Sequence[str]]:
        """Which of the statements failed, and those of the setup down to it."""
        place, steps = failure.index - len(_HEAD), list(self._steps())
        if failure.lost or not 0 <= place <= len(steps):
            return "", ()
        if place == len(steps):
            return ", in the query", self.setup
        number, _ = steps[place]
        said = f", in statement {number} of the setup: {_cut(self.setup[number - 1])}"
        return said, self.setup[: number - 1]


_OTHER = "other rows than expected"


@frozen
class Outcome:
    """How a question was answered."""

    question: Question
    status: Status
    got: Rows = Factory(list)
    reason: str = ""
    """Why it is not as it should be, without values of rows."""
    error: str = ""
    """What the terminal is told instead."""
    roots: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Why it failed, in a few lines for the terminal."""
        if self.error or self.question.rows is None:
            return [self.error or self.reason]
        if self.status is not Status.FAIL or self.question.otherwise:
            return [self.reason]
        if self.question.is_hidden:
            return ["other rows than expected: they are not shown, for the check has hidden values"]
        expected, got = list(map(shown, self.question.rows)), list(map(shown, self.got))
        found = [
            _cut(line)
            for line in difflib.unified_diff(expected, got, n=0, lineterm="")
            if not line.startswith(("---", "+++", "@@"))
        ]
        more = len(found) - _SHOWN_LINES
        head = f"- expected ({counted(expected)}), + got ({counted(got)})"
        tail = [f"... and {more} more lines"] if more > 0 else []
        return [head, *found[:_SHOWN_LINES], *tail]

    def fact(self) -> Check:
        """What documents are told."""
        question = self.question
        rows = question.rows or []
        got = list(map(shown, self.got)) if question.is_disclosed else []
        is_note = question.rows is None and self.status is Status.PASS
        return Check(
            question.task,
            question.title,
            self.status,
            self.reason,
            self.roots,
            question.needs,
            (MASK,) if question.is_hidden and rows else tuple(map(shown, rows)),
            () if question.is_hidden or self.status is not Status.FAIL else tuple(got),
            ", ".join(got) if is_note and not question.is_hidden else "",
            question.setup,
            question.query,
        )


def asked(questions: Sequence[Question], ask: Callable[[Question], Outcome]) -> Iterator[Outcome]:
    """The answers to questions, of which none is asked that can't pass or does not arise.

    Once the database is out of reach, nothing more is asked.
    """
    known: dict[str, Outcome] = {}
    lost: Outcome | None = None
    for one in questions:
        found = lost and evolve(lost, question=one)
        found = found or _unasked(one, known) or ask(one)
        if found.status is Status.UNREACHABLE:
            lost = lost or evolve(found, error="")
        known[one.title] = found
        yield found


def _unasked(one: Question, known: dict[str, Outcome]) -> Outcome | None:
    """How a question ends that need not be asked; None where it has to be."""
    if one.skip:
        return Outcome(one, Status.NOT_APPLICABLE, reason=one.skip)
    if not all(condition() for condition in one.conditions):
        return Outcome(one, Status.NOT_APPLICABLE, reason="its _if does not hold")
    absent = [title for title in one.applies_if if known[title].status is not Status.PASS]
    if absent:
        return Outcome(one, Status.NOT_APPLICABLE, reason=f"{absent[0]} is not there")
    wanting = [known[title] for title in one.needs if not known[title].status.approves]
    if not wanting:
        return None
    roots = dict.fromkeys(
        root
        for each in wanting
        for root in ([each.question.title] if each.status is Status.FAIL else each.roots)
    )
    if not roots:
        # What it needs could not be verified.
        return evolve(
            wanting[0],
            question=one,
            error="",
            reason=f"needs {wanting[0].question.title}, which is {wanting[0].status.value}",
        )
    return Outcome(one, Status.BLOCKED, reason=f"needs {', '.join(roots)}", roots=tuple(roots))


def speaks_of_names(sqlstate: str) -> bool:
    """Whether a server's message with this code speaks of names and states, and quotes no value."""
    return sqlstate.startswith(_OF_NAMES) or not sqlstate


def _unquoted(failure: Failure) -> str:
    """A failure whose message may quote what rows hold."""
    return f"{condition(failure.sqlstate)} (SQLSTATE {failure.sqlstate})"


def _takes_role(text: str) -> bool | None:
    """Whether a statement takes another role, or leaves it; None where it does neither."""
    match statement(text):
        case {"VariableSetStmt": {"name": "role" | "session_authorization", **rest}}:
            return "args" in rest and "'none'" not in str(rest["args"])
    return None


def _cut(text: str) -> str:
    return shortened(text, _LONGEST_LINE)
