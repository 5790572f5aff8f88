"""What the body of a function in PL/pgSQL names, as far as PL/pgSQL's own parser can tell.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/plpgsql-statements.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from attrs import Factory, define

from ..errors import DeclarationError
from . import libpg_query
from .libpg_query import ParseError
from .names import Name, quoted
from .parse import Node, Reference, references, statements, tokens, type_references

_EXPRESSION, _ASSIGNMENT = 2, 3
"""PL/pgSQL's modes of parsing, the second and those above it: `RawParseMode` of the server."""
_TARGET = re.compile(r"[^=]*?:?=")
_DYNAMIC = ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")
_AFTER_TYPE = frozenset({":=", "=", "default", "not", "collate"})
"""What may follow the type of a variable."""
_APART = "\ue000"
"""Stands between a schema and a name where the parser, which knows no schemas, takes both as one.

A character that nobody has in a name."""


@define
class Body:
    """What a body names."""

    references: list[Reference] = Factory(list)
    dynamic: list[int] = Factory(list)
    """The lines with SQL that is put together only when it runs."""


def parsed(definition: str) -> Any:
    """What the parser says of a CREATE FUNCTION. Raises ParseError."""
    found = libpg_query.parse_plpgsql(definition)
    try:
        return json.loads(found)
    except ValueError:
        # Of what only triggers have, libpg_query closes each item once too often.
        return json.loads(found.replace("{}}", "{}"))


def texts(node: Any) -> Iterator[str]:
    """The SQL in a parsed body: statements and expressions."""
    for text, mode, *_ in _queries(node):
        yield _TARGET.sub("", text, count=1) if mode >= _ASSIGNMENT else text


def body(definition: str, schemas: Iterable[str] = (), ignore: Iterable[str] = ()) -> Body:
    """What the body in a CREATE FUNCTION names. Raises ParseError.

    `schemas` are those that it may name, apart from `public`; `ignore` has names that are no
    tables: those of a trigger's transition tables.
    """
    try:
        found = parsed(definition)
    except ParseError:
        found = parsed(_readable(definition, frozenset(schemas)))
    trees: list[Node] = []
    dynamic: list[int] = []
    for text, mode, line, is_dynamic in _queries(found):
        query = _TARGET.sub("", text, count=1) if mode >= _ASSIGNMENT else text
        read = _trees(query if mode < _EXPRESSION else f"SELECT {query}")
        trees += read
        if is_dynamic and (constant := _constant(read)) is not None:
            trees += _trees(constant)
        elif is_dynamic:
            dynamic.append(line)
    known = frozenset({*ignore, *(name for tree in trees for name in _temporary(tree))})
    named = (*references(trees, known), *targets(trees, known))
    every = dict.fromkeys((*map(_apart, named), *_declared(_split(definition)[1])))
    return Body(list(every), sorted(set(dynamic)))


def _queries(
    node: Any, line: int = 0, *, is_dynamic: bool = False
) -> Iterator[tuple[str, int, int, bool]]:
    """Each text of SQL with how it is parsed, its line, and whether it makes SQL that runs."""
    if isinstance(node, list):
        for item in node:
            yield from _queries(item, line)
    elif isinstance(node, dict):
        line = node.get("lineno", line)
        if isinstance(query := node.get("query"), str):
            yield query, node.get("parseMode", 0), line, is_dynamic
        for key, value in node.items():
            inner = value.get("lineno", line) if isinstance(value, dict) else line
            if key in _DYNAMIC:
                yield from _queries(value["query"], inner, is_dynamic=True)
                value = {name: one for name, one in value.items() if name != "query"}
            makes = key == "dynquery" or (is_dynamic and key == "PLpgSQL_expr")
            yield from _queries(value, inner, is_dynamic=makes)


def _trees(text: str) -> list[Node]:
    with suppress(DeclarationError):
        return list(statements(text))
    return []  # What PL/pgSQL has for itself, like the names of cursors.


def _constant(trees: list[Node]) -> str | None:
    """The text that a query is, where it is nothing but one."""
    match trees:
        case [{"SelectStmt": {"targetList": [{"ResTarget": {"val": {"A_Const": one}}}], **more}}]:
            if set(more) <= {"limitOption", "op"} and "sval" in one:
                return str(one["sval"].get("sval", ""))
    return None


def _temporary(node: Any) -> Iterator[str]:
    """The names of temporary tables that a statement creates."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"relation", "rel"} and isinstance(value, dict):
                if value.get("relpersistence") == "t":
                    yield value["relname"]
            else:
                yield from _temporary(value)
    elif isinstance(node, list):
        for item in node:
            yield from _temporary(item)


def targets(node: Any, ignore: frozenset[str] = frozenset()) -> Iterator[Reference]:
    """The tables that statements write to, and the procedures that they call."""
    if isinstance(node, list):
        for item in node:
            yield from targets(item, ignore)
    elif isinstance(node, dict):
        for key, value in node.items():
            match key, value:
                case "relation", {"relname": name, **rest} if name not in ignore or (
                    "schemaname" in rest
                ):
                    yield Reference("table", Name(str(rest.get("schemaname", "public")), name))
                case "funccall", dict():
                    yield from references({"FuncCall": value})
            yield from targets(value, ignore)


def _declared(code: str) -> Iterator[Reference]:
    """What variables have their types from: types, and the rows and columns of tables."""
    words = _words(code)
    is_declaring, start = False, 0
    for place, (word, *_) in enumerate(words):
        match word.lower():
            case "declare":
                is_declaring, start = True, place + 1
            case "begin":
                is_declaring = False
            case ";" if is_declaring:
                yield from _of_variable(code, words[start:place])
                start = place + 1


def _of_variable(code: str, words: list[tuple[str, int, int]]) -> Iterator[Reference]:
    lower = [one.lower() for one, *_ in words]
    first = 2 if lower[1:2] == ["constant"] else 1
    ends = [place for place, one in enumerate(lower) if place > first and one in _AFTER_TYPE]
    type_ = words[first : ends[0] if ends else len(words)]
    names = [_name(one) for one, *_ in type_ if one not in {".", "%"}]
    if not type_ or "cursor" in lower or "alias" in lower:
        return
    if lower[first : first + len(type_)][-2:-1] == ["%"]:
        parts = names[: -1 if names[-1] == "rowtype" else -2]
        if parts:
            yield Reference("table", Name(*(["public", *parts][-2:])))
        return
    with suppress(DeclarationError):
        yield from type_references(code[type_[0][1] : type_[-1][2]])


def _split(definition: str) -> tuple[str, str, str]:
    """What stands before a function's body with its opening tag, the body, and the rest."""
    quotes = [one for one in tokens(definition) if one.text.startswith("$")]
    if not quotes:
        return definition, "", ""
    whole = quotes[-1]
    tag = definition.index("$", whole.start + 1) + 1 - whole.start
    start, end = whole.start + tag, whole.end - tag
    return definition[:start], definition[start:end], definition[end:]


def _readable(definition: str, schemas: frozenset[str]) -> str:
    """A definition such that the parser reads it: it has no catalog to look anything up in.

    A row's type is that of any record, and what is in another schema is in `public`.
    """
    head, code, rest = _split(definition)
    place = head.rfind("$", 0, len(head) - 1) if code else len(head)
    return f"{_adapted(head[:place], schemas)}{head[place:]}{_adapted(code, schemas)}{rest}"


def _adapted(text: str, schemas: frozenset[str]) -> str:
    words = _words(text)
    edits: list[tuple[int, int, str]] = []
    place = 0
    while place < len(words):
        (word, start, _), *following = words[place : place + 5]
        after = [one.lower() for one, *_ in following]
        parts = 2 if after[:1] == ["."] and len(after) > 1 else 0
        if after[parts : parts + 2] == ["%", "rowtype"]:
            edits.append((start, following[parts + 1][2], "record"))
            place += parts + 3
        elif parts and _name(word) in schemas:
            joined = f"{_name(word)}{_APART}{_name(following[1][0])}"
            edits.append((start, following[1][2], f"public.{quoted(joined)}"))
            place += 3
        else:
            place += 1
    for start, end, instead in reversed(edits):
        text = f"{text[:start]}{instead}{text[end:]}"
    return text


def _words(text: str) -> list[tuple[str, int, int]]:
    """The tokens of a text as they are written, with their places; none where it has no such."""
    try:
        return [(text[one.start : one.end], one.start, one.end) for one in tokens(text)]
    except DeclarationError:
        return []


def _name(word: str) -> str:
    """The name that a word of SQL stands for."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def _apart(one: Reference) -> Reference:
    """A reference to what `_readable` has put into `public`, as it was."""
    schema, mark, name = one.name.name.partition(_APART)
    return Reference(one.kind, Name(schema, name)) if mark else one
