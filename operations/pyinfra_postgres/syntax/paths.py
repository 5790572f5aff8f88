"""The two search paths under which SQL runs.

What a name means that has no schema is decided by the search path, and a function or operator that
fits better is taken from whichever schema of it has one. So nobody else's schema is in it where SQL
runs that the collection wrote itself, or that the server printed: nothing but `pg_catalog`. Only
what a user wrote sees `public`. Either way temporary objects come last, and so hide nothing.
https://www.postgresql.org/docs/current/typeconv-func.html
"""

from __future__ import annotations

from enum import Enum
from typing import Self

from .names import Exact


class SearchPath(Enum):
    """What is searched for names without a schema."""

    OWN = "pg_catalog, pg_temp"
    """For the collection's own SQL, and for definitions that the server has printed under it."""
    USERS = "public, pg_temp"
    """For SQL that holds a fragment as a user wrote it."""

    @classmethod
    def of(cls, *fragments: str | None) -> Self:
        """The path for a statement with these fragments, of which a stored one is `Exact`."""
        declared = any(one is not None and not isinstance(one, Exact) for one in fragments)
        return cls(cls.USERS if declared else cls.OWN)

    @property
    def session(self) -> str:
        """Sets it for the session."""
        return f"SET search_path = {self.value}"

    @property
    def local(self) -> str:
        """Sets it for the transaction."""
        return f"SET LOCAL search_path = {self.value}"
