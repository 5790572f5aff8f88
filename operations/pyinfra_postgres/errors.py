"""What a user can do wrong, as pyinfra shows it: one message, no traceback.

pyinfra prints the messages itself, so they are printable from the start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyinfra.api import OperationError, exceptions

from .terminal import printable

_PACKAGE = str(Path(__file__).parent)


class DeclarationError(OperationError, ValueError):
    """A declaration that no server could accept; raised before anything runs."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))
        self.place = deploy_line()

    @property
    def message(self) -> str:
        """What pyinfra prints: the reason, and the line of the deploy that has the declaration."""
        return f"{self.args[0]} ({self.place})" if self.place else str(self.args[0])


class HiddenRowsError(DeclarationError):
    """A declaration that takes rows which row level security hides from the role."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"rows can't be seen: {why}. Run as a role with BYPASSRLS, or let the tables' owner "
            "take FORCE ROW LEVEL SECURITY away for the run"
        )


class HostError(Exception):
    """What failed on one host: that host alone stops, with this message."""

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(printable(message))
        self.sqlstate = sqlstate
        """Of the server's error that it is."""


class CatalogChangedError(HostError):
    """A catalog that somebody changed while it was read."""


class UnreachableError(HostError):
    """There is no session with the host's database."""


class ConnectError(exceptions.ConnectError):
    """pyinfra's error of a host that can't be connected to."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class InventoryError(exceptions.InventoryError):
    """pyinfra's error of an inventory that can't be read."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class RunError(exceptions.PyinfraError):
    """What ends a run for all hosts."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class FactError(exceptions.FactProcessError):
    """A fact that can't be made of what a server answered."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def deploy_line() -> str:
    """The file and line that called into this package, unless pyinfra did."""
    frame = sys._getframe(1)
    while frame.f_back and (
        frame.f_code.co_filename.startswith((_PACKAGE, "<attrs"))
        or frame.f_globals.get("__name__", "").startswith("attr")
    ):
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith(("pyinfra.", "pyinfra_cli.")):
        return ""
    name = frame.f_code.co_filename
    here = os.getcwd()  # noqa: PTH109  (a Path takes long, for every operation of every host)
    return f"{name.removeprefix(f'{here}{os.sep}')} line {frame.f_lineno}"
