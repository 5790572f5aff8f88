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


DEFAULTS = {
    "TABLE": "r",
    "SEQUENCE": "S",
    "FUNCTION": "f",
    "PROCEDURE": "f",
    "TYPE": "T",
    "SCHEMA": "n",
}
"""The letters of the kinds for which roles can have default privileges."""


def all_privileges(target: str, version: int) -> tuple[str, ...]:
    """What ALL PRIVILEGES means for a kind of target on a server."""
    extra = ("MAINTAIN",) if target == "TABLE" and version >= 170000 else ()
    return ALL[target] + extra


@frozen
class Acl:
    """Who may do what: (grantee, privilege) to whether it may be granted on."""

    owner: str = ""
    granted: dict[tuple[str, str], bool] = field(factory=dict)
    grantors: dict[tuple[str, str], set[str]] = field(factory=dict, eq=False)
    """Who has granted it, where that is not the owner alone; only the grantor can revoke it."""

    @classmethod
    def read(cls, target: str, owner: str, text: str | None, version: int) -> Acl:
        """The list from the catalog's text; where that is null, PostgreSQL's defaults."""
        if text is None:
            own = {(owner, privilege): False for privilege in all_privileges(target, version)}
            for privilege in _PUBLIC_DEFAULTS.get(target, ()):
                own[PUBLIC, privilege] = False
            return cls(owner, own)
        granted: dict[tuple[str, str], bool] = {}
        grantors: dict[tuple[str, str], set[str]] = {}
        for item in array_items(text):
            grantee, letters, grantor = _parts(item)
            for index, letter in enumerate(letters):
                if letter != "*" and letter in _LETTERS:
                    key = (grantee, _LETTERS[letter])
                    granted[key] = granted.get(key, False) or letters[index + 1 : index + 2] == "*"
                    grantors.setdefault(key, set()).add(grantor)
        others = {key: found for key, found in grantors.items() if found != {owner}}
        return cls(owner, granted, others)

    def changed(self, granted: dict[tuple[str, str], bool]) -> Acl:
        """The list with other privileges; those that stay have the grantors that they had."""
        grantors = {key: found for key, found in self.grantors.items() if key in granted}
        return Acl(self.owner, granted, grantors)

    def with_more(self, more: Acl | None) -> Acl:
        """The list with what another one has besides."""
        granted = dict(self.granted)
        for key, option in more.granted.items() if more else ():
            granted[key] = granted.get(key, False) or option
        return Acl(self.owner, granted)

    def owned_by(self, owner: str) -> Acl:
        """The list under another owner, who gets what the one before had and has granted."""
        if owner == self.owner:
            return self

        def now(role: str) -> str:
            return owner if role == self.owner else role

        granted: dict[tuple[str, str], bool] = {}
        grantors: dict[tuple[str, str], set[str]] = {}
        for (grantee, privilege), option in self.granted.items():
            key = (now(grantee), privilege)
            granted[key] = granted.get(key, False) or option
            by = self.grantors.get((grantee, privilege), {self.owner})
            grantors.setdefault(key, set()).update(map(now, by))
        others = {key: found for key, found in grantors.items() if found != {owner}}
        return Acl(owner, granted, others)


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


def _parts(item: str) -> tuple[str, str, str]:
    """The grantee, the letters and the grantor of `grantee=letters/grantor`."""
    grantee, rest = _role(item, "=")
    letters, _, grantor = rest.partition("/")
    return grantee or PUBLIC, letters, _role(grantor, "")[0]


def _role(text: str, end: str) -> tuple[str, str]:
    """The role at the beginning of a text, and what comes after the letter that ends it."""
    if not text.startswith('"'):
        name, _, rest = text.partition(end) if end else (text, "", "")
        return name, rest
    last = 1
    while text[last] != '"' or text[last + 1 : last + 2] == '"':
        last += 2 if text[last] == '"' else 1
    return text[1:last].replace('""', '"'), text[last + 1 + len(end) :]
