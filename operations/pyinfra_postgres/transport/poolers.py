"""Whether a pooler hands its sessions around among its clients.

A deploy needs a session of its own, for its lock and its settings: in one that is handed on they
would stay for whoever gets it next. Two clients ask in turn which process of the server they have;
sessions that are the clients' own stay the same, and apart.
https://www.pgbouncer.org/features.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from ..errors import ConnectError
from .troubles import POOLER

PROCESS = "SELECT pg_catalog.pg_backend_pid()"
"""Leaves nothing in the session of somebody else, and means the same whatever its settings are."""


def check_own(seen: Iterable[tuple[str, int]]) -> None:
    """Raise ConnectError where two clients' sessions are not their own; of each, what it saw."""
    distinct = set(seen)
    if len(distinct) != 2 or len({process for _, process in distinct}) != 2:
        _refuse("hands the sessions around among its clients")


def refuse_a_full(reason: str) -> NoReturn:
    """Raise ConnectError, because there was no second session."""
    _refuse(f"gives no second session, which would tell how: {reason}")


def _refuse(reason: str) -> NoReturn:
    raise ConnectError(f"this is a pooler that {reason}. {POOLER.advice}")
