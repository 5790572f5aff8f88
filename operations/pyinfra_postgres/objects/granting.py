"""The privileges of what is made anew, granted again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..comparison.asking import Ask
from ..plan.plan import Statement
from ..syntax.acl import Acl
from ..syntax.names import Name, quoted, role_sql

_DEFAULT_LETTERS = {"TABLE": "r", "FUNCTION": "f", "PROCEDURE": "f", "TYPE": "T"}


def default_privileges(ask: Ask) -> list[tuple[str, str]]:
    """Of what the role creates, by the letter of pg_default_acl, who else gets privileges."""
    found = ask(
        "SELECT DISTINCT json_build_array(d.defaclobjtype, coalesce(r.rolname, 'public'))::jsonb "
        "FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) e "
        "LEFT JOIN pg_roles r ON r.oid = e.grantee "
        "WHERE d.defaclrole = current_user::regrole AND e.grantee <> d.defaclrole"
    )
    return [(letter, role) for letter, role in found]


def granted_again(
    kind: str, key: Key, defaults: Sequence[tuple[str, str]], catalog: Forecast
) -> Iterator[Statement]:
    """What gives an object that is made anew the privileges that the catalog has of it."""
    acl = catalog.acls.get(key)
    if acl is None:
        return
    name = Name(key[1], key[2])
    target = f"{kind} {name}({key[3]})" if len(key) > 3 else f"{kind} {name}"
    extra = {role for letter, role in defaults if letter == _DEFAULT_LETTERS[kind]} - {acl.owner}
    usual = Acl.read(kind, acl.owner, None, catalog.version).granted
    extra |= {grantee for grantee, one in usual if (grantee, one) not in acl.granted}
    there = {one for one in usual if one[0] not in extra}
    for role in sorted(extra):
        yield Statement(f"REVOKE ALL ON {target} FROM {role_sql(role)}")
    yield from _grants(target, "", acl, there)
    if kind == "TABLE":
        for (of, *rest), one in sorted(catalog.acls.items()):
            if of == "COLUMN" and rest[:2] == [*name]:
                yield from _grants(target, f" ({quoted(rest[2])})", one, set())


def _grants(
    target: str, columns: str, acl: Acl, there: set[tuple[str, str]]
) -> Iterator[Statement]:
    privileges: dict[tuple[str, bool], list[str]] = {}
    for (grantee, privilege), option in sorted(acl.granted.items()):
        if (grantee, privilege) not in there:
            privileges.setdefault((grantee, option), []).append(privilege + columns)
    for (grantee, option), names in privileges.items():
        also = " WITH GRANT OPTION" if option else ""
        yield Statement(f"GRANT {', '.join(names)} ON {target} TO {role_sql(grantee)}{also}")
