"""Roles: CREATE ROLE, ALTER ROLE, DROP ROLE, GRANT role.

https://www.postgresql.org/docs/current/sql-createrole.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from attrs import evolve, field, fields, frozen
from pyinfra.api.operation import OperationMeta
from typing_extensions import Unpack

from ..arguments import Arguments
from ..catalog import Catalog
from ..converge import converge, declared
from ..errors import DeclarationError
from ..kind import Key, Object, Row, Same, comment
from ..names import Exact, identifier, identifiers, quoted
from ..parse import Reference, role_references
from ..plan import Statement
from ..platforms import platform_of

_SWITCHES = {
    "login": "LOGIN",
    "superuser": "SUPERUSER",
    "createdb": "CREATEDB",
    "createrole": "CREATEROLE",
    "inherit": "INHERIT",
    "replication": "REPLICATION",
    "bypassrls": "BYPASSRLS",
}


@frozen
class Role(Object):
    """A role of the server; all databases of the server share it."""

    kind: ClassVar[str] = "role"

    name: Exact = field(converter=identifier)
    login: bool | None = field(default=None, kw_only=True)
    superuser: bool | None = field(default=None, kw_only=True)
    createdb: bool | None = field(default=None, kw_only=True)
    createrole: bool | None = field(default=None, kw_only=True)
    inherit: bool | None = field(default=None, kw_only=True)
    replication: bool | None = field(default=None, kw_only=True)
    bypassrls: bool | None = field(default=None, kw_only=True)
    connection_limit: int | None = field(default=None, kw_only=True)
    member_of: tuple[Exact, ...] = field(default=(), converter=identifiers, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)

    def key(self) -> Key:
        return (self.kind, self.name)

    def validate(self, present: bool) -> None:
        if platform := platform_of(self.name):
            raise DeclarationError(f"role {self.name} belongs to {platform}: leave it as it is")

    def lines(self) -> Iterator[str]:
        for name, keyword in _SWITCHES.items():
            value = getattr(self, name)
            if value is not None:
                yield keyword.lower() if value else f"no {keyword.lower()}"
        if self.connection_limit is not None:
            yield f"connection limit {self.connection_limit}"
        for group in self.member_of:
            yield f"member of {quoted(group)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        return role_references(*self.member_of)

    def provides(self) -> Iterator[Reference]:
        return role_references(self.name)

    def aligned(self, current: Self, same: Same, catalog: Catalog) -> Self:
        undeclared: dict[str, Any] = {
            one.name: getattr(current, one.name)
            for one in fields(Role)
            if getattr(self, one.name) is None
        }
        # Memberships that are not declared are left alone.
        memberships = tuple(sorted({*self.member_of, *current.member_of}))
        return evolve(self, **undeclared, member_of=memberships)

    @staticmethod
    def diff(current: Role | None, declared: Role | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a role; memberships are only added."""
        if declared is None:
            assert current
            yield Statement(f"DROP ROLE {quoted(current.name)}")
            return
        name = quoted(declared.name)
        options = " ".join(_options(current, declared))
        if current is None:
            yield Statement(f"CREATE ROLE {name} {options}".strip())
        elif options:
            yield Statement(f"ALTER ROLE {name} {options}")
        for group in declared.member_of:
            if current is None or group not in current.member_of:
                yield Statement(f"GRANT {quoted(group)} TO {name}")
        yield from comment(f"ROLE {name}", current, declared)


def _options(current: Role | None, declared: Role) -> Iterator[str]:
    for name, keyword in _SWITCHES.items():
        value = getattr(declared, name)
        if value is not None and (current is None or value != getattr(current, name)):
            yield keyword if value else f"NO{keyword}"
    limit = declared.connection_limit
    if limit is not None and (current is None or limit != current.connection_limit):
        yield f"CONNECTION LIMIT {limit}"


QUERIES = {
    "roles": """
            SELECT json_build_array(r.oid::int8, r.rolname, r.rolcanlogin, r.rolsuper,
              r.rolcreatedb, r.rolcreaterole, r.rolinherit, r.rolreplication, r.rolbypassrls,
              r.rolconnlimit, (SELECT json_agg(m.roleid::int8 ORDER BY m.roleid)
                                FROM pg_auth_members m WHERE m.member = r.oid), d.description)
              FROM pg_roles r LEFT JOIN pg_shdescription d
                ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass"""
}


def read(sections: dict[str, list[Row]], catalog: Catalog) -> None:
    catalog.roles.update({row[0]: Exact(row[1]) for row in sections["roles"]})
    for _, name, *attributes, groups, remark in sections["roles"]:
        names = [*_SWITCHES, "connection_limit"]
        role = Role(
            Exact(name),
            member_of=sorted(catalog.roles[group] for group in groups or ()),
            comment=remark,
            **dict(zip(names, attributes, strict=True)),
        )
        catalog.objects[role.key()] = role


def role(
    role: str,
    *,
    login: bool | None = None,
    superuser: bool | None = None,
    createdb: bool | None = None,
    createrole: bool | None = None,
    inherit: bool | None = None,
    replication: bool | None = None,
    bypassrls: bool | None = None,
    connection_limit: int | None = None,
    member_of: str | Iterable[str] = (),
    comment: str | None = None,
    present: bool = True,
    **arguments: Unpack[Arguments],
) -> OperationMeta:
    """Declare a role. Attributes that are not given are left as they are.

    + role: its name
    + login, superuser, createdb, createrole, inherit, replication, bypassrls: its attributes
    + connection_limit: how many connections it may have, -1 for no limit
    + member_of: roles that it is a member of; other memberships are left alone
    + comment: its comment, "" for none
    + present: whether it exists

    Roles belong to the server, not to a database.

    **Example:**

    .. code:: python

        pg.role("authenticated", login=False)
    """
    declaration = Role(
        role,
        login=login,
        superuser=superuser,
        createdb=createdb,
        createrole=createrole,
        inherit=inherit,
        replication=replication,
        bypassrls=bypassrls,
        connection_limit=connection_limit,
        member_of=member_of,
        comment=comment,
    )
    return converge(**declared([declaration], present, arguments))
