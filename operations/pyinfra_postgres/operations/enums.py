"""The operation `enum`.

https://www.postgresql.org/docs/current/datatype-enum.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.types.enums import Enum
from .arguments import Arguments
from .converge import converge, declared


def enum(
    enum: str,
    labels: Sequence[str] = (),
    *,
    exact: bool = False,
    replaced: Mapping[str, str] | None = None,
    renamed: Mapping[str, str] | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an enum type.

    + enum: its name
    + labels: its labels in order; new ones are added where they stand
    + exact: whether it has no other labels
    + replaced: labels that go, each with the one that rows get instead: {"old": "new"}
    + renamed: its labels that had other names, like {"finished": "done"}
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; a type that anything uses is not removed

    A new label can be used only once it is committed. Where the same run uses it, it is committed
    before the transaction.

    Where labels are removed or in another order, the type is made anew in the transaction, with
    the columns, domains and everything else that uses it. That rewrites their tables while nobody
    reads or writes them, so with rows it needs permission by name. A session that has compiled a
    PL/pgSQL function with the old type has to connect again.

    **Example:**

    .. code:: python

        pg.enum("sync_type", ["woocommerce", "odoo", "shopify", "custom"])
    """
    declaration = Enum(
        enum,
        labels,
        exact=exact,
        replaced=replaced,
        renamed=renamed,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
