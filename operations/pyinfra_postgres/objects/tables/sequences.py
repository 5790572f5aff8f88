"""Sequences that no column owns by itself: CREATE SEQUENCE, ALTER SEQUENCE, DROP SEQUENCE.

https://www.postgresql.org/docs/current/sql-createsequence.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Self

from attrs import evolve, field, fields_dict, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.order import owner_of
from ...plan.plan import Hazard, Loss, Statement
from ...syntax import given
from ...syntax.names import (
    Exact,
    Name,
    literal,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
    split,
)
from ...syntax.parse import Reference, type_name
from ..kind import Object, Row, comment, guard, owner, owner_references, schema_of
from ..sequence_users import users
from .known_columns import check_columns

RANGES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
NONE = "none"


class Owner(NamedTuple):
    """The column that a sequence goes away with."""

    table: Name
    column: Exact

    def __str__(self) -> str:
        return f"{self.table}.{quoted(self.column)}"


def _owned_by(text: str | Owner | None) -> Owner | str | None:
    if text is None or isinstance(text, Owner):
        return text
    if given.text("owned_by", text).lower() == NONE:
        return NONE
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
    if type_ not in RANGES:
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
class SequenceFacts:
    """What is known of a change of a sequence."""

    restarts: bool = False
    """Whether it begins anew: it has given no value yet, and its first one is out of bounds."""
    waits: bool = False
    """Whether the table of its column has another owner so far."""


_USUAL = SequenceFacts()


@frozen
class Sequence(Object):
    """A sequence. Its present value is not declared, and is never changed."""

    kind: ClassVar[str] = "sequence"
    relkind: ClassVar[str] = "S"
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

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest value, PostgreSQL's own where none is given."""
        type_, increment = self.type or "bigint", self.increment or 1
        return (
            lowest(type_, increment) if self.minimum is None else self.minimum,
            highest(type_, increment) if self.maximum is None else self.maximum,
        )

    def unfit(self, catalog: Forecast) -> Iterator[str]:
        table = self.owned_by.table if isinstance(self.owned_by, Owner) else None
        if table in catalog.relation_kinds:
            owner = catalog.acls["SEQUENCE", *self.name].owner
            theirs = catalog.acls["TABLE", *table].owner
            if owner != theirs:
                yield (
                    f"its owner is {quoted(owner)}, and {quoted(theirs)} owns {table}: a sequence "
                    "and the table of its column have one owner, so declare the same for both"
                )

    def missed(self, catalog: Forecast, ask: Ask) -> list[str]:
        return users(self.name, catalog, ask)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        linked = self.linked(current, catalog)
        undeclared: dict[str, Any] = {
            name: getattr(current, name)
            for name in fields_dict(Sequence)
            if getattr(linked, name) is None
        }
        # Where only the type is declared, the bounds of the old type become those of the new.
        if self.type and self.type != current.type:
            for name, bound in (("minimum", lowest), ("maximum", highest)):
                if undeclared.get(name) == bound(current.type or "bigint", current.increment or 1):
                    undeclared[name] = bound(self.type, current.increment or 1)
        found = evolve(linked, **undeclared)
        return found if self.start is not None else found._started(current)

    def _started(self, current: Sequence) -> Self:
        """Itself, where nobody has chosen a start with the first value of other bounds."""
        (low, high), (lowest_, highest_) = self.limits, current.limits
        up = (current.increment or 1) > 0
        first, usual = (low, lowest_) if up else (high, highest_)
        if low <= (self.start or 0) <= high or current.start != usual:
            return self
        return evolve(self, start=first)

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if isinstance(identity := catalog.objects.get(("identity", *self.name)), IdentitySequence):
            raise DeclarationError(
                f"the identity column {identity.owned_by} has the sequence of its name: declare "
                "one of another name"
            )
        return self.linked(None, catalog)

    def linked(self, current: Sequence | None, catalog: Forecast) -> Self:
        """Itself, with the owner that it has to share with its column's table.

        Raises DeclarationError where the column can't own it.
        """
        before = current.owned_by if current else NONE
        role = (current and current.owner) or catalog.role
        column = before if self.owned_by is None else self.owned_by
        if not isinstance(column, Owner) or (column == before and self.owner in {None, role}):
            return self
        if column.table.schema != self.name.schema:
            raise DeclarationError(
                f"it is not in the schema of {column.table}, as one that a column owns has to be"
            )
        check_columns(column.table, catalog, [column.column])
        acl = catalog.acls.get(("TABLE", *column.table))
        theirs = acl.owner if acl else role
        if self.owner is None:
            return evolve(self, owner=None if theirs == role else Exact(theirs))
        return self

    def facts(
        self,
        current: Sequence | None,
        target: Sequence | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> SequenceFacts | None:
        if target is None:
            return None
        restarts = bool(current and ask and target._restarts(current, catalog, ask))
        return SequenceFacts(restarts, target.waits(catalog))

    def waits(self, catalog: Forecast) -> bool:
        """Whether the table of its column has another owner so far."""
        column = self.owned_by
        acl = catalog.acls.get(("TABLE", *column.table)) if isinstance(column, Owner) else None
        return bool(acl and self.owner and acl.owner != self.owner)

    def _restarts(self, current: Sequence, catalog: Forecast, ask: Ask) -> bool:
        """Whether it begins anew. Raises DeclarationError where it has gone too far for that."""
        (low, high), (lowest_, highest_) = self.limits, current.limits
        if (low <= lowest_ and highest_ <= high) or catalog.rows_change:
            return False
        ((value, is_called),) = ask(
            f"SELECT json_build_array(last_value, is_called) FROM {self.name}"
        )
        if low <= value <= high:
            return False
        if is_called:
            raise DeclarationError(
                f"it has come to {value}, which is not within {low} to {high}: declare other "
                f"bounds, or set it before with pg.sql, as by ALTER SEQUENCE {self.name} RESTART"
            )
        return True

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return users(self.name, catalog, ask)

    @staticmethod
    def diff(
        current: Sequence | None, declared: Sequence | None, facts: SequenceFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a sequence."""
        if declared is None:
            assert current
            losses = (Loss(current.kind, current.name, condition="is_called"),)
            yield Statement(f"DROP SEQUENCE {current.name}", losses=losses)
            return
        _check_bounds(declared)
        target = f"SEQUENCE {declared.name}"
        options = list(_options(current, declared))
        if current is None:
            yield Statement(" ".join([f"CREATE {target}", *options]))
        elif options:
            if facts.restarts:
                used = f"SELECT FROM {declared.name} WHERE is_called"
                yield guard(used, f"{declared.title} has given values by now", declared.name)
                options.append("RESTART")
            narrowed = RANGES[declared.type or "bigint"] < RANGES[current.type or "bigint"]
            hazards = (Hazard.BLOCKS_WRITES,) if narrowed else ()
            yield Statement(" ".join([f"ALTER {target}", *options]), hazards=hazards)
        yield from _owned(target, current, declared, facts.waits)
        yield from comment(target, current, declared)


@frozen
class IdentitySequence(Object):
    """The sequence of an identity column: a part of it with a name and privileges."""

    kind: ClassVar[str] = "identity"
    relkind: ClassVar[str] = "S"
    acl: ClassVar[str] = "SEQUENCE"

    name: Name
    owned_by: Owner

    def key(self) -> Key:
        return (self.kind, *self.name)

    @property
    def title(self) -> str:
        return f"sequence {self.name}"

    def lines(self) -> Iterator[str]:
        yield f"owned by {self.owned_by}"

    def provides(self) -> Iterator[Reference]:
        yield Reference("table", self.name)

    def belongs_to(self) -> Reference | None:
        return None  # It goes with its column.


def _check_bounds(one: Sequence) -> None:
    """Raise DeclarationError where PostgreSQL has no such sequence."""
    type_ = one.type or "bigint"
    low, high = one.limits
    for word, value in (("MINVALUE", low), ("MAXVALUE", high)):
        if not -RANGES[type_] <= value < RANGES[type_]:
            raise DeclarationError(f"{word} {value} is out of range for {type_}")
    if low >= high:
        raise DeclarationError(f"MINVALUE {low} has to be less than MAXVALUE {high}")
    if one.start is not None and not low <= one.start <= high:
        raise DeclarationError(
            f"its start {one.start} is not within {low} to {high}: declare another start="
        )


def _owned(
    target: str, current: Sequence | None, declared: Sequence, waits: bool
) -> Iterator[Statement]:
    """Change the column and the role that own it: the role only while no column does."""
    before = (current and current.owned_by) or NONE
    after = declared.owned_by or before
    roles = list(owner(target, current, declared))
    if before != NONE and (roles or after == NONE):
        yield Statement(f"ALTER {target} OWNED BY {NONE}")
    yield from roles
    if after != NONE and (roles or after != before):
        # What comes behind it may give the table the same owner.
        needs = {owner_of(after.table)} if waits and isinstance(after, Owner) else ()
        yield Statement(f"ALTER {target} OWNED BY {after}", needs=frozenset(needs))


def next_value(sequence: Name) -> Exact:
    """The default of a serial column, as PostgreSQL prints it."""
    return Exact(f"nextval({literal(str(sequence))}::regclass)")


def highest(type_: str, increment: int) -> int:
    return RANGES[type_] - 1 if increment > 0 else -1


def lowest(type_: str, increment: int) -> int:
    return 1 if increment > 0 else -RANGES[type_]


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
        SELECT json_build_array(c.oid::regclass, format_type(s.seqtypid, NULL), s.seqincrement,
                 s.seqmin, s.seqmax, s.seqstart, s.seqcache, s.seqcycle, o.refobjid::regclass,
                 o.refobjsubid, c.relowner::regrole, d.description)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_sequence s ON s.seqrelid = c.oid
          LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
            AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype = 'a'
          LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = 0
         WHERE {USER_SCHEMA} AND NOT EXISTS (
           SELECT FROM pg_depend i
            WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid
              AND i.deptype IN ('i', 'e'))""",
    "identities": f"""
        SELECT json_build_array(c.oid::regclass, i.refobjid::regclass, i.refobjsubid)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'S'
          JOIN pg_depend i ON i.classid = 'pg_class'::regclass AND i.objid = c.oid
           AND i.refclassid = 'pg_class'::regclass AND i.refobjsubid > 0 AND i.deptype = 'i'
         WHERE {USER_SCHEMA}""",
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for row in sections["sequences"] or ():
        printed, type_, increment, low, high, start, cache, cycle, table, column, role, remark = row
        owned_by: Owner | str = NONE
        if table in catalog.relations:
            owned_by = Owner(catalog.relations[table], catalog.columns[table][column])
        sequence = Sequence(
            catalog.relations[printed],
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
    for printed, table, column in sections["identities"] or ():
        own = Owner(catalog.relations[table], catalog.columns[table][column])
        identity = IdentitySequence(catalog.relations[printed], own)
        catalog.objects[identity.key()] = identity
