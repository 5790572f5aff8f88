"""The operation `range_type`.

https://www.postgresql.org/docs/current/rangetypes.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.types.range_types import RangeType
from .arguments import Arguments
from .converge import converge, declared


def range_type(
    range_type: str,
    subtype: str | None = None,
    *,
    subtype_opclass: str | None = None,
    collation: str | None = None,
    canonical: str | None = None,
    subtype_diff: str | None = None,
    multirange_type_name: str | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a range type.

    + range_type: its name
    + subtype: the type of its bounds
    + subtype_opclass: the B-tree operator class that orders them
    + collation: the collation that does
    + canonical: the function that makes equal ranges look alike; of a type that is there
    + subtype_diff: the function that tells the difference of two bounds, for GiST indexes
    + multirange_type_name: the name of its multirange type
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; a type that anything uses is not removed

    What is left out stays as it is, with the subtype. Another subtype, and what else PostgreSQL
    does not alter, makes the type anew where nothing uses it, and is refused where anything does.
    Other names are given to the functions that make its values too.

    **Example:**

    .. code:: python

        pg.range_type("float_range", "float8", subtype_diff="float8mi")
    """
    declaration = RangeType(
        range_type,
        subtype,
        subtype_opclass=subtype_opclass,
        collation=collation,
        canonical=canonical,
        subtype_diff=subtype_diff,
        multirange_type_name=multirange_type_name,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
