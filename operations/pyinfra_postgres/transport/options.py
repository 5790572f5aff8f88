"""What a run's command line says by `--data` beside host data; and what only looks like it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pyinfra.api.host import Host

from ..errors import ConnectError

PLAN, APPLY = "plan", "apply"
"""The directory of plans to keep, and of those to apply."""
REHEARSE = "rehearse"
"""Whether to rehearse a dry run's plans, or the names of what that may go through."""
DETAILED = "detailed_exitcode"
"""Whether the exit status tells of differences."""
_NEAR = 0.8
"""How much of two words has to be the same."""


def check(host: Host, known: Iterable[str]) -> None:
    """Raise ConnectError where `--data` has a word that is nearly one of these, or of ours.

    What the inventory has too is the user's own.
    """
    inventory = host.inventory
    words = [*known, PLAN, APPLY, REHEARSE, DETAILED]
    for key in inventory.get_override_data():
        near = difflib.get_close_matches(key, words, 1, _NEAR)
        if not near or key in words:
            continue
        groups = inventory.get_groups_data(host.groups)
        if key not in {**inventory.get_data(), **groups, **inventory.get_host_data(host.name)}:
            raise ConnectError(
                f"--data {key}: did you mean {near[0]}? Data of your own that is called so has "
                "to be in the inventory too, with a value for when it is not given"
            )
