"""The operation `trigger`.

https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.code.triggers import Trigger
from .arguments import Arguments
from .converge import converge, declared


def trigger(
    trigger: str,
    table: str,
    *,
    when: str | None = None,
    function: str | None = None,
    for_each: str = "ROW",
    condition: str | None = None,
    referencing: str | None = None,
    constraint: bool = False,
    deferrable: bool = False,
    initially_deferred: bool = False,
    referenced: str | None = None,
    enabled: bool | str = True,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a trigger.

    + trigger: its name
    + table: the table
    + when: its time and events, like `BEFORE INSERT OR UPDATE OF status`
    + function: the call of its function, like `f()`
    + for_each: ROW or STATEMENT
    + condition: the expression of its WHEN clause
    + referencing: its transition tables, like `NEW TABLE AS new_rows`
    + constraint: whether it is a constraint trigger
    + deferrable, initially_deferred: when a constraint trigger fires
    + referenced: the other table of a constraint trigger
    + enabled: whether it fires: True, False, or as to replication `always` or `replica`
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    **Example:**

    .. code:: python

        pg.trigger(
            "sync_progress_update_elapsed",
            "sync_progress",
            when="BEFORE INSERT OR UPDATE",
            function="update_sync_progress_elapsed()",
        )
    """
    declaration = Trigger(
        trigger,
        table,
        when=when,
        function=function,
        for_each=for_each,
        condition=condition,
        referencing=referencing,
        constraint=constraint,
        deferrable=deferrable,
        initially_deferred=initially_deferred,
        referenced=referenced,
        enabled=enabled,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
