"""The operation `composite`.

https://www.postgresql.org/docs/current/rowtypes.html
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.exact import Exactness
from ..objects.types.composites import Attribute, Composite
from .arguments import Arguments
from .converge import converge, declared


def composite(
    composite: str,
    attributes: Attribute | Sequence[Attribute] = (),
    *,
    owner: str | None = None,
    comment: str | None = None,
    exact: Exactness = False,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a composite type.

    + composite: its name
    + attributes: its attributes in order, each a `pg.Attribute("name", "type")`, with
      `collation=`, `comment=` and `renamed_from=`, or `present=False` for one that is to go
    + owner: its owner
    + comment: its comment, "" for none
    + exact: what of it goes where no operation of the run declares it: True, or some of attributes
      and grants; it needs a `pg.transaction()`
    + renamed_from: its former name
    + present: whether it exists; a type that anything uses is not removed

    Attributes that are not declared are left alone. New ones come at the end. One whose values
    tables hold goes only where the run allows it by the column's name, and keeps its type.

    **Example:**

    .. code:: python

        pg.composite("address", [pg.Attribute("street", "text"), pg.Attribute("zip", "text")])
    """
    declaration = Composite(
        composite,
        attributes,
        owner=owner,
        comment=comment,
        exact=exact,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
