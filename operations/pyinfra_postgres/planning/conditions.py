"""What the statements of a plan need, give, take and free, and when they run because of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from attrs import evolve

from ..errors import DeclarationError
from ..objects.constraints.constraints import ForeignKey
from ..objects.kind import Object
from ..plan.order import (
    MEMBERSHIPS,
    NAMES,
    SCRIPTS,
    Condition,
    as_found,
    as_made,
    keys_of,
    label_of,
    rows_of,
    whole,
)
from ..plan.plan import Action, Change, Plan, Stage, Statement
from ..syntax.constants import constants
from ..syntax.names import Exact, Name
from ..syntax.parse import Reference
from .uses import Identity, Use, reaching, users_of


def joining(group: Exact, sql: str, plan: Plan) -> Statement:
    """The statement by which the deploying role joins another."""
    needs = _made([Reference("role", Name("", group))], plan)
    return Statement(sql, needs=needs, gives=frozenset({MEMBERSHIPS}))


def naming(statement: Statement) -> Statement:
    """A statement that gives another name."""
    gives = statement.gives | {NAMES}
    return evolve(statement, needs=statement.needs | {MEMBERSHIPS}, gives=gives)


def bound(
    statements: Iterable[Statement],
    current: Object | None,
    target: Object | None,
    plan: Plan,
) -> Iterator[Statement]:
    """The statements of one object with all that they need, give, take and free.

    `plan` has what is planned before them: that comes before them where they need it.
    """
    one = target or current
    assert one
    is_gone = target is None or not target.exists
    number = len(plan.changes)
    names = (name for each in one.provides() for name in _names(each))
    provided = frozenset(as_made(name, number) for name in names)
    needs: frozenset[Condition] = frozenset()
    if current is not None or not one.is_ground:
        needs = frozenset({NAMES, MEMBERSHIPS})
    needs |= frozenset().union(*plan.made.values()) if one.runs else _made(_named(one), plan)
    takes = {whole(one.key())} if is_gone else set()
    takes |= {as_found(one.key())} if current is not None and current.exists else set()
    frees = {SCRIPTS} if one.runs else set()
    if is_gone:
        keys = getattr(one, "constraints", ())
        frees |= {keys_of(each.table) for each in keys if isinstance(each, ForeignKey)}
    for statement in statements:
        if statement.stage is Stage.AFTER:
            rows = {rows_of(lock.relation) for lock in statement.locks}
            statement = evolve(statement, needs=statement.needs | rows)
        of_tables = {SCRIPTS} if any(one.is_of_table for one in statement.takes) else set()
        # What fills rows comes before the rules of its table, which are part of how that is made.
        fills = any(one.is_of_rows for one in statement.gives)
        yield evolve(
            statement,
            needs=statement.needs | (needs & {NAMES, MEMBERSHIPS} if fills else needs),
            gives=statement.gives if is_gone or statement.takes else statement.gives | provided,
            takes=statement.takes | takes | of_tables,
            frees=statement.frees | frees,
        )


def unbound(statement: Statement) -> Statement:
    """A statement that becomes one of another object."""
    nothing: frozenset[Condition] = frozenset()
    return evolve(statement, needs=nothing, gives=nothing, takes=nothing, frees=nothing)


def _named(one: Object) -> Iterator[Reference]:
    # What is wrong with it has been told.
    with suppress(DeclarationError):
        yield from one.requires()
        yield from one.mentions()


def _made(references: Iterable[Reference], plan: Plan) -> frozenset[Condition]:
    """What is referred to, as the plan has made it by then."""
    found = (plan.made.get((each.kind, *each.name), set()) for each in references)
    return frozenset().union(*found)


def _names(reference: Reference) -> Iterator[Identity]:
    """What it may be called by those that refer to it."""
    kind, (schema, name) = reference
    yield (kind, schema, name)
    yield (kind, schema, "")
    if kind == "function" and schema == "public":
        yield (kind, "", name)


def takes_others(changes: Iterable[Change]) -> bool:
    """Whether other objects go with what changes: the sequence with its column."""
    return any(
        taken.is_whole and taken != whole(change.key)
        for change in changes
        for one in change.statements
        for taken in one.takes
    )


def in_time(changes: Sequence[Change], uses: Iterable[Use]) -> list[Change]:
    """The changes, each of their statements in the stage in which it can run.

    What goes after the transaction is there in it still: an index that is dropped goes in it after
    all, and behind one that is built anew what it used goes after the transaction as well. What
    the transaction needs, and has to be committed for that, goes before it.
    """
    found = _behind_rows(list(_freeing(changes, list(uses))))
    while any(_moved(found)):
        pass
    return _committed(found)


def _behind_rows(changes: list[Change]) -> list[Change]:
    """The changes, after the transaction what needs rows that are filled only then."""
    late = {each for change in changes for one in _of(Stage.AFTER, change) for each in one.gives}
    filled = {one for one in late if one.is_of_rows}
    if not filled:
        return changes
    return [
        evolve(
            change,
            statements=tuple(
                evolve(one, stage=Stage.AFTER) if one.needs & filled else one
                for one in change.statements
            ),
        )
        for change in changes
    ]


def _freeing(changes: Sequence[Change], uses: Sequence[Use]) -> Iterator[Change]:
    """The changes, which say what they use no longer of that which goes."""
    users = users_of(uses)
    frees: dict[int, set[Condition]] = {}
    places: dict[Identity, list[int]] = {}
    for place, change in enumerate(changes):
        places.setdefault(change.key[1:], []).append(place)
    for change in changes if users else ():
        for taken in {each for one in change.statements for each in one.takes}:
            found = reaching(taken.name, users) if taken.is_whole else ()
            for other in (place for user in found for place in places.get(user, ())):
                # What an object is changed for may be used by what is changed too.
                is_gone = Action.REMOVE in {change.action, changes[other].action}
                is_part = taken != whole(change.key)
                if (is_gone or is_part) and not _goes_with(changes[other], change):
                    frees.setdefault(other, set()).add(taken)
    for place, change in enumerate(changes):
        yield freeing(change, frees[place]) if place in frees else change


def freeing(change: Change, conditions: Iterable[Condition]) -> Change:
    """A change that no longer uses something once it is made."""
    statements = [evolve(one, frees=one.frees | set(conditions)) for one in change.statements]
    return evolve(change, statements=tuple(statements))


def _goes_with(part: Change, holder: Change) -> bool:
    """Whether it may come too late for the other, which takes it along: an index with its table."""
    if not any(_of(Stage.AFTER, part)):
        return False
    locked = [
        {lock.relation for one in each.statements for lock in one.locks} for each in (part, holder)
    ]
    return part.action is Action.REMOVE and holder.key[1:3] in locked[0] & locked[1]


def _moved(found: list[Change]) -> Iterator[bool]:
    """Move into the transaction, or out of it, what would not find its ground there."""
    later: dict[Condition, list[int]] = {}
    for place, change in enumerate(found):
        for condition in {each for one in _of(Stage.AFTER, change) for each in one.frees}:
            later.setdefault(condition, []).append(place)
    for place, change in enumerate(found):
        taken = {condition for one in _of(Stage.MAIN, change) for condition in one.takes}
        for other in {other for condition in taken for other in later.get(condition, ())}:
            if found[other].action is Action.REMOVE:
                at_once = tuple(one.at_once or one for one in found[other].statements)
                if at_once != found[other].statements:
                    found[other] = evolve(
                        found[other],
                        statements=tuple(map(_bound_as, at_once, found[other].statements)),
                    )
                    yield True
            elif change.action is Action.REMOVE and found[place] is change:
                moved = tuple(evolve(one, stage=Stage.AFTER) for one in change.statements)
                found[place] = evolve(change, statements=moved)
                yield True


def _of(stage: Stage, change: Change) -> Iterator[Statement]:
    return (one for one in change.statements if one.stage is stage)


def _bound_as(one: Statement, other: Statement) -> Statement:
    """A statement in the place of another."""
    return evolve(one, needs=other.needs, gives=other.gives, takes=other.takes, frees=other.frees)


def _committed(changes: list[Change]) -> list[Change]:
    """The changes, those before the transaction that it needs committed."""
    given = set().union(*map(_labels, changes))
    if not given:
        return changes
    found = []
    needed: set[Condition] = set()
    for change in changes:
        statements = []
        for one in change.statements:
            named = set() if one.is_text else given & set(map(label_of, constants(one.sql)))
            needs = one.needs | named
            if not one.has_to_commit and one.stage is not Stage.AFTER:
                needed |= needs & given
            statements.append(evolve(one, needs=needs))
        found.append(evolve(change, statements=tuple(statements)))
    return [_early(change) if _labels(change) & needed else change for change in found]


def _labels(change: Change) -> set[Condition]:
    """The labels that a change adds."""
    given = {each for one in change.statements if one.has_to_commit for each in one.gives}
    return {one for one in given if one.is_label}


def _early(change: Change) -> Change:
    """A change whose labels are all committed before the transaction: each stands beside others."""
    statements = [
        evolve(one, stage=Stage.BEFORE) if one.has_to_commit else one for one in change.statements
    ]
    return evolve(change, statements=tuple(statements))
