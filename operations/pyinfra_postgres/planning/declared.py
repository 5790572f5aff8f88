"""What tells one declaration from another, in this run and in any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

from attrs import fields, has
from pyinfra.api import HiddenValue

from ..hidden import MASK, masked
from ..plan.sealed import digest
from .session import Item


def told(item: Item) -> str:
    """A digest of what an item declares; of what is hidden it tells nothing."""
    return digest([item.present, item.phase, spelled(item.declaration)])


def spelled(value: Any, shown: Callable[[str], str] = masked) -> Any:
    """A value as JSON, which shows each part and the types of all that JSON does not have.

    `shown` is how texts are shown.
    """

    def parts(values: Iterable[Any]) -> list[Any]:
        return [spelled(one, shown) for one in values]

    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return shown(value)
        case HiddenValue():
            return MASK
        case Enum():
            return value.name
        case Mapping():
            return list(map(parts, value.items()))
        case AbstractSet():
            return sorted(parts(value), key=json.dumps)
        case tuple() | list():
            return parts(value)
    kind = type(value)
    if has(kind):
        return [kind.__name__, *parts(getattr(value, one.name) for one in fields(kind))]
    return [kind.__name__, shown(repr(value))]
