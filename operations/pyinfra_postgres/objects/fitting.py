"""Whether what is made anew still fits what it stands on.

The server reads it on temporary tables, views and functions that are as the real ones will be and
have their names, and rolls back: nobody waits for that. What it can't even read on such as are
there now, because it needs more than them, is not known and stands against nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from ..comparison.asking import Ask
from ..errors import DeclarationError
from ..syntax.names import Name, quoted
from ..syntax.rewrite import temporary
from ..transport.answer import NO_PRIVILEGE, Failure
from .dependent import Dependent, DependentPart
from .dependents import Dependents

_ABOUT_MEANING = ("22", "42")
"""The classes of SQLSTATEs that say that something does not fit."""


@frozen
class Ground:
    """What others stand on, as temporary objects that have its names."""

    before: tuple[str, ...]
    """What creates it as it is."""
    after: tuple[str, ...]
    """What creates it as it will be."""
    relations: frozenset[Name] = frozenset()
    functions: frozenset[Name] = frozenset()


def fitting(found: Dependents, ground: Ground, ask: Ask) -> Dependents:
    """The same, with an obstacle to those that will not fit any more."""
    those = [one for one in found.all if one.alone and not one.root]
    if not those:
        return found
    views = {one.whole for one in those if one.is_relation}
    tables = {one.whole for one in those if isinstance(one, DependentPart)}
    tables -= views | ground.relations
    copies = [f"CREATE TEMP TABLE {quoted(one.name)} (LIKE {one})" for one in sorted(tables)]
    relations = ground.relations | views | tables
    functions = ground.functions | {one.whole for one in those if one.is_routine}
    texts = {one.id: temporary(one.alone, relations, functions) for one in those}
    try:
        unknown = _failures([*ground.before, *copies], texts, those, ask)
        known = {id_: text for id_, text in texts.items() if id_ not in unknown}
        failures = _failures([*ground.after, *copies], known, those, ask)
    except (DeclarationError, _NotThereError):
        return found
    return found.hindered(
        {
            id_: f"PostgreSQL would refuse it then: {failure}"
            for id_, failure in failures.items()
            if failure and failure.sqlstate[:2] in _ABOUT_MEANING
        }
    )


class _NotThereError(Exception):
    """The ground itself can't be created."""


def _failures(
    head: Sequence[str], texts: Mapping[str, str], those: Sequence[Dependent], ask: Ask
) -> dict[str, Failure | None]:
    """What the server refuses, by id, and what stands on that, with None."""
    found: dict[str, Failure | None] = {}
    while True:
        waiting = [id_ for id_ in texts if id_ not in found]
        failure = ask.attempt([*head, *(texts[id_] for id_ in waiting)]).failure
        if failure is None:
            return found
        place = failure.index - len(head)
        if failure.sqlstate == NO_PRIVILEGE or not 0 <= place < len(waiting):
            raise _NotThereError
        found[waiting[place]] = failure
        found |= dict.fromkeys(_upon(waiting[place], those, found))


def _upon(id_: str, those: Sequence[Dependent], found: Mapping[str, object]) -> Iterator[str]:
    """What stands on an object, in the order in which they come."""
    gone = {id_}
    for one in those:
        if one.id not in found and not one.needs.isdisjoint(gone):
            gone.add(one.id)
            yield one.id
