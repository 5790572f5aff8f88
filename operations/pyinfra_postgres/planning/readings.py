"""What is declared anew, read on what the plan makes of what it stands on.

The server can't read it before, where the same plan changes the relations and functions that it
names. So they are made once more in `pg_temp`, empty and as they will be, and what is declared is
read on those. All of it is rolled back; nobody waits for that, and no row is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any

from attrs import define, evolve, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import ROUTINES, VIEWS, Key
from ..comparison.asking import Reading
from ..comparison.compare import NO_COLUMN
from ..errors import DeclarationError
from ..hidden import holds
from ..objects.constraints.constraints import PrimaryKey
from ..objects.indexes.indexes import StoredIndex
from ..objects.kind import Object
from ..objects.tables.columns import collation_sql
from ..objects.tables.tables import Table
from ..objects.types.composites import Composite
from ..objects.types.domains import Domain
from ..objects.types.enums import Enum
from ..objects.types.range_types import RangeType
from ..plan.plan import Change, Plan, Refusal
from ..syntax.names import Exact, Name, listed, quoted
from ..syntax.parse import expression_references, type_references
from ..syntax.paths import SearchPath
from ..syntax.rewrite import temporary
from ..transport.answer import Failure, is_of_sql, withheld
from .questions import Questions
from .session import Session

_TYPES = (Composite, Domain, Enum, RangeType)


@frozen
class _Piece:
    """A statement that makes or reads something in `pg_temp`."""

    sql: str
    path: SearchPath
    makes: Name | None = None
    """The relation or function for which it stands."""
    needs: frozenset[Name] = frozenset()
    change: Change | None = None
    """The change that declares it; None where it is there only for others."""
    text: str = ""

    @property
    def script(self) -> tuple[str, ...]:
        """What runs it, behind which the path is that of the collection again."""
        return (self.path.local, self.sql, SearchPath.OWN.local)


def unreadable(session: Session, plan: Plan) -> Iterator[Refusal]:
    """The changes of a plan that PostgreSQL would refuse on what the plan has made by then."""
    catalog = session.catalog()
    # A plan that touches nothing of what was there is tried as a whole; what SQL brings is unknown.
    if catalog.standby or catalog.rows_change or plan.gaps or _is_tried(plan):
        return
    declared = [
        change
        for change in plan.changes
        if isinstance(one := catalog.objects.get(change.key), StoredIndex) or _texts(one)
    ]
    if not declared:
        return
    ground = _Ground.of(catalog)
    with suppress(DeclarationError, CycleError):
        pieces = ground.pieces(declared)
        told = {(one.operation, one.title) for one in plan.refusals}
        for piece, failure in _failures(pieces, Questions(session, catalog, plan.is_renaming)):
            change = piece.change
            if change is None or not ground.counts(failure, piece.text):
                continue
            if (change.operation, change.title) not in told:
                told.add((change.operation, change.title))
                one = catalog.objects[change.key]
                said = withheld(failure) if holds(one) else failure
                reason = f"PostgreSQL would refuse it on what it stands on by then: {said}"
                reason += failure.advice
                yield Refusal(change.operation, change.title, reason)


def _is_tried(plan: Plan) -> bool:
    return all(change.is_quiet for change in plan.changes)


def _texts(one: Any) -> list[Reading]:
    """What of an object is written as somebody has declared it, and can be read."""
    if not isinstance(one, Object):
        return []
    if one.kind in ROUTINES:
        body = getattr(one, "body", None)
        is_read = getattr(one, "is_in_sql", False) and "search_path" not in _settings(one)
        return [Reading("{}", body)] if body and is_read and not isinstance(body, Exact) else []
    # Of a table everything is tried on its own copy.
    found = () if isinstance(one, Table) else one.readings(None)
    return [each for each in found if each.text is not None and not isinstance(each.text, Exact)]


def _settings(one: Any) -> Mapping[str, str]:
    return getattr(one, "settings", None) or {}


@define
class _Ground:
    """The relations and functions that the plan leaves otherwise than the server has them."""

    catalog: Forecast
    relations: set[Name]
    functions: set[Name]

    @classmethod
    def of(cls, catalog: Forecast) -> _Ground:
        """With the views that stand on them."""
        changing = catalog.altered | catalog.created | catalog.stored.keys()
        relations = {name for name in changing if catalog.relation_kinds.get(name) in set("rpvm")}
        waiting = [one for key, one in catalog.objects.items() if key[0] in VIEWS]
        while True:
            found = [one for one in waiting if one.name in relations or _reads(one) & relations]
            if not found:
                break
            relations |= {one.name for one in found}
            waiting = [one for one in waiting if one not in found]
        functions = {Name(key[1], key[2]) for key in catalog.changed if key[0] in ROUTINES}
        known = {Name(key[1], key[2]) for key in catalog.objects if key[0] in ROUTINES}
        return cls(catalog, relations, functions & known)

    def pieces(self, changes: Sequence[Change]) -> list[_Piece]:
        """What makes them, and what reads the declarations of changes, each after what it needs."""
        by_key = {change.key: change for change in changes}
        readings = list(self._readings(changes))
        made = [*self._tables(), *self._functions(by_key), *self._views(by_key)]
        made = _needed([one for one in made if one.change] + readings, made)
        for those in (self.relations, self.functions):
            names = those.intersection(one.makes for one in made)
            if len({name.name for name in names}) < len(names):
                return []  # In `pg_temp` there is one of a name.
        graph: dict[int, list[int]] = {
            number: [
                other
                for other, each in enumerate(made)
                if each.makes in one.needs and each.makes != one.makes
            ]
            for number, one in enumerate(made)
        }
        order = [made[number] for number in TopologicalSorter(graph).static_order()]
        return [*order, *readings]

    def _tables(self) -> Iterator[_Piece]:
        for name in sorted(self.relations):
            table = self.catalog.table(name)
            if table is None or table.columns is None:
                continue
            parts = [
                f"{quoted(one.name)} {one.type}"
                + (f" COLLATE {collation_sql(one.collation)}" if one.collation else "")
                for one in table.columns
            ]
            # A query may group by it, and name other columns too.
            keys = (one for one in table.constraints if isinstance(one, PrimaryKey))
            parts += [f"PRIMARY KEY ({listed(one.columns)})" for one in keys]
            sql = f"CREATE TEMP TABLE {quoted(name.name)} ({', '.join(parts)})"
            yield _Piece(sql, SearchPath.OWN, name)

    def _functions(self, changes: Mapping[Key, Change]) -> Iterator[_Piece]:
        for key, one in self.catalog.objects.items():
            if key[0] not in ROUTINES or Name(key[1], key[2]) not in self.functions:
                continue
            copy: Any = evolve(one, name=Name("pg_temp", key[2]), owner=None, comment=None)
            body, in_public = copy.body or "", not isinstance(copy.body, Exact)
            is_read = bool(_texts(one))
            if is_read and not copy.has_sql_body:
                copy = evolve(copy, body=self._temporary(body, in_public))
            create = next(iter(copy.diff(None, copy)))
            sql = create.sql
            if copy.has_sql_body:
                sql = self._temporary(sql, in_public)
            elif not is_read:
                sql = f"SET LOCAL check_function_bodies = off; {sql}"
            needs = {ref.name for ref in one.requires()} & (self.relations | self.functions)
            change = changes.get(key) if is_read else None
            yield _Piece(sql, create.path, one.name, frozenset(needs), change, body)

    def _views(self, changes: Mapping[Key, Change]) -> Iterator[_Piece]:
        for key, one in self.catalog.objects.items():
            if key[0] in VIEWS and one.name in self.relations and one.query:
                in_public = not isinstance(one.query, Exact)
                query = self._temporary(one.query, in_public)
                sql = f"CREATE TEMP VIEW {quoted(one.name.name)} AS\n{query}"
                path, needs = SearchPath.of(one.query), self._needs(one.query)
                yield _Piece(sql, path, one.name, needs, changes.get(key), one.query)

    def _readings(self, changes: Iterable[Change]) -> Iterator[_Piece]:
        for change in changes:
            declared: Any = self.catalog.objects.get(change.key)
            if declared is None or change.key[0] in VIEWS | ROUTINES:
                continue
            if isinstance(declared, StoredIndex) and self._is_table(declared.table):
                yield self._index(declared, change)
                continue
            for one in _texts(declared):
                text = one.text or ""
                on = {one.on} & self.relations if one.on else set()
                needs = self._needs(text) | on
                if needs:
                    read = self._temporary(one.template.replace("{}", f"\n{text}\n"), True)
                    sql = (
                        f"CREATE TEMP VIEW pyinfra_postgres_reading AS\n{read};"
                        " DROP VIEW pg_temp.pyinfra_postgres_reading"
                    )
                    yield _Piece(sql, SearchPath.USERS, None, frozenset(needs), change, text)

    def _is_table(self, name: Name) -> bool:
        return name in self.relations and self.catalog.relation_kinds.get(name) in {"r", "p"}

    def _index(self, one: StoredIndex, change: Change) -> _Piece:
        """What builds an index on the copy of its table, under a name that nothing has."""
        table, name = Name("pg_temp", one.table.name), Exact("pyinfra_postgres_reading_index")
        copy = evolve(one, name=name, table=table, tablespace=None)
        path = SearchPath.of(*one.fragments)
        sql = self._temporary(copy.created(concurrently=False), path is SearchPath.USERS)
        text = " ".join(filter(None, one.fragments))
        needs = (self._needs(each) for each in one.fragments if each)
        sql += f"; DROP INDEX pg_temp.{quoted(name)}"
        return _Piece(sql, path, None, frozenset({one.table}).union(*needs), change, text)

    def _needs(self, text: str) -> frozenset[Name]:
        names = (one.name.in_public for one in expression_references(text))
        return frozenset(names) & (self.relations | self.functions)

    def _temporary(self, sql: str, in_public: bool) -> str:
        return temporary(sql, self.relations, self.functions, in_public=in_public)

    def counts(self, failure: Failure, text: str) -> bool:
        """Whether a failure says something of the run: that may have types that are not there yet.

        Functions that take a row of a relation do not take one of its copy.
        """
        state, catalog = failure.sqlstate, self.catalog
        if not is_of_sql(state):
            return False
        every = (catalog.objects.get(key, catalog.removed.get(key)) for key in catalog.changed)
        changed = {type(one) for one in every if isinstance(one, _TYPES)}
        if changed and not (state == NO_COLUMN and Composite not in changed):
            return False
        return not catalog.extended and set(self._of_rows()).isdisjoint(re.findall(r"\w+", text))

    def _of_rows(self) -> Iterator[str]:
        for key, one in self.catalog.objects.items():
            if key[0] in ROUTINES:
                types = (ref.name for each in one.arguments for ref in type_references(each.type))
                if not self.relations.isdisjoint(types):
                    yield key[2]


def _reads(view: Any) -> set[Name]:
    try:
        return {ref.name for ref in expression_references(view.query or "") if ref.kind == "table"}
    except DeclarationError:
        return set()


def _needed(roots: Sequence[_Piece], pieces: Sequence[_Piece]) -> list[_Piece]:
    """The pieces that some need or are, and those that these need."""
    found = {id(one) for one in roots}
    names = set().union(*(one.needs for one in roots))
    while more := [one for one in pieces if one.makes in names and id(one) not in found]:
        found.update(map(id, more))
        names = names.union(*(one.needs for one in more))
    return [one for one in pieces if id(one) in found]


def _failures(pieces: Sequence[_Piece], ask: Questions) -> Iterator[tuple[_Piece, Failure]]:
    """What the server refuses; what stands on that is not read."""
    waiting = list(pieces)
    while waiting:
        failure = ask.attempt_apart([sql for one in waiting for sql in one.script]).failure
        if failure is None:
            return
        place = failure.index // 3
        if not 0 <= place < len(waiting):
            return
        yield waiting[place], failure
        waiting = _without(waiting[place], waiting)


def _without(one: _Piece, pieces: Iterable[_Piece]) -> list[_Piece]:
    """The pieces without one, and without what stands on it."""
    gone: AbstractSet[Name] = {one.makes} if one.makes else set()
    left = []
    for each in pieces:
        if each is one:
            continue
        if each.needs & gone:
            gone = gone | ({each.makes} if each.makes else set())
        else:
            left.append(each)
    return left
