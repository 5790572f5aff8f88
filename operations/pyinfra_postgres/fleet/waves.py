"""Waves: hosts of an inventory that come together, before others or after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from attrs import field, frozen
from pyinfra.api import Host

from ..errors import InventoryError
from .jobs import Planned
from .matching import is_meant
from .probes import Probe, Query, Verify, refused


def texts(given: str | Sequence[str]) -> tuple[str, ...]:
    """One or several, as several."""
    return (given,) if isinstance(given, str) else tuple(given)


def _one_of(*words: str) -> Callable[[Any, Any, object], None]:
    def check(_: object, attribute: Any, value: object) -> None:
        if value not in words:
            raise refused(f"{attribute.name} is one of {', '.join(words)}, not {value!r}")

    return check


def _whole(_: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refused(f"{attribute.name} is a whole number from 1 on, not {value!r}")


def _seconds(_: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise refused(f"{attribute.name} is a number of seconds, not {value!r}")


@frozen(kw_only=True)
class Wave:
    """Hosts that come together, before others or after them."""

    match: str | Sequence[str] | Callable[[Host], bool] = "*"
    """Groups, or patterns for names; or a function that says it of a host."""
    order_by: str | Callable[[Host], Any] = ""
    """The name of host data, or a function of a host; else they come as in the inventory."""
    parallel: int = field(default=1, validator=_whole)
    """How many at once."""
    on_error: str = field(default="stop", validator=_one_of("stop", "continue"))
    """Whether a host that fails stops the rollout, or the others of the wave still come."""
    depends_on: str | Sequence[str] | None = None
    """The waves that have to have gone well; None is the one before."""
    bake: float = field(default=0, validator=_seconds)
    """Seconds to wait for what shows only then, where anything has changed."""
    probes: Sequence[Probe | Verify] = ()
    """What is asked of its hosts before the next wave."""

    def __attrs_post_init__(self) -> None:
        for one in self.probes:
            if not isinstance(one, Probe | Verify):
                raise refused(f"probes are LockWaiters(), Deadlocks(), ..., not {one!r}")
            if isinstance(one, Query):
                one.check()

    def has(self, host: Host) -> bool:
        """Whether a host comes in it."""
        if callable(self.match):
            return bool(self.match(host))
        return any(is_meant(host, pattern) for pattern in texts(self.match))

    def sorted(self, hosts: Sequence[Host]) -> list[Host]:
        """Its hosts as they come. Raises InventoryError where that can't be told."""
        by = self.order_by
        if not by:
            return list(hosts)
        values = {host: by(host) if callable(by) else host.data.get(by) for host in hosts}
        if nothing := [host.name for host in hosts if values[host] is None]:
            raise InventoryError(f"order_by={by!r}: there is no such data of {nothing[0]}")
        try:
            return sorted(hosts, key=values.__getitem__)
        except TypeError as error:
            raise InventoryError(f"order_by={by!r}: {error}") from None


def in_order(waves: Mapping[str, Wave], hosts: Sequence[Host]) -> list[Planned]:
    """Waves as they come, with those of some hosts of an inventory that are in each.

    Raises InventoryError for what is wrong with them, though these hosts don't show it.
    """
    place = _places(waves, list(hosts[0].inventory))
    before: str | None = None
    needs: dict[str, tuple[str, ...]] = {}
    for name, one in waves.items():
        usual = (before,) if before else ()
        needs[name] = usual if one.depends_on is None else texts(one.depends_on)
        before = name
    return [
        _planned(name, waves[name], [one for one in hosts if place[one] == name], needs[name])
        for name in _sorted(needs)
    ]


def _planned(name: str, one: Wave, hosts: Sequence[Host], needs: tuple[str, ...]) -> Planned:
    return Planned(
        name,
        tuple(host.name for host in one.sorted(hosts)),
        one.parallel,
        one.on_error == "continue",
        needs,
        one.bake,
        tuple(each.about() for each in one.probes if isinstance(each, Probe)),
        any(isinstance(each, Verify) for each in one.probes),
    )


def _places(waves: Mapping[str, Wave], hosts: Sequence[Host]) -> dict[Host, str]:
    """The wave of each host: the first that it matches. Raises InventoryError."""
    matches = {name: {host for host in hosts if one.has(host)} for name, one in waves.items()}
    for name, found in matches.items():
        if not found:
            raise InventoryError(f"wave {name} matches no host")
    place = {
        host: next((name for name, found in matches.items() if host in found), "") for host in hosts
    }
    if nowhere := [host.name for host in hosts if not place[host]]:
        more = f" and {len(nowhere) - 1} more" if len(nowhere) > 1 else ""
        raise InventoryError(f"no wave matches {nowhere[0]}{more}: let the last one match all")
    return place


def _sorted(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The waves, each after those that it depends on, else as declared. Raises InventoryError."""
    for name, others in needs.items():
        if unknown := [one for one in others if one not in needs]:
            raise InventoryError(f"wave {name} depends on {unknown[0]}, which is no wave")
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise InventoryError(f"waves depend on one another: {' -> '.join(error.args[1])}") from None
    order = list(needs)
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=order.index)
        found += ready
        sorter.done(*ready)
    return found
