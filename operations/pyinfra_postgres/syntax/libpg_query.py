"""PostgreSQL's own parser: libpg_query, the C library that postgast's wheels bring.

Pure: no I/O, no pyinfra state. A tree is JSON as the library prints it, and places are in bytes.
https://github.com/pganalyze/libpg_query
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


class ParseError(ValueError):
    """What PostgreSQL says of a text that is no SQL."""


def parse(text: str) -> str:
    """The JSON of the statements in `text`. Raises ParseError."""
    library = _native().lib
    found = library.pg_query_parse(_encoded(text))
    try:
        _check(found.error)
        return str(found.parse_tree.decode())
    finally:
        library.pg_query_free_parse_result(found)


def parse_plpgsql(text: str) -> str:
    """The JSON of the PL/pgSQL bodies in `text`, CREATE FUNCTION statements. Raises ParseError."""
    library = _native().lib
    found = library.pg_query_parse_plpgsql(_encoded(text))
    try:
        _check(found.error)
        return str(found.plpgsql_funcs.decode())
    finally:
        library.pg_query_free_plpgsql_parse_result(found)


def scan(text: str) -> list[tuple[int, int]]:
    """Where each token of `text` begins and ends, comments among them. Raises ParseError."""
    library = _native().lib
    found = library.pg_query_scan(_encoded(text))
    try:
        _check(found.error)
        answer = ctypes.string_at(found.pbuf.data, found.pbuf.len)
        places = (match.groups(default=b"\0") for match in _TOKEN.finditer(answer))
        return [(_number(start), _number(end)) for start, end in places]
    finally:
        library.pg_query_free_scan_result(found)


def version() -> str:
    """The version of the parser."""
    return metadata.version("postgast")


@cache
def _native() -> ModuleType:
    """The C interface, as postgast declares it.

    Loaded from its file: `import postgast` would also load protobuf and the classes that it makes
    of every node, which takes longer than the library itself and is of no use here.
    """
    package = find_spec("postgast")
    assert package
    assert package.origin
    path = Path(package.origin).with_name("native.py")
    spec = spec_from_file_location("_postgast_native", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _encoded(text: str) -> bytes:
    # C would take a NUL for the end.
    if "\x00" in text:
        raise ParseError("a NUL (0x00) byte, which PostgreSQL stores in no text,")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        letter = text[error.start]
        raise ParseError(f"{letter!r}, which is no character of Unicode,") from None


def _check(error: ctypes._Pointer[ctypes.Structure]) -> None:
    if error:
        raise ParseError(error.contents.message.decode())


# A token in the answer, as protobuf encodes libpg_query's ScanToken: the length, the start where it
# is not 0, and the end, each behind a tag, and what is not needed here.
_NUMBER = rb"[\x80-\xff]*[\x00-\x7f]"
_TOKEN = re.compile(rb"\x12.(?:\x08(N))?\x10(N)\x20N(?:\x28N)?".replace(b"N", _NUMBER), re.DOTALL)


def _number(encoded: bytes) -> int:
    """A number of protobuf's: seven bits in a byte, the lowest first."""
    value = 0
    for byte in reversed(encoded):
        value = value << 7 | byte & 0x7F
    return value
