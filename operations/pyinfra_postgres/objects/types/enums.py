"""Enum types: CREATE TYPE ... AS ENUM, ALTER TYPE ... ADD VALUE, DROP TYPE.

PostgreSQL removes and reorders no labels: then the type is made anew, see `enum_rebuild`.
https://www.postgresql.org/docs/current/datatype-enum.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog import renames
from ...catalog.catalog import Declared, Forecast
from ...catalog.entry import Key
from ...catalog.renames import Rename
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.order import as_found, label_of, whole
from ...plan.plan import Statement
from ...syntax import given
from ...syntax.acl import Acl
from ...syntax.names import (
    MAX_BYTES,
    Exact,
    Name,
    literal,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
)
from ...syntax.parse import Reference
from ..dependents import of_type
from ..kind import Object, Row, SubObject, comment, either, owner, owner_references, schema_of
from .enum_rebuild import Rebuild


def _labels(labels: Iterable[str]) -> tuple[str, ...]:
    found = given.several("labels", labels)
    for label in found:
        if not given.text("a label", label) or len(label.encode()) > MAX_BYTES:
            raise given.refused("a label", f"1 to {MAX_BYTES} bytes long", label)
    if len(set(found)) < len(found):
        twice = next(label for label in found if found.count(label) > 1)
        raise DeclarationError(f"the label {twice!r} is declared twice")
    return found


def _replaced(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {old: given.text("a label", new) for old, new in given.pairs("labels", labels).items()}


@frozen
class Enum(Object):
    """An enum type and its labels in order."""

    kind: ClassVar[str] = "enum"
    word: ClassVar[str] = "types"
    acl: ClassVar[str] = "TYPE"
    holds: ClassVar[tuple[str, ...]] = ("labels",)
    gives_meaning: ClassVar[bool] = True

    name: Name = field(converter=parse_name)
    labels: tuple[str, ...] = field(default=(), converter=_labels)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    exact: bool = field(default=False, eq=False, kw_only=True)
    replaced: dict[str, str] = field(default=None, converter=_replaced, eq=False, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)
    renamed: dict[str, str] = field(default=None, converter=_replaced, eq=False, kw_only=True)
    """The labels that had other names: the former name, and the label."""

    def __attrs_post_init__(self) -> None:
        for old, new in self.replaced.items():
            if old in self.labels or new not in self.labels:
                raise DeclarationError(
                    f"replaced has a label that goes, and one that stays: not {old!r}: {new!r}"
                )
        for old, new in self.renamed.items():
            if old in self.labels or new not in self.labels:
                raise DeclarationError(
                    f"renamed has a former label, and the one that it is now: not {old!r}: {new!r}"
                )

    def validate(self, present: bool) -> None:
        if present and self.exact and not self.labels:
            raise DeclarationError(f"{self.title}: exact= needs its labels: without, all would go")

    @property
    def address(self) -> str:
        return f"TYPE {self.name}"

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        yield from Object.renames(self, catalog)
        for old, new in self.renamed.items():
            yield renames.label(self, old, new)

    def names(self) -> Iterator[Key]:
        yield self.key()
        for label in self.labels:
            yield ("label", *self.name, label)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def lines(self) -> Iterator[str]:
        yield from self.labels
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def order(self) -> tuple[str, ...]:
        return self.labels

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)

    def provides(self) -> Iterator[Reference]:
        yield Reference("type", self.name)

    @property
    def is_whole(self) -> bool:
        return bool(self.labels)

    def undeclared(self, known: Sequence[Declared]) -> Iterator[SubObject]:
        enums = [one.declaration for one in known if isinstance(one.declaration, Enum)]
        declared = {label for one in enums for label in one.labels}
        stay = [label for label in self.labels if label in declared]
        replaced = {old: new for one in enums for old, new in one.replaced.items()}
        removal = Enum(self.name, stay, exact=True, replaced=replaced)
        for label in self.labels:
            if label not in declared:
                yield SubObject("label", f"{self.name} {literal(label)}", "", removal)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            labels=self.labels if self.exact else self._with_others(current.labels),
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def _with_others(self, current: Sequence[str]) -> list[str]:
        """The labels, with those that are only there behind the ones that they follow."""
        labels = list(self.labels)
        place = 0
        for label in current:
            if label in labels:
                place = labels.index(label) + 1
            elif label not in self.replaced:
                labels.insert(place, label)
                place += 1
        return labels

    def contradicts(self, other: Self) -> bool:
        return bool(self.labels and other.labels) and self.labels != other.labels

    def lessens(self, current: Self) -> bool:
        return bool(self.labels) and not _extends(current.labels, self.labels)

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_type(self.name, catalog, ask).users(self.name, catalog)

    def facts(
        self,
        current: Enum | None,
        target: Enum | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> Rebuild | None:
        if not (ask and current and target) or _extends(current.labels, target.labels):
            return None
        labels = current.labels, target.labels
        return Rebuild.of(target.name, *labels, target.replaced, catalog, ask)

    @staticmethod
    def diff(
        current: Enum | None, declared: Enum | None, rebuild: Rebuild | None = None
    ) -> Iterator[Statement]:
        """CREATE, extend, make anew or DROP an enum; labels are added where they are declared."""
        if declared is None:
            assert current
            yield Statement(f"DROP TYPE {current.name}")
            return
        target = f"TYPE {declared.name}"
        labels = ", ".join(literal(label) for label in declared.labels)
        created = Statement(f"CREATE {target} AS ENUM ({labels})")
        if current is None:
            yield created
        elif _extends(current.labels, declared.labels):
            yield from _added(current.labels, declared.labels, target)
        else:
            rebuild = rebuild or Rebuild(declared.name)
            anew = (
                *rebuild.cleared(),
                created,
                *owner(target, None, current),
                *comment(target, None, current),
                *rebuild.restored(),
            )
            frees = frozenset(map(as_found, [declared.key(), *rebuild.touched()]))
            takes = frozenset({whole(declared.key())})
            yield from (evolve(one, frees=frees, takes=takes) for one in anew)
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _extends(current: Sequence[str], declared: Sequence[str]) -> bool:
    """Whether labels have only to be added."""
    return [label for label in declared if label in current] == list(current)


def _added(current: Sequence[str], declared: Sequence[str], target: str) -> Iterator[Statement]:
    for index, label in enumerate(declared):
        if label in current:
            continue
        place = ""
        if index > 0:
            place = f" AFTER {literal(declared[index - 1])}"
        elif current:
            place = f" BEFORE {literal(current[0])}"
        yield Statement(
            # Repeated after a run that died in between, so it must not fail then.
            f"ALTER {target} ADD VALUE IF NOT EXISTS {literal(label)}{place}",
            gives=frozenset({label_of(label)}),
            has_to_commit=True,
        )


QUERIES = {
    # All types, since declarations refer to them; labels where the type is an enum.
    "types": f"""
        SELECT json_build_array(n.nspname, t.typname, t.typtype, t.typowner::regrole,
                 t.typacl::text, e.labels, d.description)
          FROM pg_namespace n JOIN pg_type t ON t.typnamespace = n.oid
          LEFT JOIN (SELECT enumtypid, json_agg(enumlabel ORDER BY enumsortorder) AS labels
                       FROM pg_enum GROUP BY enumtypid) e ON e.enumtypid = t.oid
          LEFT JOIN pg_class c ON c.oid = t.typrelid
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_type'::regclass
         WHERE {USER_SCHEMA} AND (c.oid IS NULL OR c.relkind = 'c')
           AND NOT (t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b')"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for schema, name, kind, owner_id, acl, labels, remark in sections["types"] or ():
        type_ = Name(schema, name)
        catalog.types.add(type_)
        catalog.acls["TYPE", *type_] = Acl.read(
            "TYPE", catalog.roles[owner_id], acl, catalog.version
        )
        if kind == "e":
            enum = Enum(type_, labels or (), owner=catalog.roles[owner_id], comment=remark)
            catalog.objects[enum.key()] = enum
