"""Renames, and what else has another name because of them.

Pure: no I/O, no pyinfra state. PostgreSQL keeps references by number, so after a rename everything
shows the new name; the catalog as it will be follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import attrs
from attrs import evolve, fields, frozen

from ..plan.plan import Statement
from ..syntax.names import Exact, Name, literal, quoted
from ..syntax.naming import joined
from ..syntax.parse import Reference
from ..syntax.rewrite import (
    BODY,
    EXPRESSION,
    PARTITION_KEY,
    QUERY,
    RESULT,
    TYPE,
    AttributeOf,
    ColumnOf,
    Form,
    Label,
    Thing,
    renamed,
    result_renamed,
    trigger_events,
)
from .entry import INDEX, Entry, Key

_T = TypeVar("_T")

_PARTS = frozenset({"attribute", "column", "constraint", "label"})
"""What is renamed inside an object; its key begins with that of the object's name."""
_FORMS: dict[str, Form] = {
    **dict.fromkeys(
        ("expression", "default", "generated", "where", "using", "check", "condition", "function"),
        EXPRESSION,
    ),
    "query": QUERY,
    **dict.fromkeys(("type", "subtype"), TYPE),
    "returns": RESULT,
    "partition_by": PARTITION_KEY,
    "body": BODY,
}
"""The fields that hold SQL."""
_COLUMNS = frozenset({"column", "columns", "include", "on_delete_columns"})
"""The fields that hold names of the table's columns."""


@frozen
class Rename:
    """Another name for an object, or for a part of one."""

    old: Key
    new: Key
    things: tuple[tuple[Thing, Thing], ...] = ()
    """What other objects name, before and after."""
    statements: tuple[Statement, ...] = ()
    heirs: frozenset[Name] = frozenset()
    """The tables that have a renamed constraint from the one that it is of."""
    whole: Key = ()
    """The object that it is a part of, where it is one."""

    def lines(self) -> Iterator[str]:
        """What a person reads."""
        yield f"- {spoken(self.old)}"
        yield f"+ {spoken(self.new)}"

    @property
    def is_unlocked(self) -> bool:
        """Whether it changes what other texts mean, and keeps nobody waiting."""
        return bool(self.things) and not any(one.locks for one in self.statements)

    def is_in(self, body: str | None) -> bool:
        """Whether a text that PostgreSQL keeps as it is has the words of the former name."""
        if body is None or isinstance(body, Exact) or not self.things:
            return False
        # The name of a column or an attribute alone says little.
        words = self.old[2:] if self.old[0] in {"attribute", "column"} else self.old[-1:]
        return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", body) for word in words)

    def name(self, name: Name) -> Name:
        """A name of a relation or a type."""
        for old, new in self.things:
            is_named = isinstance(old, Reference) and old.kind in {"table", "type"}
            if is_named and isinstance(new, Reference) and name == old.name:
                return new.name
        return self._moved(name)

    def reference(self, reference: Reference) -> Reference:
        """A reference, also to a function."""
        for old, new in self.things:
            if old == reference and isinstance(new, Reference):
                return new
        return reference._replace(name=self._moved(reference.name))

    def _moved(self, name: Name) -> Name:
        """A name in a schema that may have another one."""
        for old, new in self.things:
            if isinstance(old, Reference) and isinstance(new, Reference):
                is_schema = old.kind == "schema" and old.name.name == name.schema
                name = Name(new.name.name, name.name) if is_schema else name
        return name

    def reaches(self, table: Name, inherited: bool) -> bool:
        """Whether a constraint of a table has the new name, which it may have from another one."""
        return table == self.old[1:3] or (inherited and table in self.heirs)

    def schema(self, schema: str) -> str:
        """A name of a schema."""
        return Exact(self.name(Name(schema, "")).schema)

    def column(self, table: Name, column: str) -> str:
        """A name of a column, or of an attribute of a composite type."""
        for old, new in self.things:
            if isinstance(old, ColumnOf | AttributeOf) and tuple(old) == (table, column):
                return Exact(new.name)
        return column

    def text(self, text: str, form: Form, on: Name | None) -> str:
        """A text that the server has printed, or a user has written."""
        result = text
        for old, new in self.things:
            result = renamed(result, form, old, new, on)
        return text if result == text else type(text)(result)

    def events(self, text: str, on: Name) -> str:
        """The events of a trigger."""
        for old, new in self.things:
            text = trigger_events(text, old, new, on)
        return text


def sql_of(renames: Iterable[Rename]) -> list[str]:
    """What does renames, one after another."""
    return [one.sql for rename in renames for one in rename.statements]


def spoken(key: Key) -> str:
    """The kind and name that a key has, for people."""
    kind, *parts = key
    shown = parts[-1:] if kind in _PARTS else parts[:2]
    return f"{kind.replace('_', ' ')} {'.'.join(map(quoted, shown))}"


def own(one: Entry) -> Rename:
    """The rename of an object that declares its former name."""
    given: Any = one
    before = evolve(given, name=given.renamed_from)
    locks = one.locked
    statements = []
    moved = before
    if isinstance(given.name, Name) and given.name.schema != before.name.schema:
        schema = quoted(given.name.schema)
        statements.append(Statement(f"ALTER {before.address} SET SCHEMA {schema}", locks=locks))
        moved = evolve(given, name=Name(given.name.schema, before.name.name))
    if moved.name != given.name:
        name = quoted(given.name.name if isinstance(given.name, Name) else given.name)
        statements.append(Statement(f"ALTER {moved.address} RENAME TO {name}", locks=locks))
    things = tuple(zip(before.provides(), one.provides(), strict=True))
    return Rename(before.key(), one.key(), things, tuple(statements))


def column(tables: tuple[Name, ...], old: str, new: str) -> Rename:
    """The rename of a column, of a table and of what inherits it."""
    table = tables[0]
    sql = f"ALTER TABLE {table} RENAME COLUMN {quoted(old)} TO {quoted(new)}"
    things = tuple((ColumnOf(one, old), ColumnOf(one, new)) for one in tables)
    statement = Statement(sql, locks=table)
    keys = ("column", *table, old), ("column", *table, new)
    return Rename(*keys, things, (statement,), whole=("table", *table))


def constraint(owner: Entry, old: str, new: str, heirs: Iterable[Name] = ()) -> Rename:
    """The rename of a constraint of a table or a domain, and of those that tables inherit."""
    sql = f"ALTER {owner.address} RENAME CONSTRAINT {quoted(old)} TO {quoted(new)}"
    name = owner.key()[1:]
    keys = ("constraint", *name, old), ("constraint", *name, new)
    inherited = frozenset(heirs)
    statement = Statement(sql, locks=owner.locked and evolve(owner.locked, only=not inherited))
    return Rename(*keys, (), (statement,), inherited, owner.key())


def label(owner: Entry, old: str, new: str) -> Rename:
    """The rename of an enum's label."""
    type_ = Name(*owner.key()[1:])
    sql = f"ALTER TYPE {type_} RENAME VALUE {literal(old)} TO {literal(new)}"
    things = ((Label(type_, old), Label(type_, new)),)
    keys = ("label", *type_, old), ("label", *type_, new)
    return Rename(*keys, things, (Statement(sql),), whole=owner.key())


def attribute(owner: Entry, old: str, new: str) -> Rename:
    """The rename of an attribute of a composite type."""
    type_ = Name(*owner.key()[1:])
    sql = f"ALTER {owner.address} RENAME ATTRIBUTE {quoted(old)} TO {quoted(new)}"
    keys = ("attribute", *type_, old), ("attribute", *type_, new)
    things = ((AttributeOf(type_, old), AttributeOf(type_, new)),)
    return Rename(*keys, things, (Statement(sql),), whole=owner.key())


def _table_of(one: Entry) -> Name | None:
    """The relation whose columns an object names."""
    given: Any = one
    on: Name | None = getattr(given, "table", None)
    if on is None and isinstance(getattr(given, "name", None), Name):
        on = given.name
    return on


def followed(one: Entry, rename: Rename) -> Entry:
    """An object of the catalog as it is after a rename."""
    given: Any = one
    on = _table_of(given)
    changes: dict[str, Any] = {}
    if one.key() == rename.old:
        is_full = isinstance(given.name, Name)
        changes["name"] = Name(*rename.new[1:3]) if is_full else Exact(rename.new[-1])
    for attribute in fields(type(given)):
        name = attribute.name
        value = getattr(given, name)
        if name in changes:
            continue
        if name == "name" and isinstance(value, Name):
            # Functions and statistics may have the name of a table.
            own_names = {reference.kind for reference in one.provides()}
            if any(
                isinstance(old, Reference) and old.kind in {"schema", *own_names}
                for old, _ in rename.things
            ):
                changes["name"] = rename.name(value)
        elif name == "query" and isinstance(value, Exact):
            changes["query"] = _query(given.name, value, rename)
        elif name == "labels":
            changes["labels"] = tuple(_label(given.name, text, rename) for text in value)
        else:
            changes[name] = _value(name, value, rename, on)
    return _changed(one, changes)


def followed_details(details: _T, one: Entry, rename: Rename) -> _T:
    """What is known of an object of the catalog, as it is after a rename."""
    return cast(_T, _value("", details, rename, _table_of(one)))


def _query(view: Name, query: Exact, rename: Rename) -> str:
    """The query of a view, of which a column may have another name itself."""
    for old, new in rename.things:
        if isinstance(old, ColumnOf) and isinstance(new, ColumnOf) and old.relation == view:
            return Exact(result_renamed(query, old.name, new.name))
    return rename.text(query, QUERY, view)


def _label(type_: Name, text: str, rename: Rename) -> str:
    for old, new in rename.things:
        if old == Label(type_, text):
            return cast(str, new.name)
    return text


def _value(field: str, value: Any, rename: Rename, on: Name | None) -> Any:
    """A field's value after a rename; itself where nothing in it changes."""
    if isinstance(value, Name):
        return value if field == "collation" else rename.name(value)
    if isinstance(value, Reference):
        return rename.reference(value)
    if isinstance(value, str):
        return _string(field, value, rename, on)
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names:
            table = getattr(value, "table", on)
            parts = [
                _value(name, part, rename, table) for name, part in zip(names, value, strict=True)
            ]
            return value if parts == list(value) else type(value)(*parts)
        items = tuple(_value(field, item, rename, on) for item in value)
        return value if items == value else items
    if attrs.has(type(value)):
        return _part(value, rename, on)
    return value


def _string(field: str, value: str, rename: Rename, on: Name | None) -> str:
    if field in {"schema", "schemas"}:
        return rename.schema(value)
    if field in _COLUMNS and on:
        return rename.column(on, value)
    if field == "when" and on:
        return rename.events(value, on)
    # An access method is not SQL, and not from the catalog's texts.
    if field in _FORMS and (field != "using" or isinstance(value, Exact)):
        return rename.text(value, _FORMS[field], on)
    return value


def _part(part: Any, rename: Rename, on: Name | None) -> Any:
    """A column or a constraint after a rename."""
    changes: dict[str, Any] = {}
    is_constraint = hasattr(part, "validated")
    for attribute in fields(type(part)):
        name = attribute.name
        value = getattr(part, name)
        if value is None:
            continue
        if name == "name" and on:
            is_it = value == rename.old[-1] and rename.old[0] == "constraint"
            if not is_constraint:
                changes[name] = rename.column(on, value)
            elif is_it and rename.reaches(on, part.details.inherited):
                changes[name] = Exact(rename.new[-1])
        elif name == "details" and is_constraint:
            changes[name] = _details(part, rename)
        elif name == "foreign_columns":
            changes[name] = tuple(rename.column(part.table, column) for column in value)
        else:
            changes[name] = _value(name, value, rename, on)
    if on and not getattr(part, "nullable", True) and part.not_null is None:
        before, after = (on.name, part.name), (rename.name(on).name, changes["name"])
        if before != after:
            # What was named after both keeps its name.
            changes["not_null"] = Exact(joined(*before, "not_null"))
    return _changed(part, changes)


def _details(constraint: Any, rename: Rename) -> Any:
    """What is known of a constraint: the index on which a foreign key stands, by its name."""
    details = constraint.details
    if not details.index or rename.old[0] not in {INDEX, "constraint"}:
        return details
    # That is in the schema of the other table.
    is_it = (constraint.table.schema, details.index) == (rename.old[1], rename.old[-1])
    return evolve(details, index=Exact(rename.new[-1])) if is_it else details


def _changed(one: _T, changes: dict[str, Any]) -> _T:
    different = {name: new for name, new in changes.items() if new != getattr(one, name)}
    if not different:
        return one
    evolved = getattr(one, "evolved", None)
    return cast(_T, evolved(**different) if evolved else evolve(cast(Any, one), **different))
