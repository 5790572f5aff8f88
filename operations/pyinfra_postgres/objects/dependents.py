"""What depends on a column, a type, a view or a function, and how it is made anew.

PostgreSQL refuses to change what something depends on. What stands in the way is dropped and
created again from the server's own definitions, in one transaction; what can't be created exactly
as it is, is an obstacle, and the change is refused with its name.
https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any

from attrs import evolve, field, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import ROUTINES, VIEWS, Key
from ..comparison.asking import Ask
from ..comparison.definitions import Definition, compared, definitions, function
from ..errors import DeclarationError
from ..plan.plan import Hazard, Remake, Statement
from ..syntax.names import Exact, Name, literal, quoted
from ..syntax.naming import naming
from ..syntax.parse import closed, column_names, expression_references, tree
from ..syntax.paths import SearchPath
from .dependent_locks import creating, dropping, restoring
from .dependents_query import QUERY
from .granting import default_privileges, granted_again


@frozen
class Dependent:
    """An object that depends on another, with what drops it and what creates it again."""

    id: str
    kind: str
    title: str
    needs: frozenset[str]
    """The ids of what it depends on."""
    key: Key | None = None
    """The key in the catalog of what it is, or is a part of."""
    drop: tuple[Statement, ...] = ()
    create: tuple[Statement, ...] = ()
    """What creates it with its definition."""
    restore: tuple[Statement, ...] = ()
    """What gives it all else that it has: owner, privileges, comments, settings of its columns."""
    obstacle: str = ""
    """Why it can't be made anew."""
    facts: tuple[Any, ...] = ()
    """What else is known of it."""
    definition: Definition | None = None
    """How the server prints it; None where the plan has it otherwise by now."""
    gone: bool = False
    """Whether the plan has taken it away by now."""

    @property
    def root(self) -> bool:
        """Whether it is what was asked about."""
        return _ROOT in self.needs

    @property
    def anew(self) -> tuple[Statement, ...]:
        """What makes it anew."""
        return self.create + self.restore

    def stops(self, table: Name, columns: AbstractSet[str], catalog: Forecast) -> bool:
        """Whether it stands against dropping columns of a table, when the plan has run."""
        stored: Any = self.key and catalog.objects.get(self.key)
        match self.kind:
            case "foreign_key":
                keys = getattr(stored, "constraints", ())
                return any(key.name == self.facts[2] for key in keys)
            case "generated":
                known = (each for each in getattr(stored, "columns", None) or ())
                texts = [each.generated for each in known if each.name == self.facts[2]]
                names = (name for text in texts if text for name in column_names(tree(text)))
                return not columns.isdisjoint(names)
        # What the plan changes may use them all the same.
        stays = self.key not in catalog.changed or (
            stored is not None and stored.uses(table, columns)
        )
        return self.kind in _STOPPING and stays

    @property
    def own_key(self) -> Key:
        """What tells it apart from all others."""
        is_part = self.key is None or self.kind != self.key[0]
        return (self.kind, *map(str, self.facts)) if is_part else self.key or ()


_PARTS = frozenset(
    {
        *("default", "generated", "check", "exclusion", "foreign_key", "rule"),
        *("index", "policy", "trigger", "statistics", "publication"),
    }
)
"""What goes with the table or view that it belongs to."""
_STOPPING = frozenset(
    (
        *("view", "materialized_view", "policy", "trigger", "function", "procedure"),
        *("publication", "other"),
    )
)
"""What stops a column from being dropped; the rest goes with it."""
_ROOT = "0/0/0"
"""What a root needs: nothing."""


@frozen
class Dependents:
    """Objects in an order in which each comes after what it needs."""

    all: tuple[Dependent, ...] = ()

    def of_kind(self, *kinds: str) -> list[Dependent]:
        """Those of some kinds, in order."""
        return [one for one in self.all if one.kind in kinds]

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
            if not one.root
            and one.kind not in {"row", "array", "key", "part"}
            and (_is_as_stored(one, catalog) or _still_uses(one, roots, name, catalog))
            and not (one.kind in _PARTS and one.facts[:2] == tuple(name))
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


def is_of_parts(one: Dependent) -> bool:
    """Whether it is an index or a key of a partitioned table that is no partition's."""
    return one.kind in {"index", "key"} and one.facts[4] and not one.facts[3]


def named_again(those: Iterable[Dependent]) -> Iterator[Statement]:
    """The statement that gives indexes of partitions their names, where PostgreSQL built them anew.

    It builds those of a partitioned table by their whole, and chooses their names itself.
    """
    parts = [one.facts[:4] for one in those if one.kind in {"index", "key"} and one.facts[3]]
    if not parts:
        return
    known = [
        (whole, Name(schema, table), Name(schema, name)) for schema, table, name, whole in parts
    ]
    names = ", ".join(str(name) for _, _, name in known)
    yield Statement(naming(known), summary=f"-- as they are named: {names}")


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
    rows = ask.renamed(QUERY.replace("ROOTS", root))
    gone = _gone(rows, catalog)
    defaults = default_privileges(ask) if rows else ()
    titles = {row[0]: row[2] for row in rows if _is_printed(row, catalog)}
    printed = definitions(titles, ask)
    found = [
        evolve(_read(row, defaults, catalog), definition=printed.get(row[0]), gone=row[0] in gone)
        for row in rows
    ]
    known = {one.id: one for one in found}
    graph = {one.id: sorted(one.needs & known.keys() - {one.id}) for one in found}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = ", ".join(known[id_].title for id_ in sorted(set(error.args[1])))
        return Dependents(
            tuple(
                Dependent(one.id, one.kind, one.title, one.needs, obstacle=f"a circle: {circle}")
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


def _gone(rows: Sequence[Any], catalog: Forecast) -> set[str]:
    """The ids of what the plan has taken away, and of what that has taken with it."""
    gone = {row[0] for row in rows if _is_gone(row, catalog)}
    while more := {
        row[0]
        for row in rows
        if row[0] not in gone
        and not gone.isdisjoint(row[3] or ())
        and (row[4] is None or tuple(row[4]) not in catalog.changed)
    }:
        gone |= more
    return gone


def _is_gone(row: Sequence[Any], catalog: Forecast) -> bool:
    """Whether the plan has removed something within its transaction."""
    kind, key, facts = row[1], tuple(row[4] or ()), row[-1]
    if key not in catalog.changed or _ROOT in (row[3] or ()):
        return False
    one: Any = catalog.objects.get(key)
    if kind in {"check", "foreign_key", "exclusion"} and one is not None:
        names = {each.name for each in one.constraints}
        return facts[2] not in names and None not in names
    return one is None and kind == key[0]


def _is_as_stored(one: Dependent, catalog: Forecast) -> bool:
    """Whether the plan leaves it as the server has it, which does not know of the plan."""
    if one.key not in catalog.changed:
        return True
    whole: Any = catalog.objects.get(one.key) if one.key else None
    match one.kind, one.facts:
        case "column", (_, _, _, column, type_, *_):
            there: Any = getattr(whole, "columns", None) or getattr(whole, "attributes", ())
            return any((each.name, each.type) == (column, type_) for each in there)
        case "default" | "generated", (_, _, name, *_):
            parts = getattr(whole, "columns", None)
        case "check" | "exclusion", (_, _, name, *_):
            parts = getattr(whole, "constraints", None)
        case _:
            return False
    # What is declared otherwise by now is no text of the server's.
    texts = (text for each in parts or () if each.name == name for text in each.fragments)
    return any(isinstance(text, Exact) for text in texts)


def _still_uses(one: Dependent, roots: frozenset[str], name: Name, catalog: Forecast) -> bool:
    """Whether what the plan changes names a root all the same; that has this name."""
    changed: Any = one.key and catalog.objects.get(one.key)
    if one.kind == "foreign_key":
        keys = getattr(changed, "constraints", ())
        return any((key.name, getattr(key, "table", None)) == (one.facts[2], name) for key in keys)
    if changed is None or one.kind not in _WITH_TEXTS or one.needs.isdisjoint(roots):
        return False
    texts = [getattr(changed, attribute, None) for attribute in _TEXTS]
    texts += getattr(changed, "fragments", ())
    if any(isinstance(text, Exact) and _names(text, name) for text in texts):
        return True
    # Of several functions of a name it may use another one by now.
    others = [key for key in catalog.objects if key[0] in ROUTINES and key[1:3] == name]
    found = (ref for ref in changed.requires() if ref.kind in {"table", "function", "type"})
    return len(others) < 2 and any(ref.name.in_public == name for ref in found)


_WITH_TEXTS = ROUTINES | VIEWS | {"policy", "trigger", "index"}
_TEXTS = ("query", "using", "check", "condition", "body")


def _names(text: str, name: Name) -> bool:
    try:
        return any(ref.name.in_public == name for ref in expression_references(text))
    except DeclarationError:  # It is the body of a function.
        return re.search(rf"\b{re.escape(name.name)}\b", text) is not None


def _is_printed(row: Sequence[Any], catalog: Forecast) -> bool:
    """Whether an object can be made anew, and the plan leaves it as the server has it."""
    kind, key, create = row[1], row[4], row[7]
    changed = key is not None and tuple(key) in catalog.changed
    return (kind == "generated" or bool(create)) and not changed


def _read(row: Sequence[Any], defaults: Sequence[tuple[str, str]], catalog: Forecast) -> Dependent:
    id_, kind, title, needs, key, relation, drop, create, restore, obstacle, facts = row
    on = [Name(*name) for name in relation or ()]
    hazards = (Hazard.BLOCKS_READS,) if kind in VIEWS else ()
    dropped = [Statement(one, hazards=hazards, locks=dropping(kind, on)) for one in _texts(drop)]
    created = [Statement(one, locks=creating(kind, one, on)) for one in _texts(create)]
    restored = [Statement(one, locks=restoring(kind, one, on)) for one in _texts(restore)]
    if kind in ROUTINES and created:
        created[0] = function(created[0].sql)
    if key and tuple(key) in catalog.changed:
        planned = _as_planned(kind, tuple(key), facts, catalog)
        if planned is None:
            obstacle = "an earlier operation of this run changes it: declare this one before that"
        elif dropped:
            created = [*planned, *created[1:]]
    if dropped and kind in _ACLS:
        restored += granted_again(_ACLS[kind], (_ACLS[kind], *key[1:]), defaults, catalog)
    return Dependent(
        id_,
        kind,
        title,
        frozenset(needs or ()),
        key and tuple(key),
        tuple(dropped),
        tuple(created),
        tuple(restored),
        obstacle or "",
        tuple(facts or ()),
    )


def _as_planned(
    kind: str, key: Key, facts: Sequence[Any], catalog: Forecast
) -> list[Statement] | None:
    """What creates an object as the plan has it by now; None where that is not known."""
    one: Any = catalog.objects.get(key)
    if one is None or (kind != "column" and key in catalog.outdated):
        return None
    match kind:
        case "policy" | "view" | "function" | "procedure":
            return [next(iter(one.diff(None, one)))]
        case "check" | "foreign_key" | "exclusion":
            for constraint in one.constraints:
                if constraint.name == facts[2]:
                    text = f"ALTER TABLE {one.name} ADD {constraint.written()}"
                    path = SearchPath.of(*constraint.fragments)
                    return [Statement(text, path=path, locks=one.name)]
        case "default":
            for column in one.columns:
                if column.name == facts[2] and column.default is not None:
                    alter = f"ALTER TABLE ONLY {one.name} ALTER COLUMN {quoted(column.name)}"
                    text = f"{alter} SET DEFAULT ({closed(column.default)})"
                    path = SearchPath.of(column.default)
                    return [Statement(text, path=path, locks=one.name)]
            return []
        case "column":
            return []
    return None


def _texts(found: Any) -> Iterator[str]:
    """The texts in nested lists that also hold nothing."""
    if isinstance(found, str):
        yield found
    for one in found if isinstance(found, list) else ():
        yield from _texts(one)


_ACLS = {
    "view": "TABLE",
    "materialized_view": "TABLE",
    "function": "FUNCTION",
    "procedure": "PROCEDURE",
    "domain": "TYPE",
}
