"""The values of host data: each is checked as it is read, all of them before the first statement.

Pure: no I/O, no pyinfra state. None is as good as not given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

from ..errors import HostError
from ..syntax.given import is_storable, shown
from ..syntax.values import unmasked

_LONGEST = 2**31 - 1
"""What PostgreSQL takes for a timeout, in milliseconds."""


def number(data: Mapping[str, Any], name: str, default: float) -> float:
    """Host data that is a number. Raises HostError where it is none."""
    return default if data.get(name) is None else _number(name, data[name])


def read(data: Mapping[str, Any], name: str, default: Any) -> Any:
    """Host data, as what it stands for. Raises HostError where it stands for nothing."""
    return default if data.get(name) is None else READERS[name](name, data[name])


def check(data: Mapping[str, Any]) -> None:
    """Read all host data that is given. Raises HostError."""
    for name in READERS:
        read(data, name, None)


def _number(name: str, value: object) -> float:
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise HostError(f"{name} must be a number, not {shown(value)}")
    return found


def _between(name: str, value: object, low: float, high: float) -> float:
    found = _number(name, value)
    if not low <= found <= high:
        raise HostError(f"{name} must be a number from {low:g} to {high:g}, not {shown(value)}")
    return found


def _whole(name: str, value: object, low: int, high: int) -> int:
    _between(name, value, low, high)
    # On the command line a number is text.
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise HostError(f"{name} must be a whole number, not {shown(value)}")
    return int(text)


def _text(name: str, value: object) -> str:
    """A text, which may be secret: no message shows it."""
    plain = unmasked(value)
    if not isinstance(plain, str):
        raise HostError(f"{name} must be text, not of type {type(plain).__name__}")
    if not is_storable(plain):
        raise HostError(f"{name} must be text without NUL bytes and lone surrogates")
    return plain


def _port(name: str, value: object) -> str:
    # libpq takes several, for as many hosts.
    ports = value.split(",") if isinstance(value, str) else [value]
    return ",".join(str(_whole(name, one, 1, 65535)) for one in ports)


def _day(name: str, value: object) -> date:
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise HostError(f"{name} must be a date like 2025-11-06, not {shown(value)}") from None


def _names(name: str, value: object) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set | frozenset) or not all(
        isinstance(one, str) for one in names
    ):
        raise HostError(f"{name} must be names separated by commas, not {shown(value)}")
    return frozenset(one.strip() for one in names) - {""}


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise HostError(f"{name} is True or False, not {shown(value)}")
    return value


def _permission(name: str, value: object) -> bool | frozenset[str]:
    """Of all, or of some by name."""
    return value if isinstance(value, bool) else _names(name, value)


def _command(name: str, value: object) -> str | bool:
    """A command, or False for none."""
    if value is False or (isinstance(value, str) and value and is_storable(value)):
        return value
    raise HostError(f"{name} is a command, or False for none, not {shown(value)}")


def _environment(name: str, value: object) -> str:
    """The name of an environment, which is a directory's too."""
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w.-]*", value):
        raise HostError(f"{name} is a name of letters, digits, _, - and ., not {shown(value)}")
    return value


READERS: dict[str, Callable[[str, Any], Any]] = {
    "postgres_dsn": _text,
    "postgres_host": _text,
    "postgres_port": _port,
    "postgres_user": _text,
    "postgres_password": _text,
    "postgres_database": _text,
    "postgres_connect_attempts": partial(_whole, low=1, high=1000),
    "postgres_connect_delay": partial(_between, low=0, high=3600),
    "postgres_lock_timeout": partial(_whole, low=1, high=_LONGEST),
    "postgres_lock_attempts": partial(_whole, low=1, high=1000),
    "postgres_deploy_lock_timeout": partial(_between, low=0, high=_LONGEST // 1000),
    "postgres_answer_timeout": partial(_between, low=1, high=86400),
    "postgres_snapshot_timeout": partial(_between, low=0, high=86400),
    "postgres_today": _day,
    "postgres_allow": _names,
    "postgres_trust": _names,
    "postgres_phase": _names,
    "postgres_rehearse": _permission,
    "postgres_rehearse_timeout": partial(_between, low=0.1, high=86400),
    "postgres_remember": _flag,
    "postgres_history": _flag,
    "postgres_environment": _environment,
    "postgres_requires": _environment,
    "postgres_unproven": _environment,
    "postgres_varies": _names,
    "postgres_pgrls": _command,
    "postgres_squawk": _command,
}
"""What each host data may be."""
