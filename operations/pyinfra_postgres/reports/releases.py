"""Releases: what an environment has proven, written once all its hosts have passed.

The run deploys and verifies; `postgres_environment` in the hosts' data names the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from attrs import evolve
from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..errors import HostError
from ..plan.plan import Stage
from ..planning.proven import path_of, varying
from ..planning.release import Proof, Release, Stated, differences, stated
from ..planning.session import Block, Draft, Session
from ..provenance import Provenance
from ..running.identity import database_of
from ..terminal import say
from ..transport.host_data import read
from . import folder

ENVIRONMENT = "postgres_environment"
"""The host data that names the environment that a host belongs to."""
_FORMS = {
    Stage.BEFORE: "before the transaction",
    Stage.MAIN: "in the transaction",
    Stage.AFTER: "online",
}

_passed: WeakKeyDictionary[State, dict[str, dict[Host, Session]]] = WeakKeyDictionary()


def passed(session: Session) -> None:
    """Note that a host has passed its verification. With the last one the releases are written.

    Raises HostError where that is not possible.
    """
    state = session.state
    environment = read(session.host.data.dict(), ENVIRONMENT, None)
    if environment is None:
        return
    found = _passed.setdefault(state, {}).setdefault(environment, {})
    found[session.host] = session
    members = [one for one in state.inventory if one.data.get(ENVIRONMENT) == environment]
    if any(one in state.active_hosts and one not in found for one in members):
        return
    if missing := [one.name for one in members if one not in found]:
        say(session.host, f"no release of {environment}: not verified: {', '.join(missing)}")
        return
    sessions = [found[one] for one in members]
    for deploy in dict.fromkeys(one.deploy for one in session.blocks if one.deploy):
        release = _release(environment, deploy, sessions)
        path = path_of(state, environment, deploy)
        _write(path, release)
        say(session.host, f"release of {environment}: {os.path.relpath(path, state.cwd)}")


def _release(environment: str, deploy: str, sessions: Sequence[Session]) -> Release:
    first, *others = sessions
    blocks = _blocks(first, deploy)
    for one in others:
        if found := list(differences(_all(blocks), _all(_blocks(one, deploy)))):
            raise HostError(
                f"no release of {environment}: {one.host.name} differs from {first.host.name}: "
                f"{'; '.join(found)}. Name the host data or the phase that it is due to in "
                "postgres_varies"
            )
    provenance = Provenance.of(first.state)
    return Release(
        environment,
        deploy,
        tuple(blocks),
        first.snapshot().today.isoformat(),
        provenance.version,
        tuple(varying(first)),
        tuple(sorted({phase for one in sessions for phase in _waiting(one, deploy)})),
        tuple(sorted({form for one in sessions for form in _forms(one, deploy)})),
        tuple(map(_proof, sessions)),
        provenance.run,
        provenance.account,
        provenance.controller,
        provenance.git_commit,
    )


def _drafts(session: Session, deploy: str) -> Iterator[tuple[Block, Draft]]:
    """What has been planned of a deploy while it was executed."""
    for (block, executing), draft in session.drafts.items():
        if executing and block.deploy == deploy:
            yield block, draft


def _blocks(session: Session, deploy: str) -> list[tuple[Stated, ...]]:
    today, varies = session.snapshot().today, varying(session)
    return [stated(block, draft.items, varies, today) for block, draft in _drafts(session, deploy)]


def _all(blocks: Sequence[Sequence[Stated]]) -> list[Stated]:
    return [one for block in blocks for one in block]


def _waiting(session: Session, deploy: str) -> Iterator[str]:
    """The phases that the run has left to another one."""
    for _, draft in _drafts(session, deploy):
        yield from (one.phase for one in draft.plan.waiting)


def _forms(session: Session, deploy: str) -> Iterator[str]:
    """How changes were made."""
    for _, draft in _drafts(session, deploy):
        yield from (form for stage, form in _FORMS.items() if draft.plan.of(stage))


def _proof(session: Session) -> Proof:
    database, _ = database_of(session)
    return Proof(session.host.name, session.snapshot().version, database)


def _write(path: Path, release: Release) -> None:
    """Write it in one go. Raises HostError."""
    try:
        before = Release.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, HostError):
        before = release
    if (before.blocks, before.version) == (release.blocks, release.version):
        # What has been proven once is not forgotten by a run that has nothing to change.
        release = evolve(release, forms=tuple(sorted({*before.forms, *release.forms})))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder.write(path, release.text())
    except OSError as error:
        raise HostError(f"could not write the release {path}: {error.strerror}") from None
