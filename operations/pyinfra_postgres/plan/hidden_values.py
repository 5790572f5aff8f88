"""What is hidden in the statements of a plan: no file has it, but the name of the host data.

Pure. A statement is kept in parts. In place of a literal that is all of a hidden value stands the
host data that has it; where a hidden value stands in any other way, the plan can't be applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra.api import HiddenValue

from .. import hidden
from ..errors import DeclarationError, HostError
from ..syntax.names import literal
from ..syntax.parse import tokens
from .document import Restored, in_run_order, is_whole
from .plan import Plan, Statement
from .sealed import Json


def kept(plan: Plan, data: Mapping[str, Any]) -> tuple[Json, ...]:
    """The statements of a plan in which something is hidden, each in parts if that can be."""
    return tuple(
        {"action": place, "parts": _parts(one, data)}
        for place, (*_, one) in enumerate(in_run_order(plan))
        if not is_whole(one)
    )


def _parts(one: Statement, data: Mapping[str, Any]) -> list[Any] | None:
    known = {}
    for name, value in sorted(data.items()):
        if isinstance(value, HiddenValue) and isinstance(value.unmask(), str):
            known[value.unmask()] = name
    named = {literal(text).strip(): {"host_data": name, "made": ""} for text, name in known.items()}
    for made, (text, how) in hidden.made_of().items():
        if text in known:
            named[literal(made).strip()] = {"host_data": known[text], "made": how}
    parts: list[Any] = []
    end = 0
    try:
        for token in tokens(one.sql):
            if found := named.get(one.sql[token.start : token.end]):
                parts += [one.sql[end : token.start], found]
                end = token.end
    except DeclarationError:
        return None
    parts.append(one.sql[end:])
    texts = [part for part in parts if isinstance(part, str)]
    is_all = one.again is None and all(hidden.masked(text, one.hidden) == text for text in texts)
    return parts if is_all else None


def restored(statements: Iterable[Json], data: Mapping[str, Any]) -> dict[int, Restored]:
    """The statements by their places, with what is hidden. Raises HostError where that is lost."""
    found = {}
    for one in statements:
        if one["parts"] is None:
            raise HostError("it has hidden values that no host data has")
        secrets = [_value(part, data) for part in one["parts"] if not isinstance(part, str)]
        values = iter(secrets)
        texts = (part if isinstance(part, str) else literal(next(values)) for part in one["parts"])
        found[one["action"]] = Restored("".join(texts), tuple(secrets))
    return found


def _value(part: Json, data: Mapping[str, Any]) -> str:
    name = part["host_data"]
    given = data.get(name)
    if not isinstance(given, HiddenValue) or not isinstance(given.unmask(), str):
        raise HostError(f"it needs the host data {name}, a HiddenValue that is text")
    text = str(hidden.taken(given))
    return hidden.made(part["made"], text) if part["made"] else text
