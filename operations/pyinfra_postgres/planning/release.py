"""What an environment has proven, as a file: one for each deploy, to be committed beside it.

Its id is a digest of the rest. That tells of an edit by accident; it proves nothing. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, Self

from attrs import asdict, frozen

from ..catalog.catalog import Forecast
from ..errors import DeclarationError
from ..hidden import masked
from ..plan.document import Identity
from ..plan.sealed import Json, digest, sealed, unsealed
from .declared import spelled
from .session import Block, Item

FORMAT = 1
_SHOWN = 5
"""How many differences are named."""


@frozen
class Stated:
    """What a deploy declares of one object."""

    title: str
    digest: str
    """What tells it from any other declaration of the same object."""


@frozen
class Proof:
    """A database on which the deploy has been proven."""

    host: str
    server_version: int
    database: Identity


@frozen
class Release:
    """What an environment has proven of one deploy."""

    environment: str
    deploy: str
    blocks: tuple[tuple[Stated, ...], ...]
    as_of: str
    """The date that partitions were counted from, in ISO 8601."""
    version: str
    """Of this package."""
    varies: tuple[str, ...]
    """The host data whose values, and the phases whose declarations, may differ elsewhere."""
    waiting: tuple[str, ...]
    """The phases of a rollout that still wait on one of the hosts."""
    forms: tuple[str, ...]
    """How changes were made: in the transaction, or online, after it."""
    hosts: tuple[Proof, ...]
    run: str
    account: str
    controller: str
    git_commit: str | None

    def text(self) -> str:
        """The file."""
        return sealed({"format_version": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, text: str) -> Self:
        """What a file says. Raises HostError where it is none, or not as it was written."""
        return unsealed(text, "release", _unknown, cls._built)

    @classmethod
    def _built(cls, _: str, said: Json) -> Self:
        said.pop("format_version")
        said["blocks"] = tuple(tuple(Stated(**one) for one in block) for block in said["blocks"])
        said["hosts"] = tuple(
            Proof(**{**one, "database": Identity(**one["database"])}) for one in said["hosts"]
        )
        several = ("varies", "waiting", "forms")
        return cls(**{**said, **{name: tuple(said[name]) for name in several}})


def _unknown(version: object) -> str:
    """What is wrong with a version of the format."""
    return "" if version == FORMAT else f"it has format {version}, and {FORMAT} is known here"


def stated(
    block: Block, items: Iterable[Item], varies: Mapping[str, Any], today: date
) -> tuple[Stated, ...]:
    """What a block declares on a day, but for what may differ between environments.

    `varies` has the phases that are left out, and the host data whose values here stand for any.
    """
    patterns = {
        name: re.compile(rf"(?<!\w){re.escape(str(value))}(?!\w)")
        for name, value in varies.items()
        if str(value)
    }
    around = [block.single, sorted(block.exact)]

    def shown(text: str) -> str:
        text = masked(text)
        for name, pattern in patterns.items():
            text = pattern.sub(f"{{{name}}}", text)
        return text

    def one(item: Item) -> Stated:
        said = [*around, item.present, item.phase, item.declaration, _parts(item, today)]
        return Stated(shown(item.declaration.title), digest(spelled(said, shown))[:16])

    shared = (item for item in items if varies.keys().isdisjoint(_phases(item)))
    return tuple(map(one, shared))


def _phases(item: Item) -> list[str]:
    """The names of the deploy functions that it is declared in."""
    return item.operation.phase.split(" | ")


def _parts(item: Item, today: date) -> list[str]:
    """What a declaration stands for on a day."""
    with suppress(DeclarationError):
        return [each.title for each in item.declaration.expand(Forecast(today=today))]
    return []


def differences(proven: Sequence[Stated], declared: Sequence[Stated]) -> Iterator[str]:
    """How declarations differ from those that have been proven."""
    before, now = Counter(proven), Counter(declared)
    titles = dict.fromkeys(one.title for one in [*declared, *proven])
    missing = {one.title for one in before - now}
    more = {one.title for one in now - before}
    found = [
        f"{title} is declared otherwise"
        if title in missing & more
        else f"{title} was not declared"
        if title in more
        else f"{title} is no longer declared"
        for title in titles
        if title in missing | more
    ]
    if not found and tuple(proven) != tuple(declared):
        found = ["the same is declared in another order"]
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more"
