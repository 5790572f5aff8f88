"""Roles belong to the whole server: databases that declare the same ones do not collide."""

from __future__ import annotations

import re

from harness import Database, Databases, Project, finished, one_version

# Each round is a transaction of its own with roles that nobody has made yet.
ROUNDS = 6
DEPLOY = f"""
for n in range({ROUNDS}):
    with pg.transaction():
        pg.role(f"clash_{{n}}_a", login=False, comment="first")
        pg.role(f"clash_{{n}}_b", login=True, connection_limit=3, member_of=[f"clash_{{n}}_a"])
        pg.table(f"t_{{n}}", [pg.Column("id", "integer")], owner=f"clash_{{n}}_a")
        pg.grant(["SELECT"], on=f"TABLE t_{{n}}", to=f"clash_{{n}}_b")
"""
CHANGED = DEPLOY.replace('"first"', '"second"').replace("limit=3", "limit=4")


def check(databases: list[Database], comment: str, limit: int) -> None:
    dumps = {re.sub(r"test_\w+", "", one.dump()) for one in databases}
    assert len(dumps) == 1
    assert databases[0].rows(
        r"""SELECT r.rolname, r.rolcanlogin, r.rolconnlimit, shobj_description(r.oid, 'pg_authid'),
                   (SELECT string_agg(g.rolname, ',') FROM pg_auth_members m
                    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
            FROM pg_roles r WHERE rolname ~ '^clash_'
            ORDER BY split_part(rolname, '_', 2)::integer, rolname"""
    ) == [
        row
        for n in range(ROUNDS)
        for row in (
            (f"clash_{n}_a", "f", "-1", comment, ""),
            (f"clash_{n}_b", "t", str(limit), "", f"clash_{n}_a"),
        )
    ]


@one_version
def test_many_databases_in_one_run(project: Project, new_database: Databases) -> None:
    databases = [new_database() for _ in range(4)]
    project.inventory({database.name: database.dsn for database in databases})
    project.deploy(DEPLOY)
    project.run().succeeded()
    check(databases, "first", 3)
    project.deploy(CHANGED)
    project.run().succeeded()
    check(databases, "second", 4)


def test_two_runs_at_once(project: Project, pair: tuple[Database, Database]) -> None:
    for host, database in zip(("one", "two"), pair, strict=True):
        project.inventory({host: database.dsn}, name=f"{host}.py")
    for text, outcome in ((DEPLOY, ("first", 3)), (CHANGED, ("second", 4))):
        project.deploy(text)
        for process in [project.start(f"{host}.py", "deploy.py", "-y") for host in ("one", "two")]:
            finished(process).succeeded()
        check(list(pair), *outcome)


@one_version
def test_withdrawing_the_same_roles_at_once(project: Project, new_database: Databases) -> None:
    databases = [new_database() for _ in range(4)]
    project.inventory({database.name: database.dsn for database in databases})
    project.deploy(
        """
        for n in range(4):
            with pg.transaction():
                pg.role(f"clash_{n}")
        """
    )
    project.run().succeeded()
    project.deploy(
        """
        for n in range(4):
            with pg.transaction():
                pg.role(f"clash_{n}", present=False)
        """
    )
    project.run().succeeded()
    assert databases[0].psql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^clash_'") == "0"
