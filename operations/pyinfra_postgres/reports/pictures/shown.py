"""The pictures of a host's page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from attrs import frozen
from markupsafe import Markup

from ..facts import ForeignKey, HostFacts, Table
from .cone import Bundle, bundled, cone
from .neighbours import Neighbourhood, neighbourhoods
from .tables import grouped, picture, prepared
from .timeline import Timeline, timeline


@frozen
class Diagram:
    """A group of tables, and the picture of it, if there is a way to draw it."""

    title: str
    tables: tuple[Table, ...]
    picture: Markup | None


@frozen
class Pictures:
    """What there is to see of a host."""

    bundles: Sequence[Bundle]
    """What is missing or wrong, and what waits for it."""
    causes: Markup | None
    """The picture of that."""
    diagrams: tuple[Diagram, ...]
    neighbourhoods: tuple[Neighbourhood, ...]
    timelines: tuple[Timeline, ...]


def pictures(host: HostFacts) -> Pictures:
    """The pictures of a host; many hosts of one schema have theirs drawn once."""
    bundles = bundled(host.declared) or bundled(host.checks)
    return Pictures(
        bundles,
        cone(bundles) if bundles else None,
        _diagrams(host.tables, host.foreign_keys),
        _neighbourhoods(host.tables, host.foreign_keys),
        tuple(timeline(one, host.verified) for one in host.partitioned),
    )


@lru_cache(maxsize=8)
def _diagrams(tables: tuple[Table, ...], keys: tuple[ForeignKey, ...]) -> tuple[Diagram, ...]:
    return tuple(
        Diagram(one.title, one.tables, picture(prepared(one, keys)))
        for one in grouped(tables, keys)
    )


@lru_cache(maxsize=8)
def _neighbourhoods(
    tables: tuple[Table, ...], keys: tuple[ForeignKey, ...]
) -> tuple[Neighbourhood, ...]:
    return tuple(neighbourhoods([one.name for one in tables], keys))
