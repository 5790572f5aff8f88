"""Whether a run keeps plans, with `--data plan=DIR`, applies them, with `--data apply=DIR`, or
rehearses them, with `--data rehearse=true`.
"""

from __future__ import annotations

from pathlib import Path

from pyinfra.api.state import State

from ..errors import HostError
from ..transport.options import PLAN, REHEARSE


def directory(state: State, word: str) -> Path | None:
    """The directory that `--data` names by a word. Raises HostError where it is none.

    What an inventory calls by that word is something else.
    """
    given = state.inventory.get_override_data().get(word)
    if given is None:
        return None
    if not isinstance(given, str) or not given:
        raise HostError(f"{word} is a directory: --data {word}=DIR")
    return Path(given)


def are_asked_for(state: State) -> bool:
    """Whether a run is to keep plans."""
    return state.inventory.get_override_data().get(PLAN) is not None


def needs_plans(state: State) -> str:
    """The word by which a run is asked for something that takes plans without applying them."""
    given = state.inventory.get_override_data()
    return next((word for word in (PLAN, REHEARSE) if given.get(word) not in {None, False}), "")


def rehearsal(state: State) -> frozenset[str] | None:
    """What a rehearsal may go through by name; None where none is asked for. Raises HostError."""
    given = state.inventory.get_override_data().get(REHEARSE)
    if isinstance(given, str):
        return frozenset(one.strip() for one in given.split(",")) - {""}
    if given is None or isinstance(given, bool):
        return frozenset() if given else None
    raise HostError(
        f"{REHEARSE} is true, or names of what a rehearsal may read or write as a whole, separated "
        f"by commas: --data {REHEARSE}=true"
    )
