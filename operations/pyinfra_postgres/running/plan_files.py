"""The directory of plans: `--data plan=DIR` fills it, and `--data apply=DIR` runs what is in it.

For each plan it has a document and the same as SQL. What else is there is left alone.
"""

from __future__ import annotations

import atexit
import re
from pathlib import Path
from weakref import WeakKeyDictionary

from attrs import define, field
from gevent import Greenlet, getcurrent
from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..errors import HostError
from ..plan.document import (
    Database,
    Declared,
    Document,
    Transaction,
    encoded,
    operations_of,
    plan_id,
)
from ..plan.hidden_values import kept
from ..plan.plan import Plan
from ..plan.sealed import Json, digest, sealed
from ..planning.declared import told
from ..planning.session import Block, Draft, Session
from ..provenance import VERSION
from ..terminal import tell, warn
from ..transport.options import PLAN
from . import by_hand
from .history import History
from .identity import identity
from .plans_asked_for import directory
from .rollout import Bounds

_FILE = re.compile(r"[0-9a-f]{16}\.(json|sql)")
_FIGURES = "rehearsal.json"
"""The file of what rehearsals of the plans have measured."""


def read(path: Path) -> dict[str, Document]:
    """The plans in a directory by the names of their hosts. Raises HostError."""
    found: dict[str, Document] = {}
    files = sorted(one for one in path.glob("*.json") if _FILE.fullmatch(one.name))
    if not files:
        raise HostError(f"there are no plans in {path}: make them with --dry --data {PLAN}={path}")
    for file in files:
        one = _read(file)
        for database in one.databases:
            if database.host in found:
                raise HostError(f"{path} has two plans for {database.host}")
            found[database.host] = one
    return found


def _read(file: Path) -> Document:
    try:
        one = Document.read(file.read_text())
        if by_hand.sql(one) != file.with_suffix(".sql").read_text():
            raise HostError(f"{file.with_suffix('.sql')} has been edited: it is not that plan")
    except (OSError, UnicodeError) as error:
        raise HostError(f"could not read {file}: {error}") from None
    except HostError as error:
        raise HostError(f"{file}: {error}") from None
    return one


@define
class _Deploy:
    """What is planned for a host."""

    document: Document
    transactions: dict[int, Transaction] = field(factory=dict)
    greenlets: set[Greenlet] = field(factory=set)
    """In which pyinfra reads the deploy for it."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the deploy has been read."""
        return all(one.ready() and one.value is None for one in self.greenlets)

    def planned(self) -> Document:
        """The plan of the host alone."""
        every = tuple(self.transactions[number] for number in sorted(self.transactions))
        changes = any(one.plan["actions"] for one in every)
        source = self.document.source
        return self.document.revised(transactions=every, target=None if changes else source)


_PLANNED: WeakKeyDictionary[State, dict[Host, _Deploy]] = WeakKeyDictionary()
_MEASURED: WeakKeyDictionary[State, list[Json]] = WeakKeyDictionary()
"""What was measured in a run, for each rehearsal."""


def keep(session: Session, block: Block, draft: Draft) -> None:
    """Note the plan of a block where a run is asked for plans. Raises HostError."""
    state, host = session.state, session.host
    path = directory(state, PLAN)
    if path is None:
        return
    if session.executing:
        raise HostError(f"--data {PLAN}={path} writes plans and runs none: run with --dry")
    if state not in _PLANNED:
        _prepare(path)
        atexit.register(write, state)
    planned = _PLANNED.setdefault(state, {})
    if host not in planned:
        planned[host] = _Deploy(_begun(session))
    transaction = _transaction(session, block, draft)
    planned[host].transactions[block.number] = transaction
    current = getcurrent()
    if isinstance(current, Greenlet):
        planned[host].greenlets.add(current)


def keep_figures(session: Session, block: Block, plan: Plan, measured: Json) -> None:
    """Note what the rehearsal of a block has measured where a run is asked for plans."""
    about = {"host": session.host.name, "transaction": block.name, "plan": plan_id(plan)}
    _MEASURED.setdefault(session.state, []).append({**about, **measured})


def _prepare(path: Path) -> None:
    """Take former plans away, and know that new ones can be written. Raises HostError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        for one in path.iterdir():
            if _FILE.fullmatch(one.name) or one.name == _FIGURES:
                one.unlink()
        probe = path / f"{'0' * 16}.json"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HostError(f"could not write plans: {error}") from None


def _begun(session: Session) -> Document:
    snapshot = session.snapshot()
    if snapshot.standby:
        raise HostError("it is a standby, to which no plan can be applied: plan on its primary")
    if snapshot.fingerprint.unreadable:
        raise HostError(
            "its catalog can't be read as a whole, so no plan can be kept: run again when the "
            "sessions above have ended"
        )
    return Document(
        VERSION,
        snapshot.version,
        snapshot.role,
        snapshot.today.isoformat(),
        snapshot.fingerprint.digest,
        dict(snapshot.sections),
        None,
        databases=(Database(session.host.name, identity(session)),),
        history=_trusted(session),
    )


def _trusted(session: Session) -> tuple[str, ...] | None:
    """The roles that are trusted, where what runs on a host is recorded."""
    history = History(session.host, 1)
    history.open()
    return tuple(sorted(history.trusted)) if history.is_open else None


def _transaction(session: Session, block: Block, draft: Draft) -> Transaction:
    data = session.host.data.dict()
    return Transaction(
        block.name,
        block.single,
        tuple(sorted(block.exact)),
        declared(block, draft.plan),
        Bounds.of(data).lock_timeout,
        encoded(draft.plan),
        plan_id(draft.plan),
        kept(draft.plan, data),
        draft.plan.inverse,
        block.undoes,
    )


def declared(block: Block, plan: Plan) -> tuple[Declared, ...]:
    """What is declared in a block, with the operations of its plan."""
    numbers = {id(one): number for number, one in enumerate(operations_of(plan))}
    return tuple(
        Declared(
            one.declaration.title,
            told(one),
            numbers.get(id(one.operation)),
            bool(one.conditions or block.arguments.get("_if")),
        )
        for one in block.items
    )


def write(state: State) -> None:
    """Write the plans of a run, one for all hosts that have the same, in place of former ones."""
    planned = _PLANNED.pop(state, {})
    alike: dict[str, list[Document]] = {}
    hosts = [one for one in state.inventory if one in planned and one not in state.failed_hosts]
    for host in hosts:
        if planned[host].is_whole:
            one = planned[host].planned()
            alike.setdefault(digest({**one.body, "databases": []}), []).append(one)
    measured = _MEASURED.pop(state, [])
    path = directory(state, PLAN) if alike or measured else None
    if path is None:
        return
    texts: dict[str, str] = {}
    if measured:
        texts[_FIGURES] = sealed({"format_version": 1, "rehearsals": measured})
    for same in alike.values():
        databases = tuple(database for one in same for database in one.databases)
        whole = same[0].revised(databases=databases)
        texts[f"{whole.id[:16]}.json"] = whole.text()
        texts[f"{whole.id[:16]}.sql"] = by_hand.sql(whole)
    try:
        for name, text in texts.items():
            (path / name).write_text(text)
    except OSError as error:
        warn(f"could not write plans: {error}")
        return
    if not alike:
        return
    count = sum(map(len, alike.values()))
    tell(f"{_several(len(alike), 'plan')} for {_several(count, 'host')} in {path}")


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count > 1)}"
