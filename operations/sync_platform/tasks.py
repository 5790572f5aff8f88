"""The eight validation tasks of the seed documents, and checks that something is there."""

# The statements are put together from constants of this package, never from input.

from collections.abc import Sequence

import pyinfra_postgres as pg

SCHEMA = "1 Schema"
ROW_SECURITY = "2 Row security policies"
INDEXES = "3 Indexes"
TRIGGER_FUNCTIONS = "4 Trigger functions"
ENUM_TYPES = "5 Enum types"
INTEGRATION = "6 Integration points"
READINESS = "7 Production readiness"
ROLLBACK = "8 Rollback"

_EXISTS = {
    "role": "to_regrole('{}') IS NOT NULL",
    "schema": "to_regnamespace('{}') IS NOT NULL",
    "table": "(SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass('{}'))",
    "type": "to_regtype('{}') IS NOT NULL",
    "function": "to_regprocedure('{}') IS NOT NULL",
}


def there(task: str, what: str, needs: Sequence[str] = ()) -> None:
    """Check that something is there, given by its kind and name."""
    kind, name = what.split(" ", 1)
    query = f"SELECT {_EXISTS[kind].format(name)}"
    pg.check(what, query, [(True,)], task=task, needs=needs, otherwise="it is missing")


def in_list(names: Sequence[str]) -> str:
    """Names as IN takes them."""
    return f"({', '.join(repr(name) for name in names)})"
