"""The arguments and results of functions, as CREATE FUNCTION has them.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/sql-createfunction.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...syntax import given
from ...syntax.fragments import Rule
from ...syntax.names import Exact, quoted
from ...syntax.parse import Node, bare_type, closed, items, sliced, tokens

_MODES = {
    "FUNC_PARAM_DEFAULT": "in",
    "FUNC_PARAM_IN": "in",
    "FUNC_PARAM_OUT": "out",
    "FUNC_PARAM_INOUT": "inout",
    "FUNC_PARAM_VARIADIC": "variadic",
    "FUNC_PARAM_TABLE": "table",
}


_ARGUMENTS = Rule(
    "list of arguments",
    "CREATE FUNCTION f({}) RETURNS void LANGUAGE sql AS ''",
    "",
    "parameters",
    "it as in SQL, like a integer, b text DEFAULT 'x'",
)
_RETURNS = Rule(
    "return type",
    "CREATE FUNCTION f() RETURNS {} LANGUAGE sql AS ''",
    "void",
    "returnType parameters",
    "it as in SQL, like SETOF integer, and the rest as arguments, like volatility='STABLE'",
)


class Argument(NamedTuple):
    """An argument: how it is passed, its name, type and default."""

    mode: str
    name: str
    type: str
    default: str | None


def parse_arguments(text: str | tuple[Argument, ...]) -> tuple[Argument, ...]:
    """Read an argument list: `a integer, b text DEFAULT 'x'`."""
    if isinstance(text, tuple) and all(isinstance(one, Argument) for one in text):
        return text
    text = given.text("a list of arguments", text)
    parameters = _ARGUMENTS.read(text)["CreateFunctionStmt"].get("parameters", ())
    defaults = iter(_defaults(text))
    return tuple(_argument(one["FunctionParameter"], defaults) for one in parameters)


def _argument(node: Node, defaults: Iterator[str]) -> Argument:
    return Argument(
        _MODES[node.get("mode", "FUNC_PARAM_DEFAULT")],
        node.get("name", ""),
        bare_type(node["argType"]),
        next(defaults) if "defexpr" in node else None,
    )


def _defaults(text: str) -> Iterator[str]:
    """The texts of the defaults, in order."""
    whole = f"(\n{text}\n)"
    for item in items(tokens(whole), 0):
        marks = (place for place, one in enumerate(item) if one.text in {"default", "=", ":="})
        if place := next(marks, 0):
            yield sliced(whole, item[place + 1 :])


def identity(arguments: tuple[Argument, ...]) -> str:
    """The types that tell functions of one name apart."""
    return ", ".join(one.type for one in arguments if one.mode in {"in", "inout", "variadic"})


def return_type(text: str | None) -> str | None:
    """Read a return type: `SETOF integer`, `TABLE (a integer)`."""
    if text is None or isinstance(text, Exact):
        return text
    node = _RETURNS.read(text)["CreateFunctionStmt"]
    return_type, columns = node["returnType"], node.get("parameters")
    if columns:
        inner = ", ".join(
            f"{quoted(one['FunctionParameter']['name'])} "
            f"{bare_type(one['FunctionParameter']['argType'])}"
            for one in columns
        )
        return Exact(f"TABLE({inner})")
    prefix = "SETOF " if return_type.get("setof") else ""
    return Exact(prefix + bare_type(return_type))


def implied(arguments: tuple[Argument, ...]) -> Exact:
    """The return type where only output arguments tell it."""
    out = [one.type for one in arguments if one.mode in {"out", "inout"}]
    if not out:
        return Exact("void")
    return Exact(out[0] if len(out) == 1 else "record")


def written(one: Argument) -> str:
    """An argument as CREATE FUNCTION has it."""
    mode = "" if one.mode == "in" else f"{one.mode.upper()} "
    name = f"{quoted(one.name)} " if one.name else ""
    default = f" DEFAULT {closed(one.default)}" if one.default is not None else ""
    return f"{mode}{name}{one.type}{default}"
