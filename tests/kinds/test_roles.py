from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy, outcomes

ATTRIBUTES = (
    "rolcanlogin",
    "rolsuper",
    "rolcreatedb",
    "rolcreaterole",
    "rolinherit",
    "rolreplication",
    "rolbypassrls",
    "rolconnlimit",
)


@one_version
def test_a_role_is_created_changed_and_removed(deploy: Deploy) -> None:
    database = deploy.database
    name = f"r_{secrets.token_hex(3)}"

    def attributes() -> tuple[str, ...]:
        return database.rows(
            f"SELECT {', '.join(ATTRIBUTES)}, shobj_description(oid, 'pg_authid') "
            f"FROM pg_roles WHERE rolname = '{name}'"
        )[0]

    def groups() -> set[str]:
        return {
            row[0]
            for row in database.rows(
                "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid "
                f"JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '{name}'"
            )
        }

    database.psql(f"CREATE ROLE {name}_other; CREATE ROLE {name}_mine")
    deploy.apply(f"pg.role({name!r})")
    assert attributes() == ("f", "f", "f", "f", "t", "f", "f", "-1", "")

    on = "login=True, superuser=True, createdb=True, createrole=True, inherit=False, "
    on += "replication=True, bypassrls=True, connection_limit=5, comment='it\\'s', "
    deploy.apply(f"pg.role({name!r}, {on} member_of='{name}_mine')")
    assert attributes() == ("t", "t", "t", "t", "f", "t", "t", "5", "it's")
    assert groups() == {f"{name}_mine"}

    # What is not declared is left as it is, other memberships too.
    database.psql(f"GRANT {name}_other TO {name}")
    deploy.apply(f"pg.role({name!r}, login=False)")
    assert attributes() == ("f", "t", "t", "t", "f", "t", "t", "5", "it's")
    assert groups() == {f"{name}_mine", f"{name}_other"}

    off = on.replace("True", "False").replace("inherit=False", "inherit=True")
    off = off.replace("limit=5", "limit=-1").replace("it\\'s", "")
    deploy.apply(f"pg.role({name!r}, {off})")
    assert attributes() == ("f", "f", "f", "f", "t", "f", "f", "-1", "")

    deploy.apply(f"pg.role({name!r}, present=False)")
    assert name not in database.server.roles()


@one_version
def test_a_role_that_owns_something_stays(deploy: Deploy) -> None:
    name = f"r_{secrets.token_hex(3)}"
    deploy.database.psql(f"CREATE ROLE {name}; CREATE TABLE t (); ALTER TABLE t OWNER TO {name}")
    run = deploy.run(f"pg.role({name!r}, present=False)").failed()
    assert "2BP01" in run.output
    assert outcomes(run) == {f"role {name} absent": "Error"}
    assert name in deploy.database.server.roles()


@one_version
def test_memberships_have_options_and_can_go(deploy: Deploy) -> None:
    database = deploy.database
    name = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {name}_g; CREATE ROLE {name}_h; CREATE ROLE {name}_by")

    def options() -> str:
        return database.psql(
            "SELECT g.rolname, bool_or(m.admin_option), bool_or(m.inherit_option),"
            " bool_or(m.set_option) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
            f" WHERE m.member = '{name}'::regrole GROUP BY 1 ORDER BY 1"
        )

    deploy.apply(f"""
        group = pg.Membership("{name}_g", admin=True, inherit=False, set=True)
        pg.role("{name}", member_of=["{name}_h", group])
    """)
    assert options() == f"{name}_g|t|f|t\n{name}_h|f|t|t"
    deploy.apply(f"""
        group = pg.Membership("{name}_g", admin=False, inherit=True)
        pg.role("{name}", member_of=[pg.Membership("{name}_h", set=False), group])
    """)
    assert options() == f"{name}_g|f|t|t\n{name}_h|f|t|f"
    # Another role has granted it too.
    database.psql(
        f"GRANT {name}_g TO {name}_by WITH ADMIN OPTION; SET ROLE {name}_by; "
        f"GRANT {name}_g TO {name}"
    )
    both = f"SELECT count(*) FROM pg_auth_members WHERE member = '{name}'::regrole"
    deploy.apply(f"pg.role('{name}', member_of=pg.Membership('{name}_g', inherit=False))")
    assert options() == f"{name}_g|f|f|t\n{name}_h|f|t|f"
    deploy.apply(
        f"pg.role('{name}', member_of=pg.Membership('{name}_g', admin=True, inherit=True))"
    )
    assert options() == f"{name}_g|t|t|t\n{name}_h|f|t|f"
    deploy.apply(f"pg.role('{name}', member_of=pg.Membership('{name}_g', admin=False))")
    assert options() == f"{name}_g|f|t|t\n{name}_h|f|t|f"
    assert database.psql(both) == "3"
    deploy.apply(f"pg.role('{name}', member_of=pg.Membership('{name}_g', present=False))")
    assert options() == f"{name}_h|f|t|f"


@one_version
def test_a_membership_that_another_role_has_granted_needs_the_rights_of_that(
    deploy: Deploy,
) -> None:
    database = deploy.database
    name = f"r_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {name}; CREATE ROLE {name}_by LOGIN CREATEROLE; CREATE ROLE {name}_g;"
        f"GRANT {name}_g TO {name}_by WITH ADMIN OPTION; GRANT {name}_g TO {name}"
    )
    deploy.project.inventory({"db": database.dsn.replace("postgres@", f"{name}_by@", 1)})
    declared = f"pg.role('{name}', member_of=pg.Membership('{name}_g', inherit=False))"
    run = deploy.run(declared).failed()
    assert "needs the rights of postgres, who has granted a membership of it" in run.output


@one_version
def test_a_role_that_creates_another_gives_itself_more_of_it(deploy: Deploy) -> None:
    database = deploy.database
    name = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {name} LOGIN CREATEROLE; SET ROLE {name}; CREATE ROLE {name}_app")
    deploy.project.inventory({"db": database.dsn.replace("postgres@", f"{name}@", 1)})
    deploy.apply(f"pg.role('{name}', member_of=pg.Membership('{name}_app', inherit=True))")
    options = (
        "SELECT bool_or(admin_option), bool_or(inherit_option), bool_or(set_option) "
        f"FROM pg_auth_members WHERE member = '{name}'::regrole"
    )
    assert database.psql(options) == "t|t|f"
    deploy.apply(f"pg.role('{name}', member_of=pg.Membership('{name}_app', inherit=False))")
    assert database.psql(options) == "t|f|f"
