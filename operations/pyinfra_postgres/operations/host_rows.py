"""The rows that hosts answer with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from ..errors import HostError
from ..transport.answer import read


class Number(str):
    """A number as the server writes it: 1.50 stays 1.50."""

    __slots__ = ()


@frozen
class HostRows:
    """The rows of one host, each a JSON array of its columns."""

    columns: tuple[str, ...]
    rows: tuple[str, ...]

    def objects(self) -> list[dict[str, Any]]:
        """The rows by column. Raises HostError where two columns have one name."""
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise HostError(f"two columns are called {name}: name them apart with AS")
        return [dict(zip(self.columns, read(row), strict=True)) for row in self.rows]

    def cells(self) -> Iterator[list[Any]]:
        """The rows, with numbers as they are written."""
        for row in self.rows:
            yield read(row, parse_float=Number, parse_int=Number)
