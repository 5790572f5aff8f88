"""What a change needs the role that deploys to do, and the role lacks.

Pure: no I/O, no pyinfra state. https://www.postgresql.org/docs/current/role-membership.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..plan.plan import Need
from ..syntax.names import Exact, Name, quoted
from .catalog import Forecast
from .entry import Entry
from .platforms import platform_of
from .rights import is_granted


def needed(
    one: Entry, current: Entry | None, target: Entry | None, catalog: Forecast
) -> Iterator[Need]:
    """What it takes to create, change, give away or remove an object of most kinds."""
    rights, holder = catalog.rights, one.belongs_to()
    if rights.superuser:
        return
    owner = _owner(current, catalog) if current else rights.role
    if holder and holder.kind == "table":
        acl = catalog.acls.get(("TABLE", *holder.name))
        yield from rights_of(acl.owner if acl else None, catalog, f", who owns table {holder.name}")
        if current is None and one.is_beside_its_table:
            yield from _create_in(holder.name.schema, rights.role, rights.holds, catalog)
    elif current is not None:
        yield from rights_of(owner, catalog, ", who owns it")
    elif holder:
        yield from _create_in(holder.name.name, rights.role, rights.holds, catalog)
    after = getattr(target, "owner", None)
    if after and after != owner:
        if after not in rights.becomes:
            yield Need(
                rights.role, f"to become {quoted(after)}", _membership(after, catalog), after
            )
        if holder and holder.kind == "schema" and not is_superuser(after, catalog):
            yield from _create_in(holder.name.name, after, _reach(after, catalog), catalog)


def rights_of(role: str | None, catalog: Forecast, why: str = "") -> Iterator[Need]:
    """What it takes to change what another role has made; of nobody's nothing is known."""
    rights = catalog.rights
    if role is None or rights.has(role):
        return
    remedy = _membership(role, catalog)
    if is_superuser(role, catalog) or platform_of(role):
        remedy = f"run as {quoted(role)}, or have it made over to {quoted(rights.role)}"
    yield Need(rights.role, f"the rights of {quoted(role)}{why}", remedy, Exact(role))


def _membership(group: str, catalog: Forecast) -> str:
    """The statement that lets the role have another's rights, and become it."""
    option = " WITH INHERIT TRUE, SET TRUE" if catalog.version >= 160000 else ""
    return f"GRANT {quoted(group)} TO {quoted(catalog.rights.role)}{option}"


def reference_to(table: Name, catalog: Forecast) -> Iterator[Need]:
    """What a foreign key to a table takes; the privilege on columns of it may be enough."""
    rights = catalog.rights
    if rights.may("REFERENCES", catalog.acls.get(("TABLE", *table))):
        return
    columns = (acl for key, acl in catalog.acls.items() if key[:3] == ("COLUMN", *table))
    if not any(rights.may("REFERENCES", acl) for acl in columns):
        grant = f"GRANT REFERENCES ON TABLE {table} TO {quoted(rights.role)}"
        yield Need(rights.role, f"REFERENCES on table {table}", grant)


def selects(role: str, tables: Iterable[Name], catalog: Forecast) -> Iterator[Need]:
    """What another role lacks to read tables, or a column of each."""
    if is_superuser(role, catalog):
        return
    roles = _reach(role, catalog)
    for table in tables:
        columns = (acl for key, acl in catalog.acls.items() if key[:3] == ("COLUMN", *table))
        own = catalog.acls.get(("TABLE", *table))
        if not any(
            is_granted(roles, "SELECT", acl) or acl is None or acl.owner in roles
            for acl in (own, *columns)
        ):
            grant = f"GRANT SELECT ON TABLE {table} TO {quoted(role)}"
            yield Need(role, f"SELECT on table {table}", grant)


def is_superuser(role: str, catalog: Forecast) -> bool:
    """Whether a role may do everything."""
    return bool(getattr(catalog.objects.get(("role", role)), "superuser", False))


def _create_in(schema: str, role: str, roles: set[str], catalog: Forecast) -> Iterator[Need]:
    """What it takes to have something in a schema."""
    if not is_granted(roles, "CREATE", catalog.acls.get(("SCHEMA", schema))):
        where = f"SCHEMA {quoted(schema)}"
        grant = f"GRANT CREATE ON {where} TO {quoted(role)}"
        yield Need(role, f"CREATE on schema {quoted(schema)}", grant)


def create_on_database(catalog: Forecast) -> Iterator[Need]:
    """What it takes to create schemas, and extensions that are trusted."""
    rights = catalog.rights
    if not rights.may("CREATE", catalog.acls.get(("DATABASE", catalog.database))):
        database = quoted(catalog.database)
        grant = f"GRANT CREATE ON DATABASE {database} TO {quoted(rights.role)}"
        yield Need(rights.role, f"CREATE on database {database}", grant)


def usage(one: Entry, catalog: Forecast) -> list[Need]:
    """What it takes to find what a declaration names."""
    rights = catalog.rights
    named = _schemas(one, catalog) if rights.closed else set()
    return [
        Need(
            rights.role,
            f"USAGE on schema {quoted(schema)}",
            f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(rights.role)}",
        )
        for schema in sorted(rights.closed & named)
    ]


def _schemas(one: Entry, catalog: Forecast) -> set[str]:
    """The schemas in which a declaration names something."""
    own = getattr(one, "name", None)
    found = {own.schema} if isinstance(own, Name) else set()
    for kind, name in one.requires():
        in_public = kind == "function" and Name("public", name.name) in catalog.functions
        found.add(name.schema or ("public" if in_public else ""))
    # The key of what is in a schema begins with its kind and the schema.
    former = [each.old for each in one.renames(catalog) if catalog.holds(each.old, each.whole)]
    return found | {key[1] for key in former if len(key) > 2}


def _owner(one: Entry, catalog: Forecast) -> str | None:
    found = catalog.acls.get((one.acl, *one.key()[1:]))
    return found.owner if found else getattr(one, "owner", None)


def _reach(role: str, catalog: Forecast) -> set[str]:
    """The roles whose privileges another role has, as far as memberships tell."""
    found: set[str] = set()
    waiting = [role]
    database = catalog.acls.get(("DATABASE", catalog.database))
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        groups = getattr(catalog.objects.get(("role", one)), "member_of", ())
        waiting += [group.role for group in groups if group.inherit is not False]
        if database and database.owner == one:
            waiting.append("pg_database_owner")
    return found
