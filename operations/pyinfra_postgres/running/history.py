"""Where a database keeps what has been deployed to it: is it there, and what was cut off?

The host data `postgres_history` switches it on. A plan runs without it too, and a line says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen
from pyinfra.api.host import Host

from ..catalog.entry import Key
from ..catalog.snapshot import OWN_SCHEMA, Fingerprint
from ..errors import HostError
from ..objects.constraints.constraints import PrimaryKey
from ..objects.server.schemas import Schema
from ..objects.tables.columns import Column
from ..objects.tables.tables import Table
from ..plan.document import plan_id
from ..plan.plan import Action, Plan, Stage, counted
from ..plan.sealed import Json
from ..planning.inverse import Inverse
from ..planning.session import HISTORY
from ..provenance import Provenance
from ..syntax.names import quoted
from ..terminal import say
from ..transport.answer import read as read_row
from ..transport.host_data import read
from ..transport.scripts import run
from .record import (
    COLUMNS,
    IS_FORMER,
    KEY,
    NEW,
    NO_SCHEMA,
    NO_TABLE,
    TABLE,
    Creating,
    Record,
    reading,
    told,
)

_SCHEMA = Schema(OWN_SCHEMA, comment="What pyinfra-postgres has deployed to this database")
_TABLE = Table(
    TABLE,
    [Column(name, kind, nullable=not needed) for name, (kind, needed) in COLUMNS.items()],
    constraints=[PrimaryKey(*KEY, name="deploy_pkey")],
    comment="A row for each plan that ran here, written by pyinfra-postgres",
)
_FORMER = evolve(_TABLE, columns=[one for one in _TABLE.columns or () if one.name not in NEW])
CREATING: Creating = tuple(
    (missing, tuple(one.sql for one in statements))
    for missing, statements in (
        (NO_SCHEMA, _SCHEMA.diff(None, _SCHEMA)),
        (NO_TABLE, _TABLE.diff(None, _TABLE)),
        (IS_FORMER, _TABLE.diff(_FORMER, _TABLE)),
    )
)


@frozen
class Place:
    """What a database has to keep it in."""

    database: str
    role: str
    schema: bool
    """Whether the schema is there."""
    holder: str | None
    """The role that it belongs to, where the run does not trust that one."""
    table: bool
    """Whether the table is there."""
    creates: bool
    """Whether the role may create what is missing."""
    lacks: bool | None
    """Whether the table is one of a former version, without some columns."""
    owns: bool | None
    """Whether the role may add these."""
    unreadable: str | None
    """Why its rows can't be read."""
    unwritable: str | None
    """Why it is not written to."""

    @property
    def is_whole(self) -> bool:
        """Whether there is all that it is kept in."""
        return self.table and not self.lacks

    @property
    def obstacle(self) -> str | None:
        """Why nothing is recorded, with what to do about it."""
        if self.table and self.lacks and not self.owns and not self.unwritable:
            added = "; ".join(one.sql for one in _TABLE.diff(_FORMER, _TABLE))
            return f"{TABLE} is of a former version: as its owner run {added}"
        if self.table:
            return self.unwritable
        if self.holder:
            owner = quoted(self.holder)
            return f"schema {OWN_SCHEMA} belongs to {owner}, whom this run does not trust"
        if self.creates:
            return None
        where = f"SCHEMA {OWN_SCHEMA}" if self.schema else f"DATABASE {quoted(self.database)}"
        return (
            f"role {quoted(self.role)} may not create {TABLE}: GRANT CREATE ON {where} "
            f"TO {quoted(self.role)}"
        )


def understood(rows: Sequence[str]) -> tuple[Place, list[dict[str, Any]]]:
    """What `reading` has read: whether there is a table, and rows of it. Raises HostError."""
    head, *found = [read_row(one) for one in rows]
    try:
        return Place(**head), [{**one} for one in found]
    except TypeError:
        raise HostError("the server answered with no history") from None


@define
class History:
    """What is recorded of one block of a deploy on one host, if anything is."""

    host: Host
    block: int
    """Which one of the deploy it is."""
    unproven: str = ""
    """What it does without though the host requires it."""
    undoes: str = ""
    """The run that it undoes."""
    reviewed: str = ""
    """The id of the plan that was reviewed, where it is a part of one."""
    trusted: frozenset[str] = frozenset()
    is_open: bool = False
    """Whether anything is recorded."""
    creating: Creating = ()
    """The statements that make the table first."""
    record: Record | None = None
    """What is recorded of the plan as it is now."""
    inverse: Json | None = None
    """How a plan is undone of which something may have run before its transaction."""
    early: set[Key] = field(factory=set)
    """What that has changed."""
    begun: bool = False
    """Whether the row is there."""
    made_anew: bool = False
    """Whether the plan was made anew since then."""
    cut_off: bool = False
    """Whether the connection was lost last."""

    def open(self) -> None:
        """Ask the server for the table, if host data wants history. Raises HostError.

        Says what became of plans that were cut off, and why nothing is recorded.
        """
        data = self.host.data.dict()
        if not read(data, HISTORY, False):
            return
        self.is_open, self.trusted = True, read(data, "postgres_trust", frozenset())
        answer = run(self.host, reading(self.trusted, "WHERE d.ended_at IS NULL"))
        if answer.failure:
            self.close(str(answer.failure))
            return
        place, unfinished = understood(answer.rows)
        if place.obstacle:
            self.close(f"{place.obstacle}; or set {HISTORY} = False")
            return
        self.creating = () if place.is_whole else CREATING
        for one in unfinished:
            if one["cut_off"] and not one["runs"]:
                say(self.host, f"the deploy {described(one)} was {one['cut_off']}")

    def close(self, reason: str) -> None:
        """Record nothing."""
        self.is_open = False
        say(self.host, f"this run is not recorded: {reason}")

    def of(self, plan: Plan, fingerprint: Fingerprint) -> Record | None:
        """What is recorded of a plan that assumes the catalog of a fingerprint."""
        if not self.is_open:
            return None
        self.made_anew = self.begun
        known = Provenance.of(self.host.state)
        values = {
            **about(plan),
            "plan": self.reviewed or plan_id(plan),
            "fingerprint_before": fingerprint.digest,
            "account": known.account,
            "controller": known.controller,
            "git_commit": known.git_commit,
            "version": known.version,
            "unproven": self.unproven or None,
            "inverse": self._inverse(plan),
            "undoes": self.undoes or None,
        }
        key = (known.run, self.host.name, self.block)
        self.record = Record(key, values, self.trusted, fingerprint, self.creating)
        return self.record

    def _inverse(self, plan: Plan) -> str | None:
        """How the plan is undone; what came before its transaction may be of a former one."""
        if plan.inverse is not None and self.begun and self.inverse is not None:
            former, anew = Inverse.read(self.inverse), Inverse.read(plan.inverse)
            plan.inverse = former.resumed(self.early, anew).json()
        self.early |= {change.key for change, _ in plan.of(Stage.BEFORE)}
        self.inverse = plan.inverse if self.early else None
        return None if plan.inverse is None else json.dumps(plan.inverse, ensure_ascii=False)

    def learn(self, begun: bool, lost: bool) -> None:
        """Know how far a session has come."""
        self.begun, self.cut_off = self.begun or begun, lost

    def status(self) -> str | None:
        """What became of the transaction, where the row of the plan tells: as pg_xact_status does.

        It has to be known that its session has ended.
        """
        # Of one that was made anew, the row may tell of the transaction before.
        if not self.record or not self.begun or self.made_anew:
            return None
        answer = run(self.host, self.record.reading())
        rows = [] if answer.failure else understood(answer.rows)[1]
        states = ["committed" if one["applied_at"] else "aborted" for one in rows]
        return next(iter(states), None)

    def end(self) -> None:
        """Write once more that the plan is in place."""
        if self.record:
            self._write(self.record.ended)

    def settle(self) -> None:
        """Write what became of a plan of which nothing is left to do."""
        if self.record and self.begun:
            self._write(self.record.settled)

    def fail(self, error: str) -> None:
        """Write why the plan failed. Of one whose connection is lost the next run does."""
        if self.record and self.begun and not self.cut_off:
            self._write(self.record.failed(error))

    def _write(self, statements: Sequence[str]) -> None:
        answer = run(self.host, statements)
        if answer.failure:
            say(self.host, f"could not record how it ended: {answer.failure}")


def about(plan: Plan) -> dict[str, str | None]:
    """What is recorded of a plan by itself."""
    counts = counted(plan.changes)
    return {
        "changes": ", ".join(f"{one.value} {counts[one]}" for one in Action if counts[one]),
        "statements": json.dumps(list(told(plan)), ensure_ascii=False),
    }


def described(row: Mapping[str, Any]) -> str:
    """Which deploy a row is of, for people."""
    return f"{row['run']} of {row['account']}@{row['controller']}"
