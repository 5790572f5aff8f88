"""What depends on a column, a type, a view or a function, and how it is made anew.

PostgreSQL refuses to change what something depends on. What stands in the way is dropped and
created again from the server's own definitions, in one transaction; what can't be created exactly
as it is, is an obstacle, and the change is refused with its name.
https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import TypeVar

from attrs import evolve, field, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import ROUTINES, Key
from ..comparison.asking import Ask
from ..comparison.definitions import Definition, compared, definitions
from ..errors import DeclarationError
from ..plan.plan import Remake, Statement
from ..syntax.names import Exact, Name, literal
from ..syntax.parse import expression_references
from .access.policies import DependentPolicy
from .code.dependents import (
    DependentFunction,
    DependentMaterializedView,
    DependentProcedure,
    DependentRule,
    DependentTrigger,
    DependentView,
)
from .constraints.dependents import DependentCheck, DependentExclusion, DependentForeignKey
from .dependent import Dependent, DependentPart, FoundRow, Inner, Other
from .dependents_query import WALK
from .granting import default_privileges
from .indexes.dependents import DependentIndex, DependentKey
from .server.publications import DependentPublication
from .tables.dependents import (
    DependentColumn,
    DependentDefault,
    DependentGenerated,
    DependentStatistics,
)
from .types.dependents import (
    DependentArray,
    DependentDomain,
    DependentDomainCheck,
    DependentDomainDefault,
    DependentEnum,
    DependentRow,
    DependentType,
)

KINDS = (
    *(DependentColumn, DependentType, DependentEnum, DependentDomain, DependentArray),
    *(DependentRow, DependentDomainDefault, DependentDefault, DependentGenerated),
    *(DependentCheck, DependentForeignKey, DependentExclusion, DependentKey, DependentIndex),
    *(DependentPolicy, DependentTrigger, DependentStatistics, DependentView),
    *(DependentMaterializedView, DependentFunction, DependentProcedure, DependentDomainCheck),
    *(DependentRule, DependentPublication, Inner, Other),
)
_BY_WORD: Mapping[str, type[Dependent]] = {one.kind: one for one in KINDS}
_QUERY = WALK + "\nUNION ALL\n".join(dict.fromkeys(one.section for one in KINDS))
_D = TypeVar("_D", bound=Dependent)


@frozen
class Dependents:
    """Objects in an order in which each comes after what it needs."""

    all: tuple[Dependent, ...] = ()

    def of(self, kind: type[_D]) -> list[_D]:
        """Those of a kind, in order."""
        return [one for one in self.all if isinstance(one, kind)]

    def without(self, left_alone: Callable[[Dependent], bool]) -> Dependents:
        """The same without what can stay."""
        return Dependents(tuple(one for one in self.all if not left_alone(one)))

    @property
    def left(self) -> Dependents:
        """The same without what the plan has taken away."""
        return self.without(lambda one: one.gone)

    def hindered(self, obstacles: Mapping[str, str]) -> Dependents:
        """The same, where some can't be made anew as they are; obstacles are given by id."""
        return Dependents(tuple(_hindered(one, obstacles.get(one.id)) for one in self.all))

    @property
    def obstacles(self) -> list[str]:
        """What can't be made anew, with the reason."""
        return [f"{one.title} ({one.obstacle})" for one in self.all if one.obstacle]

    def users(self, name: Name, catalog: Forecast) -> list[str]:
        """Those that would stop a removal of the root, which has this name.

        Not its own parts, nor what the plan has changed so that it uses that no longer.
        """
        roots = frozenset(one.id for one in self.all if one.root)
        return [
            one.title
            for one in self.all
            if not (one.root or one.is_inner)
            and (one.is_as_stored(catalog) or _still_uses(one, roots, name, catalog))
            and not (isinstance(one, DependentPart) and one.whole == name)
        ]

    def dropped(self) -> Iterator[Statement]:
        """What takes them out of the way."""
        for one in reversed(self.all):
            yield from one.drop

    def created(self) -> Iterator[Statement]:
        """What brings them back."""
        for one in self.all:
            yield from one.anew

    @property
    def definitions(self) -> Iterator[Definition]:
        """How the server prints them now."""
        return (one.definition for one in self.all if one.definition)


def _hindered(one: Dependent, obstacle: str | None) -> Dependent:
    if not obstacle:
        return one
    first, *rest = one.create
    assert first.remakes
    mark = evolve(first.remakes, obstacle=f"{one.title} ({obstacle})")
    return evolve(one, create=(evolve(first, remakes=mark), *rest))


def of_type(name: Name, catalog: Forecast, ask: Ask) -> Dependents:
    """What depends on a type, with the columns that have it and what depends on those."""
    root = f"SELECT 'pg_type'::regclass, {_oid('regtype', name)}, 0"
    return _found(root, catalog, ask)


def of_columns(table: Name, columns: Iterable[str], catalog: Forecast, ask: Ask) -> Dependents:
    """What depends on columns of a table, and on the same columns of its partitions."""
    names = ", ".join(literal(str(name)) for name in columns)
    root = f"""
        SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM pg_attribute a
         WHERE a.attname IN ({names}) AND a.attrelid IN (
           WITH RECURSIVE tree(oid) AS (
               SELECT {_oid("regclass", table)}
             UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
           SELECT oid FROM tree)"""
    return _found(root, catalog, ask)


def of_relation(name: Name, catalog: Forecast, ask: Ask) -> Dependents:
    """What depends on a view, materialized view or sequence, and itself."""
    return _found(f"SELECT 'pg_class'::regclass, {_oid('regclass', name)}, 0", catalog, ask)


def of_table(name: Name, catalog: Forecast, ask: Ask) -> Dependents:
    """What depends on a table, on its columns, or on its row type."""
    oid = _oid("regclass", name)
    root = f"""
        SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_attribute
         WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped
         UNION ALL SELECT 'pg_type'::regclass, reltype, 0 FROM pg_class WHERE oid = {oid}"""
    return _found(root, catalog, ask)


def grouping_by(table: Name, catalog: Forecast, ask: Ask) -> list[str]:
    """What stands on a table's primary key, as a query does that groups by it and names more.

    Not what the plan has changed: the server does not know of that.
    """
    found = ask.renamed(
        f"""
        SELECT DISTINCT jsonb_build_array(pg_describe_object(o.classid, o.objid, 0),
                 CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' END,
                 (SELECT nspname FROM pg_namespace n WHERE n.oid = c.relnamespace), c.relname)
          FROM pg_constraint k
          JOIN pg_depend d ON d.refclassid = 'pg_constraint'::regclass AND d.refobjid = k.oid
           AND d.deptype = 'n' AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
          LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
          LEFT JOIN pg_class c ON c.oid = r.ev_class
         CROSS JOIN LATERAL (SELECT CASE WHEN c.oid IS NULL THEN d.classid
             ELSE 'pg_class'::regclass END, coalesce(c.oid, d.objid)) AS o(classid, objid)
         WHERE k.contype = 'p' AND k.conrelid = {_oid("regclass", table)}"""
    )
    return sorted(title for title, *key in found if tuple(key) not in catalog.changed)


def of_function(signature: str, catalog: Forecast, ask: Ask) -> Dependents:
    """What depends on a function, and itself; `signature` has its name and argument types."""
    root = f"SELECT 'pg_proc'::regclass, to_regprocedure({literal(signature)})::oid, 0"
    return _found(root, catalog, ask)


@frozen
class Remade:
    """An object that is dropped and created with another definition."""

    created: tuple[Statement, ...] = ()
    """What creates it as the server has it, with its owner, privileges and comments."""
    dependents: Dependents = field(factory=Dependents)

    @classmethod
    def of(cls, found: Dependents) -> Remade:
        """From what depends on an object, and itself. Raises DeclarationError."""
        others = found.without(lambda one: one.root)
        if others.obstacles:
            raise DeclarationError(
                "PostgreSQL has to drop and create it, and these can't be created again with it: "
                f"{', '.join(others.obstacles)}"
            )
        # What it has is given again where it is declared, and nowhere else.
        own = (statement for one in found.all if one.root for statement in one.anew)
        return cls(tuple(evolve(statement, remakes=None) for statement in own), others)

    @property
    def restored(self) -> Iterator[Statement]:
        """What gives the new object all that the former one had but for its definition."""
        yield from self.created[1:]
        yield from self.dependents.created()
        yield from compared(self.dependents.definitions, adapted=True)


def _oid(type_: str, name: Name) -> str:
    return f"to_{type_}({literal(str(name))})::oid"


def _found(root: str, catalog: Forecast, ask: Ask) -> Dependents:
    rows = [FoundRow(*row) for row in ask.renamed(_QUERY.replace("ROOTS", root))]
    those = [_BY_WORD[row.kind].read(row) for row in rows]
    gone = _gone(those, catalog)
    defaults = default_privileges(ask) if rows else ()
    titles = {
        one.id: one.title for one in those if one.is_printed and one.key not in catalog.changed
    }
    printed = definitions(titles, ask)
    found = [
        evolve(one.in_plan(defaults, catalog), definition=printed.get(one.id), gone=one.id in gone)
        for one in those
    ]
    known = {one.id: one for one in found}
    graph = {one.id: sorted(one.needs & known.keys() - {one.id}) for one in found}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = ", ".join(known[id_].title for id_ in sorted(set(error.args[1])))
        return Dependents(
            tuple(
                type(one)(one.id, one.title, one.needs, obstacle=f"a circle: {circle}")
                for one in found
            )
        )
    return Dependents(tuple(_marked(known[id_] for id_ in order)))


def _marked(found: Iterable[Dependent]) -> Iterator[Dependent]:
    """The same, in order, whose statements tell what they make anew and what that stands on."""
    below: dict[str, frozenset[Key]] = {}
    for one in found:
        known = [id_ for id_ in one.needs if id_ in below]
        needs = frozenset(chain.from_iterable(below[id_] for id_ in known))
        below[one.id] = needs | {one.own_key}
        check = next(compared([one.definition], adapted=True), None) if one.definition else None
        mark = Remake(one.own_key, needs, check)
        yield evolve(
            one,
            drop=tuple(evolve(each, remakes=evolve(mark, is_drop=True)) for each in one.drop),
            create=tuple(evolve(each, remakes=mark) for each in one.create),
            restore=tuple(evolve(each, remakes=mark) for each in one.restore),
        )


def _gone(those: Sequence[Dependent], catalog: Forecast) -> set[str]:
    """The ids of what the plan has taken away, and of what that has taken with it."""
    gone = {one.id for one in those if one.is_gone(catalog)}
    while more := {
        one.id
        for one in those
        if one.id not in gone and not one.needs.isdisjoint(gone) and one.key not in catalog.changed
    }:
        gone |= more
    return gone


def _still_uses(one: Dependent, roots: frozenset[str], name: Name, catalog: Forecast) -> bool:
    """Whether what the plan changes names a root all the same; that has this name."""
    changed = one.stored(catalog)
    if one.refers(changed, name):
        return True
    texts = None if changed is None else one.texts(changed)
    if texts is None or one.needs.isdisjoint(roots):
        return False
    if any(isinstance(text, Exact) and _names(text, name) for text in texts):
        return True
    # Of several functions of a name it may use another one by now.
    others = [key for key in catalog.objects if key[0] in ROUTINES and key[1:3] == name]
    found = (ref for ref in changed.requires() if ref.kind in {"table", "function", "type"})
    return len(others) < 2 and any(ref.name.in_public == name for ref in found)


def _names(text: str, name: Name) -> bool:
    try:
        return any(ref.name.in_public == name for ref in expression_references(text))
    except DeclarationError:  # It is the body of a function.
        return re.search(rf"\b{re.escape(name.name)}\b", text) is not None
