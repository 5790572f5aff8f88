"""Reading SQL fragments with PostgreSQL's own parser.

Pure: no I/O, no pyinfra state. Nothing here prints a tree back as SQL: that changes statements
silently, so texts are sliced from their source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from ..errors import DeclarationError
from ..hidden import note, shortened, taken, within
from . import given, libpg_query
from .libpg_query import ParseError
from .names import MAX_BYTES, Exact, Name, check_length, literal, parse_name, quoted

Node: TypeAlias = dict[str, Any]

# What format_type() calls the types whose internal name is another one.
_SQL_NAMES = {
    "bool": "boolean",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "varchar": "character varying",
    "bpchar": "character",
    "varbit": "bit varying",
    "char": '"char"',
}
_BUILT_IN_TYPE_NAMES = """
    aclitem any anyarray anycompatible anycompatiblearray anycompatiblemultirange
    anycompatiblenonarray anycompatiblerange anyelement anyenum anymultirange anynonarray anyrange
    bit bool box bpchar bytea char cid cidr circle cstring date datemultirange daterange
    event_trigger fdw_handler float4 float8 gtsvector index_am_handler inet int2 int2vector int4
    int4multirange int4range int8 int8multirange int8range internal interval json jsonb jsonpath
    language_handler line lseg macaddr macaddr8 money name numeric nummultirange numrange oid
    oidvector path pg_lsn pg_snapshot point polygon record refcursor regclass regcollation regconfig
    regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype
    table_am_handler text tid time timestamp timestamptz timetz trigger tsm_handler tsmultirange
    tsquery tsrange tstzmultirange tstzrange tsvector txid_snapshot unknown uuid varbit varchar
    void xid xid8 xml
"""
_BUILT_IN_TYPES = frozenset(_BUILT_IN_TYPE_NAMES.split())
_SERIAL = {
    "serial": "integer",
    "serial2": "smallint",
    "serial4": "integer",
    "serial8": "bigint",
    "smallserial": "smallint",
    "bigserial": "bigint",
}
# The bit masks of an interval's fields, as in utils/datetime.h.
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND = 1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12
_INTERVAL_FIELDS = {
    _YEAR: " year",
    _MONTH: " month",
    _DAY: " day",
    _HOUR: " hour",
    _MINUTE: " minute",
    _SECOND: " second",
    _YEAR | _MONTH: " year to month",
    _DAY | _HOUR: " day to hour",
    _DAY | _HOUR | _MINUTE: " day to minute",
    _DAY | _HOUR | _MINUTE | _SECOND: " day to second",
    _HOUR | _MINUTE: " hour to minute",
    _HOUR | _MINUTE | _SECOND: " hour to second",
    _MINUTE | _SECOND: " minute to second",
    0x7FFF: "",
}


class Reference(NamedTuple):
    """What a declaration needs to exist: a kind of object and its name.

    The schema of a function named without one is empty: it may be PostgreSQL's own.
    """

    kind: str
    name: Name

    def __str__(self) -> str:
        match self.kind:
            case "schema" | "role":
                return f"{self.kind} {quoted(self.name.name)}"
            case "function":
                return f"function {str(self.name) if self.name.schema else self.name.name}()"
            case _:
                return f"{self.kind} {self.name}"


def schema_reference(schema: str) -> Reference:
    """The reference to a schema."""
    return Reference("schema", Name("", schema))


def role_references(*roles: str | None) -> Iterator[Reference]:
    """The references to roles, other than those that SQL knows by a keyword."""
    for role in roles:
        if role and role not in {"public", "current_user", "current_role", "session_user"}:
            yield Reference("role", Name("", role))


@lru_cache(maxsize=1024)
def statements(text: str) -> tuple[Node, ...]:
    """The parse trees of the statements in `text`, without positions.

    Raises DeclarationError with PostgreSQL's own message and the place.
    """
    return _trees(_parsed(text))


def _trees(parsed: str) -> tuple[Node, ...]:
    found = _loaded(_POSITION.sub("", _FIRST_POSITION.sub("{", parsed)))
    return tuple(item["stmt"] for item in found.get("stmts", ()))


def _loaded(parsed: str) -> Node:
    """The tree in the parser's JSON. Raises DeclarationError where Python could not walk it."""
    # A level takes more than a few letters: what is short is not deep.
    if len(parsed) > _LONG:
        brackets = (one for one in _STRINGS_AND_BRACKETS.findall(parsed) if len(one) == 1)
        if max(accumulate(1 if one in "{[" else -1 for one in brackets)) > _DEEPEST:
            raise DeclarationError(
                "an expression is nested too deeply: write long chains of operators, like "
                "a || b || c, as calls, like concat(a, b, c)"
            )
    return json.loads(parsed)  # type: ignore[no-any-return]


_LONG = 5000
_DEEPEST = 600
"""Levels of JSON; an operator is two."""
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def _parsed(text: str, shown: str | None = None) -> str:
    """The JSON of the statements in `text`; an error shows it, or what is given for that."""
    try:
        return libpg_query.parse(text)
    except ParseError as error:
        # It quotes a word of the text.
        reason = "a syntax error" if within(text) else _short(str(error))
        shown = text if shown is None else shown
        raise DeclarationError(f"{reason} in {_short(shown)!r}") from None


# Inside a string of the JSON these quotes would be escaped.
_POSITIONS = r'"(?:(?:[a-z]+_)?location|stmt_len|(?:rexpr_)?list_(?:start|end))":-?\d+'
_FIRST_POSITION = re.compile(rf"{{{_POSITIONS},?")
_POSITION = re.compile(rf",{_POSITIONS}")


def statement(text: str) -> Node:
    """The parse tree of exactly one statement."""
    found = statements(text)
    if len(found) != 1:
        raise DeclarationError(f"expected one SQL statement, found {len(found)}: {_short(text)!r}")
    return found[0]


def split_statements(text: str) -> list[str]:
    """The statements in `text`, each sliced from it."""
    parsed = _loaded(_parsed(text))
    source = text.encode()
    found = []
    for item in parsed.get("stmts", ()):
        start = item.get("stmt_location", 0)
        length = item.get("stmt_len") or len(source) - start
        one = source[start : start + length].decode().strip()
        # A comment at the end would swallow the semicolon that follows.
        found.append(f"{one}\n" if "--" in one.rpartition("\n")[2] else one)
    return found


def sql_text(declared: Any) -> Any:
    """What a declaration takes as SQL; where that is hidden, each of its statements is."""
    text = taken(declared)
    if text is not declared:
        for one in split_statements(given.text("hidden SQL", text)):
            note(one.strip())
    return text


def expression(text: str) -> str:
    """Check that `text` is exactly one SQL expression, and return it without outer space."""
    text = taken(text)
    if isinstance(text, Exact):
        return text
    if not isinstance(text, str):
        raise given.refused("an expression", "SQL in quotes", text)
    expression_references(text)
    check_names(text)
    return text.strip()


@lru_cache(maxsize=4096)
def check_names(text: str) -> None:
    """Raise DeclarationError where a fragment has a name that PostgreSQL would cut."""
    if len(text.encode()) > MAX_BYTES:
        for token in tokens(text):
            # A string may have a letter before it; a keyword is never that long.
            is_word = token.text[0].isalpha() or token.text[0] in '_"'
            if is_word and "'" not in token.text[:3]:
                check_length(token.text.strip('"').replace('""', '"'))


def closed(text: str) -> str:
    """The text, ended by a line break where a comment in it could swallow what follows."""
    return f"{text}\n" if "--" in text and not text.endswith("\n") else text


def optional_expression(text: str | None) -> str | None:
    """The same, if there is one."""
    return None if text is None else expression(text)


@lru_cache(maxsize=1024)
def tree(text: str) -> Node:
    """The parse tree of one expression."""
    (found,) = _trees(_parsed_expression(text))
    return found["AlterDomainStmt"]["def"]  # type: ignore[no-any-return]


def _parsed_expression(text: str) -> str:
    """The JSON of a statement that ends with one expression, after which nothing can follow.

    A line break closes a trailing comment, and the parentheses catch what would end early.
    """
    parsed = _parsed(f"ALTER DOMAIN d SET DEFAULT (\n{text}\n)", text)
    if parsed.count('"stmt":{"') != 1:
        raise DeclarationError(f"expected one SQL expression: {_short(text)!r}")
    return parsed


def same_expression(one: str, other: str) -> bool:
    """Whether two expressions are the same text or the same tree. False says nothing."""
    if one.strip() == other.strip():
        return True
    try:
        return tree(one) == tree(other)
    except DeclarationError:
        return False


def type_name(text: str) -> str:
    """The type as format_type() writes it with every name in full: `public.state[]`.

    Raises DeclarationError where `text` is no type.
    """
    if isinstance(text, Exact):
        return text
    if not isinstance(text, str):
        raise given.refused("a type", "SQL in quotes", text)
    return _formatted_type(text)


@lru_cache(maxsize=4096)
def _formatted_type(text: str) -> Exact:
    found = Exact(format_type(type_node(text)))
    check_names(text)
    return found


def is_serial(text: str) -> str | None:
    """The integer type behind serial, smallserial or bigserial; None for any other type."""
    return _SERIAL.get(text.strip().lower())


@lru_cache(maxsize=4096)
def type_node(text: str) -> Node:
    """The parse tree of a type's name."""
    try:
        found = statement(f"SELECT CAST(NULL AS\n{text}\n)")
    except DeclarationError:
        raise _no_type(text) from None
    match found:
        case {
            "SelectStmt": {
                "targetList": [{"ResTarget": {"val": {"TypeCast": {"typeName": node, **_rest}}}}],
                **more,
            }
        } if set(more) <= {"limitOption", "op"}:
            return node  # type: ignore[no-any-return]
    raise _no_type(text)


def _no_type(text: str) -> DeclarationError:
    return DeclarationError(f"{given.shown(text)} is not a type: write it as in SQL")


def format_type(node: Node) -> str:
    """A parsed type name, as PostgreSQL's function of this name prints it."""
    if node.get("pct_type"):
        raise DeclarationError("%TYPE is resolved once and not kept: name the type itself")
    name, modifiers = _type_base(node)
    if name is not None:
        written = _format_built_in(name, modifiers)
    else:
        written = f"{_user_type(node)}{_parenthesised(modifiers)}"
    return f"{written}[]" if node.get("arrayBounds") else written


def bare_type(node: Node) -> str:
    """A parsed type name as functions have it, without modifiers: they don't keep them."""
    written = format_type({key: value for key, value in node.items() if key != "typmods"})
    element = written.removesuffix("[]")
    return {"bpchar": "character", '"bit"': "bit"}.get(element, element) + written[len(element) :]


@lru_cache(maxsize=4096)
def type_references(text: str) -> tuple[Reference, ...]:
    """The type that `text` names, unless it is PostgreSQL's own."""
    node = type_node(text)
    return () if _type_base(node)[0] is not None else (Reference("type", _user_type(node)),)


def has_own_modifiers(text: str) -> bool:
    """Whether `text` is a user's type with modifiers, which only that type can compare."""
    node = type_node(text)
    return bool(node.get("typmods")) and _type_base(node)[0] is None


def _type_base(node: Node) -> tuple[str | None, list[int | str]]:
    """The internal name of a built-in type (None for a user's), and the modifiers."""
    names = [part["String"]["sval"] for part in node["names"]]
    modifiers = [_modifier(item) for item in node.get("typmods", ())]
    if names[0] == "pg_catalog":
        return names[-1], modifiers
    if len(names) == 1 and names[0] in _BUILT_IN_TYPES:
        return names[0], modifiers
    return None, modifiers


def _user_type(node: Node) -> Name:
    return dotted_name([part["String"]["sval"] for part in node["names"]])


def dotted_name(parts: Sequence[str]) -> Name:
    """The name that has these parts in a parse tree; without a schema it is in `public`."""
    if len(parts) > 2:
        raise DeclarationError(f"{'.'.join(parts)} has {len(parts)} parts: write schema.name")
    return Name(*parts) if len(parts) > 1 else Name("public", parts[0])


def relation_name(node: Node) -> Name:
    """The name of a relation in a parse tree."""
    keys = ("catalogname", "schemaname", "relname")
    return dotted_name([node[key] for key in keys if key in node])


def _modifier(item: Node) -> int | str:
    """An integer, or SQL for what else PostgreSQL hands to a type: a constant or a name."""
    match item:
        case {"A_Const": {"ival": number}}:
            return int(number.get("ival", 0))
        case {"A_Const": {"fval": {"fval": str(number)}}}:
            return number
        case {"A_Const": {"sval": text}}:
            return literal(text.get("sval", ""))
        case {"ColumnRef": {"fields": [{"String": {"sval": str(name)}}]}}:
            return quoted(name)
    raise DeclarationError("a type's modifier must be a constant or a name")


def _format_built_in(name: str, given: list[int | str]) -> str:
    modifiers = [one for one in given if isinstance(one, int)]
    if len(modifiers) < len(given):
        raise DeclarationError(f"a modifier of {name} must be an integer")
    written = _SQL_NAMES.get(name, quoted(name) if name not in _BUILT_IN_TYPES else name)
    match name:
        case "time" | "timestamp":
            return f"{name}{_parenthesised(modifiers)} without time zone"
        case "timetz" | "timestamptz":
            return f"{name[:-2]}{_parenthesised(modifiers)} with time zone"
        case "interval":
            fields = _INTERVAL_FIELDS.get(modifiers[0] if modifiers else 0x7FFF, "")
            return f"interval{fields}{_parenthesised(modifiers[1:])}"
        case "numeric" if len(modifiers) == 1:
            return f"numeric({modifiers[0]},0)"
        case "bpchar" if not modifiers:
            return "bpchar"
        case "bit" if not modifiers:
            return '"bit"'
    return f"{written}{_parenthesised(modifiers)}"


def _parenthesised(modifiers: Sequence[int | str]) -> str:
    return f"({','.join(map(str, modifiers))})" if modifiers else ""


def references(node: Any, ignore: frozenset[str] = frozenset()) -> Iterator[Reference]:
    """The tables, types and functions that a parse tree names.

    `ignore` holds relation names that are not tables: those of WITH queries.
    """
    found: list[Reference] = []
    if isinstance(node, dict):
        _gather(node, ignore, found)
    else:
        _gather_all(node, ignore, found)
    return iter(found)


def _gather(node: Node, ignore: frozenset[str], found: list[Reference]) -> None:
    if "withClause" in node:
        queries = node["withClause"].get("ctes", ())
        ignore |= {query["CommonTableExpr"]["ctename"] for query in queries}
    for key, value in node.items():
        if isinstance(value, dict):
            match key:
                case "RangeVar":
                    found += _table_reference(value, ignore)
                case "FuncCall":
                    found.append(_function_reference(value["funcname"]))
                    found += _sequence_reference(value, found[-1].name.name)
                case "typeName" | "TypeName":
                    type_ = value.get("TypeName", value)
                    if is_users_type(type_):
                        found.append(Reference("type", _user_type(type_)))
            _gather(value, ignore, found)
        elif isinstance(value, list):
            _gather_all(value, ignore, found)


def _sequence_reference(call: Node, function: str) -> Iterator[Reference]:
    """The sequence whose name a call of nextval or its like has as a constant."""
    first: Node = next(iter(call.get("args", ())), {}) if function in _OF_SEQUENCES else {}
    constant = first.get("TypeCast", {}).get("arg", first).get("A_Const", {})
    if text := constant.get("sval", {}).get("sval"):
        with suppress(DeclarationError):
            yield Reference("table", parse_name(text))


_OF_SEQUENCES = {"nextval", "currval", "setval"}


def _gather_all(nodes: Iterable[Any], ignore: frozenset[str], found: list[Reference]) -> None:
    for node in nodes:
        if isinstance(node, dict):
            _gather(node, ignore, found)
        elif isinstance(node, list):
            _gather_all(node, ignore, found)


@lru_cache(maxsize=65536)
def expression_references(text: str) -> tuple[Reference, ...]:
    """The tables, types and functions that an expression names.

    They are kept rather than its tree, which is large and rarely needed.
    """
    parsed = _parsed_expression(text)
    if not any(key in parsed for key in _NAMING):
        return ()
    return tuple(references(_loaded(parsed)))


# Inside a string of the JSON these quotes would be escaped.
_NAMING = ('"RangeVar":{', '"FuncCall":{', '"typeName":{', '"TypeName":{')


def declared_references(*texts: str | None) -> Iterator[Reference]:
    """The same of declared expressions; what a stored one names is there."""
    for text in texts:
        if text is not None and not isinstance(text, Exact):
            yield from expression_references(text)


def column_names(node: Any) -> Iterator[str]:
    """The names of the columns that a parse tree mentions."""
    if isinstance(node, list):
        for item in node:
            yield from column_names(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "ColumnRef":
                yield from (
                    part["String"]["sval"] for part in value["fields"][-1:] if "String" in part
                )
            else:
                yield from column_names(value)


def named(*texts: str | None) -> set[str]:
    """What may be columns in expressions."""
    return {name for text in texts if text is not None for name in column_names(tree(text))}


@lru_cache(maxsize=4096)
def expression_columns(text: str) -> tuple[tuple[str, ...], ...]:
    """The columns that an expression names, each as the parts of its name; not in subqueries."""
    found: list[tuple[str, ...]] = []

    def gather(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                gather(item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "ColumnRef":
                    parts = value["fields"]
                    if all("String" in part for part in parts):
                        found.append(tuple(part["String"]["sval"] for part in parts))
                # A modifier of a type looks like a column.
                elif key not in {"subselect", "typmods"}:
                    gather(value)

    gather(tree(text))
    return tuple(found)


def default_expression(text: str | None) -> str | None:
    """Check that `text` can be a default, which names no columns, if there is one."""
    if text is None or isinstance(text, Exact):
        return text
    found = expression(text)
    for parts in expression_columns(found):
        name = ".".join(parts)
        raise DeclarationError(
            f"a default names no columns, and {name} is one in {_short(found)!r}: "
            f"text stands in quotes of its own, as in \"'{name}'\""
        )
    return found


def is_users_type(node: Node) -> bool:
    """Whether a parsed type name is of none of PostgreSQL's own types."""
    names = [part["String"]["sval"] for part in node["names"]]
    return names[0] != "pg_catalog" and not (len(names) == 1 and names[0] in _BUILT_IN_TYPES)


def _table_reference(node: Node, ignore: frozenset[str]) -> Iterator[Reference]:
    name = Name(node.get("schemaname", "public"), node["relname"])
    if name.schema in {"pg_catalog", "information_schema"}:
        return
    if "schemaname" not in node and (
        node["relname"] in ignore or node["relname"].startswith("pg_")
    ):
        return
    yield Reference("table", name)


def _function_reference(funcname: list[Node]) -> Reference:
    names = [part["String"]["sval"] for part in funcname]
    return Reference("function", Name(names[-2] if len(names) > 1 else "", names[-1]))


class Token(NamedTuple):
    """A token of SQL: its text in lower case, and its place in characters."""

    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, without comments."""
    try:
        found = libpg_query.scan(text)
    except ParseError as error:
        raise DeclarationError(f"{_short(str(error))} in {_short(text)!r}") from None
    places = range(len(text) + 1) if text.isascii() else _characters(text)
    all_tokens = (
        Token(text[places[start] : places[end]].lower(), places[start], places[end])
        for start, end in found
    )
    return [one for one in all_tokens if not one.text.startswith(("--", "/*"))]


def _characters(text: str) -> dict[int, int]:
    """The place in characters of each place in bytes."""
    lengths = (len(letter.encode()) for letter in text)
    return {place: count for count, place in enumerate(accumulate(lengths, initial=0))}


def closing(found: list[Token], opening: int) -> int:
    """The index of the token that closes the parenthesis at index `opening`."""
    depth = 0
    for index in range(opening, len(found)):
        depth += {"(": 1, ")": -1}.get(found[index].text, 0)
        if depth == 0:
            return index
    raise DeclarationError("unbalanced parentheses")


_DEPTHS = {"(": 1, "[": 1, ")": -1, "]": -1}


def items(found: list[Token], opening: int) -> Iterator[list[Token]]:
    """The tokens of each item of the list whose parenthesis is at index `opening`."""
    item: list[Token] = []
    depth = 0
    for token in found[opening + 1 : closing(found, opening) + 1]:
        if depth == 0 and token.text in {",", ")"}:
            yield item
            item = []
        else:
            item.append(token)
            depth += _DEPTHS.get(token.text, 0)


def sliced(text: str, found: Sequence[Token]) -> str:
    """The text from the first token to the last."""
    return text[found[0].start : found[-1].end]


def _short(text: str) -> str:
    return shortened(text, 100)
