"""Extended statistics: CREATE STATISTICS, ALTER STATISTICS, DROP STATISTICS.

https://www.postgresql.org/docs/current/sql-createstatistics.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import partial
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Mode, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, optional_identifier, optional_name, parse_name, quoted
from ...syntax.parse import Reference, declared_references
from ...syntax.paths import SearchPath
from ..indexes.elements import Element, expression_template, name_any
from ..kind import Object, Row, comment, either, owner, owner_references, schema_of
from .known_columns import check_columns

_KINDS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}


def _kinds(kinds: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if kinds is None:
        return None
    few = given.some("kinds", kinds, "name them, or leave it out for all")
    found = tuple(sorted({given.word("a kind", one, _KINDS.values()) for one in few}))
    # All of them are the default.
    return found if len(found) < len(_KINDS) else None


def _elements(on: str | Iterable[str | Element]) -> tuple[Element, ...]:
    elements = tuple(map(Element.parse, given.several("on", on)))
    for one in elements:
        if one.collation or one.operator_class or one.descending or one.nulls_first:
            raise DeclarationError(f"statistics are on columns and expressions, not on {one}")
    return elements


@frozen
class StatisticsDetails:
    """What a catalog knows of statistics beside what may be declared."""

    target: int | None = None
    """How much ANALYZE gathers, where somebody has set that; it stays."""


@frozen
class Statistics(Object):
    """Extended statistics of a table."""

    kind: ClassVar[str] = "statistics"
    is_beside_its_table: ClassVar[bool] = True
    word: ClassVar[str] = "statistics"
    essence: ClassVar[str] = "on"

    name: Name = field(converter=parse_name)
    table: Name = field(converter=parse_name)
    on: tuple[Element, ...] = field(default=(), converter=_elements)
    kinds: tuple[str, ...] | None = field(default=None, converter=_kinds, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def goes_with(self, table: Name, columns: Set[str]) -> bool:
        return table == self.table and name_any(columns, self.on, [])

    def lines(self) -> Iterator[str]:
        yield f"on {', '.join(map(str, self.on))} of {self.table}"
        if self.kinds:
            yield f"({', '.join(self.kinds)})"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield Reference("table", self.table)
        yield from owner_references(self.owner)
        yield from declared_references(*(one.expression for one in self.on))

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if not self.on:
            raise DeclarationError("it does not exist: declare what it is on")
        return self

    def readings(self, current: Self | None) -> Iterator[Reading]:
        for one in self.on:
            yield Reading(expression_template(self.table), one.expression, self.table)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        template = expression_template(self.table)
        found = []
        for one in self.on:
            # Every expression is compared with every other: their order means nothing.
            equal = None
            if one.expression is not None:
                texts = [other.expression for other in current.on if other.expression is not None]
                equal = same.first(texts, partial(same, template, one.expression, on=self.table))
            found.append(one if equal is None else one._replace(expression=equal))
        matches = sorted(map(str, found)) == sorted(map(str, current.on))
        return evolve(
            self,
            on=current.on if matches or not self.on else found,
            kinds=self.kinds if self.on else current.kinds,
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def check_columns(self, catalog: Forecast) -> None:
        named, texts = [one.column for one in self.on], [one.expression for one in self.on]
        check_columns(self.table, catalog, named, texts)

    def facts(
        self,
        current: Statistics | None,
        target: Statistics | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> StatisticsDetails | None:
        return catalog.details_of(current, StatisticsDetails) if current else None

    @staticmethod
    def diff(
        current: Statistics | None,
        declared: Statistics | None,
        details: StatisticsDetails | None = None,
    ) -> Iterator[Statement]:
        """CREATE, make anew or DROP statistics; ANALYZE fills them."""
        if declared is None:
            assert current
            yield Statement(f"DROP STATISTICS {current.name}", locks=_lock(current))
            return
        target = f"STATISTICS {declared.name}"
        if current and evolve(current, owner=declared.owner, comment=declared.comment) != declared:
            yield Statement(f"DROP {target}", locks=_lock(current))
            current = None
        if current is None:
            kinds = f" ({', '.join(declared.kinds)})" if declared.kinds else ""
            on = ", ".join(map(str, declared.on))
            create = f"CREATE {target}{kinds} ON {on} FROM {declared.table}"
            path = SearchPath.of(*(one.expression for one in declared.on))
            yield Statement(create, path=path, locks=_lock(declared))
            if details and details.target is not None:
                yield Statement(f"ALTER {target} SET STATISTICS {details.target}")
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _lock(statistics: Statistics) -> Lock:
    return Lock(statistics.table, Mode.SHARE_UPDATE_EXCLUSIVE, only=True)


QUERIES = {
    "statistics": f"""
        SELECT json_build_array(n.nspname, s.stxname, s.stxrelid::regclass, s.stxkeys::int2[],
                 s.stxkind::text[], to_json(pg_get_statisticsobjdef_expressions(s.oid)),
                 s.stxowner::regrole, d.description, nullif(s.stxstattarget, -1))
          FROM pg_namespace n JOIN pg_statistic_ext s ON s.stxnamespace = n.oid
          LEFT JOIN pg_description d
            ON d.objoid = s.oid AND d.classoid = 'pg_statistic_ext'::regclass
         WHERE {USER_SCHEMA}"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for schema, name, table, keys, kinds, texts, role, remark, target in (
        sections["statistics"] or ()
    ):
        columns = [_element(column=catalog.columns[table][key]) for key in keys]
        found = Statistics(
            Name(schema, name),
            catalog.relations[table],
            [*columns, *(_element(text=Exact(text)) for text in texts or ())],
            # Those of a single expression have none.
            kinds=[_KINDS[letter] for letter in kinds if letter in _KINDS] or None,
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[found.key()] = found
        if target is not None:
            catalog.details[found.key()] = StatisticsDetails(target)


def _element(column: str | None = None, text: str | None = None) -> Element:
    return Element(column, text, (), None, False, False)
