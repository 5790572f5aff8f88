"""Many declarations in one operation."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..errors import DeclarationError
from ..objects.kind import Object
from ..syntax import given
from .arguments import Arguments
from .converge import converge, declared
from .declarations import check_declaration


def objects(
    objects: Sequence[Object],
    *,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare many objects in one operation. For pyinfra it is one operation and costs one.

    + objects: declarations: `pg.Table(...)`, `pg.Enum(...)`, ..., with the arguments of the
      operations of the same names; in any order
    + present: whether they exist

    **Example:**

    .. code:: python

        pg.objects(
            [
                pg.Enum("state", ["new", "done"]),
                pg.Table("job", [pg.Column("state", "state")]),
            ]
        )
    """
    several = given.several("objects", objects, Object)
    if not several:
        raise DeclarationError("pg.objects() needs at least one declaration")
    for one in several:
        check_declaration(one)
    count = len(several)
    # What comes later may need what is before it.
    found = several if present else several[::-1]
    return converge(
        **declared(found, present, arguments, name=f"{count} object{'s' if count > 1 else ''}")
    )
