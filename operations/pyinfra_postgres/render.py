"""Plans and their outcome as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.api.output import format_text
from pyinfra.api.state import State

from .plan import Action, Mode, Plan, Stage, Undeclared

_COLOURS = {
    Action.CREATE: "green",
    Action.CHANGE: "yellow",
    Action.REMOVE: "red",
    Action.RUN: "blue",
}
_PAST = {
    Action.CREATE: "created",
    Action.CHANGE: "changed",
    Action.REMOVE: "removed",
    Action.RUN: "run",
}

_NAMED = 3
"""How many undeclared objects the summary names."""
_LISTED = 10
"""How many of one kind the details list for each object."""

_shown: WeakKeyDictionary[State, dict[tuple[str, ...], str]] = WeakKeyDictionary()


def show(host: Host, plan: Plan) -> None:
    """Print a host's plan; the same plan of a second host is a line."""
    lines = (*plan_lines(plan), *undeclared_lines(plan.undeclared))
    shown = _shown.setdefault(host.state, {})
    if lines and (first := shown.get(lines)):
        say(host, f"same plan as {first}")
    else:
        shown[lines] = host.name
        for line in lines:
            logger.info(f"{host.print_prefix}{line}" if line[0] != " " else line)
        say(host, summary(plan))


def say(host: Host, message: str) -> None:
    """Print one line about a host."""
    logger.info(f"{host.print_prefix}{message}")


def summary(plan: Plan, done: bool = False) -> str:
    """How many objects a plan creates, changes and removes."""
    # Several operations may change one object; what it comes to is what the first one does.
    objects = [change for change in plan.changes if change.action is not Action.RUN]
    counts = Counter({change.title: change.action for change in reversed(objects)}.values())
    counts[Action.RUN] = len(plan.changes) - len(objects)
    shown = [action for action in Action if counts[action] or action is not Action.RUN]
    if not plan.changes:
        parts = ["no changes"]
    elif done:
        parts = [f"{counts[action]} {_PAST[action]}" for action in shown if counts[action]]
    else:
        parts = [f"{counts[action]} to {action.value}" for action in shown]
    return ", ".join([*parts, *_undeclared(plan.undeclared)])


def _undeclared(found: Sequence[Undeclared]) -> Iterator[str]:
    names = [one.name if one.kind == "table" else one.title for one in found[:_NAMED]]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    if found:
        yield f"{len(found)} undeclared ({', '.join([*names, *more])})"


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan: for each object what differs, and the statements with stage and hazards."""
    stages = {id(statement): stage for _, statement, stage in plan.staged()}
    heading = ""
    for change in plan.changes:
        action = format_text(change.action.value, _COLOURS[change.action])
        above, heading = heading, f"{format_text(change.title, bold=True)}   {action}"
        if heading != above:
            yield heading
        # Of what is created, the statements say it all.
        for line in change.lines if change.action is not Action.CREATE else ():
            yield f"        {format_text(line, _line_colour(line))}"
        for statement in change.statements:
            stage = stages[id(statement)]
            prefix = "" if stage is Stage.MAIN else f"{stage.value}  "
            sql = statement.shown.replace("\n", "\n" + " " * 12)
            yield f"    {prefix}{format_text(sql, dim=True)}"
            notes = [str(lock) for lock in statement.locks if lock.mode is not Mode.ROW_EXCLUSIVE]
            notes += [f"loses {loss.told}" for loss in statement.losses]
            notes += [hazard.value for hazard in statement.hazards]
            notes += [f"drops {what} with it" for what in statement.also]
            if notes:
                yield f"        {format_text(', '.join(notes), 'yellow')}"


def undeclared_lines(undeclared: Iterable[Undeclared]) -> Iterator[str]:
    """What is left as it is, under what it belongs to; of many of a kind the first few."""
    within: dict[str, dict[str, list[Undeclared]]] = {}
    for one in undeclared:
        within.setdefault(one.within, {}).setdefault(one.kind, []).append(one)
    for holder, kinds in within.items():
        yield f"{format_text(holder, bold=True)}   undeclared, left as it is"
        for kind, found in kinds.items():
            for one in found[:_LISTED]:
                yield f"    {one.title}   {format_text(one.definition, dim=True)}".rstrip()
            if len(found) > _LISTED:
                yield f"    ... and {len(found) - _LISTED} more of kind {kind}"


def _line_colour(line: str) -> str | None:
    return {"+": "green", "-": "red", "!": "yellow"}.get(line[0])
