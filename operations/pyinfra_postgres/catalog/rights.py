"""What the role that deploys may do.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/role-membership.html
"""

from __future__ import annotations

from attrs import define, evolve, field

from ..syntax.acl import PUBLIC, Acl
from .platforms import administers

# Of each role in turn: whether the current one has its rights, may become it, may give it away.
QUERY = """
    SELECT json_build_array(r.rolname, r.rolname = current_user AND r.rolsuper,
             pg_has_role(r.oid, 'USAGE'),
             pg_has_role(r.oid, CASE WHEN s.version < 160000 THEN 'MEMBER' ELSE 'SET' END),
             pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')
               -- Before 16 who may create roles may give all but superusers away.
               OR (s.version < 160000 AND s.rolcreaterole AND NOT r.rolsuper),
             r.rolname = current_user AND (r.rolsuper OR r.rolbypassrls))
      FROM pg_roles r,
           (SELECT current_setting('server_version_num')::int AS version, rolcreaterole
              FROM pg_roles WHERE rolname = current_user) AS s
     WHERE r.rolname = current_user OR pg_has_role(r.oid, 'MEMBER')
        OR (s.version < 160000 AND s.rolcreaterole)"""


@define
class Rights:
    """What the role that deploys may do; kept up with what the plan changes of it."""

    role: str = ""
    superuser: bool = True
    holds: set[str] = field(factory=set)
    """The roles whose privileges it has, its own among them."""
    becomes: set[str] = field(factory=set)
    """The roles that it may become, and give things to."""
    gives: set[str] = field(factory=set)
    """The roles of which it may make others a member."""
    closed: set[str] = field(factory=set)
    """The schemas in which it finds nothing, for want of USAGE."""
    sees_all_rows: bool = True
    """Whether no row level security hides rows from it."""

    @classmethod
    def read(cls, role: str, rows: list[list[object]], closed: list[list[str]]) -> Rights:
        """The rights from what QUERY printed, and the schemas that are closed to it."""
        named = {str(row[0]): row[1:] for row in rows}
        holds, becomes, gives = (
            {name for name, row in named.items() if row[index]} for index in (1, 2, 3)
        )
        superuser, sees_all_rows = bool(named[role][0]), bool(named[role][4])
        shut = {name for (name,) in closed}
        return cls(role, superuser, holds, becomes, gives, shut, sees_all_rows)

    def copy(self) -> Rights:
        """The same, apart from what becomes of these."""
        holds, becomes = set(self.holds), set(self.becomes)
        return evolve(
            self, holds=holds, becomes=becomes, gives=set(self.gives), closed=set(self.closed)
        )

    @property
    def is_privileged(self) -> bool:
        """Whether it may do some of what is the superusers'; what, the server alone knows."""
        return self.superuser or administers(self.holds)

    def has(self, role: str) -> bool:
        """Whether it has a role's privileges."""
        return self.superuser or role in self.holds

    def may(self, privilege: str, acl: Acl | None, *, with_option: bool = False) -> bool:
        """Whether it has a privilege, or may grant it."""
        return self.superuser or is_granted(self.holds, privilege, acl, with_option=with_option)

    def join(self, group: str) -> None:
        """Become a member of a role."""
        self.holds.add(group)
        self.becomes.add(group)


def is_granted(
    roles: set[str], privilege: str, acl: Acl | None, *, with_option: bool = False
) -> bool:
    """Whether one of some roles has a privilege, or may grant it."""
    if acl is None or (with_option and acl.owner in roles):
        return True
    return any(
        option or not with_option
        for (grantee, name), option in acl.granted.items()
        if name == privilege and (grantee == PUBLIC or grantee in roles)
    )
