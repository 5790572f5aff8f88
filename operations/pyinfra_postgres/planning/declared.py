"""What tells one declaration from another, in this run and in any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

from attrs import fields, has
from pyinfra.api import HiddenValue

from ..hidden import MASK, masked
from ..plan.document import digest
from .session import Item


def told(item: Item) -> str:
    """A digest of what an item declares; of what is hidden it tells nothing."""
    return digest([item.present, item.phase, _spelled(item.declaration)])


def _spelled(value: Any) -> Any:
    """A value as JSON, which shows each part and the types of all that JSON does not have."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return masked(value)
        case HiddenValue():
            return MASK
        case Enum():
            return value.name
        case Mapping():
            return [[_spelled(name), _spelled(one)] for name, one in value.items()]
        case AbstractSet():
            return sorted(map(_spelled, value), key=json.dumps)
        case tuple() | list():
            return list(map(_spelled, value))
    kind = type(value)
    if has(kind):
        names = [one.name for one in fields(kind)]
        return [kind.__name__, *(_spelled(getattr(value, name)) for name in names)]
    return [kind.__name__, masked(repr(value))]
