"""The string constants of SQL, also those within others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from ..errors import DeclarationError
from .parse import tokens

_PLAIN = re.compile(r"(?:[EeNnBbXx]|[Uu]&)?'(.*)'", re.DOTALL)
_DOLLARS = re.compile(r"(\$[^$]*\$)(.*)\1", re.DOTALL)
_ELEMENTS = re.compile(r'"((?:[^"\\]|\\.|"")*)"|([^][{}(),"]+)')


def constants(sql: str) -> Iterator[str]:
    """The constants in a text, in the bodies and constants within it, and in arrays and rows.

    In the bodies of some languages anything can stand: what can't be read has none.
    """
    found = []
    with suppress(DeclarationError):
        found = tokens(sql)
    for token in found:
        text = sql[token.start : token.end]
        if plain := _PLAIN.fullmatch(text):
            value = plain[1].replace("''", "'")
        elif within := _DOLLARS.fullmatch(text):
            value = within[2]
        else:
            continue
        yield value
        if value.lstrip()[:1] in {"{", "(", "["}:
            for quoted, bare in _ELEMENTS.findall(value):
                yield re.sub(r'\\(.)|"(")', r"\1\2", quoted) if quoted else bare.strip()
        if "'" in value or "$" in value:
            yield from constants(value)
