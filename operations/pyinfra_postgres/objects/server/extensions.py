"""Extensions: CREATE EXTENSION, ALTER EXTENSION, DROP EXTENSION.

https://www.postgresql.org/docs/current/sql-createextension.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self, cast

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import create_on_database
from ...catalog.platforms import installer_of
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Need, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, check_length, literal, optional_identifier, quoted
from ...syntax.parse import Reference, schema_reference
from ...syntax.paths import SearchPath
from ..kind import Object, Row, comment, either


def _name(text: str) -> Exact:
    # Extensions have names like uuid-ossp, which SQL would need in quotes: it is taken as it is.
    check_length(given.text("the name of an extension", text))
    return Exact(text)


def _version(text: str | None) -> str | None:
    return None if text is None else given.filled("version", text)


@frozen
class Extension(Object):
    """An extension."""

    kind: ClassVar[str] = "extension"
    opens: ClassVar[bool] = True

    name: Exact = field(converter=_name)
    schema: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    version: str | None = field(default=None, converter=_version, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)

    def key(self) -> Key:
        return (self.kind, self.name)

    def lines(self) -> Iterator[str]:
        if self.schema:
            yield f"schema {quoted(self.schema)}"
        if self.version:
            yield f"version {self.version}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        if self.schema:
            yield schema_reference(self.schema)

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        found = catalog.objects.get(self.key())
        if found is None:
            ((available, untrusted),) = ask(
                "SELECT json_build_array(count(*), bool_and(superuser AND NOT trusted)) "
                f"FROM pg_available_extension_versions WHERE name = {literal(str(self.name))}"
            )
            if not available:
                catalog.unavailable.add(self.name)
            elif untrusted:
                catalog.untrusted.add(self.name)
        return cast(Self | None, found)

    def validate(self, present: bool) -> None:
        if not present and (platform := installer_of(self.name)):
            raise DeclarationError(f"{self.title} belongs to {platform}: leave it as it is")

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if self.name in catalog.unavailable:
            raise DeclarationError("this server does not have it: install its package there")
        if platform := installer_of(self.name):
            raise DeclarationError(f"it is not there, and {platform} alone installs it")
        return self

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        return evolve(
            self,
            schema=either(self.schema, current.schema),
            version=either(self.version, current.version),
            comment=either(self.comment, current.comment),
        )

    def facts(
        self,
        current: Extension | None,
        target: Extension | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> None:
        if ask and target and current is None:
            target._check_available(ask)
        elif ask and target and current:
            target._check_changes(current, ask)

    def _check_changes(self, current: Self, ask: Ask) -> None:
        """Raise DeclarationError where the server has no way to what is declared."""
        name = literal(str(self.name))
        if self.version != current.version:
            before, after = literal(current.version or ""), literal(self.version or "")
            found = ask(
                f"SELECT to_json(path) FROM pg_extension_update_paths({name}) "
                f"WHERE source = {before} AND target = {after} AND path IS NOT NULL"
            )
            if not found:
                raise DeclarationError(
                    f"this server has no update of it from version {current.version} to "
                    f"{self.version}: pg_extension_update_paths({name}) lists those that it has"
                )
        if self.schema and self.schema != current.schema:
            # It may be another one with the version that it gets.
            found = ask(
                "SELECT to_json(relocatable) FROM pg_available_extension_versions "
                f"WHERE name = {name} AND version = {literal(self.version or '')} AND relocatable"
            )
            if not found:
                raise DeclarationError(
                    f"it stays in schema {quoted(current.schema or '')}: its control file does not "
                    "say that it is relocatable"
                )
            moved = f"ALTER EXTENSION {quoted(self.name)} SET SCHEMA {quoted(self.schema)}"
            failure = ask.attempt([moved]).failure
            if failure and failure.sqlstate in _TAKEN:
                raise DeclarationError(f"{moved} fails: {failure}")

    def _check_available(self, ask: Ask) -> None:
        """Raise DeclarationError where the server has no such extension."""
        found = ask(
            "SELECT json_build_array(version, schema) FROM pg_available_extension_versions "
            f"WHERE name = {literal(str(self.name))}"
        )
        if self.version and self.version not in [version for version, _ in found]:
            known = ", ".join(sorted(version for version, _ in found))
            raise DeclarationError(f"this server has no version {self.version} of it: {known}")
        fixed = {schema for version, schema in found if self.version in {None, version}} - {None}
        if self.schema and len(fixed) == 1 and self.schema not in fixed:
            raise DeclarationError(f"its control file puts it into schema {quoted(fixed.pop())}")

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        # The server does not know of what the plan has changed.
        changed = {str(Name(key[1], key[2])) if len(key) > 2 else key[1] for key in catalog.changed}
        found = ask.renamed(_USERS.format(literal(str(self.name))))
        return [title for title, whole in found if whole not in changed]

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        catalog.put(self)
        if current is None:
            catalog.extended.add(self.schema or "public")

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        rights = catalog.rights
        if current is None and self.name in catalog.untrusted and not rights.is_privileged:
            remedy = f"have a superuser run CREATE EXTENSION {quoted(self.name)}"
            yield Need(rights.role, "a superuser's rights, as it is not trusted", remedy)
        elif current is None:
            yield from create_on_database(catalog)

    @staticmethod
    def diff(current: Extension | None, declared: Extension | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP an extension; one that anything uses is not dropped."""
        if declared is None:
            assert current
            yield Statement(f"DROP EXTENSION {quoted(current.name)}")
            return
        target = f"EXTENSION {quoted(declared.name)}"
        if current is None:
            where = f" SCHEMA {quoted(declared.schema)}" if declared.schema else ""
            version = f" VERSION {literal(declared.version)}" if declared.version else ""
            # Where no schema is declared, and for what it needs itself, it is the path's first.
            sql = f"CREATE {target}{where}{version} CASCADE"
            yield Statement(sql, path=SearchPath.USERS)
        else:
            if declared.version != current.version:
                yield Statement(f"ALTER {target} UPDATE TO {literal(declared.version)}")
            if declared.schema and declared.schema != current.schema:
                yield Statement(f"ALTER {target} SET SCHEMA {quoted(declared.schema)}")
        yield from comment(target, current, declared)


_TAKEN = frozenset({"42710", "42723", "42P07"})
"""The SQLSTATEs where a schema has something of the name already."""
# Who uses what goes with an extension: the title, and the name of the relation, function or type.
_USERS = """
    WITH RECURSIVE own(classid, objid) AS (
        SELECT 'pg_extension'::regclass::oid, oid FROM pg_extension WHERE extname = {}
      UNION
        SELECT d.classid, d.objid FROM own JOIN pg_depend d
            ON (d.refclassid, d.refobjid) = (own.classid, own.objid)
         WHERE d.deptype IN ('e', 'i', 'a', 'x'))
    SELECT json_build_array(title, whole)
      FROM (SELECT DISTINCT CASE WHEN r.oid IS NULL
                     THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                     ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END AS title,
                   CASE WHEN names[2] IS NULL THEN names[1]
                     ELSE format('%I.%I', names[1], names[2]) END AS whole
              FROM own JOIN pg_depend d
                ON (d.refclassid, d.refobjid) = (own.classid, own.objid) AND d.deptype = 'n'
              LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
             CROSS JOIN pg_identify_object_as_address(d.classid, d.objid, d.objsubid)
                AS a(kind, names, args)
             WHERE (d.classid, d.objid) NOT IN (SELECT classid, objid FROM own)) AS users
     ORDER BY title"""


QUERIES = {
    "extension_owned": """
        SELECT json_build_array(n.nspname, o.name)
          FROM pg_depend e
          JOIN LATERAL (
            SELECT relnamespace AS schema, relname AS name FROM pg_class
             WHERE e.classid = 'pg_class'::regclass AND oid = e.objid
            UNION ALL
            SELECT typnamespace, typname FROM pg_type
             WHERE e.classid = 'pg_type'::regclass AND oid = e.objid) o ON true
          JOIN pg_namespace n ON n.oid = o.schema
         WHERE e.deptype = 'e' AND e.classid IN ('pg_class'::regclass, 'pg_type'::regclass)""",
    "extensions": """
        SELECT json_build_array(e.extname, n.nspname, e.extversion, d.description)
          FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
          LEFT JOIN pg_description d
            ON d.objoid = e.oid AND d.classoid = 'pg_extension'::regclass""",
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for name, schema, version, remark in sections["extensions"] or ():
        extension = Extension(name, schema=Exact(schema), version=version, comment=remark)
        catalog.objects[extension.key()] = extension
    names = sections["extension_owned"] or ()
    catalog.extension_owned.update(Name(schema, name) for schema, name in names)
