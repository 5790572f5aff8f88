"""How the programs of this package end: signals and exit statuses."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those by which a person, a terminal or a service manager ends a program."""

WELL = 0
ERROR = 1
"""Something failed, could not be told, or was called wrongly."""
DIFFERENT = 2
"""All could be compared, and something differs."""
UNSURE = 3
"""Nothing failed, but a probe of a rollout can't tell whether all is well."""


def of_signal(number: int) -> int:
    """Ended by a signal."""
    return 128 + number


def of_process(code: int) -> int:
    """As a process has ended, by the number that `subprocess` gives."""
    return code if code >= 0 else of_signal(-code)
