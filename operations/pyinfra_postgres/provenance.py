"""Who runs a deploy, from where, and which state of its files."""

from __future__ import annotations

import getpass
import platform
import secrets
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from weakref import WeakKeyDictionary

from attrs import frozen
from pyinfra.api.state import State


def _version() -> str:
    try:
        return version("pyinfra-postgres")
    except PackageNotFoundError:  # a checkout that nobody has installed
        return "unknown"


VERSION = _version()
"""Of this package."""


@frozen
class Provenance:
    """What is said of a run of pyinfra wherever something is recorded of it."""

    run: str
    """Names it: the time at which it is first asked for, and a few digits of chance."""
    account: str
    """The account of the person or the job."""
    controller: str
    """The machine that it runs on."""
    git_commit: str | None
    """The commit of the deploy's files, None where there is none."""
    version: str
    """Of this package."""

    @classmethod
    def of(cls, state: State) -> Provenance:
        """The one of a run of pyinfra."""
        commit = None if state in _KNOWN else git_commit(_directory(state))
        # Another host may have asked while git answered.
        if state not in _KNOWN:
            now = datetime.now(UTC)
            _KNOWN[state] = cls(
                f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
                getpass.getuser(),
                platform.node(),
                commit,
                VERSION,
            )
        return _KNOWN[state]


_KNOWN: WeakKeyDictionary[State, Provenance] = WeakKeyDictionary()


def _directory(state: State) -> Path:
    """Where the deploy's files are."""
    name = state.current_deploy_filename
    return Path(name).resolve().parent if name else Path(state.cwd or ".").resolve()


_OWN_FILES = ("--", ".", ":(exclude)releases", ":(exclude)reports")
"""What a run writes itself is no change of it."""


def git_commit(directory: Path) -> str | None:
    """The commit that a directory is at, and whether files in it differ from that."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return None
    return (
        f"{commit} with local changes"
        if _git(directory, "status", "--porcelain", *_OWN_FILES)
        else commit
    )


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(directory), *arguments]
    try:
        found = subprocess.run(  # noqa: S603  (no shell, and nothing of it is anybody's text)
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
