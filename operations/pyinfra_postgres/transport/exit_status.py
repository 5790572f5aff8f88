"""The exit status of a dry run that tells whether anything would change.

pyinfra ends a dry run with 0 whatever it has found. With the host data `detailed_exitcode` it ends
with 2 where a host would change. It asks nobody how to end but the callbacks of its own command,
and those can be given while it makes the hosts: so a host of this package has to be among them.
"""

from __future__ import annotations

import sys
from functools import partial
from weakref import WeakSet

import click
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateStage

from ..errors import HostError
from ..exits import DIFFERENT, ERROR
from ..terminal import warn
from .options import DETAILED

_told: WeakSet[State] = WeakSet()


def tell_differences(state: State) -> None:
    """Have pyinfra's command end a dry run of this state with what it has found."""
    command = click.get_current_context(silent=True)
    if command and state not in _told:
        command.call_on_close(partial(_end, state))
        _told.add(state)


def check(host: Host) -> None:
    """Raise HostError where the status is asked for and would say nothing of the host."""
    if host.data.get(DETAILED) and host.state not in _told:
        raise HostError(
            f"{DETAILED}: pyinfra lets nobody say how it ends in an inventory without a host like "
            "@postgres/NAME: use pyinfra-postgres drift"
        )


def _end(state: State) -> None:
    """Put another status in the place of a good one, once a run has only looked."""
    ended = sys.exc_info()[1]
    is_good = isinstance(ended, SystemExit) and not ended.code
    if not is_good or state.is_executing or state.current_stage is not StateStage.Prepare:
        return
    if not state.activated_hosts or not state.check_for_changes:
        why = "no host was looked at" if state.check_for_changes else "-y skips looking for changes"
        warn(f"{DETAILED}: {why}")
        sys.exit(ERROR)
    if any(state.meta[host].ops_change for host in state.activated_hosts):
        sys.exit(DIFFERENT)
