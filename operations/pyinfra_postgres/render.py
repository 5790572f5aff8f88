"""Plans and their outcome as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.api.output import format_text
from pyinfra.api.state import State

from .plan import Action, Plan, Stage

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

_shown: WeakKeyDictionary[State, dict[tuple[str, ...], str]] = WeakKeyDictionary()


def show(host: Host, plan: Plan) -> None:
    """Print a host's plan; the same plan of a second host is a line."""
    lines = tuple(plan_lines(plan))
    shown = _shown.setdefault(host.state, {})
    if first := shown.get(lines):
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
    counts = Counter(change.action for change in plan.changes)
    shown = [action for action in Action if counts[action] or action is not Action.RUN]
    if done:
        return ", ".join(f"{counts[action]} {_PAST[action]}" for action in shown if counts[action])
    return ", ".join(f"{counts[action]} to {action.value}" for action in shown)


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan: for each object what differs, and the statements with stage and hazards."""
    stages = {id(statement): stage for _, statement, stage in plan.staged()}
    for change in plan.changes:
        action = format_text(change.action.value, _COLOURS[change.action])
        yield f"{format_text(change.title, bold=True)}   {action}"
        # Of what is created, the statements say it all.
        for line in change.lines if change.action is not Action.CREATE else ():
            yield f"        {format_text(line, _line_colour(line))}"
        for statement in change.statements:
            stage = stages[id(statement)]
            prefix = "" if stage is Stage.MAIN else f"{stage.value}  "
            sql = statement.shown.replace("\n", "\n" + " " * 12)
            yield f"    {prefix}{format_text(sql, dim=True)}"
            notes = [str(lock) for lock in statement.locks]
            notes += [hazard.value for hazard in statement.hazards]
            if notes:
                yield f"        {format_text(', '.join(notes), 'yellow')}"


def _line_colour(line: str) -> str | None:
    return {"+": "green", "-": "red"}.get(line[0])
