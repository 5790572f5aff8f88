"""Every kind of object under every kind of name."""

from __future__ import annotations

from harness import Database, one_version
from kinds.conftest import Deploy

NAMES = [
    "Mixed Case",
    "has.dots.in it",
    'double""quote"s',
    "select",
    "user",
    "2 starts with a digit",
    "it's; -- $$ not {} %s \\ SQL",
    "größe_名前",
    "é" * 31 + "x",  # 63 bytes
    "x" * 63,
    " spaces around ",
    "tab\tnew\nline",
]

DEPLOY = """
NAMES = {names!r}

def q(name):
    return '"' + name.replace('"', '""') + '"'

with pg.transaction():
    pg.schema("types")
    for name in NAMES:
        n = q(name)
        pg.role(n, login=False, comment=name)
        pg.schema(n, owner=n, comment=name)
        pg.enum(f"types.{{n}}", [name, "other"], owner=n, comment=name)
        pg.function(f"{{n}}.{{n}}", arguments=f"{{n}} integer DEFAULT 1", returns="integer",
                    body="SELECT 1", owner=n, comment=name)
        pg.function(f"{{n}}.{{n}}", arguments="", returns="trigger", language="plpgsql",
                    body="BEGIN RETURN NEW; END")
        label = "'" + name.replace("'", "''") + "'"
        pg.table(f"{{n}}.{{n}}",
                 [pg.Column(n, "integer", primary_key=True, comment=name),
                  pg.Column("state", f"types.{{n}}",
                            default=f"{{label}}::types.{{n}}" if "\\\\" not in name else None),
                  pg.Column("parent", "integer"),
                  pg.Column("calls", "integer", default=f"{{n}}.{{n}}(2)")],
                 constraints=[pg.Check(f"{{n}} > 0", name=f"{{n}}"),
                              pg.Unique(n, "parent"),
                              pg.ForeignKey("parent", references=f"{{n}}.{{n}}({{n}})")],
                 row_security=True, owner=n, comment=name)
        pg.policy(n, f"{{n}}.{{n}}", roles=[n], using=f"{{n}} = 1", comment=name)
        pg.trigger(n, f"{{n}}.{{n}}", when=f"BEFORE UPDATE OF {{n}}", function=f"{{n}}.{{n}}()",
                   condition=f"NEW.{{n}} > 1", comment=name)
        pg.index(q(name[:20] + " i"), f"{{n}}.{{n}}", [n, f"({{n}} + 1) DESC"],
                 where=f"{{n}} > 0", comment=name)
        pg.grant(["SELECT", f"UPDATE ({{n}})"], on=f"TABLE {{n}}.{{n}}", to=n, grant_option=False)
        pg.grant("USAGE", on=f"TYPE types.{{n}}", to="PUBLIC")
        pg.grant("USAGE", on=f"SCHEMA {{n}}", to=[n, "pg_monitor"])
        pg.grant("EXECUTE", on=f"FUNCTION {{n}}.{{n}}(integer)", to="pg_monitor")
"""

REMOVAL = """
NAMES = {names!r}

def q(name):
    return '"' + name.replace('"', '""') + '"'

with pg.transaction():
    for name in NAMES:
        n = q(name)
        pg.index(q(name[:20] + " i"), f"{{n}}.{{n}}", present=False)
        pg.trigger(n, f"{{n}}.{{n}}", present=False)
        pg.policy(n, f"{{n}}.{{n}}", present=False)
        pg.table(f"{{n}}.{{n}}", present=False)
        pg.function(f"{{n}}.{{n}}", arguments="", present=False)
        pg.function(f"{{n}}.{{n}}", arguments="integer", present=False)
        pg.enum(f"types.{{n}}", present=False)
        pg.schema(n, present=False)
        pg.role(n, present=False)
    pg.schema("types", present=False)
"""


def names_in(database: Database, catalog: str, column: str, where: str = "true") -> set[str]:
    """The names in one of PostgreSQL's catalogs."""
    return {row[0] for row in database.rows(f"SELECT {column} FROM {catalog} WHERE {where}")}


@one_version
def test_every_kind_takes_any_identifier(deploy: Deploy) -> None:
    database = deploy.database
    empty = database.dump()
    deploy.apply(DEPLOY.format(names=NAMES))
    for catalog, column in [
        ("pg_roles", "rolname"),
        ("pg_namespace", "nspname"),
        ("pg_type", "typname"),
        ("pg_enum", "enumlabel"),
        ("pg_class", "relname"),
        ("pg_attribute", "attname"),
        ("pg_proc", "proname"),
        ("pg_trigger", "tgname"),
        ("pg_policy", "polname"),
        ("pg_constraint", "conname"),
        ("pg_description", "description"),
        ("pg_shdescription", "description"),
    ]:
        assert set(NAMES) <= names_in(database, catalog, column), catalog
    owned = database.psql(
        "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE relkind = 'r' AND relname = rolname"
    )
    assert owned == str(len(NAMES))
    granted = database.psql(
        "SELECT count(*) FROM information_schema.column_privileges "
        "WHERE privilege_type = 'UPDATE' AND grantee = table_name AND column_name = table_name"
    )
    assert granted == str(len(NAMES))
    deploy.apply(REMOVAL.format(names=NAMES))
    assert database.dump() == empty
    assert not set(NAMES) & names_in(database, "pg_roles", "rolname")


@one_version
def test_partitions_of_a_table_with_any_name(deploy: Deploy) -> None:
    names = [name for name in NAMES if len(name.encode()) < 55]
    deploy.apply(
        f"NAMES = {names!r}\n"
        + """
with pg.transaction():
    for name in NAMES:
        n = '"' + name.replace('"', '""') + '"'
        pg.table(n, [pg.Column(n, "date")], partition_by=f"RANGE ({n})")
        pg.partitions(n, every="year", start="2024", default=True)
""",
        "--data",
        "postgres_today=2025-03-01",
    )
    children = names_in(deploy.database, "pg_inherits", "inhrelid::regclass::text")
    assert len(children) == 4 * len(names)
    bare = names_in(deploy.database, "pg_class", "relname", "relispartition")
    assert bare == {
        f"{name}_{end}" for name in names for end in ("2024", "2025", "2026", "default")
    }
