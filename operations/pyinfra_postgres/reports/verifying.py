"""Asking all questions of a verification, and what becomes of its host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from attrs import evolve

from ..errors import DeclarationError, HostError
from ..operations.transactions import drafted
from ..planning.session import Draft, Session
from ..terminal import nothing_to_do
from . import advice, attempts, conclusion, dependencies, gaps, judges, releases, rollup
from .facts import Fix, HostFacts
from .questions import asked
from .sections import Section, answered
from .statuses import Status


def verified(session: Session, section: Section) -> Iterator[str]:
    """Verify a host, tell how that ends, and say why the host fails, if it does."""
    outcomes = list(asked(section.questions, partial(answered, session)))
    facts = conclusion.described(session, tuple(one.fact() for one in outcomes))
    if not facts.unreachable:
        facts = _planned(session, section, facts)
    yield from conclusion.concluded(session.host, section.title, section.report, facts, outcomes)
    if rollup.is_approved(facts):
        try:
            releases.passed(session)
        except HostError as error:
            yield str(error)
        else:
            nothing_to_do(session.host, rollup.verdict(facts))


def _planned(session: Session, section: Section, facts: HostFacts) -> HostFacts:
    """The facts with what a deploy would do, which is planned beside all that the run knows."""
    if section.deploy is None:
        return analysed(session, section, facts, [])
    alone = Session(session.host)
    try:
        draft = drafted(alone, section.deploy)
    except (HostError, DeclarationError) as error:
        problem = gaps.without_quotes(str(error))
        return analysed(session, section, evolve(facts, fix=Fix(problems=(problem,))), [])
    found = gaps.declared([draft])
    facts = evolve(facts, declared=found.checks, fix=gaps.fix([draft]))
    return analysed(alone, section, facts, [draft])


def analysed(
    session: Session, section: Section, facts: HostFacts, drafts: Sequence[Draft]
) -> HostFacts:
    """The facts with what needs what, how what is blocked would fail by itself, and advice."""
    every = (*facts.declared, *facts.checks)
    blocked = {one.title for one in every if one.status is Status.BLOCKED}
    # What was lost, or is locked by others, is left out: the report has the rest.
    with suppress(HostError):
        facts = evolve(facts, edges=dependencies.edges(session.ask, drafts))
    with suppress(HostError):
        facts = evolve(facts, attempts=attempts.attempts(session, drafts, blocked))
    with suppress(HostError):
        facts = _advised(session, section, facts)
    return facts


def _advised(session: Session, section: Section, facts: HostFacts) -> HostFacts:
    """The facts with advice, and with the checks that it becomes where that is asked for."""
    today = datetime.now(UTC).date()
    found = list(advice.findings(session.ask, today))
    security, plan = judges.row_security(session), judges.plan(session, facts.fix or Fix())
    # What is accepted in vain is told once all that is asked for is there.
    is_whole = all(one.status.approves for one in facts.checks)

    def is_asked(one: advice.Accepted) -> bool:
        by = {"pgrls": security, "squawk": plan}.get(one.rule.split()[0])
        if by is None or (not by.unasked and by.about is None):
            return is_whole
        return is_whole and by.about is not None and one.what in by.about

    found += [*security.findings, *plan.findings]
    findings = tuple(advice.weighed(found, section.accepted, today, is_asked))
    more = rollup.advised(findings, section.fail_on)
    return evolve(
        facts,
        findings=findings,
        unasked=tuple(filter(None, (security.unasked, plan.unasked))),
        checks=(*facts.checks, *more),
    )
