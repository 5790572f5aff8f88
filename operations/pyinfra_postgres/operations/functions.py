"""The operation `function`.

https://www.postgresql.org/docs/current/sql-createfunction.html
"""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.code.functions import _KINDS
from ..syntax import given
from .arguments import Arguments
from .converge import converge, declared


def function(
    function: str,
    *,
    arguments: str = "",
    returns: str | None = None,
    language: str = "sql",
    body: str | None = None,
    volatility: str = "VOLATILE",
    parallel: str = "UNSAFE",
    strict: bool = False,
    security_definer: bool = False,
    leakproof: bool = False,
    cost: float | None = None,
    rows: float | None = None,
    settings: Mapping[str, object] | None = None,
    kind: str = "function",
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **global_arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a function, or a procedure.

    + function: its name
    + arguments: its arguments as in SQL, with names, types and defaults
    + returns: its return type; by default what its output arguments tell, else void
    + language: the language of its body
    + body: its source; in SQL also `RETURN ...` or `BEGIN ATOMIC ... END`, which PostgreSQL parses
      when it is created
    + volatility: VOLATILE, STABLE or IMMUTABLE
    + parallel: UNSAFE, RESTRICTED or SAFE
    + strict: whether it returns null where an argument is null
    + security_definer: whether it runs with its owner's rights; its search path must then be set
      in `settings`, end with pg_temp, and have no schema in which others may create anything
    + leakproof: whether it tells nothing about its arguments
    + cost, rows: what the planner is told; what is not given is left as it is
    + settings: parameters that are set while it runs; a search path is text as SET takes it, like
      "app, pg_temp", or a list of names
    + kind: function or procedure
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; a function that anything uses is not removed

    **Example:**

    .. code:: python

        pg.function(
            "auth.current_org_id",
            returns="uuid",
            language="sql",
            body="SELECT ...",
            volatility="STABLE",
            security_definer=True,
            settings={"search_path": "pg_catalog, pg_temp"},
        )
    """
    declaration = _KINDS[given.word("kind", kind, _KINDS)](
        function,
        arguments,
        returns=returns,
        language=language,
        body=body,
        volatility=volatility,
        parallel=parallel,
        strict=strict,
        security_definer=security_definer,
        leakproof=leakproof,
        cost=cost,
        rows=rows,
        settings=settings,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, global_arguments))
