"""Schemas: CREATE SCHEMA, ALTER SCHEMA, DROP SCHEMA.

https://www.postgresql.org/docs/current/sql-createschema.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import create_on_database
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Same
from ...plan.plan import Need, Statement
from ...syntax.acl import Acl
from ...syntax.names import Exact, Name, identifier, optional_identifier, quoted
from ...syntax.parse import Reference
from ..exact import Exactness, chosen
from ..kind import Object, Row, comment, either, owner, owner_references

_HOLDS = ("tables", "views", "functions", "types", "sequences", "grants")


def _exact(given: Exactness) -> frozenset[str]:
    return chosen(given, _HOLDS)


@frozen
class Schema(Object):
    """A schema."""

    kind: ClassVar[str] = "schema"
    is_ground: ClassVar[bool] = True
    locks_nothing: ClassVar[bool] = True
    acl: ClassVar[str] = "SCHEMA"
    holds: ClassVar[tuple[str, ...]] = _HOLDS

    name: Exact = field(converter=identifier)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    exact: frozenset[str] = field(default=False, converter=_exact, eq=False, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )

    def key(self) -> Key:
        return (self.kind, self.name)

    @property
    def address(self) -> str:
        return f"SCHEMA {quoted(self.name)}"

    def lines(self) -> Iterator[str]:
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        return owner_references(self.owner)

    def provides(self) -> Iterator[Reference]:
        yield Reference("schema", Name("", self.name))

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        if current is None or (target and target.owner != current.owner):
            yield from create_on_database(catalog)
        yield from super().needs(current, target, catalog)

    @staticmethod
    def diff(current: Schema | None, declared: Schema | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a schema; a schema that is not empty is not dropped."""
        if declared is None:
            assert current
            yield Statement(f"DROP SCHEMA {quoted(current.name)}")
            return
        target = f"SCHEMA {quoted(declared.name)}"
        if current is None:
            yield Statement(f"CREATE {target}")
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


QUERIES = {
    "schemas": f"""
        SELECT json_build_array(n.nspname, n.nspowner::regrole, n.nspacl::text, d.description)
          FROM pg_namespace n LEFT JOIN pg_description d
            ON d.objoid = n.oid AND d.classoid = 'pg_namespace'::regclass
         WHERE {USER_SCHEMA}"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for name, owner_id, acl, remark in sections["schemas"] or ():
        schema = Schema(Exact(name), owner=catalog.roles[owner_id], comment=remark)
        catalog.objects[schema.key()] = schema
        catalog.acls["SCHEMA", name] = Acl.read(
            "SCHEMA", catalog.roles[owner_id], acl, catalog.version
        )
