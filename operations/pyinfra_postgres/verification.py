"""Checks of what a database does, and a page that reports them.

A check runs its query in a transaction that is always rolled back, and compares the rows exactly.
"""

from __future__ import annotations

import difflib
import json
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
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import State
from typing_extensions import Unpack

from . import catalog as catalogs
from . import render
from .answer import Answer
from .arguments import Arguments
from .converge import Fail
from .errors import DeclarationError, HostError
from .parse import closing, split_statements, statement, tokens
from .query import json_array
from .session import Session
from .watch import Patience

Rows: TypeAlias = list[tuple[Any, ...]]

_MARK = "pyinfra-postgres answer "
_HEAD = ("BEGIN READ WRITE", *catalogs.USERS_PINS, "SET LOCAL lock_timeout = '10s'")
_WITH_ROWS = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_SHOWN_LINES = 8
_LONGEST_LINE = 160
_TEMPLATE = "reports/verification.html.j2"


@frozen
class Check:
    """A query, the statements before it, and the rows that it has to return."""

    title: str
    query: str
    rows: Rows
    setup: tuple[str, ...]

    @classmethod
    def declared(
        cls, title: str, query: str, rows: Sequence[Sequence[Any]], setup: Sequence[str]
    ) -> Check:
        """The check. Raises DeclarationError where it could not run on any server."""
        tree = statement(query)
        if not set(tree) <= _WITH_ROWS or "intoClause" in tree.get("SelectStmt", {}):
            raise DeclarationError(f"check {title!r}: the query must return rows")
        for text in setup:
            if "TransactionStmt" in statement(text):
                raise DeclarationError(f"check {title!r}: the setup is in a transaction already")
        return cls(
            title,
            split_statements(query)[0],
            [tuple(map(_plain, row)) for row in rows],
            tuple(split_statements(text)[0] for text in setup),
        )

    def script(self) -> list[str]:
        """The transaction: its rows begin with a mark, those of the setup do not."""
        return [*_HEAD, *self.setup, answer_query(self.query), "ROLLBACK"]

    def outcome(self, answer: Answer, seconds: float) -> Outcome:
        """What the server's answer means."""
        if answer.failure:
            return Outcome(self, seconds, error=f"{answer.failure}{self._place(answer)}")
        got = [
            tuple(json.loads(row.removeprefix(_MARK), parse_float=Decimal))
            for row in answer.rows
            if row.startswith(_MARK)
        ]
        return Outcome(self, seconds, got=got, passed=_equal(self.rows, got))

    def _place(self, answer: Answer) -> str:
        """Which of the statements failed."""
        assert answer.failure
        number = answer.failure.index - len(_HEAD)
        if answer.failure.lost or not 0 <= number <= len(self.setup):
            return ""
        if number == len(self.setup):
            return ", in the query"
        return f", in statement {number + 1} of the setup: {_cut(self.setup[number])}"


@frozen
class Outcome:
    """How a check ended."""

    check: Check
    seconds: float
    got: Rows = Factory(list)
    passed: bool = False
    error: str = ""

    def lines(self) -> list[str]:
        """Why it failed, in a few lines."""
        if self.error:
            return [f"SQL error: {self.error}"]
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
        return [_shown(row) for row in self.check.rows]

    def got_lines(self) -> list[str]:
        """The rows that came as text."""
        return [_shown(row) for row in self.got]


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
    section = Section(session.host.name, Path(report).absolute() if report else None)
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

    It runs while pyinfra executes, not in a dry run. Inside ``pg.verification()`` the checks after
    a failed one run too; elsewhere it fails its host.

    **Example:**

    .. code:: python

        pg.check("There is one organization", "SELECT count(*) FROM organization", [(1,)])
    """
    declared = Check.declared(check, query, rows, setup)
    session = Session.current()
    if session.block:
        raise DeclarationError(
            f"check {check!r} would run before the transaction does: move it behind the block"
        )
    section = _open.get(session.host)
    arguments.setdefault("name", check)
    if section:
        arguments.setdefault("_ignore_errors", True)
    return _check(declared=declared, section=section, **arguments)


@operation()
def _check(declared: Check, section: Section | None) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    # A dry run would check the database as it is, and not as the deploy will have made it.
    if not session.executing:
        return
    started = time.monotonic()
    answer = session.read(declared.script(), Patience.WORK)
    outcome = declared.outcome(answer, time.monotonic() - started)
    if section:
        section.outcomes.append(outcome)
    if outcome.passed:
        session.host.noop(f"{declared.title}: as expected")
    else:
        # pyinfra calls the error ignored, which it is not.
        later = "; the verification fails at its end" if section else ""
        head = f"{declared.title}: failed{later}"
        yield Fail([head, *(f"    {line}" for line in outcome.lines())])


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
            render.say(session.host, f"report: {section.report}")
    except OSError as error:
        yield Fail([f"could not write the report {section.report}: {error}"])
    if section.failed:
        yield Fail([section.summary])
    else:
        session.host.noop(section.summary)


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


def _plain(value: Any) -> Any:
    """An expected value as JSON has it."""
    match value:
        case None | bool() | int() | Decimal() | str() | datetime() | date():
            return value
        case float():
            # What JSON has no number for is text there.
            special = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
            return special.get(str(value)) or Decimal(str(value))
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
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 3]}..."


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
    package = Path(__file__).parent
    return Environment(
        # In an installed package, else at the top of the checkout.
        loader=FileSystemLoader([package / "templates", package.parents[1] / "templates"]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
