"""The words of `exact=`, from the kinds that can hold something."""

from __future__ import annotations

from .server.schemas import Schema
from .tables.tables import Table
from .types.composites import Composite
from .types.enums import Enum

WORDS = tuple(
    dict.fromkeys(word for kind in (Schema, Table, Composite, Enum) for word in kind.holds)
)
"""All of them, in the order in which people read them."""
