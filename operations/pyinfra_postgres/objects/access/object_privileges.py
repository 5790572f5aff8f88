"""Privileges on objects, as they are and as they are granted.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import Any, ClassVar, NamedTuple, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import SYSTEM, Declared, Forecast
from ...catalog.entry import Key
from ...catalog.platforms import platform_of
from ...catalog.snapshot import Snapshot
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Need, Statement
from ...syntax.acl import PUBLIC, Acl
from ...syntax.names import Exact, Name, listed, literal, quoted, role_sql
from ...syntax.parse import (
    Reference,
    role_references,
)
from ..kind import Object

TARGETS = {
    "OBJECT_TABLE": "TABLE",
    "OBJECT_SEQUENCE": "SEQUENCE",
    "OBJECT_SCHEMA": "SCHEMA",
    "OBJECT_FUNCTION": "FUNCTION",
    "OBJECT_PROCEDURE": "PROCEDURE",
    "OBJECT_TYPE": "TYPE",
    "OBJECT_DATABASE": "DATABASE",
}


_ROUTINES = ("FUNCTION", "PROCEDURE")


class Target(NamedTuple):
    """What privileges are on: a kind and the parts of its name."""

    kind: str
    name: tuple[str, ...]

    def __str__(self) -> str:
        if not self.name:
            return self.kind
        if self.kind in _ROUTINES:
            schema, name, arguments = self.name
            return f"{self.kind} {Name(schema, name)}({arguments})"
        return f"{self.kind} {'.'.join(map(quoted, self.name))}"

    @property
    def text(self) -> str:
        """Its name alone."""
        return str(self).removeprefix(f"{self.kind} ")

    def reference(self) -> Reference | None:
        """The object that has to exist, where the catalog knows its kind."""
        match self.kind:
            case "TABLE" | "SEQUENCE":
                return Reference("table", Name(*self.name))
            case "SCHEMA":
                return Reference("schema", Name("", self.name[0]))
            case "TYPE":
                return Reference("type", Name(*self.name))
            case "FUNCTION" | "PROCEDURE":
                return Reference("function", Name(self.name[0], self.name[1]))
        return None


class Privilege(NamedTuple):
    """A privilege, on a column where one is named."""

    name: str
    column: str = ""


@frozen
class Privileges(Object):
    """What one role may do with one object."""

    kind: ClassVar[str] = "grant"
    word: ClassVar[str] = "grants"
    locks_nothing: ClassVar[bool] = True

    target: Target
    grantee: Exact
    granted: frozenset[Privilege]
    grantable: frozenset[Privilege] = frozenset()
    exact: bool = field(default=False, eq=False)
    sole: bool = field(default=False, eq=False)
    """Whether it is all that the run declares."""
    grantors: Mapping[Privilege, Set[str]] = field(factory=dict, eq=False)
    """Who has granted it, where that is not the owner alone."""
    passed_on: Mapping[Privilege, Sequence[str]] = field(factory=dict, eq=False)
    """To whom the role has granted it, where it is not the owner."""
    owner: str = field(default="", eq=False)
    """Who owns what it is on."""

    @property
    def prefix(self) -> str:
        """What comes before GRANT and REVOKE."""
        return ""

    @property
    def title(self) -> str:
        return f"grant on {self.target} to {role_sql(self.grantee)}"

    @property
    def exists(self) -> bool:
        return bool(self.granted)

    def key(self) -> Key:
        return (self.kind, self.target.kind, *self.target.name, self.grantee)

    def lines(self) -> Iterator[str]:
        for one in sorted(self.granted):
            column = f" ({quoted(one.column)})" if one.column else ""
            option = " with grant option" if one in self.grantable else ""
            yield f"{one.name}{column}{option}"

    def requires(self) -> Iterator[Reference]:
        reference = self.target.reference()
        if reference:
            yield reference
        yield from role_references(self.grantee)

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        if (self.target.kind, *self.target.name) not in catalog.acls:
            _ask(self.target, catalog, ask)
        return self.stored(catalog)

    def stored(self, catalog: Forecast) -> Self | None:
        """What the role may do as the catalog has it; None where there is no such object."""
        acl = catalog.acls.get((self.target.kind, *self.target.name))
        if acl is None:
            return None
        return self.as_in(
            {"": acl} | {key[-1]: one for key, one in _column_acls(self.target, catalog)}
        )

    def as_in(self, acls: Mapping[str, Acl]) -> Self:
        """What the role may do by access control lists: its own under "", those of columns."""
        option: dict[Privilege, bool] = {}
        grantors: dict[Privilege, Set[str]] = {}
        passed_on: dict[Privilege, list[str]] = {}
        for column, acl in acls.items():
            for (grantee, name), by in sorted(acl.grantors.items()):
                if self.grantee in by and self.grantee != acl.owner:
                    passed_on.setdefault(Privilege(name, column), []).append(grantee)
            for (grantee, name), is_grantable in acl.granted.items():
                if grantee == self.grantee:
                    option[Privilege(name, column)] = is_grantable
                    if (grantee, name) in acl.grantors:
                        grantors[Privilege(name, column)] = acl.grantors[grantee, name]
        grantable = frozenset(one for one in option if option[one])
        return evolve(
            self,
            granted=frozenset(option),
            grantable=grantable,
            grantors=grantors,
            passed_on=passed_on,
            owner=acls[""].owner,
        )

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        if self.sole:
            return self
        # A privilege on the whole table covers its columns.
        wanted = {one for one in self.granted if Privilege(one.name) not in current.granted}
        return evolve(
            self, granted=current.granted | wanted, grantable=current.grantable | self.grantable
        )

    def alone(self, declared: Sequence[Object]) -> Self | None:
        if not self.exact:
            return None
        every = [one for one in declared if isinstance(one, Privileges)]
        held = self.granted.union(*(one.granted for one in every))
        return evolve(
            self,
            granted=held,
            grantable=self.grantable.union(*(one.grantable for one in every)),
            sole=True,
        )

    def withdrawn(self, current: Self) -> Self:
        held = current.granted - self.granted
        return evolve(current, granted=held, grantable=current.grantable & held)

    def giving_way(self, later: Self) -> Self:
        return self  # What several give is given together.

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        key = (self.target.kind, *self.target.name)
        acl = catalog.acls.get(key, Acl())
        granted = {
            (grantee, name): option
            for (grantee, name), option in acl.granted.items()
            if grantee != self.grantee
        }
        granted |= {
            (self.grantee, one.name): one in self.grantable
            for one in self.granted
            if not one.column
        }
        catalog.acls[key] = acl.changed(granted)
        before = current.granted if current else frozenset()
        for name in {one.column for one in self.granted | before if one.column}:
            column = ("COLUMN", *self.target.name, name)
            acl = catalog.acls.get(column, Acl())
            others = {key: option for key, option in acl.granted.items() if key[0] != self.grantee}
            own = {
                (self.grantee, one.name): one in self.grantable
                for one in self.granted
                if one.column == name
            }
            catalog.acls[column] = acl.changed(others | own)

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        rights = catalog.rights
        acl = catalog.acls.get((self.target.kind, *self.target.name))
        given = (target.granted if target else frozenset()) - (
            current.granted if current else frozenset()
        )
        names = {one.name for one in given}
        if lacking := {one for one in names if not rights.may(one, acl, with_option=True)}:
            listing = ", ".join(sorted(lacking))
            grant = f"GRANT {listing} ON {self.target} TO {quoted(rights.role)} WITH GRANT OPTION"
            yield Need(rights.role, f"{listing} with grant option", grant)

    @staticmethod
    def diff(current: Privileges | None, declared: Privileges | None) -> Iterator[Statement]:
        """GRANT what is missing and REVOKE what is too much, and nothing else."""
        assert declared
        held = current.granted if current else frozenset()
        grantable = current.grantable if current else frozenset()
        grantee = role_sql(declared.grantee)
        grant, on = f"{declared.prefix}GRANT", str(declared.target)
        excess = held - declared.granted
        if current and excess:
            yield from _revoked(current, excess, "", declared)
        bare = (grantable - declared.grantable) & declared.granted
        if current and bare:
            yield from _revoked(current, bare, "GRANT OPTION FOR ", declared)
        # What is revoked from a table is revoked from each of its columns.
        gone = {one.name for one in excess if not one.column}
        missing = declared.granted - {one for one in held if not (one.column and one.name in gone)}
        plain = missing - declared.grantable
        with_option = (missing & declared.grantable) | (declared.grantable - grantable)
        if plain:
            yield Statement(f"{grant} {_listed(plain)} ON {on} TO {grantee}")
        if with_option:
            yield Statement(
                f"{grant} {_listed(with_option)} ON {on} TO {grantee} WITH GRANT OPTION"
            )


def _revoked(
    current: Privileges, privileges: Set[Privilege], what: str, declared: Privileges
) -> Iterator[Statement]:
    """REVOKE; what others than the owner have granted is revoked in their name.

    Raises DeclarationError where the role has granted it on.
    """
    for one in sorted(privileges & current.passed_on.keys()):
        others = ", ".join(map(role_sql, current.passed_on[one]))
        raise DeclarationError(
            f"{role_sql(current.grantee)} has granted {_listed([one])} on {current.target} to "
            f"{others}, which would lose it: revoke it from {others} before"
        )
    by: dict[str, set[Privilege]] = {}
    for one in privileges:
        for grantor in current.grantors.get(one, {""}):
            by.setdefault(grantor, set()).add(one)
    for grantor, found in sorted(by.items()):
        revoke = (
            f"{declared.prefix}REVOKE {what}{_listed(found)} ON {declared.target} "
            f"FROM {role_sql(declared.grantee)}"
        )
        if not grantor or grantor == current.owner:
            yield Statement(revoke)
            continue
        yield Statement(f"SET LOCAL ROLE {quoted(grantor)}")
        yield Statement(revoke)
        yield Statement("RESET ROLE")


def platform_of_grantee(grantee: str) -> str | None:
    """Whose role it is, where what it may do is not the user's to take away."""
    return None if grantee == PUBLIC else platform_of(grantee)


def undeclared_privileges(
    one: Object, catalog: Forecast, known: Mapping[Key, Sequence[Declared]]
) -> Iterator[tuple[Privileges, Privileges]]:
    """What roles may do with an object and no operation of the run declares.

    The privileges that are too much, and the declaration that leaves none of them. What owners and
    PUBLIC have from the start belongs to the object.
    """
    target = Target(one.acl, one.key()[1:])
    acl = catalog.acls.get((target.kind, *target.name))
    if acl is None:
        return
    columns = [one for _, one in _column_acls(target, catalog)]
    grantees = {grantee for each in (acl, *columns) for grantee, _ in each.granted}
    grantees = {one for one in grantees - {acl.owner} if not platform_of_grantee(one)}
    if not grantees:
        return
    implicit = {*Acl.read(target.kind, acl.owner, None, catalog.version).granted}
    if target == ("SCHEMA", ("public",)):
        implicit.add((PUBLIC, "USAGE"))
    for grantee in _last_grantors(grantees, [acl, *columns]):
        empty = Privileges(target, Exact(grantee), frozenset(), sole=True)
        current = empty.stored(catalog)
        assert current
        own = {Privilege(name) for role, name in implicit if role == grantee} & current.granted
        entries = [entry.declaration for entry in known.get(empty.key(), ())]
        declared = [entry for entry in entries if isinstance(entry, Privileges)]
        provided = list(_provided(empty, acl.owner, catalog, known))
        own |= frozenset[Privilege]().union(*(each.granted for each in provided)) & current.granted
        option = frozenset[Privilege]().union(*(each.grantable for each in provided))
        exact = evolve(
            empty,
            granted=frozenset(own.union(*(each.granted for each in declared))),
            grantable=(option & current.grantable).union(*(each.grantable for each in declared)),
        )
        excess = (current.granted - exact.granted) | (current.grantable - exact.grantable)
        if excess:
            yield evolve(current, granted=excess, grantable=current.grantable & excess), exact


def privileges_on(target: Target, catalog: Forecast) -> dict[str, Privileges]:
    """What roles other than the owner may do with an object, by the role."""
    acl = catalog.acls.get((target.kind, *target.name))
    if acl is None:
        return {}
    columns = [one for _, one in _column_acls(target, catalog)]
    grantees = {grantee for each in (acl, *columns) for grantee, _ in each.granted} - {acl.owner}
    every = (Privileges(target, Exact(one), frozenset(), sole=True) for one in sorted(grantees))
    return {one.grantee: found for one in every if (found := one.stored(catalog))}


def _last_grantors(grantees: Iterable[str], acls: Sequence[Acl]) -> list[str]:
    """The roles, each behind those to which it has granted something."""
    graph: dict[str, list[str]] = {one: [] for one in sorted(grantees)}
    for acl in acls:
        for (grantee, _), by in sorted(acl.grantors.items()):
            for grantor in by & graph.keys():
                graph[grantor] += [grantee] if grantee in graph else []
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(graph)


def _provided(
    one: Privileges, owner: str, catalog: Forecast, known: Mapping[Key, Sequence[Declared]]
) -> Iterator[Privileges]:
    """The declared default privileges by which the role has got what it may do with an object.

    Who has created the object is its owner, or the role that deploys where that has given it away.
    """
    kind, name = one.target
    on = "FUNCTIONS" if kind in _ROUTINES else f"{kind}S"
    schemas = {"", name[0]} if kind != "SCHEMA" else {""}
    for creator, schema in product({owner, catalog.role}, schemas):
        for entry in known.get(("default_privileges", creator, schema, on, one.grantee), ()):
            if isinstance(entry.declaration, Privileges):
                yield entry.declaration


def _column_acls(target: Target, catalog: Forecast) -> Iterator[tuple[Key, Acl]]:
    if target.kind != "TABLE":
        return
    table = catalog.table(Name(*target.name))
    if table is None:  # A view: there are few with rights of columns.
        yield from [one for one in catalog.acls.items() if one[0][:3] == ("COLUMN", *target.name)]
    for column in getattr(table, "columns", None) or ():
        key = ("COLUMN", *target.name, column.name)
        if key in catalog.acls:
            yield key, catalog.acls[key]


_ROUTINE_ACL = "proowner, proacl, NULL FROM pg_proc WHERE oid = to_regprocedure({})"


_ACLS = {
    "TABLE": """relowner, relacl,
        (SELECT json_object_agg(attname, attacl::text) FROM pg_attribute
          WHERE attrelid = c.oid AND attacl IS NOT NULL)
        FROM pg_class c WHERE oid = to_regclass({})""",
    "SCHEMA": "nspowner, nspacl, NULL FROM pg_namespace WHERE oid = to_regnamespace({})",
    "TYPE": "typowner, typacl, NULL FROM pg_type WHERE oid = to_regtype({})",
    "FUNCTION": _ROUTINE_ACL,
    "PROCEDURE": _ROUTINE_ACL,
}


def _ask(target: Target, catalog: Forecast, ask: Ask) -> None:
    """Read what the catalog leaves out: what is PostgreSQL's own, aggregates, and functions of
    extensions. Raises DeclarationError where PostgreSQL itself has no such thing.
    """
    if target.kind not in _ACLS:
        return
    query = _ACLS[target.kind].format(literal(target.text))
    found = ask(
        "SELECT json_build_array(pg_get_userbyid(owner), acl::text, columns) "
        f"FROM (SELECT {query}) AS q(owner, acl, columns)"
    )
    if not found and target.name[0] in SYSTEM:
        raise DeclarationError(f"this server has no {target}: correct the name")
    for owner, acl, columns in found:
        own = Acl.read(target.kind, owner, acl, catalog.version)
        catalog.acls[target.kind, *target.name] = own
        for column, text in (columns or {}).items():
            of_column = Acl.read("COLUMN", owner, text, catalog.version)
            catalog.acls["COLUMN", *target.name, column] = of_column


def _listed(privileges: Iterable[Privilege]) -> str:
    columns: dict[str, list[str]] = {}
    found = []
    for one in sorted(privileges):
        if one.column:
            columns.setdefault(one.name, []).append(one.column)
        else:
            found.append(one.name)
    return ", ".join([*found, *(f"{name} ({listed(names)})" for name, names in columns.items())])


QUERIES = {
    "database": """
        SELECT json_build_array(datdba::regrole, datacl::text)
          FROM pg_database WHERE datname = current_database()"""
}


def read(sections: dict[str, list[Any]], catalog: Snapshot) -> None:
    ((role, acl),) = sections["database"]
    owner = catalog.roles[role]
    catalog.acls["DATABASE", catalog.database] = Acl.read("DATABASE", owner, acl, catalog.version)
