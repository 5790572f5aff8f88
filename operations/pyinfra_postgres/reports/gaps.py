"""What is declared, against what is there: each object with its root cause, and the fix in order.

Pure: no I/O, no pyinfra state. Both come from the plan that a deploy would send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from ..hidden import masked
from ..objects.access.grants import Grant
from ..objects.kind import Object
from ..plan.document import plan_id
from ..plan.plan import Action, Change, Gap, Lack, Operation, Plan, Refusal, Stage, Statement
from ..planning.session import Draft, Item
from ..running import render
from ..syntax.names import Name
from ..syntax.parse import Reference, tokens
from ..transport.answer import condition
from .facts import Check, Fix, Step
from .questions import speaks_of_names
from .statuses import Status

_MISSING = "it is missing"
_REASONS = {
    Action.CREATE: _MISSING,
    Action.CHANGE: "it differs",
    Action.REMOVE: "it is there, and should not be",
    Action.RUN: "its statements have not run",
}
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_VALUE = "'...'"
_SERVERS = re.compile(r"(?P<head>.*?): .*(?P<tail>\(SQLSTATE (?P<state>\w{5})\).*)", re.DOTALL)
_DEFAULT = re.compile(r"\bDEFAULT .*", re.DOTALL)
_QUOTED = re.compile(r"(?<!\w)(?<!operation )'(?:[^']|'')*'(?!\w)")
_QUOTES = ("'", "E'", "e'", "$", "U&'", "u&'")


@define
class _Declared:
    """What operations declare of one object, and what the plan has of it."""

    items: list[Item] = field(factory=list)
    changes: list[Change] = field(factory=list)
    doubts: list[Gap | Lack | Refusal] = field(factory=list)

    @property
    def is_missing(self) -> bool:
        """Whether others that need it have to wait."""
        return any(one.action is Action.CREATE for one in self.changes)

    @property
    def differs(self) -> bool:
        """Whether it is not as it is declared."""
        return bool(self.changes or self.doubts)

    def requires(self) -> Iterator[Reference]:
        """What has to be there before it."""
        for item in self.items if self.differs else ():
            for one in item.declaration.requires():
                yield one
                # Without a schema it may be PostgreSQL's own, or one of public.
                if one.kind == "function" and not one.name.schema:
                    yield Reference("function", Name("public", one.name.name))

    def grants(self) -> Iterator[tuple[bool, str, str]]:
        """The schemas in which it grants something, each with a role, and whether it is USAGE."""
        for one in (item.declaration for item in self.items if item.present):
            if not isinstance(one, Grant):
                continue
            needed = list(one.requires())
            is_of_schema = one.on.upper().startswith("SCHEMA ")
            if is_of_schema and {"CREATE"} >= {each.upper() for each in one.privileges}:
                continue
            schemas = {
                ref.name.name if ref.kind == "schema" else ref.name.schema
                for ref in needed
                if ref.kind != "role"
            }
            roles = [ref.name.name for ref in needed if ref.kind == "role"]
            yield from ((is_of_schema, schema, role) for schema in schemas for role in roles)


Roots: TypeAlias = Mapping[Reference, tuple[str, ...]]


@frozen
class Gaps:
    """What becomes of each declared object, in the order in which they are declared."""

    checks: tuple[Check, ...]
    missing: Roots
    """What is not there yet and will be, with the titles of what is missing at its bottom."""


def declared(drafts: Iterable[Draft]) -> Gaps:
    """What becomes of what some plans are made from."""
    objects = _objects(drafts)
    provided = {
        reference: title
        for title, one in objects.items()
        for item in one.items
        if item.present
        for reference in item.declaration.provides()
    }
    usages = {
        (schema, role): title
        for title, one in objects.items()
        for is_usage, schema, role in one.grants()
        if is_usage and one.differs
    }
    roots: dict[str, tuple[str, ...]] = {}
    for title in (*usages.values(), *objects):
        _find_roots(title, objects, provided, roots)
    # What is granted in a schema can't be used without USAGE.
    for title, one in objects.items():
        for is_usage, *where in one.grants() if one.differs else ():
            if not is_usage and (usage := usages.get((where[0], where[1]))):
                below = [root for root in roots[title] if root != title]
                roots[title] = tuple(dict.fromkeys([*below, *roots[usage]]))
    checks = (
        evolve(
            _check(title, one, [name for name in roots[title] if name != title]),
            needs=tuple(_waits_for(title, objects, provided)),
        )
        for title, one in objects.items()
    )
    missing = {ref: roots[title] for ref, title in provided.items() if objects[title].is_missing}
    return Gaps(tuple(checks), missing)


def _objects(drafts: Iterable[Draft]) -> dict[str, _Declared]:
    found: dict[str, _Declared] = {}
    of: dict[int, list[str]] = {}
    every = list(drafts)
    for item in (item for draft in every for item in draft.turn):
        title = _title(item)
        found.setdefault(title, _Declared()).items.append(item)
        of.setdefault(id(item.operation), []).append(title)
    for plan in (draft.plan for draft in every):
        for change in plan.changes:
            for title in _titles(change.operation, change.title, of):
                found[title].changes.append(change)
        for doubt in (*plan.gaps, *plan.refusals):
            for title in _titles(doubt.operation, doubt.title, of):
                found[title].doubts.append(doubt)
    return found


def _title(item: Item) -> str:
    """What is declared, by its kind and name; of a script what its operation is called."""
    one = item.declaration
    return str(item.operation) if one.runs else one.title


def _titles(operation: Operation, title: str, of: dict[int, list[str]]) -> list[str]:
    """What an operation declares that something is about."""
    known = of.get(id(operation), [])
    return [title] if title in known else known[:1]


def _find_roots(
    title: str,
    objects: dict[str, _Declared],
    provided: dict[Reference, str],
    roots: dict[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """The titles of what is missing at the bottom of an object; its own where it is that itself."""
    if title in roots:
        return roots[title]
    roots[title] = ()  # what needs one another in a circle is no root of itself
    one = objects[title]
    below: dict[str, None] = {}
    for doubt in one.doubts:
        if isinstance(doubt, Gap):
            below[f"{doubt.reference}, which nothing declares"] = None
    for reference in one.requires():
        other = provided.get(reference)
        if other and other != title and objects[other].is_missing:
            below |= dict.fromkeys(_find_roots(other, objects, provided, roots))
    roots[title] = tuple(below) or ((title,) if one.differs else ())
    return roots[title]


def _waits_for(
    title: str, objects: Mapping[str, _Declared], provided: Mapping[Reference, str]
) -> dict[str, None]:
    """The titles of what is missing and has to be there right before an object."""
    needed = (provided.get(reference) for reference in objects[title].requires())
    return dict.fromkeys(one for one in needed if one and one != title and objects[one].is_missing)


def _check(title: str, one: _Declared, roots: Sequence[str]) -> Check:
    operation = one.items[0].operation
    task = operation.phase or word(one.items[0].declaration)
    bare = Check(task, title, Status.PASS, place=operation.place)
    runs_always = one.changes and all(map(_is_not_idempotent, one.changes))
    if not one.differs:
        return bare
    if runs_always and not one.doubts:
        return evolve(bare, status=Status.NOT_APPLICABLE, reason="it runs every time")
    if roots:
        reason = f"needs {', '.join(roots)}"
        return evolve(bare, status=Status.BLOCKED, reason=reason, roots=tuple(roots))
    lines = [line for change in one.changes for line in change.lines]
    changed = [change for change in one.changes if change.action is Action.CHANGE]
    found = {change.action for change in one.changes}
    found -= {Action.CHANGE} if Action.CREATE in found else set()
    reasons = dict.fromkeys(_REASONS[action] for action in Action if action in found)
    reasons |= dict.fromkeys(_told(doubt) for doubt in one.doubts)
    return evolve(
        bare,
        status=Status.FAIL,
        reason="; ".join(reasons),
        expected=tuple(line[2:] for line in lines if line[:1] == "+") if changed else (),
        got=tuple(_unvalued(line[2:]) for line in lines if line[:1] == "-"),
    )


def word(one: Object) -> str:
    """What a declared object is called as one of many."""
    return one.kind.replace("_", " ")


def _is_not_idempotent(change: Change) -> bool:
    return change.action is Action.RUN and any(one.hazards for one in change.statements)


def _told(doubt: Gap | Lack | Refusal) -> str:
    """What stands against a change, without the values that it may quote."""
    return without_quotes(doubt.problem)


def fix(drafts: Iterable[Draft]) -> Fix:
    """What a deploy would do, in the order in which it would."""
    plans = [draft.plan for draft in drafts]
    steps = [step for plan in plans for step in _steps(plan)]
    problems = dict.fromkeys(without_quotes(one) for plan in plans for one in plan.problems())
    undeclared = (f"{one.title} of {one.within}" for plan in plans for one in plan.undeclared)
    ids = (plan_id(plan) for plan in plans if plan.changes)
    waiting = (told for plan in plans for told in render.waiting(plan.waiting))
    return Fix(
        tuple(steps),
        tuple(problems),
        tuple(dict.fromkeys(undeclared)),
        tuple(ids),
        tuple(waiting),
    )


def _steps(plan: Plan) -> list[Step]:
    steps: list[Step] = []
    last: Change | None = None
    for change, statement in plan.in_run_order():
        stage = statement.stage
        if last is not change or steps[-1].stage != stage.value:
            steps.append(_step(change, stage))
        last = change
        steps[-1] = _with(steps[-1], statement)
    return steps


def _step(change: Change, stage: Stage) -> Step:
    by = change.operation
    return Step(change.title, change.action.value, stage.value, by.phase, by.place)


def _with(step: Step, statement: Statement) -> Step:
    sql = masked(statement.shown, statement.hidden)
    if sql.startswith(_WRITES):
        sql = without_values(sql)
    notes = [one.value for one in statement.hazards]
    notes += [f"loses {one.told or one.title}" for one in statement.losses]
    return evolve(step, sql=(*step.sql, sql), notes=tuple(dict.fromkeys((*step.notes, *notes))))


def _unvalued(line: str) -> str:
    """A line of a definition that is there, without what its default holds."""
    return _DEFAULT.sub("DEFAULT ...", without_values(line))


def without_values(sql: str) -> str:
    """SQL without the strings in it: they may be what rows or defaults hold."""
    try:
        strings = [one for one in tokens(sql) if sql[one.start :].startswith(_QUOTES)]
    except ValueError:
        return without_quotes(sql)
    for one in reversed(strings):
        sql = f"{sql[: one.start]}{_VALUE}{sql[one.end :]}"
    return sql


def without_quotes(said: str) -> str:
    """Words without what they quote; what operations are called may be told.

    Of a server's message that may quote a value the code is left.
    """
    found = _SERVERS.fullmatch(said)
    if found and not speaks_of_names(found["state"]):
        said = f"{found['head']}: {condition(found['state'])} {found['tail']}"
    return _QUOTED.sub(_VALUE, said)
