"""Sequences that no column owns by itself: CREATE SEQUENCE, ALTER SEQUENCE, DROP SEQUENCE.

https://www.postgresql.org/docs/current/sql-createsequence.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from attrs import evolve, field, fields_dict, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from .. import given
from ..arguments import Arguments
from ..catalog import Catalog, Taken
from ..converge import converge, declared
from ..dependents import of_relation
from ..entry import Key
from ..errors import DeclarationError
from ..kind import Ask, Object, Row, Same, comment, owner, owner_references, schema_of
from ..names import (
    Exact,
    Name,
    literal,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
    split,
)
from ..naming import chosen_name
from ..parse import Reference, type_name
from ..plan import Hazard, Loss, Statement
from ..snapshot import USER_SCHEMA, Snapshot

if TYPE_CHECKING:
    from .columns import Column

_RANGES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_NONE = "none"


class Owner(NamedTuple):
    """The column that a sequence goes away with."""

    table: Name
    column: Exact

    def __str__(self) -> str:
        return f"{self.table}.{quoted(self.column)}"


def _owned_by(text: str | Owner | None) -> Owner | str | None:
    if text is None or isinstance(text, Owner):
        return text
    if given.text("owned_by", text).lower() == _NONE:
        return _NONE
    match split(text):
        case [schema, table, column]:
            return Owner(Name(schema, table), Exact(column))
        case [table, column]:
            return Owner(Name("public", table), Exact(column))
    raise DeclarationError(f"owned_by is a column like orders.id, or none, not {text!r}")


def _integer(text: str | None) -> str | None:
    if text is None:
        return None
    type_ = type_name(text)
    if type_ not in _RANGES:
        raise DeclarationError(f"a sequence is smallint, integer or bigint, not {text!r}")
    return type_


def _whole(what: str, value: int | None) -> int | None:
    return None if value is None else given.number(what, value, -given.MOST - 1)


def _increment(value: int | None) -> int | None:
    found = _whole("increment", value)
    if found == 0:
        raise given.refused("increment", "not zero", value)
    return found


def _minimum(value: int | None) -> int | None:
    return _whole("minimum", value)


def _maximum(value: int | None) -> int | None:
    return _whole("maximum", value)


def _start(value: int | None) -> int | None:
    return _whole("start", value)


def _cache(value: int | None) -> int | None:
    return None if value is None else given.number("cache", value, 1)


@frozen
class Sequence(Object):
    """A sequence. Its present value is not declared, and is never changed."""

    kind: ClassVar[str] = "sequence"
    word: ClassVar[str] = "sequences"
    acl: ClassVar[str] = "SEQUENCE"

    name: Name = field(converter=parse_name)
    type: str | None = field(default=None, converter=_integer, kw_only=True)
    increment: int | None = field(default=None, converter=_increment, kw_only=True)
    minimum: int | None = field(default=None, converter=_minimum, kw_only=True)
    maximum: int | None = field(default=None, converter=_maximum, kw_only=True)
    start: int | None = field(default=None, converter=_start, kw_only=True)
    cache: int | None = field(default=None, converter=_cache, kw_only=True)
    cycle: bool | None = field(default=None, kw_only=True)
    owned_by: Owner | str | None = field(default=None, converter=_owned_by, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def lines(self) -> Iterator[str]:
        if self.type:
            yield f"as {self.type}"
        for name in ("increment", "minimum", "maximum", "start", "cache"):
            if getattr(self, name) is not None:
                yield f"{name} {getattr(self, name)}"
        if self.cycle:
            yield "cycle"
        if isinstance(self.owned_by, Owner):
            yield f"owned by {self.owned_by}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        if isinstance(self.owned_by, Owner):
            yield Reference("table", self.owned_by.table)

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def belongs_to(self) -> Reference | None:
        # One that a column owns is a part of the column.
        return None if isinstance(self.owned_by, Owner) else super().belongs_to()

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        undeclared: dict[str, Any] = {
            name: getattr(current, name)
            for name in fields_dict(Sequence)
            if getattr(self, name) is None
        }
        # Where only the type is declared, the bounds of the old type become those of the new.
        if self.type and self.type != current.type:
            for name, bound in (("minimum", _lowest), ("maximum", _highest)):
                if undeclared.get(name) == bound(current.type or "bigint", current.increment or 1):
                    undeclared[name] = bound(self.type, current.increment or 1)
        return evolve(self, **undeclared)

    def used_by(self, catalog: Catalog, ask: Ask) -> list[str]:
        return of_relation(self.name, catalog, ask).users(self.name, catalog)

    @staticmethod
    def diff(current: Sequence | None, declared: Sequence | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a sequence."""
        if declared is None:
            assert current
            losses = (Loss(current.kind, current.name, condition="is_called"),)
            yield Statement(f"DROP SEQUENCE {current.name}", losses=losses)
            return
        target = f"SEQUENCE {declared.name}"
        options = list(_options(current, declared))
        if current is None:
            yield Statement(" ".join([f"CREATE {target}", *options]))
        elif options:
            narrowed = _RANGES[declared.type or "bigint"] < _RANGES[current.type or "bigint"]
            hazards = (Hazard.BLOCKS_WRITES,) if narrowed else ()
            yield Statement(" ".join([f"ALTER {target}", *options]), hazards=hazards)
        before = current.owned_by if current else _NONE
        if declared.owned_by is not None and declared.owned_by != before:
            yield Statement(f"ALTER {target} OWNED BY {declared.owned_by}")
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def widened(
    table: Name, types: Mapping[str | None, str], same: Same, catalog: Catalog
) -> Iterator[tuple[Sequence, Sequence]]:
    """The sequences of a table that end before their columns do, as they are and are to be.

    `types` are those of serial columns, by their defaults.
    """
    for one in catalog.on(table) if types else ():
        if not isinstance(one, Sequence):
            continue
        type_ = types.get(f"nextval({literal(str(one.name))}::regclass)")
        if type_ and _RANGES[one.type or "bigint"] < _RANGES[type_]:
            yield one, Sequence(one.name, type=type_).aligned(one, same, catalog)


def put_own(table: Name, column: Column, owner: str | None, catalog: Catalog) -> None:
    """Put the sequence that PostgreSQL makes for a serial or identity column into the catalog."""
    if column.type not in _RANGES:
        return  # PostgreSQL will say so.
    own = Owner(table, column.name)
    for one in catalog.on(table):
        if isinstance(one, Sequence) and one.owned_by == own:
            catalog.remove(one)  # The identity takes its place.
    taken = Taken(table.schema, catalog)
    name = Name(table.schema, chosen_name(table.name, column.name, "seq", taken))
    one = Sequence(
        name,
        type=column.type,
        increment=1,
        minimum=1,
        maximum=_highest(column.type, 1),
        start=1,
        cache=1,
        cycle=False,
        owned_by=own,
        owner=owner,
    )
    catalog.put(one)
    if column.identity:  # It is a part of the column, and has nothing but a name and privileges.
        del catalog.objects[one.key()]


def _highest(type_: str, increment: int) -> int:
    return _RANGES[type_] - 1 if increment > 0 else -1


def _lowest(type_: str, increment: int) -> int:
    return 1 if increment > 0 else -_RANGES[type_]


def _options(current: Sequence | None, declared: Sequence) -> Iterator[str]:
    for name, keyword in (
        ("type", "AS"),
        ("increment", "INCREMENT"),
        ("minimum", "MINVALUE"),
        ("maximum", "MAXVALUE"),
        ("start", "START"),
        ("cache", "CACHE"),
    ):
        value = getattr(declared, name)
        if value is not None and (current is None or value != getattr(current, name)):
            yield f"{keyword} {value}"
    if declared.cycle is not None and declared.cycle != bool(current and current.cycle):
        yield "CYCLE" if declared.cycle else "NO CYCLE"


QUERIES = {
    "sequences": f"""
        SELECT json_build_array(c.oid::int8, format_type(s.seqtypid, NULL), s.seqincrement,
                 s.seqmin, s.seqmax, s.seqstart, s.seqcache, s.seqcycle, o.refobjid::int8,
                 o.refobjsubid, c.relowner::int8, d.description)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_sequence s ON s.seqrelid = c.oid
          LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
            AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype = 'a'
          LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = 0
         WHERE {USER_SCHEMA} AND NOT EXISTS (
           SELECT FROM pg_depend i
            WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid
              AND i.deptype IN ('i', 'e'))"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for row in sections["sequences"] or ():
        oid, type_, increment, low, high, start, cache, cycle, table, column, role, remark = row
        owned_by: Owner | str = _NONE
        if table in catalog.relations:
            owned_by = Owner(catalog.relations[table], catalog.columns[table][column])
        sequence = Sequence(
            catalog.relations[oid],
            type=Exact(type_),
            increment=increment,
            minimum=low,
            maximum=high,
            start=start,
            cache=cache,
            cycle=cycle,
            owned_by=owned_by,
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[sequence.key()] = sequence


def sequence(
    sequence: str,
    *,
    type: str | None = None,
    increment: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    start: int | None = None,
    cache: int | None = None,
    cycle: bool | None = None,
    owned_by: str | None = None,
    owner: str | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a sequence. What is not given is left as it is, or PostgreSQL's default.

    + sequence: its name
    + type: smallint, integer or bigint
    + increment, minimum, maximum, start, cache, cycle: as in CREATE SEQUENCE
    + owned_by: the column that it goes away with, like `orders.number`, or `none`
    + owner: its owner
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; one that has been used is removed only where the run allows it

    The value that it has come to is not declared, and is never changed.

    **Example:**

    .. code:: python

        pg.sequence("invoice_number", start=1000, cache=10)
    """
    declaration = Sequence(
        sequence,
        type=type,
        increment=increment,
        minimum=minimum,
        maximum=maximum,
        start=start,
        cache=cache,
        cycle=cycle,
        owned_by=owned_by,
        owner=owner,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
