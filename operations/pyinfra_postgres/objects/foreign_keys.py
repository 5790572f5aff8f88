"""Foreign keys that stand on a key or an index while that is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from ..catalog import Catalog
from ..errors import DeclarationError
from ..names import Name, literal, quoted
from ..plan import Hazard, Lock, Mode, Stage, Statement, together

if TYPE_CHECKING:
    from .constraints import ForeignKey


@frozen
class Dependent:
    """A foreign key with its table."""

    table: Name
    key: ForeignKey
    in_steps: bool
    """Whether PostgreSQL lets it be added first and validated later."""

    @property
    def name(self) -> str:
        """Its name, as SQL needs it."""
        return quoted(self.key.name or "")

    def __str__(self) -> str:
        return f"{self.name} of {self.table}"


def dependents(
    table: Name, index: str | None, columns: Iterable[str], catalog: Catalog
) -> tuple[Dependent, ...]:
    """The foreign keys that stand on an index of a table.

    Of one that the plan creates nobody knows the index yet: the columns tell.
    """
    wanted = sorted(columns)
    found = []
    for key, one in catalog.objects.items():
        for other in getattr(one, "constraints", ()) if key[0] == "table" else ():
            if getattr(other, "table", None) != table or other.inherited:
                continue
            if other.index == index if other.index else sorted(other.foreign_columns) == wanted:
                name = Name(*key[1:])
                in_steps = catalog.version >= 180000 or catalog.relation_kinds.get(name) == "r"
                found.append(Dependent(name, other, in_steps))
    return tuple(found)


def around(
    table: Name, swap: Iterable[str], dependents: Iterable[Dependent], stage: Stage
) -> Iterator[Statement]:
    """Statements that take a key away and give another, with the foreign keys on it kept.

    They are not there for the length of one transaction that nobody sees, and come back without
    a scan: no row has changed meanwhile.
    """
    moved = tuple(dependents)
    texts = [
        f"ALTER TABLE {one.table} DROP CONSTRAINT {quoted(one.key.name or '')}" for one in moved
    ]
    texts += swap
    for one in moved:
        texts.append(f"ALTER TABLE {one.table} ADD {one.key.written()} NOT VALID")
        if one.key.remark:
            texts.append(
                f"COMMENT ON CONSTRAINT {quoted(one.key.name or '')} ON {one.table} "
                f"IS {literal(one.key.remark)}"
            )
    locks = tuple(Lock(name) for name in dict.fromkeys([table, *(one.table for one in moved)]))
    if stage is Stage.AFTER:
        yield together(texts, locks)
    else:
        yield from (Statement(text, locks=locks) for text in texts)
    for one in moved:
        if one.key.validated:
            yield Statement(
                f"ALTER TABLE {one.table} VALIDATE CONSTRAINT {one.name}",
                stage=Stage.AFTER,
                hazards=(Hazard.SCANS,),
                locks=Lock(one.table, Mode.SHARE_UPDATE_EXCLUSIVE),
            )


def check(moved: Iterable[Dependent], columns: Iterable[str]) -> None:
    """Raise DeclarationError where foreign keys can't stand on what becomes of their key."""
    wanted = sorted(columns)
    lost = [str(one) for one in moved if sorted(one.key.foreign_columns) != wanted]
    if lost:
        raise DeclarationError(
            f"foreign keys stand on it, and can't stand on what is declared: {', '.join(lost)}. "
            "Drop them first"
        )
    blocking = [str(one) for one in moved if not one.in_steps]
    if blocking:
        raise DeclarationError(
            f"foreign keys of partitioned tables stand on it: {', '.join(blocking)}. Before "
            "PostgreSQL 18 they would block writers while all rows are read: drop them first"
        )
