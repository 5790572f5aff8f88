"""What roles get on objects that are still to be created: ALTER DEFAULT PRIVILEGES.

https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import rights_of
from ...catalog.snapshot import Snapshot
from ...errors import DeclarationError
from ...plan.plan import Need
from ...syntax import given
from ...syntax.acl import DEFAULTS, Acl
from ...syntax.names import Exact, identifiers, optional_identifier, quoted, role_sql
from ...syntax.parse import Node, Reference, role_references, schema_reference, statement
from ..kind import Object, Row
from .grants import check_privileges, privileges_of
from .object_privileges import Privilege, Privileges, Target, platform_of_grantee
from .privileges import grantees, privilege_list

_KINDS = {
    "TABLES": "TABLE",
    "SEQUENCES": "SEQUENCE",
    "FUNCTIONS": "FUNCTION",
    "ROUTINES": "FUNCTION",
    "TYPES": "TYPE",
    "SCHEMAS": "SCHEMA",
}


def _kind(text: str) -> str:
    word = given.word("on", text, _KINDS)
    return "FUNCTIONS" if word == "ROUTINES" else word


def _schemas(names: str | Iterable[str] | None) -> tuple[Exact, ...]:
    if names is None:
        return ()
    return identifiers(given.some("in_schema", names, "name a schema, or leave it out for all"))


@frozen
class Defaults(Privileges):
    """What one role gets on objects of a kind that another one creates, in a schema or anywhere."""

    kind: ClassVar[str] = "default_privileges"
    locks_nothing: ClassVar[bool] = True

    creator: Exact = field(kw_only=True)
    schema: str = field(default="", kw_only=True)

    @classmethod
    def of(cls, creator: Exact, schema: str, kind: str) -> Self:
        """Those of one creator, place and kind: what nobody gets."""
        nobody, target = Exact(""), Target(kind, ())
        return cls(target, nobody, frozenset(), sole=True, creator=creator, schema=schema)

    @property
    def prefix(self) -> str:
        where = f" IN SCHEMA {quoted(self.schema)}" if self.schema else ""
        return f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(self.creator)}{where} "

    @property
    def title(self) -> str:
        where = f" in {quoted(self.schema)}" if self.schema else ""
        return (
            f"default privileges of {quoted(self.creator)} on {self.target}{where} to "
            f"{role_sql(self.grantee)}"
        )

    def key(self) -> Key:
        return (self.kind, self.creator, self.schema, self.target.kind, self.grantee)

    def requires(self) -> Iterator[Reference]:
        yield from role_references(self.creator, self.grantee)
        if self.schema:
            yield schema_reference(self.schema)

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        return rights_of(self.creator, catalog)

    def stored(self, catalog: Forecast) -> Self:
        return self.as_in({"": self._acl(catalog)})

    def _acl(self, catalog: Forecast) -> Acl:
        kind = _KINDS[self.target.kind]
        if acl := catalog.default_acls.get((self.creator, self.schema, DEFAULTS[kind])):
            return acl
        # Those of a schema come in addition to those for everywhere.
        none = Acl(self.creator)
        return none if self.schema else Acl.read(kind, self.creator, None, catalog.version)

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        acl = self._acl(catalog)
        granted = {key: option for key, option in acl.granted.items() if key[0] != self.grantee}
        granted |= {(self.grantee, one.name): one in self.grantable for one in self.granted}
        key = (self.creator, self.schema, DEFAULTS[_KINDS[self.target.kind]])
        catalog.default_acls[key] = acl.changed(granted)


def differing_defaults(
    before: Forecast, after: Forecast, called: Callable[[str], str]
) -> Iterator[tuple[Defaults, Defaults]]:
    """What roles get otherwise on objects to be created, before and after.

    `called` is how a schema of before is called after.
    """
    kinds = {DEFAULTS[kind]: on for on, kind in _KINDS.items() if on != "ROUTINES"}
    former = {(role, called(where), letter): where for role, where, letter in before.default_acls}
    for creator, schema, letter in dict.fromkeys([*former, *after.default_acls]):
        old = former.get((creator, schema, letter), schema)
        places = [
            (catalog, Defaults.of(Exact(creator), name, kinds[letter]))
            for catalog, name in ((before, old), (after, schema))
        ]
        lists = [one._acl(catalog).granted for catalog, one in places]
        for grantee in sorted({grantee for one in lists for grantee, _ in one}):
            was, now = (
                evolve(one, grantee=Exact(grantee)).stored(catalog) for catalog, one in places
            )
            if (was.granted, was.grantable) != (now.granted, now.grantable):
                yield was, now


@frozen
class DefaultPrivileges(Object):
    """Privileges on objects still to be created, as ALTER DEFAULT PRIVILEGES has them."""

    kind: ClassVar[str] = "default_privileges"
    locks_nothing: ClassVar[bool] = True

    privileges: tuple[str, ...] = field(converter=privilege_list)
    on: str = field(converter=_kind)
    to: tuple[Exact, ...] = field(converter=grantees)
    in_schema: tuple[Exact, ...] = field(default=None, converter=_schemas, kw_only=True)
    for_role: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    grant_option: bool = field(default=False, kw_only=True)
    exact: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._parsed()
        if self.on == "SCHEMAS" and self.in_schema:
            raise DeclarationError(f"{self.title}: a schema is in no other one")

    @property
    def title(self) -> str:
        where = f" in {', '.join(map(quoted, self.in_schema))}" if self.in_schema else ""
        whose = f" of {quoted(self.for_role)}" if self.for_role else ""
        roles = ", ".join(map(role_sql, self.to))
        return f"default privileges{whose} on {self.on}{where} to {roles}"

    def key(self) -> Key:
        return (self.kind, self.for_role or "", self.on, *self.in_schema, "to", *self.to)

    def validate(self, present: bool) -> None:
        if platform := self.for_role and platform_of_grantee(self.for_role):
            raise DeclarationError(f"{self.title}: {self.for_role} belongs to {platform}")
        for grantee in self.to if self.exact or not present else ():
            if platform := platform_of_grantee(grantee):
                raise DeclarationError(
                    f"{self.title}: what {grantee} may do belongs to {platform}: leave it"
                )

    def _parsed(self) -> Node:
        privileges = ", ".join(self.privileges)
        sql = f"ALTER DEFAULT PRIVILEGES GRANT {privileges} ON {self.on} TO somebody"
        try:
            node: Node = statement(sql)["AlterDefaultPrivilegesStmt"]["action"]
        except (DeclarationError, KeyError):
            raise DeclarationError(
                f"default privileges {privileges!r}: write them like SELECT"
            ) from None
        node = node.get("GrantStmt", node)
        check_privileges(node, _KINDS[self.on])
        return node

    def requires(self) -> Iterator[Reference]:
        yield from role_references(self.for_role, *self.to)
        for schema in self.in_schema:
            yield schema_reference(schema)

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        creator = self.for_role or Exact(catalog.role)
        held = frozenset(privileges_of(self._parsed(), _KINDS[self.on], catalog.version))
        option: frozenset[Privilege] = held if self.grant_option else frozenset()
        for schema in self.in_schema or ("",):
            for grantee in self.to:
                target = Target(self.on, ())
                yield Defaults(
                    target, grantee, held, option, self.exact, creator=creator, schema=schema
                )


QUERIES = {
    "default_acls": """
        SELECT json_build_array(d.defaclrole::regrole, coalesce(n.nspname, ''), d.defaclobjtype,
                 d.defaclacl::text)
          FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for role, schema, letter, text in sections["default_acls"] or ():
        name = catalog.roles[role]
        catalog.default_acls[name, schema, letter] = Acl.read("", name, text, catalog.version)
