"""Whether a run keeps plans, with `--data plan=DIR`, or applies them, with `--data apply=DIR`."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api.state import State

from ..errors import HostError
from ..transport.options import PLAN


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
