"""What other runs have found to need no change.

A plan follows from the catalog, from what is declared, and from what the server answers to the
questions that come up. Where all of that is as it was, nothing changes now either. It is remembered
as the verdicts of servers are: nothing but digests decides, each bound to the server. What was
asked, and what is undeclared, is noted apart.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TypeAlias

from attrs import astuple

from ..comparison import notes
from ..hidden import within
from ..plan.plan import Plan, Undeclared
from ..transport.watch import Patience
from . import digests
from .session import Heard, Session

Inputs: TypeAlias = tuple[str, ...]
"""Digests of all that a plan follows from, but for what the server answers."""
_NOTED = "this is noted"
_UNCHANGED = "nothing changes"


def unchanged(session: Session, inputs: Inputs) -> Plan | None:
    """The plan where it changes nothing; the server is asked what it was asked then."""
    verdicts = session.verdicts
    kept = notes.kept(_name(inputs))
    if kept is not None and not verdicts.holds((_NOTED, *inputs, kept)):
        return None
    asked, undeclared = json.loads(kept or _NOTHING)
    answers = [session.read(statements, Patience(patience)) for statements, patience in asked]
    told = digests.of(answers)
    if told is None or not verdicts.holds((_UNCHANGED, *inputs, kept or _NOTHING, told)):
        return None
    return Plan(undeclared=[Undeclared(*one) for one in undeclared])


def keep(session: Session, inputs: Inputs, heard: Heard, plan: Plan) -> None:
    """Remember that a plan changes nothing, by what the server has said.

    Not where it had to compare: the next run need not ask that again. And not where something
    waits for another run, which is told each time.
    """
    asked = [(statements, patience) for statements, patience, _ in heard.answers]
    noted = json.dumps([asked, list(map(astuple, plan.undeclared))])
    told = digests.of([answer for _, _, answer in heard.answers])
    if heard.verdicts.new or told is None or within(noted) or plan.waiting:
        return
    questions = [(_UNCHANGED, *inputs, noted, told)]
    if noted != _NOTHING:
        notes.keep(_name(inputs), noted)
        questions.append((_NOTED, *inputs, noted))
    session.verdicts.keep(questions)


_NOTHING = "[[], []]"


def _name(inputs: Inputs) -> str:
    return sha256("\n".join(inputs).encode()).hexdigest()
