"""Indexes: CREATE INDEX, ALTER INDEX, DROP INDEX.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..arguments import Arguments
from ..catalog import USER_SCHEMA, Catalog
from ..converge import converge, declared
from ..errors import DeclarationError
from ..kind import Key, Object, Row, Same, comment, either
from ..names import (
    Exact,
    Name,
    identifier,
    identifiers,
    listed,
    literal,
    optional_identifier,
    parse_name,
    quoted,
)
from ..parse import (
    Reference,
    closed,
    declared_references,
    optional_expression,
    statement,
)
from ..plan import Hazard, Stage, Statement
from .elements import Element, aligned_element, class_schema_of, collation_of


def _elements(columns: str | Iterable[str | Element]) -> tuple[Element, ...]:
    return tuple(map(Element.parse, [columns] if isinstance(columns, str) else columns))


def _lower(text: str) -> str:
    return text.lower()


def _parameters(given: Mapping[str, object] | None) -> dict[str, str] | None:
    if given is None:
        return None
    return {name.lower(): _value(value) for name, value in sorted(given.items())}


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_SWITCHES = {"deduplicate_items", "fastupdate", "autosummarize"}
_ON, _OFF = {"on", "true", "yes", "t", "y"}, {"off", "false", "no", "f", "n"}


def _normal(name: str, value: str) -> object:
    """A storage parameter's value as PostgreSQL understands the text that it keeps."""
    word = value.strip().lower()
    if name in _SWITCHES:
        return True if word in _ON | {"1"} else False if word in _OFF | {"0"} else word
    try:
        return float(word)
    except ValueError:
        return word


@frozen
class Index(Object):
    """An index of a table that no constraint owns."""

    kind: ClassVar[str] = "index"
    essence: ClassVar[str] = "columns"

    name: Exact = field(converter=identifier)
    table: Name = field(converter=parse_name)
    columns: tuple[Element, ...] = field(default=(), converter=_elements)
    where: str | None = field(default=None, converter=optional_expression, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    method: str = field(default="btree", converter=_lower, kw_only=True)
    include: tuple[Exact, ...] = field(default=(), converter=identifiers, kw_only=True)
    nulls_not_distinct: bool = field(default=False, kw_only=True)
    parameters: dict[str, str] | None = field(default=None, converter=_parameters, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    valid: bool = field(default=True, kw_only=True)
    builder: int | None = field(default=None, eq=False, kw_only=True)
    """The process id of the session that is building it right now."""
    online: bool = field(default=False, eq=False, kw_only=True)
    """Whether it is built without blocking writers, outside the transaction."""
    partitioned: bool = field(default=False, eq=False, kw_only=True)
    """Whether its table is partitioned: PostgreSQL alters no parameters of such an index."""

    @property
    def address(self) -> str:
        return f"INDEX {_full(self)}"

    def key(self) -> Key:
        # An index is in its table's schema.
        return (self.kind, self.table.schema, self.name)

    def lines(self) -> Iterator[str]:
        yield self._definition()
        if not self.valid:
            yield "INVALID"
        if self.comment:
            yield f"comment {self.comment!r}"

    def _definition(self) -> str:
        parts = [self.method, f"({', '.join(map(str, self.columns))})"]
        if self.unique:
            parts.insert(0, "unique")
        if self.include:
            parts.append(f"INCLUDE ({listed(self.include)})")
        if self.nulls_not_distinct:
            parts.append("NULLS NOT DISTINCT")
        if self.parameters:
            parts.append(f"WITH ({', '.join(_settings(self.parameters))})")
        if self.where is not None:
            parts.append(f"WHERE ({self.where})")
        return " ".join(parts)

    def created(self, concurrently: bool) -> str:
        """The CREATE INDEX statement."""
        unique = "UNIQUE " if self.unique else ""
        how = "CONCURRENTLY " if concurrently else ""
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        where = f" WHERE ({closed(self.where)})" if self.where is not None else ""
        elements = ", ".join(map(str, self.columns))
        parameters = f" WITH ({', '.join(_settings(self.parameters))})" if self.parameters else ""
        return (
            f"CREATE {unique}INDEX {how}{quoted(self.name)} ON {self.table} "
            f"USING {self.method} ({elements}){include}{nulls}{parameters}{where}"
        )

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from declared_references(self.where, *(one.expression for one in self.columns))

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        if current.table != self.table:
            raise DeclarationError(f"an index of this name is on {current.table}")
        # All of it is compared, so that every expression is in one batch.
        elements = self.columns
        if len(elements) == len(current.columns):
            elements = tuple(
                aligned_element(one, other, same, self.table)
                for one, other in zip(elements, current.columns, strict=True)
            )
        predicate = f"SELECT 1 FROM ONLY {self.table} WHERE ({{}})"
        where = self.where
        if same(predicate, self.where, current.where, self.table):
            where = current.where
        return evolve(
            self,
            columns=elements,
            where=where,
            parameters=self._aligned_parameters(current),
            comment=either(self.comment, current.comment),
            online=_online(self.table, catalog),
            partitioned=catalog.relation_kinds.get(self.table) == "p",
        )

    def _aligned_parameters(self, current: Self) -> dict[str, str] | None:
        there = current.parameters or {}
        if self.parameters is None:
            return current.parameters
        return {
            name: there[name]
            if name in there and _normal(name, value) == _normal(name, there[name])
            else value
            for name, value in self.parameters.items()
        }

    def completed(self, catalog: Catalog) -> Self:
        if not self.columns:
            raise DeclarationError("it does not exist: declare its columns")
        return evolve(self, online=_online(self.table, catalog))

    @staticmethod
    def diff(current: Index | None, declared: Index | None) -> Iterator[Statement]:
        """CREATE, ALTER, replace or DROP an index; on a table with rows concurrently."""
        if declared is None:
            assert current
            yield Statement(f"DROP INDEX {_full(current)}", locks=current.table)
            return
        if current is None:
            yield _built(declared)
        elif _rebuilt(current, declared):
            yield from _replaced(current, declared)
            current = None
        else:
            yield from _set(current, declared)
        yield from (
            evolve(one, stage=Stage.AFTER if declared.online and current is None else one.stage)
            for one in comment(f"INDEX {_full(declared)}", current, declared)
        )


def _online(table: Name, catalog: Catalog) -> bool:
    # PostgreSQL builds no index of a partitioned table concurrently.
    return table in catalog.filled and catalog.relation_kinds.get(table) == "r"


def _settings(parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        yield f"{quoted(name)} = {literal(value)}"


def _rebuilt(current: Index, declared: Index) -> bool:
    """Whether it differs in what can't be altered."""
    kept = evolve(current, comment=declared.comment)
    if not declared.partitioned:
        kept = evolve(kept, parameters=declared.parameters)
    return kept != declared


def _set(current: Index, declared: Index) -> Iterator[Statement]:
    """Storage parameters are for what is written from now on; REINDEX applies them to the rest."""
    before, after = current.parameters or {}, declared.parameters or {}
    alter = f"ALTER INDEX {_full(declared)}"
    gone = [quoted(name) for name in before if name not in after]
    new = {name: value for name, value in after.items() if before.get(name) != value}
    if gone:
        yield Statement(f"{alter} RESET ({', '.join(gone)})", locks=current.table)
    if new:
        yield Statement(f"{alter} SET ({', '.join(_settings(new))})", locks=current.table)


def _full(index: Index) -> str:
    return str(Name(index.table.schema, index.name))


def _built(index: Index) -> Statement:
    if index.online:
        return Statement(
            index.created(concurrently=True),
            stage=Stage.AFTER,
            hazards=(Hazard.NOT_TRANSACTIONAL,),
        )
    return Statement(index.created(concurrently=False), locks=None)


def _replaced(current: Index, declared: Index) -> Iterator[Statement]:
    if current.builder:
        raise DeclarationError(
            f"session {current.builder} is building it right now: run again when it has ended"
        )
    if not declared.online:
        yield Statement(f"DROP INDEX {_full(current)}", locks=current.table)
        yield _built(declared)
        return
    yield Statement(
        f"DROP INDEX CONCURRENTLY IF EXISTS {_full(current)}",
        stage=Stage.AFTER,
        hazards=(Hazard.NOT_TRANSACTIONAL,),
    )
    yield _built(declared)


QUERIES = {
    "operator_classes": """
        SELECT json_build_array(o.oid::int8, o.opcname, o.opcdefault, n.nspname)
          FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace""",
    "index_collations": """
        SELECT json_build_array(co.oid::int8, co.collname) FROM pg_collation co
         WHERE co.oid IN (SELECT unnest(indcollation) FROM pg_index)""",
    "indexes": f"""
        SELECT json_build_array(i.indrelid::int8, c.relname, am.amname, i.indisunique,
                 i.indisvalid,
                 CASE WHEN i.indisunique THEN to_jsonb(i) -> 'indnullsnotdistinct' END,
                 i.indnkeyatts, i.indkey::text, i.indclass::text, i.indcollation::text,
                 i.indoption::text,
                 CASE WHEN i.indexprs IS NOT NULL
                      THEN (SELECT json_agg(pg_get_indexdef(i.indexrelid, place, false)
                                            ORDER BY place)
                              FROM generate_series(1, i.indnkeyatts) AS place) END,
                 pg_get_expr(i.indpred, i.indrelid),
                 -- Only the whole definition tells whether a collation was asked for.
                 CASE WHEN o.attrelid IS NOT NULL
                        OR i.indcollation::text !~ '^((0|100)( |$))*$'
                      THEN pg_get_indexdef(i.indexrelid) END,
                 CASE WHEN NOT i.indisvalid
                      THEN (SELECT min(b.pid) FROM pg_stat_progress_create_index b
                             WHERE b.index_relid = i.indexrelid) END,
                 c.reloptions, d.description)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am am ON am.oid = c.relam
          LEFT JOIN (SELECT DISTINCT attrelid FROM pg_attribute
                      WHERE attnum > 0 AND attcollation NOT IN (0, 100)) o
            ON o.attrelid = i.indrelid
          LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = 0
         WHERE {USER_SCHEMA}
           AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid
                             AND o.contype IN ('p', 'u', 'x'))""",
}


def read(sections: dict[str, list[Row]], catalog: Catalog) -> None:
    classes = {oid: tuple(names) for oid, *names in sections["operator_classes"]}
    collations = {oid: Exact(name) for oid, name in sections["index_collations"] or ()}
    for row in sections["indexes"] or ():
        table, name, method, unique, valid, nulls, count, *parts = row[:-5]
        where, definition, builder, parameters, remark = row[-5:]
        if table not in catalog.relations:
            continue
        keys, operator_classes, used, options = (list(map(int, one.split())) for one in parts[:4])
        expressions = parts[4]
        names = catalog.columns.get(table, {})
        asked = _collations(definition) if definition else [()] * count
        elements = [
            _stored(
                names.get(keys[place]),
                expressions[place] if keys[place] == 0 else None,
                asked[place],
                collations.get(used[place]),
                classes[operator_classes[place]],
                options[place],
            )
            for place in range(count)
        ]
        index = Index(
            Exact(name),
            catalog.relations[table],
            elements,
            where=None if where is None else Exact(where),
            unique=unique,
            method=method,
            include=[names[key] for key in keys[count:]],
            nulls_not_distinct=bool(nulls),
            parameters=dict(one.split("=", 1) for one in parameters or ()),
            comment=remark,
            valid=valid,
            builder=builder,
        )
        catalog.objects[index.key()] = index


def _collations(definition: str) -> list[tuple[str, ...]]:
    """The collation of each element of a CREATE INDEX statement."""
    elements = statement(definition)["IndexStmt"]["indexParams"]
    return [collation_of(element["IndexElem"]) for element in elements]


def _stored(
    column: str | None,
    text: str | None,
    collation: tuple[str, ...],
    used_collation: str | None,
    operator_class: tuple[Any, ...],
    options: int,
) -> Element:
    name, is_default, schema = operator_class
    return Element(
        column,
        text,
        collation,
        None if is_default else name,
        bool(options & 1),
        bool(options & 2),
        name if is_default else None,
        None if collation else used_collation,
        None if is_default else class_schema_of(schema),
    )


def index(
    index: str,
    table: str,
    columns: str | Iterable[str] = (),
    *,
    where: str | None = None,
    unique: bool = False,
    method: str = "btree",
    include: str | Iterable[str] = (),
    nulls_not_distinct: bool = False,
    parameters: Mapping[str, object] | None = None,
    comment: str | None = None,
    renamed_from: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare an index.

    + index: its name; it is in its table's schema
    + table: the table
    + columns: columns or expressions as in SQL, like `updated_at DESC` or `lower(email)`
    + where: the predicate of a partial index
    + unique: whether it is unique
    + method: the access method
    + include: further columns that it carries
    + nulls_not_distinct: whether a unique index treats nulls as equal
    + parameters: its storage parameters, like {"fillfactor": 70}; what is not given is left as it
      is, {} is PostgreSQL's defaults
    + comment: its comment, "" for none
    + renamed_from: its former name
    + present: whether it exists

    On a table with rows it is built concurrently after the transaction; one that an interrupted
    build left invalid is dropped and built again.

    **Example:**

    .. code:: python

        pg.index(
            "idx_sync_progress_active",
            "sync_progress",
            ["org_id", "updated_at DESC"],
            where="completed_at IS NULL",
        )
    """
    declaration = Index(
        index,
        table,
        columns,
        where=where,
        unique=unique,
        method=method,
        include=include,
        nulls_not_distinct=nulls_not_distinct,
        parameters=parameters,
        comment=comment,
        renamed_from=renamed_from,
    )
    return converge(**declared([declaration], present, arguments))
