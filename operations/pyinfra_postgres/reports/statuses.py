"""How a check ends, and how several of them end together.

Pure: no I/O, no pyinfra state.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Status(Enum):
    """How a check ended, the gravest first."""

    FAIL = "FAIL"
    """Its prerequisites are there; it is missing or wrong."""
    BLOCKED = "BLOCKED"
    """A prerequisite is missing, so that it can't be."""
    UNREACHABLE = "UNREACHABLE"
    """There was no session with the database."""
    NOT_VERIFIED = "NOT VERIFIED"
    """It could not be asked: no privilege, a timeout."""
    PASS = "PASS"  # noqa: S105
    NOT_APPLICABLE = "NOT APPLICABLE"
    """The question does not arise."""

    @property
    def approves(self) -> bool:
        """Whether nothing is to be done about it."""
        return self in {Status.PASS, Status.NOT_APPLICABLE}

    @property
    def slug(self) -> str:
        """The word as stylesheets have it."""
        return self.value.lower().replace(" ", "-")


def together(statuses: Iterable[Status]) -> Status:
    """How several checks end together: as the gravest of them; none are not applicable."""
    found = set(statuses)
    return next((one for one in Status if one in found), Status.NOT_APPLICABLE)
