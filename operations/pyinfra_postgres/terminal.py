"""The one way to a terminal.

Names, comments, rows and messages come from databases and from others who may want to be mistaken
for this tool. Here every character that does not show itself is written as its escape, and what is
hidden is masked. Only `Line`s are passed on as they are: they are made here.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click
from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.api.output import echo, format_text

from .hidden import masked

# Printable by Python's word, and yet nothing is seen: fillers, joiners, selectors of variants.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


class Line(str):
    """What a terminal may be told."""

    __slots__ = ()


def printable(text: object) -> Line:
    """A text as one line in which each character shows itself, and nothing that is hidden."""
    if isinstance(text, Line):
        return text
    shown = masked(str(text))
    if shown.isascii() and shown.isprintable():
        return Line(shown)
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else _escaped(one) for one in shown)
    return Line(_UNSEEN.sub(lambda found: _escaped(found[0]), shown))


def printable_lines(text: object) -> Line:
    """A text of several lines, each of them printable."""
    return Line("\n".join(printable(one) for one in masked(str(text)).split("\n")))


def line(*parts: object) -> Line:
    """Parts in one line: what is styled already, and what is not a line yet."""
    return Line("".join(map(printable, parts)))


def styled(text: object, colour: str | None = None, **style: Any) -> Line:
    """A text in a colour or a style of pyinfra's."""
    return Line(format_text(printable(text), colour, **style))


def say(host: Host, *parts: object) -> None:
    """Print a line about a host."""
    logger.info(f"{host.print_prefix}{line(*parts)}")


def conclude(host: Host, *parts: object) -> None:
    """Print how a host has ended."""
    logger.info(f"{host.print_prefix}{line(*parts)}")


def tell(*parts: object) -> None:
    """Print a line that is about no host, or goes on with one."""
    logger.info(line(*parts))


def warn(*parts: object) -> None:
    """Print a line that should be noticed."""
    logger.warning(line(*parts))


def complain(host: Host, message: object) -> None:
    """Print why a host fails."""
    logger.error(f"{host.print_prefix}{styled(message, 'red')}")


def trace(host: Host, *parts: object) -> None:
    """Print what pyinfra prints of commands when it is asked to be loud."""
    echo(f"{host.print_prefix}{line(*parts)}", err=True)


def say_at_once(*parts: object) -> None:
    """Print a line past the logger, whose lock the code that a signal interrupts may hold."""
    os.write(sys.stderr.fileno(), f"\n{line(*parts)}\n".encode(errors="replace"))


def nothing_to_do(host: Host, *parts: object) -> None:
    """Tell pyinfra why an operation does nothing."""
    host.noop(line(*parts))


def put(text: object, *, err: bool = False) -> None:
    """Print lines that are an answer by themselves, or beside one."""
    click.echo(printable_lines(text) if not isinstance(text, Line) else text, err=err)


def at_once() -> None:
    """Have each line be seen when it is printed, whoever reads."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def is_watched() -> bool:
    """Whether what is printed goes to a terminal."""
    return sys.stdout.isatty()


def rewrite(text: object) -> None:
    """Write over the terminal's last line, or leave it empty, where there is a terminal."""
    if is_watched():
        click.echo(f"\r\x1b[K{printable(text)}", nl=False)


def report(*parts: object, host: Host | None = None) -> None:
    """Print a line of a plan to standard output, as pyinfra indents what it says of hosts."""
    prefix = host.print_prefix if host else ""
    put(Line(f"    {prefix}{line(*parts)}"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
