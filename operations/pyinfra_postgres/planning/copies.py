"""A change that is tried on an empty copy of what it changes, and rolled back.

A trial of a plan stops before what exists, which others may be using. Of a copy nobody knows: there
PostgreSQL says what it has against a change apart from the rows, like a type that can't be stored
in the declared way. It locks nothing and reads no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import DeclarationError
from ..objects.kind import Copies, differing
from ..plan.plan import Statement
from ..syntax.paths import SearchPath
from ..transport.answer import Failure, is_of_sql
from .questions import Questions


def failure(copies: Copies, ask: Questions) -> Failure | None:
    """What the server has against the change from the one copy to the other.

    Nothing where it can't make the first: the plan may bring what that needs.
    """
    before, after = copies.before, copies.after
    made = [statement for one in (*copies.beside, before) for statement in one.diff(None, one)]
    first, change = (
        list(_script(made)),
        list(_script(differing(before, before, after, copies.facts))),
    )
    if not change:
        return None
    try:
        found = ask.attempt_apart([*first, *change]).failure
    except DeclarationError:
        return None
    if found is None or found.index < len(first) or not is_of_sql(found.sqlstate):
        return None
    return found


def _script(statements: Iterable[Statement]) -> Iterator[str]:
    for one in statements:
        yield from (one.path.local, one.sql, SearchPath.OWN.local)
