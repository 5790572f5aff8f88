"""The operation `sql`.

https://www.postgresql.org/docs/current/sql-commands.html
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..objects.data.sql import Script
from .arguments import Arguments
from .converge import converge, declared
from .query import answers_queries


@answers_queries
def sql(
    sql: str,
    *,
    unless: str | None = None,
    provides: str | Iterable[str] = (),
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Run SQL statements.

    + sql: one or more statements
    + unless: a SELECT; where a row of it begins with true before the run, the statements are not
      run; where it needs what the run creates, they are
    + provides: what is there once they have run, each as a kind and a name, like
      ``type public.addr``: other operations of the block that need it come after them

    They run in the transaction, with `public` as search path, every time unless `unless` holds.
    Parameters that the transaction has set itself, `search_path` for one, are set back after them.
    What PostgreSQL refuses in a transaction, like VACUUM, runs after it, with all that follows.

    On pyinfra's command line a query prints its rows, of all hosts, and changes nothing.

    **Example:**

    .. code:: python

        pg.sql("ANALYZE organization")
        pg.sql("CREATE TYPE addr AS (street text)", provides="type public.addr",
               unless="SELECT to_regtype('public.addr') IS NOT NULL")

    .. code:: shell

        pyinfra inventory.py pyinfra_postgres.sql "SELECT count(*) FROM organization"
    """
    return converge(**declared([Script(sql, unless=unless, provides=provides)], True, arguments))


sql.is_idempotent = False  # type: ignore[attr-defined]  # pyinfra's own mark of an operation
