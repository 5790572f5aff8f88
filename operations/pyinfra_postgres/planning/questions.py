"""What a plan in the making asks the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field
from typing_extensions import override

from ..catalog.catalog import Forecast
from ..comparison.asking import Ask
from ..comparison.calls import Calls
from ..errors import DeclarationError, HostError
from ..hidden import note, within
from ..syntax.rewrite import as_stored
from ..transport.answer import Answer
from .session import Session


@define
class Questions(Ask):
    """Asks the server, as far as it can be asked before the plan has run.

    Rows are read under the names that their relations have: nobody waits for that. What the system
    catalogs have under the new names they are asked with these names given, for the moment that
    this takes; then that is rolled back.
    """

    session: Session
    catalog: Forecast
    renaming: bool
    """Whether the plan gives other names."""
    answers: dict[str, list[Any]] = field(factory=dict)

    @property
    def in_time(self) -> bool:
        """Whether it is time to ask about changes: not before an earlier block has given names."""
        return self.renaming or not self.catalog.renames

    @override
    def __call__(self, query: str) -> list[Any]:
        if query not in self.answers:
            self._check([query])
            stored = as_stored(query, self.catalog.server_names())
            if within(query):
                note(stored)
            self.answers[query] = self.session.ask(stored, self.catalog.renaming(unlocked=True))
        return self.answers[query]

    @override
    def renamed(self, query: str) -> list[Any]:
        if not self.renaming:
            return self(query)
        answer = self.attempt([query])
        if answer.failure:
            failure = answer.failure
            raise HostError(f"{failure}{failure.advice}", failure.sqlstate)
        return answer.values()

    def _check(self, script: Sequence[str], *, in_public: bool = False) -> None:
        """Raise DeclarationError where a script may run what others own."""
        Calls(self.catalog.foreign, self.session.read).check(script, in_public=in_public)

    @override
    def attempt(self, statements: Sequence[str]) -> Answer:
        self._check(statements, in_public=True)
        if not self.renaming:
            return self.session.attempt(statements)
        renames = self.catalog.renaming()
        script = [*renames, *statements]
        answer = self.session.attempt(script, _MOMENT)
        for pause in _PAUSES:
            if not answer.failure or answer.failure.sqlstate != _NO_LOCK:
                break
            time.sleep(pause)
            answer = self.session.attempt(script, _MOMENT)
        failure = answer.failure
        if failure and (0 <= failure.index < len(renames) or failure.sqlstate == _NO_LOCK):
            raise DeclarationError(
                "what the change touches is read under the new names, which are given for a "
                f"moment and taken back, and {script[failure.index]} fails: {failure}; run it "
                "again, or let a run before this one do the rename"
            )
        moved = failure and evolve(failure, index=failure.index - len(renames))
        return evolve(answer, failure=moved)

    def attempt_apart(self, statements: Sequence[str]) -> Answer:
        """What statements answer that use nothing but copies of what the plan changes.

        They run behind those of its renames for which nobody waits: copies have the other names.
        """
        script = [*self.catalog.renaming(unlocked=True), *statements]
        self._check(script, in_public=True)
        answer = self.session.attempt(script)
        failure = answer.failure
        moved = failure and evolve(failure, index=failure.index - len(script) + len(statements))
        return evolve(answer, failure=moved)


_MOMENT = "200ms"
"""How long names that are given for a moment wait for their locks, and others behind them."""
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_NO_LOCK = "55P03"


class Unanswered(Ask):
    """Asks nobody: the role may not use what it would ask about."""

    @override
    def __call__(self, query: str) -> list[Any]:
        return self.attempt([query]).values()

    @override
    def renamed(self, query: str) -> list[Any]:
        return self(query)

    @override
    def attempt(self, statements: Sequence[str]) -> Answer:
        raise DeclarationError("the role may not use what it names")
