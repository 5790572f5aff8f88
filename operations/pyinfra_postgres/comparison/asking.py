"""What the comparison and the planner ask the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import (
    Any,
    NamedTuple,
    Protocol,
    TypeVar,
)

from ..syntax.names import Name
from ..transport.answer import Answer

_T = TypeVar("_T")


class Signature(NamedTuple):
    """A function's name, and its arguments and result as CREATE FUNCTION has them."""

    name: str
    rest: str


VIEW = Signature("pyinfra_postgres_probe", "")
"""Stands for the signature of what is the whole query of a view."""


class Ask(Protocol):
    """Asks the server what the catalog can't answer."""

    def __call__(self, query: str) -> list[Any]:
        """The rows of a query, each a JSON value. Raises HostError."""

    def renamed(self, query: str) -> list[Any]:
        """The same of the system catalogs, which have what the plan renames under its new name.

        Raises DeclarationError where they can't.
        """

    def attempt(self, statements: Sequence[str]) -> Answer:
        """What statements that read no rows answer behind the plan's renames, all rolled back.

        What holds a user's SQL stands behind `SearchPath.USERS.local`.
        Raises DeclarationError where the renames can't be done for that moment.
        """


class Same(Protocol):
    """Tells whether two fragments mean the same once each is put into the template for `{}`."""

    def __call__(
        self,
        template: str,
        declared: str | None,
        stored: str | None,
        on: Name | None = None,
        signature: Signature | None = None,
    ) -> bool:
        """The answer; `on` is the table whose columns the fragments name.

        With a signature they are whole bodies of functions that have it, or queries of views.
        """

    def first(self, candidates: Iterable[_T], equal: Callable[[_T], bool]) -> _T | None:
        """The first that is equal; where there is one, nobody is asked about the others."""


class Reading(NamedTuple):
    """A declared fragment, and the template in which the server can read it."""

    template: str
    text: str | None
    on: Name | None = None
    """The table whose columns it names."""
    signature: Signature | None = None
