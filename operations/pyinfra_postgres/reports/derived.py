"""A verification of any deploy, derived from what it declares.

It is made while pyinfra prepares a dry run, so that no operation of the deploy runs: each object is
a check, and each `pg.check` of the deploy is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from functools import partial

from attrs import evolve
from pyinfra_cli.util import exec_file

from ..errors import HostError
from ..planning.session import Draft, Session
from ..syntax.parse import references, statement
from ..terminal import complain
from . import conclusion, gaps
from .facts import Check
from .gaps import Roots
from .questions import Outcome, Question, asked
from .sections import answered
from .statuses import Status
from .verification import gathering
from .verifying import analysed

_UNPLANNED = "no plan could be made for it"
_NOTHING = Check("Deploy", "what is declared", Status.NOT_APPLICABLE, "nothing is, for this host")


def verify(title: str, report: str | None, scripts: Sequence[str]) -> None:
    """Verify what scripts declare, on the host in pyinfra's context, and fail it if need be."""
    session = Session.current()
    host = session.host
    # With -y, which is there for pyinfra's own questions, it would leave that out.
    session.state.check_for_changes = True
    with gathering(session, title, report, takes_others=True) as section:
        for script in scripts:
            exec_file(script)
    drafts = [one for (_, executing), one in session.drafts.items() if not executing]
    found = gaps.declared(drafts)
    objects = (*found.checks, *_unplanned(session, drafts))
    questions = _called_apart(section.questions, {one.title for one in objects})
    outcomes = list(asked(questions, partial(_answered, session, found.missing)))
    checks = (*objects, *(one.fact() for one in outcomes))
    facts = conclusion.described(session, checks or (_NOTHING,))
    if not facts.unreachable:
        facts = analysed(session, section, evolve(facts, fix=gaps.fix(drafts)), drafts)
    for problem in conclusion.concluded(host, title, section.report, facts, outcomes):
        complain(host, problem)
        session.state.failed_hosts.add(host)


def _called_apart(questions: Sequence[Question], taken: Set[str]) -> list[Question]:
    """The questions, of which none is called as an object."""
    names = {one.title: f"{one.title} (asked)" for one in questions if one.title in taken}
    return [
        evolve(
            one,
            title=names.get(one.title, one.title),
            needs=tuple(names.get(title, title) for title in one.needs),
            applies_if=tuple(names.get(title, title) for title in one.applies_if),
        )
        for one in questions
    ]


def _unplanned(session: Session, drafts: Sequence[Draft]) -> Iterator[Check]:
    """What is declared and has no plan, because that failed or waits for other operations."""
    planned = {id(item.declaration) for draft in drafts for item in draft.items}
    left = [one for one in session.declarations if id(one) not in planned]
    try:
        session.snapshot()
    except HostError as error:
        status, why = Status.UNREACHABLE, str(error)
    else:
        status, why = Status.NOT_VERIFIED, _UNPLANNED
    for title, one in {one.title: one for one in left}.items():
        yield Check(gaps.word(one), title, status, why)


def _answered(session: Session, missing: Roots, question: Question) -> Outcome:
    """What is known of a question: it is not asked where what it names is missing."""
    trees = [statement(text) for text in (*question.setup, question.query)]
    roots = dict.fromkeys(root for one in references(trees) for root in missing.get(one, ()))
    if roots:
        reason = f"needs {', '.join(roots)}"
        return Outcome(question, Status.BLOCKED, reason=reason, roots=tuple(roots))
    return answered(session, question)
