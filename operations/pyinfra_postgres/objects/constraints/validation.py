"""Statements about constraints that are there: validating them, and marking what a run leaves.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-VALIDATE-CONSTRAINT
"""

from __future__ import annotations

from collections.abc import Iterator

from ...plan.order import rows_of
from ...plan.plan import Hazard, Lock, Mode, Stage, Statement
from ...syntax.names import Name, literal, quoted
from ...syntax.paths import SearchPath
from .constraints import Check

_OWED = "(put back, still to be validated)"


def marked(remark: str | None) -> str:
    """The comment of a foreign key that is owed its validation."""
    return f"{remark}\n{_OWED}" if remark else _OWED


def unmarked(remark: str | None) -> tuple[str | None, bool]:
    """A constraint's own comment, and whether it is owed its validation."""
    if not remark or not remark.endswith(_OWED):
        return remark, False
    return remark.removesuffix(_OWED).removesuffix("\n") or None, True


_PASSING = "(added by a deploy, which drops it again)"


def in_passing(table: Name, check: Check, path: SearchPath = SearchPath.OWN) -> Iterator[Statement]:
    """Add a check that spares a scan under a strong lock and is dropped after that.

    It is marked, so that the next run knows it where this one dies: the name alone may be a user's.
    """
    name, remark = quoted(check.name or ""), literal(_PASSING)
    add = f"ALTER TABLE {table} ADD {check.written()} NOT VALID"
    needs = frozenset({rows_of(table)})
    yield Statement(add, path=path, locks=table, needs=needs)
    yield Statement(f"COMMENT ON CONSTRAINT {name} ON {table} IS {remark}", needs=needs)
    yield validated(table, check.name)


def is_passing(remark: str | None) -> bool:
    """Whether a constraint's comment says that it was added to be dropped."""
    return remark == _PASSING


def validated(table: Name, name: str | None, filled: bool = True) -> Statement:
    """Read all rows of a table with a constraint that was added NOT VALID."""
    return Statement(
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(name or '')}",
        stage=Stage.AFTER if filled else Stage.MAIN,
        hazards=(Hazard.SCANS,) if filled else (),
        locks=Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE),
    )
