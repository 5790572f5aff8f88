"""The checks of a verification on one host, and what its database answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from attrs import Factory, define, evolve

from ..errors import DeclarationError, HostError, UnreachableError
from ..planning.session import Block, Session
from ..transport.watch import Patience
from .advice import Accepted
from .questions import Outcome, Question
from .statuses import Status

_CHECKS = "Checks"
"""The task of checks that name none."""


@define
class Section:
    """The checks of a verification on one host."""

    title: str
    report: Path | None
    deploy: Block | None = None
    """What a deploy would declare."""
    accepted: tuple[Accepted, ...] = ()
    fail_on: tuple[str, ...] = ()
    takes_others: bool = False
    """Whether verifications inside it are part of it."""
    questions: list[Question] = Factory(list)

    def add(self, one: Question) -> None:
        """Add a question. Raises DeclarationError where it does not fit those before it."""
        known = {each.title for each in self.questions}
        if one.title in known and self.takes_others:
            one = evolve(one, title=f"{one.title} ({len(known) + 1})")
        elif one.title in known:
            raise DeclarationError(f"there are two checks {one.title!r}: call one otherwise")
        for title in (*one.needs, *one.applies_if):
            if title not in known:
                raise DeclarationError(
                    f"check {one.title!r} needs {title!r}, and no check before it is called so"
                )
        self.questions.append(evolve(one, task=one.task or _CHECKS))

    def advised(self, accepted: Iterable[Accepted], fail_on: Iterable[str]) -> None:
        """Note which findings of advice are to stay, and which rules count."""
        self.accepted += tuple(accepted)
        self.fail_on += tuple(fail_on)


def answered(session: Session, question: Question) -> Outcome:
    """What a host's database answers; nothing is asked that would run code of others."""
    script = [*question.setup, question.query]
    try:
        refused = "; ".join(session.calls().objections(script, policies=True))
    except UnreachableError as error:
        return Outcome(question, Status.UNREACHABLE, reason=str(error))
    except HostError as error:
        refused = str(error)
    if refused:
        return Outcome(question, Status.NOT_VERIFIED, reason=refused)
    return question.outcome(session.read(question.script(), Patience.WORK))
