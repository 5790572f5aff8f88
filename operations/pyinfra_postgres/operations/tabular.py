"""Rows of several hosts as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import ge
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..terminal import Line, printable, put
from .host_rows import HostRows, Number

_LONGEST = 100
_NARROWEST = 12
_BETWEEN = 3
_ELSEWHERE = 100_000


def print_answers(answers: Mapping[str, HostRows]) -> None:
    """Print the rows of all hosts: one table for those with the same columns.

    Values are cut to 100 characters and to what fits the terminal; only the value of a query with
    one column is whole. Where the columns don't fit, each value gets a line of its own.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _ELSEWHERE
    for columns in dict.fromkeys(answer.columns for answer in answers.values()):
        rows = [
            [Text(printable(host)), *(_text(value, whole=len(columns) == 1) for value in row)]
            for host, answer in answers.items()
            if answer.columns == columns
            for row in answer.cells()
        ]
        titles = ["host", *map(printable, columns)]
        widths = _widths(titles, rows, console.width)
        with console.capture() as captured:
            console.print(
                _table(titles, rows, widths) if widths else _list(titles, rows, console.width)
            )
        # Of what is clean rich makes a table, in styles of its own.
        for line in captured.get().split("\n")[:-1]:
            put(Line(line.rstrip()))
    put(_count(answers))


def _table(titles: Sequence[str], rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Table:
    table = Table(box=box.MINIMAL, show_edge=False, header_style="bold")
    cut = len(titles) > 2
    for index, title in enumerate(titles):
        table.add_column(
            Text(title),
            width=widths[index],
            overflow="ellipsis" if cut else "fold",
            no_wrap=cut,
            justify="right" if rows and all(row[index].justify for row in rows) else "left",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _list(titles: Sequence[str], rows: Sequence[Sequence[Text]], available: int) -> Table:
    table = Table(box=box.MINIMAL, show_edge=False, show_header=False)
    width = max(map(cell_len, titles))
    table.add_column(style="bold", width=width)
    left = available - width - 2 * _BETWEEN
    table.add_column(max_width=left, overflow="ellipsis", no_wrap=True)
    for row in rows:
        for title, value in zip(titles, row, strict=True):
            # Assembled anew, it is on the left like all others.
            table.add_row(Text(title), Text.assemble(value), end_section=value is row[-1])
    return table


def _widths(
    titles: Sequence[str], rows: Sequence[Sequence[Text]], available: int
) -> list[int] | None:
    """The columns' widths: the widest after the host give way; None where too little is left."""
    natural = [
        max(cell_len(title), *(max(map(cell_len, row[index].plain.split("\n"))) for row in rows), 1)
        for index, title in enumerate(titles)
    ]
    host, *widths = natural
    while widths and host + sum(widths) + _BETWEEN * len(natural) > available:
        widths[widths.index(max(widths))] -= 1
    readable = all(map(ge, [host, *widths], (min(width, _NARROWEST) for width in natural)))
    return [host, *widths] if readable else None


def _text(value: Any, *, whole: bool) -> Text:
    match value:
        case None:
            return Text("NULL", style="dim italic")
        case Number():
            return Text(value, justify="right")
        case "NULL":
            return Text("'NULL'")
        case str():
            text = value
        case _:
            text = _as_json(value)
    if whole:
        return Text("\n".join(map(printable, text.split("\n"))))
    shown = printable(text[:_LONGEST])
    return Text(f"{shown}…" if len(text) > _LONGEST else shown)


def _as_json(value: Any) -> str:
    match value:
        case Number():
            return value
        case list():
            return f"[{', '.join(map(_as_json, value))}]"
        case dict():
            pairs = (f"{json.dumps(key)}: {_as_json(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _count(answers: Mapping[str, HostRows]) -> str:
    rows = sum(len(answer.rows) for answer in answers.values())
    hosts = sum(bool(answer.rows) for answer in answers.values()) or len(answers)
    without = [host for host, answer in answers.items() if not answer.rows and rows]
    text = f"{rows} row{'s' * (rows != 1)} from {hosts} host{'s' * (hosts != 1)}"
    return f"{text}, none from {', '.join(without)}" if without else text
