"""Plans and their outcome as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

from attrs import define, field
from gevent import Greenlet
from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..errors import DeclarationError
from ..plan.plan import Action, Change, Plan, Stage, Undeclared, Waiting, counted
from ..syntax.parse import tokens
from ..terminal import Line, line, printable, printable_lines, report, styled

COLOURS = {
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

NO_CHANGES = "no changes"
_NAMED = 3
"""How many undeclared objects the summary names."""
_LISTED = 10
"""How many of one kind the details list for each object."""

_QUOTES = ("'", '"', "E", "e", "U", "u")
"""How strings and quoted names begin, other than those in dollars; words are printable anyway."""
_TAB = 4

_ALIKE = 10
"""How many hosts with the plan of another are named one by one."""

_reports: WeakKeyDictionary[State, dict[Hashable, Report]] = WeakKeyDictionary()


@define
class Report:
    """What is told of one block of a deploy: on all hosts, in the order of the inventory.

    A plan that several of them have is shown once.
    """

    plans: dict[Host, tuple[str, ...]] = field(factory=dict)
    told: set[Host] = field(factory=set)
    greenlets: set[Greenlet] = field(factory=set)
    """In which pyinfra reads the deploy, or runs an operation, for hosts that have told nothing."""

    def end(self) -> None:
        """Print it."""
        plans, self.plans = self.plans, {}
        hosts = [host for host in next(iter(plans)).state.inventory if host in plans]
        first: dict[tuple[str, ...], str] = {}
        alike: Counter[tuple[str, ...]] = Counter()
        unchanged = [host for host in hosts if plans[host] == (NO_CHANGES,)]
        for host in (
            hosts if len(unchanged) <= _ALIKE else [one for one in hosts if one not in unchanged]
        ):
            *lines, last = plan = plans[host]
            alike[plan] += 1
            if last == NO_CHANGES or plan not in first:
                first[plan] = host.name
                for one in lines:
                    report(one, host=None if one[:1] == " " else host)
                report(last, host=host)
            elif alike[plan] <= _ALIKE:
                report(f"same plan as {first[plan]}", host=host)
        for plan, name in first.items():
            if alike[plan] > _ALIKE:
                report(f"{alike[plan] - _ALIKE} more hosts: same plan as {name}")
        if len(unchanged) > _ALIKE:
            report(f"{NO_CHANGES}: {len(unchanged)} hosts")


def show(host: Host, what: Hashable, lines: Sequence[str]) -> None:
    """Print lines about a host's plan, the last of them its summary, to standard output.

    They wait for those of the other hosts about the same: the number of its block in the deploy.
    """
    state = host.state
    one = _reports.setdefault(state, {}).setdefault(what, Report())
    one.plans[host] = tuple(lines)
    one.told.add(host)
    # Not all hosts need have the block.
    for greenlet in set(state.pool or ()) - one.greenlets:
        one.greenlets.add(greenlet)
        greenlet.link(lambda _: settle(state))
    settle(state)


def settle(state: State) -> None:
    """Print what all hosts that are left have told."""
    for one in _reports.get(state, {}).values():
        are_done = all(greenlet.ready() for greenlet in one.greenlets) and one.greenlets
        if one.plans and (one.told >= state.active_hosts or are_done):
            one.end()


def phase_lines(plan: Plan) -> Iterator[Line]:
    """How much is to be done in each phase of the deploy."""
    phases: dict[str, list[Change]] = {}
    for change in plan.changes:
        phases.setdefault(change.operation.phase, []).append(change)
    width = max(map(len, phases), default=0)
    for phase, changes in phases.items() if width else ():
        yield line("    ", phase.ljust(width), "   ", ", ".join(_counted(changes, done=False)))


def summary(plan: Plan, done: bool = False) -> str:
    """How many objects a plan creates, changes and removes."""
    nothing = f"{NO_CHANGES} in this run" if plan.waiting else NO_CHANGES
    counted = _counted(plan.changes, done, every=True) if plan.changes else [nothing]
    return ", ".join([*counted, *waiting(plan.waiting), *undeclared(plan.undeclared)])


def _counted(changes: Iterable[Change], done: bool, *, every: bool = False) -> Iterator[str]:
    """How many objects changes create, change and remove; `every` tells what is to be none of."""
    counts = counted(changes)
    for action in Action:
        if counts[action] or (every and not done and action is not Action.RUN):
            what = _PAST[action] if done else f"to {action.value}"
            yield f"{counts[action]} {what}"


def waiting(found: Iterable[Waiting]) -> Iterator[str]:
    """How many objects wait for each phase, and which."""
    for one in found:
        titles = dict.fromkeys(change.title for change in one.plan.changes)
        more = f", and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
        if titles:
            verb = "wait" if len(titles) > 1 else "waits"
            names = ", ".join(list(titles)[:_NAMED])
            yield f"{len(titles)} {verb} for {one.phase} ({names}{more})"
        else:
            yield f"it can't be told yet what waits for {one.phase}"


def undeclared(found: Sequence[Undeclared]) -> Iterator[str]:
    """How many objects nobody declares, and which; nothing where there are none."""
    names = [one.name if one.kind == "table" else one.title for one in found[:_NAMED]]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    if found:
        yield f"{len(found)} undeclared ({', '.join([*names, *more])})"


def plan_lines(plan: Plan, until: str = "") -> Iterator[Line]:
    """The plan: for each object what differs, and the statements with stage and hazards.

    `until` says for what it waits.
    """
    heading = line()
    for change in plan.changes:
        action = styled(change.action.value, COLOURS[change.action])
        above = heading
        heading = line(styled(change.title, bold=True), "   ", action, until and f"   {until}")
        if heading != above:
            yield heading
        # Of what is created, the statements say it all.
        for one in change.lines if change.action is not Action.CREATE else ():
            yield line("        ", styled(one, line_colour(one)))
        for statement in change.statements:
            stage = statement.stage
            prefix = "" if stage is Stage.MAIN else f"{stage.value}  "
            yield line("    ", prefix, styled(_statement(statement.shown), dim=True))
            if statement.notes:
                yield line("        ", styled(", ".join(statement.notes), "yellow"))


def waiting_lines(waiting: Iterable[Waiting]) -> Iterator[Line]:
    """What waits for a run that does a phase, as `plan_lines` has what does not."""
    for one in waiting:
        until = f"waits for {one.phase}"
        yield from plan_lines(one.plan, until)
        for problem in one.plan.problems():
            yield line(f"    {until}   ", styled(problem, "yellow"))


def undeclared_lines(found: Iterable[Undeclared]) -> Iterator[Line]:
    """What is left as it is, under what it belongs to; of many of a kind the first few."""
    within: dict[str, dict[str, list[Undeclared]]] = {}
    for one in found:
        within.setdefault(one.within, {}).setdefault(one.kind, []).append(one)
    for holder, kinds in within.items():
        yield line(styled(holder, bold=True), "   undeclared, left as it is")
        for kind, several in kinds.items():
            for one in several[:_LISTED]:
                definition = ("   ", styled(one.definition, dim=True)) if one.definition else ()
                yield line("    ", one.title, *definition)
            if len(several) > _LISTED:
                yield line(f"    ... and {len(several) - _LISTED} more of kind {kind}")


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


def line_colour(line: str) -> str | None:
    """The colour of a line that tells what differs."""
    return {"+": "green", "-": "red", "!": "yellow"}.get(line[:1])
