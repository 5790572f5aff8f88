"""Default privileges, and what they do to objects that the same run creates."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Deploy, run

pytestmark = one_version


@pytest.fixture
def roles(database: Database) -> dict[str, str]:
    names = {name: f"{name}_{secrets.token_hex(3)}" for name in "abc"}
    for name in names.values():
        database.psql(f"CREATE ROLE {name}")
    database.psql("CREATE SCHEMA s")
    return names


def acls(database: Database) -> list[str]:
    return database.psql(
        "SELECT defaclrole::regrole, nspname, defaclobjtype, defaclacl FROM pg_default_acl "
        "LEFT JOIN pg_namespace n ON n.oid = defaclnamespace ORDER BY 1, 2, 3"
    ).splitlines()


def settles(database: Database, deploy: Deploy) -> None:
    """A second run changes nothing."""
    assert run(database, deploy).succeeded().plan.changes
    assert not run(database, deploy).succeeded().plan.changes


def test_they_are_granted_and_revoked(database: Database, roles: dict[str, str]) -> None:
    a, b = roles["a"], roles["b"]

    def deploy(present: bool) -> None:
        with pg.transaction():
            pg.default_privileges("SELECT", on="TABLES", to=[a, b], in_schema="s", present=present)
            pg.default_privileges(
                "USAGE", on="types", to=a, for_role=b, grant_option=True, present=present
            )
            pg.default_privileges("EXECUTE", on="FUNCTIONS", to="PUBLIC", present=not present)

    settles(database, lambda: deploy(True))
    assert acls(database) == [
        f"postgres|s|r|{{{a}=r/postgres,{b}=r/postgres}}",
        "postgres||f|{postgres=X/postgres}",
        f"{b}||T|{{=U/{b},{a}=U*/{b},{b}=U/{b}}}",
    ]
    settles(database, lambda: deploy(False))
    assert acls(database) == []


def test_exact_leaves_nothing_else(database: Database, roles: dict[str, str]) -> None:
    a = roles["a"]
    database.psql(f"ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT ALL ON SEQUENCES TO {a}")
    settles(
        database,
        lambda: pg.default_privileges("USAGE", on="SEQUENCES", to=a, in_schema="s", exact=True),
    )
    assert acls(database) == [f"postgres|s|S|{{{a}=U/postgres}}"]


def test_all_stays_all(database: Database, roles: dict[str, str]) -> None:
    settles(database, lambda: pg.default_privileges("ALL", on="TABLES", to=roles["a"]))


def test_new_objects_have_them_in_the_same_run(database: Database, roles: dict[str, str]) -> None:
    a, b, c = roles.values()
    database.psql(f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT ON TABLES TO {a}")

    def deploy() -> None:
        with pg.transaction():
            pg.default_privileges("EXECUTE", on="FUNCTIONS", to="PUBLIC", present=False)
            pg.default_privileges("DELETE", on="TABLES", to=b, in_schema="s")
            pg.table("s.t", [pg.Column("id", "integer")], owner=c)
            pg.function("s.f", returns="integer", body="SELECT 1")
            pg.grant("SELECT", on="s.t", to=a, exact=True)
            pg.grant("DELETE", on="s.t", to=b)
            pg.grant("EXECUTE", on="FUNCTION s.f()", to="PUBLIC", present=False)

    outcome = run(database, deploy).succeeded()
    titles = [change.title for change in outcome.plan.changes]
    assert f"grant on TABLE s.t to {a}" in titles
    assert f"grant on TABLE s.t to {b}" not in titles
    assert "grant on FUNCTION s.f() to PUBLIC" not in titles
    granted = database.psql("SELECT relacl FROM pg_class WHERE relname = 't'")
    assert f"{a}=r/{c}" in granted
    assert f"{b}=d/{c}" in granted
    assert not run(database, deploy).succeeded().plan.changes


def test_what_declared_ones_give_counts_as_declared(
    database: Database, roles: dict[str, str]
) -> None:
    a, b = roles["a"], roles["b"]
    database.psql("CREATE TABLE s.older ()")

    def deploy(exact: bool = True) -> None:
        with pg.transaction(exact=exact):
            pg.default_privileges("SELECT", on="TABLES", to=a, in_schema="s")
            pg.default_privileges("EXECUTE", on="FUNCTIONS", to=b)
            pg.table("s.t", [pg.Column("id", "integer")])
            pg.table("s.older", [pg.Column("id", "integer")])
            pg.function("s.f", language="sql", returns="integer", body="SELECT 1")

    def privileges() -> str:
        return database.psql(
            "SELECT relname, relacl FROM pg_class WHERE relname IN ('t', 'older') ORDER BY 1"
        )

    settles(database, deploy)
    provided = privileges()
    assert f"{a}=r/" in provided.splitlines()[1]
    assert run(database, lambda: deploy(False)).succeeded().plan.undeclared == []
    database.psql(f"GRANT INSERT ON s.t TO {a}; GRANT INSERT ON s.older TO {a}")
    settles(database, deploy)
    assert f"{a}=r/" in privileges().splitlines()[1]
    assert f"{a}=" not in privileges().splitlines()[0]


ONE = """SELECT privilege_type, is_grantable FROM {from_}, aclexplode({acl})
          WHERE grantee = '{role}'::regrole ORDER BY 1"""
ON_TABLE = ONE.replace("{from_}", "pg_class").replace("{acl}", "relacl")
BY_DEFAULT = ONE.replace("{from_}", "pg_default_acl").replace("{acl}", "defaclacl")
MIXED = [("INSERT", "f"), ("SELECT", "t")]


@pytest.mark.parametrize("in_block", [True, False])
@pytest.mark.parametrize("exact", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("start", ["", "WITH GRANT OPTION"])
def test_exact_privileges_of_several_operations_are_taken_together(
    start: str,
    exact: tuple[bool, bool],
    in_block: bool,
    database: Database,
    roles: dict[str, str],
) -> None:
    role = roles["a"]
    many = f"SELECT, INSERT, DELETE ON {{}} TO {role} {start}"
    database.psql(
        f"CREATE SCHEMA shop; CREATE TABLE shop.t (); GRANT {many.format('shop.t')}; "
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT {many.format('TABLES')}"
    )
    first, second = exact

    def deploy() -> None:
        with pg.transaction() if in_block else nullcontext():
            pg.grant("SELECT", on="shop.t", to=role, grant_option=True, exact=first)
            pg.grant("INSERT", on="shop.t", to=role, exact=second)
            common: dict[str, Any] = {"on": "TABLES", "in_schema": "shop", "to": role}
            pg.default_privileges("SELECT", grant_option=True, exact=first, **common)
            pg.default_privileges("INSERT", exact=second, **common)

    run(database, deploy).succeeded()
    for query in (ON_TABLE, BY_DEFAULT):
        assert database.rows(query.format(role=role)) == MIXED
    before = database.dump()
    again = run(database, deploy).succeeded()
    assert database.dump() == before
    if in_block:
        assert again.plan.changes == []
