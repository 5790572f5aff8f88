"""The eighth task: whether 0024 can be withdrawn, and what would be lost.

The live check holds ACCESS EXCLUSIVE on all that it drops until it is rolled back, so it is asked
only where the host data `sync_rollback` says "live".
"""

# The statements are put together from constants of this package, never from input.

import pyinfra_postgres as pg

from .settings import settings
from .sync import ENUMS, FUNCTIONS, TABLES
from .tasks import ROLLBACK

_OWN = " UNION ALL ".join(
    [
        *(f"SELECT 'pg_class'::regclass, to_regclass('public.{one}')::oid" for one in TABLES),
        *(f"SELECT 'pg_type'::regclass, to_regtype('public.{one}')::oid" for one in ENUMS),
        *(
            f"SELECT 'pg_proc'::regclass, to_regprocedure('public.{one}()')::oid"
            for one in FUNCTIONS
        ),
    ]
)


def rollback() -> None:
    """What else depends on 0024, and the rows that it holds."""
    there = [f"table public.{table}" for table in TABLES]
    pg.check(
        "nothing outside 0024 depends on it",
        # What goes with an object by itself is part of it: constraints, indexes, partitions.
        f"""WITH RECURSIVE own(classid, objid) AS (
              {_OWN}
              UNION
              SELECT pg_depend.classid, pg_depend.objid
              FROM own JOIN pg_depend
                ON pg_depend.refclassid = own.classid AND pg_depend.refobjid = own.objid
              WHERE deptype <> 'n')
            SELECT DISTINCT pg_describe_object(classid, objid, objsubid)
            FROM pg_depend
            WHERE (refclassid, refobjid) IN (SELECT classid, objid FROM own)
              AND (classid, objid) NOT IN (SELECT classid, objid FROM own WHERE objid IS NOT NULL)
            ORDER BY 1""",
        [],
        task=ROLLBACK,
        applies_if=there,
        disclosed=True,
    )
    pg.check(
        "rows that a rollback would lose",
        "SELECT "
        + ", ".join(f"(SELECT count(*) FROM public.{table}) || ' of {table}'" for table in TABLES),
        None,
        task=ROLLBACK,
        applies_if=there,
        disclosed=True,
    )
    is_live = settings().rollback == "live"
    pg.check(
        "a rollback goes through",
        "SELECT " + " AND ".join(f"to_regclass('public.{table}') IS NULL" for table in TABLES),
        [(True,)],
        setup=[
            *(f"DROP TABLE public.{table}" for table in reversed(TABLES)),
            *(f"DROP FUNCTION public.{name}()" for name in FUNCTIONS),
            *(f"DROP TYPE public.{name}" for name in ENUMS),
        ],
        task=ROLLBACK,
        applies_if=there,
        skip="" if is_live else "it would lock the tables: the host data sync_rollback = live asks",
    )
