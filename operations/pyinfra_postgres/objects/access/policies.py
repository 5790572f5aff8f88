"""Row security policies: CREATE POLICY, ALTER POLICY, DROP POLICY.

https://www.postgresql.org/docs/current/sql-createpolicy.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Statement
from ...syntax import given
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    identifiers,
    optional_identifier,
    parse_name,
    quoted,
    role_sql,
)
from ...syntax.parse import (
    Reference,
    closed,
    column_names,
    declared_references,
    optional_expression,
    role_references,
    tree,
)
from ...syntax.paths import SearchPath
from ..dependent import DependentPart
from ..dependents_query import OF_TABLE, RELATION, TABLE, part_remark
from ..indexes.elements import condition_template
from ..kind import Object, Row, comment, either
from ..tables.known_columns import check_columns

_COMMANDS = ("ALL", "SELECT", "INSERT", "UPDATE", "DELETE")


def _command(text: str) -> str:
    return given.word("command", text, _COMMANDS)


def _roles(roles: str | Iterable[str]) -> tuple[Exact, ...]:
    few = given.some("roles", roles, "name them, or leave it out for PUBLIC, which is everybody")
    found = tuple(sorted(identifiers(few)))
    # With PUBLIC, PostgreSQL keeps no other role.
    return (Exact("public"),) if "public" in found else found


@frozen
class Policy(Object):
    """A row security policy of a table."""

    kind: ClassVar[str] = "policy"
    word: ClassVar[str] = "policies"

    name: Exact = field(converter=identifier)
    table: Name = field(converter=parse_name)
    command: str = field(default="ALL", converter=_command, kw_only=True)
    roles: tuple[Exact, ...] = field(default="PUBLIC", converter=_roles, kw_only=True)
    using: str | None = field(default=None, converter=optional_expression, kw_only=True)
    check: str | None = field(default=None, converter=optional_expression, kw_only=True)
    permissive: bool = field(default=True, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.command == "INSERT" and self.using is not None:
            raise DeclarationError(f"policy {self.name}: INSERT has only check, no using")
        if self.command in {"SELECT", "DELETE"} and self.check is not None:
            raise DeclarationError(f"policy {self.name}: {self.command} has only using, no check")

    @property
    def title(self) -> str:
        return f"policy {quoted(self.name)} on {self.table}"

    @property
    def address(self) -> str:
        return f"POLICY {quoted(self.name)} ON {self.table}"

    @property
    def locked(self) -> Lock:
        return Lock(self.table, only=True)

    def key(self) -> Key:
        return (self.kind, *self.table, self.name)

    def lines(self) -> Iterator[str]:
        kind = "" if self.permissive else "restrictive "
        yield f"{kind}for {self.command} to {', '.join(map(role_sql, self.roles))}"
        if self.using is not None:
            yield f"using ({self.using})"
        if self.check is not None:
            yield f"with check ({self.check})"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield from role_references(*self.roles)
        yield from declared_references(self.using, self.check)

    def uses(self, table: Name, columns: Set[str]) -> bool:
        texts = [text for text in (self.using, self.check) if text is not None]
        names = {name for text in texts for name in column_names(tree(text))}
        return table == self.table and not columns.isdisjoint(names)

    def readings(self, current: Self | None) -> Iterator[Reading]:
        for text in (self.using, self.check):
            yield Reading(condition_template(self.table), text, self.table)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        using, check = self.using, self.check
        template = condition_template(self.table)
        if same(template, using, current.using, self.table):
            using = current.using
        if same(template, check, current.check, self.table):
            check = current.check
        return evolve(self, using=using, check=check, comment=either(self.comment, current.comment))

    def check_columns(self, catalog: Forecast) -> None:
        check_columns(self.table, catalog, [], [self.using, self.check])

    @staticmethod
    def diff(current: Policy | None, declared: Policy | None) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a policy; what ALTER can't change is replaced in one go."""
        if declared is None:
            assert current
            yield Statement(f"DROP POLICY {_on(current)}", locks=Lock(current.table, only=True))
            return
        if current is None:
            yield _created(declared)
        elif evolve(current, comment=declared.comment) != declared:
            if _alterable(current, declared):
                yield _altered(current, declared)
            else:
                yield Statement(f"DROP POLICY {_on(current)}", locks=Lock(current.table, only=True))
                yield _created(declared)
                current = None
        yield from comment(f"POLICY {_on(declared)}", current, declared)


def _on(policy: Policy) -> str:
    return f"{quoted(policy.name)} ON {policy.table}"


def _clauses(using: str | None, check: str | None) -> Iterator[str]:
    for keyword, text in (("USING", using), ("WITH CHECK", check)):
        if text is not None:
            yield f"{keyword} ({closed(text)})"


def _created(policy: Policy) -> Statement:
    kind = "" if policy.permissive else " AS RESTRICTIVE"
    roles = ", ".join(map(role_sql, policy.roles))
    head = f"CREATE POLICY {_on(policy)}{kind} FOR {policy.command} TO {roles}"
    return Statement(
        " ".join([head, *_clauses(policy.using, policy.check)]),
        path=SearchPath.of(policy.using, policy.check),
        locks=Lock(policy.table, only=True),
    )


def _alterable(current: Policy, declared: Policy) -> bool:
    """ALTER POLICY changes roles and expressions, and can't take an expression away."""
    return (current.command, current.permissive) == (
        declared.command,
        declared.permissive,
    ) and not (
        (current.using is not None and declared.using is None)
        or (current.check is not None and declared.check is None)
    )


def _altered(current: Policy, declared: Policy) -> Statement:
    parts = [f"ALTER POLICY {_on(declared)}"]
    if current.roles != declared.roles:
        parts.append(f"TO {', '.join(map(role_sql, declared.roles))}")
    using = declared.using if declared.using != current.using else None
    check = declared.check if declared.check != current.check else None
    parts += _clauses(using, check)
    return Statement(
        " ".join(parts),
        path=SearchPath.of(using, check),
        locks=Lock(declared.table, only=True),
    )


QUERIES = {
    "policies": f"""
        SELECT json_build_array(p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive,
                 p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
                 pg_get_expr(p.polwithcheck, p.polrelid), d.description)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_policy p ON p.polrelid = c.oid
          LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_policy'::regclass
         WHERE {USER_SCHEMA}"""
}
_STORED_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for table, name, command, permissive, roles, using, check, remark in sections["policies"] or ():
        policy = Policy(
            Exact(name),
            catalog.relations[table],
            command=_STORED_COMMANDS[command],
            roles=[catalog.roles.get(role, Exact("public")) for role in roles],
            using=None if using is None else Exact(using),
            check=None if check is None else Exact(check),
            permissive=permissive,
            comment=remark,
        )
        catalog.objects[policy.key()] = policy


_POLICY = f"""
    SELECT json_build_array(node.id, 'policy', node.title, node.needs,
             json_build_array('policy', n.nspname, c.relname, p.polname), {RELATION},
             json_build_array(format('DROP POLICY %I ON %s', p.polname, {TABLE})),
             json_build_array(format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname,
               {TABLE}, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                 WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               (SELECT string_agg(coalesce(quote_ident(o.rolname), 'PUBLIC'), ', ')
                  FROM unnest(p.polroles) AS u(oid) LEFT JOIN pg_roles o USING (oid)),
               ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
               ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')),
             json_build_array({part_remark("POLICY", "p.polname", "pg_policy", "p.oid")}),
             NULL, json_build_array(n.nspname, c.relname), p.polname)
      FROM node JOIN pg_policy p ON p.oid = node.objid {OF_TABLE.format("p.polrelid")}
     WHERE node.classid = 'pg_policy'::regclass"""


class DependentPolicy(DependentPart):
    """A policy that depends on something."""

    kind = Policy.kind
    section = _POLICY
    is_declared_alone = True
    keeps_columns = True
    is_of_one_table = True

    def texts(self, stored: Policy) -> Sequence[str | None]:
        return (stored.using, stored.check)
