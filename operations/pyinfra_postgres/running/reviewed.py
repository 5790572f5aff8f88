"""Running plans as they were reviewed, with `--data apply=DIR`: nothing is planned then.

What a plan is for has to be there still: the database, the versions, the declarations, and the
catalog, which is looked at again under the locks. Else the host is refused with what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from weakref import WeakKeyDictionary

from attrs import define, evolve, field
from pyinfra.api.state import State

from ..catalog.snapshot import Fingerprint
from ..errors import HostError
from ..plan.document import Declared, Document, Transaction, decoded
from ..plan.hidden_values import restored
from ..plan.order import Condition
from ..plan.plan import Plan, Statement
from ..planning.session import Block, Draft, Item, Session
from ..provenance import VERSION
from ..transport.options import APPLY, PLAN
from . import plan_files
from .history import History
from .identity import identity
from .plans_asked_for import directory
from .rollout import Bounds, Rollout

_AGAIN = "make the plan again, and have it reviewed"


@define
class Reviewed:
    """The reviewed plan of a host, while it is applied."""

    session: Session
    document: Document
    catalog: Fingerprint
    """The catalog as the plan's next transaction has to find it."""
    checked: set[bool] = field(factory=set)
    """The phases in which all that the plan is for has been found."""

    @classmethod
    def of(cls, session: Session) -> Reviewed | None:
        """The one of a host, if the run applies plans. Raises HostError."""
        path = directory(session.state, APPLY)
        if path is None:
            return None
        if directory(session.state, PLAN) is not None:
            raise HostError(f"--data {PLAN}= makes plans and --data {APPLY}= runs them: not both")
        if session not in _REVIEWED:
            plans = _plans(session.state, path)
            name = session.host.name
            if name not in plans:
                raise HostError(f"there is no plan for {name} in {path}")
            document = plans[name]
            _REVIEWED[session] = cls(session, document, Fingerprint(document.source))
        found = _REVIEWED[session]
        if session.executing not in found.checked:
            found._check()
            found.checked.add(session.executing)
        return found

    def _check(self) -> None:
        """Raise HostError where the plan is for something else, with all that is so."""
        differing = [*self._differing(), *self._differing_declarations()]
        if differing:
            told = "; ".join(differing)
            raise HostError(
                f"plan {self.document.id[:16]} is for something else: {told}. {_AGAIN.capitalize()}"
            )

    def _differing(self) -> Iterator[str]:
        plan, snapshot = self.document, self.session.snapshot()
        name = self.session.host.name
        (planned,) = (one.identity for one in plan.databases if one.host == name)
        here = identity(self.session)
        for what, then, now in (
            ("pyinfra-postgres", plan.tool, VERSION),
            ("the server's version", plan.server, snapshot.version),
            ("the role", plan.role, snapshot.role),
            ("the system identifier", planned.system_identifier, here.system_identifier),
            ("the database", planned.name, here.name),
            ("the database's oid", planned.oid, here.oid),
            ("the branch of Neon's", planned.neon_branch, here.neon_branch),
        ):
            if then != now:
                yield f"{what} is {now}, and was {then}"
        try:
            for one in plan.transactions:
                restored(one.hidden, self.session.host.data.dict())
        except HostError as error:
            yield str(error)
        if snapshot.standby:
            yield "it is a standby"
        elif snapshot.fingerprint.digest != plan.source:
            names = sorted(plan.sections.keys() | snapshot.sections.keys())
            found = [one for one in names if plan.sections.get(one) != snapshot.sections.get(one)]
            yield f"the catalog has changed since, in its {', '.join(found).replace('_', ' ')}"
        timeout = Bounds.of(self.session.host.data.dict()).lock_timeout
        if any(one.lock_timeout != timeout for one in plan.transactions):
            yield f"postgres_lock_timeout is {timeout}, and was another"
        waiting = {each["phase"] for one in plan.transactions for each in one.plan["waiting"]}
        for phase in sorted(filter(self.session.does, waiting)):
            yield f"postgres_phase has {phase}, which waits in it"

    def _differing_declarations(self) -> Iterator[str]:
        """What the deploy declares otherwise, once it has been read."""
        blocks, transactions = self.session.blocks, self.document.transactions
        if self.session.executing and len(blocks) != len(transactions):
            yield f"the deploy has {len(blocks)} transactions, and had {len(transactions)}"
        elif self.session.executing:
            for block in blocks:
                yield from _differing(block, self._of(block))

    def draft(self, block: Block, items: Sequence[Item]) -> Draft:
        """The plan of a block without what `_if` leaves out of it. Raises HostError."""
        if block.number > len(self.document.transactions):
            raise HostError(f"the plan ends before this transaction: {_AGAIN}")
        for one in _differing(block, self._of(block)):
            raise HostError(f"{one}: {_AGAIN}")
        transaction = self._of(block)
        plan = self._plan(transaction, block.items)
        absent = {id(one.operation) for one in block.items} - {id(one.operation) for one in items}
        left = [one for each in self._skipped(block) for _, one in each.statements()]
        left += [one for change, one in plan.statements() if id(change.operation) in absent]
        plan.changes = [one for one in plan.changes if id(one.operation) not in absent]
        if missing := _missing(plan, left):
            raise HostError(f"_if leaves out what {missing} needs: {_AGAIN}")
        draft = self.session.drafts[block, self.session.executing] = Draft(plan, list(items))
        return draft

    def _plan(self, transaction: Transaction, items: Sequence[Item]) -> Plan:
        """The plan of a transaction, whose operations are those of the deploy where it has them."""
        operations = transaction.operations
        for declared, item in zip(transaction.declared, items, strict=True):
            if declared.operation is not None:
                operations[declared.operation] = item.operation
        hidden = restored(transaction.hidden, self.session.host.data.dict())
        plan = decoded(transaction.plan, operations, hidden)
        plan.inverse = transaction.inverse
        return plan

    def _of(self, block: Block) -> Transaction:
        return self.document.transactions[block.number - 1]

    def _skipped(self, block: Block) -> Iterator[Plan]:
        """The plans that `_if` has left out before a block."""
        for one in self.session.blocks[: block.number - 1] if self.session.executing else ():
            if (one, True) not in self.session.drafts:
                yield self._plan(self._of(one), one.items)

    def rollout(self, plan: Plan, history: History) -> Rollout:
        """What runs a plan of it as it is."""
        history.reviewed = self.document.id
        return Rollout(self.session.host, plan, self.catalog, None, history)

    def ran(self, rollout: Rollout) -> None:
        """Know what catalog a plan has left."""
        self.catalog = Fingerprint(rollout.left)


_REVIEWED: WeakKeyDictionary[Session, Reviewed] = WeakKeyDictionary()
_PLANS: WeakKeyDictionary[State, dict[str, Document]] = WeakKeyDictionary()


def _plans(state: State, path: Path) -> dict[str, Document]:
    if state not in _PLANS:
        _PLANS[state] = plan_files.read(path)
    return _PLANS[state]


def _differing(block: Block, transaction: Transaction) -> Iterator[str]:
    now = plan_files.declared(block, Plan())
    pairs = zip_longest(now, transaction.declared)
    for here, there in pairs:
        if _is_same(here, there):
            continue
        title = (here or there).title
        yield f"{title} is declared otherwise, or not in this place"
        return
    if (block.single, tuple(sorted(block.exact))) != (transaction.is_single, transaction.exact):
        yield f"{transaction.name} takes away something else that nobody declares"


def _is_same(one: Declared | None, other: Declared | None) -> bool:
    if one is None or other is None:
        return False
    return evolve(one, operation=None) == evolve(other, operation=None)


def _missing(kept: Plan, left: Iterable[Statement]) -> str:
    """What needs something of what is left out; "" for nothing."""
    given: set[Condition] = set()
    freed: set[Condition] = set()
    for one in left:
        given |= one.gives
        freed |= one.frees
    for _, one in kept.statements():
        given -= one.gives
        freed -= one.frees
    every = kept.statements()
    found = (change.title for change, one in every if one.needs & given or one.takes & freed)
    return next(found, "")
