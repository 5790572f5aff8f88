"""What is locked while a dependent is dropped, created again, and given back all that it had.

Pure. The texts are those of dependents_query.py, so their first words tell what they do.
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

from collections.abc import Sequence

from ..plan.plan import Lock, Mode
from ..syntax.names import Name

_OF_ITSELF = frozenset({"policy", "rule", "default"})
"""The kinds of what a table has for itself, whatever partitions and heirs it has."""


def dropping(kind: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
    """What it locks to drop a dependent of a kind: of a foreign key both tables are given."""
    own, referred = tables[:1], tables[1:]
    if kind == "statistics":
        return tuple(Lock(one, Mode.SHARE_UPDATE_EXCLUSIVE, only=True) for one in own)
    spares = kind in {"trigger", "index", "exclusion"}
    return (
        *(Lock(one, only=kind in _OF_ITSELF, spares_heirs=spares) for one in own),
        *(Lock(one, spares_heirs=True) for one in referred),
    )


def creating(kind: str, text: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
    """What it locks to create it again."""
    if kind == "index" and text.startswith("ALTER INDEX"):
        return ()
    if kind == "index":
        # Its partitions' follow one by one.
        return tuple(Lock(one, Mode.SHARE, only=True) for one in tables)
    if kind == "foreign_key":
        own, *referred = tables
        spared = (Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True) for one in referred)
        return (Lock(own, Mode.SHARE_ROW_EXCLUSIVE), *spared)
    if kind == "trigger":
        return tuple(Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True) for one in tables)
    return dropping(kind, tables)


def restoring(kind: str, text: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
    """What it locks to give back something else."""
    own = tables[:1]
    if text.startswith("COMMENT ON"):
        is_apart = kind == "statistics" or text.startswith("COMMENT ON INDEX")
        return tuple(
            Lock(one, Mode.SHARE_UPDATE_EXCLUSIVE, only=True) for one in own if not is_apart
        )
    if not text.startswith("ALTER TABLE"):
        return tuple(Lock(one, only=True) for one in own if text.startswith("ALTER TRIGGER"))
    if kind == "trigger":
        return tuple(Lock(one, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True) for one in own)
    clusters = any(text.startswith(f"ALTER TABLE {one} CLUSTER ON") for one in own)
    mode = Mode.SHARE_UPDATE_EXCLUSIVE if clusters else Mode.ACCESS_EXCLUSIVE
    return tuple(Lock(one, mode, only=True) for one in own)
