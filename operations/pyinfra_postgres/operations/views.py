"""The operations `materialized_view`, `view`.

https://www.postgresql.org/docs/current/sql-createview.html
https://www.postgresql.org/docs/current/sql-creatematerializedview.html
"""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.code.views import MaterializedView, View
from .arguments import Arguments
from .converge import converge, declared


def view(
    view: str,
    query: str | None = None,
    *,
    security_invoker: bool | None = None,
    security_barrier: bool | None = None,
    check_option: str | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    renamed_columns: Mapping[str, str] | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a view.

    + view: its name
    + query: its SELECT; what it names without a schema is in `public`
    + security_invoker: whether it reads with the rights and policies of who asks (PostgreSQL 15)
    + security_barrier: whether its conditions come before those of who asks
    + check_option: local, cascaded or none
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + renamed_columns: the former names of columns, like {"gross": "total"}
    + present: whether it exists; a view that another uses is not removed

    PostgreSQL replaces a view in place where its columns stay and new ones come last. Where they
    don't, it is dropped and created in the transaction, with its privileges, and so is what uses
    it; a column that something else uses does not go.

    **Example:**

    .. code:: python

        pg.view("active_organization", "SELECT * FROM organization WHERE is_active")
    """
    declaration = View(
        view,
        query,
        security_invoker=security_invoker,
        security_barrier=security_barrier,
        check_option=check_option,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
        renamed_columns=renamed_columns,
    )
    return converge(**declared([declaration], present, arguments))


def materialized_view(
    materialized_view: str,
    query: str | None = None,
    *,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    renamed_columns: Mapping[str, str] | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a materialized view. Its indexes are declared with `pg.index`.

    + materialized_view: its name
    + query: its SELECT; what it names without a schema is in `public`
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + renamed_columns: the former names of columns, like {"gross": "total"}
    + present: whether it exists; one that a view uses is not removed

    Another query makes it anew, with its indexes and privileges and what uses it. Its rows are not
    refreshed.

    **Example:**

    .. code:: python

        pg.materialized_view("order_totals", "SELECT state, count(*) FROM orders GROUP BY state")
    """
    declaration = MaterializedView(
        materialized_view,
        query,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
        renamed_columns=renamed_columns,
    )
    return converge(**declared([declaration], present, arguments))
