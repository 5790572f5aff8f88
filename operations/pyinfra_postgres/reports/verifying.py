"""Asking all questions of a verification, and what becomes of its host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from attrs import evolve

from ..errors import DeclarationError, HostError
from ..operations.transactions import drafted
from ..planning.session import Block, Draft, Session
from ..terminal import nothing_to_do
from . import attempts, conclusion, dependencies, gaps, releases, rollup
from .facts import Check, Fix, HostFacts
from .questions import asked
from .sections import Section, answered
from .statuses import Status


def verified(session: Session, section: Section) -> Iterator[str]:
    """Verify a host, tell how that ends, and say why the host fails, if it does."""
    outcomes = list(asked(section.questions, partial(answered, session)))
    facts = described(session, section, tuple(one.fact() for one in outcomes))
    if not facts.unreachable:
        facts = _planned(session, section.deploy, facts)
    yield from conclusion.concluded(session.host, section.title, section.report, facts, outcomes)
    if rollup.is_approved(facts):
        try:
            releases.passed(session)
        except HostError as error:
            yield str(error)
        else:
            nothing_to_do(session.host, rollup.verdict(facts))


def described(session: Session, section: Section, checks: tuple[Check, ...]) -> HostFacts:
    """What is known of the host, with these checks and those that advice has become."""
    facts = conclusion.described(session, checks, section.accepted)
    more = rollup.advised(facts.findings, section.fail_on)
    return evolve(facts, checks=(*facts.checks, *more))


def _planned(session: Session, block: Block | None, facts: HostFacts) -> HostFacts:
    """The facts with what a deploy would do, which is planned beside all that the run knows."""
    if block is None:
        return analysed(session, facts, [])
    alone = Session(session.host)
    try:
        draft = drafted(alone, block)
    except (HostError, DeclarationError) as error:
        problem = gaps.without_quotes(str(error))
        return analysed(session, evolve(facts, fix=Fix(problems=(problem,))), [])
    found = gaps.declared([draft])
    facts = evolve(facts, declared=found.checks, fix=gaps.fix([draft]))
    return analysed(alone, facts, [draft])


def analysed(session: Session, facts: HostFacts, drafts: Sequence[Draft]) -> HostFacts:
    """The facts with what needs what, and how what is blocked by itself would fail."""
    blocked = {
        one.title for one in (*facts.declared, *facts.checks) if one.status is Status.BLOCKED
    }
    try:
        return evolve(
            facts,
            edges=dependencies.edges(session.ask, drafts),
            attempts=attempts.attempts(session, drafts, blocked),
        )
    except HostError:
        # Lost, or a lock of others: the report has the rest.
        return facts
