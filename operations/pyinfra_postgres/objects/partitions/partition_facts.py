"""What has to be known of a change of a partition beside how it is and how it is to be."""

from __future__ import annotations

from attrs import frozen

from ...syntax.names import Name
from ..constraints.constraints import Check, PrimaryKey, Unique
from ..indexes.index_state import IndexBuild


@frozen
class Attaching:
    """What a table needs to become a partition without a scan under a strong lock."""

    condition: str | None = None
    """What holds for all its rows, where PostgreSQL can infer the bound from it."""
    bound_check: str = ""
    """The name of a check of that."""
    left: str | None = None
    """The name of one that an interrupted run has left."""
    indexes: tuple[IndexBuild, ...] = ()
    """What its parent has and it lacks."""
    keys: tuple[tuple[PrimaryKey | Unique, IndexBuild], ...] = ()
    checks: tuple[tuple[Check, bool], ...] = ()
    """The checks of its parent that it lacks, and whether it has them NOT VALID."""
    sees: tuple[Name, ...] = ()
    """Itself and what foreign keys refer to that its parent has and it lacks."""


@frozen
class DefaultRows:
    """What is known of the rows of a default partition that a new one beside it is to take."""

    waiting: bool = True
    """Whether there are some, as far as is known."""
    changing: bool = True
    """Whether the plan may bring it more."""


@frozen
class PartitionFacts:
    """What is known of a change of a partition."""

    filled: bool = False
    """Whether it may have rows."""
    rest: Name | None = None
    """The default partition beside it."""
    rest_filled: bool = False
    detaching: bool = False
    """Whether an interrupted run has begun to detach it."""
    referring: tuple[Name, ...] = ()
    """The tables with foreign keys to a table above it."""
    bound_rule: str = ""
    """What holds for all its rows, as the server prints it."""
    attaching: Attaching = Attaching()
