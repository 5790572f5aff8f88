"""Enum types: CREATE TYPE ... AS ENUM, ALTER TYPE ... ADD VALUE, RENAME VALUE, DROP TYPE.

https://www.postgresql.org/docs/current/datatype-enum.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Self

from attrs import evolve, field, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..acl import Acl
from ..arguments import Arguments
from ..catalog import USER_SCHEMA, Catalog
from ..converge import converge, declared
from ..errors import DeclarationError
from ..kind import Key, Object, Row, Same, comment, either, owner, owner_references, schema_of
from ..names import MAX_BYTES, Exact, Name, literal, optional_identifier, parse_name, quoted
from ..parse import Reference
from ..plan import Statement


def _labels(labels: Iterable[str]) -> tuple[str, ...]:
    found = (labels,) if isinstance(labels, str) else tuple(labels)
    for label in found:
        if not label or len(label.encode()) > MAX_BYTES:
            raise DeclarationError(f"the label {label!r} must have 1 to {MAX_BYTES} bytes")
    if len(set(found)) < len(found):
        twice = next(label for label in found if found.count(label) > 1)
        raise DeclarationError(f"the label {twice!r} is declared twice")
    return found


@frozen
class Enum(Object):
    """An enum type and its labels in order."""

    kind: ClassVar[str] = "enum"
    acl: ClassVar[str] = "TYPE"

    name: Name = field(converter=parse_name)
    labels: tuple[str, ...] = field(default=(), converter=_labels)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def lines(self) -> Iterator[str]:
        yield from self.labels
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)

    def provides(self) -> Iterator[Reference]:
        yield Reference("type", self.name)

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        return evolve(
            self,
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    @staticmethod
    def diff(current: Enum | None, declared: Enum | None) -> Iterator[Statement]:
        """CREATE, extend or DROP an enum; labels are added where they are declared.

        Raises DeclarationError where labels would have to be removed or reordered.
        """
        if declared is None:
            assert current
            yield Statement(f"DROP TYPE {current.name}")
            return
        target = f"TYPE {declared.name}"
        if current is None:
            labels = ", ".join(literal(label) for label in declared.labels)
            yield Statement(f"CREATE {target} AS ENUM ({labels})")
        else:
            yield from _added(current.labels, declared.labels, target)
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _added(current: Sequence[str], declared: Sequence[str], target: str) -> Iterator[Statement]:
    kept = [label for label in declared if label in current]
    if kept != list(current):
        removed = [label for label in current if label not in declared]
        what = f"removed: {', '.join(removed)}" if removed else "in another order"
        raise DeclarationError(
            f"it has the labels {', '.join(current)}; PostgreSQL adds labels but does not remove "
            f"or reorder them ({what})"
        )
    for index, label in enumerate(declared):
        if label in current:
            continue
        place = ""
        if index > 0:
            place = f" AFTER {literal(declared[index - 1])}"
        elif current:
            place = f" BEFORE {literal(current[0])}"
        text = literal(label)
        # Repeated after a run that died in between, so it must not fail then.
        yield Statement(f"ALTER {target} ADD VALUE IF NOT EXISTS {text}{place}", publishes=text)


QUERIES = {
    # All types, since declarations refer to them; labels where the type is an enum.
    "types": f"""
        SELECT json_build_array(n.nspname, t.typname, t.typtype, t.typowner::int8, t.typacl::text,
                 e.labels, d.description)
          FROM pg_namespace n JOIN pg_type t ON t.typnamespace = n.oid
          LEFT JOIN (SELECT enumtypid, json_agg(enumlabel ORDER BY enumsortorder) AS labels
                       FROM pg_enum GROUP BY enumtypid) e ON e.enumtypid = t.oid
          LEFT JOIN pg_class c ON c.oid = t.typrelid
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_type'::regclass
         WHERE {USER_SCHEMA} AND (c.oid IS NULL OR c.relkind = 'c')
           AND NOT (t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b')"""
}


def read(sections: dict[str, list[Row]], catalog: Catalog) -> None:
    for schema, name, kind, owner_id, acl, labels, remark in sections["types"] or ():
        type_ = Name(schema, name)
        catalog.types.add(type_)
        catalog.acls["TYPE", *type_] = Acl.read(
            "TYPE", catalog.roles[owner_id], acl, catalog.version
        )
        if kind == "e":
            enum = Enum(type_, labels or (), owner=catalog.roles[owner_id], comment=remark)
            catalog.objects[enum.key()] = enum


def enum(
    enum: str,
    labels: Sequence[str] = (),
    *,
    owner: str | None = None,
    comment: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an enum type.

    + enum: its name
    + labels: its labels in order; new ones are added where they stand
    + owner: its owner
    + comment: its comment, "" for none
    + present: whether it exists; a type that anything uses is not removed

    A new label can be used only once it is committed. Where the same run uses it, it is committed
    before the transaction.

    **Example:**

    .. code:: python

        pg.enum("sync_type", ["woocommerce", "odoo", "shopify", "custom"])
    """
    return converge(
        **declared([Enum(enum, labels, owner=owner, comment=comment)], present, arguments)
    )
