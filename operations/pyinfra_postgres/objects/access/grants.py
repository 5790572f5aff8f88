"""Privileges: GRANT and REVOKE, as sets.

https://www.postgresql.org/docs/current/sql-grant.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from attrs import field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...errors import DeclarationError
from ...syntax.acl import all_privileges
from ...syntax.names import Exact, Name, quoted, role_sql
from ...syntax.parse import (
    Node,
    Reference,
    bare_type,
    dotted_name,
    relation_name,
    role_references,
    schema_reference,
    statement,
)
from ..kind import Object
from .object_privileges import TARGETS, Privilege, Privileges, Target, platform_of_grantee
from .privileges import grant_target, grantees, privilege_list


@frozen
class Grant(Object):
    """Privileges on objects to roles, as GRANT has them."""

    kind: ClassVar[str] = "grant"
    locks_nothing: ClassVar[bool] = True

    privileges: tuple[str, ...] = field(converter=privilege_list)
    on: str = field(converter=grant_target)
    to: tuple[Exact, ...] = field(converter=grantees)
    grant_option: bool = field(default=False, kw_only=True)
    exact: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._parsed()

    @property
    def title(self) -> str:
        return f"grant on {self.on} to {', '.join(map(role_sql, self.to))}"

    @property
    def is_of_database(self) -> bool:
        return TARGETS[self._parsed()["objtype"]] == "DATABASE"

    def key(self) -> Key:
        return (self.kind, self.on, *self.to)

    def validate(self, present: bool) -> None:
        if present and not self.exact:
            return
        for grantee in self.to:
            if platform := platform_of_grantee(grantee):
                how = "exact=True" if present else "present=False"
                raise DeclarationError(
                    f"{self.title}: what {grantee} may do belongs to {platform}, and {how} would "
                    "take it away"
                )

    def _parsed(self) -> Node:
        sql = f"GRANT {', '.join(self.privileges)} ON {self.on} TO somebody"
        try:
            node: Node = statement(sql)["GrantStmt"]
            target = TARGETS[node["objtype"]]
        except (DeclarationError, KeyError):
            raise DeclarationError(
                f"a grant of {', '.join(self.privileges)} on {self.on!r}: write privileges like "
                "SELECT and what they are on like TABLE sync_progress"
            ) from None
        check_privileges(node, target)
        return node

    def requires(self) -> Iterator[Reference]:
        node = self._parsed()
        kind = TARGETS[node["objtype"]]
        yield from role_references(*self.to)
        if node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            # Sequences come with tables.
            found = "function" if kind == "FUNCTION" else "table"
            for schema in _schemas(node):
                yield schema_reference(schema)
                yield Reference(found, Name(schema, ""))
        for target in _targets(node, kind, Forecast()):
            reference = target.reference()
            if reference:
                yield reference

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        node = self._parsed()
        kind = TARGETS[node["objtype"]]
        if node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            for schema in sorted(_schemas(node)):
                if not catalog.has(schema_reference(schema)):
                    # It has nothing to grant on, and is a gap.
                    nowhere = Target("SCHEMA", (schema,))
                    yield Privileges(nowhere, self.to[0], frozenset({Privilege("USAGE")}))
        for target in _targets(node, kind, catalog):
            if target.kind == "DATABASE" and target.name != (catalog.database,):
                raise DeclarationError(
                    f"{target} is not the one that this host is connected to, "
                    f"{quoted(catalog.database)}: declare it for a host that is"
                )
            wanted = frozenset(privileges_of(node, target.kind, catalog.version))
            option = wanted if self.grant_option else frozenset()
            for grantee in self.to:
                yield Privileges(target, grantee, wanted, option, self.exact)


def check_privileges(node: Node, kind: str) -> None:
    """Raise DeclarationError where a GRANT names a privilege that its kind of object has not."""
    known = {*all_privileges(kind, 170000), "TEMP", "ALL"}
    for one in node.get("privileges", ()):
        name = one["AccessPriv"].get("priv_name", "all").upper()
        if name not in known:
            raise DeclarationError(
                f"a {kind.lower()} has no privilege {name}: "
                f"{', '.join(sorted(known - {'TEMP', 'ALL'}))}"
            )


def privileges_of(node: Node, kind: str, version: int) -> Iterator[Privilege]:
    """The privileges that a GRANT names, ALL in full."""
    if "privileges" not in node:
        yield from map(Privilege, all_privileges(kind, version))
    for one in node.get("privileges", ()):
        item = one["AccessPriv"]
        name = item.get("priv_name", "").upper().replace("TEMPORARY", "TEMP")
        names = (
            all_privileges("COLUMN", version)
            if not name
            else ("TEMPORARY",)
            if name == "TEMP"
            else (name,)
        )
        columns = [part["String"]["sval"] for part in item.get("cols", ())]
        for full in names:
            yield from (Privilege(full, column) for column in columns or [""])


def _schemas(node: Node) -> set[str]:
    return {item["String"]["sval"] for item in node["objects"]}


def _targets(node: Node, kind: str, catalog: Forecast) -> Iterator[Target]:
    if node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
        schemas = _schemas(node)
        for key in sorted(catalog.acls):
            if key[0] == kind and key[1] in schemas:
                yield Target(kind, key[1:])
        return
    for item in node["objects"]:
        match item:
            case {"RangeVar": relation}:
                name = relation_name(relation)
                # GRANT ... ON TABLE works for sequences too.
                is_sequence = catalog.relation_kinds.get(name) == "S"
                yield Target("SEQUENCE" if is_sequence else kind, name)
            case {"ObjectWithArgs": function}:
                yield _routine(function, kind, catalog)
            case {"List": {"items": parts}}:
                yield Target(kind, dotted_name([part["String"]["sval"] for part in parts]))
            case {"String": {"sval": text}}:
                yield Target(kind, (text,))


def _routine(node: Node, kind: str, catalog: Forecast) -> Target:
    name = dotted_name([part["String"]["sval"] for part in node["objname"]])
    if node.get("args_unspecified"):
        same = [key for key in catalog.acls if key[0] == kind and key[1:3] == name]
        if len(same) == 1:
            return Target(kind, same[0][1:])
    arguments = ", ".join(bare_type(one["TypeName"]) for one in node.get("objargs", ()))
    return Target(kind, (*name, arguments))
