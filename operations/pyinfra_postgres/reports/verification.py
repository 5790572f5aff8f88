"""Checks of what a database does, and the documents about them.

A check asks a question in a transaction that is always rolled back. A verification asks all of its
questions at its end, as one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra.api import HiddenValue, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..errors import DeclarationError
from ..operations.arguments import Arguments
from ..operations.converge import Fail
from ..operations.transactions import declaring, transaction
from ..planning.session import Block, Session
from ..syntax import given
from ..terminal import nothing_to_do, printable
from .advice import Accepted, known_rule
from .questions import Question
from .sections import Section, answered
from .statuses import Status

_open: WeakKeyDictionary[Host, Section] = WeakKeyDictionary()


@contextmanager
def verification(
    title: str = "Verification",
    report: str | None = None,
    deploy: Callable[[], object] | None = None,
    accepted: Sequence[Accepted] = (),
    fail_on: str | Sequence[str] = (),
) -> Iterator[None]:
    """Ask all checks inside, at its end, and fail the host where not all of them pass.

    + title: what is verified, as it stands above the report
    + report: a folder for the report: in it, in a folder that is called as the inventory, a page
      about all hosts, one for each host, and `report.json`, `report.sarif` and `junit.xml`. What
      it says of hosts that the run does not verify stays.
    + deploy: a function that calls the operations of a deploy: they are planned and not sent. The
      report has what each declared object lacks, and the plan as the fix; the verdict is that of
      the checks.
    + accepted: the findings of advice that are to stay, each a ``pg.Accepted`` with its reason
    + fail_on: the rules of advice whose findings fail the host, ``pgrls`` and ``squawk`` for all of
      theirs; of the others the report tells

    **Example:**

    .. code:: python

        with pg.verification("Web shop", report="reports"):
            pg.check("There are no negative totals", "SELECT id FROM orders WHERE total < 0", [])
    """
    session = Session.current()
    stays = given.several("accepted", accepted, Accepted)
    rules = [known_rule("fail_on", one) for one in given.several("fail_on", fail_on)]
    if (outer := _open.get(session.host)) and outer.takes_others:
        outer.advised(stays, rules)
        yield
        if deploy:
            with transaction():
                deploy()
        return
    with gathering(session, title, report) as section:
        section.advised(stays, rules)
        yield
    if deploy:
        section.deploy = _declared(session, deploy)
    if not section.questions:
        raise DeclarationError("a verification without a pg.check() would approve anything")
    _verify(section=section, name=printable(title))


@contextmanager
def gathering(
    session: Session, title: str, report: str | None, *, takes_others: bool = False
) -> Iterator[Section]:
    """Have the checks that are called inside be part of one verification."""
    if session.host in _open:
        raise DeclarationError("a verification inside a verification: leave the inner one out")
    given.filled("title", title)
    path = _folder(report, session.state.inventory) if report is not None else None
    section = _open[session.host] = Section(title, path, takes_others=takes_others)
    try:
        yield section
    finally:
        del _open[session.host]
    if path:
        from . import conclusion

        conclusion.expect(session.host, path)


def _declared(session: Session, deploy: Callable[[], object]) -> Block:
    """What a deploy would declare, as a block of its own that nobody sends."""
    with session.aside(), declaring(session) as block:
        deploy()
    return block


def _folder(report: str, inventory: Inventory) -> Path:
    path = Path(given.filled("report", str(report)))
    if path.suffix == ".html":
        raise DeclarationError(f"report is a folder, in which the pages are, not {str(path)!r}")
    return path.absolute() / _environment(inventory)


def _environment(inventory: Inventory) -> str:
    """What an inventory is called: as its file, after which pyinfra names a group of all hosts."""
    hosts = set(inventory)
    names = [name for name, group in inventory.groups.items() if set(group) == hosts]
    # Connectors have groups of their own.
    name = next((one for one in reversed(names) if one != "all" and one[0] != "@"), "all")
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in name).lstrip(".")


def check(
    check: str,
    query: str,
    rows: Sequence[Sequence[Any]] | None,
    setup: Sequence[str] = (),
    task: str = "",
    needs: str | Sequence[str] = (),
    applies_if: str | Sequence[str] = (),
    skip: str = "",
    otherwise: str = "",
    disclosed: bool = False,
    **arguments: Unpack[Arguments],
) -> OperationMeta | None:
    """Check that a query returns exactly these rows, in this order.

    + check: what holds, as it is shown; of something that has to be there, its kind and name
    + query: a query; it may write, for all that it does is rolled back
    + rows: the rows, each a tuple: numbers, booleans, strings and None, lists for arrays, dicts
      and lists for JSON, the text of any other type; None where any will do, and are told
    + setup: statements that run before it in the same transaction
    + task: what it is part of in the report, such as "1 Schema"
    + needs: the checks, by their names, without which it can't pass: where one of them fails, this
      one is not asked and BLOCKED by it
    + applies_if: the checks without which the question does not arise: it is NOT APPLICABLE then
    + skip: why the question does not arise on this host
    + otherwise: what is to be told where other rows come, in place of these
    + disclosed: whether the report may show the rows that come. Those of a catalog may be shown;
      what tables hold is not everybody's.

    It fails where row level security hides rows from the role that deploys. After a ``SET LOCAL
    ROLE`` in the setup the rows are those that the policies show to that role.

    It runs while pyinfra executes, not in a dry run. Inside ``pg.verification()`` all checks are
    asked at its end, the others though one fails; elsewhere it fails its host at once.

    **Example:**

    .. code:: python

        pg.check("There is one organization", "SELECT count(*) FROM organization", [(1,)])
    """
    session = Session.current()
    section = _open.get(session.host)
    one = Question.declared(
        check,
        query,
        rows,
        setup,
        task=given.text("task", task),
        needs=_titles("needs", needs),
        applies_if=_titles("applies_if", applies_if),
        skip=given.text("skip", skip),
        otherwise=given.text("otherwise", otherwise),
        is_disclosed=disclosed,
        conditions=_conditions(arguments) if section else (),
    )
    if session.block:
        raise DeclarationError(
            f"check {check!r} would run before the transaction does: move it behind the block"
        )
    if section is None:
        if one.needs or one.applies_if or one.skip:
            raise DeclarationError(
                f"check {check!r}: what it needs is known only inside a pg.verification()"
            )
        arguments["name"] = printable(arguments.get("name") or check)
        return _check(question=one, **arguments)
    other = sorted(set(arguments) - {"name", "_if"})
    if other and not section.takes_others:
        raise DeclarationError(
            f"check {check!r}: {other[0]} has no meaning inside a pg.verification(), which is one "
            "operation"
        )
    section.add(one)
    return None


def _titles(what: str, titles: object) -> tuple[str, ...]:
    return tuple(given.filled(what, one) for one in given.several(what, titles, (str, HiddenValue)))


def _conditions(arguments: Arguments) -> tuple[Callable[[], bool], ...]:
    own: Any = arguments.get("_if") or ()
    return (own,) if callable(own) else tuple(own)


@operation()
def _check(question: Question) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    # A dry run would check the database as it is, and not as the deploy will have made it.
    if not session.executing:
        return
    outcome = answered(session, question)
    if outcome.status is Status.PASS:
        nothing_to_do(session.host, f"{question.title}: as expected")
    else:
        lines = (f"    {line}" for line in outcome.lines())
        yield Fail([f"{question.title}: failed", *lines])


@operation()
def _verify(section: Section) -> Generator[PyinfraCommand, None, None]:
    session = Session.current()
    if not session.executing:
        return
    # What verifies and writes documents is imported where something is verified.
    from .verifying import verified

    for problem in verified(session, section):
        yield Fail([problem])
