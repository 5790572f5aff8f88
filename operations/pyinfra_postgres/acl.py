"""Access control lists as sets.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

_LETTERS = {
    "a": "INSERT",
    "r": "SELECT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ALL = {
    "TABLE": _TABLE,
    "COLUMN": ("SELECT", "INSERT", "UPDATE", "REFERENCES"),
    "SEQUENCE": ("USAGE", "SELECT", "UPDATE"),
    "SCHEMA": ("USAGE", "CREATE"),
    "FUNCTION": ("EXECUTE",),
    "PROCEDURE": ("EXECUTE",),
    "TYPE": ("USAGE",),
    "DATABASE": ("CREATE", "CONNECT", "TEMPORARY"),
}
"""The privileges that ALL stands for; a table has MAINTAIN too from PostgreSQL 17 on."""
PUBLIC = "public"
_PUBLIC_DEFAULTS = {
    "FUNCTION": ("EXECUTE",),
    "PROCEDURE": ("EXECUTE",),
    "TYPE": ("USAGE",),
    "DATABASE": ("CONNECT", "TEMPORARY"),
}


def all_privileges(target: str, version: int) -> tuple[str, ...]:
    """What ALL PRIVILEGES means for a kind of target on a server."""
    extra = ("MAINTAIN",) if target == "TABLE" and version >= 170000 else ()
    return ALL[target] + extra


@frozen
class Acl:
    """Who may do what: (grantee, privilege) to whether it may be granted on."""

    owner: str = ""
    granted: dict[tuple[str, str], bool] = field(factory=dict)

    @classmethod
    def read(cls, target: str, owner: str, text: str | None, version: int) -> Acl:
        """The list from the catalog's text; where that is null, PostgreSQL's defaults."""
        if text is None:
            own = {(owner, privilege): False for privilege in all_privileges(target, version)}
            for privilege in _PUBLIC_DEFAULTS.get(target, ()):
                own[PUBLIC, privilege] = False
            return cls(owner, own)
        granted: dict[tuple[str, str], bool] = {}
        for item in array_items(text):
            grantee, letters = _grantee(item)
            for index, letter in enumerate(letters):
                if letter != "*" and letter in _LETTERS:
                    key = (grantee, _LETTERS[letter])
                    granted[key] = granted.get(key, False) or letters[index + 1 : index + 2] == "*"
        return cls(owner, granted)

    def owned_by(self, owner: str) -> Acl:
        """The list under another owner, who gets what the one before had."""
        granted: dict[tuple[str, str], bool] = {}
        for (grantee, privilege), option in self.granted.items():
            key = (owner if grantee == self.owner else grantee, privilege)
            granted[key] = granted.get(key, False) or option
        return Acl(owner, granted)


def array_items(text: str) -> Iterator[str]:
    """The elements of an array, from its text."""
    item, in_quotes, index = "", False, 1
    while index < len(text) - 1:
        letter = text[index]
        if letter == "\\":
            index += 1
            item += text[index]
        elif letter == '"':
            in_quotes = not in_quotes
        elif letter == "," and not in_quotes:
            yield item
            item = ""
        else:
            item += letter
        index += 1
    if item:
        yield item


def _grantee(item: str) -> tuple[str, str]:
    """The grantee and the letters of `grantee=letters/grantor`."""
    if item.startswith('"'):
        end = 1
        while item[end] != '"' or item[end + 1 : end + 2] == '"':
            end += 2 if item[end] == '"' else 1
        name, rest = item[1:end].replace('""', '"'), item[end + 1 :]
    else:
        name, _, rest = item.partition("=")
        rest = f"={rest}"
    return name or PUBLIC, rest[1:].split("/", 1)[0]
