"""Asking all questions of a verification, and what becomes of its host."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from attrs import evolve

from ..errors import DeclarationError, HostError
from ..operations.transactions import drafted
from ..planning.session import Block, Session
from ..terminal import nothing_to_do
from . import conclusion, gaps, releases, rollup
from .facts import Check, Fix, HostFacts
from .questions import asked
from .sections import Section, answered


def verified(session: Session, section: Section) -> Iterator[str]:
    """Verify a host, tell how that ends, and say why the host fails, if it does."""
    outcomes = list(asked(section.questions, partial(answered, session)))
    facts = described(session, section, tuple(one.fact() for one in outcomes))
    if section.deploy and not facts.unreachable:
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


def _planned(session: Session, block: Block, facts: HostFacts) -> HostFacts:
    """The facts with what a deploy would do, which is planned beside all that the run knows."""
    alone = Session(session.host)
    try:
        draft = drafted(alone, block)
    except (HostError, DeclarationError) as error:
        return evolve(facts, fix=Fix(problems=(gaps.without_quotes(str(error)),)))
    return evolve(facts, declared=gaps.declared([draft]).checks, fix=gaps.fix([draft]))
