"""The operation `extension`.

https://www.postgresql.org/docs/current/sql-createextension.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.server.extensions import Extension
from .arguments import Arguments
from .converge import converge, declared


def extension(
    extension: str,
    *,
    schema: str | None = None,
    version: str | None = None,
    comment: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an extension. The server must have its files.

    + extension: its name, as in its control file
    + schema: where its objects are; by default where its control file says, else `public`
    + version: its version; by default the newest when it is created, and then what it is
    + comment: its comment, "" for none
    + present: whether it exists; an extension that anything uses is not removed

    **Example:**

    .. code:: python

        pg.extension("vector", schema="public")
    """
    declaration = Extension(extension, schema=schema, version=version, comment=comment)
    return converge(**declared([declaration], present, arguments))
