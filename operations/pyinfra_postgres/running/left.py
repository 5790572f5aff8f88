"""What a dry run can tell only when all of the deploy has been read: at its end.

While pyinfra reads a deploy, nobody knows what a later block declares, and for which phase.
"""

from __future__ import annotations

import atexit
from functools import partial
from weakref import WeakSet, ref

from pyinfra.api.host import Host
from pyinfra.api.state import State

from ..planning.phases import unknown
from ..planning.session import Session
from ..planning.undeclared import of_run
from ..terminal import report
from .render import undeclared

_told: WeakSet[State] = WeakSet()


def tell_at_the_end(state: State) -> None:
    """Have the end of a run that has only looked count what nobody declares, and say which phase
    it was asked for in vain.
    """
    if state not in _told:
        _told.add(state)
        atexit.register(partial(_tell, ref(state)))


def _tell(known: ref[State]) -> None:
    state = known()
    if state is None or state.is_executing:
        return
    alike: dict[str, list[Host]] = {}
    looked_at = state.activated_hosts - state.failed_hosts
    for host in (one for one in state.inventory if one in looked_at):
        session = Session.of(host)
        left = [] if state.config.DIFF else undeclared(of_run(session))
        for text in filter(None, [*left, unknown(session)]):
            alike.setdefault(text, []).append(host)
    for text, hosts in alike.items():
        more = f", as on {len(hosts) - 1} more hosts" if len(hosts) > 1 else ""
        report(f"{text}{more}", host=hosts[0])
