"""What a dry run leaves as it is, told when all of the deploy has been read: at its end.

While pyinfra reads a deploy, nobody knows what a later block declares.
"""

from __future__ import annotations

import atexit
from functools import partial
from weakref import WeakSet, ref

from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..planning.session import Session
from ..planning.undeclared import of_run
from ..terminal import report
from .render import undeclared

_told: WeakSet[State] = WeakSet()


def tell_at_the_end(state: State) -> None:
    """Have the end of a run that has only looked count what nobody declares."""
    if state not in _told:
        _told.add(state)
        atexit.register(partial(_tell, ref(state)))


def _tell(known: ref[State]) -> None:
    state = known()
    if state is None or state.is_executing:
        return
    alike: dict[str, list[Host]] = {}
    for host in state.inventory:
        if host not in state.failed_hosts:
            for text in undeclared(of_run(Session.of(host))):
                alike.setdefault(text, []).append(host)
    for text, hosts in alike.items():
        more = f", as on {len(hosts) - 1} more hosts" if len(hosts) > 1 else ""
        report(f"{text}{more}", host=hosts[0])
