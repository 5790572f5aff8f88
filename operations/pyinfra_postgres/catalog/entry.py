"""What a catalog needs to know of the objects that it keeps.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeAlias

from ..plan.plan import Lock
from ..syntax.parse import Reference

Key: TypeAlias = tuple[str, ...]
"""The kind of an object, and what tells it from others of its kind."""
INDEX, PARTITION, DOMAIN, ENUM = "index", "partition", "domain", "enum"
"""The kinds that others are told apart from, or looked into, wherever they are."""
ROUTINES = frozenset({"function", "procedure"})
"""The kinds that have a body and are called."""
VIEWS = frozenset({"view", "materialized_view"})
"""The kinds that have a query."""
RELATIONS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
"""What people call relations, by the letter of the kind."""


class Entry(Protocol):
    """An object of a catalog, or a declaration of one."""

    kind: ClassVar[str]
    acl: ClassVar[str]
    relkind: ClassVar[str]
    is_beside_its_table: ClassVar[bool]
    gives_meaning: ClassVar[bool]

    @property
    def is_beside(self) -> bool:
        """Whether it declares only what lies beside its essence."""

    @property
    def address(self) -> str:
        """What ALTER calls it."""

    @property
    def locked(self) -> Lock | None:
        """The lock of a relation under which its name changes."""

    def key(self) -> Key:
        """What identifies it in a catalog."""

    def names(self) -> Iterator[Key]:
        """The keys of what it declares: its own, and those of parts that can be renamed."""

    def requires(self) -> Iterator[Reference]:
        """What has to exist before it."""

    def provides(self) -> Iterator[Reference]:
        """What exists with it."""

    def belongs_to(self) -> Reference | None:
        """What holds it: its table, else its schema."""

    def renames(self, catalog: Any) -> Iterator[Any]:
        """The renames that it declares."""

    def erase(self, catalog: Any) -> None:
        """Remove itself, with what goes with it, from a catalog."""
