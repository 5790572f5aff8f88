"""Settings of functions, as PostgreSQL keeps them: SET name TO value.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/sql-set.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import DeclarationError
from ...syntax.fragments import Rule
from ...syntax.given import pairs, refused, setting, shown
from ...syntax.names import Exact, identifiers, literal, quoted, split

# Their value is a list of names, each of which PostgreSQL quotes by itself: GUC_LIST_QUOTE.
_LISTS = frozenset(
    {
        *("search_path", "temp_tablespaces", "unix_socket_directories"),
        *("local_preload_libraries", "session_preload_libraries", "shared_preload_libraries"),
    }
)
_VALUES = Rule(
    "list of names", "SET x = {}", "a", "args", """it as in SQL, like '"$user", public, pg_temp'"""
)
# As postgresql.conf has it in quotes, and people write it.
_BARE_USER = re.compile(r"""(?<![\w"'])\$user(?![\w"'])""")
_STORED_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')


def parse_settings(given: Mapping[str, object] | None) -> dict[str, str]:
    """Settings by their names in lower case, each value as PostgreSQL keeps it."""
    found: dict[str, str] = {}
    for name, value in sorted(pairs("settings", given).items()):
        known = ".".join(split(name)).lower()
        if known in found:
            raise DeclarationError(f"the setting {known} is given twice")
        found[known] = value if isinstance(value, Exact) else _kept(known, value)
    return found


def _kept(name: str, value: object) -> str:
    """A declared value as PostgreSQL keeps it."""
    if name not in _LISTS:
        if isinstance(value, list | tuple):
            raise refused(f"the setting {name}", "one value, not a list", value)
        return setting(f"the setting {name}", value)
    parts = _names(value) if isinstance(value, str) else _each(name, value)
    return ", ".join(map(quoted, parts)) or '""'


def _each(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise refused(f"the setting {name}", "a list of names, or text like 'app, pg_temp'", value)
    return identifiers('"$user"' if one == "$user" else one for one in value)


def _names(text: str) -> list[str]:
    """The names in a list as SET takes it; no name at all is an empty one."""
    if text.strip() in {"", "''", '""'}:
        return []
    arguments = _VALUES.read(_BARE_USER.sub('"$user"', text))["VariableSetStmt"].get("args", ())
    values = [one.get("A_Const", {}).get("sval", {}).get("sval") for one in arguments]
    if not all(values):
        raise DeclarationError(f"{shown(text)} is no list of names: write {_VALUES.advice}")
    return [name for name in values if name]


def names_in(value: str) -> list[str]:
    """The names in the value of a setting that is a list, as PostgreSQL keeps it."""
    found = _STORED_NAME.findall(value)
    return [one for one in (inner.replace('""', '"') or plain for inner, plain in found) if one]


def same_settings(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether settings mean the same."""
    return _read(one) == _read(other)


def _read(settings: Mapping[str, str]) -> dict[str, object]:
    return {name: names_in(value) if name in _LISTS else value for name, value in settings.items()}


def setting_sql(name: str, value: str) -> str:
    """A setting as CREATE FUNCTION has it; a list of names may be empty."""
    target = ".".join(map(quoted, name.split(".")))
    values = ", ".join(map(literal, names_in(value))) or "''" if name in _LISTS else literal(value)
    return f"SET {target} TO {values}"
