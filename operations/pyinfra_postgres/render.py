"""Plans and their outcome as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

from pyinfra.api.host import Host
from pyinfra.api.state import State

from .errors import DeclarationError
from .parse import tokens
from .plan import Action, Mode, Plan, Stage, Undeclared
from .terminal import Line, line, printable, printable_lines, say, styled, tell

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

_QUOTES = ("'", '"', "E", "e", "U", "u")
"""How strings and quoted names begin, other than those in dollars; words are printable anyway."""
_TAB = 4

_shown: WeakKeyDictionary[State, dict[tuple[str, ...], str]] = WeakKeyDictionary()


def show(host: Host, plan: Plan) -> None:
    """Print a host's plan; the same plan of a second host is a line."""
    lines = (*plan_lines(plan), *undeclared_lines(plan.undeclared))
    shown = _shown.setdefault(host.state, {})
    if lines and (first := shown.get(lines)):
        say(host, f"same plan as {first}")
    else:
        shown[lines] = host.name
        for one in lines:
            if one[0] == " ":
                tell(one)
            else:
                say(host, one)
        say(host, summary(plan))


def summary(plan: Plan, done: bool = False) -> str:
    """How many objects a plan creates, changes and removes."""
    # Several operations may change one object; what it comes to is what the first one does, or
    # that it goes.
    objects = [change for change in plan.changes if change.action is not Action.RUN]
    results = {change.title: change.action for change in reversed(objects)}
    results |= {one.title: one.action for one in objects if one.action is Action.REMOVE}
    counts = Counter(results.values())
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


def plan_lines(plan: Plan) -> Iterator[Line]:
    """The plan: for each object what differs, and the statements with stage and hazards."""
    stages = {id(statement): stage for _, statement, stage in plan.staged()}
    heading = line()
    for change in plan.changes:
        action = styled(change.action.value, _COLOURS[change.action])
        above, heading = heading, line(styled(change.title, bold=True), "   ", action)
        if heading != above:
            yield heading
        # Of what is created, the statements say it all.
        for one in change.lines if change.action is not Action.CREATE else ():
            yield line("        ", styled(one, _line_colour(one)))
        for statement in change.statements:
            stage = stages[id(statement)]
            prefix = "" if stage is Stage.MAIN else f"{stage.value}  "
            yield line("    ", prefix, styled(_statement(statement.shown), dim=True))
            notes = [str(lock) for lock in statement.locks if lock.mode is not Mode.ROW_EXCLUSIVE]
            notes += [f"loses {loss.told}" for loss in statement.losses]
            notes += [hazard.value for hazard in statement.hazards]
            notes += [f"drops {what} with it" for what in statement.also]
            if notes:
                yield line("        ", styled(", ".join(notes), "yellow"))


def undeclared_lines(undeclared: Iterable[Undeclared]) -> Iterator[Line]:
    """What is left as it is, under what it belongs to; of many of a kind the first few."""
    within: dict[str, dict[str, list[Undeclared]]] = {}
    for one in undeclared:
        within.setdefault(one.within, {}).setdefault(one.kind, []).append(one)
    for holder, kinds in within.items():
        yield line(styled(holder, bold=True), "   undeclared, left as it is")
        for kind, found in kinds.items():
            for one in found[:_LISTED]:
                definition = ("   ", styled(one.definition, dim=True)) if one.definition else ()
                yield line("    ", one.title, *definition)
            if len(found) > _LISTED:
                yield line(f"    ... and {len(found) - _LISTED} more of kind {kind}")


def _statement(sql: str) -> Line:
    """The statement with its lines: a line break in a name or a string is no line of its own."""
    if "\n" not in sql:
        return printable(sql)
    try:
        strings = [one for one in tokens(sql) if sql[one.start] in _QUOTES]
    except (DeclarationError, UnicodeError):
        return printable(sql)
    for one in reversed(strings):
        sql = sql[: one.start] + printable(sql[one.start : one.end]) + sql[one.end :]
    return Line(printable_lines(sql.expandtabs(_TAB)).replace("\n", "\n" + " " * 12))


def _line_colour(line: str) -> str | None:
    return {"+": "green", "-": "red", "!": "yellow"}.get(line[0])
