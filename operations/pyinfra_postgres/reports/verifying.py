"""Asking all questions of a verification, and what becomes of its host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from attrs import evolve

from ..errors import DeclarationError, HostError
from ..operations.transactions import drafted
from ..planning.session import Draft, Session
from ..terminal import nothing_to_do
from . import advice, attempts, conclusion, dependencies, gaps, judges, releases, rollup
from .facts import Check, Fix, HostFacts
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

    # What was lost, or is locked by others, is left out and named: the report has the rest.
    def needs(known: HostFacts) -> HostFacts:
        return evolve(known, edges=dependencies.edges(session.ask, drafts))

    def fails(known: HostFacts) -> HostFacts:
        return evolve(known, attempts=attempts.attempts(session, drafts, blocked))

    def advised(known: HostFacts) -> HostFacts:
        return _advised(session, section, known)

    parts = {"what code needs": needs, "how it would fail": fails, "advice": advised}
    for what, find in parts.items():
        try:
            facts = find(facts)
        except HostError as error:
            said = f"{what} is not known: {gaps.without_quotes(str(error))}"
            facts = evolve(facts, unasked=(*facts.unasked, said))
            if find is advised:
                facts = _unverified(facts, dict.fromkeys(section.fail_on, said))
    return facts


def _unverified(facts: HostFacts, why: Mapping[str, str]) -> HostFacts:
    """The facts with rules that count, and that nobody could ask."""
    more = (Check(rollup.ADVICE, rule, Status.NOT_VERIFIED, reason) for rule, reason in why.items())
    return evolve(facts, checks=(*facts.checks, *more))


def _advised(session: Session, section: Section, facts: HostFacts) -> HostFacts:
    """The facts with advice, and with the checks that it becomes where that is asked for."""
    today = datetime.now(UTC).date()
    found = list(advice.findings(session.ask, today))
    by = {
        "pgrls": judges.row_security(session),
        "squawk": judges.plan(session, facts.fix or Fix()),
    }
    # What is accepted in vain is told once all that is asked for is there.
    is_whole = all(one.status.approves for one in facts.checks)

    def is_asked(one: advice.Accepted) -> bool:
        judge = by.get(one.rule.split()[0])
        about = judge.about if judge else None
        is_silent = judge is not None and about is None and bool(judge.unasked)
        return is_whole and not is_silent and (about is None or one.what in about)

    found += [each for judge in by.values() for each in judge.findings]
    findings = tuple(advice.weighed(found, section.accepted, today, is_asked))
    unasked = {name: judge.unasked for name, judge in by.items() if judge.unasked}
    more = rollup.advised(findings, section.fail_on)
    facts = evolve(
        facts,
        findings=findings,
        unasked=(*facts.unasked, *unasked.values()),
        checks=(*facts.checks, *more),
    )
    counting = {
        one: unasked[one.split()[0]] for one in section.fail_on if one.split()[0] in unasked
    }
    return _unverified(facts, counting)
