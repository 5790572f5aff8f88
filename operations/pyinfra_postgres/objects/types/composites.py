"""Composite types: CREATE TYPE ... AS, ALTER TYPE ... ATTRIBUTE, DROP TYPE.

https://www.postgresql.org/docs/current/rowtypes.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog import renames
from ...catalog.catalog import Declared, Forecast
from ...catalog.entry import INDEX, Key
from ...catalog.renames import Rename
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Loss, Statement
from ...syntax import given
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    listed,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
)
from ...syntax.parse import Reference, type_name, type_references
from ..dependents import of_columns, of_type
from ..exact import Exactness, chosen
from ..holders import Holder, columns_of_type
from ..kind import (
    Object,
    Row,
    SubObject,
    aligned_type,
    comment,
    either,
    owner,
    owner_references,
    schema_of,
)
from ..tables.columns import collated, collation_sql, read_collation
from ..tables.tables import Table

_HOLDS = ("attributes", "grants")
_REFUSALS = frozenset({"42P16", "42804"})
"""The SQLSTATEs of attributes that can't be, whatever else a plan brings."""


@frozen
class Attribute:
    """An attribute of a composite type.

    + collation: its collation, `default` for the type's own
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists; for one that is to go its name is enough
    """

    name: Exact = field(converter=identifier)
    type: str = field(default="")
    collation: Name | None = field(default=None, converter=read_collation, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    present: bool = field(default=True, kw_only=True)

    def __attrs_post_init__(self) -> None:
        given.check_plain(f"attribute {self.name}", self)
        if self.present and not self.type:
            raise DeclarationError(f"attribute {self.name} needs a type")
        if self.type:
            object.__setattr__(self, "type", type_name(self.type))

    def definition(self) -> str:
        """Its definition, as CREATE TYPE has it."""
        collation = f" COLLATE {collation_sql(self.collation)}" if self.collation else ""
        return f"{quoted(self.name)} {self.type}{collation}"

    def aligned(self, current: Attribute, same: Same) -> Attribute:
        """Itself, with what equals the current attribute written as it is there."""
        return evolve(
            self,
            type=aligned_type(self.type, current.type, same),
            collation=collated(self, current),
            comment=either(self.comment, current.comment),
        )


def _attributes(attributes: Attribute | Iterable[Attribute]) -> tuple[Attribute, ...]:
    found = given.several("attributes", attributes, Attribute)
    for one in found:
        if not isinstance(one, Attribute):
            raise given.refused("an attribute", 'pg.Attribute("name", "type")', one)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DeclarationError(f"the attribute {twice} is declared twice")
    return found


@frozen
class CompositeDetails:
    """What a catalog knows of a composite type beside what may be declared."""

    tables: tuple[Name, ...]
    """Those that are made of it."""


def _exact(given: Exactness) -> frozenset[str]:
    return chosen(given, _HOLDS)


@frozen
class Composite(Object):
    """A composite type and its attributes in order."""

    kind: ClassVar[str] = "composite"
    word: ClassVar[str] = "types"
    acl: ClassVar[str] = "TYPE"
    holds: ClassVar[tuple[str, ...]] = _HOLDS
    essence: ClassVar[str] = "attributes"
    gives_meaning: ClassVar[bool] = True

    name: Name = field(converter=parse_name)
    attributes: tuple[Attribute, ...] = field(default=(), converter=_attributes)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    exact: frozenset[str] = field(default=False, converter=_exact, eq=False, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    @property
    def address(self) -> str:
        return f"TYPE {self.name}"

    def key(self) -> Key:
        return (self.kind, *self.name)

    def names(self) -> Iterator[Key]:
        yield self.key()
        for one in self.attributes:
            if one.present:
                yield ("attribute", *self.name, one.name)

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        for rename in Object.renames(self, catalog):
            if catalog.holds(rename.old):
                self._check_name(catalog)
            yield rename
        for one in self.attributes:
            if one.present and one.renamed_from:
                rename = renames.attribute(self, one.renamed_from, one.name)
                if catalog.holds(rename.old, rename.whole):
                    check_tables(self.name, catalog)
                yield rename

    def lines(self) -> Iterator[str]:
        for one in self.attributes:
            yield one.definition()
            if one.comment:
                yield f"comment on {quoted(one.name)} {one.comment!r}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        for one in self.attributes:
            yield from type_references(one.type) if one.present else ()

    def provides(self) -> Iterator[Reference]:
        yield Reference("type", self.name)

    def undeclared(self, known: Sequence[Declared]) -> Iterator[SubObject]:
        types = [one.declaration for one in known if isinstance(one.declaration, Composite)]
        declared = {attribute.name for one in types for attribute in one.attributes}
        for one in self.attributes:
            if one.name not in declared:
                removal = Composite(self.name, [Attribute(one.name, present=False)])
                name = f"{self.name}.{quoted(one.name)}"
                yield SubObject("attribute", name, one.definition(), removal)

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        attributes = [one for one in self.attributes if one.present]
        if not attributes:
            raise DeclarationError("it does not exist: declare its attributes")
        self._check_name(catalog)
        return evolve(self, attributes=attributes)

    def _check_name(self, catalog: Forecast) -> None:
        """Raise DeclarationError where a relation has its name, which is among theirs."""
        if holder := catalog.holder(Reference(INDEX, self.name)):
            raise DeclarationError(f"{holder} {self.name} has its name: rename or drop that")

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        declared = {one.name: one for one in self.attributes}
        there = {one.name: one for one in current.attributes}
        found = [
            declared[name].aligned(one, same) if name in declared else one
            for name, one in there.items()
            if name not in declared or declared[name].present
        ]
        new = [one for one in self.attributes if one.present and one.name not in there]
        order = [one.name for one in (*found, *new)]
        wanted = [one.name for one in self.attributes if one.present]
        if [name for name in order if name in declared] != wanted:
            raise DeclarationError(
                f"its attributes are {listed(there)} and are declared as {listed(wanted)}: "
                "PostgreSQL keeps their order and adds new ones at the end; declare them so"
            )
        return evolve(
            self,
            attributes=[*found, *new],
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_type(self.name, catalog, ask).users(self.name, catalog)

    def facts(
        self,
        current: Composite | None,
        target: Composite | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> tuple[Holder, ...] | None:
        return target._holders(current, catalog, ask) if current and target and ask else None

    def _holders(self, current: Composite, catalog: Forecast, ask: Ask) -> tuple[Holder, ...]:
        """The columns that hold values of it, where attributes go.

        Raises DeclarationError where it can't be changed.
        """
        after = {one.name: one for one in self.attributes}
        gone = [one.name for one in current.attributes if one.name not in after]
        retyped = [
            one.name
            for one in current.attributes
            if one.name in after and after[one.name].definition() != one.definition()
        ]
        if gone or retyped or len(after) > len(current.attributes):
            check_tables(self.name, catalog)
        if not gone and not retyped:
            self._try(current, ask)
            return ()
        if users := of_columns(self.name, [*gone, *retyped], catalog, ask).users(
            self.name, catalog
        ):
            raise DeclarationError(
                f"its {listed([*gone, *retyped])} is used by {', '.join(users)}: remove or change "
                "that before"
            )
        holders = columns_of_type(self.name, ask)
        columns = {one.text for one in holders} | set(_planned(self.name, catalog))
        if retyped and columns:
            raise DeclarationError(
                f"PostgreSQL can't change the type of {listed(retyped)}, because there are values "
                f"in {', '.join(sorted(columns))}: add another attribute, or declare another type"
            )
        self._try(current, ask)
        return tuple(holders) if gone else ()

    def _try(self, current: Composite, ask: Ask) -> None:
        """Raise DeclarationError with what PostgreSQL has against its attributes."""
        before = {one.name: one for one in current.attributes}
        changes = [one.sql for one in _altered(before, self)]
        failure = ask.attempt(changes).failure if changes else None
        # Types that are not there may come with the plan.
        if failure and failure.sqlstate in _REFUSALS:
            raise DeclarationError(f"PostgreSQL refuses it: {failure}")

    @staticmethod
    def diff(
        current: Composite | None, declared: Composite | None, holders: Iterable[Holder] = ()
    ) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a composite type. Attributes that are not declared stay."""
        if declared is None:
            assert current
            yield Statement(f"DROP TYPE {current.name}")
            return
        target = f"TYPE {declared.name}"
        before = {one.name: one for one in current.attributes} if current else {}
        if current is None:
            definitions = ", ".join(one.definition() for one in declared.attributes)
            yield Statement(f"CREATE {target} AS ({definitions})")
        else:
            yield from _altered(before, declared, holders)
        for one in declared.attributes:
            yield from comment(
                f"COLUMN {declared.name}.{quoted(one.name)}", before.get(one.name), one
            )
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def check_tables(type_: Name, catalog: Snapshot) -> None:
    """Raise DeclarationError where tables are made of a type, which have to be as it is."""
    details = catalog.details.get((Composite.kind, *type_))
    if isinstance(details, CompositeDetails):
        raise DeclarationError(
            f"{', '.join(map(str, details.tables))} is made OF it, and PostgreSQL changes its "
            "attributes only together with that: end it with ALTER TABLE ... NOT OF before"
        )


def _altered(
    before: Mapping[Exact, Attribute], declared: Composite, holders: Iterable[Holder] = ()
) -> Iterator[Statement]:
    alter = f"ALTER TYPE {declared.name}"
    after = {one.name: one for one in declared.attributes}
    for name in before:
        if name not in after:
            losses = tuple(_losses(name, holders))
            yield Statement(f"{alter} DROP ATTRIBUTE {quoted(name)}", losses=losses)
    for name, one in after.items():
        if name not in before:
            yield Statement(f"{alter} ADD ATTRIBUTE {one.definition()}")
        elif one.definition() != before[name].definition():
            type_ = one.definition().removeprefix(f"{quoted(name)} ")
            yield Statement(f"{alter} ALTER ATTRIBUTE {quoted(name)} TYPE {type_}")


def _losses(attribute: str, holders: Iterable[Holder]) -> Iterator[Loss]:
    """What tables lose with an attribute."""
    for one in holders:
        if one.within:
            told = f"{attribute} of what is within its values"
            yield Loss("column", one.relation, one.column, told=told)
        elif one.first:
            given = f"({quoted(one.column)}).{quoted(attribute)} IS DISTINCT FROM NULL"
            yield Loss("column", one.relation, one.column, given)


def _planned(name: Name, catalog: Forecast) -> Iterator[str]:
    """The columns of the type that tables have once the plan has run."""
    for table in catalog.of(Table):
        for column in table.columns or ():
            if column.type in {str(name), f"{name}[]"}:
                yield f"{quoted(column.name)} of {table.name}"


QUERIES = {
    "composites": f"""
        SELECT json_build_array(n.nspname, c.relname, t.typowner::regrole, d.description,
                 (SELECT json_agg(json_build_array(a.attname,
                           format_type(a.atttypid, a.atttypmod),
                           CASE WHEN a.attcollation <> b.typcollation THEN (
                             SELECT json_build_array(m.nspname, l.collname) FROM pg_collation l
                               JOIN pg_namespace m ON m.oid = l.collnamespace
                              WHERE l.oid = a.attcollation) END,
                           col_description(c.oid, a.attnum)) ORDER BY a.attnum)
                    FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
                 (SELECT json_agg(json_build_array(m.nspname, o.relname)
                           ORDER BY m.nspname, o.relname)
                    FROM pg_class o JOIN pg_namespace m ON m.oid = o.relnamespace
                   WHERE o.reloftype = t.oid))
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'c'
          JOIN pg_type t ON t.oid = c.reltype
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_type'::regclass
         WHERE {USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend e
           WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for schema, name, role, remark, attributes, tables in sections["composites"] or ():
        found = Composite(
            Name(schema, name),
            [
                Attribute(
                    Exact(attribute),
                    Exact(type_),
                    collation=collation and Name(*collation),
                    comment=about,
                )
                for attribute, type_, collation, about in attributes or ()
            ],
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[found.key()] = found
        if tables:
            details = CompositeDetails(tuple(Name(*table) for table in tables))
            catalog.details[found.key()] = details
