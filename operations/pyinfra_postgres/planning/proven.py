"""Whether the release of an environment proves a block of a deploy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pyinfra.api.state import State

from ..errors import HostError
from ..provenance import VERSION
from ..transport.host_data import read
from .release import Release, differences, stated
from .session import PHASE, Block, Session

VARIES = "postgres_varies"
"""The host data that names what may differ between environments: other host data, and phases."""
DIRECTORY = "releases"


def path_of(state: State, environment: str, deploy: str) -> Path:
    """The file of a release."""
    name = deploy.removesuffix(".py").replace(os.sep, "-")
    return Path(state.cwd or ".") / DIRECTORY / environment / f"{name}.json"


def varying(session: Session) -> dict[str, Any]:
    """The names of what may differ between environments, with the host data of that name."""
    data = session.host.data.dict()
    return {name: data.get(name, "") for name in sorted(read(data, VARIES, frozenset()))}


def objections(session: Session, block: Block, environment: str) -> Iterator[str]:
    """Why a block counts as not proven."""
    if not block.deploy:
        yield "it is in no file"
        return
    path = path_of(session.state, environment, block.deploy)
    name = "/".join(path.parts[-3:])
    try:
        release = Release.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"there is no {name}"
    except (OSError, UnicodeError, HostError) as error:
        yield f"{name} can't be used: {getattr(error, 'strerror', None) or error}"
    else:
        mine = (environment, block.deploy)
        if (release.environment, release.deploy) != mine:
            yield f"{name} is of {release.deploy} in {release.environment}"
        elif release.version != VERSION:
            yield f"{name} is of pyinfra-postgres {release.version}, and this is {VERSION}"
        else:
            yield from _mismatches(release, session, block)


def _mismatches(release: Release, session: Session, block: Block) -> Iterator[str]:
    """How a block differs from the release."""
    blocks = session.blocks_of(block.deploy)
    place = blocks.index(block)
    proven = release.blocks[place] if place < len(release.blocks) else ()
    varies = varying(session)
    today = read(session.host.data.dict(), "postgres_today", None) or date.today()
    declared = stated(block, block.items, varies, today)
    as_of = date.fromisoformat(release.as_of)
    if declared != proven and stated(block, block.items, varies, as_of) == proven:
        yield (
            f"on {today} other partitions are declared than on {as_of}: set postgres_today = "
            f'"{as_of}", or release anew'
        )
    elif declared != proven:
        yield from differences(proven, declared)
    # How many there are is known once all have been read.
    elif session.executing and len(blocks) < len(release.blocks):
        yield f"it had {len(release.blocks)} transactions and has {len(blocks)}"
    for phase in dict.fromkeys(one.phase for one in block.items):
        if phase in release.waiting and session.does(phase):
            yield f"phase {phase} waits there still (--data {PHASE}={phase})"
