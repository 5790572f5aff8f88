"""Checks of what a database does, and a page that reports them.

A check runs its query in a transaction that is always rolled back, and compares the rows exactly.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from attrs import Factory, define, frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pyinfra.api import HiddenValue, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import State
from typing_extensions import Unpack

from ..catalog import snapshot as snapshots
from ..errors import DeclarationError, HiddenRowsError, HostError
from ..hidden import MASK, holds, shortened
from ..operations.arguments import Arguments
from ..operations.converge import Fail
from ..operations.query import json_array
from ..planning.session import Session
from ..syntax import given
from ..syntax.parse import closing, split_statements, sql_text, statement, tokens
from ..syntax.values import unmasked
from ..terminal import conclude, nothing_to_do, printable, printable_lines
from ..transport.answer import Answer, read, withheld
from ..transport.watch import Patience

Rows: TypeAlias = list[tuple[Any, ...]]

_MARK = "pyinfra-postgres answer "
_HEAD = (
    "BEGIN READ WRITE",
    *(*snapshots.USERS_PINS, snapshots.ALL_ROWS),
    "SET LOCAL lock_timeout = '10s'",
)
_FILTERED = "SET LOCAL row_security = on"
_WITH_ROWS = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_SHOWN_LINES = 8
_LONGEST_LINE = 160
_TEMPLATE = "reports/verification.html.j2"


@frozen
class Question:
    """A query, the statements before it, and the rows that it has to return."""

    title: str
    query: str
    rows: Rows
    setup: tuple[str, ...]
    is_hidden: bool = False
    """Whether anything of it is: then no rows are shown, for they may have it in them."""

    @classmethod
    def declared(
        cls, title: str, query: str, rows: Sequence[Sequence[Any]], setup: Sequence[str]
    ) -> Question:
        """The check. Raises DeclarationError where it could not run on any server."""
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
        expected = given.several(f"{what}rows", rows, ())
        values = [_row(what, row) for row in expected]
        is_hidden = any(isinstance(value, HiddenValue) for row in expected for value in row)
        return cls(
            title,
            split_statements(query)[0],
            values,
            tuple(split_statements(text)[0] for text in before),
            is_hidden or holds((query, before)),
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

    def outcome(self, answer: Answer, seconds: float) -> Outcome:
        """What the server's answer means."""
        if answer.failure:
            failure = withheld(answer.failure) if self.is_hidden else answer.failure
            said = str(failure)
            if failure.hides_rows:
                said = (
                    f"{HiddenRowsError(failure.message).args[0]}; a check of what row security "
                    "shows has SET LOCAL ROLE in its setup"
                )
            return Outcome(self, seconds, error=f"{said}{self._place(answer)}")
        got = [
            tuple(read(row.removeprefix(_MARK), parse_float=Decimal))
            for row in answer.rows
            if row.startswith(_MARK)
        ]
        return Outcome(self, seconds, got=got, passed=_equal(self.rows, got))

    def _place(self, answer: Answer) -> str:
        """Which of the statements failed."""
        assert answer.failure
        place, steps = answer.failure.index - len(_HEAD), list(self._steps())
        if answer.failure.lost or not 0 <= place <= len(steps):
            return ""
        if place == len(steps):
            return ", in the query"
        number, _ = steps[place]
        return f", in statement {number} of the setup: {_cut(self.setup[number - 1])}"


@frozen
class Outcome:
    """How a check ended."""

    check: Question
    seconds: float
    got: Rows = Factory(list)
    passed: bool = False
    error: str = ""

    def lines(self) -> list[str]:
        """Why it failed, in a few lines."""
        if self.error:
            return [f"SQL error: {self.error}"]
        if self.check.is_hidden:
            return ["other rows than expected: they are not shown, for the check has hidden values"]
        expected, got = self.expected_lines(), self.got_lines()
        found = [
            _cut(line)
            for line in difflib.unified_diff(expected, got, n=0, lineterm="")
            if not line.startswith(("---", "+++", "@@"))
        ]
        more = len(found) - _SHOWN_LINES
        head = f"- expected ({_counted(expected)}), + got ({_counted(got)})"
        tail = [f"... and {more} more lines"] if more > 0 else []
        return [head, *found[:_SHOWN_LINES], *tail]

    def expected_lines(self) -> list[str]:
        """The expected rows as text."""
        return [MASK] if self.check.is_hidden else list(map(_shown, self.check.rows))

    def got_lines(self) -> list[str]:
        """The rows that came as text."""
        return [MASK] if self.check.is_hidden else list(map(_shown, self.got))


@define
class Section:
    """The checks of one host, and where they ran."""

    host: str
    report: Path | None
    outcomes: list[Outcome] = Factory(list)
    database: str = ""
    version: str = ""
    ended: str = ""

    @property
    def failed(self) -> list[Outcome]:
        """The checks that failed."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    @property
    def summary(self) -> str:
        """How the checks ended, in one line."""
        count = len(self.outcomes)
        if not self.failed:
            return f"{count} of {count} checks passed"
        # Titles are like "3 Policies: twelve, four per table".
        titles = dict.fromkeys(outcome.check.title.split(":")[0] for outcome in self.failed)
        return f"{len(self.failed)} of {count} checks failed: {', '.join(titles)}"


_open: WeakKeyDictionary[Host, Section] = WeakKeyDictionary()
_ended: WeakKeyDictionary[State, dict[Path, dict[str, Section]]] = WeakKeyDictionary()


@contextmanager
def verification(report: str | None = None) -> Iterator[None]:
    """Run all checks inside, and fail the host at the end where any of them failed.

    + report: path of an HTML page that is written at the end, with all hosts that have ended

    **Example:**

    .. code:: python

        with pg.verification(report="reports/verification.html"):
            pg.check("There are no negative totals", "SELECT id FROM orders WHERE total < 0", [])
    """
    session = Session.current()
    if session.host in _open:
        raise DeclarationError("a verification inside a verification: leave the inner one out")
    path = None if report is None else Path(given.filled("report", str(report))).absolute()
    section = Section(session.host.name, path)
    _open[session.host] = section
    try:
        yield
    finally:
        del _open[session.host]
    _conclude(section=section, name="verification")


def check(
    check: str,
    query: str,
    rows: Sequence[Sequence[Any]],
    setup: Sequence[str] = (),
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Check that a query returns exactly these rows, in this order.

    + check: what holds, as it is shown
    + query: a query; it may write, for all that it does is rolled back
    + rows: the rows, each a tuple: numbers, booleans, strings and None, lists for arrays, dicts
      and lists for JSON, the text of any other type
    + setup: statements that run before it in the same transaction

    It fails where row level security hides rows from the role that deploys. After a ``SET LOCAL
    ROLE`` in the setup the rows are those that the policies show to that role.

    It runs while pyinfra executes, not in a dry run. Inside ``pg.verification()`` the checks after
    a failed one run too; elsewhere it fails its host.

    **Example:**

    .. code:: python

        pg.check("There is one organization", "SELECT count(*) FROM organization", [(1,)])
    """
    declared = Question.declared(check, query, rows, setup)
    session = Session.current()
    if session.block:
        raise DeclarationError(
            f"check {check!r} would run before the transaction does: move it behind the block"
        )
    section = _open.get(session.host)
    arguments["name"] = printable(arguments.get("name") or check)
    if section:
        arguments.setdefault("_ignore_errors", True)
    return _check(declared=declared, section=section, **arguments)


@operation()
def _check(declared: Question, section: Section | None) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    # A dry run would check the database as it is, and not as the deploy will have made it.
    if not session.executing:
        return
    started = time.monotonic()
    if refused := _refused(declared, session):
        outcome = Outcome(declared, 0, error=refused)
    else:
        answer = session.read(declared.script(), Patience.WORK)
        outcome = declared.outcome(answer, time.monotonic() - started)
    if section:
        section.outcomes.append(outcome)
    if outcome.passed:
        nothing_to_do(session.host, f"{declared.title}: as expected")
    else:
        # pyinfra calls the error ignored, which it is not.
        later = "; the verification fails at its end" if section else ""
        head = f"{declared.title}: failed{later}"
        yield Fail([head, *(f"    {line}" for line in outcome.lines())])


def _refused(declared: Question, session: Session) -> str:
    """Why a check may not run: it would run code that others own."""
    script = [*declared.setup, declared.query]
    try:
        return "; ".join(session.calls().objections(script, policies=True))
    except HostError as error:
        return str(error)


@operation()
def _conclude(section: Section) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    if not session.executing:
        return
    try:
        if section.report:
            _describe(section, session)
            sections = _ended.setdefault(session.state, {}).setdefault(section.report, {})
            sections[section.host] = section
            write(section.report, [sections[host] for host in sorted(sections)])
            conclude(session.host, f"report: {section.report}")
    except OSError as error:
        yield Fail([f"could not write the report {section.report}: {error}"])
    if section.failed:
        yield Fail([section.summary])
    else:
        nothing_to_do(session.host, section.summary)


def _describe(section: Section, session: Session) -> None:
    """Add what the report says of the host."""
    try:
        ((section.database, section.version),) = session.ask(
            "SELECT json_build_array(current_database(), current_setting('server_version'))"
        )
    except HostError:
        # Lost, for one: then the checks have said so, and belong into the report.
        section.database = section.version = "unknown"
    section.ended = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _takes_role(text: str) -> bool | None:
    """Whether a statement takes another role, or leaves it; None where it does neither."""
    match statement(text):
        case {"VariableSetStmt": {"name": "role" | "session_authorization", **rest}}:
            return "args" in rest and "'none'" not in str(rest["args"])
    return None


def answer_query(query: str) -> str:
    """The query such that each row is one marked text: a JSON array of its columns.

    What writes has to stay at the top, so the query's own WITH stays there, and the query itself
    becomes one more of its members.
    """
    found = tokens(query)
    position, recursive = 0, ""
    if found[0].text == "with":
        position = 1
        if found[1].text == "recursive":
            position, recursive = 2, " RECURSIVE"
        start = found[position].start
        position = _after_members(found, position)
        members = f"{query[start : found[position].start]}, "
    else:
        members = ""
    main = query[found[position].start :]
    return (
        f"WITH{recursive} {members}pyinfra_postgres_answer AS (\n{main}\n)\n"
        f"SELECT '{_MARK}' OPERATOR(pg_catalog.||) {json_array('pyinfra_postgres_answer')} "
        "FROM pyinfra_postgres_answer"
    )


def _after_members(found: Sequence[Any], position: int) -> int:
    """The index of the token that follows the members of a WITH."""
    while True:
        position += 1
        if found[position].text == "(":
            position = closing(list(found), position) + 1
        while found[position].text != "(":
            position += 1
        position = closing(list(found), position) + 1
        if found[position].text in {"search", "cycle"}:
            raise DeclarationError("SEARCH and CYCLE: put the WITH query into a subquery")
        if found[position].text != ",":
            return position
        position += 1


def _row(what: str, row: object) -> tuple[Any, ...]:
    """An expected row as JSON has it."""
    if not isinstance(row, list | tuple):
        raise given.refused(f"{what}a row", "a tuple of its values", row)
    try:
        return tuple(map(_plain, row))
    except RecursionError:
        raise DeclarationError(f"{what}a value is nested too deeply") from None


def _plain(value: Any) -> Any:
    """An expected value as JSON has it."""
    value = unmasked(value)
    match value:
        case None | bool() | int() | str() | datetime() | date():
            return value
        case float() | Decimal():
            number = Decimal(str(value))
            if number.is_nan():
                return "NaN"
            # What JSON has no number for is text there.
            return number if number.is_finite() else str(number)
        case UUID():
            return str(value)
        case bytes():
            return f"\\x{value.hex()}"
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
    raise DeclarationError(f"a value of type {type(value).__name__} can't be compared")


def _equal(expected: Any, got: Any) -> bool:
    match expected, got:
        case (list() | tuple(), list() | tuple()):
            return len(expected) == len(got) and all(map(_equal, expected, got))
        case (dict(), dict()):
            return expected.keys() == got.keys() and all(
                _equal(expected[key], got[key]) for key in expected
            )
        case (date(), str()):
            try:
                return bool(type(expected).fromisoformat(got) == expected)
            except (TypeError, ValueError):
                return False
    # In Python true is 1; in PostgreSQL it is not.
    return isinstance(expected, bool) == isinstance(got, bool) and bool(expected == got)


def _shown(value: Any) -> str:
    match value:
        case tuple():
            return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key!r}: {_shown(item)}' for key, item in value.items())}}}"
        case Decimal():
            return str(value)
        case date():
            return repr(value.isoformat())
    return repr(value)


def _cut(text: str) -> str:
    return shortened(text, _LONGEST_LINE)


def _counted(rows: Sequence[object]) -> str:
    return "1 row" if len(rows) == 1 else f"{len(rows)} rows"


def write(path: Path, sections: Sequence[Section]) -> None:
    """Write the report in one go: who reads it sees all of it or what was there before."""
    page = _environment().get_template(_TEMPLATE).render(sections=sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@cache
def _environment() -> Environment:
    package = Path(__file__).parents[1]
    return Environment(
        # In an installed package, else at the top of the checkout.
        loader=FileSystemLoader([package / "templates", package.parents[1] / "templates"]),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=printable_lines,
        trim_blocks=True,
        lstrip_blocks=True,
    )
