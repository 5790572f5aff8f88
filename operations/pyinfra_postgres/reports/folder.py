"""A folder of documents about one environment, of which a run replaces what it has verified."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve

from ..foreign import ForeignError, parsed
from .facts import Report, ReportError, from_json
from .pages import DATA, INDEX, documents, page_names


def update(folder: Path, run: Report) -> Path:
    """Write what a run has found; hosts that it has not verified stay as they were.

    Returns the environment's page. Raises OSError, and ReportError where there is something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        report = joined(_known(folder / DATA), run)
        verified = {one.name for one in run.hosts}
        pages = page_names(one.name for one in report.hosts)
        wanted = {
            host for host, page in pages.items() if host in verified or not (folder / page).exists()
        }
        for name, text in documents(report, wanted):
            write(folder / name, text)
    return folder / INDEX


def joined(before: Report | None, run: Report) -> Report:
    """What a run has found, and what was known before of other hosts."""
    if before is None:
        return run
    hosts = {one.name: one for one in (*before.hosts, *run.hosts)}
    return evolve(run, hosts=tuple(hosts[name] for name in sorted(hosts)))


def _known(path: Path) -> Report | None:
    """The report that is there, if there is one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return from_json(Report, parsed(text))
    except (ForeignError, ReportError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is not a report of this version ({error}): remove it") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Have one run at a time change a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(path: Path, text: str) -> None:
    """Write a file in one go: who reads it sees all of it or what was there before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
