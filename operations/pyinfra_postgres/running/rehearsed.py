"""What is told of rehearsals, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from ..hidden import shortened
from ..plan.measured import Measured
from ..planning.session import Block, Session
from ..terminal import Line, line, styled
from . import plan_files, render
from .rehearsal import Rehearsal, rehearsed

_LONGEST = 90
"""Characters of a statement in a line."""


def rehearse(session: Session, block: Block) -> list[str]:
    """Rehearse a plan and print how it went; returns what the plan says otherwise.

    Raises HostError where it may not be rehearsed, or fails.
    """
    found = rehearsed(session, block)
    plan_files.keep_figures(session, block, session.drafts[block, False].plan, found.encoded())
    differences = list(found.differences)
    lines = [*_lines(found)] if session.state.config.DIFF else []
    # Behind the plan of the same block.
    about = block.number, "rehearsal"
    render.show(session.host, about, [*lines, summary(found, len(differences))])
    return differences


def summary(found: Rehearsal, differences: int) -> str:
    """How it went, in a line."""
    count = len(found.measured)
    if not count:
        reasons = dict.fromkeys(one.reason for one in found.left)
        return f"nothing rehearsed: {'; '.join(reasons)}"
    took = sum(one.milliseconds for one in found.measured)
    written = [one.wal for one in found.measured]
    parts = [f"rehearsed: {count} statement{'s' * (count != 1)} in {took:.0f} ms"]
    if written and None not in written:
        parts.append(f"{_bytes(sum(filter(None, written)))} of WAL")
    anew = {each for one in found.measured for each in one.rewritten}
    if anew:
        parts.append(f"{len(anew)} relation{'s' * (len(anew) > 1)} written anew")
    if found.left:
        parts.append(f"{len(found.left)} not rehearsed")
    parts.append(f"{differences} otherwise than planned" if differences else "as planned")
    return ", ".join(parts)


def _lines(found: Rehearsal) -> Iterator[Line]:
    for one in found.measured:
        yield line(
            f"    {one.milliseconds:8.1f} ms {_bytes(one.wal):>9}  ",
            styled(shortened(one.statement, _LONGEST), dim=True),
            "   " * bool(one.locks or one.rewritten),
            styled(", ".join(_took(one)), "yellow"),
        )
    for left in found.left:
        shown = shortened(left.shown, _LONGEST)
        yield line(f"    {'not rehearsed':>21}  ", styled(shown, dim=True), f"   {left.reason}")


def _took(one: Measured) -> Iterator[str]:
    yield from map(str, one.locks)
    yield from (f"writes {name} anew" for name in one.rewritten)


def _bytes(count: int | None) -> str:
    """A number of bytes as a person reads it."""
    if count is None:
        return "?"
    return f"{count} B" if count < 10240 else f"{count / 1024:.0f} kB"
