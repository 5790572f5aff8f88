"""What has to be known of a change of a table beside how it is and how it is to be."""

from __future__ import annotations

from attrs import field, frozen

from ..constraints.constraints import ReferringKey
from ..kind import Object
from .column_sequences import New
from .retyping import Retypes


@frozen
class TableFacts:
    """What is known of a change of a table."""

    version: int = 0
    """The server's, like 170002."""
    filled: bool = False
    """Whether it takes up space, so that it may have rows."""
    gone: tuple[Object, ...] = ()
    """The indexes, statistics and sequences that go with its columns."""
    owed: tuple[ReferringKey, ...] = ()
    """The foreign keys to it that an interrupted run has not validated again."""
    sequences: tuple[New, ...] = ()
    """The sequences that its serial columns lack, or that end before these do."""
    retypes: Retypes = field(factory=Retypes)
    """What the server tells of the columns that get another type."""
    rewriting: frozenset[str] = frozenset()
    """The new columns for which every row is written anew."""
