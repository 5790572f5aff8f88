"""What a user can do wrong, as pyinfra shows it: one message, no traceback."""

from __future__ import annotations

from pyinfra.api import OperationError


class DeclarationError(OperationError, ValueError):
    """A declaration that no server could accept; raised before anything runs."""


class HostError(Exception):
    """What failed on one host: that host alone stops, with this message."""
