"""What a verification has found, as data: what all documents are made from.

Pure: no I/O, no pyinfra state. `as_json` and `from_json` are each other's inverse, and `schema`
describes what they write.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from attrs import Factory, fields, frozen, has

from .statuses import Status

VERSION = 1
"""The version of the format of `report.json`."""

_T = TypeVar("_T")


class ReportError(ValueError):
    """JSON that is no report."""


@frozen
class Check:
    """What became of one check."""

    task: str
    """What it is part of."""
    title: str
    """What holds; of something that has to be there, its kind and name."""
    status: Status
    reason: str = ""
    """Why it is not as it should be, without values of rows."""
    roots: tuple[str, ...] = ()
    """The titles of what is missing or wrong and blocks it."""
    needs: tuple[str, ...] = ()
    """The titles of the checks without which it can't pass."""
    expected: tuple[str, ...] = ()
    """The rows that had to come."""
    got: tuple[str, ...] = ()
    """The rows that came, where they may be shown."""
    note: str = ""
    """What it found that is neither right nor wrong."""
    setup: tuple[str, ...] = ()
    """The statements before the query."""
    query: str = ""
    place: str = ""
    """The line of the deploy that declares it."""


@frozen
class Step:
    """What a deploy would do to one object."""

    title: str
    action: str
    stage: str
    """Before, in or after the transaction."""
    phase: str
    """The part of the deploy that declares it."""
    place: str
    """The line of the deploy that does."""
    sql: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the statements can do to a database that lives."""


@frozen
class Fix:
    """What a deploy would do, in the order in which it would."""

    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    """Why it can't start."""
    undeclared: tuple[str, ...] = ()
    """What is there and declared by nobody, and would stay."""
    plans: tuple[str, ...] = ()
    """The ids of its plans: others for any other plan."""
    waiting: tuple[str, ...] = ()
    """What waits for a run that does a phase, in words."""


@frozen
class ForeignKey:
    """A foreign key that a database has."""

    table: str
    name: str
    definition: str
    is_valid: bool
    """Whether it holds for all rows."""
    columns: tuple[str, ...] = ()
    source: str = ""
    """The table, or of a partition the table that it is part of."""
    target: str = ""
    """The table whose rows it refers to; of a partition as `source`."""
    is_optional: bool = False
    """Whether a row need not refer to any."""
    is_unique: bool = False
    """Whether no two rows refer to the same one."""


@frozen
class Table:
    """A table that a database has, partitions counted and not told."""

    name: str
    schema: str
    key: tuple[str, ...]
    """The columns of its primary key."""
    partitions: int


@frozen
class Partition:
    """A partition, and the range that it holds: from `lower` to before `upper`."""

    name: str
    lower: str
    upper: str


@frozen
class Partitioned:
    """A table that is partitioned by the ranges of a time or a number."""

    name: str
    column: str
    partitions: tuple[Partition, ...]
    default: str
    """The partition for all other rows, "" where there is none."""


@frozen
class Access:
    """What a role may do with a relation."""

    role: str
    relation: str
    privileges: str
    row_security: str
    """Whether row security is off, on, or forced on the owner too."""


@frozen
class Finding:
    """What is to be said of a database that works, or of the plan for it."""

    rule: str
    what: str
    """The object."""
    said: str
    mend: str = ""
    """The statements that mend it, or the operation that does; "" where there is none."""
    accepted: str = ""
    """Why it is to stay, "" where nobody has said so."""
    severity: str = "warning"
    """`error`, `warning` or `note`."""
    place: str = ""
    """The line of the deploy that declares it, where it is of a plan."""


class Basis(Enum):
    """From where an edge is known."""

    KNOWN = "known"
    """The server keeps it."""
    PARSED = "parsed"
    """It stands in SQL that the server keeps as text, or that a deploy declares."""
    UNKNOWN = "unknown"
    """What is needed shows only when the code runs."""


@frozen
class Edge:
    """That an object needs another one."""

    source: str
    target: str
    """"" where it is unknown."""
    basis: Basis
    note: str = ""
    """What is to be said of it: that the target is not there, or why it is unknown."""


@frozen
class Attempt:
    """What PostgreSQL says where a statement of a deploy is tried by itself, as things are."""

    title: str
    place: str
    """The line of the deploy that declares it."""
    sql: str
    sqlstate: str
    message: str


@frozen
class HostFacts:
    """What is known of one host."""

    name: str
    groups: tuple[str, ...]
    verified: str
    """When it was, in UTC."""
    checks: tuple[Check, ...] = ()
    declared: tuple[Check, ...] = ()
    """What becomes of each object that a deploy declares, where one was asked."""
    fix: Fix | None = None
    """What that deploy would do."""
    attempts: tuple[Attempt, ...] = ()
    """How that would fail if it did one object alone."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    edges: tuple[Edge, ...] = ()
    tables: tuple[Table, ...] = ()
    partitioned: tuple[Partitioned, ...] = ()
    access: tuple[Access, ...] = ()
    findings: tuple[Finding, ...] = ()
    unasked: tuple[str, ...] = ()
    """What of all this is not known, and who was not asked for advice, each with the reason."""
    database: str = ""
    role: str = ""
    server: str = ""
    """The version of PostgreSQL."""
    unreachable: str = ""
    """Why there was no session with the database."""
    commit: str = ""
    """The commit of the deploy's repository, "" where there is none."""
    tool: str = ""
    """The version of this package."""


@frozen
class Report:
    """What is known of the hosts of an environment."""

    title: str
    environment: str
    hosts: tuple[HostFacts, ...] = Factory(tuple)
    version: int = VERSION


def as_json(value: Any, said: Callable[[str], str] = str) -> Any:
    """A value as JSON has it, with each text as it is to be `said`."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return said(value)
    if has(type(value)):
        return {one.name: as_json(getattr(value, one.name), said) for one in fields(type(value))}
    return [as_json(one, said) for one in value] if isinstance(value, tuple) else value


def from_json(type_: type[_T], value: Any, place: str = "the report") -> _T:
    """The value of a type that JSON has. Raises ReportError."""
    found: Any = _read(type_, value, place)
    return found  # type: ignore[no-any-return]


def _read(type_: Any, value: Any, place: str) -> Any:
    if get_origin(type_) is tuple:
        if not isinstance(value, list):
            raise ReportError(f"{place} is no list")
        (item, _) = get_args(type_)
        return tuple(_read(item, one, f"{place}[{n}]") for n, one in enumerate(value))
    if get_origin(type_) in {Union, types.UnionType}:
        (item,) = (one for one in get_args(type_) if one is not type(None))
        return None if value is None else _read(item, value, place)
    if has(type_):
        return _read_object(type_, value, place)
    if issubclass(type_, Enum):
        if value not in {one.value for one in type_}:
            raise ReportError(f"{place} is no {type_.__name__.lower()}")
        return type_(value)
    if type(value) is not type_:
        raise ReportError(f"{place} is no {type_.__name__}")
    return value


def _read_object(type_: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise ReportError(f"{place} is no object")
    hints = get_type_hints(type_)
    names = [one.name for one in fields(type_)]
    if unlike := sorted(set(value) ^ set(names)):
        raise ReportError(f"{place} has no {unlike[0]!r}, or should have none")
    if type_ is Report and value["version"] != VERSION:
        raise ReportError(f"{place} is of version {value['version']!r}, not {VERSION}")
    return type_(**{name: _read(hints[name], value[name], f"{place}.{name}") for name in names})


def schema() -> dict[str, Any]:
    """The JSON Schema of a report."""
    definitions = {one.__name__: _object_schema(one) for one in _parts(Report)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A report of pyinfra-postgres",
        "$ref": "#/$defs/Report",
        "$defs": definitions,
    }


def _parts(type_: Any) -> Iterator[Any]:
    """An attrs class, and those that it is made of."""
    yield type_
    for hint in get_type_hints(type_).values():
        for item in (hint, *get_args(hint)):
            if isinstance(item, type) and has(item):
                yield from _parts(item)


def _object_schema(type_: Any) -> dict[str, Any]:
    hints = get_type_hints(type_)
    names = [one.name for one in fields(type_)]
    properties = {name: _schema(hints[name]) for name in names}
    if type_ is Report:
        properties["version"] = {"const": VERSION}
    return {
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": False,
    }


_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}


def _schema(type_: Any) -> dict[str, Any]:
    if get_origin(type_) is tuple:
        return {"type": "array", "items": _schema(get_args(type_)[0])}
    if get_origin(type_) in {Union, types.UnionType}:
        (item,) = (one for one in get_args(type_) if one is not type(None))
        return {"anyOf": [_schema(item), {"type": "null"}]}
    if has(type_):
        return {"$ref": f"#/$defs/{type_.__name__}"}
    if issubclass(type_, Enum):
        return {"enum": [one.value for one in type_]}
    return {"type": _JSON_TYPES[type_]}
