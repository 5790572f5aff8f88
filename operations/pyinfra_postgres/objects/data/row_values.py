"""Values of rows, as they are declared and as the server has them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve
from pyinfra.api import HiddenValue

from ...catalog.catalog import Forecast
from ...comparison.stored import Known
from ...syntax.names import Exact, quoted
from ...syntax.parse import Reference, type_references
from ...syntax.values import (
    SQL,
    comparable,
    forms,
    split_array,
)
from ..constraints.constraints import PrimaryKey, Unique
from ..tables.columns import TableColumn
from ..types.domains import Domain
from .rows_definition import TableRow

_T = TypeVar("_T")


_K = TypeVar("_K", bound=Hashable)


def stored_as_declared(column: str, columns: Mapping[str, TableColumn]) -> str:
    """The stored value in the column's type as the plan will have made it."""
    type_ = columns[column].type if column in columns else None
    stored = f"stored.{quoted(column)}"
    return comparable(f"CAST({stored} AS {type_})" if type_ else stored, type_)


def without_domain(column: TableColumn, catalog: Forecast) -> TableColumn:
    """The column with the type under its domain: a cast to the domain would cut a text."""
    element, array = split_array(column.type)
    for reference in type_references(element):
        domain = catalog.domain(reference.name)
        # There is no other name for an array of arrays.
        if isinstance(domain, Domain) and domain.type and not (array and "[]" in domain.type):
            return without_domain(evolve(column, type=Exact(domain.type + array)), catalog)
    return column


def as_known(column: TableColumn, server: Known) -> TableColumn:
    """The column as text where the server does not have its type yet, or not all its labels."""
    element, array = split_array(column.type)
    pending = not server.missing.isdisjoint(type_references(element))
    return evolve(column, type=Exact(f"text{array}")) if pending else column


def stored_values(row: TableRow, columns: Sequence[str], texts: Sequence[str | None]) -> TableRow:
    """The stored values of the columns that differ; each text is marked, a null is empty."""
    stored = {
        column: Exact(text[1:]) if text else None
        for column, text in zip(columns, texts, strict=bool(texts))
        if text is not None
    }
    return {
        column: HiddenValue(text, "*STORED*") if isinstance(row[column], HiddenValue) else text
        for column, text in stored.items()
    }


def grouped(items: Iterable[_T], by: Callable[[_T], _K]) -> Iterator[tuple[_K, list[_T]]]:
    groups: dict[_K, list[_T]] = {}
    for item in items:
        groups.setdefault(by(item), []).append(item)
    yield from groups.items()


def references_in(value: Any) -> Iterable[Reference]:
    return value.references() if isinstance(value, SQL) else ()


def is_readable(value: Any, server: Known) -> bool:
    return not any(one in server.missing for one in references_in(value))


def varies(value: Any, server: Known) -> bool:
    return isinstance(value, SQL) and (
        value.reads_the_clock() or any(one in server.changing for one in value.references())
    )


def keeps_unique(one: object, key: Sequence[str]) -> bool:
    return (
        isinstance(one, PrimaryKey | Unique)
        and set(one.columns) == set(key)
        and not (one.deferrable or one.build.later)
    )


def hidden_texts(rows: Iterable[TableRow]) -> tuple[str, ...]:
    values = (value for row in rows for value in row.values())
    found = {form for one in values if isinstance(one, HiddenValue) for form in forms(one)}
    # A value may be part of another one.
    return tuple(sorted(found, key=lambda form: (-len(form), form)))
