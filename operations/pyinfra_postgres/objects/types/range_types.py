"""Range types: CREATE TYPE ... AS RANGE, ALTER TYPE, DROP TYPE.

PostgreSQL makes a multirange type and functions of both names with it, and renames neither.
https://www.postgresql.org/docs/current/rangetypes.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.renames import Rename
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Statement
from ...syntax import given
from ...syntax.names import (
    MAX_BYTES,
    Exact,
    Name,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
    split,
)
from ...syntax.parse import Reference, dotted_name, type_name, type_node, type_references
from ...syntax.paths import SearchPath
from ..dependents import of_type
from ..granting import default_privileges, granted_again
from ..kind import Object, Row, comment, either, owner, owner_references, schema_of
from ..tables.columns import read_collation

_PARTS = ("subtype", "subtype_opclass", "collation", "canonical", "subtype_diff")
"""What no ALTER TYPE changes."""


def _subtype(text: str | None) -> str | None:
    if text is None or isinstance(text, Exact):
        return text
    found = type_name(text)
    if type_node(text).get("typmods"):
        raise given.refused("subtype", "a type without modifiers, which ranges don't keep", text)
    return found


def _reference(kind: str, text: str | Reference | None) -> Reference | None:
    """What PostgreSQL looks up by a name; without a schema it may be its own."""
    if text is None or isinstance(text, Reference):
        return text
    parts = split(text)
    return Reference(kind, Name("", parts[0]) if len(parts) == 1 else dotted_name(parts))


def _function(text: str | Reference | None) -> Reference | None:
    return _reference("function", text)


def _opclass(text: str | Reference | None) -> Reference | None:
    return _reference("operator class", text)


@frozen
class RangeTypeFacts:
    """What is known of a change of a range type."""

    leads: bool = True
    """Whether the multirange type has its owner, which it has since PostgreSQL 17."""
    granted: tuple[Statement, ...] = ()
    """What gives it its privileges, where it is made anew."""


_USUAL = RangeTypeFacts()


@frozen
class RangeType(Object):
    """A range type, with its multirange type."""

    kind: ClassVar[str] = "range_type"
    word: ClassVar[str] = "types"
    acl: ClassVar[str] = "TYPE"
    essence: ClassVar[str] = "subtype"
    gives_meaning: ClassVar[bool] = True

    name: Name = field(converter=parse_name)
    subtype: str | None = field(default=None, converter=_subtype)
    subtype_opclass: Reference | None = field(default=None, converter=_opclass, kw_only=True)
    collation: Name | None = field(default=None, converter=read_collation, kw_only=True)
    canonical: Reference | None = field(default=None, converter=_function, kw_only=True)
    subtype_diff: Reference | None = field(default=None, converter=_function, kw_only=True)
    multirange_type_name: Name | None = field(default=None, converter=optional_name, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    @property
    def multirange(self) -> Name:
        """The name of its multirange type, by default that which PostgreSQL gives."""
        if self.multirange_type_name:
            return self.multirange_type_name
        name = self.name.name
        if "range" in name:
            name = name.replace("range", "multirange", 1)
        else:
            room = MAX_BYTES - len("_multirange")
            name = name.encode()[:room].decode(errors="ignore") + "_multirange"
        return Name(self.name.schema, name.encode()[:MAX_BYTES].decode(errors="ignore"))

    @property
    def address(self) -> str:
        return f"TYPE {self.name}"

    def key(self) -> Key:
        return (self.kind, *self.name)

    def names(self) -> Iterator[Key]:
        yield self.key()
        if self.multirange_type_name:
            yield ("multirange", *self.multirange_type_name)

    def lines(self) -> Iterator[str]:
        yield f"of {self.subtype}"
        for part in (*_PARTS[1:], "multirange_type_name"):
            if value := getattr(self, part):
                yield f"{part} {_sql(value)}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from schema_of(self.multirange)
        yield from owner_references(self.owner)
        if self.subtype:
            yield from type_references(self.subtype)
        for function in (self.canonical, self.subtype_diff):
            if function:
                yield function

    def provides(self) -> Iterator[Reference]:
        for name in (self.name, self.multirange):
            yield Reference("type", name)
            yield Reference("function", name)

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        for rename in Object.renames(self, catalog):
            former: Any = catalog.objects.get(rename.old)
            things = _things(Name(*rename.old[1:]), self.name)
            statements = [*rename.statements]
            if former:
                arguments = f"{former.subtype}, {former.subtype}"
                lists = [arguments, f"{arguments}, text"]
                statements += _constructors(former.name, self.name, lists, catalog)
            yield evolve(rename, things=things, statements=tuple(statements))
        current: Any = catalog.objects.get(self.key())
        before = current and current.multirange_type_name
        if before and self.multirange_type_name and before != self.multirange_type_name:
            after = self.multirange_type_name
            lists = ["", str(self.name), f"{self.name}[]"]
            statements = [
                *_moved("TYPE", before, after, ""),
                *_constructors(before, after, lists, catalog),
            ]
            keys: tuple[Key, Key] = ("multirange", *before), ("multirange", *after)
            yield Rename(*keys, _things(before, after), tuple(statements), whole=self.key())

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if self.subtype is None:
            raise DeclarationError("it does not exist: declare its subtype")
        if self.canonical:
            raise DeclarationError(_SHELL)
        return evolve(self, multirange_type_name=self.multirange)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        changes: dict[str, Any] = {}
        # What belongs to one subtype is nothing to another.
        for part in _PARTS[1:] if self.subtype == current.subtype else ():
            changes[part] = _either(getattr(self, part), getattr(current, part))
        return evolve(
            self,
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
            multirange_type_name=either(self.multirange_type_name, current.multirange_type_name),
            **changes,
        )

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_type(self.name, catalog, ask).users(self.name, catalog)

    def facts(
        self,
        current: RangeType | None,
        target: RangeType | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> RangeTypeFacts:
        granted: Iterable[Statement] = ()
        if ask and current and target and _parts(target) != _parts(current):
            granted = target._granted(current, catalog, ask)
        return RangeTypeFacts(catalog.version >= 170000, tuple(granted))

    def _granted(self, current: Self, catalog: Forecast, ask: Ask) -> Iterable[Statement]:
        """What gives it its privileges once it is made anew.

        Raises DeclarationError where it can't be.
        """
        own = {*self.provides(), *current.provides()}
        planned = [
            one.title
            for one in map(catalog.objects.get, sorted(catalog.changed - {self.key()}))
            if one and not own.isdisjoint(one.requires())
        ]
        users = [*self.used_by(catalog, ask), *planned]
        if users or self.canonical:
            how = f"it is used by {', '.join(users)}" if users else _SHELL
            raise DeclarationError(
                f"it is {', '.join(_described(current, self))} and is declared "
                f"{', '.join(_described(self, current))}: PostgreSQL can't change that, and "
                f"to make it anew is out of the question, because {how}"
            )
        created = _created(self)
        script = [f"DROP TYPE {self.name}", created.path.local, created.sql]
        failure = ask.attempt(script).failure
        # Types and functions that are not there may come with the plan.
        may_come = bool(catalog.changed) and failure and failure.sqlstate in {"42704", "42883"}
        if failure and failure.sqlstate.startswith(("0A", "42")) and not may_come:
            raise DeclarationError(f"PostgreSQL refuses it: {failure}")
        return granted_again(self.acl, (self.acl, *self.name), default_privileges(ask), catalog)

    @staticmethod
    def diff(
        current: RangeType | None, declared: RangeType | None, facts: RangeTypeFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, make anew, ALTER or DROP a range type."""
        if declared is None:
            assert current
            yield Statement(f"DROP TYPE {current.name}")
            return
        anew = current is not None and _parts(current) != _parts(declared)
        if anew:
            yield Statement(f"DROP TYPE {declared.name}")
            current = None
        if current is None:
            yield _created(declared)
        target = f"TYPE {declared.name}"
        yield from owner(target, current, declared)
        if not facts.leads:
            yield from owner(f"TYPE {declared.multirange}", current, declared)
        yield from comment(target, current, declared)
        if anew:
            yield from facts.granted


_SHELL = (
    "a canonical function takes the type that it is of, so that it comes between the two: create "
    "them with pg.sql, first CREATE TYPE ... without anything"
)


def _parts(one: RangeType) -> list[object]:
    return [getattr(one, part) for part in _PARTS]


def _described(one: RangeType, other: RangeType) -> Iterator[str]:
    """What one of two has otherwise."""
    for part in _PARTS if one.subtype == other.subtype else _PARTS[:1]:
        if (value := getattr(one, part)) != getattr(other, part):
            yield f"{part} {_sql(value) if value else 'none'}"


_Named = Name | Reference


def _name(value: _Named) -> Name:
    return value if isinstance(value, Name) else value.name


def _sql(value: str | _Named) -> str:
    """A type or a name as SQL has it, also a name without a schema."""
    if isinstance(value, str):
        return value
    name = _name(value)
    return str(name) if name.schema else quoted(name.name)


def _either(declared: _Named | None, current: _Named | None) -> _Named | None:
    """What is declared, as it is there where that is the same."""
    if declared is None:
        return current
    if current is None:
        return declared
    one, other = _name(declared), _name(current)
    # Without a schema it is PostgreSQL's own, or else one of `public`.
    unqualified = "" if isinstance(declared, Reference) else "pg_catalog"
    nearby = {unqualified} if other.schema in {"pg_catalog", "public"} else set()
    is_same = one.name == other.name and one.schema in {other.schema, *nearby}
    return current if is_same else declared


def _created(declared: RangeType) -> Statement:
    options = [
        f"{part} = {_sql(value)}"
        for part in (*_PARTS, "multirange_type_name")
        if (value := getattr(declared, part))
    ]
    names = (declared.subtype_opclass, declared.collation, declared.subtype_diff)
    looked_up = any(one and not _name(one).schema for one in names)
    path = SearchPath.USERS if looked_up else SearchPath.OWN
    return Statement(f"CREATE TYPE {declared.name} AS RANGE ({', '.join(options)})", path=path)


def _things(old: Name, new: Name) -> tuple[tuple[Reference, Reference], ...]:
    """A type, and the functions that make values of it."""
    return tuple((Reference(kind, old), Reference(kind, new)) for kind in ("type", "function"))


def _constructors(
    old: Name, new: Name, arguments: Sequence[str], catalog: Forecast
) -> Iterator[Statement]:
    """The statements that rename the functions which make values of a type, as the type is."""
    for one in arguments if old in catalog.functions else ():
        yield from _moved("FUNCTION", old, new, f"({one})")


def _moved(kind: str, old: Name, new: Name, arguments: str) -> Iterator[Statement]:
    if old.schema != new.schema:
        yield Statement(f"ALTER {kind} {old}{arguments} SET SCHEMA {quoted(new.schema)}")
    if old.name != new.name:
        moved = Name(new.schema, old.name)
        yield Statement(f"ALTER {kind} {moved}{arguments} RENAME TO {quoted(new.name)}")


QUERIES = {
    "range_types": f"""
        SELECT json_build_array(n.nspname, t.typname, t.typowner::regrole, d.description,
                 format_type(r.rngsubtype, NULL), json_build_array(mn.nspname, m.typname),
                 json_build_array(opn.nspname, op.opcname),
                 CASE WHEN l.oid IS NOT NULL THEN json_build_array(ln.nspname, l.collname) END,
                 CASE WHEN c.oid IS NOT NULL THEN json_build_array(cn.nspname, c.proname) END,
                 CASE WHEN f.oid IS NOT NULL THEN json_build_array(fn.nspname, f.proname) END)
          FROM pg_namespace n JOIN pg_type t ON t.typnamespace = n.oid
          JOIN pg_range r ON r.rngtypid = t.oid
          JOIN pg_type m ON m.oid = r.rngmultitypid JOIN pg_namespace mn ON mn.oid = m.typnamespace
          JOIN pg_opclass op ON op.oid = r.rngsubopc
          JOIN pg_namespace opn ON opn.oid = op.opcnamespace
          LEFT JOIN pg_collation l ON l.oid = r.rngcollation
          LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
          LEFT JOIN pg_proc c ON c.oid = r.rngcanonical
          LEFT JOIN pg_namespace cn ON cn.oid = c.pronamespace
          LEFT JOIN pg_proc f ON f.oid = r.rngsubdiff
          LEFT JOIN pg_namespace fn ON fn.oid = f.pronamespace
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_type'::regclass
         WHERE {USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend e
           WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for schema, name, role, remark, subtype, multirange, *parts in sections["range_types"] or ():
        opclass, collation, canonical, diff = (part and Name(*part) for part in parts)
        found = RangeType(
            Name(schema, name),
            Exact(subtype),
            subtype_opclass=Reference("operator class", opclass),
            collation=collation,
            canonical=canonical and Reference("function", canonical),
            subtype_diff=diff and Reference("function", diff),
            multirange_type_name=Name(*multirange),
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[found.key()] = found
