"""SQL with other names in it.

Pure: no I/O, no pyinfra state. PostgreSQL keeps expressions and queries by what they mean, and
prints them with the names of the day: a rename changes texts that were read before it. Only the
tokens that name the thing are replaced; everything else stays as the server wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from ..errors import DeclarationError
from . import libpg_query
from .libpg_query import ParseError
from .names import Name, listed, literal, quoted, split
from .parse import Node, Reference


class Form(NamedTuple):
    """What stands around a text, so that it can be parsed."""

    before: str
    after: str = ""


EXPRESSION = Form("SELECT (\n", "\n)")
QUERY = Form("")
TYPE = Form("SELECT CAST(NULL AS\n", "\n)")
RESULT = Form("CREATE FUNCTION f() RETURNS\n", "\nLANGUAGE sql AS ''")
PARTITION_KEY = Form("CREATE TABLE t (c int) PARTITION BY\n")
BODY = Form("CREATE FUNCTION f() RETURNS void LANGUAGE sql\n")


class ColumnOf(NamedTuple):
    """A column of a relation."""

    relation: Name
    name: str


class Label(NamedTuple):
    """A label of an enum."""

    type: Name
    name: str


class AttributeOf(NamedTuple):
    """An attribute of a composite type."""

    type: Name
    name: str


_Mentioned: TypeAlias = Reference | ColumnOf | Label
Thing: TypeAlias = _Mentioned | AttributeOf
"""What can be named in a text."""


class _Source(NamedTuple):
    """What a name before that of a column stands for, and whether it is the relation's own."""

    relation: Name | None
    is_own: bool = True


class _Mention(NamedTuple):
    """A place in a text, in bytes, where a thing is named, by the words at that place."""

    thing: _Mentioned
    place: int
    is_result: bool = False
    """Whether it names a column of a result as well, which keeps its name."""
    is_prefix: bool = False
    """Whether it stands before the name of a column."""


_Scopes: TypeAlias = tuple[dict[str, _Source], ...]
_Edit: TypeAlias = tuple[int, int, str]


def renamed(text: str, form: Form, old: Thing, new: Thing, on: Name | None = None) -> str:
    """The text as the server prints it when one thing has another name.

    `on` is the relation whose columns it names without a prefix.
    """
    if not _may_name(text, old):
        return text
    try:
        found = _parsed(form.before + text + form.after)
    except ParseError:
        return text  # The server prints a few things that it can't read itself.
    if isinstance(old, AttributeOf) or isinstance(new, AttributeOf):
        selections = _selections(found.tokens, str(old.name), str(new.name))
        return _edited(found, selections, form)
    top = _Source(on)
    scopes = ({on.name: top, "old": _Source(on, False), "new": _Source(on, False)},) if on else ()
    edits = list(_edits(found, _mentions(found.tree, scopes), old, new))
    edits += _alias_edits(found, old, new)
    return _edited(found, edits, form)


def trigger_events(text: str, old: Thing, new: Thing, on: Name) -> str:
    """The same of a trigger's `UPDATE OF column, ...`."""
    if not isinstance(old, ColumnOf) or old.relation != on or not _may_name(text, old):
        return text
    found = _tokens(text)
    after = next((place for place, one in enumerate(found) if one[2].lower() == "of"), len(found))
    edits = [
        (start, end, quoted(new.name))
        for start, end, word in found[after:]
        if word == quoted(old.name) and isinstance(new, ColumnOf)
    ]
    return _applied(text, edits)


def as_stored(
    sql: str, relations: Mapping[Name, tuple[Name, tuple[str, ...]]], form: Form = QUERY
) -> str:
    """SQL that a server understands on which relations still have other names.

    `relations` has of each its name there, and the columns as they are named in `sql`.
    """
    if not any(name.name in sql for name in relations):
        return sql
    try:
        found = _parsed(form.before + sql + form.after)
    except ParseError:
        return sql  # The server will say what is wrong with it.
    edits: list[_Edit] = []
    for node in _range_variables(found.tree, frozenset()):
        name = Name(node.get("schemaname", "public"), node["relname"])
        if name not in relations or node.get("alias", {}).get("colnames"):
            continue
        there, columns = relations[name]
        words = found.words_at(node.get("location", 0))
        end = words[-1][1]
        edits.append((words[0][0], end, str(there)))
        names = f"({listed(columns)})" if columns else ""
        if alias := node.get("alias", {}).get("aliasname"):
            end = next(e for s, e, word in found.tokens if s >= end and word == quoted(alias))
            edits.append((end, end, names))
        else:
            edits.append((end, end, f" AS {quoted(name.name)}{names}"))
    for node in _targets(found.tree):
        name = Name(node.get("schemaname", "public"), node["relname"])
        if name in relations:
            words = found.words_at(node.get("location", 0))
            alias = "" if "alias" in node else f" AS {quoted(name.name)}"
            edits.append((words[0][0], words[-1][1], f"{relations[name][0]}{alias}"))
    return _edited(found, edits, form)


def temporary(
    sql: str, relations: Set[Name], functions: Set[Name], *, in_public: bool = False
) -> str:
    """SQL in which some relations and functions are temporary ones.

    `in_public` where what it names without a schema may be in `public`.
    """
    found = _parsed(sql)
    edits: list[_Edit] = []
    for node in _nodes(found.tree):
        names = [part["String"]["sval"] for part in node.get("funcname", ())]
        is_one = "schemaname" in node and "relname" in node and _name(node) in relations
        is_called = "location" in node and len(names) in {1, 2}
        if is_one or (is_called and len(names) == 2 and Name(*names) in functions):
            start, end, _ = found.words_at(node.get("location", 0))[0]
            edits.append((start, end, "pg_temp"))
        elif is_called and in_public and Name(*["public", *names][-2:]) in functions:
            start, _, _ = found.words_at(node["location"])[0]
            edits.append((start, start, "pg_temp."))
    for node in _range_variables(found.tree, frozenset()) if in_public else ():
        if "schemaname" not in node and Name("public", node["relname"]) in relations:
            start, _, _ = found.words_at(node.get("location", 0))[0]
            edits.append((start, start, "pg_temp."))
    return _edited(found, edits, QUERY)


def result_renamed(query: str, old: str, new: str) -> str:
    """The query of a view as the server prints it when one of the view's columns has another name.

    It names every column but those that are named after a column of what the query reads.
    """
    try:
        found = _parsed(query)
    except ParseError:
        return query
    select = found.tree["stmts"][0]["stmt"].get("SelectStmt", {})
    while "larg" in select:
        select = select["larg"]
    edits: list[_Edit] = []
    for item in select.get("targetList", ()):
        match item["ResTarget"]:
            case {"name": name, "location": place} if name == old:
                start, end = _alias(found, place)
                edits.append((start, end, quoted(new)))
            case {
                "val": {"ColumnRef": {"fields": [*_, {"String": {"sval": name}}], **rest}},
                **own,
            }:
                if name == old and "name" not in own:
                    end = found.words_at(cast(Node, rest).get("location", 0))[-1][1]
                    edits.append((end, end, f" AS {quoted(new)}"))
    return _edited(found, edits, QUERY)


def result_names(query: str) -> set[str] | None:
    """The names of a query's columns; None where not all of them can be told from its text."""
    try:
        select = _parsed(query).tree["stmts"][0]["stmt"].get("SelectStmt", {})
    except ParseError:
        return None
    while "larg" in select:
        select = select["larg"]
    names: set[str] = set()
    for item in select.get("targetList", ()):
        match item["ResTarget"]:
            case {"name": name} | {
                "val": {"ColumnRef": {"fields": [*_, {"String": {"sval": name}}]}}
            }:
                names.add(name)
            case _:
                return None
    return names or None


def _alias(found: _Parsed, place: int) -> tuple[int, int]:
    """Where the name stands that a query gives to the column at a place."""
    depth, before = 0, ""
    for start, end, word in found.tokens:
        if start >= place:
            if depth == 0 and before.lower() == "as":
                return start, end
            depth += (word in {"(", "["}) - (word in {")", "]"})
            before = word
    raise AssertionError("the server names it")


class _Parsed(NamedTuple):
    text: str
    tokens: list[_Edit]
    tree: Node

    def words_at(self, place: int) -> list[_Edit]:
        """The parts of a dotted name."""
        index = next((i for i, one in enumerate(self.tokens) if one[0] >= place), None)
        if index is None:
            return []
        found = [self.tokens[index]]
        while index + 2 < len(self.tokens) and self.tokens[index + 1][2] == ".":
            index += 2
            found.append(self.tokens[index])
        return found


@lru_cache(maxsize=256)
def _parsed(text: str) -> _Parsed:
    return _Parsed(text, _tokens(text), json.loads(libpg_query.parse(text)))


def _tokens(text: str) -> list[_Edit]:
    """The tokens with their places in bytes, as the parser counts them."""
    source = text.encode()
    return [(start, end, source[start:end].decode()) for start, end in libpg_query.scan(text)]


def _applied(text: str, edits: Iterable[_Edit]) -> str:
    result = text.encode()
    chosen: dict[tuple[int, int], str] = {}
    for start, end, new in edits:
        chosen.setdefault((start, end), new)
    for (start, end), new in sorted(chosen.items(), reverse=True):
        result = result[:start] + new.encode() + result[end:]
    return result.decode()


def _edited(found: _Parsed, edits: Iterable[_Edit], form: Form) -> str:
    whole = _applied(found.text, edits)
    return whole[len(form.before) : len(whole) - len(form.after)]


def _may_name(text: str, thing: Thing) -> bool:
    name = thing.name if isinstance(thing.name, str) else thing.name.name
    return name in text or quoted(name) in text or name.replace("'", "''") in text


def _edits(
    found: _Parsed, mentions: Iterator[_Mention], old: _Mentioned, new: _Mentioned
) -> Iterator[_Edit]:
    for thing, place, is_result, is_prefix in mentions:
        if not _is(thing, old):
            continue
        words = found.words_at(place)
        if isinstance(new, ColumnOf):
            result = f" AS {quoted(str(old.name))}" if is_result else ""
            yield words[-1][0], words[-1][1], quoted(new.name) + result
        elif is_prefix:
            if isinstance(new, Reference) and new.kind != "schema":
                yield words[0][0], words[0][1], quoted(new.name.name)
        elif isinstance(new, Label):
            yield words[0][0], words[0][1], literal(new.name)
        elif words[0][2].startswith("'"):
            assert isinstance(thing, Reference)
            name = new.name if new.kind != "schema" else Name(new.name.name, thing.name.name)
            yield words[0][0], words[0][1], literal(str(name))
        elif new.kind == "schema":
            yield words[0][0], words[0][1], quoted(new.name.name)
        elif len(words) > 1:
            yield words[-2][0], words[-2][1], quoted(new.name.schema)
            yield words[-1][0], words[-1][1], quoted(new.name.name)


def _alias_edits(found: _Parsed, old: Thing, new: Thing) -> Iterator[_Edit]:
    """The names that the server gives to a relation that is read again, after its own: `t_1`."""
    if not isinstance(old, Reference) or not isinstance(new, Reference) or old.kind != "table":
        return
    own = re.compile(rf"{re.escape(old.name.name)}(_\d+)")
    aliases: dict[str, str] = {}
    for node in _nodes(found.tree):
        alias = node.get("alias", {}).get("aliasname", "") if "relname" in node else ""
        made = own.fullmatch(alias)
        if made and "schemaname" in node and _name(node) == old.name:
            aliases[alias] = quoted(new.name.name + made[1])
            end = found.words_at(node.get("location", 0))[-1][1]
            place = next(one for one in found.tokens if one[0] >= end and one[2] == quoted(alias))
            yield place[0], place[1], aliases[alias]
    for node in _nodes(found.tree) if aliases else ():
        column = node.get("ColumnRef")
        first = column["fields"][0].get("String", {}).get("sval") if column else None
        if column and first in aliases and column["fields"][1:]:
            start, end, _ = found.words_at(column.get("location", 0))[0]
            yield start, end, aliases[first]


def _nodes(tree: object) -> Iterator[Node]:
    """All nodes of a parse tree."""
    if isinstance(tree, dict):
        yield tree
    for one in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(one)


def _targets(tree: object) -> Iterator[Node]:
    """The relations that statements write."""
    for node in _nodes(tree):
        for kind in ("InsertStmt", "UpdateStmt", "DeleteStmt"):
            if kind in node:
                yield node[kind]["relation"]


def _selections(tokens: list[_Edit], old: str, new: str) -> Iterator[_Edit]:
    """Where a field is selected: `(value).field`, and behind that `(value).one.other`.

    The type of the value is not told: another type's attribute of the same name looks alike.
    """
    selected = -1
    for (place, _, before), (_, _, dot), (start, end, word) in zip(
        tokens, tokens[1:], tokens[2:], strict=False
    ):
        if dot == "." and (before in {")", "]"} or place == selected):
            selected = start
            if word == quoted(old):
                yield start, end, quoted(new)


def _is(thing: _Mentioned, old: _Mentioned) -> bool:
    """Whether a mention is of what gets another name; tables are types too."""
    if isinstance(thing, Reference) and isinstance(old, Reference):
        if old.kind == "schema":
            return thing.name.schema == old.name.name
        same_kind = (thing.kind == "function") == (old.kind == "function")
        return same_kind and thing.name == old.name
    return type(thing) is type(old) and thing == old


def _mentions(node: object, scopes: _Scopes, visible: bool = True) -> Iterator[_Mention]:
    """What a parse tree names; `visible` is whether the columns of a query are named after it."""
    if isinstance(node, list):
        for item in node:
            yield from _mentions(item, scopes, visible)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        match key:
            case "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt":
                inner = (*scopes, dict(_sources(value)))
                yield from _query(value, key, inner, visible)
                yield from _mentions(value, inner, visible)
            case "larg" | "rarg" if "op" in value:
                yield from _mentions({"SelectStmt": value}, scopes, visible)
            case "SubLink":
                yield from _mentions(value, scopes, visible=False)
            case _:
                yield from _own(key, value, scopes)
                yield from _mentions(value, scopes, visible)
    if "names" in node and "typemod" in node:
        yield from _qualified("type", node["names"], node)


def _own(key: str, value: Any, scopes: _Scopes) -> Iterator[_Mention]:
    """What a node of a parse tree names itself."""
    match key:
        case "ColumnRef":
            yield from _column(value, scopes)
        case "RangeVar":
            yield from _relation(value)
        case "FuncCall":
            yield from _qualified("function", value["funcname"], value)
        case "PartitionElem" if "name" in value and scopes:
            yield from _of(next(iter(scopes[0].values())), value["name"], value)
        case "TypeCast":
            yield from _constant(value)


def _query(node: Node, kind: str, scopes: _Scopes, visible: bool) -> Iterator[_Mention]:
    """What a statement names outside its expressions."""
    if kind == "SelectStmt":
        for target in node.get("targetList", ()) if visible else ():
            match target:
                case {"ResTarget": {"val": {"ColumnRef": column}, **rest}} if "name" not in rest:
                    yield from (one._replace(is_result=True) for one in _column(column, scopes))
        return
    relation = node["relation"]
    yield from _relation(relation)
    written = node.get("cols" if kind == "InsertStmt" else "targetList", ())
    for target in written if kind != "DeleteStmt" else ():
        column = target["ResTarget"]
        if "schemaname" in relation and "name" in column:
            yield from _of(_Source(_name(relation)), column["name"], column)


def _sources(query: Node) -> Iterator[tuple[str, _Source]]:
    """What the columns of a query can be prefixed with."""
    items = [*query.get("fromClause", ()), *query.get("usingClause", ())]
    if "relation" in query:
        items.append({"RangeVar": query["relation"]})
    while items:
        match items.pop():
            case {"JoinExpr": join}:
                items += [join["larg"], join["rarg"]]
                if "alias" in join:
                    yield join["alias"]["aliasname"], _Source(None)
            case {"RangeVar": relation}:
                alias = relation.get("alias", {})
                known = "schemaname" in relation and "colnames" not in alias
                source = _Source(_name(relation) if known else None, "aliasname" not in alias)
                yield alias.get("aliasname", relation["relname"]), source
            case {**other}:
                for value in other.values():
                    if isinstance(value, dict) and "alias" in value:
                        yield value["alias"]["aliasname"], _Source(None)


def _column(node: Node, scopes: _Scopes) -> Iterator[_Mention]:
    names = [part["String"]["sval"] for part in node["fields"] if "String" in part]
    star = len(names) < len(node["fields"])
    if len(names) == 1 and not star:
        # The server leaves the prefix out only where a query has one source.
        sources = next((scope for scope in reversed(scopes) if scope), {}).values()
        if len({source.relation for source in sources}) == 1:
            yield from _of(next(iter(sources)), names[0], node)
    elif names:
        prefix = names[0]
        source = next((scope[prefix] for scope in reversed(scopes) if prefix in scope), None)
        if source and source.relation:
            if source.is_own:
                relation = Reference("table", source.relation)
                yield _Mention(relation, node.get("location", 0), is_prefix=True)
            if len(names) > 1:
                yield from _of(source, names[-1], node)


def _of(source: _Source, column: str, node: Node) -> Iterator[_Mention]:
    if source.relation:
        yield _Mention(ColumnOf(source.relation, column), node.get("location", 0))


def _relation(node: Node) -> Iterator[_Mention]:
    if "schemaname" in node:
        yield _Mention(Reference("table", _name(node)), node.get("location", 0))


def _name(node: Node) -> Name:
    return Name(node["schemaname"], node["relname"])


def _qualified(kind: str, parts: list[Node], node: Node) -> Iterator[_Mention]:
    names = [part["String"]["sval"] for part in parts]
    if len(names) == 2:
        yield _Mention(Reference(kind, Name(*names)), node.get("location", 0))


def _constant(node: Node) -> Iterator[_Mention]:
    """A label of an enum, or the name of a relation, that stands in quotes."""
    match node:
        case {"arg": {"A_Const": {"sval": {"sval": text}, **rest}}, "typeName": {"names": names}}:
            place = cast(Node, rest).get("location", 0)
            type_ = [part["String"]["sval"] for part in names]
            if type_[-1] == "regclass":
                try:
                    parts = split(text)
                except DeclarationError:
                    return
                if len(parts) == 2:
                    yield _Mention(Reference("table", Name(*parts)), place)
            elif len(type_) == 2:
                yield _Mention(Label(Name(*type_), text), place)


def _range_variables(node: object, ignore: frozenset[str]) -> Iterator[Node]:
    """The relations that queries read, but for those of WITH."""
    if isinstance(node, list):
        for item in node:
            yield from _range_variables(item, ignore)
    elif isinstance(node, dict):
        if "withClause" in node:
            queries = node["withClause"].get("ctes", ())
            ignore |= {query["CommonTableExpr"]["ctename"] for query in queries}
        for key, value in node.items():
            if key == "RangeVar" and ("schemaname" in value or value["relname"] not in ignore):
                yield value
            yield from _range_variables(value, ignore)
