"""What runs have noted for those after them, on the controller.

Nothing that is read here is believed: a verdict has to stand for it before it is used.
"""

from __future__ import annotations

import os
import re
from functools import cache

from . import files

_FILE = "notes"
_LINE = re.compile(rb"^([0-9a-f]{64}) (\[[\x20-\x7e]*\])$", re.MULTILINE)
MOST = 8_000_000
"""How many bytes the file may have before a run forgets the older half of them."""


def kept(name: str) -> str | None:
    """What was noted under a name, a digest."""
    return _known().get(name)


def keep(name: str, noted: str) -> None:
    """Note something: a JSON array in one line of ASCII."""
    if _known().get(name) == noted or len(noted) > MOST // 4:
        return
    _known()[name] = noted
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with files.told(), files.made() as directory, files.file(directory, _FILE, flags) as file:
        files.append(file, f"{name} {noted}\n")


def forget() -> None:
    """Read the file again, as another process would."""
    _known.cache_clear()


@cache
def _known() -> dict[str, str]:
    with files.told():
        return _read()
    return {}


def _read() -> dict[str, str]:
    with files.directory() as directory, files.file(directory, _FILE, os.O_RDONLY) as file:
        size = os.fstat(file).st_size
        found = _LINE.findall(os.pread(file, min(size, MOST), max(0, size - MOST)))
        if size > MOST:
            found = found[len(found) // 2 :]
            files.replace(directory, _FILE, b"".join(b"%s %s\n" % line for line in found))
        return {name.decode(): noted.decode() for name, noted in found}
