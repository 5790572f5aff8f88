"""What a catalog knows of a table beside what may be declared."""

from __future__ import annotations

from attrs import frozen

from ..indexes.elements import Element


@frozen
class TableDetails:
    """What a catalog knows of a table beside what may be declared."""

    partition_key: tuple[Element, ...] = ()
    """The columns of its partition key, with what is not printed of them."""
    tablespace: str | None = None
    """Where partitions of it lie, if not where its database does."""
