"""Many declarations in one operation, in an order in which each finds what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from attrs import evolve
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from .. import given
from ..arguments import Arguments
from ..converge import converge, declared
from ..errors import DeclarationError
from ..kind import Object
from ..names import Name
from ..parse import Reference
from .constraints import Constraint, ForeignKey
from .declarations import check_declaration
from .extensions import Extension
from .tables import Table


def ordered(declarations: Sequence[Object]) -> list[Object]:
    """The declarations so that each comes after what it needs, else as they are given.

    Tables may reference one another in a circle: a foreign key to a table further down becomes a
    declaration of its own at the end.
    """
    for requires in (_all_named, lambda one: one.requires()):
        try:
            return _sorted(declarations, requires)
        except CycleError:
            pass
    try:
        return list(_without_forward_keys(_sorted(declarations, _order_requires)))
    except CycleError as error:
        circle = " needs ".join(declarations[index].title for index in reversed(error.args[1]))
        raise DeclarationError(f"these need one another in a circle: {circle}") from None


def _sorted(
    declarations: Sequence[Object], requires: Callable[[Object], Iterator[Reference]]
) -> list[Object]:
    """The same, by what each requires. Raises CycleError."""
    providers: dict[Reference, int] = {}
    for index, one in enumerate(declarations):
        for reference in one.provides():
            providers.setdefault(reference, index)
            if reference.kind == "function" and reference.name.schema == "public":
                providers.setdefault(Reference("function", Name("", reference.name.name)), index)
    extensions = {i for i, one in enumerate(declarations) if isinstance(one, Extension)}
    needs: dict[int, set[int]] = {}
    for index, one in enumerate(declarations):
        needed: set[int] = set()
        for reference in requires(one):
            found = set(_matching(reference, providers))
            # What nothing here provides may come with an extension.
            unknown = not found and reference.kind in {"type", "function"}
            needed |= extensions if unknown else found
        needs[index] = needed - {index}
    TopologicalSorter(needs).prepare()
    # Each in its turn, what it needs right before it: what needs nothing stays where it is, and
    # no script or row overtakes what is given before it.
    in_order: dict[int, Object] = {}
    waiting = sorted(needs, reverse=True)
    while waiting:
        index = waiting[-1]
        if ahead := needs[index].difference(in_order):
            waiting += sorted(ahead, reverse=True)
        else:
            in_order.setdefault(waiting.pop(), declarations[index])
    return list(in_order.values())


def _matching(reference: Reference, providers: dict[Reference, int]) -> Iterator[int]:
    """What provides a reference; one without a name is to all of its kind in its schema."""
    if reference in providers:
        yield providers[reference]
    elif not reference.name.name:
        for other, index in providers.items():
            if (other.kind, other.name.schema) == (reference.kind, reference.name.schema):
                yield index


def _all_named(one: Object) -> Iterator[Reference]:
    """What it requires, and what it calls only when it runs."""
    yield from one.requires()
    yield from one.mentions()


def _order_requires(one: Object) -> Iterator[Reference]:
    """What it requires but for the tables of foreign keys."""
    if isinstance(one, Table):
        one = evolve(one, constraints=[c for c in one.constraints if not isinstance(c, ForeignKey)])
    return one.requires()


def _without_forward_keys(declarations: list[Object]) -> Iterator[Object]:
    ahead = {one.name for one in declarations if isinstance(one, Table)}
    later: list[Object] = []
    for one in declarations:
        if not isinstance(one, Table):
            yield one
            continue
        ahead.discard(one.name)
        postponed: list[Constraint] = [
            key for key in one.constraints if isinstance(key, ForeignKey) and key.table in ahead
        ]
        kept = [key for key in one.constraints if key not in postponed]
        yield evolve(one, constraints=kept)
        if postponed:
            later.append(Table(one.name, constraints=postponed))
    yield from later


def objects(
    objects: Sequence[Object],
    *,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare many objects in one operation. For pyinfra it is one operation and costs one.

    + objects: declarations: `pg.Table(...)`, `pg.Enum(...)`, ..., with the arguments of the
      operations of the same names; in any order
    + present: whether they exist; they are removed in the opposite order

    **Example:**

    .. code:: python

        pg.objects(
            [
                pg.Enum("state", ["new", "done"]),
                pg.Table("job", [pg.Column("state", "state")]),
            ]
        )
    """
    several = given.several("objects", objects, Object)
    if not several:
        raise DeclarationError("pg.objects() needs at least one declaration")
    for one in several:
        check_declaration(one)
    found = ordered(several)
    if not present:
        found.reverse()
    count = len(several)
    return converge(
        **declared(found, present, arguments, name=f"{count} object{'s' if count > 1 else ''}")
    )
