"""Passwords of roles: what a server keeps of one, computed here, so that it never leaves.

What PostgreSQL and libpq do with a password is done here too, to the letter. Pure but for the salt.
https://www.postgresql.org/docs/current/catalog-pg-authid.html, RFC 5802 and RFC 4013
"""

from __future__ import annotations

import hmac
import re
import secrets
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, sha256
from typing import Any

from attrs import field, frozen
from pyinfra.api import HiddenValue

from ... import hidden
from ...errors import DeclarationError

_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/]+=*)\$(\S+):(\S+)")
_ITERATIONS = 4096
_SALT = 16
_HASHED = re.compile(r"md5[0-9a-f]{32}")
_PROHIBITED = (
    *(stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3),
    *(stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6),
    *(stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9),
    stringprep.in_table_a1,
)


@frozen
class Password:
    """A role's password, or the verifier of one."""

    text: str = field(repr=False)

    @classmethod
    def read(cls, given: Any) -> Password | None:
        """The declared password, if there is one; it has to be hidden."""
        if given is None or isinstance(given, cls):
            return given
        if not isinstance(given, HiddenValue):
            raise DeclarationError(
                "password= is pyinfra's HiddenValue, so that nothing shows it: "
                "HiddenValue(os.environ[...])"
            )
        text = hidden.taken(given)
        if not isinstance(text, str) or "\x00" in text or not _is_text(text):
            raise DeclarationError("a password is text that is not empty and has no null byte")
        if _HASHED.fullmatch(text):
            raise DeclarationError("an MD5 hash is no password: declare the password itself")
        return cls(text)

    def is_kept_as(self, stored: str | None) -> bool:
        """Whether what a server keeps is of this password."""
        found = _VERIFIER.fullmatch(stored or "")
        if stored is None or not found:
            return False
        if _VERIFIER.fullmatch(self.text):
            return hmac.compare_digest(self.text.encode(), stored.encode())
        try:
            salt = b64decode(found[2], validate=True)
        except ValueError:
            return False
        own = self._verifier(salt, int(found[1]))
        return hmac.compare_digest(own.encode(), stored.encode())

    def verifier(self) -> str:
        """What a server is to keep of it, with a salt of its own; it is hidden too."""
        if _VERIFIER.fullmatch(self.text):
            return self.text
        return hidden.made(_SCRAM, self.text)

    def _verifier(self, salt: bytes, iterations: int) -> str:
        salted = pbkdf2_hmac("sha256", prepared(self.text), salt, max(1, iterations))
        client = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        server = hmac.digest(salted, b"Server Key", "sha256")
        parts = (b64encode(one).decode() for one in (salt, client, server))
        return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


_SCRAM = "scram-sha-256"
hidden.maker(
    _SCRAM,
    lambda text: Password(text)._verifier(secrets.token_bytes(_SALT), _ITERATIONS),
)


def _is_text(text: str) -> bool:
    try:
        return text.encode() != b""
    except UnicodeError:  # half of a surrogate pair
        return False


def prepared(password: str) -> bytes:
    """The password as it is hashed: by SASLprep, or as it is where that refuses it."""
    raw = password.encode()
    if password.isascii():
        return raw
    mapped = [
        " " if stringprep.in_table_c12(one) else one
        for one in password
        if not stringprep.in_table_b1(one)
    ]
    # PostgreSQL looks at what it has mapped, before it normalises that.
    if not mapped or any(prohibits(one) for one in mapped for prohibits in _PROHIBITED):
        return raw
    if any(map(stringprep.in_table_d1, mapped)):
        ends = stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1])
        if not ends or any(map(stringprep.in_table_d2, mapped)):
            return raw
    return unicodedata.normalize("NFKC", "".join(mapped)).encode()
