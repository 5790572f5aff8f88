"""`pyinfra-postgres plan`: what `--data plan=DIR` has written, for people to review."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click import unstyle
from pyinfra.api.output import set_formatter

from ..errors import HostError
from ..exits import DIFFERENT, ERROR, WELL
from ..plan.document import Document
from ..plan.markdown import comment
from ..running import plan_files, render
from ..terminal import Line, line, put, styled

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group("plan")
def command() -> None:
    """Show and compare the plans that a dry run has kept.

    pyinfra INVENTORY deploy.py --dry --data plan=DIR writes them;
    pyinfra INVENTORY deploy.py -y --data apply=DIR runs them as they are.
    """
    set_formatter(click.style)


@command.command("show")
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.option("--markdown", is_flag=True, help="For the comment on a pull request.")
def show(directory: Path, markdown: bool) -> None:
    """Show all plans in a directory, each with its hosts."""
    plans = list({one.id: one for one in _read(directory).values()}.values())
    if markdown:
        put(Line(comment(plans)))
        return
    for one in plans:
        put(line(styled(f"plan {one.id[:16]}", bold=True)))
        for database in one.databases:
            put(line("  ", database.host, ", database ", database.identity.name))
        for text in _lines(one):
            put(line("  ", text))


@command.command("diff")
@click.argument("before", metavar="DIR", type=_DIRECTORY)
@click.argument("after", metavar="OTHER_DIR", type=_DIRECTORY)
def diff(before: Path, after: Path) -> None:
    """Compare the plans of two directories, host by host; where they differ the status is 2."""
    old, new = _read(before), _read(after)
    pairs: dict[tuple[str, str], list[str]] = {}
    for host in dict.fromkeys([*old, *new]):
        texts = ["\n".join(_lines(one[host]) if host in one else ()) for one in (old, new)]
        pairs.setdefault((texts[0], texts[1]), []).append(host)
    is_different = False
    for (one, other), hosts in pairs.items():
        if one != other:
            is_different = True
            put(line(styled(", ".join(hosts), bold=True)))
            for text in _compared(one, other):
                put(line("  ", text))
    sys.exit(DIFFERENT if is_different else WELL)


def _read(directory: Path) -> dict[str, Document]:
    try:
        return plan_files.read(directory)
    except HostError as error:
        put(line("--> ", styled(error, "red")), err=True)
        sys.exit(ERROR)


def _lines(plan: Document) -> Iterator[str]:
    """What is done, and for what."""
    yield line(
        f"for PostgreSQL {plan.server // 10000}.{plan.server % 10000}, role ",
        plan.role,
        f", as of {plan.today}",
    )
    if not plan.is_whole:
        yield line("It has hidden values, which are in no file.")
    for one in plan.transactions:
        made = one.decoded
        yield line(one.name, ": ", render.summary(made))
        for each in one.conditional:
            yield line("  only where its _if holds: ", each.placed(each))
        for text in (
            *render.plan_lines(made),
            *render.waiting_lines(made.waiting),
            *render.undeclared_lines(made.undeclared),
        ):
            yield line("  ", text)


def _compared(before: str, after: str) -> Iterator[str]:
    old, new = (unstyle(one).split("\n") for one in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="")
    for one in list(lines)[2:]:
        yield styled(one, render.line_colour(one))
