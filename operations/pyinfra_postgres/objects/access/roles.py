"""Roles: CREATE ROLE, ALTER ROLE, DROP ROLE, GRANT role.

https://www.postgresql.org/docs/current/sql-createrole.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

from attrs import evolve, field, fields, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.needs import rights_of
from ...catalog.platforms import hashes_passwords, platform_of
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...hidden import MASK
from ...plan.plan import Need, Statement
from ...syntax import given
from ...syntax.names import Exact, identifier, literal, quoted
from ...syntax.parse import Reference, role_references
from ..kind import Object, Row, comment, either
from .passwords import Password

_SWITCHES = {
    "login": "LOGIN",
    "superuser": "SUPERUSER",
    "createdb": "CREATEDB",
    "createrole": "CREATEROLE",
    "inherit": "INHERIT",
    "replication": "REPLICATION",
    "bypassrls": "BYPASSRLS",
}

# What a role gives to another only if it has it itself, or is a superuser.
_CAREFUL = ("superuser", "createdb", "replication", "bypassrls")


_MEMBER = ("admin", "inherit", "set")
"""The options of a membership."""


@frozen
class Membership:
    """A role's membership in another one, where more than that is declared.

    + role: the other role
    + admin: whether it may make others members
    + inherit, set: whether it has its privileges, and may become it (PostgreSQL 16 and newer)
    + present: whether it is a member
    """

    role: Exact = field(converter=identifier)
    admin: bool | None = field(default=None, kw_only=True)
    inherit: bool | None = field(default=None, kw_only=True)
    set: bool | None = field(default=None, kw_only=True)
    present: bool = field(default=True, eq=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        given.check_plain(f"the membership in {quoted(self.role)}", self)

    def losing(self, after: Membership | None) -> list[str | None]:
        """The options that it has no longer; None stands for itself."""
        if after is None:
            return [None]
        return [one for one in _MEMBER if getattr(self, one) and getattr(after, one) is False]

    def __str__(self) -> str:
        options = {"admin": self.admin, "inherit": self.inherit, "set": self.set}
        usual = {"admin": False, "inherit": True, "set": True}
        given = [
            name if on else f"no {name}"
            for name, on in options.items()
            if on is not None and on != usual[name]
        ]
        return f"member of {quoted(self.role)}{' with ' if given else ''}{', '.join(given)}"

    def aligned(self, current: Membership) -> Membership:
        """Itself, with what is not declared as it is."""
        return Membership(
            self.role,
            admin=either(self.admin, current.admin),
            inherit=either(self.inherit, current.inherit),
            set=either(self.set, current.set),
        )


def _memberships(
    roles: str | Membership | Iterable[str | Membership],
) -> tuple[Membership, ...]:
    several = given.several("member_of", roles, (str, Membership))
    read = (one if isinstance(one, Membership) else Membership(one) for one in several)
    found = tuple(dict.fromkeys(read))
    names = [one.role for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DeclarationError(f"the membership in {', '.join(sorted(twice))} is declared twice")
    return found


def _limit(value: int | None) -> int | None:
    return None if value is None else given.number("connection_limit", value, -1, 2**31 - 1)


def _password_of(given: Any) -> Password | None:
    return Password.read(given)


_MAY_READ = "SELECT to_json(has_column_privilege('pg_authid', 'rolpassword', 'SELECT'))"


_Grantors: TypeAlias = Mapping[Exact, Mapping[Exact, Set[str]]]
"""Of each membership, by the other role, who has granted it with which options."""


@frozen
class RoleDetails:
    """What a catalog knows of a role beside what may be declared."""

    grantors: _Grantors = field(factory=dict)
    """Where PostgreSQL keeps that apart; only they can take back what they have granted."""

    def of(self, role: Exact, option: str | None) -> list[Exact]:
        """Who has granted an option of a membership, or the whole of it."""
        known = self.grantors.get(role, {})
        return [one for one, options in known.items() if option is None or option in options]


class RoleFacts(NamedTuple):
    """What is known of a change of a role."""

    grantors: RoleDetails = RoleDetails()
    hashes: bool = False
    """Whether its server takes a password only as it is, to hash it by itself."""


_USUAL = RoleFacts()


@frozen
class Role(Object):
    """A role of the server; all databases of the server share it."""

    kind: ClassVar[str] = "role"
    is_ground: ClassVar[bool] = True
    goes_last: ClassVar[bool] = True
    locks_nothing: ClassVar[bool] = True

    name: Exact = field(converter=identifier)
    login: bool | None = field(default=None, kw_only=True)
    superuser: bool | None = field(default=None, kw_only=True)
    createdb: bool | None = field(default=None, kw_only=True)
    createrole: bool | None = field(default=None, kw_only=True)
    inherit: bool | None = field(default=None, kw_only=True)
    replication: bool | None = field(default=None, kw_only=True)
    bypassrls: bool | None = field(default=None, kw_only=True)
    connection_limit: int | None = field(default=None, converter=_limit, kw_only=True)
    member_of: tuple[Membership, ...] = field(default=(), converter=_memberships, kw_only=True)
    password: Password | None = field(default=None, converter=_password_of, kw_only=True)
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
        yield from map(str, self.member_of)
        if self.password:
            yield f"password {MASK}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        return role_references(*(one.role for one in self.member_of if one.present))

    def provides(self) -> Iterator[Reference]:
        return role_references(self.name)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        undeclared: dict[str, Any] = {
            one.name: getattr(current, one.name)
            for one in fields(Role)
            if getattr(self, one.name) is None
        }
        # Memberships that are not declared are left alone.
        there = {one.role: one for one in current.member_of}
        declared = {one.role: one for one in self._members(catalog)}
        merged = there | {
            role: one.aligned(there[role]) if role in there else one
            for role, one in declared.items()
        }
        memberships = [merged[role] for role in sorted(merged) if role not in self._withdrawn()]
        return evolve(self, **undeclared, member_of=memberships)

    def completed(self, catalog: Forecast, same: Same) -> Self:
        return evolve(self, member_of=self._members(catalog))

    def facts(
        self,
        current: Role | None,
        target: Role | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> RoleFacts | None:
        if target is None:
            return None
        hashes = hashes_passwords(catalog.roles.values())
        return RoleFacts(catalog.details_of(target, RoleDetails), hashes)

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        """The role as it is; its password is the declared one, where it has that."""
        current = super().find(catalog, ask)
        is_stored = self.name in catalog.roles.values()
        if current is None or self.password is None or current.password or not is_stored:
            return current
        (may_read,) = ask(_MAY_READ)
        if not may_read:
            catalog.unread.add(f"the password of role {quoted(self.name)}")
            return evolve(current, password=self.password)
        (stored,) = ask(
            f"SELECT to_json(coalesce(rolpassword, '')) FROM pg_authid"
            f" WHERE rolname = {literal(self.name)}"
        )
        return evolve(current, password=self.password if self.password.is_kept_as(stored) else None)

    def _members(self, catalog: Forecast) -> list[Membership]:
        found = [one for one in self.member_of if one.present]
        for one in found:
            if catalog.version < 160000 and (one.inherit, one.set) != (None, None):
                raise DeclarationError(
                    f"inherit and set of the membership in {one.role} need PostgreSQL 16"
                )
        return found

    def _withdrawn(self) -> Set[str]:
        return {one.role for one in self.member_of if not one.present}

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        rights = catalog.rights
        own = catalog.objects.get(("role", rights.role))
        if rights.superuser or not isinstance(own, Role):
            return
        me = quoted(rights.role)
        strict = catalog.version >= 160000
        before, after = (set(one.member_of) if one else set() for one in (current, target))
        groups = {one.role for one in before ^ after} if target else set()
        details = catalog.details_of(self, RoleDetails)
        for grantor in sorted(_losing(current, target, details)) if current and target else ():
            yield from rights_of(grantor, catalog, ", who has granted a membership of it")
        options = (*_options(current, target), *_password(current, target)) if target else ()
        is_altered = not current or not target or options or not groups
        if not own.createrole and (is_altered or not strict):
            yield Need(rights.role, "CREATEROLE", f"ALTER ROLE {me} CREATEROLE")
        administered = {*groups, *([self.name] if current and is_altered else ())}
        for one in sorted(administered - rights.gives) if strict else ():
            grant = f"GRANT {quoted(one)} TO {me} WITH ADMIN OPTION"
            yield Need(rights.role, f"ADMIN on role {quoted(one)}", grant)
        for name in _CAREFUL if target else ():
            value = getattr(target, name)
            if value is None or value == bool(getattr(current, name, False)):
                continue
            if rights.is_privileged and name != "superuser":
                continue
            if name == "superuser" or (not strict and name != "createdb"):
                remedy = f"leave {name}= out, or run as a superuser"
                yield Need(rights.role, f"a superuser's rights for {name}={value}", remedy)
            elif strict and not getattr(own, name):
                keyword = _SWITCHES[name]
                yield Need(rights.role, keyword, f"ALTER ROLE {me} {keyword}")

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        catalog.put(self)
        if current is None:
            catalog.rights.gives.add(self.name)
        if self.name == catalog.rights.role:
            for one in self.member_of:
                if one.inherit is not False and one.set is not False:
                    catalog.rights.join(one.role)

    @staticmethod
    def diff(
        current: Role | None, declared: Role | None, facts: RoleFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a role, GRANT and REVOKE its memberships."""
        if declared is None:
            assert current
            yield Statement(f"DROP ROLE {quoted(current.name)}")
            return
        name = quoted(declared.name)
        options = " ".join(
            [*_options(current, declared), *_password(current, declared, facts.hashes)]
        )
        if current is None:
            # What is granted to it may be granted again to a type that is made anew.
            yield Statement(f"CREATE ROLE {name} {options}".strip())
        elif options:
            yield Statement(f"ALTER ROLE {name} {options}")
        before = current.member_of if current else ()
        yield from _granted(name, before, declared.member_of, facts.grantors)
        yield from comment(f"ROLE {name}", current, declared)


def _password(current: Role | None, declared: Role, hashes: bool = False) -> Iterator[str]:
    password = declared.password
    if password and (current is None or current.password != password):
        yield f"PASSWORD {literal(password.text if hashes else password.verifier())}"


def _losing(current: Role, declared: Role, grantors: RoleDetails) -> set[Exact]:
    """Who has granted what a role loses."""
    after = {one.role: one for one in declared.member_of}
    return {
        grantor
        for one in current.member_of
        for option in one.losing(after.get(one.role))
        for grantor in grantors.of(one.role, option)
    }


def _granted(
    name: str,
    current: Iterable[Membership],
    declared: Iterable[Membership],
    grantors: RoleDetails,
) -> Iterator[Statement]:
    there = {one.role: one for one in current}
    after = {one.role: one for one in declared}
    for before in current:
        for option in before.losing(after.get(before.role)):
            if option in {None, "admin"}:
                what = "ADMIN OPTION FOR " if option else ""
                change = f"REVOKE {what}{quoted(before.role)} FROM {name}"
            else:
                change = f"GRANT {quoted(before.role)} TO {name} WITH {str(option).upper()} FALSE"
            for by in [
                f" GRANTED BY {quoted(one)}" for one in grantors.of(before.role, option)
            ] or [""]:
                yield Statement(f"{change}{by}")
    for one in declared:
        known = there.get(one.role)
        gained = [each for each in _MEMBER if getattr(one, each) and not getattr(known, each, None)]
        if known and not gained:
            continue
        # In full, as it may come in addition to what others have granted.
        options = ["ADMIN OPTION"] if "admin" in gained else []
        options += [
            f"{option.upper()} {str(value).upper()}"
            for option in ("inherit", "set")
            if (value := getattr(one, option)) is not None
        ]
        how = f" WITH {', '.join(options)}" if options else ""
        yield Statement(f"GRANT {quoted(one.role)} TO {name}{how}")


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
            SELECT json_build_array(r.oid::regrole, r.rolname, r.rolcanlogin, r.rolsuper,
              r.rolcreatedb, r.rolcreaterole, r.rolinherit, r.rolreplication, r.rolbypassrls,
              r.rolconnlimit, m.memberships, d.description)
              FROM pg_roles r LEFT JOIN pg_shdescription d
                ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
              LEFT JOIN (
                SELECT member, json_agg(json_build_array(roleid::regrole, admin, inherit, set,
                         grantors) ORDER BY roleid::regrole::text) AS memberships
                  FROM (SELECT a.member, a.roleid, bool_or(a.admin_option) AS admin,
                               bool_or((to_jsonb(a) ->> 'inherit_option')::boolean) AS inherit,
                               bool_or((to_jsonb(a) ->> 'set_option')::boolean) AS set,
                               json_agg(json_build_array(a.grantor::regrole, a.admin_option,
                                 (to_jsonb(a) ->> 'inherit_option')::boolean,
                                 (to_jsonb(a) ->> 'set_option')::boolean)
                                 ORDER BY a.grantor::regrole::text) AS grantors
                          FROM pg_auth_members a GROUP BY a.member, a.roleid) g
                 GROUP BY member) m ON m.member = r.oid"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    catalog.roles.update({row[0]: Exact(row[1]) for row in sections["roles"]})
    for _, name, *attributes, groups, remark in sections["roles"]:
        names = [*_SWITCHES, "connection_limit"]
        memberships = [_membership(row, catalog) for row in groups or ()]
        memberships.sort(key=lambda one: one.role)
        by = {catalog.roles[row[0]]: _grantors(row, catalog) for row in groups or ()}
        role = Role(
            Exact(name),
            member_of=memberships,
            comment=remark,
            **dict(zip(names, attributes, strict=True)),
        )
        catalog.objects[role.key()] = role
        if any(by.values()):
            catalog.details[role.key()] = RoleDetails(by)


def _membership(row: Row, catalog: Snapshot) -> Membership:
    role, admin, inherit, set_, _ = row
    return Membership(catalog.roles[role], admin=admin, inherit=inherit, set=set_)


def _grantors(row: Row, catalog: Snapshot) -> dict[Exact, Set[str]]:
    """Who has granted a membership, with the options."""
    # Before PostgreSQL 16 anybody's REVOKE takes a membership away.
    apart = catalog.version >= 160000
    return {
        catalog.roles[one]: {name for name, on in zip(_MEMBER, options, strict=True) if on}
        for one, *options in row[-1]
        if apart and one in catalog.roles
    }
