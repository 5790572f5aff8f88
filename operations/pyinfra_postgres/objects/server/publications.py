"""Publications: CREATE PUBLICATION, ALTER PUBLICATION, DROP PUBLICATION.

https://www.postgresql.org/docs/current/sql-createpublication.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import create_on_database, rights_of
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Mode, Need, Statement
from ...syntax import given
from ...syntax.fragments import Rule
from ...syntax.names import (
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
from ...syntax.parse import (
    Reference,
    closed,
    closing,
    column_names,
    declared_references,
    expression,
    relation_name,
    schema_reference,
    tokens,
    tree,
)
from ...syntax.paths import SearchPath
from ..dependent import DependentPart
from ..dependents_query import OF_TABLE
from ..indexes.elements import condition_template
from ..kind import Object, Row, comment, either, owner, owner_references
from ..tables.known_columns import check_columns

_PUBLISHED = ("insert", "update", "delete", "truncate")
_GENERATED = ("none", "stored")
_TABLE = Rule(
    "published table",
    "CREATE PUBLICATION p FOR TABLE {}",
    "t",
    "pubobjects",
    "it as in SQL, like orders (id, total) WHERE (total > 0)",
)
_REFUSALS = frozenset({"0A000", "22023", "42P10", "42710", "42P17"})
"""The SQLSTATEs of what PostgreSQL does not publish, whatever else a plan brings."""


class Published(NamedTuple):
    """A table of a publication."""

    table: Name
    columns: tuple[str, ...] | None
    """The columns that are published; None for all, also those to come."""
    where: str | None
    """Which rows are."""
    only: bool = False
    """Whether it is published without the tables that inherit from it."""

    @staticmethod
    def parse(text: str | Published) -> Published:
        """Read `orders (id, total) WHERE (total > 0)`."""
        return text if isinstance(text, Published) else _parsed(given.text("a table", text))

    def __str__(self) -> str:
        columns = f" ({listed(self.columns)})" if self.columns is not None else ""
        where = f" WHERE ({closed(self.where)})" if self.where is not None else ""
        return f"{self.table}{columns}{where}"

    def aligned(self, current: Published | None, same: Same) -> Published:
        """Itself, with what equals the stored one written as it is there."""
        if current is None:
            return self
        changes: dict[str, Any] = {}
        # Their order means nothing.
        if self.columns and current.columns and set(self.columns) == set(current.columns):
            changes["columns"] = current.columns
        if same(condition_template(self.table), self.where, current.where, self.table):
            changes["where"] = current.where
        return self._replace(**changes)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Published:
    match _TABLE.read(text)["CreatePublicationStmt"]["pubobjects"]:
        case [{"PublicationObjSpec": {"pubtable": node}}]:
            pass
        case _:
            raise DeclarationError(f"{given.shown(text)} is more than a table: give each by itself")
    columns = tuple(Exact(one["String"]["sval"]) for one in node.get("columns", ()))
    where = None
    if "whereClause" in node:
        found = tokens(text)
        at = next(place for place, one in enumerate(found) if one.text == "where") + 1
        where = expression(text[found[at].end : found[closing(found, at)].start])
    relation = node["relation"]
    return Published(relation_name(relation), columns or None, where, not relation.get("inh"))


def _tables(tables: str | Published | Iterable[str | Published]) -> tuple[Published, ...]:
    found = tuple(map(Published.parse, given.several("tables", tables, (str, Published))))
    names = [one.table for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DeclarationError(f"the table {twice} is declared twice")
    return tuple(sorted(found, key=lambda one: one.table))


def _schemas(schemas: str | Iterable[str]) -> tuple[Exact, ...]:
    return tuple(sorted(set(identifiers(schemas))))


def _publish(words: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    found = {given.word("publish", one, _PUBLISHED) for one in given.several("publish", words)}
    return tuple(one for one in _PUBLISHED if one in found)


def _generated(text: str | None) -> str | None:
    return None if text is None else given.word("publish_generated_columns", text, _GENERATED)


@frozen
class Publication(Object):
    """A publication: the tables whose changes others may subscribe to."""

    kind: ClassVar[str] = "publication"
    essence: ClassVar[str] = "tables"

    name: Exact = field(converter=identifier)
    tables: tuple[Published, ...] = field(default=(), converter=_tables)
    schemas: tuple[Exact, ...] = field(default=(), converter=_schemas, kw_only=True)
    all_tables: bool = field(default=False, kw_only=True)
    publish: tuple[str, ...] | None = field(default=None, converter=_publish, kw_only=True)
    publish_via_partition_root: bool | None = field(default=None, kw_only=True)
    publish_generated_columns: str | None = field(default=None, converter=_generated, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.all_tables and (self.tables or self.schemas):
            raise DeclarationError(f"{self.title}: all tables are published: name no others")
        for one in self.tables if self.schemas else ():
            if one.columns is not None:
                raise DeclarationError(
                    f"{self.title}: PostgreSQL publishes columns of {one.table} only where no "
                    "schema is published: leave schemas= out, or the columns"
                )

    def key(self) -> Key:
        return (self.kind, self.name)

    @property
    def address(self) -> str:
        return f"PUBLICATION {quoted(self.name)}"

    @property
    def is_beside(self) -> bool:
        return not (self.tables or self.schemas or self.all_tables)

    def lines(self) -> Iterator[str]:
        if self.all_tables:
            yield "all tables"
        for table in self.tables:
            yield f"table {table}"
        for schema in self.schemas:
            yield f"tables in schema {quoted(schema)}"
        for name, value in _options(self):
            yield f"{name} = {value}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from owner_references(self.owner)
        for schema in self.schemas:
            yield schema_reference(schema)
        for one in self.tables:
            yield Reference("table", one.table)
            yield from declared_references(one.where)

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        found: Self | None = catalog.objects.get(self.key())
        if found is None:
            return None
        # A table or schema that the plan drops goes from it by itself.
        tables = [one for one in found.tables if catalog.has(Reference("table", one.table))]
        schemas = [one for one in found.schemas if catalog.has(schema_reference(one))]
        return evolve(found, tables=tables, schemas=schemas)

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        self._check(catalog)
        return evolve(self, tables=self._with_heirs(catalog))

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        self._check(catalog)
        if self.all_tables != current.all_tables:
            now, then = ("all tables", "some of them")[:: 1 if current.all_tables else -1]
            raise DeclarationError(
                f"it publishes {now} and is declared to publish {then}: PostgreSQL can't change "
                "that; remove it in a run before, or declare another publication"
            )
        known = {one.table: one for one in current.tables}
        tables = self._with_heirs(catalog)
        return evolve(
            self,
            tables=[one.aligned(known.get(one.table), same) for one in tables],
            publish=either(self.publish, current.publish),
            publish_via_partition_root=either(
                self.publish_via_partition_root, current.publish_via_partition_root
            ),
            publish_generated_columns=either(
                self.publish_generated_columns, current.publish_generated_columns
            ),
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def _check(self, catalog: Forecast) -> None:
        """Raise DeclarationError where the server can't have it."""
        if self.is_beside:
            raise DeclarationError("it does not exist: declare what it publishes")
        if self.publish_generated_columns and catalog.version < 180000:
            raise DeclarationError("publish_generated_columns= needs PostgreSQL 18")

    def _with_heirs(self, catalog: Forecast) -> list[Published]:
        """The tables, with those that inherit from them, as PostgreSQL takes them in."""
        found = {one.table: one for one in self.tables}
        waiting = [one for one in self.tables if not one.only]
        while waiting:
            one = waiting.pop()
            for printed in catalog.heirs.get(catalog.printed.get(one.table, ""), ()):
                heir = one._replace(table=catalog.relations[printed])
                if heir.table not in found:
                    found[heir.table] = heir
                    waiting.append(heir)
        return [one._replace(only=False) for one in found.values()]

    def facts(
        self,
        current: Publication | None,
        target: Publication | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> None:
        if ask is None or target is None:
            return
        beside = current and evolve(target, owner=current.owner, comment=current.comment)
        if current is None or beside != current:
            target._try(catalog, ask)

    def _try(self, catalog: Forecast, ask: Ask) -> None:
        """Raise DeclarationError with what PostgreSQL has against one of these tables."""
        there = [one for one in self.tables if one.table not in catalog.created]
        probe = evolve(self, name=Exact("pyinfra_postgres_probe"), tables=there)
        created = next(iter(self.diff(None, probe)))
        failure = ask.attempt([created.path.local, created.sql]).failure if there else None
        if failure and failure.sqlstate in _REFUSALS:
            detail = f". {failure.detail.rstrip('.')}" if failure.detail else ""
            raise DeclarationError(f"PostgreSQL refuses it: {failure}{detail}")

    def uses(self, table: Name, columns: Set[str]) -> bool:
        for one in self.tables:
            texts = [] if one.where is None else column_names(tree(one.where))
            if one.table == table and not columns.isdisjoint({*(one.columns or ()), *texts}):
                return True
        return False

    def readings(self, current: Self | None) -> Iterator[Reading]:
        for one in self.tables:
            yield Reading(condition_template(one.table), one.where, one.table)

    def check_columns(self, catalog: Forecast) -> None:
        for one in self.tables:
            check_columns(one.table, catalog, one.columns or (), [one.where])

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        rights = catalog.rights
        if current is None:
            yield from create_on_database(catalog)
        yield from super().needs(current, target, catalog)
        known = {one.table for one in current.tables} if current else set()
        for one in target.tables if target else ():
            acl = catalog.acls.get(("TABLE", *one.table))
            if one.table not in known:
                who = acl.owner if acl else None
                yield from rights_of(who, catalog, f", who owns {one.table}")
        added = set(target.schemas) - set(current.schemas if current else ()) if target else ()
        if not rights.superuser and target and (added or (target.all_tables and not current)):
            remedy = "name the tables, or run as a superuser"
            yield Need(rights.role, "a superuser's rights to publish tables to come", remedy)

    @staticmethod
    def diff(current: Publication | None, declared: Publication | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a publication."""
        if declared is None:
            assert current
            yield Statement(f"DROP {current.address}")
            return
        target = declared.address
        options = [one for one in _options(declared) if not current or one not in _options(current)]
        given = ", ".join(f"{name} = {value}" for name, value in options)
        if current is None:
            what = " FOR ALL TABLES" if declared.all_tables else f" FOR {_listed(declared)}"
            end = f" WITH ({given})" if given else ""
            yield _changing(f"CREATE {target}{what}{end}", declared)
        else:
            gone, new = _beyond(current, declared), _beyond(declared, current)
            if gone.tables or gone.schemas:
                yield _changing(f"ALTER {target} DROP {_listed(gone, 'DROP')}", gone)
            # What the options do not allow is out by now, and what they allow is not yet in.
            if given:
                yield Statement(f"ALTER {target} SET ({given})")
            if new.tables or new.schemas:
                yield _changing(f"ALTER {target} ADD {_listed(new)}", new)
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _options(one: Publication) -> list[tuple[str, str]]:
    found = []
    if one.publish is not None:
        found.append(("publish", literal(", ".join(one.publish))))
    if one.publish_via_partition_root is not None:
        value = "true" if one.publish_via_partition_root else "false"
        found.append(("publish_via_partition_root", value))
    if one.publish_generated_columns is not None:
        found.append(("publish_generated_columns", one.publish_generated_columns))
    return found


def _beyond(one: Publication, other: Publication) -> Publication:
    """What one of two publishes, and the other does not, or otherwise."""
    return Publication(
        one.name,
        [each for each in one.tables if each not in other.tables],
        schemas=[each for each in one.schemas if each not in other.schemas],
    )


def _listed(one: Publication, word: str = "ADD") -> str:
    # Those that inherit are among them.
    tables = [f"TABLE ONLY {each if word == 'ADD' else each.table}" for each in one.tables]
    schemas = [f"TABLES IN SCHEMA {quoted(each)}" for each in one.schemas]
    return ", ".join([*tables, *schemas])


def _changing(sql: str, about: Publication) -> Statement:
    """The statement with the tables that it locks."""
    locks = tuple(Lock(one.table, Mode.SHARE_UPDATE_EXCLUSIVE, only=True) for one in about.tables)
    path = SearchPath.of(*(one.where for one in about.tables))
    return Statement(sql, path=path, locks=locks)


QUERIES = {
    "publications": """
        SELECT json_build_array(p.pubname, p.puballtables, p.pubowner::regrole, d.description,
                 ARRAY[p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate], p.pubviaroot,
                 to_jsonb(p) ->> 'pubgencols',
                 -- What is locked against readers has its name alone.
                 (SELECT json_agg(json_build_array(r.prrelid::regclass::text,
                           (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                             WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs::int2[])),
                           CASE WHEN c.oid IS NOT NULL THEN pg_get_expr(r.prqual, c.oid) END)
                         ORDER BY r.prrelid::regclass::text)
                    FROM pg_publication_rel r LEFT JOIN pg_class c ON c.oid = r.prrelid
                   WHERE r.prpubid = p.oid),
                 (SELECT json_agg(n.nspname ORDER BY n.nspname) FROM pg_publication_namespace s
                    JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid))
          FROM pg_publication p LEFT JOIN pg_description d
            ON d.objoid = p.oid AND d.classoid = 'pg_publication'::regclass
         WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_publication'::regclass
                              AND e.objid = p.oid AND e.deptype = 'e')"""
}
_STORED_GENERATED = {"n": "none", "s": "stored"}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for name, every, role, remark, flags, root, generated, tables, schemas in (
        sections["publications"] or ()
    ):
        found = Publication(
            Exact(name),
            [
                Published(
                    parse_name(table),
                    columns and tuple(map(Exact, columns)),
                    None if where is None else Exact(where),
                )
                for table, columns, where in tables or ()
            ],
            schemas=[Exact(schema) for schema in schemas or ()],
            all_tables=every,
            publish=[word for word, flag in zip(_PUBLISHED, flags, strict=True) if flag],
            publish_via_partition_root=root,
            publish_generated_columns=_STORED_GENERATED.get(generated),
            owner=catalog.roles[role],
            comment=remark,
        )
        catalog.objects[found.key()] = found


_PUBLICATION = f"""
    SELECT json_build_array(node.id, 'publication', node.title, node.needs,
             json_build_array('publication', b.pubname), NULL, NULL, NULL, NULL, 'not made anew',
             json_build_array(n.nspname, c.relname))
      FROM node JOIN pg_publication_rel p ON p.oid = node.objid {OF_TABLE.format("p.prrelid")}
      JOIN pg_publication b ON b.oid = p.prpubid
     WHERE node.classid = 'pg_publication_rel'::regclass"""


class DependentPublication(DependentPart):
    """A publication that depends on columns of a table."""

    kind = Publication.kind
    section = _PUBLICATION
    keeps_columns = True
